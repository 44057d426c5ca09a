//! The place and the kind of a bad value in a record.

use std::borrow::Cow;

use crate::text::Message;
use crate::text::sentences::error_detail;

/// The fault in a record's data. Names only the place and the kind of the value, and the value itself only if it is an
/// unknown enum value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.says())]
#[non_exhaustive]
pub struct FieldError {
    /// JSON path inside `recordData`.
    pub path: String,
    /// The expected kind.
    pub expected: Cow<'static, str>,
    /// The kind that was found.
    pub found: Cow<'static, str>,
    /// True if this looks like a value of a newer release (an unknown enum value) rather than a fault.
    pub unsupported: bool,
}

impl FieldError {
    /// The fault in words.
    pub fn says(&self) -> Message {
        error_detail::field(&self.path, &*self.expected, &*self.found)
    }
}

/// Content that not every peer can read.
pub(crate) fn unreadable(path: String, found: &'static str) -> FieldError {
    let expected = Cow::Borrowed("a value that every peer can read");
    FieldError { path, expected, found: Cow::Borrowed(found), unsupported: false }
}
