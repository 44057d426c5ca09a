//! The records of this site that central refused, as far as it told this site.

use crate::error::Result;
#[cfg(feature = "support")]
use crate::record::{RecordId, TableName};
use crate::site::CentralRefusal;
use crate::storage::{ReadTxn, state};

/// The refused records whose refused version is still the one here, oldest first.
pub(super) fn refused_by_central(txn: &dyn ReadTxn) -> Result<Vec<CentralRefusal>> {
    let mut refused = Vec::new();
    for noted in state::REFUSED_BY_CENTRAL.get(txn)?.0 {
        refused.push(CentralRefusal::of(txn, noted)?);
    }
    refused.retain(|refused| refused.is_newest);
    Ok(refused)
}

/// The last refusal of a record.
#[cfg(feature = "support")]
pub(super) fn refusal_of(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<CentralRefusal>> {
    let mut noted = state::REFUSED_BY_CENTRAL.get(txn)?.0.into_iter();
    noted.find(|noted| noted.table == *table && noted.id == *id).map(|noted| CentralRefusal::of(txn, noted)).transpose()
}
