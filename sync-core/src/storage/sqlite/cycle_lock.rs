//! The lock file beside a database: one cycle at a time, and none while a backup is put in its place.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::fault::file_error;
use super::place::private;
use crate::error::{Error, Result};
use crate::storage::CycleLock;

/// Locks the database at a real path for a cycle, whether or not there is a file.
pub(super) fn cycle_lock(path: &Path) -> Result<CycleLock> {
    let mut path = path.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let io = |source| lock_failed(&path, source);
    let mut file = private().create(true).read(true).truncate(false).open(&path).map_err(io)?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder is only shown; that it is held is known without it.
            let _ = file.read_to_string(&mut holder);
            return Err(Error::CycleRunning { holder: holder.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(io)?;
    Ok(CycleLock::new(LockedFile(file)))
}

/// Unlocks its file when it is dropped. Closing is not enough: a process that another thread starts at this moment has a copy of
/// the open file, which would keep the lock until that process runs its own program.
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // If it fails, closing the file unlocks it.
        let _ = unlock(&self.0);
    }
}

/// Names the lock file if it belongs to another user: the database itself can be written then, and saying otherwise would mislead.
fn lock_failed(path: &Path, source: std::io::Error) -> Error {
    let what = format!("opening the lock file {}", path.display());
    match source.kind() {
        std::io::ErrorKind::PermissionDenied if path.exists() => Error::Io { what, source: source.into() },
        _ => file_error(what, source),
    }
}

/// Locks a file until it is closed, or says at once that somebody else has it.
#[cfg(not(target_os = "android"))]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    file.try_lock()
}

#[cfg(target_os = "android")]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    try_flock(file)
}

#[cfg(not(target_os = "android"))]
fn unlock(file: &File) -> std::io::Result<()> {
    file.unlock()
}

#[cfg(target_os = "android")]
fn unlock(file: &File) -> std::io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock)?)
}

/// The same by the system call, on Android: there the standard library answers that locks are not supported, although the system has
/// them. It is the call that the standard library makes on Linux, where the tests run it.
#[cfg(any(target_os = "android", all(test, target_os = "linux")))]
fn try_flock(file: &File) -> Result<(), TryLockError> {
    use rustix::fs::{FlockOperation, flock};
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(TryLockError::WouldBlock),
            Err(error) => return Err(TryLockError::Error(error.into())),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
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

    /// As a process has it that was started while the lock was held.
    #[test]
    fn a_copy_of_the_open_file_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.sqlite");
        drop(cycle_lock(&path).unwrap());
        let file = File::open(folder.path().join("site.sqlite.lock")).unwrap();
        try_lock(&file).unwrap();
        let copy = file.try_clone().unwrap();
        assert_eq!(cycle_lock(&path).unwrap_err().code(), "cycle_running");
        drop(LockedFile(file));
        cycle_lock(&path).unwrap();
        drop(copy);
    }

    #[test]
    fn the_lock_of_android_and_that_of_other_systems_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let open = || private().create(true).truncate(false).open(folder.path().join("a.lock")).unwrap();
        type Lock = fn(&File) -> Result<(), TryLockError>;
        let kinds: [Lock; 2] = [try_lock, try_flock];
        for first in kinds {
            for second in kinds {
                let held = open();
                first(&held).unwrap();
                assert!(matches!(second(&open()), Err(TryLockError::WouldBlock)));
                drop(held);
                second(&open()).unwrap();
            }
        }
    }
}
