//! Opens the database of another program without changing a byte of it or of its folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use sync_core::{Error, Result};
use tempfile::TempDir;

use crate::sentences::input_given as given;

/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// An open database.
pub(super) struct Database {
    pub connection: Connection,
    /// The copy that is read, if there is one.
    copy: Option<TempDir>,
}

impl Database {
    /// Opens a file. If its newest state is in a log beside it, both are copied and the copy is read, because SQLite
    /// would write to the folder to read them in place.
    pub(super) fn open(path: &Path) -> Result<Self> {
        use std::io::Read as _;
        let mut head = Vec::new();
        // Looked at before it is opened: opening a pipe waits for whoever writes into it.
        if !std::fs::metadata(path).map_err(|error| unreadable(path, error))?.is_file() {
            return Err(unreadable(path, "it is not a file"));
        }
        let read = std::fs::File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
        read.map_err(|error| unreadable(path, error))?;
        if head != MAGIC {
            return Err(Error::bad_input(given::not_sqlite(path.display().to_string())));
        }
        let logs = ["-wal", "-journal"];
        let beside: Vec<&str> = logs.into_iter().filter(|end| has_bytes(&with_end(path, end))).collect();
        if beside.is_empty() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(uri(path), flags).map_err(failed)?;
            return Ok(Self { connection, copy: None });
        }
        let copying = |source: std::io::Error| Error::Io { what: "copying the database".into(), source: source.into() };
        let folder = tempfile::tempdir().map_err(copying)?;
        let to = folder.path().join("copy.sqlite");
        std::fs::copy(path, &to).map_err(copying)?;
        for end in beside {
            std::fs::copy(with_end(path, end), with_end(&to, end)).map_err(copying)?;
        }
        let connection = Connection::open(&to).map_err(failed)?;
        Ok(Self { connection, copy: Some(folder) })
    }

    /// True if a copy is read, because the program of the database runs or was killed.
    pub(super) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// True if the table exists.
    pub(super) fn has_table(&self, table: &str) -> bool {
        let sql = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1";
        self.connection.prepare_cached(sql).and_then(|mut query| query.exists([table])).unwrap_or(false)
    }

    /// A column for a SELECT; NULL if this release does not have it.
    pub(super) fn column<'a>(&self, table: &str, column: &'a str) -> &'a str {
        let sql = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
        let found = self.connection.prepare_cached(sql).and_then(|mut query| query.exists([table, column]));
        if found.unwrap_or(false) { column } else { "NULL" }
    }

    /// One number; 0 if there is none.
    pub(super) fn number(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<i64> {
        let found = self.connection.query_row(sql, parameters, |row| row.get::<_, Option<i64>>(0));
        found.map(Option::unwrap_or_default).map_err(failed)
    }
}

/// An unreadable file of the user: wrong input, not a fault of this machine.
pub fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::bad_input(given::unreadable(path.display().to_string(), error.to_string()))
}

/// An error of SQLite. A file that cannot be read as a database is no fault of this machine.
pub(super) fn failed(error: rusqlite::Error) -> Error {
    Error::Database { source: error.into() }
}

fn has_bytes(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.len() > 0)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(path);
    path.push(end);
    path.into()
}

/// An address that promises SQLite that nobody writes: it then neither locks nor creates files.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{text}?immutable=1")
}
