//! `WatchedTxn` for the topics that every storage has.

use super::WatchedTxn;
use sync_core::Result;
use sync_core::changelog::{Change, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{
    BufferReads, BufferWrites, Buffered, ChangelogReads, FileEntry, FileReads, FileState, FileWrites, HistoryReads,
    Incoming, LogEntry, PushedReads, PushedWrites, Quarantine, QuarantineCause, ReadTxn, RecordReads, RecordWrites,
    Selection, Source, StagedCounts, StagedKind, StateReads, StateWrites, SyncLogReads, SyncLogWrites, WriteTxn,
};

impl<T: ReadTxn + ?Sized> RecordReads for WatchedTxn<'_, T> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        self.call("record")?;
        self.inner.record(table, id)
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        self.call("has_record")?;
        self.inner.has_record(table, id)
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        self.call("records")?;
        self.inner.records(table, after, limit)
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        self.call("record_counts")?;
        self.inner.record_counts()
    }

    fn children(&self, table: &TableName, field: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        self.call("children")?;
        self.inner.children(table, field, parent)
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        self.call("stores_of_site")?;
        self.inner.stores_of_site(site)
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        self.call("is_visible")?;
        self.inner.is_visible(name, stores)
    }

    fn join_of(&self, name: &NameId, store: &StoreId) -> Result<Option<RecordId>> {
        self.call("join_of")?;
        self.inner.join_of(name, store)
    }
}

impl<T: ReadTxn + ?Sized> ChangelogReads for WatchedTxn<'_, T> {
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        self.call("changes")?;
        self.inner.changes(selection, from, limit)
    }

    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>> {
        self.call("changed_records")?;
        self.inner.changed_records(selection, from, limit, bytes_max)
    }

    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        self.call("count_changes")?;
        self.inner.count_changes(selection, from)
    }

    fn count_local_edits(&self, from: Cursor, end: Cursor) -> Result<Vec<(TableName, ChangeAction, u64)>> {
        self.call("count_local_edits")?;
        self.inner.count_local_edits(from, end)
    }

    fn last_cursor(&self) -> Result<Cursor> {
        self.call("last_cursor")?;
        self.inner.last_cursor()
    }
}

impl<T: ReadTxn + ?Sized> HistoryReads for WatchedTxn<'_, T> {
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        self.call("newest_change")?;
        self.inner.newest_change(table, id)
    }

    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        self.call("tombstones")?;
        self.inner.tombstones(table, id)
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("written_at")?;
        self.inner.written_at(table, id)
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        self.call("left_at")?;
        self.inner.left_at(table, id, stores)
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        self.call("has_local_change")?;
        self.inner.has_local_change(table, id, from)
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        self.call("deleted_in")?;
        self.inner.deleted_in(table, id)
    }
}

impl<T: ReadTxn + ?Sized> BufferReads for WatchedTxn<'_, T> {
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>> {
        self.call("staged_tables")?;
        self.inner.staged_tables(source)
    }

    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>> {
        self.call("staged")?;
        self.inner.staged(source, table, kind, after, limit)
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("buffered_cursor")?;
        self.inner.buffered_cursor(source, table, id)
    }

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        self.call("buffered_versions")?;
        self.inner.buffered_versions(table, id)
    }

    fn is_buffered_elsewhere(&self, source: Source, table: &TableName, id: &RecordId) -> Result<bool> {
        self.call("is_buffered_elsewhere")?;
        self.inner.is_buffered_elsewhere(source, table, id)
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        self.call("quarantined")?;
        self.inner.quarantined(after, limit)
    }

    fn any_buffered(&self) -> Result<bool> {
        self.call("any_buffered")?;
        self.inner.any_buffered()
    }

    fn any_quarantined(&self) -> Result<bool> {
        self.call("any_quarantined")?;
        self.inner.any_quarantined()
    }

    fn newest_quarantined(&self, source: Source) -> Result<u64> {
        self.call("newest_quarantined")?;
        self.inner.newest_quarantined(source)
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        self.call("quarantine_counts")?;
        self.inner.quarantine_counts()
    }
}

impl<T: ReadTxn + ?Sized> StateReads for WatchedTxn<'_, T> {
    fn state(&self, key: &str) -> Result<Option<String>> {
        self.call("state")?;
        self.inner.state(key)
    }
}

impl<T: ReadTxn + ?Sized> SyncLogReads for WatchedTxn<'_, T> {
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        self.call("log")?;
        self.inner.log(limit)
    }
}

impl<T: ReadTxn + ?Sized> PushedReads for WatchedTxn<'_, T> {
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("pushed_at")?;
        self.inner.pushed_at(site, table, id)
    }

    fn any_pushed(&self) -> Result<bool> {
        self.call("any_pushed")?;
        self.inner.any_pushed()
    }
}

impl<T: ReadTxn + ?Sized> FileReads for WatchedTxn<'_, T> {
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        self.call("file")?;
        self.inner.file(id)
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        self.call("files")?;
        self.inner.files(after, limit)
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        self.call("files_of")?;
        self.inner.files_of(table, record)
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        self.call("file_counts")?;
        self.inner.file_counts()
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        self.call("files_due")?;
        self.inner.files_due(at, limit)
    }
}

impl RecordWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        self.call("put_record")?;
        self.watch.before_record(data)?;
        self.inner.put_record(data, change)
    }

    fn insert_record(&self, data: &RecordData, change: &NewChange) -> Result<Option<Cursor>> {
        self.call("insert_record")?;
        self.watch.before_record(data)?;
        self.inner.insert_record(data, change)
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        self.call("remove_record")?;
        self.inner.remove_record(change)
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        self.call("append_change")?;
        self.inner.append_change(change, left_as)
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        self.call("mark_synced")?;
        self.inner.mark_synced(table, id)
    }
}

impl BufferWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        self.call("stage")?;
        self.inner.stage(incoming, received_at)
    }

    fn settle(&self, sequences: &[u64]) -> Result<()> {
        self.call("settle")?;
        self.inner.settle(sequences)
    }

    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()> {
        self.call("discard")?;
        self.inner.discard(source, table, id)
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()> {
        self.call("note_newer")?;
        self.inner.note_newer(table, id, than)
    }

    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()> {
        self.call("quarantine")?;
        self.inner.quarantine(sequence, quarantine)
    }

    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64> {
        self.call("wake_waiting")?;
        self.inner.wake_waiting(table, id)
    }

    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64> {
        self.call("requeue")?;
        self.inner.requeue(cause, source)
    }

    fn requeue_one(&self, sequence: u64) -> Result<u64> {
        self.call("requeue_one")?;
        self.inner.requeue_one(sequence)
    }
}

impl StateWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        self.call("set_state")?;
        self.inner.set_state(key, value)
    }
}

impl SyncLogWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        self.call("add_log")?;
        self.inner.add_log(entry)
    }
}

impl PushedWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        self.call("note_pushed")?;
        self.inner.note_pushed(site, table, id, cursor)
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        self.call("forget_pushed")?;
        self.inner.forget_pushed(site)
    }
}

impl FileWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn put_file(&self, file: &FileEntry) -> Result<()> {
        self.call("put_file")?;
        self.inner.put_file(file)
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        self.call("remove_file")?;
        self.inner.remove_file(id)
    }
}
