//! Texts for people: messages with details, the declaration of errors, and all other English texts.
//!
//! Nothing here imports the rooms above; [`crate::Texts`] has a host's own texts.

#[cfg(feature = "central")]
mod argument;
pub(crate) mod class;
mod declared;
pub(crate) mod message;
// Some are only about SQLite files.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(crate) mod sentences;
mod similar;
pub(crate) mod words;

#[cfg(feature = "central")]
pub(crate) use argument::argument;
pub(crate) use class::ErrorClass;
pub(crate) use declared::{Declared, Details, ErrorField, declare_errors, shown_fields};
pub(crate) use message::Message;
pub use message::{Detail, Localize, MessageTemplate};
pub(crate) use message::{filled, placeholders};
pub use similar::similar;

/// A text in quotation marks, with characters that would end them, or the line, escaped.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}
