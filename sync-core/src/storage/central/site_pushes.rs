//! The pushes of sites: the versions that identify a repeated push, and the records that wait for integration or are in
//! quarantine.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::QuarantineCause;

/// The newest version of a record that a site pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedVersion {
    /// Its cursor in the changelog of the site.
    pub cursor: Cursor,
    /// Its fingerprint.
    pub fingerprint: u64,
    /// When it last came, by the time during which central ran, because the machine's clock may be changed.
    pub at: Timestamp,
    /// True if it came from a former database of the site.
    pub is_former: bool,
}

/// Reads the pushes of sites.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait SitePushReads {
    /// The newest version of a record that a site pushed, from its current or a former database.
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>>;
    /// The sites whose pushed records wait for integration, longest waiting first.
    fn integrations(&self) -> Result<Vec<SiteId>>;
    /// True if a site is among them.
    fn integration_waits(&self, site: SiteId) -> Result<bool>;
    /// The number of quarantined records that sites pushed, by site and cause.
    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>>;
}

/// Writes the pushes of sites, and the requests for their integration.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait SitePushWrites: SitePushReads {
    /// Stores the version of a record that a site pushed, unless the stored one has a higher cursor from the same
    /// database of the site.
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()>;
    /// Stores the version of a record that a site pushed if nothing is stored of the record and the site, not even a cursor or
    /// what came from a former database. Returns whether it was stored.
    fn note_first_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<bool>;
    /// Records that a site's push waits for integration; an existing request keeps its time.
    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()>;
    /// Removes that request.
    fn finish_integration(&self, site: SiteId) -> Result<()>;
}
