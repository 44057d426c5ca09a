//! The records of this site that central refused, as far as it told this site.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::state::NotedRefusal;
use crate::storage::{ReadTxn, state};

/// A record of this site that central refused, or that gave way to another version there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CentralRefusal {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The reason in central's words.
    pub reason: String,
    /// The time at which this site was told.
    pub at: Timestamp,
    /// True if the refused version is still the one here: nothing newer was written here, and none came.
    pub is_newest: bool,
}

/// The refused records whose refused version is still the one here, oldest first.
pub(super) fn refused_by_central(txn: &dyn ReadTxn) -> Result<Vec<CentralRefusal>> {
    let mut refused = Vec::new();
    for noted in state::REFUSED_BY_CENTRAL.get(txn)?.0 {
        refused.push(read(txn, noted)?);
    }
    refused.retain(|refused| refused.is_newest);
    Ok(refused)
}

/// The last refusal of a record.
#[cfg(feature = "support")]
pub(super) fn refusal_of(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<CentralRefusal>> {
    let mut noted = state::REFUSED_BY_CENTRAL.get(txn)?.0.into_iter();
    noted.find(|noted| noted.table == *table && noted.id == *id).map(|noted| read(txn, noted)).transpose()
}

fn read(txn: &dyn ReadTxn, noted: NotedRefusal) -> Result<CentralRefusal> {
    let NotedRefusal { table, id, reason, at, pushed_to, .. } = noted;
    let is_local = match txn.newest_change(&table, &id)? {
        Some(change) => !change.is_sync_update,
        None => txn.has_local_change(&table, &id, Cursor(0))?,
    };
    let is_newest = is_local && !txn.has_local_change(&table, &id, pushed_to)?;
    Ok(CentralRefusal { table, id, reason, at, is_newest })
}
