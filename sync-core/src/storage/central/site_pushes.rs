//! What sites push: the versions by which a repeated push is known, and what waits to be integrated or is quarantined.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::QuarantineCause;

/// The newest version of a record that a site pushed, to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedVersion {
    /// Its place in the changelog of the site.
    pub cursor: Cursor,
    /// What tells it from every other version.
    pub fingerprint: u64,
    /// When it last came, by the time during which central ran: the clock of its machine may be set meanwhile.
    pub at: Timestamp,
    /// Whether it is of a database that the site has no more.
    pub is_former: bool,
}

/// Reads what sites pushed.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait SitePushReads {
    /// What was noted of the newest version of a record that a site pushed, in a database that the site has no more too.
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>>;
    /// The sites whose pushed records wait for integration, longest waiting first.
    fn integrations(&self) -> Result<Vec<SiteId>>;
    /// Whether a site is among them.
    fn integration_waits(&self, site: SiteId) -> Result<bool>;
    /// The number of quarantined records that sites had pushed, by site and cause.
    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>>;
}

/// Notes what sites pushed, and what of it waits for integration.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait SitePushWrites: SitePushReads {
    /// Notes what a site pushed of a record, in place of what was noted, unless that has a higher cursor in the same
    /// database of the site.
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()>;
    /// Remembers that a site's pushed records wait for integration; a request that is there keeps its time.
    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()>;
    /// Forgets it.
    fn finish_integration(&self, site: SiteId) -> Result<()>;
}
