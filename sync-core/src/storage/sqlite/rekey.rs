//! Gives a database file another key, or its first one.

use std::path::Path;

use rusqlite::Connection;

use super::alone::alone;
use super::backup::sync_file;
use super::cycle_lock::cycle_lock;
use super::fault::{alone_in_file, database_error, file_error};
use super::key::{DatabaseKey, named};
use super::place::{beside, create_private, real_path};
use super::watermark::forget_inode;
use crate::error::{Error, Result};

/// Changes the key of the database at `path` from `old`, where `None` stands for a file that is not encrypted, to `new`.
///
/// # Errors
/// There is no database; `old` is not its key; a cycle runs, or another program has it open; the file cannot be written. The database
/// has its old key then.
pub(crate) fn change_key(path: &Path, old: Option<&DatabaseKey>, new: &DatabaseKey) -> Result<()> {
    let path = &real_path(path)?;
    if !path.exists() {
        return Err(Error::NoDatabase { path: path.display().to_string() });
    }
    let _lock = cycle_lock(path)?;
    let opened = alone(path, old).map_err(|error| named(alone_in_file(database_error(error), path), path, old))?;
    let connection = opened.map_err(|error| named(error, path, old))?;
    match old {
        Some(_) => connection
            .execute_batch(&format!("PRAGMA rekey = {}", new.quoted()))
            .map_err(|error| named(database_error(error), path, old)),
        None => encrypt(&connection, path, new),
    }
}

/// Writes an encrypted copy, and puts it in the place of the file.
fn encrypt(connection: &Connection, path: &Path, key: &DatabaseKey) -> Result<()> {
    let new = beside(path, ".encrypting");
    // What an interrupted change left.
    let _ = std::fs::remove_file(&new);
    create_private(&new)?;
    let done = copy_encrypted(connection, &new, key)
        .map_err(|error| named(database_error(error), path, None))
        .and_then(|()| {
            let failed = |error| file_error(format!("putting {} in place", path.display()), error);
            sync_file(&new).map_err(failed)?;
            // The new file has another number on the disk, which is no sign of a copy here.
            forget_inode(path);
            std::fs::rename(&new, path).map_err(failed)
        });
    done.inspect_err(|_| {
        let _ = std::fs::remove_file(&new);
    })
}

fn copy_encrypted(connection: &Connection, new: &Path, key: &DatabaseKey) -> rusqlite::Result<()> {
    let name = new.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(new.to_owned()))?;
    connection.execute(&format!("ATTACH DATABASE ?1 AS encrypted KEY {}", key.quoted()), [name])?;
    connection.query_row("SELECT sqlcipher_export('encrypted')", (), |_| Ok(()))?;
    for pragma in ["user_version", "application_id"] {
        let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
        connection.pragma_update(Some("encrypted"), pragma, value)?;
    }
    connection.execute_batch("DETACH DATABASE encrypted")
}

#[cfg(test)]
mod tests {
    use super::super::{SqliteStorage, check_backup, restore};
    use super::*;
    use crate::storage::state::SITE_NAME;
    use crate::storage::{Storage as _, changelog_gaps};

    fn write(storage: &SqliteStorage, name: &str) {
        let txn = storage.write().unwrap();
        SITE_NAME.set(txn.as_ref(), name).unwrap();
        txn.commit().unwrap();
    }

    fn name(storage: &SqliteStorage) -> Option<String> {
        SITE_NAME.find(storage.read().unwrap().as_ref()).unwrap()
    }

    fn opened(path: &Path, key: Option<&DatabaseKey>) -> Result<SqliteStorage> {
        SqliteStorage::open_keyed(path, key.cloned())
    }

    fn holds(path: &Path, text: &str) -> bool {
        std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
    }

    fn keys() -> [DatabaseKey; 2] {
        [DatabaseKey::of_bytes(&[7; 32]), DatabaseKey::of_passphrase("it's a \"secret\"").unwrap()]
    }

    #[test]
    fn an_encrypted_file_shows_nothing_and_opens_with_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (number, key) in keys().iter().enumerate() {
            let path = folder.path().join(format!("{number}.sqlite"));
            let storage = opened(&path, Some(key)).unwrap();
            write(&storage, "Miriam's clinic");
            for file in [path.clone(), beside(&path, "-wal")] {
                assert!(!holds(&file, "Miriam") && !holds(&file, "SQLite format"), "{}", file.display());
            }
            assert_eq!(name(&storage).as_deref(), Some("Miriam's clinic"), "a reader has the key too");
            drop(storage);
            let before = std::fs::read(&path).unwrap();
            let wrong = opened(&path, Some(&DatabaseKey::of_bytes(&[8; 32]))).unwrap_err();
            assert_eq!((wrong.code(), wrong.class().as_str()), ("database_key_refused", "configure"));
            assert!(wrong.to_string().contains("sqlite") && !wrong.advice().is_empty(), "{wrong}");
            let without = opened(&path, None).unwrap_err();
            assert!(without.code() == "not_a_database" && without.advice().contains("its key"), "{without}");
            let read_only = SqliteStorage::open_to_read_keyed(&path, Some(DatabaseKey::of_bytes(&[8; 32])));
            assert_eq!(read_only.unwrap_err().code(), "database_key_refused");
            assert!(std::fs::read(&path).unwrap() == before, "nothing was changed");
            let read_only = SqliteStorage::open_to_read_keyed(&path, Some(key.clone())).unwrap();
            assert_eq!(name(&read_only).as_deref(), Some("Miriam's clinic"));
        }
    }

    #[test]
    fn a_key_is_changed_while_nobody_has_the_database_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.sqlite");
        let [first, second] = keys();
        let storage = opened(&path, Some(&first)).unwrap();
        write(&storage, "clinic");
        assert_eq!(change_key(&path, Some(&first), &second).unwrap_err().code(), "database_busy");
        drop(storage);
        assert_eq!(change_key(&path, Some(&second), &first).unwrap_err().code(), "database_key_refused");
        change_key(&path, Some(&first), &second).unwrap();
        assert_eq!(opened(&path, Some(&first)).unwrap_err().code(), "database_key_refused");
        let storage = opened(&path, Some(&second)).unwrap();
        assert_eq!(name(&storage).as_deref(), Some("clinic"));
        assert_eq!(changelog_gaps(storage.read().unwrap().as_ref()).unwrap(), [], "it is no backup");
        let missing = folder.path().join("none");
        assert_eq!(change_key(&missing, None, &first).unwrap_err().code(), "no_database");
    }

    #[test]
    fn a_plain_database_gets_its_first_key_and_stays_the_same_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.sqlite");
        let [key, _] = keys();
        let storage = opened(&path, None).unwrap();
        write(&storage, "Miriam's clinic");
        drop(storage);
        assert!(holds(&path, "Miriam"));
        let none_yet = opened(&path, Some(&key)).unwrap_err();
        assert_eq!(none_yet.code(), "database_not_encrypted");
        assert!(none_yet.advice().contains("change_key") && !none_yet.advice().contains("new file"), "{none_yet}");
        assert_eq!(change_key(&path, Some(&key), &key).unwrap_err().code(), "database_not_encrypted");
        change_key(&path, None, &key).unwrap();
        assert!(!holds(&path, "Miriam"));
        let storage = opened(&path, Some(&key)).unwrap();
        assert_eq!(name(&storage).as_deref(), Some("Miriam's clinic"));
        let txn = storage.read().unwrap();
        assert_eq!(changelog_gaps(txn.as_ref()).unwrap(), [], "it is no backup");
        assert_eq!(crate::storage::state::FILE_CAME_HERE.get(txn.as_ref()).unwrap(), None, "and no copy");
        drop(txn);
        write(&storage, "later");
        let other = folder.path().join("of another program");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (id)").unwrap();
        assert_eq!(change_key(&other, None, &key).unwrap_err().code(), "not_a_database");
    }

    #[test]
    fn a_backup_has_the_key_of_its_database() {
        let folder = tempfile::tempdir().unwrap();
        let [path, backup, aside] = ["site", "backup", "aside"].map(|name| folder.path().join(name));
        let [key, wrong] = keys();
        let storage = opened(&path, Some(&key)).unwrap();
        write(&storage, "Miriam");
        storage.back_up(&backup).unwrap();
        write(&storage, "later");
        drop(storage);
        assert!(!holds(&backup, "Miriam"));
        assert_eq!(check_backup(&backup, Some(&wrong)).unwrap_err().code(), "database_key_refused");
        check_backup(&backup, Some(&key)).unwrap();
        restore(&backup, &path, &aside, Some(&key)).unwrap();
        assert_eq!(name(&opened(&path, Some(&key)).unwrap()).as_deref(), Some("Miriam"));
        assert_eq!(name(&opened(&aside, Some(&key)).unwrap()).as_deref(), Some("later"));
    }

    /// A database of another key may be whole, and that of another site.
    #[test]
    fn a_backup_does_not_take_the_place_of_a_database_with_another_key_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other, plain, aside] = ["site", "other", "plain", "aside"].map(|name| folder.path().join(name));
        let [key, another] = keys();
        write(&opened(&other, Some(&another)).unwrap(), "depot");
        write(&opened(&plain, None).unwrap(), "shop");
        let storage = opened(&path, Some(&key)).unwrap();
        write(&storage, "clinic");
        let backup = folder.path().join("backup");
        storage.back_up(&backup).unwrap();
        drop(storage);
        let of_key = || crate::Replica::builder().key(key.clone());
        let plain_backup = folder.path().join("plain backup");
        opened(&plain, None).unwrap().back_up(&plain_backup).unwrap();
        let refused = |outcome: Result<()>| outcome.unwrap_err().code();
        assert_eq!(refused(of_key().restore(&backup, &other, &aside)), "database_key_refused");
        assert_eq!(refused(of_key().restore(&backup, &plain, &aside)), "database_not_encrypted");
        assert_eq!(refused(crate::Replica::restore(&plain_backup, &other, &aside)), "not_a_database");
        assert!(!aside.exists());
        of_key().replace_another().restore(&backup, &plain, &aside).unwrap();
        assert_eq!(name(&opened(&aside, None).unwrap()).as_deref(), Some("shop"));
        assert_eq!(name(&opened(&plain, Some(&key)).unwrap()).as_deref(), Some("clinic"));
    }

    #[test]
    fn a_key_is_not_shown_and_a_text_must_be_one() {
        for key in keys() {
            assert_eq!(format!("{key:?}"), "DatabaseKey(…)");
        }
        for text in ["", "x'00'", "a\0b"] {
            assert_eq!(DatabaseKey::of_passphrase(text).unwrap_err().code(), "bad_input");
        }
    }
}
