//! Records of the legacy tables that central keeps for the site that brought them, where no legacy server does.

use crate::error::Result;
use crate::record::{RecordData, RecordId, SiteId, TableName};

/// A record of the legacy tables as the site brought it last.
#[derive(Debug, Clone, PartialEq)]
pub struct MirroredRecord {
    /// Its place in the order of arrival, over all sites.
    pub number: u64,
    /// Its table; text of the site, not checked.
    pub table: TableName,
    /// Its id; text of the site, not checked.
    pub id: RecordId,
    /// Its data as it came.
    pub data: RecordData,
}

/// Reads the mirror of legacy records.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait LegacyMirrorReads {
    /// Up to `limit` mirrored records of a site, by number after `after`. Ends early once their data exceed
    /// [`CHUNK_BYTES`](crate::storage::CHUNK_BYTES), but not before the first.
    fn legacy_mirror(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<MirroredRecord>>;
    /// How many records of a site have a number higher than `after`, and the highest of their numbers; 0 and 0 if there are
    /// none.
    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)>;
}

/// Writes the mirror of legacy records.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait LegacyMirrorWrites: LegacyMirrorReads {
    /// Keeps a record for the site that brought it, in place of the older version, with a number higher than any before.
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()>;
    /// Removes a site's record; one that is not here changes nothing.
    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()>;
}
