//! The texts of an error as messages that a host can replace.

use super::Error;
use super::catalogue::declared;
use crate::text::{Message, MessageTemplate};

impl Message {
    /// What happened.
    pub fn of(error: &Error) -> Self {
        let declared = error.declared();
        Self::new(MessageTemplate::new(declared.code, "message", declared.message), error.details())
    }

    /// The advice for an error or a finding of this code; empty for an unknown code.
    pub fn advice(code: &'static str) -> Self {
        let english = declared().find(|declared| declared.code == code).map_or("", |declared| declared.advice);
        Self::new(MessageTemplate::new(code, "advice", english), Vec::new())
    }
}
