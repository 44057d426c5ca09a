//! Where records, changelog, sync buffer, cursors and settings are kept.
//!
//! A storage gives out transactions. A [`ReadTxn`] sees one state throughout, whatever is written meanwhile; a
//! [`WriteTxn`] is alone, sees its own writes, and takes effect as a whole at [`commit`](WriteTxn::commit) or, dropped,
//! not at all. What was committed survives a power cut. No transaction may be kept open across a network call.
//!
//! Two storages come with the library: `SqliteStorage`, one file (feature `sqlite`), and [`MemoryStorage`], for tests,
//! simulators and hosts without a disk. Another one implements the three traits and runs the clauses of
//! `sync_testkit::storage_contract`, each of which is one promise made here.

mod buffer;
mod file;
mod found;
mod gaps;
mod kept;
pub mod key;
mod memory;
mod pushed;
mod sites;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod state;

use serde::{Deserialize, Serialize};

pub use buffer::{
    Buffered, CHUNK_BYTES, Incoming, Known, Quarantine, QuarantineCause, Source, StagedCounts, StagedKind,
};
pub use file::{FileDirection, FileEntry, FileState};
pub use gaps::changelog_gaps;
pub(crate) use gaps::newest_gaps;
pub use kept::KeptRecord;
pub use memory::{MemoryBackup, MemoryStorage};
pub use pushed::Pushed;
/// The SQLite library whose connection a [`RecordHook`] is given.
#[cfg(feature = "sqlite")]
pub use rusqlite;
pub use sites::{SiteActivity, SiteEntry};
#[cfg(feature = "sqlite")]
pub use sqlite::{HookedRecord, RecordHook, SqliteStorage};
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{damage, examine};

use crate::changelog::{Change, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// Gives out transactions.
///
/// Several readers and one writer work at once: readers wait for nobody and hinder nobody; `write` waits for another
/// writer of this process, and for a bounded time for one of another process.
///
/// # Isolation
/// A reader sees one state, that of some moment between its beginning and its first look, and never a part of a
/// commit. What was committed before it began, it sees. A writer sees the newest state and its own writes; nobody else
/// sees these before the commit.
///
/// # Atomicity
/// Everything of a transaction takes effect at its commit, or nothing does: not where it is dropped, not where the
/// commit fails, not where the process dies. A call that fails within a transaction changes nothing; what the
/// transaction did before is still there to be committed or dropped.
///
/// # Order of calls
/// Within a transaction, calls come in any order. A thread that holds a writer must end it before it begins another, or
/// it waits for itself.
///
/// # Restored from a backup
/// A storage that is put back to an older state, as far as it can notice that, gives out no cursor again that was given
/// out before, and adds a [`ChangelogGap`](crate::ChangelogGap) to [`key::LOST`], in one step before anything else can be seen of it.
///
/// # Errors
/// An implementation sorts its errors by who must act: [`DatabaseBusy`](crate::Error::DatabaseBusy) (try again),
/// [`DiskFull`](crate::Error::DiskFull), [`DatabaseReadOnly`](crate::Error::DatabaseReadOnly), and
/// [`Database`](crate::Error::Database) for all else, each with its cause;
/// [`DamagedState`](crate::Error::DamagedState) for what was stored and cannot be read back. After any of them the
/// storage can still be used: the next transaction shows what was committed.
///
/// # Example
/// ```
/// use sync_core::record::{Cursor, RecordData};
/// use sync_core::storage::{MemoryStorage, Selection, Storage};
/// use sync_core::{Audience, ChangeAction, NewChange, Timestamp};
///
/// let storage = MemoryStorage::new();
/// let change = NewChange {
///     table: "asset_class".into(),
///     id: "c".into(),
///     action: ChangeAction::Upsert,
///     store: None,
///     name: None,
///     source_site: None,
///     is_sync_update: false,
///     audience: Audience::Everyone,
///     changed_at: Timestamp::from_unix_millis(0),
/// };
/// let data = RecordData::parse(r#"{"id":"c","name":"Cold chain"}"#).unwrap();
///
/// let before = storage.read()?;
/// assert_eq!(before.last_cursor()?, Cursor(0));
///
/// let txn = storage.write()?;
/// txn.put_record(&data, &change)?;
/// drop(txn); // takes nothing into effect
///
/// let txn = storage.write()?;
/// let cursor = txn.put_record(&data, &change)?;
/// assert!(txn.has_record(&change.table, &change.id)?, "it sees its own writes");
/// txn.commit()?;
///
/// assert_eq!(before.last_cursor()?, Cursor(0), "a reader keeps the state that it saw");
/// let changes = storage.read()?.changes(&Selection::Local, Cursor(0), 10)?;
/// assert_eq!((changes.len(), changes[0].cursor), (1, cursor));
/// # Ok::<(), sync_core::Error>(())
/// ```
pub trait Storage: Send + Sync {
    /// Begins a transaction that reads.
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be read.
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>>;

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be written; `database_busy` if another process keeps it too long.
    fn write(&self) -> Result<Box<dyn WriteTxn + '_>>;

    /// Takes the lock that lets one cycle run at a time, also across processes. Dropping the guard gives it back; a
    /// process that dies gives it back too.
    ///
    /// # Errors
    /// [`Error::CycleRunning`](crate::Error::CycleRunning) if another one has it.
    fn lock_cycle(&self) -> Result<CycleLock>;
}

/// Keeps other cycles out until it is dropped.
pub struct CycleLock(#[allow(dead_code, reason = "held for its drop")] Box<dyn Send>);

impl CycleLock {
    /// A lock that is given back when `guard` is dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl std::fmt::Debug for CycleLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CycleLock")
    }
}

/// Which changelog rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that sync did not write: local edits.
    Local,
    /// Those that central sends to a site in an ordinary pull (`record-types`: *What central sends*).
    ForSite {
        /// The stores that are active on the site.
        stores: Vec<StoreId>,
        /// The site, if rows that came from it are left out.
        except_from: Option<SiteId>,
    },
    /// Those about one patient whose audience is that patient's: a form of another store that names the patient is not
    /// among them.
    Patient(NameId),
    /// Those that central sends to the site of one store and not to every site: the store's own, and those of its patients.
    Store(StoreId),
    /// Central data of the legacy server.
    Legacy,
}

impl Selection {
    /// Whether it is for a site on which this store is active.
    pub(crate) fn is_for_store(&self, store: &str) -> bool {
        matches!(self, Self::ForSite { stores, .. } if stores.iter().any(|own| own.as_str() == store))
    }
}

/// One cycle in the sync log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended: `done`, `left_behind`, `partial`, `failed` or `cancelled`; `repaired` for what a person repaired between
    /// cycles.
    pub outcome: String,
    /// The error it ended with, if any.
    pub error: Option<LoggedError>,
    /// The report, as `sync --json` prints it.
    pub report: serde_json::Value,
}

/// An error as the sync log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedError {
    /// Its stable code.
    pub code: String,
    /// Its class.
    pub class: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The chain of causes.
    pub causes: Vec<String>,
}

/// Up to how many rows a storage counts one by one.
pub const COUNTED_EXACTLY: u64 = 2048;

/// Reads one state of the storage.
///
/// Text is compared byte by byte: capital letters count, in ids as in names of tables. A `limit` of 0 gives nothing,
/// `usize::MAX` everything; a start beyond every row gives nothing.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait ReadTxn {
    /// A record's data.
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// Whether a record is here.
    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// The cursor at which a record got the data that it has, or at which it was deleted. A row that is logged again with the
    /// same data, or of a record that was deleted already, does not move it.
    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// The newest of the cursors at which a record left one of these stores, as far as the rows for those tell.
    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>>;
    /// Up to `limit` records of a table, by the bytes of their ids, after `after`.
    fn records(&self, table: &TableName, after: Option<&RecordId>, limit: usize)
    -> Result<Vec<(RecordId, RecordData)>>;
    /// The number of records of each table that has any, by the name of the table.
    fn record_counts(&self) -> Result<Vec<(TableName, u64)>>;

    /// The records of a table that name another in this field, by id. Asked of the tables whose records belong to the store
    /// of their parent.
    fn children(&self, table: &TableName, field: &'static str, parent: &RecordId) -> Result<Vec<RecordId>>;
    /// The stores that are active on a site, by id: those whose record of `store` has its number in
    /// `sync_id_remote_site`, as a number or as text.
    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>>;
    /// Whether a name is joined to any of these stores by a record of `name_store_join` that is not inactive.
    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool>;

    /// Up to `limit` selected changelog rows at or after `from`, by cursor: fewer only if there are no more. The page
    /// after a row begins at its cursor's [`next`](Cursor::next).
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>>;
    /// The same with the data that each record has now, or had when it left the store that the row is for, where that is
    /// kept and the record neither is nor was deleted in another of the stores that are selected for a site; of several of
    /// these that it has left, the last one counts. Ends early once the data exceed `bytes_max`, but not before the
    /// first row; the rows that were passed over come with the next call.
    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>>;
    /// The number of selected changelog rows at or after `from`: never fewer than there are, and exact where no rows are
    /// left out and none can be for two stores of a site. Otherwise it is exact as long as there are fewer than
    /// [`COUNTED_EXACTLY`] rows for each audience, and may count beyond that what the site sent itself, or a patient's row
    /// once for each store that sees it.
    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64>;
    /// The cursor of the newest changelog row ever written, collapsed or not; 0 before the first.
    fn last_cursor(&self) -> Result<Cursor>;
    /// Whether there is a local edit of this record at or after `from`.
    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool>;
    /// The store that a record was in when it was deleted, as its newest deletion in the changelog has it.
    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>>;
    /// The changelog row of a record that is here: that of its newest change.
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>>;
    /// The changelog rows that stand beside a record, or of its deletion, by cursor; with the data as which it left a store,
    /// where that is kept.
    fn changes_beside(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>>;

    /// The tables of staged records of a source, by name, with the number of upserts, deletes and merges.
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>>;
    /// Up to `limit` staged records of a source, table and kind of action, in order of arrival after `after`. Ends
    /// early once their data exceed [`CHUNK_BYTES`], so memory stays bounded whatever the records hold.
    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>>;
    /// The sender's cursor of what is in the buffer of a record from this source and may still be integrated as it is: it is
    /// staged, or waits for another record.
    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// All versions of a record that are in the buffer, in the order of arrival.
    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>>;
    /// Up to `limit` quarantined records, in order of arrival after `after`.
    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>>;
    /// The number of quarantined records by cause.
    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>>;
    /// The number of quarantined records that sites had pushed, by site and cause.
    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>>;

    /// A setting or a cursor; see [`key`].
    fn state(&self, key: &str) -> Result<Option<String>>;
    /// The newest entries of the sync log, newest first.
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>>;

    /// The local list of sites, by number.
    fn sites(&self) -> Result<Vec<SiteEntry>>;
    /// A site of the local list by its name; capital letters count.
    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>>;
    /// The site's cursor of the newest version of a record that a site pushed, where that was noted.
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// What was noted of the newest version of a record that a site pushed, in a database that the site has no more too.
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Pushed>>;
    /// The sites whose pushed records wait for integration, longest waiting first.
    fn integrations(&self) -> Result<Vec<SiteId>>;
    /// Whether a site is among them.
    fn integration_waits(&self, site: SiteId) -> Result<bool>;
    /// Up to `limit` records that are kept for a site, by number after `after`. Ends early once their data exceed
    /// [`CHUNK_BYTES`], but not before the first.
    fn kept(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<KeptRecord>>;
    /// How many are kept for a site beyond a number, and the number of the last of them; 0 and 0 where there are none.
    fn count_kept(&self, site: SiteId, after: u64) -> Result<(u64, u64)>;
    /// The visits of sites, by number.
    fn activity(&self) -> Result<Vec<SiteActivity>>;

    /// What is known of a file.
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>>;
    /// Up to `limit` files, by id, after `after`.
    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>>;
    /// The files of a record, by id.
    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>>;
    /// The number of files in each state that any is in.
    fn file_counts(&self) -> Result<Vec<(FileState, u64)>>;
    /// Up to `limit` files that are to be tried at this moment or before, the longest due first, then by id.
    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>>;
}

/// Reads and writes; takes effect at commit.
///
/// A record that is here has one changelog row of its own, that of its newest change. Beside it stand rows for the
/// stores that it has left, at most one for each; and of a record that was deleted, the row of its deletion. Cursors are
/// given out in rising order, within a transaction and from one to the next, and none that was ever visible is given
/// out again, even if its row went.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing; see [`Storage`] for what goes on.
pub trait WriteTxn: ReadTxn {
    /// Stores a record's data together with its changelog row, an upsert, which takes the place of the record's own row
    /// and of one beside it for the same store. Its cursor is higher than any before, and no row below it can appear
    /// after this transaction commits.
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor>;
    /// Removes a record's data; the changelog row, a delete, stays in the place of the record's own, until the record is
    /// put again. A record that is not here gets its row too.
    fn remove_record(&self, change: &NewChange) -> Result<Cursor>;
    /// Adds a changelog row beside a record's own, for the store that the record has left, with the data that it had then;
    /// it takes the place of one for that store.
    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor>;

    /// Marks all changelog rows of a record as written by sync, in their places: none is a local edit any more.
    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()>;

    /// Stages a received record, or sets it aside if it says so, in place of an older version from the same source,
    /// whatever the state of that; merges are kept each. It gets a sequence above all that were given out before. Whether
    /// an upsert was an insert or an update is not kept. Where it does not say what was known here, that is all that is.
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()>;
    /// Takes records out of the buffer, if they are still the versions that were read.
    fn settle(&self, sequences: &[u64]) -> Result<()>;
    /// Takes a record out of the buffer, whatever its state, because a newer version was integrated; merges stay.
    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()>;
    /// Notes that versions of a record in the buffer are newer than what was just written: those that came after this
    /// sequence, and not before the changelog ended there.
    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()>;
    /// Sets a buffered record aside; one that is no longer there changes nothing.
    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()>;
    /// Stages again what waits for this record; says how many. Where a site had pushed it, the site's integration is
    /// requested too, as of the time at which it was received.
    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64>;
    /// Stages again what was received, from this source or from any, and is quarantined for this cause, in its old place,
    /// and requests the integration of the sites that had pushed it; says how many.
    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64>;

    /// Writes a setting or a cursor.
    fn set_state(&self, key: &str, value: &str) -> Result<()>;
    /// Adds an entry to the sync log; the oldest beyond a thousand go.
    fn add_log(&self, entry: &LogEntry) -> Result<()>;

    /// Adds or changes a site of the local list.
    ///
    /// # Errors
    /// Another site has this name or UUID.
    fn put_site(&self, site: &SiteEntry) -> Result<()>;
    /// Removes a site of the local list; says whether it was there.
    fn remove_site(&self, id: SiteId) -> Result<bool>;
    /// Notes the site's cursor of a version of a record that a site pushed, unless a higher one is noted.
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()>;
    /// Notes what a site pushed of a record, in place of what was noted, unless that has a higher cursor in the same
    /// database of the site.
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &Pushed) -> Result<()>;
    /// Forgets what was noted of a site, whose database begins anew: [`pushed_at`](ReadTxn::pushed_at) knows nothing of it
    /// any more, [`pushed`](ReadTxn::pushed) says that it is of a former one.
    fn forget_pushed(&self, site: SiteId) -> Result<()>;
    /// Remembers that a site's pushed records wait for integration; a request that is there keeps its time.
    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()>;
    /// Forgets it.
    fn finish_integration(&self, site: SiteId) -> Result<()>;
    /// Keeps a record for the site that brought it, in place of what was kept of it, with a number higher than any before.
    fn keep(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()>;
    /// Keeps it no longer.
    fn let_go(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()>;
    /// Notes a site's visits, as [`SiteActivity::update`] adds them.
    fn note_activity(&self, activity: &SiteActivity) -> Result<()>;

    /// Notes what is known of a file, in place of what was.
    fn put_file(&self, file: &FileEntry) -> Result<()>;
    /// Forgets what is known of a file; says whether there was anything.
    fn remove_file(&self, id: &RecordId) -> Result<bool>;

    /// Makes everything of this transaction take effect, durably.
    ///
    /// # Errors
    /// Nothing took effect.
    fn commit(self: Box<Self>) -> Result<()>;
}
