//! The legacy records that central stores for the sites that pushed them, if there is no legacy server.

use crate::error::Result;
use crate::record::{RecordData, RecordId, SiteId, TableName};

/// The newest version of a legacy record of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct MirroredRecord {
    /// Its place in the order of arrival, over all sites.
    pub number: u64,
    /// Its table; text of the site, unchecked.
    pub table: TableName,
    /// Its id; text of the site, unchecked.
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
    /// The version of one record that is mirrored for a site.
    fn mirrored_record(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<MirroredRecord>>;
    /// The number of a site's records with a number above `after`, and the highest of their numbers; 0 and 0 if there
    /// are none.
    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)>;
}

/// Writes the mirror of legacy records.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait LegacyMirrorWrites: LegacyMirrorReads {
    /// Stores a record for the site that pushed it, in place of the older version, with a number above all earlier
    /// ones.
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()>;
    /// Removes a site's record; a missing one changes nothing.
    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()>;
}
