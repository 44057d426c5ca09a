//! A site in one SQLite file.

mod activity;
#[cfg(any(feature = "sqlcipher", feature = "postgres"))]
mod alone;
mod backup;
mod buffer;
mod changelog;
mod connection;
#[cfg(test)]
mod cost_tests;
mod counts;
mod cycle_lock;
mod examine;
mod fault;
mod files;
mod fill;
mod history;
mod hook;
mod host_tables;
mod identity;
mod key;
mod legacy_mirror;
mod lock_holder;
#[cfg(feature = "postgres")]
mod migrated;
mod patient_visibility;
mod pending_counts;
mod place;
mod pushed;
mod records;
#[cfg(feature = "sqlcipher")]
mod rekey;
mod replay;
mod restore;
mod schema;
mod select;
mod select_many;
mod selection_parts;
mod settings;
mod site_pushes;
mod sites;
mod sync_log;
mod transaction_guard;
mod txn;
mod watermark;

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::connection::{BUSY_WAIT, IdleReaders, ReadConnection, Writer, configure, wait_for_another};
use self::cycle_lock::cycle_lock;
pub(crate) use self::examine::{damage, examine};
use self::fault::{at_path, database_error, in_file, is_there};
use self::hook::HostHook;
pub use self::hook::{HookedRecord, RecordHook};
pub(crate) use self::identity::{check_backup_is_of, is_backup_of};
#[cfg(feature = "sqlcipher")]
pub use self::key::DatabaseKey;
#[cfg(not(feature = "sqlcipher"))]
pub(crate) use self::key::DatabaseKey;
use self::key::{named, unlock};
#[cfg(feature = "postgres")]
pub(super) use self::migrated::FileEnd;
use self::place::{FileIdentity, beside, create_private, real_path};
#[cfg(feature = "sqlcipher")]
pub(crate) use self::rekey::change_key;
pub(crate) use self::restore::{check_backup, restore};
use self::txn::{SqliteTxn, WriteTurn};
use self::watermark::Watermark;
use super::marks;
use super::writer_turns::WriterTurns;
use super::{CycleLock, ReadTxn, Storage, WriteTxn};
use crate::error::{Error, Result};
use crate::record::record_type;
use crate::text::sentences::input;

/// How often to retry creating a database while others create it too: SQLite fails at once for some of their locks.
const OPEN_TRIES: u32 = 100;
/// A storage in one SQLite file, in WAL mode and durable at each commit.
///
/// Several processes may use the file at once, under any of its names. `FILE.lock` beside it keeps cycles apart.
/// `FILE.watermark` holds the newest state of the database: a backup is restored as the database file alone, and is
/// recognised because it is older than its watermark.
///
/// Each record type also has a view with real columns, for queries in plain SQL with any SQLite tool: `SELECT name FROM
/// asset_class`.
pub struct SqliteStorage {
    /// Without symbolic links.
    path: PathBuf,
    /// The name that was given for it, if that is another: through a symbolic link.
    given: Option<PathBuf>,
    /// The id of the opened file.
    identity: Option<FileIdentity>,
    /// The file with the last commits, and its id. It stays as long as a connection is open.
    log: (PathBuf, Option<FileIdentity>),
    writer: Mutex<Writer>,
    writer_turns: WriterTurns,
    readers: IdleReaders,
    /// Nothing is written, not even what opening a database usually writes.
    only_reads: bool,
    /// Seen while opening it to be read only.
    came_here: bool,
    /// The key of an encrypted file.
    key: Option<DatabaseKey>,
}

impl std::fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStorage").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStorage {
    /// Opens a database, and creates it if it does not exist. A database of an older version of this library is
    /// upgraded.
    ///
    /// # Errors
    /// `not_a_database`, `database_too_new`, `database_read_only`, `database_busy`, `disk_full`, `database_failed`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_keyed(path.as_ref(), None)
    }

    /// Opens or creates a database with this key.
    pub(crate) fn open_keyed(path: &Path, key: Option<DatabaseKey>) -> Result<Self> {
        Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, key)
    }

    /// Opens an existing database.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `no_database` if there is no such file.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_existing_keyed(path.as_ref(), None)
    }

    /// Opens an existing database with this key.
    pub(crate) fn open_existing_keyed(path: &Path, key: Option<DatabaseKey>) -> Result<Self> {
        if !is_there(path)? {
            return Err(Error::NoDatabase { path: path.display().to_string() });
        }
        Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE, key)
    }

    fn open_with(path: &Path, flags: OpenFlags, key: Option<DatabaseKey>) -> Result<Self> {
        let given = path;
        // Absolute, because SQLite reads a relative path that begins with "file:" as an address.
        let path = &place::real_path(given)?;
        place::refuse_hard_links(path)?;
        watermark::bring_watermark(given, path);
        if !path.exists() {
            create_private(path)?;
        }
        let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let named = |error| named(error, path, key.as_ref());
        let mut connection = opened.map_err(database_error).map_err(named)?;
        unlock(&connection, key.as_ref()).map_err(database_error).map_err(named)?;
        let mut tries = 0;
        let watermark = loop {
            tries += 1;
            match prepare(path, &mut connection) {
                Err(Error::DatabaseBusy { .. }) if tries < OPEN_TRIES => std::thread::sleep(BUSY_WAIT),
                prepared => break prepared.map_err(named)?,
            }
        };
        let hook = HostHook::remembered(&connection)?;
        let writer = Writer { connection, watermark, hook };
        Ok(Self::over((given, path), writer, false, key))
    }

    fn over((given, path): (&Path, &Path), writer: Writer, only_reads: bool, key: Option<DatabaseKey>) -> Self {
        let log = beside(path, "-wal");
        let log_identity = if only_reads { None } else { FileIdentity::behind(&log) };
        Self {
            path: path.to_owned(),
            log: (log, log_identity),
            given: std::path::absolute(given).ok().filter(|given| given != path),
            identity: FileIdentity::of(path),
            writer: Mutex::new(writer),
            writer_turns: WriterTurns::default(),
            readers: Mutex::default(),
            only_reads,
            came_here: false,
            key,
        }
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens an existing database read-only: it is not upgraded, nothing is stored beside it, and each write is
    /// refused.
    ///
    /// # Errors
    /// As [`open_existing`](Self::open_existing); `bad_input` if its schema is of an older version.
    pub fn open_to_read(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_to_read_keyed(path.as_ref(), None)
    }

    /// Opens an existing database with this key, read-only.
    pub(crate) fn open_to_read_keyed(given: &Path, key: Option<DatabaseKey>) -> Result<Self> {
        let path = &real_path(given)?;
        let connection = examine::reading_connection(path, key.as_ref())?;
        let (found, known) = schema::version(&connection).map_err(|error| at_path(error, path))?;
        if found < known {
            return Err(Error::bad_input(input::schema_older(found, known)));
        }
        let unfinished = schema::setting(&connection, marks::UNFINISHED).map_err(database_error)?;
        marks::refuse_unfinished(&path.display().to_string(), unfinished.as_deref())?;
        let hook = HostHook::remembered(&connection)?;
        let came_here = watermark::has_come_here(path, &connection)?;
        let writer = Writer { connection, watermark: Watermark::none(), hook };
        Ok(Self { came_here, ..Self::over((given, path), writer, true, key) })
    }

    /// Checks that the opened file is still the one at its path, and at the name that was given for it, with its log. Another file
    /// there is another database, or a restored backup; writes to the opened one would be lost.
    ///
    /// # Errors
    /// [`Error::DatabaseReplaced`]: this storage is of no use any more, and has to be opened again.
    pub fn check_in_place(&self) -> Result<()> {
        let Some(opened) = self.identity else { return Ok(()) };
        let replaced = |path: &Path| Err(Error::DatabaseReplaced { path: path.display().to_string() });
        if FileIdentity::of(&self.path) != Some(opened) {
            return replaced(&self.path);
        }
        // What is written now would be gone with this process.
        if let (log, Some(opened)) = &self.log
            && FileIdentity::behind(log) != Some(*opened)
        {
            return replaced(log);
        }
        match &self.given {
            Some(given) if FileIdentity::behind(given) != Some(opened) => replaced(given),
            _ => Ok(()),
        }
    }

    /// Creates or changes the host's own tables, by statements separated by `;`, in one transaction.
    ///
    /// # Errors
    /// A statement failed, and nothing is changed.
    pub(crate) fn host_tables(&self, sql: &str) -> Result<()> {
        let writer = self.writer.lock();
        let begun = rusqlite::Transaction::new_unchecked(&writer.connection, rusqlite::TransactionBehavior::Immediate);
        let in_file = |error| in_file(database_error(error), &self.path);
        let txn = begun.map_err(in_file)?;
        host_tables::run(&txn, sql).map_err(|error| match host_tables::is_of_host(&error) {
            true => Error::bad_input(input::host_tables(error.to_string())),
            false => in_file(error),
        })?;
        txn.commit().map_err(in_file)
    }

    /// Keeps the indexes of a host, each on a field of a record type.
    ///
    /// # Errors
    /// There is no such record type or field; the index cannot be made.
    pub(crate) fn host_indexes(&self, indexes: &[(String, String)]) -> Result<()> {
        if indexes.is_empty() {
            return Ok(());
        }
        let writer = self.writer.lock();
        let txn = rusqlite::Transaction::new_unchecked(&writer.connection, rusqlite::TransactionBehavior::Immediate);
        let txn = txn.map_err(database_error)?;
        for (table, field) in indexes {
            let kind = record_type(table).ok_or_else(|| Error::unknown_table(table))?;
            let found = kind.field(field);
            let field = found.ok_or_else(|| Error::unknown_field(table, field, kind.similar_field(field)))?;
            schema::keep_index(&txn, kind, field).map_err(database_error)?;
        }
        txn.commit().map_err(database_error)
    }

    /// Runs a host's queries on one snapshot.
    ///
    /// # Errors
    /// The error of `read`; the file cannot be read.
    pub(crate) fn read_sql<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.reader();
        self.check_in_place()?;
        let connection = connection?;
        // The connection is not used again: a host may have changed its settings.
        connection.authorizer(Some(host_tables::only_reads)).map_err(database_error)?;
        let snapshot = connection.unchecked_transaction().map_err(database_error)?;
        let found = read(&snapshot).map_err(database_error)?;
        drop(snapshot);
        Ok(found)
    }

    fn begin_writing(&self) -> Result<SqliteTxn<WriteTurn<'_>>> {
        if self.only_reads {
            return Err(Error::DatabaseReadOnly { source: "it was opened to be read only".into() });
        }
        let begun = WriteTurn::of(&self.writer, &self.writer_turns)
            .and_then(|turn| SqliteTxn::begin(turn, TransactionBehavior::Immediate));
        self.check_in_place()?;
        begun
    }

    fn reader(&self) -> Result<Connection> {
        if let Some(connection) = self.readers.lock().pop() {
            return Ok(connection);
        }
        if self.only_reads {
            return examine::reading_connection(&self.path, self.key.as_ref());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(database_error)?;
        unlock(&connection, self.key.as_ref()).map_err(database_error)?;
        configure(&connection)?;
        connection.pragma_update(None, "query_only", true).map_err(database_error)?;
        // There may be many of them, each with its own parameters.
        connection.pragma_update(None, "cache_size", -2000).map_err(database_error)?;
        Ok(connection)
    }
}

impl Storage for SqliteStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        let begun = self.reader().and_then(|connection| {
            SqliteTxn::begin(ReadConnection::new(&self.readers, connection), TransactionBehavior::Deferred)
        });
        // Before any other error, which would follow from it.
        self.check_in_place()?;
        Ok(Box::new(begun?))
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        Ok(Box::new(self.begin_writing()?))
    }

    fn write_to_drop(&self) -> Result<Box<dyn WriteTxn + '_>> {
        let mut txn = self.begin_writing()?;
        txn.is_dry_run = true;
        Ok(Box::new(txn))
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.check_in_place()?;
        cycle_lock(&self.path)
    }

    fn came_here(&self) -> bool {
        self.came_here
    }
}

/// First check that the file is ours: setting the journal mode would already change it.
fn prepare(path: &Path, connection: &mut Connection) -> Result<Watermark> {
    connection.busy_handler(Some(wait_for_another)).map_err(database_error)?;
    schema::migrate(connection)?;
    configure(connection)?;
    // Before the watermark, which knows of a database that was moved more than the database itself.
    let mark = |name: &str| schema::setting(connection, name).map_err(database_error);
    let (moved, unfinished, shown) = (mark(marks::MOVED)?, mark(marks::UNFINISHED)?, path.display().to_string());
    marks::refuse_moved(&shown, moved.as_deref())?;
    marks::refuse_unfinished(&shown, unfinished.as_deref())?;
    Watermark::open(path, connection)
}
