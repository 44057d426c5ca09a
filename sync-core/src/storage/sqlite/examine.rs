//! Examines a database file without changing it, and opens it read-only.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::wait_for_another;
use super::fault::{at_path, database_error, is_there};
use super::key::{DatabaseKey, named, unlock};
use super::place::{real_path, refuse_hard_links};
use super::schema;
use crate::error::{Error, Result};

/// The most kinds of damage that are reported.
const DAMAGE_MAX: usize = 10;

/// A writer that holds the database longer is reported.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// The properties of a database file.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The version of its schema.
    pub schema: i64,
    /// The schema version of this library.
    pub known: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// A table or a trigger of its schema that is missing.
    pub missing: Option<String>,
    /// Why it cannot be written now.
    pub unwritable: Option<Error>,
}

/// Examines a database file.
pub(crate) fn examine(path: &Path, key: Option<&DatabaseKey>) -> Result<Examined> {
    let path = &real_path(path)?;
    let connection = reading_connection(path, key)?;
    let (schema, known) = schema::version(&connection).map_err(|error| named(error, path, key))?;
    let missing =
        if schema == known { schema::missing(&connection).map_err(|error| named(error, path, key))? } else { None };
    let bytes = path.metadata().map_or(0, |data| data.len());
    // Takes the turn to write and returns it, which writes nothing. Somebody waits for the answer, so the time is
    // short.
    let turn = connection
        .busy_timeout(TURN_WAIT)
        .and_then(|()| connection.pragma_update(None, "query_only", false))
        .and_then(|()| connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK"));
    let unwritable = match turn {
        // There the turn to write is taken without an error.
        Ok(()) if connection.is_readonly("main").unwrap_or(false) => {
            Some(Error::DatabaseReadOnly { source: "it can only be opened to be read".into() })
        }
        turn => turn.map_err(|error| at_path(database_error(error), path)).err(),
    };
    let unwritable = refuse_hard_links(path).err().or(unwritable);
    Ok(Examined { schema, known, bytes, missing, unwritable })
}

/// The damage in a database file, as reported by SQLite; empty for a sound file. Reads the whole file.
pub(crate) fn damage(path: &Path, key: Option<&DatabaseKey>) -> Result<Vec<String>> {
    let path = &real_path(path)?;
    let connection = reading_connection(path, key)?;
    let said = || {
        let mut query = connection.prepare(&format!("PRAGMA quick_check({DAMAGE_MAX})"))?;
        let lines = query.query_map((), |row| row.get::<_, String>(0))?;
        lines.collect::<rusqlite::Result<Vec<String>>>()
    };
    let mut said = said().map_err(|error| at_path(database_error(error), path))?;
    said.retain(|line| line != "ok");
    Ok(said)
}

/// A connection that changes nothing: not the journal mode, not a row, nor the log that another program left.
pub(super) fn reading_connection(path: &Path, key: Option<&DatabaseKey>) -> Result<Connection> {
    if !is_there(path)? {
        return Err(Error::NoDatabase { path: path.display().to_string() });
    }
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    let has_log = log.metadata().is_ok_and(|data| data.len() > 0);
    // With the right to write, because a reader of a database in WAL mode creates files beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        unlock(&connection, key)?;
        connection.busy_handler(Some(wait_for_another))?;
        if has_log {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        only_to_read(connection)
    };
    let opened = match open() {
        // If nothing can be created beside it, and no such file is missing, the file alone is read.
        Err(error) if !has_log && cannot_write_beside(&error) => open_alone(path, key).or(Err(error)),
        opened => opened,
    };
    opened.map_err(|error| named(database_error(error), path, key))
}

/// A read connection, tested.
fn only_to_read(connection: Connection) -> rusqlite::Result<Connection> {
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -2000)?;
    connection.query_row("SELECT count(*) FROM sqlite_master", (), |_| Ok(()))?;
    Ok(connection)
}

fn cannot_write_beside(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// The file alone, without locks and without files beside it.
fn open_alone(path: &Path, key: Option<&DatabaseKey>) -> rusqlite::Result<Connection> {
    let mut address = url::Url::from_file_path(path).map_err(|()| rusqlite::Error::InvalidPath(path.to_owned()))?;
    address.set_query(Some("immutable=1"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(address.as_str(), flags)?;
    unlock(&connection, key)?;
    only_to_read(connection)
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStorage;
    use super::*;
    use crate::storage::Storage as _;
    use crate::storage::state::SITE_NAME;

    #[test]
    fn a_database_that_is_opened_to_be_read_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.sqlite");
        let storage = SqliteStorage::open(&path).unwrap();
        let txn = storage.write().unwrap();
        SITE_NAME.set(txn.as_ref(), "clinic").unwrap();
        txn.commit().unwrap();
        drop(storage);
        let looks = || {
            let mut all: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|file| file.unwrap().path())
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect();
            all.sort();
            all
        };
        // Without its watermark it looks like a restored backup: any other way of opening it would record that.
        std::fs::remove_file(folder.path().join("site.sqlite.watermark")).unwrap();
        let before = looks();
        let found = examine(&path, None).unwrap();
        assert_eq!((found.schema, found.unwritable.is_none()), (found.known, true));
        assert_eq!(damage(&path, None).unwrap(), Vec::<String>::new());
        let storage = SqliteStorage::open_to_read(&path).unwrap();
        assert_eq!(SITE_NAME.find(storage.read().unwrap().as_ref()).unwrap().as_deref(), Some("clinic"));
        assert_eq!(storage.write().err().unwrap().code(), "database_read_only");
        drop(storage);
        assert!(looks() == before, "something changed");
        assert_eq!(SqliteStorage::open_to_read(folder.path().join("none")).unwrap_err().code(), "no_database");
    }

    #[test]
    fn a_database_of_an_older_version_is_not_brought_up_to_date_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.sqlite");
        drop(SqliteStorage::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
        let found = examine(&path, None).unwrap();
        assert!(found.schema == 1 && found.known > 1, "{found:?}");
        assert_eq!(SqliteStorage::open_to_read(&path).unwrap_err().code(), "bad_input");
        assert_eq!(examine(&path, None).unwrap().schema, 1);
    }
}
