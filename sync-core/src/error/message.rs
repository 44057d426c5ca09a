//! What is said of an error, as a message that a host can say in other words.

use super::Error;
use super::catalogue::declared;
use crate::text::{Said, Sentence};

impl Said {
    /// What happened.
    pub fn message(error: &Error) -> Self {
        let declared = error.declared();
        Self::new(Sentence::new(declared.code, "message", declared.message), error.details())
    }

    /// What to do about an error or a finding of this code; nothing for a code that there is not.
    pub fn advice(code: &'static str) -> Self {
        let english = declared().find(|declared| declared.code == code).map_or("", |declared| declared.advice);
        Self::new(Sentence::new(code, "advice", english), Vec::new())
    }
}
