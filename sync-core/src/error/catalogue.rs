//! The texts of errors as messages that a host can replace, and the catalogue of all errors with an example of each.

use crate::error::findings::FINDINGS;
use crate::error::{Error, ErrorClass};
use crate::ownership::Refusal;
use crate::text::{Declared, Message, MessageTemplate};

/// An error, or a finding of a diagnosis, with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// The stable code.
    pub code: &'static str,
    /// Who must act.
    pub class: ErrorClass,
    /// The message in English; names, addresses and numbers are examples.
    pub message: String,
    /// The message with `{name}` in the place of a name, an address or a number, for translators.
    pub template: &'static str,
    /// The usual cause.
    pub cause: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// The code of Open mSupply's sync log that means the same.
    pub upstream: Option<&'static str>,
    /// True if only [`doctor`](crate::support::SiteSupport::doctor) finds it, so no call fails with it.
    pub is_finding: bool,
}

/// All errors in the order of their declaration, then the findings of [`doctor`](crate::support::SiteSupport::doctor) that are no error.
pub fn catalogue() -> Vec<CatalogueEntry> {
    let of_errors = Error::examples().into_iter().map(|error| entry(error.declared(), error.to_string(), false));
    of_errors.chain(FINDINGS.iter().map(|finding| entry(finding, finding.message.to_owned(), true))).collect()
}

fn entry(declared: &Declared, message: String, is_finding: bool) -> CatalogueEntry {
    CatalogueEntry {
        code: declared.code,
        class: declared.class,
        message,
        template: declared.message,
        cause: declared.cause,
        advice: declared.advice,
        upstream: declared.upstream,
        is_finding,
    }
}

/// The declarations of all errors and findings.
pub(crate) fn declared() -> impl Iterator<Item = &'static Declared> {
    Error::DECLARED.iter().chain(Refusal::DECLARED).chain(FINDINGS)
}

impl Message {
    /// The text that an error prints.
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
