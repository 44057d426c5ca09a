//! The stored versions of records that a site pushed.

use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};

/// Reads the versions that a site pushed. Central stores them for its sites; a restored site stores its own.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait PushedReads {
    /// The site's cursor of the newest stored version of a record that it pushed.
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// False only if no version of any site is stored: nearly always so at a site.
    fn any_pushed(&self) -> Result<bool> {
        Ok(true)
    }
}

/// Writes the versions that a site pushed.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait PushedWrites: PushedReads {
    /// Stores the site's cursor of a version of a record that it pushed, unless a higher one is stored.
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()>;
    /// Records that a site's database begins anew: [`pushed_at`](PushedReads::pushed_at) then returns nothing for its
    /// versions, and [`pushed`](super::SitePushReads::pushed) marks them as those of a former database.
    fn forget_pushed(&self, site: SiteId) -> Result<()>;
}
