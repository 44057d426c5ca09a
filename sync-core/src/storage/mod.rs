//! Where records, changelog, sync buffer, cursors and settings are kept.
//!
//! A storage gives out transactions. A [`ReadTxn`] sees one state throughout, whatever is written meanwhile; a
//! [`WriteTxn`] is alone, sees its own writes, and takes effect as a whole at [`commit`](WriteTxn::commit) or, dropped,
//! not at all. What was committed survives a power cut. No transaction may be kept open across a network call.
//!
//! What a transaction can do is divided into topics, each with a trait that reads and one that writes:
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
//! A storage for remote sites leaves out central's topics and says so by [`ReadTxn::as_central`].
//!
//! Two storages come with the library: `SqliteStorage`, one file (feature `sqlite`), and [`MemoryStorage`], for tests,
//! simulators and hosts without a disk. Another one implements [`Storage`] and the traits of the topics, and runs the clauses
//! of `sync_testkit::storage_contract`, each of which is one promise made here.

mod buffer;
mod central;
mod changelog;
mod files;
mod found;
mod memory;
mod pushed;
mod records;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod state;
mod sync_log;

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
pub use pushed::{PushedReads, PushedWrites};
pub use records::{RecordReads, RecordWrites};
/// The SQLite library whose connection a [`RecordHook`] is given.
#[cfg(feature = "sqlite")]
pub use rusqlite;
pub use settings::{StateReads, StateWrites};
#[cfg(feature = "sqlite")]
pub use sqlite::{HookedRecord, RecordHook, SqliteStorage};
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{damage, examine};
pub use state::changelog_gaps;
pub(crate) use state::newest_gaps;
pub use sync_log::{LogEntry, LoggedError, SyncLogReads, SyncLogWrites};

use crate::error::Result;

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
/// out before, and adds a [`ChangelogGap`](crate::ChangelogGap) to [`state::LOST`], in one step before anything else can be seen of it.
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

/// Reads one state of the storage: the sum of the topics that every storage has.
///
/// Text is compared byte by byte: capital letters count, in ids as in names of tables. A `limit` of 0 gives nothing,
/// `usize::MAX` everything; a start beyond every row gives nothing.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait ReadTxn:
    RecordReads + ChangelogReads + HistoryReads + BufferReads + StateReads + SyncLogReads + PushedReads + FileReads
{
    /// Central's part; `None` if the storage is for remote sites only. Has no default: a storage over another one that forgot
    /// to pass it on would take central away.
    fn as_central(&self) -> Option<&dyn CentralReads>;
}

/// Reads and writes; takes effect at commit.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing; see [`Storage`] for what goes on.
pub trait WriteTxn:
    ReadTxn + RecordWrites + BufferWrites + StateWrites + SyncLogWrites + PushedWrites + FileWrites
{
    /// Central's part; `None` exactly where [`as_central`](ReadTxn::as_central) gives none.
    fn as_central_writer(&self) -> Option<&dyn CentralWrites>;

    /// Makes everything of this transaction take effect, durably.
    ///
    /// # Errors
    /// Nothing took effect.
    fn commit(self: Box<Self>) -> Result<()>;
}
