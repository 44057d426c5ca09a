//! A copy of the database at one moment, while it is in use.

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SqliteStorage;
use super::connection::{BUSY_TRIES, BUSY_WAIT, ReadConnection};
use super::fault::{at_path, database_error, file_error};
use super::key::{DatabaseKey, unlock};
use super::place::create_private;
use crate::error::{Error, Result};

impl SqliteStorage {
    /// Copies the whole database into a new file that only its owner can read, because it contains all data, including
    /// the hash of the site's password.
    ///
    /// # Errors
    /// [`Error::Io`] if the file exists already; `disk_full`; the database failed. No file is left behind then.
    pub(crate) fn back_up(&self, to: &Path) -> Result<()> {
        if to.exists() {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists).into();
            return Err(Error::Io { what: format!("making {}", to.display()), source });
        }
        create_private(to)?;
        let from = self.reader()?;
        copy_into(&from, to, self.key.as_ref()).map_err(|error| at_path(error, to)).inspect_err(|_| {
            // Half a copy is useless, and so are SQLite's journal files. An error while removing them is not the one to
            // report.
            let _ = std::fs::remove_file(to);
            let mut journal = to.as_os_str().to_owned();
            journal.push("-journal");
            let _ = std::fs::remove_file(journal);
        })?;
        drop(ReadConnection::new(&self.readers, from));
        Ok(())
    }
}

/// Copies a whole database into an empty file, which gets the same key, and syncs that to the disk.
pub(super) fn copy_into(from: &Connection, to: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(database_error)?;
    unlock(&copy, key).map_err(database_error)?;
    {
        let backup = Backup::new(from, &mut copy).map_err(database_error)?;
        let mut tries = 0;
        // In one step: later writes of others are not in it, and do not restart it.
        while backup.step(-1).map_err(database_error)? != StepResult::Done {
            tries += 1;
            if tries > BUSY_TRIES {
                return Err(Error::DatabaseBusy { source: "another program keeps it".into() });
            }
            std::thread::sleep(BUSY_WAIT);
        }
    }
    copy.close().map_err(|(_, error)| database_error(error))?;
    sync_file(to).map_err(|error| file_error(format!("writing {}", to.display()), error))
}

/// Syncs a file to the disk. Windows does that only for who may write the file.
pub(super) fn sync_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage as _;
    use crate::storage::state::SITE_NAME;

    #[test]
    fn a_copy_holds_what_was_committed_and_never_takes_the_place_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(folder.path().join("site.sqlite")).unwrap();
        let txn = storage.write().unwrap();
        SITE_NAME.set(txn.as_ref(), "clinic").unwrap();
        txn.commit().unwrap();
        let to = folder.path().join("copy.sqlite");
        storage.back_up(&to).unwrap();
        let txn = storage.write().unwrap();
        SITE_NAME.set(txn.as_ref(), "later").unwrap();
        txn.commit().unwrap();
        let copy = SqliteStorage::open_existing(&to).unwrap();
        assert_eq!(SITE_NAME.find(copy.read().unwrap().as_ref()).unwrap().as_deref(), Some("clinic"));
        assert_eq!(storage.back_up(&to).unwrap_err().code(), "io_failed");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o077, 0, "for its owner only");
        }
    }
}
