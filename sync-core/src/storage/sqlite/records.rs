//! Records, and queries about stores and names.

use rusqlite::Row;

use super::txn::{HoldsConnection, SqliteTxn};
use crate::error::Result;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::RecordReads;
use crate::storage::sql::{LATELY_BYTES, data};

fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

impl<C: HoldsConnection> RecordReads for SqliteTxn<C> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        if let Some(known) = self.lately.borrow().record(table, id) {
            return Ok(known.cloned());
        }
        let sql = "SELECT data FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        let found = self.first(sql, [table.as_str(), id.as_str()], text)?;
        let found = found.map(data);
        self.lately.borrow_mut().note(table, id, found.as_ref());
        Ok(found)
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        if let Some(known) = self.lately.borrow().record(table, id) {
            return Ok(known.is_some());
        }
        // A caller that asks whether a parent is here reads the parent's store next. So a small record is kept in memory now.
        let sql = "SELECT CASE WHEN octet_length(data) <= ?3 THEN data END FROM sync_record \
                   WHERE table_name = ?1 AND record_id = ?2";
        let found: Option<Option<String>> =
            self.first(sql, (table.as_str(), id.as_str(), LATELY_BYTES as i64), |row| row.get(0))?;
        let is_here = found.is_some();
        match found {
            None => self.lately.borrow_mut().note(table, id, None),
            Some(Some(json)) => {
                let data = data(json);
                self.lately.borrow_mut().note(table, id, Some(&data));
            }
            Some(None) => {}
        }
        Ok(is_here)
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        // No id is empty, so every id is greater than "".
        let sql = "SELECT record_id, data FROM sync_record WHERE table_name = ?1 AND record_id > ?2 \
                   ORDER BY record_id LIMIT ?3";
        let after = after.map_or("", RecordId::as_str);
        let params = (table.as_str(), after, limit as i64);
        let rows: Vec<(String, String)> = self.all(sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.into_iter().map(|(id, json)| (RecordId::new(id), data(json))).collect())
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        let sql = "SELECT table_name, count(*) FROM sync_record GROUP BY table_name";
        self.all(sql, (), |row| Ok((TableName::new(row.get::<_, String>(0)?), row.get::<_, i64>(1)?.unsigned_abs())))
    }

    fn children(&self, table: &TableName, _: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        let sql = "SELECT record_id FROM sync_record WHERE parent_id = ?1 AND table_name = ?2 ORDER BY record_id";
        self.all(sql, [parent.as_str(), table.as_str()], |row| text(row).map(RecordId::new))
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        let sql = "SELECT record_id FROM sync_record WHERE site_number = ?1 ORDER BY record_id";
        self.all(sql, [site.0], |row| text(row).map(StoreId::new))
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        let sql = "SELECT 1 FROM sync_record WHERE join_name = ?1 AND join_store = ?2";
        for store in stores {
            if self.first(sql, [name.as_str(), store.as_str()], |_| Ok(()))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn join_of(&self, name: &NameId, store: &StoreId) -> Result<Option<RecordId>> {
        let sql =
            "SELECT record_id FROM sync_record WHERE join_name = ?1 AND join_store = ?2 ORDER BY record_id LIMIT 1";
        self.first(sql, [name.as_str(), store.as_str()], |row| text(row).map(RecordId::new))
    }
}
