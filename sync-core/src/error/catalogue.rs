//! The catalogue of errors: an example of each, and what lies behind it. `docs/errors.md` and `oms-sync errors` are made
//! of it.

use crate::error::findings::FINDINGS;
use crate::error::{Error, ErrorClass};
use crate::ownership::Refusal;
use crate::text::Declared;

/// What there is to know of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// The stable code.
    pub code: &'static str,
    /// Who must act.
    pub class: ErrorClass,
    /// What is said; names, addresses and numbers are examples.
    pub message: String,
    /// The same with `{name}` where a name, an address or a number stands: what a translation is made of.
    pub template: &'static str,
    /// What usually lies behind it.
    pub cause: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// Open mSupply's own code for the same, as its sync log has it.
    pub upstream: Option<&'static str>,
}

/// Every error, in the order of the declaration, and after them what [`diagnose`](crate::Site::diagnose) finds that no error
/// stands for.
pub fn catalogue() -> Vec<CatalogueEntry> {
    let of_errors = Error::examples().into_iter().map(|error| entry(error.declared(), error.to_string()));
    of_errors.chain(FINDINGS.iter().map(|finding| entry(finding, finding.message.to_owned()))).collect()
}

fn entry(declared: &Declared, message: String) -> CatalogueEntry {
    CatalogueEntry {
        code: declared.code,
        class: declared.class,
        message,
        template: declared.message,
        cause: declared.cause,
        advice: declared.advice,
        upstream: declared.upstream,
    }
}

/// What all errors and findings are declared with.
pub(crate) fn declared() -> impl Iterator<Item = &'static Declared> {
    Error::DECLARED.iter().chain(Refusal::DECLARED).chain(FINDINGS)
}
