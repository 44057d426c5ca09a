//! Moves a central server's database between a SQLite file and a PostgreSQL server.
//!
//! The rows are copied in the order of their keys, each batch in a transaction, so the last key of a table says where an
//! interrupted copy goes on. The copy is marked as unfinished until it was compared with its original, and until the original is
//! marked as moved: at no moment can both be used, and at each moment one of them can be used or the migration be continued.

mod compare;
mod report;

use std::ops::ControlFlow;
use std::path::PathBuf;

pub use self::report::{CopiedRows, MigrationProgress, MigrationReport, MigrationStep};
use super::copied::End;
use super::copied::tables::{TABLES, Value};
use super::marks::{self, CopiedFrom, MovedTo, copied_from, moved_to, text_of};
use super::postgres::ServerEnd;
use super::sql::DatabasePosition;
use super::sqlite::FileEnd;
use super::state::{HAS_HOOK, ROLE, SettingValue as _};
use super::{DatabaseKey, PostgresAddress};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::text::sentences::{error_detail, input};

/// The most rows of a batch.
const BATCH_ROWS: usize = 4000;
/// A batch ends once its values take so many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// The commits by which a copy is ahead of its original: one marks the original, one is that of the copy.
const AHEAD: u64 = 2;

/// A database, as an end of a [migration](crate::ReplicaBuilder::migrate).
#[derive(Debug, Clone)]
pub enum MigrationEnd {
    /// A SQLite file.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    Server {
        /// Its address.
        address: Box<PostgresAddress>,
        /// The file that tells whether it was put back to an older state, see [`PostgresStorage`](super::PostgresStorage).
        witness: Option<PathBuf>,
    },
}

impl MigrationEnd {
    fn original(&self, key: Option<&DatabaseKey>) -> Result<Box<dyn End>> {
        Ok(match self {
            Self::File(path) => Box::new(FileEnd::original(path, key)?),
            Self::Server { address, witness } => Box::new(ServerEnd::original(address, witness.as_deref())?),
        })
    }

    fn copy(&self, key: Option<&DatabaseKey>) -> Result<Box<dyn End>> {
        Ok(match self {
            Self::File(path) => Box::new(FileEnd::copy(path, key)?),
            Self::Server { address, witness } => Box::new(ServerEnd::copy(address, witness.as_deref())?),
        })
    }

    fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// Moves a database to another place; the file has this key. See [`migrate_between`].
pub(crate) fn migrate(
    from: &MigrationEnd,
    to: &MigrationEnd,
    key: Option<&DatabaseKey>,
    now: Timestamp,
    watch: &mut WatchMigration<'_>,
) -> Result<MigrationReport> {
    if from.is_file() == to.is_file() {
        return Err(Error::bad_input(input::migration_same_kind()));
    }
    let mut original = from.original(key)?;
    // Before anything is made there.
    check_is_central(original.as_mut())?;
    migrate_between(original.as_mut(), to.copy(key)?.as_mut(), now, watch)
}

/// Takes a database into use again that was moved. See [`take_back_from`].
pub(crate) fn take_back(from: &MigrationEnd, to: Option<&MigrationEnd>, key: Option<&DatabaseKey>) -> Result<()> {
    let mut original = from.original(key)?;
    match to {
        Some(to) => take_back_from(original.as_mut(), Some(to.copy(key)?.as_mut())),
        None => take_back_from(original.as_mut(), None),
    }
}

/// Called with the progress; it may stop the migration, which can be continued later.
pub(crate) type WatchMigration<'w> = dyn FnMut(&MigrationProgress) -> ControlFlow<()> + 'w;

fn stopped() -> Error {
    Error::Cancelled
}

fn tell(watch: &mut WatchMigration<'_>, progress: &MigrationProgress) -> Result<()> {
    if watch(progress).is_break() { Err(stopped()) } else { Ok(()) }
}

/// Copies a database into another one, compares both, and moves what is in use from the one to the other.
fn migrate_between(
    from: &mut dyn End,
    to: &mut dyn End,
    now: Timestamp,
    watch: &mut WatchMigration<'_>,
) -> Result<MigrationReport> {
    let position = from.position()?;
    let moved = moved_to(from.setting(marks::MOVED)?.as_deref())?;
    let commits = moved.as_ref().map_or(position.commits, |moved| moved.commits);
    let mark = CopiedFrom { place: from.shown(), database: position.database.clone(), commits };
    let is_resumed = prepare(from, to, &mark, moved.is_some())?;
    copy(from, to, watch)?;
    let tables = compare(from, to, watch)?;
    if moved.is_none() {
        let moved = MovedTo { place: to.shown(), at: now.to_string(), commits };
        from.mark_moved(&text_of(&moved)?, commits)?;
    }
    let counters = from.counters()?;
    let finished = DatabasePosition { commits: commits + AHEAD, ..position };
    to.finish(&finished, &counters)?;
    Ok(MigrationReport { resumed: is_resumed, newest_cursor: finished.newest, tables })
}

/// Refuses what is no central server's, and one in which an app keeps tables of its own.
fn check_is_central(from: &mut dyn End) -> Result<()> {
    match from.setting(ROLE.name())?.as_deref().and_then(Role::from_text) {
        Some(Role::Central) => {}
        Some(Role::Remote) => return Err(Error::WrongRole { needed: "central server", found: "remote site" }),
        None => return Err(Error::NotSetUp),
    }
    if from.setting(HAS_HOOK.name())?.is_some_and(|value| value == "1") {
        return Err(Error::bad_input(input::migration_of_app(from.shown())));
    }
    Ok(())
}

/// Makes the copy ready to take rows; true if an interrupted migration goes on.
fn prepare(from: &mut dyn End, to: &mut dyn End, mark: &CopiedFrom, is_moved: bool) -> Result<bool> {
    let unfinished = copied_from(to.setting(marks::UNFINISHED)?.as_deref())?;
    match unfinished {
        Some(found) if found.is_of(mark) => return Ok(true),
        // Its original was used since, so the copy begins anew.
        Some(found) if found.database == mark.database && !is_moved => {}
        Some(_) => return Err(Error::MigrationTargetUsed { database: to.shown() }),
        // It is finished, or was moved to another place.
        None if is_moved => {
            return marks::refuse_moved(&from.shown(), from.setting(marks::MOVED)?.as_deref()).map(|()| false);
        }
        None if has_data(to)? => return Err(Error::MigrationTargetUsed { database: to.shown() }),
        None => {}
    }
    to.begin(&text_of(mark)?)?;
    Ok(false)
}

fn has_data(to: &mut dyn End) -> Result<bool> {
    for table in TABLES {
        if to.last_key(table)?.is_some() {
            return Ok(true);
        }
    }
    Ok(to.position()?.newest.0 > 0)
}

fn copy(from: &mut dyn End, to: &mut dyn End, watch: &mut WatchMigration<'_>) -> Result<()> {
    for table in TABLES {
        let after = to.last_key(table)?;
        let mut progress = MigrationProgress {
            step: MigrationStep::Copy,
            table: table.name,
            done: if after.is_some() { to.count(table)? } else { 0 },
            total: from.count(table)?,
        };
        tell(watch, &progress)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        from.each_row(table, after.as_deref(), &mut |row| {
            bytes += row.iter().map(Value::bytes).sum::<usize>();
            batch.push(row);
            if batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                to.write(table, &batch)?;
                progress.done += batch.len() as u64;
                tell(watch, &progress)?;
                batch.clear();
                bytes = 0;
            }
            Ok(())
        })?;
        if !batch.is_empty() {
            to.write(table, &batch)?;
        }
    }
    Ok(())
}

fn compare(from: &mut dyn End, to: &mut dyn End, watch: &mut WatchMigration<'_>) -> Result<Vec<CopiedRows>> {
    let (mut tables, mut differing) = (Vec::new(), Vec::new());
    for table in TABLES {
        let total = from.count(table)?;
        let mut tell =
            |done| tell(watch, &MigrationProgress { step: MigrationStep::Compare, table: table.name, done, total });
        tell(0)?;
        let found = compare::compare(from, to, table, &mut tell)?;
        if let Some(first) = found.first {
            differing.push(error_detail::rows_differ(table.name, found.differences, first).to_string());
        }
        tables.push(CopiedRows { table: table.name, rows: found.rows, sha256: found.sha256 });
    }
    if differing.is_empty() { Ok(tables) } else { Err(Error::MigrationDiffers { what: differing.join("; ") }) }
}

/// Takes a database into use again that was moved. If its copy is given, that one must not have been used, and becomes an unfinished
/// copy; otherwise the database counts as restored from a backup.
fn take_back_from(from: &mut dyn End, to: Option<&mut dyn End>) -> Result<()> {
    let Some(moved) = moved_to(from.setting(marks::MOVED)?.as_deref())? else {
        return Err(Error::bad_input(input::migration_not_moved(from.shown())));
    };
    let is_lost = to.is_none();
    if let Some(to) = to {
        let (original, copy) = (from.position()?, to.position()?);
        let mark = CopiedFrom { place: from.shown(), database: original.database.clone(), commits: moved.commits };
        let unfinished = copied_from(to.setting(marks::UNFINISHED)?.as_deref())?;
        if !unfinished.is_some_and(|found| found.is_of(&mark)) {
            if copy.database != original.database {
                return Err(Error::bad_input(input::migration_of_another(to.shown(), from.shown())));
            }
            if copy.commits != moved.commits + AHEAD || to.setting(marks::MOVED)?.is_some() {
                return Err(Error::bad_input(input::migration_used(to.shown(), from.shown())));
            }
            to.mark_unfinished(&text_of(&mark)?)?;
        }
    }
    from.take_back(is_lost)
}
