//! Writes the changelog: a record carries its newest change; tombstones hold its former stores.

use rusqlite::Params;

use super::patient_visibility::{is_join, joined};
use super::schema::TABLES;
use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::changelog::{Audience, ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, StoreId, TableName};
use crate::storage::found::Found;
use crate::storage::sql::{audience_text, cursor};
use crate::storage::{RecordReads as _, RecordWrites};

pub(super) const RECORD: usize = 0;
pub(super) const TOMBSTONE: usize = 1;

/// A row that is about to be replaced or removed.
struct ReplacedRow {
    cursor: i64,
    audience: Option<String>,
    name: Option<String>,
}

/// A tombstone that was replaced, if its successor may be the same.
struct ReplacedTombstone {
    written: i64,
    action: String,
    left_as: Option<String>,
}

impl ReplacedTombstone {
    fn says(&self, change: &NewChange, left_as: Option<&RecordData>) -> bool {
        let same_action = (change.action == ChangeAction::Delete) == (self.action == "delete");
        same_action && self.left_as.as_deref() == left_as.map(RecordData::as_str)
    }
}

impl ReplacedRow {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { cursor: row.get(0)?, audience: row.get(1)?, name: row.get(2)? })
    }
}

impl RecordWrites for SqliteTxn<WriteTurn<'_>> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        match self.insert_record(data, change)? {
            Some(cursor) => Ok(cursor),
            None => self.replace_record(data, change),
        }
    }

    fn insert_record(&self, data: &RecordData, change: &NewChange) -> Result<Option<Cursor>> {
        if self.lately.borrow().record(&change.table, &change.id).is_some_and(|known| known.is_some()) {
            return Ok(None);
        }
        let (next, found) = (self.newest()? + 1, Found::of(&change.table, data));
        let sql = "INSERT INTO sync_record (table_name, record_id, data, cursor, store_id, name_id, source_site_id, \
                   is_sync_update, audience, changed_at, parent_id, site_number, join_name, join_store) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
                   ON CONFLICT (table_name, record_id) DO NOTHING";
        if self.execute(sql, record_row(data, change, next, &found))? == 0 {
            return Ok(None);
        }
        self.record_came(data, change, None).map(Some)
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        let joined_before = self.joined_by(change)?;
        self.record_goes(change)?;
        let sql = "DELETE FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        let was_here = self.execute(sql, [change.table.as_str(), change.id.as_str()])? > 0;
        self.lately.borrow_mut().forget(&change.table, &change.id);
        if let Some((name, store)) = joined_before {
            self.index_rows_about(&name, &store)?;
        }
        let cursor = self.add_change(change, None, was_here)?;
        self.tell_host(None, change)?;
        Ok(cursor)
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        self.add_change(change, left_as, false)
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        for of in TABLES {
            let sql = format!("UPDATE {of} SET is_sync_update = 1 WHERE table_name = ?1 AND record_id = ?2");
            self.execute(&sql, (table.as_str(), id.as_str()))?;
        }
        Ok(())
    }
}

/// The columns of a record's row.
fn record_row<'r>(data: &'r RecordData, change: &'r NewChange, cursor: i64, found: &'r Found) -> impl Params + use<'r> {
    let join = found.join.as_ref();
    (
        change.table.as_str(),
        change.id.as_str(),
        data.as_str(),
        cursor,
        change.store.as_ref().map(StoreId::as_str),
        change.name.as_ref().map(NameId::as_str),
        change.source_site.map(|site| site.0),
        change.is_sync_update,
        audience_text(&change.audience),
        change.changed_at.unix_millis(),
        found.parent.as_ref().map(RecordId::as_str),
        found.site,
        join.map(|(name, _)| name.as_str()),
        join.map(|(_, store)| store.as_str()),
    )
}

impl SqliteTxn<WriteTurn<'_>> {
    /// Writes a record that is here.
    fn replace_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        let (next, found) = (self.newest()? + 1, Found::of(&change.table, data));
        let joined_before = self.joined_by(change)?;
        self.record_goes(change)?;
        let sql = "UPDATE sync_record SET data = ?3, cursor = ?4, store_id = ?5, name_id = ?6, source_site_id = ?7, \
                   is_sync_update = ?8, audience = ?9, changed_at = ?10, parent_id = ?11, site_number = ?12, \
                   join_name = ?13, join_store = ?14, \
                   written = CASE WHEN data = ?3 THEN ifnull(written, cursor) END \
                   WHERE table_name = ?1 AND record_id = ?2";
        self.execute(sql, record_row(data, change, next, &found))?;
        self.record_came(data, change, joined_before)
    }

    /// What follows a record's row: its cursor, the counts, the indexes of patients, its tombstone, and the host.
    fn record_came(
        &self,
        data: &RecordData,
        change: &NewChange,
        joined_before: Option<(NameId, StoreId)>,
    ) -> Result<Cursor> {
        let next = self.next_cursor()?;
        self.lately.borrow_mut().forget(&change.table, &change.id);
        for (name, store) in [joined_before, joined(&change.table, Some(data))].into_iter().flatten() {
            self.index_rows_about(&name, &store)?;
        }
        self.row_came(RECORD, change, next)?;
        if self.any_tombstones()? {
            self.take_tombstone(change)?;
        }
        self.tell_host(Some(data), change)?;
        Ok(cursor(next))
    }
}

impl<C: HoldsConnection> SqliteTxn<C> {
    /// Adds a tombstone. One equal to its predecessor keeps the earlier cursor.
    fn add_change(&self, change: &NewChange, left_as: Option<&RecordData>, is_news: bool) -> Result<Cursor> {
        let former = if self.any_tombstones()? { self.take_tombstone(change)? } else { None };
        let written = former.filter(|former| !is_news && former.says(change, left_as)).map(|former| former.written);
        let sql = "INSERT INTO sync_change (table_name, record_id, action, cursor, store_id, name_id, \
                   source_site_id, is_sync_update, audience, changed_at, written, data) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let next = self.next_cursor()?;
        let params = (
            change.table.as_str(),
            change.id.as_str(),
            match change.action {
                ChangeAction::Upsert => "upsert",
                ChangeAction::Delete => "delete",
            },
            next,
            change.store.as_ref().map(StoreId::as_str),
            change.name.as_ref().map(NameId::as_str),
            change.source_site.map(|site| site.0),
            change.is_sync_update,
            audience_text(&change.audience),
            change.changed_at.unix_millis(),
            written,
            left_as.map(RecordData::as_str),
        );
        self.execute(sql, params)?;
        self.any_tombstones.set(Some(true));
        self.row_came(TOMBSTONE, change, next)?;
        Ok(cursor(next))
    }

    /// The name and the store of the join in its current version.
    fn joined_by(&self, change: &NewChange) -> Result<Option<(NameId, StoreId)>> {
        if !is_join(&change.table) {
            return Ok(None);
        }
        Ok(joined(&change.table, self.record(&change.table, &change.id)?.as_ref()))
    }

    /// Removes the row of a record, before it changes, from the counts and the indexes of patients.
    fn record_goes(&self, change: &NewChange) -> Result<()> {
        let sql = "SELECT cursor, audience, name_id FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        match self.first(sql, (change.table.as_str(), change.id.as_str()), ReplacedRow::read)? {
            Some(former) => self.row_went(RECORD, &former),
            None => Ok(()),
        }
    }

    /// Removes the tombstone for the same store.
    fn take_tombstone(&self, change: &NewChange) -> Result<Option<ReplacedTombstone>> {
        let sql = "DELETE FROM sync_change WHERE table_name = ?1 AND record_id = ?2 \
                   AND ifnull(store_id, '') = ifnull(?3, '') \
                   RETURNING cursor, audience, name_id, ifnull(written, cursor), action, data";
        let store = change.store.as_ref().map(StoreId::as_str);
        let Some((former, tombstone)) = self.first(sql, (change.table.as_str(), change.id.as_str(), store), |row| {
            let tombstone = ReplacedTombstone { written: row.get(3)?, action: row.get(4)?, left_as: row.get(5)? };
            Ok((ReplacedRow::read(row)?, tombstone))
        })?
        else {
            return Ok(None);
        };
        self.row_went(TOMBSTONE, &former)?;
        Ok(Some(tombstone))
    }

    fn row_came(&self, table: usize, change: &NewChange, cursor: i64) -> Result<()> {
        match (&change.audience, &change.name) {
            (Audience::Nobody, _) | (Audience::Patient, None) => Ok(()),
            (Audience::Patient, Some(name)) => {
                self.index_row(table, name.as_str(), cursor, change.source_site.map(|site| site.0))
            }
            (audience, _) => match audience_text(audience) {
                Some(audience) => self.count_in(&audience, cursor),
                None => Ok(()),
            },
        }
    }

    fn row_went(&self, table: usize, former: &ReplacedRow) -> Result<()> {
        match (former.audience.as_deref(), &former.name) {
            (None, _) | (Some("patient"), None) => Ok(()),
            (Some("patient"), Some(name)) => self.unindex_row(table, name, former.cursor),
            (Some(audience), _) => self.count_out(audience, former.cursor),
        }
    }

    /// True if there are any tombstones; a first sync has none.
    pub(super) fn any_tombstones(&self) -> Result<bool> {
        self.any_row(&self.any_tombstones, "SELECT 1 FROM sync_change LIMIT 1")
    }
}
