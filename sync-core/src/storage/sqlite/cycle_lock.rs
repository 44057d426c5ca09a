//! The lock file beside a database: one cycle at a time, and none while a backup is put in its place.

use std::fs::TryLockError;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::fault::file_error;
use super::place::private;
use crate::error::{Error, Result};
use crate::file_lock::LockedFile;
use crate::storage::CycleLock;

/// Locks the database at a real path for a cycle, whether or not there is a file.
pub(super) fn cycle_lock(path: &Path) -> Result<CycleLock> {
    let mut path = path.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let io = |source| lock_failed(&path, source);
    let file = private().create(true).read(true).truncate(false).open(&path).map_err(io)?;
    let mut locked = match LockedFile::lock(file) {
        Ok(locked) => locked,
        Err((mut file, TryLockError::WouldBlock)) => {
            let mut holder = String::new();
            // The holder is only shown; that it is held is known without it.
            let _ = file.read_to_string(&mut holder);
            return Err(Error::CycleRunning { holder: holder.trim().parse().ok() });
        }
        Err((_, TryLockError::Error(source))) => return Err(io(source)),
    };
    let file = locked.file();
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(io)?;
    Ok(CycleLock::new(locked))
}

/// Names the lock file if it belongs to another user: the database itself can be written then, and saying otherwise would mislead.
fn lock_failed(path: &Path, source: std::io::Error) -> Error {
    let what = format!("opening the lock file {}", path.display());
    match source.kind() {
        std::io::ErrorKind::PermissionDenied if path.exists() => Error::Io { what, source: source.into() },
        _ => file_error(what, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_of_another_user_is_named_and_the_database_is_not_called_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("central.sqlite.lock");
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        // It cannot be made: the folder cannot be written.
        assert_eq!(lock_failed(&path, denied()).code(), "database_read_only");
        std::fs::write(&path, "").unwrap();
        let error = lock_failed(&path, denied());
        assert_eq!(error.code(), "io_failed");
        assert!(error.to_string().contains("central.sqlite.lock"), "{error}");
    }
}
