//! Records, and queries about stores and names.

use super::text::Text;
use super::txn::{PostgresTxn, text};
use crate::error::Result;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::RecordReads;
use crate::storage::sql::{data, limited};

impl RecordReads for PostgresTxn<'_> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        if let Some(known) = self.lately.borrow().record(table, id) {
            return Ok(known.cloned());
        }
        let sql = "SELECT data FROM sync_record WHERE table_name = $1 AND record_id = $2";
        let found = self.first(sql, &[&Text(table.as_str()), &Text(id.as_str())], |row| row.try_get::<_, String>(0))?;
        let found = found.map(data);
        self.lately.borrow_mut().note(table, id, found.as_ref());
        Ok(found)
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        if let Some(known) = self.lately.borrow().record(table, id) {
            return Ok(known.is_some());
        }
        let sql = "SELECT 1 FROM sync_record WHERE table_name = $1 AND record_id = $2";
        let is_here = self.any(sql, &[&Text(table.as_str()), &Text(id.as_str())])?;
        if !is_here {
            self.lately.borrow_mut().note(table, id, None);
        }
        Ok(is_here)
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        // No id is empty, so everything comes after "".
        let sql = "SELECT record_id, data FROM sync_record WHERE table_name = $1 AND record_id > $2 \
                   ORDER BY record_id LIMIT $3";
        let after = Text(after.map_or("", RecordId::as_str));
        let rows = self.all(sql, &[&Text(table.as_str()), &after, &limited(limit)], |row| {
            Ok((text(row, 0)?, row.try_get::<_, String>(1)?))
        })?;
        rows.into_iter().map(|(id, json)| Ok((RecordId::new(id), data(json)))).collect()
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        let sql = "SELECT table_name, count(*) FROM sync_record GROUP BY table_name ORDER BY table_name";
        self.all(sql, &[], |row| Ok((TableName::new(text(row, 0)?), row.try_get::<_, i64>(1)?.unsigned_abs())))
    }

    fn children(&self, table: &TableName, _: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        let sql = "SELECT record_id FROM sync_record WHERE parent_id = $1 AND table_name = $2 ORDER BY record_id";
        let params = (Text(parent.as_str()), Text(table.as_str()));
        self.all(sql, &[&params.0, &params.1], |row| text(row, 0).map(RecordId::new))
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        let sql = "SELECT record_id FROM sync_record WHERE site_number = $1 ORDER BY record_id";
        self.all(sql, &[&i64::from(site.0)], |row| text(row, 0).map(StoreId::new))
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        let stores: Vec<Text<'_>> = stores.iter().map(|store| Text(store.as_str())).collect();
        let sql = "SELECT 1 FROM sync_record WHERE join_name = $1 AND join_store = ANY ($2) LIMIT 1";
        self.any(sql, &[&Text(name.as_str()), &stores])
    }

    fn join_of(&self, name: &NameId, store: &StoreId) -> Result<Option<RecordId>> {
        let sql =
            "SELECT record_id FROM sync_record WHERE join_name = $1 AND join_store = $2 ORDER BY record_id LIMIT 1";
        self.first(sql, &[&Text(name.as_str()), &Text(store.as_str())], |row| text(row, 0).map(RecordId::new))
    }
}
