//! The names of error fields in messages.

use std::error::Error as StdError;
use std::fmt;

use super::{Cause, Server};
use crate::clock::Timestamp;
use crate::record::{FieldError, RecordId, SiteId, TableName};
use crate::text::sentences::error_detail;
use crate::text::{Detail, Details, ErrorField, shown_fields};

shown_fields!(Server, TableName, RecordId, SiteId);

impl From<Server> for Detail {
    fn from(server: Server) -> Self {
        server.to_string().into()
    }
}

/// A cause in a clone of its error: its text, with the texts of the causes below. The types of causes cannot be cloned.
#[derive(Debug)]
struct CauseText {
    text: String,
    below: Option<Box<Self>>,
}

impl CauseText {
    fn of(cause: &(dyn StdError + 'static)) -> Self {
        Self { text: cause.to_string(), below: cause.source().map(|below| Box::new(Self::of(below))) }
    }
}

impl fmt::Display for CauseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for CauseText {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.below.as_deref().map(|below| below as _)
    }
}

/// The causes of an error are shown after its message, see [`Error::causes`](crate::Error::causes).
impl ErrorField for Cause {
    fn copy(&self) -> Self {
        Box::new(CauseText::of(self.as_ref()))
    }

    fn add_to(&self, _: &mut Details, _: &'static str) {}

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.as_ref())
    }
}

impl ErrorField for Option<Cause> {
    fn copy(&self) -> Self {
        self.as_ref().map(Cause::copy)
    }

    fn add_to(&self, _: &mut Details, _: &'static str) {}

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.as_ref().and_then(Cause::as_cause)
    }
}

/// The fault of a field is the `detail` of the error, whatever the field's name in the error.
impl ErrorField for Box<FieldError> {
    fn copy(&self) -> Self {
        Clone::clone(self)
    }

    fn add_to(&self, details: &mut Details, _: &'static str) {
        details.push(("detail", self.says().into()));
    }

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.as_ref())
    }
}

/// [`process`] alone names it.
impl ErrorField for Option<u32> {
    fn copy(&self) -> Self {
        Clone::clone(self)
    }

    fn add_to(&self, _: &mut Details, _: &'static str) {}
}

/// [`similar_name`] alone names it.
impl ErrorField for Option<&'static str> {
    fn copy(&self) -> Self {
        *self
    }

    fn add_to(&self, _: &mut Details, _: &'static str) {}
}

/// [`similar_name`] alone names it.
impl ErrorField for Option<String> {
    fn copy(&self) -> Self {
        self.clone()
    }

    fn add_to(&self, _: &mut Details, _: &'static str) {}
}

/// A cause that is part of the message.
pub(super) fn told(cause: &Cause) -> String {
    cause.to_string()
}

/// A time, as people read it.
pub(super) fn moment(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|| text.to_owned(), Timestamp::for_people)
}

/// The question whether a known name was meant, if one is similar.
pub(super) fn similar_name<T: AsRef<str>>(meant: &Option<T>) -> Detail {
    meant.as_ref().map_or_else(|| "".into(), |meant| error_detail::similar_name(meant.as_ref()).into())
}

/// The blocking process, if it is known.
pub(super) fn process(number: &Option<u32>) -> Detail {
    number.map_or_else(|| "".into(), |number| error_detail::process(number).into())
}
