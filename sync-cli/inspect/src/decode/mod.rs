//! What a message of V5 or V6 says, and what is wrong with it. Credentials are never repeated.

mod answer;
mod body;
mod decoded;
mod http;
mod records;
mod request;
mod unpack;

use sync_core::Result;
use sync_core::text_input::as_utf8;

use self::body::body;

pub use self::decoded::{Decoded, RecordLine};

/// Reads a message: a body, packed or not, or one with the head that it has on the line.
///
/// # Errors
/// [`Error::BadInput`](sync_core::Error::BadInput): it is no message at all.
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    // A message that an editor saved has a mark before its head.
    let bytes = &*as_utf8(bytes);
    http::with_head(bytes).unwrap_or_else(|| body(bytes))
}
