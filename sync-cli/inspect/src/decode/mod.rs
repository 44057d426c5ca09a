//! Decodes a message of V5 or V6, and lists its faults. Credentials are never shown.

mod answer;
mod body;
mod decoded;
mod http;
mod records;
mod request;
mod unpack;
mod v7;

use sync_core::Result;
use sync_core::text_input::as_utf8;

use self::body::body;

pub use self::decoded::{Decoded, RecordLine};

/// Reads a message: a body, packed or not, with or without its HTTP head.
///
/// # Errors
/// [`Error::BadInput`](sync_core::Error::BadInput): it is no message at all.
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    // A message saved by an editor has a mark before its head.
    let bytes = &*as_utf8(bytes);
    http::with_head(bytes).unwrap_or_else(|| body(bytes))
}
