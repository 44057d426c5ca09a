//! What is said of an error, as a message that a host can say in other words.

use super::Error;
use super::catalogue::declared;
use crate::text::{Message, MessageTemplate};

impl Message {
    /// What happened.
    pub fn of(error: &Error) -> Self {
        let declared = error.declared();
        Self::new(MessageTemplate::new(declared.code, "message", declared.message), error.details())
    }

    /// What to do about an error or a finding of this code; nothing for a code that there is not.
    pub fn advice(code: &'static str) -> Self {
        let english = declared().find(|declared| declared.code == code).map_or("", |declared| declared.advice);
        Self::new(MessageTemplate::new(code, "advice", english), Vec::new())
    }
}
