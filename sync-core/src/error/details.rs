//! The names of error fields in messages.

use std::error::Error as StdError;

use super::{Cause, Server};
use crate::record::{FieldError, RecordId, SiteId, TableName};
use crate::text::sentences::error_detail;
use crate::text::{Detail, Details, ErrorField, shown_fields};

shown_fields!(Server, TableName, RecordId, SiteId);

impl From<Server> for Detail {
    fn from(server: Server) -> Self {
        server.to_string().into()
    }
}

/// The causes of an error are shown after its message, see [`Error::causes`](crate::Error::causes).
impl ErrorField for Cause {
    fn add_to(&self, _: &mut Details, _: &'static str) {}

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.as_ref())
    }
}

impl ErrorField for Option<Cause> {
    fn add_to(&self, _: &mut Details, _: &'static str) {}

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.as_ref().and_then(Cause::as_cause)
    }
}

/// The fault of a field is the `detail` of the error, whatever the field's name in the error.
impl ErrorField for Box<FieldError> {
    fn add_to(&self, details: &mut Details, _: &'static str) {
        details.push(("detail", self.says().into()));
    }

    fn as_cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.as_ref())
    }
}

/// [`process`] alone names it.
impl ErrorField for Option<u32> {
    fn add_to(&self, _: &mut Details, _: &'static str) {}
}

/// A cause that is part of the message.
pub(super) fn told(cause: &Cause) -> String {
    cause.to_string()
}

/// The blocking process, if it is known.
pub(super) fn process(number: &Option<u32>) -> Detail {
    number.map_or_else(|| "".into(), |number| error_detail::process(number).into())
}
