//! The index of the changelog rows about patients that each store sees: those about names that are joined to it.

use super::text::Text;
use super::txn::{PostgresTxn, text};
use crate::error::Result;
use crate::record::{NameId, RecordData, StoreId, TableName};
use crate::storage::RecordReads as _;
use crate::storage::found::{self, JOINS};
use crate::storage::sql::patients_of;

/// The name and the store of a join.
pub(super) fn joined(table: &TableName, data: Option<&RecordData>) -> Option<(NameId, StoreId)> {
    if *table != *JOINS {
        return None;
    }
    found::joined(data?)
}

impl PostgresTxn<'_> {
    /// Adds a new row to the index of each store that sees this name.
    pub(super) fn index_row(&self, is_tombstone: bool, name: &str, cursor: i64, source: Option<i32>) -> Result<()> {
        let sql = "INSERT INTO sync_seen (store_id, is_tombstone, cursor, source_site_id) \
                   SELECT DISTINCT join_store, $1::boolean, $3::bigint, $4::integer FROM sync_record \
                   WHERE join_name = $2 ON CONFLICT DO NOTHING RETURNING store_id";
        for store in self.all(sql, &[&is_tombstone, &Text(name), &cursor, &source], |row| text(row, 0))? {
            self.count(patients_of(&store), cursor, 1);
        }
        Ok(())
    }

    /// Adds all rows about a name to the index of a store, or removes them, by its current joins.
    pub(super) fn index_rows_about(&self, name: &NameId, store: &StoreId) -> Result<()> {
        let is_joined = self.is_visible(name, std::slice::from_ref(store))?;
        let sql = if is_joined {
            "INSERT INTO sync_seen (store_id, is_tombstone, cursor, source_site_id) \
             SELECT $1::text, false, cursor, source_site_id FROM sync_record WHERE name_id = $2 AND audience = 'patient' \
             UNION ALL \
             SELECT $1::text, true, cursor, source_site_id FROM sync_change WHERE name_id = $2 AND audience = 'patient' \
             ON CONFLICT DO NOTHING RETURNING cursor"
        } else {
            "DELETE FROM sync_seen WHERE store_id = $1 AND cursor IN ( \
             SELECT cursor FROM sync_record WHERE name_id = $2 AND audience = 'patient' \
             UNION ALL SELECT cursor FROM sync_change WHERE name_id = $2 AND audience = 'patient') RETURNING cursor"
        };
        let params = (Text(store.as_str()), Text(name.as_str()));
        for cursor in self.all(sql, &[&params.0, &params.1], |row| row.try_get(0))? {
            self.count(patients_of(store.as_str()), cursor, if is_joined { 1 } else { -1 });
        }
        Ok(())
    }
}
