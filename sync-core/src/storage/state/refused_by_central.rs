//! The records of this site that central refused, as it told in a pull.

use serde::{Deserialize, Serialize};

use super::Setting;
use super::stored::{JsonList, StoredJson};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::ReportedRefusals;
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::ReadTxn;

/// The newest of them, at most one for each record. Only for people: a damaged list is begun again.
pub(crate) const REFUSED_BY_CENTRAL: Setting<JsonList<NotedRefusal>> = Setting::lenient("refused_by_central");

/// Up to where central has told of them, in its own count.
pub(crate) const REFUSED_UP_TO: Setting<Option<StoredJson<ReportedRefusals>>> = Setting::lenient("refused_up_to");

/// A record that central refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotedRefusal {
    pub table: TableName,
    pub id: RecordId,
    /// The reason in central's words.
    pub reason: String,
    /// The time at which this site was told.
    pub at: Timestamp,
    /// The number of its entry in central's quarantine; 0 if central did not tell.
    #[serde(default)]
    pub number: u64,
    /// True if another version won there.
    #[serde(default)]
    pub superseded: bool,
    /// The position of that version in central's changelog.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// The SHA-256 of that version's data.
    #[serde(default)]
    pub digest: Option<String>,
    /// The push cursor at that time: a local change from here on was not refused yet.
    pub pushed_to: Cursor,
}

impl NotedRefusal {
    /// True if the version that central did not take is still the one here: nothing newer was written here, and none came.
    pub(crate) fn is_of_newest(&self, txn: &dyn ReadTxn) -> Result<bool> {
        let is_local = match txn.newest_change(&self.table, &self.id)? {
            Some(change) => !change.is_sync_update,
            None => txn.has_local_change(&self.table, &self.id, Cursor(0))?,
        };
        Ok(is_local && !txn.has_local_change(&self.table, &self.id, self.pushed_to)?)
    }
}
