//! A lock on a file that one process at a time holds, on every system. A process that is killed holds it no longer.

use std::fs::{File, TryLockError};

/// A locked file. It is unlocked when this is dropped. Closing is not enough: a process that another thread starts at this moment
/// has a copy of the open file, which would keep the lock until that process runs its own program.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl LockedFile {
    /// Locks a file.
    ///
    /// # Errors
    /// Somebody else holds it, or the system refuses; the file is given back, because it may say who holds it.
    pub(crate) fn lock(file: File) -> std::result::Result<Self, (File, TryLockError)> {
        match try_lock(&file) {
            Ok(()) => Ok(Self(file)),
            Err(error) => Err((file, error)),
        }
    }

    /// The file.
    #[cfg(feature = "sqlite")]
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // If it fails, closing the file unlocks it.
        let _ = unlock(&self.0);
    }
}

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

    fn opener() -> (tempfile::TempDir, impl Fn() -> File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        (folder, move || File::options().create(true).truncate(false).write(true).open(&path).unwrap())
    }

    /// As a process has it that was started while the lock was held.
    #[test]
    fn a_copy_of_the_open_file_does_not_keep_the_lock() {
        let (_folder, open) = opener();
        let file = open();
        let copy = file.try_clone().unwrap();
        let held = LockedFile::lock(file).unwrap();
        let (_, error) = LockedFile::lock(open()).unwrap_err();
        assert!(matches!(error, TryLockError::WouldBlock));
        drop(held);
        LockedFile::lock(open()).unwrap();
        drop(copy);
    }

    #[test]
    fn the_lock_of_android_and_that_of_other_systems_exclude_each_other() {
        let (_folder, open) = opener();
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
