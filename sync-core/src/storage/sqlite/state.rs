//! Settings, cursors, the sync log, the local list of sites; and the traits, wired to all of this folder.

use rusqlite::Row;

use super::txn::{Holds, SqliteTxn, Turn};
use crate::changelog::{Change, NewChange};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::{
    Buffered, FileEntry, FileState, Incoming, KeptRecord, LogEntry, Pushed, Quarantine, QuarantineCause, ReadTxn,
    Selection, SiteActivity, SiteEntry, Source, StagedCounts, StagedKind, WriteTxn,
};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: i64 = 1000;

const SITE_COLUMNS: &str = "site_id, uuid, name, secret, hardware_id, last_pull_at";

fn read_site(row: &Row<'_>) -> rusqlite::Result<SiteEntry> {
    Ok(SiteEntry {
        id: SiteId(row.get(0)?),
        uuid: row.get(1)?,
        name: row.get(2)?,
        secret: row.get(3)?,
        hardware_id: row.get(4)?,
        last_pull_at: row.get::<_, Option<String>>(5)?.and_then(|text| Timestamp::parse(&text)),
    })
}

impl<C: Holds> ReadTxn for SqliteTxn<C> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        self.get_record(table, id)
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        self.find_record(table, id)
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        self.list_records(table, after, limit)
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        self.count_records()
    }

    fn children(&self, table: &TableName, _: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        self.list_children(table, parent)
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.find_written(table, id)
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        self.find_left(table, id, stores)
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        self.list_stores(site)
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        self.find_join(name, stores)
    }

    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        self.select_changes(selection, from, limit)
    }

    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>> {
        self.select_changed_records(selection, from, limit, bytes_max)
    }

    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        self.number_of_changes(selection, from)
    }

    fn last_cursor(&self) -> Result<Cursor> {
        self.newest_cursor()
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        self.find_local_change(table, id, from)
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        let sql = "SELECT store_id FROM sync_change WHERE table_name = ?1 AND record_id = ?2 AND action = 'delete' \
                   ORDER BY cursor DESC LIMIT 1";
        let found: Option<Option<String>> = self.first(sql, (table.as_str(), id.as_str()), |row| row.get(0))?;
        Ok(found.flatten().map(StoreId::new))
    }

    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        self.find_newest_change(table, id)
    }

    fn changes_beside(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        self.list_changes_beside(table, id)
    }

    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>> {
        self.count_staged(source)
    }

    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>> {
        self.list_staged(source, table, kind, after, limit)
    }

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        self.find_buffered_versions(table, id)
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.find_buffered_cursor(source, table, id)
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        self.list_quarantined(after, limit)
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        self.count_quarantined()
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        self.count_quarantined_of_sites()
    }

    fn state(&self, key: &str) -> Result<Option<String>> {
        self.first("SELECT value FROM sync_state WHERE key = ?1", [key], |row| row.get(0))
    }

    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        let sql = "SELECT started_at, finished_at, outcome, error, report FROM sync_log ORDER BY id DESC LIMIT ?1";
        let rows: Vec<(String, String, String, Option<String>, String)> =
            self.all(sql, [limit as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        let read = |(started, finished, outcome, error, report): (String, String, String, Option<String>, String)| {
            Some(LogEntry {
                started_at: Timestamp::parse(&started)?,
                finished_at: Timestamp::parse(&finished)?,
                outcome,
                error: error.map(|text| serde_json::from_str(&text)).transpose().ok()?,
                report: serde_json::from_str(&report).ok()?,
            })
        };
        let damaged = || Error::DamagedState { what: "the sync log".to_owned() };
        rows.into_iter().map(|row| read(row).ok_or_else(damaged)).collect()
    }

    fn sites(&self) -> Result<Vec<SiteEntry>> {
        self.all(&format!("SELECT {SITE_COLUMNS} FROM sync_site ORDER BY site_id"), (), read_site)
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        self.first(&format!("SELECT {SITE_COLUMNS} FROM sync_site WHERE name = ?1"), [name], read_site)
    }

    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let sql = "SELECT cursor FROM sync_pushed WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3 \
                   AND is_former = 0";
        let found: Option<i64> = self.first(sql, (site.0, table.as_str(), id.as_str()), |row| row.get(0))?;
        Ok(found.map(|cursor| Cursor(cursor.unsigned_abs())))
    }

    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Pushed>> {
        let sql = "SELECT cursor, fingerprint, taken_at, is_former FROM sync_pushed \
                   WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3 AND fingerprint IS NOT NULL";
        self.first(sql, (site.0, table.as_str(), id.as_str()), |row| {
            Ok(Pushed {
                cursor: Cursor(row.get::<_, i64>(0)?.unsigned_abs()),
                fingerprint: row.get::<_, i64>(1)?.cast_unsigned(),
                at: Timestamp::from_unix_millis(row.get::<_, Option<i64>>(2)?.unwrap_or(0)),
                is_former: row.get(3)?,
            })
        })
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        let sql = "SELECT site_id FROM sync_integration ORDER BY requested_at, site_id";
        self.all(sql, (), |row| row.get(0).map(SiteId))
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM sync_integration WHERE site_id = ?1", [site.0], |_| Ok(()))?.is_some())
    }

    fn kept(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<KeptRecord>> {
        self.list_kept(site, after, limit)
    }

    fn count_kept(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        self.count_kept_of(site, after)
    }

    fn activity(&self) -> Result<Vec<SiteActivity>> {
        self.list_activity()
    }

    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        self.get_file(id)
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        self.list_files(after, limit)
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        self.list_files_of(table, record)
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        self.count_files()
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        self.list_files_due(at, limit)
    }
}

impl WriteTxn for SqliteTxn<Turn<'_>> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        let cursor = self.write_record(data, change)?;
        self.tell_host(Some(data), change)?;
        Ok(cursor)
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        let cursor = self.delete_record(change)?;
        self.tell_host(None, change)?;
        Ok(cursor)
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        self.add_change(change, left_as, false)
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        self.make_synced(table, id)
    }

    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        self.add_buffered(incoming, &received_at.to_string())
    }

    fn settle(&self, sequences: &[u64]) -> Result<()> {
        self.remove_buffered(sequences)
    }

    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()> {
        self.discard_buffered(source, table, id)
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()> {
        self.note_newer_versions(table, id, than)
    }

    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()> {
        self.set_aside(sequence, quarantine)
    }

    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64> {
        self.wake(table, id)
    }

    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64> {
        self.requeue_cause(cause, source)
    }

    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        self.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", [key, value])?;
        Ok(())
    }

    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        let damaged = |_| Error::DamagedState { what: "an entry of the sync log".to_owned() };
        let error = entry.error.as_ref().map(serde_json::to_string).transpose().map_err(damaged)?;
        let params = (
            entry.started_at.to_string(),
            entry.finished_at.to_string(),
            &entry.outcome,
            error,
            entry.report.to_string(),
        );
        let sql = "INSERT INTO sync_log (started_at, finished_at, outcome, error, report) VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = self.insert(sql, params)?;
        self.execute("DELETE FROM sync_log WHERE id <= ?1", [id - LOG_KEPT])?;
        Ok(())
    }

    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        let sql = "INSERT INTO sync_site (site_id, uuid, name, secret, hardware_id, last_pull_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (site_id) DO UPDATE SET uuid = excluded.uuid, \
                   name = excluded.name, secret = excluded.secret, hardware_id = excluded.hardware_id, \
                   last_pull_at = excluded.last_pull_at";
        let last_pull_at = site.last_pull_at.map(|at| at.to_string());
        self.execute(sql, (site.id.0, &site.uuid, &site.name, &site.secret, &site.hardware_id, last_pull_at))?;
        Ok(())
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        Ok(self.execute("DELETE FROM sync_site WHERE site_id = ?1", [id.0])? > 0)
    }

    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET is_former = 0, \
                   cursor = CASE WHEN is_former THEN excluded.cursor ELSE max(cursor, excluded.cursor) END";
        let cursor = i64::try_from(cursor.0).unwrap_or(i64::MAX);
        self.execute(sql, (site.0, table.as_str(), id.as_str(), cursor))?;
        Ok(())
    }

    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &Pushed) -> Result<()> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor, fingerprint, taken_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET cursor = excluded.cursor, \
                   fingerprint = excluded.fingerprint, taken_at = excluded.taken_at, is_former = 0 \
                   WHERE is_former OR cursor <= excluded.cursor";
        let (cursor, fingerprint) =
            (i64::try_from(pushed.cursor.0).unwrap_or(i64::MAX), pushed.fingerprint.cast_signed());
        let at = pushed.at.unix_millis();
        self.execute(sql, (site.0, table.as_str(), id.as_str(), cursor, fingerprint, at))?;
        Ok(())
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        // What a former database pushed is only told from a late request; what tells nothing of that goes.
        self.execute("DELETE FROM sync_pushed WHERE site_id = ?1 AND fingerprint IS NULL", [site.0])?;
        self.execute("UPDATE sync_pushed SET is_former = 1 WHERE site_id = ?1", [site.0])?;
        Ok(())
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        let sql = "INSERT INTO sync_integration (site_id, requested_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.execute(sql, (site.0, at.to_string()))?;
        Ok(())
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        self.execute("DELETE FROM sync_integration WHERE site_id = ?1", [site.0])?;
        Ok(())
    }

    fn keep(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        self.put_kept(site, table, id, data)
    }

    fn let_go(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        self.remove_kept(site, table, id)
    }

    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        self.update_activity(activity)
    }

    fn put_file(&self, file: &FileEntry) -> Result<()> {
        self.write_file(file)
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        self.delete_file(id)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.end_commit()
    }
}
