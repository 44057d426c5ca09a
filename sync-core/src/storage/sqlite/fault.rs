//! Sorts errors of SQLite, and of files beside its own, by who must act.

use std::fmt;
use std::fs::File;
use std::path::Path;

use rusqlite::ErrorCode;

use super::lock_holder::{InTheWay, lock_holder};
use crate::error::{Cause, Error, Result};
use crate::text::sentences::error_detail;

/// A cause that names the file of which somebody asks: whose disk is full, what another program holds.
#[derive(Debug)]
struct OfFile {
    says: String,
    source: Cause,
}

impl fmt::Display for OfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl std::error::Error for OfFile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Sorts errors of files beside SQLite's own by who must act.
pub(super) fn file_error(what: String, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let (kind, source) = (error.kind(), error.into());
    match kind {
        StorageFull => Error::DiskFull { source: OfFile { says: format!("{what}: {source}"), source }.into() },
        PermissionDenied | ReadOnlyFilesystem => Error::DatabaseReadOnly { source },
        _ => Error::Io { what, source },
    }
}

/// Sorts SQLite's errors by who must act. A file that is no database any more is damaged: only when it is opened may its
/// path be wrong.
pub(super) fn database_error(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    // The shared file beside the database cannot grow.
    let is_full = error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    let source = error.into();
    match code {
        _ if is_full => Error::DiskFull { source },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::DatabaseBusy { source },
        Some(ErrorCode::ReadOnly) => Error::DatabaseReadOnly { source },
        Some(ErrorCode::DiskFull) => Error::DiskFull { source },
        _ => Error::Database { source },
    }
}

/// Names the database in an error of which somebody asks: which disk is full, and which process holds it.
pub(super) fn in_file(error: Error, path: &Path) -> Error {
    named_with(error, path, InTheWay::Writing)
}

/// The same for who needs the database alone.
pub(super) fn alone_in_file(error: Error, path: &Path) -> Error {
    named_with(error, path, InTheWay::Any)
}

fn named_with(error: Error, path: &Path, locks: InTheWay) -> Error {
    let is_named = |source: &Cause| source.is::<OfFile>();
    match error {
        Error::DiskFull { source } if !is_named(&source) => {
            let says = format!("{}: {source}", path.display());
            Error::DiskFull { source: OfFile { says, source }.into() }
        }
        Error::DatabaseBusy { source } if !is_named(&source) => {
            let process =
                lock_holder(path, locks).map(|(number, name)| error_detail::process_named(number, name).to_string());
            let says = format!("{}{}", path.display(), process.unwrap_or_default());
            Error::DatabaseBusy { source: OfFile { says, source }.into() }
        }
        other => other,
    }
}

/// Whether there is a database file. An empty file is none: SQLite would make a new database of it.
///
/// # Errors
/// [`Error::DatabaseUnreadable`] if this user may not know.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(found) => Ok(!(found.is_file() && found.len() == 0)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(unreadable(path, error.into())),
        Err(_) => Ok(false),
    }
}

fn unreadable(path: &Path, source: Cause) -> Error {
    Error::DatabaseUnreadable { path: path.display().to_string(), source }
}

/// True if this user may not read a file that is there.
fn may_not_read(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

pub(super) fn at_path(error: Error, path: &Path) -> Error {
    let shown = path.display().to_string();
    match in_file(error, path) {
        Error::NotADatabase { source, .. } => Error::NotADatabase { path: shown, source },
        Error::Database { source }
            if is(&source, ErrorCode::NotADatabase) || (cannot_open(&source) && path.is_dir()) =>
        {
            Error::NotADatabase { path: shown, source: Some(source) }
        }
        Error::Database { source } if cannot_open(&source) && may_not_read(path) => unreadable(path, source),
        // The file exists, so it or SQLite's files beside it cannot be written.
        Error::Database { source } if cannot_open(&source) && path.is_file() => Error::DatabaseReadOnly { source },
        other => other,
    }
}

fn cannot_open(cause: &Cause) -> bool {
    is(cause, ErrorCode::CannotOpen)
}

fn is(cause: &Cause, code: ErrorCode) -> bool {
    let error = cause.downcast_ref::<rusqlite::Error>();
    error.and_then(rusqlite::Error::sqlite_error_code) == Some(code)
}
