//! The index of the changelog rows about patients that each store sees: those about names that are joined to it.

use super::schema::TABLES;
use super::txn::{HoldsConnection, SqliteTxn};
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

pub(super) fn is_join(table: &TableName) -> bool {
    *table == *JOINS
}

impl<C: HoldsConnection> SqliteTxn<C> {
    fn stores_that_see(&self, name: &str) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT join_store FROM sync_record WHERE join_name = ?1";
        self.all(sql, [name], |row| row.get(0))
    }

    /// Adds a new row to the index of each store that sees this name.
    pub(super) fn index_row(&self, table: usize, name: &str, cursor: i64, source: Option<i32>) -> Result<()> {
        for store in self.stores_that_see(name)? {
            let sql = "INSERT OR IGNORE INTO sync_seen (store_id, beside, cursor, source_site_id) \
                       VALUES (?1, ?2, ?3, ?4)";
            if self.execute(sql, (&store, table as i64, cursor, source))? > 0 {
                self.count_in(&patients_of(&store), cursor)?;
            }
        }
        Ok(())
    }

    /// Removes a row from the index of each store that sees this name.
    pub(super) fn unindex_row(&self, table: usize, name: &str, cursor: i64) -> Result<()> {
        for store in self.stores_that_see(name)? {
            let sql = "DELETE FROM sync_seen WHERE store_id = ?1 AND beside = ?2 AND cursor = ?3";
            if self.execute(sql, (&store, table as i64, cursor))? > 0 {
                self.count_out(&patients_of(&store), cursor)?;
            }
        }
        Ok(())
    }

    /// Adds all rows about a name to the index of a store, or removes them, by its current joins.
    pub(super) fn index_rows_about(&self, name: &NameId, store: &StoreId) -> Result<()> {
        let is_joined = self.is_visible(name, std::slice::from_ref(store))?;
        let audience = patients_of(store.as_str());
        for (of, table) in TABLES.iter().enumerate() {
            let rows = format!("FROM {table} WHERE name_id = ?2 AND audience = 'patient'");
            let sql = if is_joined {
                format!(
                    "INSERT OR IGNORE INTO sync_seen (store_id, beside, cursor, source_site_id) \
                     SELECT ?1, {of}, cursor, source_site_id {rows} ORDER BY cursor RETURNING cursor"
                )
            } else {
                format!(
                    "DELETE FROM sync_seen WHERE store_id = ?1 AND beside = {of} \
                     AND cursor IN (SELECT cursor {rows}) RETURNING cursor"
                )
            };
            for cursor in self.all(&sql, (store.as_str(), name.as_str()), |row| row.get(0))? {
                match is_joined {
                    true => self.count_in(&audience, cursor)?,
                    false => self.count_out(&audience, cursor)?,
                }
            }
        }
        Ok(())
    }
}
