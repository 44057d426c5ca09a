//! Refuses a name that is no table, which would otherwise be a table without records.

use crate::error::{Error, Result};
use crate::record::{TableName, is_known_table};
use crate::storage::ReadTxn;

/// Refuses a table that this version does not know and that has no record here. The legacy server may send a table that this version does
/// not know, and its records are read like others.
pub(crate) fn check_known<T: ReadTxn + ?Sized>(txn: &T, table: &TableName) -> Result<()> {
    if is_known_table(table.as_str()) || !txn.records(table, None, 1)?.is_empty() {
        return Ok(());
    }
    Err(Error::unknown_table(table.as_str()))
}
