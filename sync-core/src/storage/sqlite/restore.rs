//! Puts a backup in the place of a database.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::SqliteStorage;
use super::backup::copy_into;
use super::cycle_lock::cycle_lock;
use super::examine::{damage, examine, reading_connection};
use super::fault::{alone_in_file, at_path, database_error, file_error};
use super::key::{DatabaseKey, named, unlock};
use super::place::{beside, create_private, real_path};
use super::watermark::forget_inode;
use crate::error::{Error, Result};

/// How long to wait for another program that has the database open, in case it is about to end.
pub(super) const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// Copies a backup to `path`, and moves the database that is there to `aside`; both have the same key. Until the last step the database stays as
/// it is. The watermark beside it stays too, so the database is recognised as restored when it is opened.
///
/// # Errors
/// `aside` is taken; those of [`check_backup`]; a cycle runs; another program has the database
/// open; a file cannot be written.
pub(crate) fn restore(backup: &Path, path: &Path, aside: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    let path = &real_path(path)?;
    if aside.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists).into();
        return Err(Error::Io { what: format!("making {}", aside.display()), source });
    }
    check_backup(backup, key)?;
    let _lock = cycle_lock(path)?;
    let others = path.exists().then(|| close_log(path, key)).transpose();
    others.or_else(|error| if is_damaged(&error) { Ok(None) } else { Err(error) })?;
    let new = beside(path, ".restoring");
    // What an interrupted restore left.
    let _ = std::fs::remove_file(&new);
    let copied = copy(backup, &new, key).and_then(|()| {
        // The new file has another number, and is no copy that came from elsewhere.
        forget_inode(path);
        put_in_place(&new, path, aside)
    });
    copied.inspect_err(|_| {
        let _ = std::fs::remove_file(&new);
    })
}

/// Checks that a file is a sound database that this version can open. Reads all of it, and changes nothing.
///
/// # Errors
/// [`Error::BackupDamaged`]; there is no file, or it is not one of ours, or of a newer schema; it cannot be read.
pub(crate) fn check_backup(backup: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    examine(backup, key)?;
    let damaged = |what: String| Error::BackupDamaged { path: backup.display().to_string(), what };
    match damage(backup, key) {
        Ok(found) => found.into_iter().next().map_or(Ok(()), |what| Err(damaged(what))),
        Err(Error::Database { source }) => Err(damaged(source.to_string())),
        Err(other) => Err(other),
    }
}

impl SqliteStorage {
    /// Checks that a copy of this database is sound.
    pub(crate) fn check_copy(&self, copy: &Path) -> Result<()> {
        check_backup(copy, self.key.as_ref())
    }
}

fn copy(backup: &Path, new: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    create_private(new)?;
    let from = reading_connection(backup, key)?;
    copy_into(&from, new, key).map_err(|error| at_path(error, new))
}

/// Merges SQLite's log into the database and removes it. This needs the database for itself alone.
fn close_log(path: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    let close = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        unlock(&connection, key)?;
        connection.busy_timeout(OTHERS_WAIT)?;
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)
    };
    close().map_err(|error| named(alone_in_file(database_error(error), path), path, key))
}

/// True for a database that cannot be read, with or without its log.
fn is_damaged(error: &Error) -> bool {
    matches!(
        error,
        Error::NotADatabase { .. }
            | Error::DatabaseKeyRefused { .. }
            | Error::DatabaseNotEncrypted { .. }
            | Error::Database { .. }
    )
}

fn put_in_place(new: &Path, path: &Path, aside: &Path) -> Result<()> {
    let failed = |error| file_error(format!("putting {} in place", path.display()), error);
    if path.exists() {
        // Under both names for a moment, so that an interruption leaves one of the two databases at the path.
        std::fs::hard_link(path, aside).or_else(|_| std::fs::rename(path, aside)).map_err(failed)?;
        // Those of a database that could not be opened: beside the restored one they would be taken for its own.
        for suffix in ["-wal", "-shm"] {
            let log = beside(path, suffix);
            if log.exists() {
                std::fs::rename(log, beside(aside, suffix)).map_err(failed)?;
            }
        }
    }
    std::fs::rename(new, path).map_err(failed)?;
    // Some systems cannot sync a folder; there the rename is as safe as it can be.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::SqliteStorage;
    use super::*;
    use crate::storage::state::{FILE_CAME_HERE, SITE_NAME};
    use crate::storage::{Storage as _, changelog_gaps};

    fn name(storage: &SqliteStorage, name: &str) {
        let txn = storage.write().unwrap();
        SITE_NAME.set(txn.as_ref(), name).unwrap();
        txn.commit().unwrap();
    }

    fn name_in(path: &Path) -> Option<String> {
        let storage = SqliteStorage::open_existing(path).unwrap();
        SITE_NAME.find(storage.read().unwrap().as_ref()).unwrap()
    }

    /// A database named `later`, and a backup of it from when it was named `early`.
    fn world() -> (tempfile::TempDir, SqliteStorage, [PathBuf; 3]) {
        let folder = tempfile::tempdir().unwrap();
        let [path, backup, aside] = ["site", "backup", "aside"].map(|name| folder.path().join(name));
        let storage = SqliteStorage::open(&path).unwrap();
        name(&storage, "early");
        storage.back_up(&backup).unwrap();
        name(&storage, "later");
        (folder, storage, [path, backup, aside])
    }

    #[test]
    fn a_backup_takes_the_place_of_the_database_and_is_recognised() {
        let (_folder, storage, [path, backup, aside]) = world();
        drop(storage);
        restore(&backup, &path, &aside, None).unwrap();
        assert_eq!(name_in(&aside).as_deref(), Some("later"), "the former database is whole");
        assert_eq!(name_in(&backup).as_deref(), Some("early"), "the backup stays");
        let storage = SqliteStorage::open_existing(&path).unwrap();
        let txn = storage.read().unwrap();
        assert_eq!(SITE_NAME.find(txn.as_ref()).unwrap().as_deref(), Some("early"));
        assert_eq!(changelog_gaps(txn.as_ref()).unwrap().len(), 1, "it knows that it was restored");
    }

    #[test]
    fn a_restored_database_is_no_copy_that_came_here_and_a_copied_folder_is_one() {
        let came_here = |path: &Path| {
            let storage = SqliteStorage::open_existing(path).unwrap();
            FILE_CAME_HERE.get(storage.read().unwrap().as_ref()).unwrap().is_some()
        };
        let (folder, storage, [path, backup, aside]) = world();
        let newest = folder.path().join("newest");
        storage.back_up(&newest).unwrap();
        drop(storage);
        restore(&backup, &path, &aside, None).unwrap();
        assert!(!came_here(&path), "of an older state");

        // A backup of the last state, put back by this program and by another one.
        let [last, aside] = ["last", "aside 2"].map(|name| folder.path().join(name));
        SqliteStorage::open_existing(&path).unwrap().back_up(&last).unwrap();
        restore(&last, &path, &aside, None).unwrap();
        assert!(!came_here(&path), "of the last state");
        std::fs::rename(&last, &path).unwrap();
        assert!(!came_here(&path), "put back by hand");

        // The original may still run.
        let elsewhere = folder.path().join("elsewhere");
        for suffix in ["", ".watermark"] {
            std::fs::copy(beside(&path, suffix), beside(&elsewhere, suffix)).unwrap();
        }
        assert!(came_here(&elsewhere));
    }

    #[test]
    fn nothing_is_replaced_while_a_program_has_the_database_open() {
        let (folder, storage, [path, backup, aside]) = world();
        assert_eq!(restore(&backup, &path, &aside, None).unwrap_err().code(), "database_busy");
        let lock = storage.lock_cycle().unwrap();
        assert_eq!(restore(&backup, &path, &aside, None).unwrap_err().code(), "cycle_running");
        drop((lock, storage));
        std::fs::write(&aside, "").unwrap();
        assert_eq!(restore(&backup, &path, &aside, None).unwrap_err().code(), "io_failed", "nothing is overwritten");
        assert_eq!(name_in(&path).as_deref(), Some("later"));
        assert!(!folder.path().join("site.restoring").exists());
    }

    #[test]
    fn a_damaged_backup_is_refused_and_a_damaged_database_is_replaced() {
        let (_folder, storage, [path, backup, aside]) = world();
        drop(storage);
        let sound = std::fs::read(&backup).unwrap();
        let mut damaged = sound.clone();
        damaged[4096..3 * 4096].fill(0x55);
        std::fs::write(&backup, damaged).unwrap();
        assert_eq!(restore(&backup, &path, &aside, None).unwrap_err().code(), "backup_damaged");
        assert_eq!(name_in(&path).as_deref(), Some("later"));
        assert!(!aside.exists());
        std::fs::write(&backup, sound).unwrap();
        std::fs::write(&path, "not a database, and longer than the head of one: ".repeat(20)).unwrap();
        restore(&backup, &path, &aside, None).unwrap();
        assert_eq!(name_in(&path).as_deref(), Some("early"));
        assert!(std::fs::read(&aside).unwrap().starts_with(b"not a database"));
    }
}
