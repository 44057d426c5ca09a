//! The history of one record in the changelog.

use rusqlite::Row;

use super::schema::TABLES;
use super::select::{COLUMNS, read_change};
use super::txn::{HoldsConnection, SqliteTxn};
use crate::changelog::{ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, RecordData, RecordId, StoreId, TableName};
use crate::storage::HistoryReads;
use crate::storage::sql::{cursor, position};

impl<C: HoldsConnection> HistoryReads for SqliteTxn<C> {
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        if self.lately.borrow().is_absent(table, id) {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM sync_record WHERE table_name = ?1 AND record_id = ?2");
        let read = |row: &Row<'_>| read_change(row, ChangeAction::Upsert).map(|row| row.change);
        self.first(&sql, [table.as_str(), id.as_str()], read)
    }

    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        let sql = format!(
            "SELECT {COLUMNS}, action = 'delete', rowid FROM sync_change WHERE table_name = ?1 AND record_id = ?2 \
             ORDER BY cursor"
        );
        let rows: Vec<(NewChange, i64)> = self.all(&sql, [table.as_str(), id.as_str()], |row| {
            let action = if row.get(9)? { ChangeAction::Delete } else { ChangeAction::Upsert };
            Ok((read_change(row, action)?.change, row.get(10)?))
        })?;
        rows.into_iter().map(|(change, rowid)| Ok((change, self.left_as(rowid)?))).collect()
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let of_record = "SELECT ifnull(written, cursor) FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        let params = (table.as_str(), id.as_str());
        let mut found: Option<i64> = None;
        if !self.lately.borrow().is_absent(table, id) {
            found = self.first(of_record, params, |row| row.get(0))?;
        }
        if found.is_none() && self.any_tombstones()? {
            let deleted = "SELECT max(ifnull(written, cursor)) FROM sync_change \
                           WHERE table_name = ?1 AND record_id = ?2 AND action = 'delete'";
            found = self.first(deleted, params, |row| row.get(0))?.flatten();
        }
        Ok(found.map(cursor))
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        let sql = "SELECT store_id, cursor FROM sync_change \
                   WHERE table_name = ?1 AND record_id = ?2 AND action = 'upsert' AND store_id IS NOT NULL";
        let rows: Vec<(String, i64)> =
            self.all(sql, (table.as_str(), id.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let of_these = rows.into_iter().filter(|(store, _)| stores.iter().any(|own| own.as_str() == store));
        Ok(of_these.map(|(_, at)| cursor(at)).max())
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        for of in TABLES {
            let sql = format!(
                "SELECT 1 FROM {of} WHERE table_name = ?1 AND record_id = ?2 AND is_sync_update = 0 AND cursor >= ?3"
            );
            if self.first(&sql, (table.as_str(), id.as_str(), position(from)), |_| Ok(()))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        if !self.any_tombstones()? {
            return Ok(None);
        }
        let sql = "SELECT store_id FROM sync_change WHERE table_name = ?1 AND record_id = ?2 AND action = 'delete' \
                   ORDER BY cursor DESC LIMIT 1";
        let found: Option<Option<String>> = self.first(sql, (table.as_str(), id.as_str()), |row| row.get(0))?;
        Ok(found.flatten().map(StoreId::new))
    }
}
