//! What central keeps for a site where no legacy server does.

use crate::record::{RecordData, RecordId, TableName};

/// A record of the legacy tables as the site brought it last.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRecord {
    /// Its place in the order of arrival, over all sites.
    pub number: u64,
    /// Its table; text of the site, not checked.
    pub table: TableName,
    /// Its id; text of the site, not checked.
    pub id: RecordId,
    /// Its data as it came.
    pub data: RecordData,
}
