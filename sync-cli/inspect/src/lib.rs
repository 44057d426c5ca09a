//! Looks at what Open mSupply made: the database of one of its servers ([`database`]), messages of its protocols ([`decode`]),
//! and whether its releases fit together ([`compat`]). Nothing here changes anything, and no secret is repeated.

pub mod compat;
pub mod database;
pub mod decode;
mod sentences;

use sync_core::MessageTemplate;

/// The sentences that this crate says, for a host's translation ([`Texts::parse`](sync_core::Texts::parse)).
pub fn sentences() -> &'static [MessageTemplate] {
    sentences::ALL
}
