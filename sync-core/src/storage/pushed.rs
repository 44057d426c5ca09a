//! What is noted of a version of a record that a site pushed.

use crate::clock::Timestamp;
use crate::record::Cursor;

/// The newest version of a record that a site pushed, to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Its place in the changelog of the site.
    pub cursor: Cursor,
    /// What tells it from every other version.
    pub fingerprint: u64,
    /// When it last came, by the time during which central ran: the clock of its machine may be set meanwhile.
    pub at: Timestamp,
    /// Whether it is of a database that the site has no more.
    pub is_former: bool,
}
