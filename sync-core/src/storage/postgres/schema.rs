//! Numbered migrations, and which database it is.

use super::connection::{Connection, in_turn};
use super::lock::{SCHEMA, WRITER};
use super::parts::SharedParts;
use super::views;
use super::witness::{WitnessedState, restored};
use crate::error::{Error, Result};
use crate::storage::marks;
use crate::storage::state::{LOST, with_gap};
use crate::text::sentences::input;

/// The migrations: each upgrades the schema from its index to the next version; a released one never changes.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("0001.sql"), include_str!("0002.sql")];

/// What is in the schema that new tables go to: that of another program, or nothing. What extensions brought does not count.
const OTHERS: &str = "SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace \
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// Where a database is: which server's data it is part of, which of its databases it is, and how often that server's history
/// was forked, by a restore to a point in time or a failover.
pub(super) const PLACE: &str = "SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), \
    (SELECT oid FROM pg_database WHERE datname = current_database()), \
    (SELECT timeline_id FROM pg_control_checkpoint()))";

/// What opening may do to a database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Makes the tables in an empty database, and upgrades older ones.
    Make,
    /// Upgrades older tables.
    Upgrade,
    /// Changes nothing.
    Read,
}

/// The first column of the first row.
pub(super) fn value(rows: &[Vec<Option<String>>]) -> Option<String> {
    rows.first()?.first()?.clone()
}

fn number(rows: &[Vec<Option<String>>]) -> Option<i64> {
    value(rows)?.parse().ok()
}

/// The version of the tables; 0 if there are none.
fn version(connection: &mut Connection) -> Result<i64> {
    let is_ours = connection.simple("SELECT 1 WHERE to_regclass('sync_schema') IS NOT NULL")?;
    if is_ours.is_empty() {
        return Ok(0);
    }
    let rows = connection.simple("SELECT version FROM sync_schema")?;
    number(&rows).ok_or_else(|| Error::DamagedState { what: "the table sync_schema".to_owned() })
}

/// A setting of a database that has the tables. The key is a name of this library.
pub(super) fn setting(connection: &mut Connection, key: &str) -> Result<Option<String>> {
    connection.simple(&format!("SELECT value FROM sync_state WHERE key = '{key}'")).map(|rows| value(&rows))
}

/// The schema version of a database, 0 if it is empty, and that of this library.
#[cfg(feature = "sqlite")]
pub(super) fn versions(connection: &mut Connection) -> Result<(i64, i64)> {
    Ok((version(connection)?, MIGRATIONS.len() as i64))
}

/// Makes the tables ready, and records whether the database was restored.
pub(super) fn prepare(storage: &SharedParts, connection: &mut Connection, opening: Opening) -> Result<()> {
    let known = MIGRATIONS.len() as i64;
    let found = check(storage, version(connection)?, known, opening)?;
    let shown = storage.address.to_string();
    if opening == Opening::Read {
        if found == known {
            marks::refuse_unfinished(&shown, setting(connection, marks::UNFINISHED)?.as_deref())?;
        }
        return if found == known { Ok(()) } else { Err(Error::bad_input(input::schema_older(found, known))) };
    }
    if found < known {
        in_turn(connection, SCHEMA.in_transaction(), |connection| {
            // Another process may have been faster.
            let found = check(storage, version(connection)?, known, opening)?;
            migrate(storage, connection, found, known)
        })?;
    }
    // Before the witness, which knows of a database that was moved more than the database itself.
    marks::refuse_moved(&shown, setting(connection, marks::MOVED)?.as_deref())?;
    marks::refuse_unfinished(&shown, setting(connection, marks::UNFINISHED)?.as_deref())?;
    views::refresh(connection)?;
    in_turn(connection, WRITER.in_transaction(), |connection| note_place(storage, connection))
}

/// Refuses a version that cannot be opened so.
fn check(storage: &SharedParts, found: i64, known: i64, opening: Opening) -> Result<i64> {
    match found {
        0 if opening != Opening::Make => Err(Error::NoDatabase { path: storage.address.to_string() }),
        found if found > known => Err(Error::DatabaseTooNew { found, known }),
        found => Ok(found),
    }
}

fn migrate(storage: &SharedParts, connection: &mut Connection, found: i64, known: i64) -> Result<()> {
    // Tables of another program, such as a real Open mSupply server, are never changed.
    if found == 0 && number(&connection.simple(OTHERS)?) != Some(0) {
        return Err(Error::NotADatabase { path: storage.address.to_string(), source: None });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.simple(migration)?;
    }
    if found == 0 {
        let id = uuid::Uuid::new_v4().simple();
        connection.simple(&format!(
            "INSERT INTO sync_schema VALUES ({known}); INSERT INTO sync_position VALUES (0, 0, '{id}', '')"
        ))?;
    } else {
        connection.simple(&format!("UPDATE sync_schema SET version = {known}"))?;
    }
    Ok(())
}

/// What the database says of itself.
pub(super) fn witnessed(connection: &mut Connection) -> Result<WitnessedState> {
    let rows = connection.simple("SELECT newest, commits, database_id, place FROM sync_position")?;
    let found = rows.first().and_then(|row| WitnessedState::of(row));
    found.ok_or_else(|| Error::DamagedState { what: "the table sync_position".to_owned() })
}

/// Compares the database with what is known of it, and records if it was put back to an older state.
fn note_place(storage: &SharedParts, connection: &mut Connection) -> Result<()> {
    let found = witnessed(connection)?;
    let place = value(&connection.simple(PLACE)?).unwrap_or_default();
    let known = storage.witness.read(&found.position.database);
    let mut position = found.position.clone();
    if let Some(gap) = restored(&found, known.as_ref(), &place) {
        let key = LOST.name();
        let before = setting(connection, key)?;
        let gaps = with_gap(before.as_deref(), gap);
        position.newest = gap.before;
        position.commits = known.map_or(0, |known| known.commits).max(position.commits) + 1;
        // Numbers, spaces and line ends.
        let gaps = gaps.replace('\'', "''");
        connection.simple(&format!(
            "INSERT INTO sync_state VALUES ('{key}', '{gaps}') ON CONFLICT (key) DO UPDATE SET value = excluded.value; \
             UPDATE sync_position SET newest = {}, commits = {}",
            position.newest.0, position.commits
        ))?;
    }
    if place != found.place {
        connection.simple(&format!("UPDATE sync_position SET place = '{}'", place.replace('\'', "''")))?;
    }
    storage.witness.start(&position)
}
