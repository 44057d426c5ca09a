//! A storage over another, with a watcher that is told each operation before it happens and may forbid it.

use std::fmt;
use std::sync::Arc;

use sync_core::Result;
use sync_core::Timestamp;
use sync_core::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{
    Buffered, CycleLock, FileEntry, FileState, Incoming, KeptRecord, LogEntry, Pushed, Quarantine, QuarantineCause,
    ReadTxn, Selection, SiteActivity, SiteEntry, Source, StagedCounts, StagedKind, Storage, WriteTxn,
};
use sync_core::{Change, NewChange};

/// Something that is asked of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To begin a transaction that reads.
    Read,
    /// To begin a transaction that writes.
    Write,
    /// A call within a transaction: the name of the method.
    Call(&'static str),
    /// To make a transaction take effect.
    Commit,
    /// To take the lock of the cycle.
    LockCycle,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Call(name) => name,
            Self::Commit => "commit",
            Self::LockCycle => "lock_cycle",
        })
    }
}

pub(super) trait Watch: Send + Sync {
    /// Is told an operation; an error forbids it.
    fn before(&self, operation: Operation) -> Result<()>;

    /// Is told a record before it is stored; an error forbids it.
    fn before_record(&self, _data: &RecordData) -> Result<()> {
        Ok(())
    }

    /// Is told that a transaction took effect.
    fn committed(&self) {}
}

pub(super) struct Watched<W> {
    pub inner: Arc<dyn Storage>,
    pub watch: W,
}

impl<W: Watch> Watched<W> {
    pub(super) fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.watch.before(Operation::Read)?;
        Ok(Box::new(WatchedTxn { inner: self.inner.read()?, watch: &self.watch }))
    }

    pub(super) fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.watch.before(Operation::Write)?;
        Ok(Box::new(WatchedTxn { inner: self.inner.write()?, watch: &self.watch }))
    }

    pub(super) fn lock_cycle(&self) -> Result<CycleLock> {
        self.watch.before(Operation::LockCycle)?;
        self.inner.lock_cycle()
    }
}

struct WatchedTxn<'s, T: ?Sized> {
    inner: Box<T>,
    watch: &'s dyn Watch,
}

impl<T: ?Sized> WatchedTxn<'_, T> {
    fn call(&self, name: &'static str) -> Result<()> {
        self.watch.before(Operation::Call(name))
    }
}

impl<T: ReadTxn + ?Sized> ReadTxn for WatchedTxn<'_, T> {
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

    fn last_cursor(&self) -> Result<Cursor> {
        self.call("last_cursor")?;
        self.inner.last_cursor()
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        self.call("has_local_change")?;
        self.inner.has_local_change(table, id, from)
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        self.call("deleted_in")?;
        self.inner.deleted_in(table, id)
    }

    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        self.call("newest_change")?;
        self.inner.newest_change(table, id)
    }

    fn changes_beside(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        self.call("changes_beside")?;
        self.inner.changes_beside(table, id)
    }

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

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        self.call("buffered_versions")?;
        self.inner.buffered_versions(table, id)
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("buffered_cursor")?;
        self.inner.buffered_cursor(source, table, id)
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        self.call("quarantined")?;
        self.inner.quarantined(after, limit)
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        self.call("quarantine_counts")?;
        self.inner.quarantine_counts()
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        self.call("quarantine_of_sites")?;
        self.inner.quarantine_of_sites()
    }

    fn state(&self, key: &str) -> Result<Option<String>> {
        self.call("state")?;
        self.inner.state(key)
    }

    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        self.call("log")?;
        self.inner.log(limit)
    }

    fn sites(&self) -> Result<Vec<SiteEntry>> {
        self.call("sites")?;
        self.inner.sites()
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        self.call("site_named")?;
        self.inner.site_named(name)
    }

    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("pushed_at")?;
        self.inner.pushed_at(site, table, id)
    }

    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Pushed>> {
        self.call("pushed")?;
        self.inner.pushed(site, table, id)
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        self.call("written_at")?;
        self.inner.written_at(table, id)
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        self.call("left_at")?;
        self.inner.left_at(table, id, stores)
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        self.call("integrations")?;
        self.inner.integrations()
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        self.call("integration_waits")?;
        self.inner.integration_waits(site)
    }

    fn kept(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<KeptRecord>> {
        self.call("kept")?;
        self.inner.kept(site, after, limit)
    }

    fn count_kept(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        self.call("count_kept")?;
        self.inner.count_kept(site, after)
    }

    fn activity(&self) -> Result<Vec<SiteActivity>> {
        self.call("activity")?;
        self.inner.activity()
    }

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

impl WriteTxn for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        self.call("put_record")?;
        self.watch.before_record(data)?;
        self.inner.put_record(data, change)
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

    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        self.call("set_state")?;
        self.inner.set_state(key, value)
    }

    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        self.call("add_log")?;
        self.inner.add_log(entry)
    }

    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        self.call("put_site")?;
        self.inner.put_site(site)
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        self.call("remove_site")?;
        self.inner.remove_site(id)
    }

    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        self.call("note_pushed")?;
        self.inner.note_pushed(site, table, id, cursor)
    }

    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &Pushed) -> Result<()> {
        self.call("note_taken")?;
        self.inner.note_taken(site, table, id, pushed)
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()> {
        self.call("note_newer")?;
        self.inner.note_newer(table, id, than)
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        self.call("forget_pushed")?;
        self.inner.forget_pushed(site)
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        self.call("request_integration")?;
        self.inner.request_integration(site, at)
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        self.call("finish_integration")?;
        self.inner.finish_integration(site)
    }

    fn keep(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        self.call("keep")?;
        self.inner.keep(site, table, id, data)
    }

    fn let_go(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        self.call("let_go")?;
        self.inner.let_go(site, table, id)
    }

    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        self.call("note_activity")?;
        self.inner.note_activity(activity)
    }

    fn put_file(&self, file: &FileEntry) -> Result<()> {
        self.call("put_file")?;
        self.inner.put_file(file)
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        self.call("remove_file")?;
        self.inner.remove_file(id)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.watch.before(Operation::Commit)?;
        self.inner.commit()?;
        self.watch.committed();
        Ok(())
    }
}
