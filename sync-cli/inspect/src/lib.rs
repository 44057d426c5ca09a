//! Inspects data of Open mSupply: the database of one of its servers ([`database`]), messages of its protocols
//! ([`decode`]), and the compatibility of its releases ([`compat`]). It changes nothing, and shows no secret.

pub mod compat;
pub mod database;
pub mod decode;
mod sentences;

use sync_core::text::MessageTemplate;

/// The texts of this crate, for a host's translation ([`Texts::parse`](sync_core::Texts::parse)).
pub fn sentences() -> &'static [MessageTemplate] {
    sentences::ALL
}
