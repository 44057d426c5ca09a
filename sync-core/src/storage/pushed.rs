//! The versions of records that a site pushed, as far as they are noted.

use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};

/// Reads which versions a site pushed. Central notes them for its sites; a site that begins anew from a backup notes its own.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait PushedReads {
    /// The site's cursor of the newest version of a record that a site pushed, where that was noted.
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
}

/// Notes which versions a site pushed.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait PushedWrites: PushedReads {
    /// Notes the site's cursor of a version of a record that a site pushed, unless a higher one is noted.
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()>;
    /// Forgets what was noted of a site, whose database begins anew: [`pushed_at`](PushedReads::pushed_at) knows nothing of
    /// it any more, [`pushed`](super::SitePushReads::pushed) says that it is of a former one.
    fn forget_pushed(&self, site: SiteId) -> Result<()>;
}
