//! The lock file beside a database: one cycle at a time, and none while a backup is put in its place.

use std::fs::TryLockError;
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::fault::file_error;
use super::place::private;
use crate::error::{Error, Result};
use crate::storage::CycleLock;

/// Locks the database at a real path for a cycle, whether or not there is a file.
pub(super) fn cycle_lock(path: &Path) -> Result<CycleLock> {
    let mut path = path.as_os_str().to_owned();
    path.push(".lock");
    let io = |source: std::io::Error| file_error("locking the database".to_owned(), source);
    let mut file = private().create(true).read(true).truncate(false).open(path).map_err(io)?;
    match file.try_lock() {
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
    Ok(CycleLock::new(file))
}
