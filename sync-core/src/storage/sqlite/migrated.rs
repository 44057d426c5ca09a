//! A database file as one end of a migration: the only connection to it, so that nobody else reads or writes it meanwhile.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, params_from_iter};

use super::SqliteStorage;
use super::alone::alone;
use super::cycle_lock::cycle_lock;
use super::examine::reading_connection;
use super::fault::{alone_in_file, database_error, in_file, is_there};
use super::key::{DatabaseKey, named};
use super::place::real_path;
use super::schema::{self, setting};
use super::watermark;
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::CycleLock;
use crate::storage::copied::End;
use crate::storage::copied::tables::{CopiedTable, NameOfColumn, Row, TABLES, Value};
use crate::storage::marks::{MOVED, UNFINISHED, refuse_unfinished};
use crate::storage::sql::{DatabasePosition, left_out, signed};
use crate::storage::state::{LOST, with_gap};
use crate::text::sentences::input;

/// The most rows of an audience in a part of the counts, as the storage makes them.
const PART_ROWS: i64 = 2048;

/// A database file that nobody else has open.
pub(in crate::storage) struct FileEnd {
    path: PathBuf,
    connection: Connection,
    #[allow(dead_code, reason = "held for its drop")]
    lock: CycleLock,
}

impl FileEnd {
    /// Opens the original. If it was restored from a backup, that is recorded first, so that its copy knows it too.
    pub(in crate::storage) fn original(path: &Path, key: Option<&DatabaseKey>) -> Result<Self> {
        let path = real_path(path)?;
        let (moved, unfinished) = {
            let connection = reading_connection(&path, key)?;
            check_version(&connection, &path, key)?;
            let mark = |name| setting(&connection, name).map_err(database_error);
            (mark(MOVED)?, mark(UNFINISHED)?)
        };
        refuse_unfinished(&path.display().to_string(), unfinished.as_deref())?;
        if moved.is_none() {
            drop(SqliteStorage::open_existing_keyed(&path, key.cloned())?);
        }
        Self::open(path, key)
    }

    /// Opens the copy, and makes it if there is none.
    pub(in crate::storage) fn copy(path: &Path, key: Option<&DatabaseKey>) -> Result<Self> {
        let path = real_path(path)?;
        if is_there(&path)? {
            check_version(&reading_connection(&path, key)?, &path, key)?;
        } else {
            drop(SqliteStorage::open_keyed(&path, key.cloned())?);
        }
        Self::open(path, key)
    }

    fn open(path: PathBuf, key: Option<&DatabaseKey>) -> Result<Self> {
        let lock = cycle_lock(&path)?;
        let opened =
            alone(&path, key).map_err(|error| named(alone_in_file(database_error(error), &path), &path, key))?;
        let connection = opened.map_err(|error| named(error, &path, key))?;
        let end = Self { path, connection, lock };
        end.done(end.connection.pragma_update(None, "synchronous", "FULL"))?;
        // Litestream, which makes a continuous copy, keeps two tables in the database; they stay behind.
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                      AND name NOT LIKE 'sync\\_%' ESCAPE '\\' AND name NOT LIKE '\\_litestream\\_%' ESCAPE '\\'";
        if end.done(end.connection.query_row(tables, (), |row| row.get::<_, i64>(0)))? > 0 {
            return Err(Error::bad_input(input::migration_of_app(end.shown())));
        }
        Ok(end)
    }

    /// An error of this connection, which names its file where somebody asks for it.
    fn done<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|error| in_file(database_error(error), &self.path))
    }

    /// Does work in one transaction.
    fn in_transaction(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<()> {
        let run = || {
            let txn = Transaction::new_unchecked(&self.connection, rusqlite::TransactionBehavior::Immediate)?;
            work(&txn)?;
            txn.commit()
        };
        self.done(run())
    }
}

/// Refuses a database of another version.
fn check_version(connection: &Connection, path: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    let (found, known) = schema::version(connection).map_err(|error| named(error, path, key))?;
    if found < known { Err(Error::bad_input(input::schema_older(found, known))) } else { Ok(()) }
}

fn set(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", [key, value]).map(drop)
}

fn unset(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sync_state WHERE key = ?1", [key]).map(drop)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::None => rusqlite::types::Null.into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        })
    }
}

fn read(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let value = |at: usize| {
        Ok(match row.get_ref(at)? {
            ValueRef::Null => Value::None,
            ValueRef::Integer(number) => Value::Number(number),
            _ => Value::Text(row.get(at)?),
        })
    };
    (0..columns).map(value).collect()
}

/// How this storage names a column.
const NAME: NameOfColumn = |column| column.in_file;

impl End for FileEnd {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        self.done(setting(&self.connection, key))
    }

    fn position(&mut self) -> Result<DatabasePosition> {
        let number = |key: &str| -> Result<u64> {
            Ok(self.done(setting(&self.connection, key))?.and_then(|text| text.parse().ok()).unwrap_or(0))
        };
        let database = self.done(setting(&self.connection, "database_id"))?.unwrap_or_default();
        Ok(DatabasePosition { database, commits: number("commits")?, newest: Cursor(number("newest_cursor")?) })
    }

    fn count(&mut self, table: &'static CopiedTable) -> Result<u64> {
        self.done(self.connection.query_row(&table.count_sql(), (), |row| row.get::<_, i64>(0))).map(i64::unsigned_abs)
    }

    fn last_key(&mut self, table: &'static CopiedTable) -> Result<Option<Row>> {
        self.done(self.connection.query_row(&table.last_key_sql(NAME), (), |row| read(row, table.key)).optional())
    }

    fn each_row(
        &mut self,
        table: &'static CopiedTable,
        after: Option<&[Value]>,
        visit: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let places = after.map(|after| vec!["?"; after.len()].join(", "));
        let sql = table.rows_sql(NAME, places.as_deref());
        let mut statement = self.done(self.connection.prepare(&sql))?;
        let mut rows = self.done(statement.query(params_from_iter(after.unwrap_or_default())))?;
        while let Some(row) = self.done(rows.next())? {
            visit(self.done(read(row, table.columns.len()))?)?;
        }
        Ok(())
    }

    fn counters(&mut self) -> Result<Vec<i64>> {
        let of = |table: &CopiedTable| {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
            let given = self.done(self.connection.query_row(sql, [table.name], |row| row.get(0)).optional())?;
            Ok(given.unwrap_or(0))
        };
        TABLES.iter().filter(|table| table.counted.is_some()).map(of).collect()
    }

    fn begin(&mut self, mark: &str) -> Result<()> {
        self.in_transaction(|txn| {
            set(txn, UNFINISHED, mark)?;
            for table in TABLES {
                txn.execute(&table.clear_sql(), ())?;
            }
            txn.execute("DELETE FROM sync_count", ()).map(drop)
        })
    }

    fn write(&mut self, table: &'static CopiedTable, rows: &[Row]) -> Result<()> {
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.columns_sql(NAME));
        self.in_transaction(|txn| {
            let mut statement = txn.prepare_cached(&sql)?;
            rows.iter().try_for_each(|row| statement.execute(params_from_iter(row)).map(drop))
        })
    }

    fn finish(&mut self, position: &DatabasePosition, counters: &[i64]) -> Result<()> {
        // First, so that it is there when the database has its id: without it, the database would count as a restored one.
        watermark::write(&self.path, position)?;
        self.in_transaction(|txn| {
            txn.execute("DELETE FROM sync_count", ())?;
            txn.execute(COUNTS, [PART_ROWS])?;
            for (table, given) in TABLES.iter().filter(|table| table.counted.is_some()).zip(counters) {
                txn.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table.name])?;
                txn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", (table.name, given))?;
            }
            set(txn, "database_id", &position.database)?;
            set(txn, "commits", &position.commits.to_string())?;
            set(txn, "newest_cursor", &position.newest.0.to_string())?;
            unset(txn, UNFINISHED)
        })
    }

    fn mark_moved(&mut self, mark: &str, commits: u64) -> Result<()> {
        let now = self.position()?;
        if now.commits != commits {
            return Err(Error::DatabaseBusy { source: "it was written meanwhile".into() });
        }
        let marked = commits + 1;
        self.in_transaction(|txn| {
            set(txn, "commits", &marked.to_string())?;
            set(txn, MOVED, mark)
        })?;
        // A backup of before, put back here, has to skip what the copy gives out.
        let beyond = Cursor(now.newest.0.saturating_add(left_out(now.newest)));
        watermark::write(&self.path, &DatabasePosition { commits: marked, newest: beyond, ..now })
    }

    fn mark_unfinished(&mut self, mark: &str) -> Result<()> {
        self.in_transaction(|txn| set(txn, UNFINISHED, mark))
    }

    fn take_back(&mut self, counts_as_restored: bool) -> Result<()> {
        let now = self.position()?;
        let before = self.setting(LOST.name())?;
        self.in_transaction(|txn| {
            if counts_as_restored {
                let lost = Cursor(now.newest.0.saturating_add(left_out(now.newest))).next();
                set(txn, LOST.name(), &with_gap(before.as_deref(), ChangelogGap { after: now.newest, before: lost }))?;
                set(txn, "newest_cursor", &signed(lost.0).to_string())?;
            }
            set(txn, "commits", &(now.commits + 1).to_string())?;
            unset(txn, MOVED)
        })
    }
}

/// The counts of all rows, as the migration that made the table filled it.
const COUNTS: &str = "INSERT INTO sync_count (audience, start, rows) \
    SELECT audience, min(cursor), count(*) \
    FROM (SELECT audience, cursor, (row_number() OVER (PARTITION BY audience ORDER BY cursor) - 1) / ?1 AS part \
        FROM (SELECT audience, cursor FROM sync_record WHERE audience IS NOT NULL AND audience <> 'patient' \
            UNION ALL \
            SELECT audience, cursor FROM sync_change WHERE audience IS NOT NULL AND audience <> 'patient' \
            UNION ALL \
            SELECT 'patients of ' || store_id, cursor FROM sync_seen)) \
    GROUP BY audience, part";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::storage::copied::tables::DERIVED;

    /// A new table or column has to be added to the list of what is copied, or to what is derived.
    #[test]
    fn every_table_and_column_of_a_file_is_copied() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map((), |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let tables =
            texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
        for name in tables.iter().filter(|name| !DERIVED.contains(&name.as_str())) {
            let table = TABLES.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("{name} is forgotten"));
            let columns = texts(&format!("SELECT name FROM pragma_table_info('{name}')"));
            let copied: BTreeSet<&str> = table.columns.iter().map(|column| column.in_file).collect();
            assert_eq!(copied, columns.iter().map(String::as_str).collect(), "{name}");
            let counts = texts(&format!("SELECT sql FROM sqlite_schema WHERE name = '{name}'"));
            assert_eq!(table.counted.is_some(), counts[0].contains("AUTOINCREMENT"), "{name}");
        }
        assert!(TABLES.iter().all(|table| tables.iter().any(|name| name == table.name)), "{tables:?}");
    }
}
