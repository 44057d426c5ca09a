//! Sorts errors of SQLite, and of files beside its own, by who must act.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Cause, Error};

/// Sorts errors of files beside SQLite's own by who must act.
pub(super) fn file_error(what: String, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let (kind, source) = (error.kind(), error.into());
    match kind {
        StorageFull => Error::DiskFull { source },
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

pub(super) fn at_path(error: Error, path: &Path) -> Error {
    let shown = path.display().to_string();
    match error {
        Error::NotADatabase { source, .. } => Error::NotADatabase { path: shown, source },
        Error::Database { source }
            if is(&source, ErrorCode::NotADatabase) || (cannot_open(&source) && path.is_dir()) =>
        {
            Error::NotADatabase { path: shown, source: Some(source) }
        }
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
