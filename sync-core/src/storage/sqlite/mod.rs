//! Everything of a site in one SQLite file.

mod activity;
mod backup;
mod buffer;
mod changelog;
#[cfg(test)]
mod cost_tests;
mod counts;
mod examine;
mod files;
mod fill;
mod hook;
mod kept;
mod place;
mod records;
mod schema;
mod seen;
mod select;
mod state;
mod txn;
mod watermark;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub(crate) use self::examine::{damage, examine};
pub use self::hook::{HookedRecord, RecordHook};
use self::place::FileIdentity;
use self::txn::{SqliteTxn, Turn};
use self::watermark::Watermark;
use super::{CycleLock, ReadTxn, Storage, WriteTxn};
use crate::error::{Cause, Error, Result};

/// How often it is tried again whether a writer of another process is done: every 2 ms for ten seconds. SQLite's own
/// handler asks every 100 ms, and would hardly ever come between the transactions of a long integration.
const BUSY_TRIES: i32 = 5_000;
const BUSY_WAIT: Duration = Duration::from_millis(2);
/// How often the making of a database is tried while others make it too: SQLite answers some of their locks at once.
const OPEN_TRIES: u32 = 100;
/// The most read connections that are kept open for reuse.
const READERS_KEPT: usize = 8;

/// A storage in one SQLite file, in WAL mode and durable at each commit.
///
/// Several processes may use the file at once, under any of its names. Beside it stand `FILE.lock`, which keeps cycles apart, and `FILE.watermark`,
/// which tells how far the database had come: a backup is put back as the database file alone, and is recognised by being
/// older than its watermark.
///
/// Each record type is also a view with real columns, so any SQLite tool
/// can ask questions in plain SQL: `SELECT name FROM asset_class`.
pub struct SqliteStorage {
    /// Without symbolic links.
    path: PathBuf,
    /// Of the file that was opened.
    identity: Option<FileIdentity>,
    /// Fair: who waits for it comes before who has just had it.
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
    /// Nothing is written, not even what opening a database writes otherwise.
    only_reads: bool,
}

/// The one connection of a process that writes.
struct Writer {
    connection: Connection,
    watermark: Watermark,
    hook: Option<Box<dyn RecordHook>>,
}

impl std::fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStorage").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStorage {
    /// Opens a database, and makes it if it does not exist. A database of an older version of this library is
    /// brought up to date.
    ///
    /// # Errors
    /// `not_a_database`, `database_too_new`, `database_read_only`, `database_busy`, `disk_full`, `database_failed`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a database that must exist.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `no_database` if there is no such file.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(Error::NoDatabase { path: path.display().to_string() });
        }
        Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn open_with(path: &Path, flags: OpenFlags) -> Result<Self> {
        let given = path;
        // Absolute, since SQLite reads a relative path that begins with "file:" as an address.
        let path = &place::real_path(given)?;
        place::refuse_hard_links(path)?;
        place::bring_watermark(given, path);
        if !path.exists() {
            create_private(path)?;
        }
        let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let named = |error| at_path(error, path);
        let mut connection = opened.map_err(database_error).map_err(named)?;
        let mut tries = 0;
        let watermark = loop {
            tries += 1;
            match prepare(path, &mut connection) {
                Err(Error::DatabaseBusy { .. }) if tries < OPEN_TRIES => std::thread::sleep(BUSY_WAIT),
                prepared => break prepared.map_err(named)?,
            }
        };
        let writer = Mutex::new(Writer { connection, watermark, hook: None });
        let identity = FileIdentity::of(path);
        Ok(Self { path: path.to_owned(), identity, writer, readers: Mutex::default(), only_reads: false })
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn reader(&self) -> Result<Connection> {
        if let Some(connection) = self.readers.lock().pop() {
            return Ok(connection);
        }
        if self.only_reads {
            return examine::reading_connection(&self.path);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(database_error)?;
        configure(&connection)?;
        connection.pragma_update(None, "query_only", true).map_err(database_error)?;
        // There may be many of them, and each fills its own.
        connection.pragma_update(None, "cache_size", -2000).map_err(database_error)?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut readers = self.readers.lock();
        if readers.len() < READERS_KEPT {
            readers.push(connection);
        }
    }
}

impl Storage for SqliteStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        let begun = self.reader().and_then(|connection| {
            let reader = Reader { storage: self, connection: Some(connection) };
            SqliteTxn::begin(reader, TransactionBehavior::Deferred)
        });
        // Before anything else that went wrong: that follows from it.
        self.check_in_place()?;
        Ok(Box::new(begun?))
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        if self.only_reads {
            return Err(Error::DatabaseReadOnly { source: "it was opened to be read only".into() });
        }
        let begun = SqliteTxn::begin(Turn::of(&self.writer), TransactionBehavior::Immediate);
        self.check_in_place()?;
        Ok(Box::new(begun?))
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.check_in_place()?;
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let io = |source: std::io::Error| file_error("locking the database".to_owned(), source);
        let mut file = private().create(true).read(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is only told; that it is held is known without.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::CycleRunning { holder: holder.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(io)?;
        Ok(CycleLock::new(file))
    }
}

/// A read connection that goes back to its storage.
struct Reader<'s> {
    storage: &'s SqliteStorage,
    /// `None` only while it is dropped.
    connection: Option<Connection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.storage.give_back(connection);
        }
    }
}

/// First of all it is seen whether the file is ours: the journal mode would already change it.
fn prepare(path: &Path, connection: &mut Connection) -> Result<Watermark> {
    connection.busy_handler(Some(wait_for_another)).map_err(database_error)?;
    schema::migrate(connection)?;
    configure(connection)?;
    Watermark::open(path, connection)
}

fn wait_for_another(tries: i32) -> bool {
    std::thread::sleep(BUSY_WAIT);
    tries < BUSY_TRIES
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_handler(Some(wait_for_another)).map_err(database_error)?;
    connection.set_prepared_statement_cache_capacity(128);
    // FULL: what was acknowledged survives a power cut (weak point A9).
    for (pragma, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        ("temp_store", "MEMORY"),
        ("cache_size", "-16000"),
        ("wal_autocheckpoint", "4000"),
    ] {
        connection.pragma_update(None, pragma, value).map_err(database_error)?;
    }
    Ok(())
}

/// How a file is opened for writing that, if it is made, is its owner's only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes an empty file that only its owner can read: it will hold the site's password hash.
fn create_private(path: &Path) -> Result<()> {
    let created: std::io::Result<File> = private().create_new(true).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(file_error(format!("making {}", path.display()), error)),
    }
}

/// Sorts errors of files beside SQLite's own by who must act.
fn file_error(what: String, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let (kind, source) = (error.kind(), error.into());
    match kind {
        StorageFull => Error::DiskFull { source },
        PermissionDenied | ReadOnlyFilesystem => Error::DatabaseReadOnly { source },
        _ => Error::Io { what, source },
    }
}

/// Sorts SQLite's errors by who must act.
fn database_error(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    // The file beside the database that its users share cannot grow.
    let is_full = error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    let source = error.into();
    match code {
        _ if is_full => Error::DiskFull { source },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::DatabaseBusy { source },
        Some(ErrorCode::ReadOnly) => Error::DatabaseReadOnly { source },
        Some(ErrorCode::DiskFull) => Error::DiskFull { source },
        Some(ErrorCode::NotADatabase) => Error::NotADatabase { path: String::new(), source: Some(source) },
        _ => Error::Database { source },
    }
}

fn at_path(error: Error, path: &Path) -> Error {
    let shown = path.display().to_string();
    match error {
        Error::NotADatabase { source, .. } => Error::NotADatabase { path: shown, source },
        Error::Database { source } if cannot_open(&source) && path.is_dir() => {
            Error::NotADatabase { path: shown, source: Some(source) }
        }
        // The file is there: then it, or those that SQLite keeps beside it, cannot be written.
        Error::Database { source } if cannot_open(&source) && path.is_file() => Error::DatabaseReadOnly { source },
        other => other,
    }
}

fn cannot_open(cause: &Cause) -> bool {
    let error = cause.downcast_ref::<rusqlite::Error>();
    error.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::CannotOpen)
}
