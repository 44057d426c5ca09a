//! The only connection to a database file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::key::{DatabaseKey, unlock};
use super::restore::OTHERS_WAIT;
use super::schema;
use crate::error::Result;

/// Opens the only connection to a database, with all that is in its log merged into the file. The inner error is of a file that is none of
/// ours, or of a newer version; it stays as it is.
pub(super) fn alone(path: &Path, key: Option<&DatabaseKey>) -> rusqlite::Result<Result<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    unlock(&connection, key)?;
    connection.busy_timeout(OTHERS_WAIT)?;
    if let Err(error) = schema::version(&connection) {
        return Ok(Err(error));
    }
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    // The lock stays until the connection is closed.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    Ok(Ok(connection))
}
