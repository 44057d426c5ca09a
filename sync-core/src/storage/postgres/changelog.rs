//! Writes the changelog: a record carries its newest change; tombstones hold its former stores.

use postgres::Row;

use super::patient_visibility::joined;
use super::text::Text;
use super::txn::{Column, PostgresTxn, text_or_none};
use crate::changelog::{Audience, ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, StoreId, TableName};
use crate::storage::found::{Found, JOINS};
use crate::storage::sql::{audience_text, cursor, patients_of};
use crate::storage::{RecordReads as _, RecordWrites};

/// Writes a record, takes the tombstone for the same store, and removes both former rows from the index of patients: in one round
/// trip. Returns what went.
const PUT: &str = "WITH old AS ( \
        SELECT cursor, audience FROM sync_record WHERE table_name = $1 AND record_id = $2), \
    gone AS ( \
        DELETE FROM sync_change WHERE table_name = $1 AND record_id = $2 \
        AND coalesce(store_id, '') = coalesce($5::text, '') RETURNING cursor, audience), \
    put AS ( \
        INSERT INTO sync_record (table_name, record_id, data, cursor, store_id, name_id, source_site_id, is_sync_update, \
            audience, changed_at, parent_id, site_number, join_name, join_store) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
        ON CONFLICT (table_name, record_id) DO UPDATE SET data = excluded.data, cursor = excluded.cursor, \
            store_id = excluded.store_id, name_id = excluded.name_id, source_site_id = excluded.source_site_id, \
            is_sync_update = excluded.is_sync_update, audience = excluded.audience, changed_at = excluded.changed_at, \
            parent_id = excluded.parent_id, site_number = excluded.site_number, join_name = excluded.join_name, \
            join_store = excluded.join_store, written = CASE WHEN sync_record.data = excluded.data \
            THEN coalesce(sync_record.written, sync_record.cursor) END), \
    unseen AS ( \
        DELETE FROM sync_seen WHERE cursor IN (SELECT cursor FROM old UNION ALL SELECT cursor FROM gone) \
        RETURNING cursor, store_id) \
    SELECT cursor, audience, NULL::text FROM old UNION ALL SELECT cursor, audience, NULL FROM gone \
    UNION ALL SELECT cursor, NULL, store_id FROM unseen";

/// Removes a record, and its row from the index of patients.
const REMOVE: &str = "WITH old AS ( \
        DELETE FROM sync_record WHERE table_name = $1 AND record_id = $2 RETURNING cursor, audience), \
    unseen AS (DELETE FROM sync_seen WHERE cursor IN (SELECT cursor FROM old) RETURNING cursor, store_id) \
    SELECT cursor, audience, NULL::text FROM old UNION ALL SELECT cursor, NULL, store_id FROM unseen";

/// Writes a tombstone in place of that for the same store. One equal to its predecessor keeps the earlier cursor as that at
/// which it was written, unless it is news ($12).
const BURY: &str = "WITH old AS ( \
        SELECT cursor, audience FROM sync_change WHERE table_name = $1 AND record_id = $2 \
        AND coalesce(store_id, '') = coalesce($5::text, '')), \
    put AS ( \
        INSERT INTO sync_change (table_name, record_id, action, cursor, store_id, name_id, source_site_id, is_sync_update, \
            audience, changed_at, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (table_name, record_id, coalesce(store_id, '')) DO UPDATE SET action = excluded.action, \
            cursor = excluded.cursor, store_id = excluded.store_id, name_id = excluded.name_id, \
            source_site_id = excluded.source_site_id, is_sync_update = excluded.is_sync_update, \
            audience = excluded.audience, changed_at = excluded.changed_at, data = excluded.data, \
            written = CASE WHEN NOT $12::boolean AND sync_change.action = excluded.action \
            AND sync_change.data IS NOT DISTINCT FROM excluded.data \
            THEN coalesce(sync_change.written, sync_change.cursor) END), \
    unseen AS (DELETE FROM sync_seen WHERE cursor IN (SELECT cursor FROM old) RETURNING cursor, store_id) \
    SELECT cursor, audience, NULL::text FROM old UNION ALL SELECT cursor, NULL, store_id FROM unseen";

/// A row that was replaced or removed: of an audience, or of the index of what a store sees.
struct GoneRow {
    cursor: i64,
    audience: Option<String>,
    seen_by: Option<String>,
}

impl GoneRow {
    fn read(row: &Row) -> Column<Self> {
        Ok(Self { cursor: row.try_get(0)?, audience: text_or_none(row, 1)?, seen_by: text_or_none(row, 2)? })
    }
}

impl RecordWrites for PostgresTxn<'_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        let joined_before = self.joined_by(change)?;
        let next = self.next_cursor();
        let found = Found::of(&change.table, data);
        let join = found.join.as_ref();
        let audience = audience_text(&change.audience);
        let gone = self.all(
            PUT,
            &[
                &Text(change.table.as_str()),
                &Text(change.id.as_str()),
                &data.as_str(),
                &next,
                &change.store.as_ref().map(|store| Text(store.as_str())),
                &change.name.as_ref().map(|name| Text(name.as_str())),
                &change.source_site.map(|site| site.0),
                &change.is_sync_update,
                &audience.as_deref().map(Text),
                &change.changed_at.unix_millis(),
                &found.parent.as_ref().map(|parent| Text(parent.as_str())),
                &found.site,
                &join.map(|(name, _)| Text(name.as_str())),
                &join.map(|(_, store)| Text(store.as_str())),
            ],
            GoneRow::read,
        )?;
        self.lately.borrow_mut().forget(&change.table, &change.id);
        self.rows_went(gone);
        for (name, store) in [joined_before, joined(&change.table, Some(data))].into_iter().flatten() {
            self.index_rows_about(&name, &store)?;
        }
        self.row_came(false, change, next)?;
        Ok(cursor(next))
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        let joined_before = self.joined_by(change)?;
        let params = (Text(change.table.as_str()), Text(change.id.as_str()));
        let gone = self.all(REMOVE, &[&params.0, &params.1], GoneRow::read)?;
        let was_here = !gone.is_empty();
        self.lately.borrow_mut().forget(&change.table, &change.id);
        self.rows_went(gone);
        if let Some((name, store)) = joined_before {
            self.index_rows_about(&name, &store)?;
        }
        self.add_change(change, None, was_here)
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        self.add_change(change, left_as, false)
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        let sql = "WITH beside AS ( \
                       UPDATE sync_change SET is_sync_update = true \
                       WHERE table_name = $1 AND record_id = $2 AND NOT is_sync_update) \
                   UPDATE sync_record SET is_sync_update = true \
                   WHERE table_name = $1 AND record_id = $2 AND NOT is_sync_update";
        self.execute(sql, &[&Text(table.as_str()), &Text(id.as_str())]).map(drop)
    }
}

impl PostgresTxn<'_> {
    /// Adds a tombstone.
    fn add_change(&self, change: &NewChange, left_as: Option<&RecordData>, is_news: bool) -> Result<Cursor> {
        let next = self.next_cursor();
        let audience = audience_text(&change.audience);
        let action = match change.action {
            ChangeAction::Upsert => "upsert",
            ChangeAction::Delete => "delete",
        };
        let gone = self.all(
            BURY,
            &[
                &Text(change.table.as_str()),
                &Text(change.id.as_str()),
                &action,
                &next,
                &change.store.as_ref().map(|store| Text(store.as_str())),
                &change.name.as_ref().map(|name| Text(name.as_str())),
                &change.source_site.map(|site| site.0),
                &change.is_sync_update,
                &audience.as_deref().map(Text),
                &change.changed_at.unix_millis(),
                &left_as.map(RecordData::as_str),
                &is_news,
            ],
            GoneRow::read,
        )?;
        self.any_tombstones.set(true);
        self.rows_went(gone);
        self.row_came(true, change, next)?;
        Ok(cursor(next))
    }

    /// The name and the store of the join in its current version.
    fn joined_by(&self, change: &NewChange) -> Result<Option<(NameId, StoreId)>> {
        if change.table != *JOINS {
            return Ok(None);
        }
        Ok(joined(&change.table, self.record(&change.table, &change.id)?.as_ref()))
    }

    fn row_came(&self, is_tombstone: bool, change: &NewChange, cursor: i64) -> Result<()> {
        match (&change.audience, &change.name) {
            (Audience::Nobody, _) | (Audience::Patient, None) => {}
            (Audience::Patient, Some(name)) => {
                let source = change.source_site.map(|site| site.0);
                return self.index_row(is_tombstone, name.as_str(), cursor, source);
            }
            (audience, _) => {
                if let Some(audience) = audience_text(audience) {
                    self.count(audience.into_owned(), cursor, 1);
                }
            }
        }
        Ok(())
    }

    /// Removes rows from the counts.
    fn rows_went(&self, gone: Vec<GoneRow>) {
        for GoneRow { cursor, audience, seen_by } in gone {
            match (audience, seen_by) {
                (_, Some(store)) => self.count(patients_of(&store), cursor, -1),
                // Patients are counted by the stores that see them.
                (Some(audience), None) if audience != "patient" => self.count(audience, cursor, -1),
                _ => {}
            }
        }
    }
}
