//! What is said to people: messages with details, how errors are declared, and the English of everything that is no error.
//!
//! Nothing here knows the rooms above; a host's own words are in [`crate::Texts`].

mod class;
mod declared;
mod message;
// Some are said of SQLite files alone.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(crate) mod sentences;
pub(crate) mod words;

pub use class::ErrorClass;
pub(crate) use declared::{Declared, Details, ErrorField, declare_errors, shown_fields};
pub use message::{Detail, Localize, Message, MessageTemplate};
pub(crate) use message::{filled, placeholders};

/// A text that stands between quotation marks, with what would break them, or the line, escaped.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}
