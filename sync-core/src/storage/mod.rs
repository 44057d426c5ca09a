//! Storage of records, changelog, sync buffer, cursors and settings.
//!
//! A storage gives out transactions. A [`ReadTxn`] sees one snapshot. A [`WriteTxn`] is the only writer, sees its own
//! writes, and takes effect as a whole at [`commit`](WriteTxn::commit), or not at all if it is dropped. Commits survive
//! a power cut. No transaction may stay open across a network call.
//!
//! The calls of a transaction are divided into topics, each with a trait that reads and one that writes:
//!
//! | topic | traits |
//! |---|---|
//! | records | [`RecordReads`], [`RecordWrites`] |
//! | the changelog, by cursor and by record | [`ChangelogReads`], [`HistoryReads`] |
//! | the sync buffer and its quarantine | [`BufferReads`], [`BufferWrites`] |
//! | settings and cursors | [`StateReads`], [`StateWrites`] |
//! | the sync log | [`SyncLogReads`], [`SyncLogWrites`] |
//! | versions that a site pushed | [`PushedReads`], [`PushedWrites`] |
//! | files | [`FileReads`], [`FileWrites`] |
//! | central: the local list of sites | [`SiteReads`], [`SiteWrites`] |
//! | central: when sites came last | [`ActivityReads`], [`ActivityWrites`] |
//! | central: what sites push | [`SitePushReads`], [`SitePushWrites`] |
//! | central: the mirror of legacy records | [`LegacyMirrorReads`], [`LegacyMirrorWrites`] |
//!
//! A storage for remote sites leaves out central's topics, and [`ReadTxn::as_central`] returns `None`.
//!
//! The library has three storages: `SqliteStorage`, one file (feature `sqlite`), `PostgresStorage`, a central server's
//! database on a PostgreSQL server (feature `postgres`), and [`MemoryStorage`], for tests, simulators and hosts without a
//! disk. Another storage implements [`Storage`] and the traits of the topics, and runs
//! the clauses of `sync_testkit::storage_contract`, one for each promise made here.

mod buffer;
mod central;
mod changelog;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod copied;
pub(crate) mod dropped_calls;
mod files;
mod found;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod marks;
mod memory;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod migration;
#[cfg(feature = "postgres")]
mod postgres;
mod pushed;
mod records;
mod servers;
mod settings;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod state;
mod sync_log;
mod writer_turns;

use dropped_calls::{HolderMark, lock_after_dropped};

pub(crate) use buffer::each_quarantined;
pub use buffer::{
    BufferReads, BufferWrites, Buffered, CHUNK_BYTES, Incoming, Known, Quarantine, QuarantineCause, Source,
    StagedCounts, StagedKind,
};
pub use central::{
    ActivityReads, ActivityWrites, CentralReads, CentralWrites, LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord,
    PushedVersion, SiteActivity, SiteEntry, SitePushReads, SitePushWrites, SiteReads, SiteWrites,
};
pub use changelog::{COUNTED_EXACTLY, ChangelogReads, HistoryReads, Selection};
pub use files::{FileDirection, FileEntry, FileReads, FileState, FileWrites};
pub use memory::{MemoryBackup, MemoryStorage};
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub use migration::{CopiedRows, MigrationEnd, MigrationProgress, MigrationReport, MigrationStep};
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(crate) use migration::{migrate, take_back};
#[cfg(feature = "postgres")]
pub use postgres::{LeaderLock, PostgresAddress, PostgresStorage, ServerLock};
pub use pushed::{PushedReads, PushedWrites};
pub use records::{RecordReads, RecordWrites};
/// The SQLite library of the connection that a [`RecordHook`] receives.
#[cfg(feature = "sqlite")]
pub use rusqlite;
pub use servers::{Remembered, SharedPositions, SharedStorage, TOLD};
pub use settings::{StateReads, StateWrites};
#[cfg(feature = "sqlcipher")]
pub use sqlite::DatabaseKey;
#[cfg(all(feature = "sqlite", not(feature = "sqlcipher")))]
pub(crate) use sqlite::DatabaseKey;
#[cfg(feature = "sqlcipher")]
pub(crate) use sqlite::change_key;
#[cfg(feature = "sqlite")]
pub use sqlite::{HookedRecord, RecordHook, SqliteStorage};
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{check_backup, check_backup_is_of, damage, examine, is_backup_of, restore};
pub(crate) use state::changelog_gaps;
pub(crate) use state::newest_gaps;
pub(crate) use sync_log::REPAIR;
#[cfg(feature = "support")]
pub(crate) use sync_log::Repair;
#[cfg(any(feature = "central", feature = "support"))]
pub(crate) use sync_log::note_act;
#[cfg(feature = "central")]
pub(crate) use sync_log::note_event;
pub use sync_log::{LogEntry, LoggedError, SyncLogReads, SyncLogWrites};

use crate::error::Result;

/// Creates transactions.
///
/// Several readers and one writer work at once. Readers wait for nobody and block nobody. `write` waits for another
/// writer of this process, and for a limited time for one of another process.
///
/// # Isolation
/// A reader sees one snapshot, taken between its beginning and its first read, and never a part of a commit. It sees
/// all commits from before its beginning. A writer sees the newest state and its own writes, which others see only
/// after the commit.
///
/// # Atomicity
/// A transaction takes effect as a whole at its commit, or not at all: not if it is dropped, the commit fails, or the
/// process dies. A call that the storage refuses, such as a name that is taken, changes nothing: earlier writes of the
/// transaction can still be committed or dropped. After a failure of the database it may be that they can only be dropped;
/// the commit is an error then. If the connection to a database broke during a commit, it may have taken effect.
///
/// # Order of calls
/// Calls of a transaction may come in any order. A thread that holds a writer must end it before it begins another,
/// which is refused as `bad_input` instead of waiting for itself.
///
/// # Restored from a backup
/// A storage that notices that it was put back to an older state uses no cursor twice, and adds a
/// [`ChangelogGap`](crate::changelog::ChangelogGap) to [`state::LOST`], in one step before any other access.
///
/// # Errors
/// An implementation sorts its errors by who must act: [`DatabaseBusy`](crate::Error::DatabaseBusy) (try again),
/// [`DatabaseUnreachable`](crate::Error::DatabaseUnreachable) (try again; the database is not on this machine),
/// [`DiskFull`](crate::Error::DiskFull), [`DatabaseReadOnly`](crate::Error::DatabaseReadOnly), and
/// [`Database`](crate::Error::Database) for the rest, each with its cause; [`DamagedState`](crate::Error::DamagedState)
/// for stored values that cannot be read. The storage stays usable after any of them: the next transaction shows the
/// committed state.
///
/// # Example
/// ```
/// use sync_core::changelog::{Audience, ChangeAction, NewChange};
/// use sync_core::clock::Timestamp;
/// use sync_core::record::{Cursor, RecordData};
/// use sync_core::storage::{MemoryStorage, Selection, Storage};
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
    /// Begins a reading transaction.
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be read.
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>>;

    /// Begins a writing transaction. Threads of one process wait for each other, best in the order in which they ask, and not for ever: a
    /// host's hook or closure may wait for the thread that waits here. A thread that writes already is refused (`bad_input`).
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be written; `database_busy` if another process or thread holds it too long.
    fn write(&self) -> Result<Box<dyn WriteTxn + '_>>;

    /// Begins a writing transaction for a dry run, which its caller drops. A storage that passes records on to a host says so there.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_to_drop(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.write()
    }

    /// Takes the lock that allows only one cycle at a time, also across processes. It is released when the guard is
    /// dropped or the process dies.
    ///
    /// # Errors
    /// [`Error::CycleRunning`](crate::Error::CycleRunning) if another cycle has it.
    fn lock_cycle(&self) -> Result<CycleLock>;

    /// What several central servers on this storage share; `None` if only one may work on it at a time.
    fn servers(&self) -> Option<&dyn SharedStorage> {
        None
    }

    /// True if it is seen while reading only that the database was moved or copied here, which opening it to write stores. A storage
    /// that is no file has nothing to see.
    fn came_here(&self) -> bool {
        false
    }
}

/// Locks a storage for a cycle. Waits for the end of a dropped call that may hold the lock.
pub(crate) fn lock_cycle(storage: &dyn Storage) -> Result<CycleLock> {
    lock_after_dropped(|| storage.lock_cycle())
}

/// Blocks other cycles until it is dropped.
pub struct CycleLock {
    #[allow(dead_code, reason = "held for its drop")]
    guard: Box<dyn Send>,
    /// Ends after the lock is free.
    #[allow(dead_code, reason = "held for its drop")]
    mark: HolderMark,
}

impl CycleLock {
    /// A lock that is released when `guard` is dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self { guard: Box::new(guard), mark: HolderMark::new() }
    }
}

impl std::fmt::Debug for CycleLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CycleLock")
    }
}

/// Reads one snapshot of the storage: the sum of the topics that every storage has.
///
/// Text is compared byte by byte: capital letters matter, in ids and in names of tables. A `limit` of 0 returns
/// nothing, `usize::MAX` everything; a start after all rows returns nothing.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait ReadTxn:
    RecordReads + ChangelogReads + HistoryReads + BufferReads + StateReads + SyncLogReads + PushedReads + FileReads
{
    /// Central's part; `None` if the storage is for remote sites only. It has no default, so that a storage that wraps
    /// another one cannot lose it by mistake.
    fn as_central(&self) -> Option<&dyn CentralReads>;
}

/// Reads and writes; takes effect at commit.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing; see [`Storage`] for what goes on in the
/// transaction.
pub trait WriteTxn:
    ReadTxn + RecordWrites + BufferWrites + StateWrites + SyncLogWrites + PushedWrites + FileWrites
{
    /// Central's part; `None` exactly if [`as_central`](ReadTxn::as_central) is `None`.
    fn as_central_writer(&self) -> Option<&dyn CentralWrites>;

    /// Commits this transaction, durably.
    ///
    /// # Errors
    /// Nothing took effect; after `database_unreachable` it may have, as the answer was lost.
    fn commit(self: Box<Self>) -> Result<()>;
}
