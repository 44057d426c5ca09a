//! The history of one record in the changelog.

use super::select::{COLUMNS, read_change};
use super::text::Text;
use super::txn::{PostgresTxn, text_or_none};
use crate::changelog::{ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, RecordData, RecordId, StoreId, TableName};
use crate::storage::HistoryReads;
use crate::storage::sql::{cursor, data, position};

impl HistoryReads for PostgresTxn<'_> {
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        if self.lately.borrow().is_absent(table, id) {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM sync_record r WHERE table_name = $1 AND record_id = $2");
        self.first(&sql, &[&Text(table.as_str()), &Text(id.as_str())], |row| {
            read_change(row, ChangeAction::Upsert).map(|row| row.change)
        })
    }

    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        if !self.any_tombstones.get() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS}, action = 'delete', data FROM sync_change r WHERE table_name = $1 AND record_id = $2 \
             ORDER BY cursor"
        );
        let rows = self.all(&sql, &[&Text(table.as_str()), &Text(id.as_str())], |row| {
            let action = if row.try_get(9)? { ChangeAction::Delete } else { ChangeAction::Upsert };
            Ok((read_change(row, action)?.change, row.try_get::<_, Option<String>>(10)?))
        })?;
        Ok(rows.into_iter().map(|(change, left_as)| (change, left_as.map(data))).collect())
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let sql = "SELECT coalesce( \
                   (SELECT coalesce(written, cursor) FROM sync_record WHERE table_name = $1 AND record_id = $2), \
                   (SELECT max(coalesce(written, cursor)) FROM sync_change \
                    WHERE table_name = $1 AND record_id = $2 AND action = 'delete'))";
        let found =
            self.first(sql, &[&Text(table.as_str()), &Text(id.as_str())], |row| row.try_get::<_, Option<i64>>(0))?;
        Ok(found.flatten().map(cursor))
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        if !self.any_tombstones.get() {
            return Ok(None);
        }
        let stores: Vec<Text<'_>> = stores.iter().map(|store| Text(store.as_str())).collect();
        let sql = "SELECT max(cursor) FROM sync_change WHERE table_name = $1 AND record_id = $2 AND action = 'upsert' \
                   AND store_id = ANY ($3)";
        let params = (Text(table.as_str()), Text(id.as_str()));
        let found = self.first(sql, &[&params.0, &params.1, &stores], |row| row.try_get::<_, Option<i64>>(0))?;
        Ok(found.flatten().map(cursor))
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        let of = |name: &str| {
            format!(
                "SELECT 1 FROM {name} WHERE table_name = $1 AND record_id = $2 AND NOT is_sync_update AND cursor >= $3"
            )
        };
        let sql = format!("{} UNION ALL {} LIMIT 1", of("sync_record"), of("sync_change"));
        self.any(&sql, &[&Text(table.as_str()), &Text(id.as_str()), &position(from)])
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        if !self.any_tombstones.get() {
            return Ok(None);
        }
        let sql = "SELECT store_id FROM sync_change WHERE table_name = $1 AND record_id = $2 AND action = 'delete' \
                   ORDER BY cursor DESC LIMIT 1";
        let found = self.first(sql, &[&Text(table.as_str()), &Text(id.as_str())], |row| text_or_none(row, 0))?;
        Ok(found.flatten().map(StoreId::new))
    }
}
