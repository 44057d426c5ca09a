//! The stored versions that a site pushed.

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::sql::position;
use crate::storage::{PushedReads, PushedWrites};

impl<C: HoldsConnection> PushedReads for SqliteTxn<C> {
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        if !self.any_pushed()? {
            return Ok(None);
        }
        let sql = "SELECT cursor FROM sync_pushed WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3 \
                   AND is_former = 0";
        let found: Option<i64> = self.first(sql, (site.0, table.as_str(), id.as_str()), |row| row.get(0))?;
        Ok(found.map(|cursor| Cursor(cursor.unsigned_abs())))
    }

    fn any_pushed(&self) -> Result<bool> {
        self.any_row(&self.any_pushed, "SELECT 1 FROM sync_pushed LIMIT 1")
    }
}

impl PushedWrites for SqliteTxn<WriteTurn<'_>> {
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET is_former = 0, \
                   cursor = CASE WHEN is_former THEN excluded.cursor ELSE max(cursor, excluded.cursor) END";
        self.execute(sql, (site.0, table.as_str(), id.as_str(), position(cursor)))?;
        self.any_pushed.set(Some(true));
        Ok(())
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        // Versions of a former database only help to recognise a late request; those that cannot are removed.
        self.execute("DELETE FROM sync_pushed WHERE site_id = ?1 AND fingerprint IS NULL", [site.0])?;
        self.execute("UPDATE sync_pushed SET is_former = 1 WHERE site_id = ?1", [site.0])?;
        Ok(())
    }
}
