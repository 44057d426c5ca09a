//! The watermark: a small file beside the database that is not part of its backups. A restored copy is recognised
//! because it is older.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::fault::database_error;
#[cfg(feature = "postgres")]
use super::fault::file_error;
use super::place::FileIdentity;
use super::place::private;
use crate::changelog::ChangelogGap;
use crate::error::Result;
use crate::record::Cursor;
use crate::storage::sql::{DatabasePosition, left_out};
use crate::storage::state::{FILE_CAME_HERE, LOST, with_gap};

impl DatabasePosition {
    /// The state in the database itself; `None` if nothing was ever committed.
    fn of(connection: &Connection) -> Result<Option<Self>> {
        let state = |key: &str| {
            let sql = "SELECT value FROM sync_state WHERE key = ?1";
            connection.query_row(sql, [key], |row| row.get::<_, String>(0)).optional().map_err(database_error)
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(database) = state("database_id")? else { return Ok(None) };
        let sql = "SELECT CAST(value AS INTEGER) FROM sync_state WHERE key = 'newest_cursor'";
        let newest: Option<i64> = connection.query_row(sql, (), |row| row.get(0)).optional().map_err(database_error)?;
        let newest = Cursor(newest.unwrap_or(0).unsigned_abs());
        Ok(Some(Self { database, commits: number(state("commits")?), newest }).filter(|mark| mark.commits > 0))
    }
}

/// The file. A failure to write it does not fail a commit: the file is then only less useful.
pub(super) struct Watermark {
    file: Option<File>,
    database: String,
    /// The number of the database's file on its disk, if the system has one.
    inode: Option<u64>,
    /// The number of the watermark's own file. It tells a folder that was copied from a database that was put back beside its
    /// watermark.
    own_inode: Option<u64>,
}

impl Watermark {
    /// A watermark that stores nothing.
    pub(super) fn none() -> Self {
        Self { file: None, database: String::new(), inode: None, own_inode: None }
    }

    /// Opens the file beside a database, and records in the database if it is older than the file.
    pub(super) fn open(path: &Path, connection: &mut Connection) -> Result<Self> {
        let beside = path_for(path);
        // Read before the database: another process may commit in between, which makes the database the newer one.
        let text = std::fs::read_to_string(&beside).ok();
        let known = text.as_deref().and_then(DatabasePosition::parse);
        let inode = FileIdentity::of(path).map(|identity| identity.inode);
        if let Some(found) = DatabasePosition::of(connection)? {
            if went_back(&found, known.as_ref()).is_some() {
                say_so(connection, known.as_ref())?;
            } else if is_elsewhere(&beside, inode, text.as_deref(), &found) {
                came_here(connection)?;
            }
        }
        let file = private().create(true).truncate(false).open(&beside).ok();
        let own_inode = FileIdentity::behind(&beside).map(|identity| identity.inode);
        let sql = "SELECT value FROM sync_state WHERE key = 'database_id'";
        let database: Option<String> =
            connection.query_row(sql, (), |row| row.get(0)).optional().map_err(database_error)?;
        let mut watermark = Self { file, database: database.unwrap_or_default(), inode, own_inode };
        if let Some(mark) = DatabasePosition::of(connection)? {
            watermark.rise(mark.commits, mark.newest);
        }
        Ok(watermark)
    }

    /// Records a commit.
    pub(super) fn rise(&mut self, commits: u64, newest: Cursor) {
        let mark = DatabasePosition { database: self.database.clone(), commits, newest };
        if let Some(file) = &mut self.file {
            let mut text = mark.text();
            if let Some(inode) = self.inode {
                text.push_str(&format!("{inode:020}\n"));
                // Also of constant length. An older version leaves it as it is.
                text.push_str(&format!("{:020}\n", self.own_inode.unwrap_or(0)));
            }
            let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(text.as_bytes()));
            if written.is_err() {
                self.file = None;
            }
        }
    }
}

/// A watermark that an older version kept beside a symbolic link moves to the database: without it the database would
/// count as restored.
pub(super) fn bring_watermark(given: &Path, real: &Path) {
    let Ok(given) = std::path::absolute(given) else { return };
    let new = path_for(real);
    if given == real || new.exists() || !real.exists() {
        return;
    }
    let old = path_for(&given);
    // If it cannot be moved, the only cost is another reading.
    let _ = std::fs::rename(&old, &new).or_else(|_| std::fs::copy(&old, &new).map(|_| ()));
}

/// Writes the watermark of a database that is about to have this position.
///
/// # Errors
/// It cannot be written: the database would count as restored.
#[cfg(feature = "postgres")]
pub(super) fn write(path: &Path, position: &DatabasePosition) -> Result<()> {
    let beside = path_for(path);
    let failed = |error| file_error(format!("writing {}", beside.display()), error);
    let file = private().create(true).truncate(false).open(&beside).map_err(failed)?;
    let inode = FileIdentity::of(path).map(|identity| identity.inode);
    let own_inode = FileIdentity::behind(&beside).map(|identity| identity.inode);
    let mut watermark = Watermark { file: Some(file), database: position.database.clone(), inode, own_inode };
    watermark.rise(position.commits, position.newest);
    match watermark.file {
        Some(file) => file.sync_all().map_err(failed),
        None => Err(failed(std::io::ErrorKind::WriteZero.into())),
    }
}

/// Takes the number of the file out of the watermark of a database that gets another file.
pub(super) fn forget_inode(path: &Path) {
    let path = path_for(path);
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let Some(mark) = DatabasePosition::parse(&text) else { return };
    // If it cannot be written, the only cost is that the file counts as copied here.
    let _ = std::fs::write(path, mark.text());
}

/// The watermark of a database.
pub(super) fn path_for(path: &Path) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(".watermark");
    path.into()
}

/// The number of the file for which the watermark was written; an older version wrote none.
fn inode_in(text: &str) -> Option<u64> {
    text.split_whitespace().nth(3)?.parse().ok()
}

/// True if the watermark is still the file that it was when it was written: only the database beside it has another file. Such a
/// database was put back in its last state, as from a backup that was made at the end of a day.
fn is_own(beside: &Path, text: Option<&str>) -> bool {
    let now = FileIdentity::behind(beside).map(|identity| identity.inode);
    let then: Option<u64> = text.and_then(|text| text.split_whitespace().nth(4)?.parse().ok());
    now.is_some() && now == then
}

/// Records in the database that its file is not the one for which the watermark was written: both were moved or copied
/// here. The original of a copy may still run.
fn came_here(connection: &Connection) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, '1')";
    connection.execute(sql, [FILE_CAME_HERE.name()]).map(|_| ()).map_err(database_error)
}

/// True if a database was moved or copied here with its watermark, as opening it to write would find.
pub(super) fn has_come_here(path: &Path, connection: &Connection) -> Result<bool> {
    let beside = path_for(path);
    let text = std::fs::read_to_string(&beside).ok();
    let known = text.as_deref().and_then(DatabasePosition::parse);
    let inode = FileIdentity::of(path).map(|identity| identity.inode);
    let found = DatabasePosition::of(connection)?;
    Ok(found.is_some_and(|found| {
        went_back(&found, known.as_ref()).is_none() && is_elsewhere(&beside, inode, text.as_deref(), &found)
    }))
}

/// True if the watermark was written for another file than that of the database with this inode.
fn is_elsewhere(beside: &Path, inode: Option<u64>, text: Option<&str>, found: &DatabasePosition) -> bool {
    let known = text.and_then(DatabasePosition::parse);
    inode.zip(text.and_then(inode_in)).is_some_and(|(now, then)| now != then)
        && !(known.as_ref() == Some(found) && is_own(beside, text))
}

/// The newest cursor that may have been used, if a database is older than its watermark.
fn went_back(found: &DatabasePosition, known: Option<&DatabasePosition>) -> Option<Cursor> {
    match known {
        Some(known) if known.database == found.database => {
            (known.commits > found.commits).then_some(known.newest.max(found.newest))
        }
        // A database that was brought here: it may be a backup.
        _ => Some(Cursor(found.newest.0.saturating_add(left_out(found.newest)))),
    }
}

/// Records in the database that it was restored, if that is still so.
fn say_so(connection: &mut Connection, known: Option<&DatabasePosition>) -> Result<()> {
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database_error)?;
    let Some(found) = DatabasePosition::of(&txn)? else { return Ok(()) };
    let Some(given_out) = went_back(&found, known) else { return Ok(()) };
    let set = |key: &str, value: &dyn rusqlite::ToSql| {
        txn.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", (key, value))
            .map_err(database_error)
    };
    let sql = "SELECT value FROM sync_state WHERE key = ?1";
    let before: Option<String> =
        txn.query_row(sql, [LOST.name()], |row| row.get(0)).optional().map_err(database_error)?;
    let lost = ChangelogGap { after: found.newest, before: given_out.next() };
    set(LOST.name(), &with_gap(before.as_deref(), lost))?;
    set("newest_cursor", &i64::try_from(lost.before.0).unwrap_or(i64::MAX))?;
    set("commits", &(known.map_or(0, |mark| mark.commits).max(found.commits) + 1).to_string())?;
    txn.commit().map_err(database_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(database: &str, commits: u64, newest: u64) -> DatabasePosition {
        DatabasePosition { database: database.to_owned(), commits, newest: Cursor(newest) }
    }

    #[test]
    fn only_an_older_database_went_back() {
        let found = mark("a", 10, 100);
        for (known, given_out) in [
            (Some(mark("a", 10, 100)), None),
            (Some(mark("a", 9, 90)), None),
            (Some(mark("a", 11, 100)), Some(100)),
            (Some(mark("a", 11, 170)), Some(170)),
            (Some(mark("b", 5, 7)), Some(1_000_100)),
            (None, Some(1_000_100)),
        ] {
            assert_eq!(went_back(&found, known.as_ref()), given_out.map(Cursor), "{known:?}");
        }
    }
}
