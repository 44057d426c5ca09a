//! A database on a server as one end of a migration. Locks keep other servers and cycles from it meanwhile.

use std::path::Path;

use postgres::Row as ServerRow;
use postgres::types::ToSql;

use super::address::PostgresAddress;
use super::connection::{Connection, in_turn};
use super::counts::PART;
use super::lock::{CYCLE, SERVER, SessionLock, Sharing, WRITER};
use super::schema::{self, Opening, PLACE, setting};
use super::text::{Stored, Text};
use super::txn::Column;
use super::witness::Witness;
use super::{PostgresStorage, fault};
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::copied::End;
use crate::storage::copied::tables::{CopiedColumn, CopiedTable, Kind, NameOfColumn, Row, TABLES, Value};
use crate::storage::marks::{MOVED, UNFINISHED, refuse_unfinished};
use crate::storage::sql::{DatabasePosition, left_out, signed};
use crate::storage::state::{LOST, with_gap};
use crate::text::sentences::input;

/// A database on a server that no other server and no cycle uses.
pub(in crate::storage) struct ServerEnd {
    shown: String,
    connection: Connection,
    witness: Witness,
    /// True while all is read in one snapshot.
    is_snapshot: bool,
    #[allow(dead_code, reason = "held for their drop")]
    locks: [SessionLock; 2],
}

impl ServerEnd {
    /// Opens the original. If it was restored from a backup, that is recorded first, so that its copy knows it too.
    pub(in crate::storage) fn original(address: &PostgresAddress, witness: Option<&Path>) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        if checked_version(&mut connection)? == 0 {
            return Err(Error::NoDatabase { path: address.to_string() });
        }
        refuse_unfinished(&address.to_string(), setting(&mut connection, UNFINISHED)?.as_deref())?;
        if setting(&mut connection, MOVED)?.is_none() {
            drop(PostgresStorage::open_with(address, witness, Opening::Upgrade)?);
        }
        let mut end = Self::open(address, connection, witness)?;
        end.connection.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        end.is_snapshot = true;
        Ok(end)
    }

    /// Opens the copy, and makes the tables in an empty database.
    pub(in crate::storage) fn copy(address: &PostgresAddress, witness: Option<&Path>) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        if checked_version(&mut connection)? == 0 {
            // The witness is that of another database, until the copy is finished.
            drop(PostgresStorage::open_with(address, None, Opening::Make)?);
        }
        Self::open(address, connection, witness)
    }

    fn open(address: &PostgresAddress, connection: Connection, witness: Option<&Path>) -> Result<Self> {
        let shown = address.to_string();
        let served = || Error::ServedAlready { database: shown.clone(), holder: None };
        let server = SessionLock::take(address, SERVER, Sharing::Alone)?.ok_or_else(served)?;
        let cycle = SessionLock::take(address, CYCLE, Sharing::Alone)?.ok_or(Error::CycleRunning { holder: None })?;
        let (locks, witness) = ([server, cycle], Witness::at(witness));
        Ok(Self { shown, connection, witness, is_snapshot: false, locks })
    }

    /// Does work in one transaction, as the only writer.
    fn in_transaction(&mut self, work: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
        in_turn(&mut self.connection, WRITER.in_transaction(), work)
    }

    /// Reads what is new from now on.
    fn end_snapshot(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_snapshot) {
            self.connection.simple("COMMIT")?;
        }
        Ok(())
    }

    fn number(&mut self, sql: &str) -> Result<i64> {
        let rows = self.connection.query(sql, &[])?;
        let found = rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose();
        Ok(found.map_err(|error| fault::database_error(&self.shown, error))?.flatten().unwrap_or(0))
    }
}

/// The version of the tables, 0 if there are none; another one than this library's is refused.
fn checked_version(connection: &mut Connection) -> Result<i64> {
    match schema::versions(connection)? {
        (found, known) if found > known => Err(Error::DatabaseTooNew { found, known }),
        (found, known) if found < known && found > 0 => Err(Error::bad_input(input::schema_older(found, known))),
        (found, _) => Ok(found),
    }
}

fn set(connection: &mut Connection, key: &str, value: &str) -> Result<()> {
    let sql =
        "INSERT INTO sync_state (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.execute(sql, &[&Text(key), &Text(value)]).map(drop)
}

fn unset(connection: &mut Connection, key: &str) -> Result<()> {
    connection.execute("DELETE FROM sync_state WHERE key = $1", &[&Text(key)]).map(drop)
}

/// How this storage names a column.
const NAME: NameOfColumn = |column| column.on_server;

fn read(row: &ServerRow, columns: &[CopiedColumn]) -> Column<Row> {
    let value = |(at, column): (usize, &CopiedColumn)| {
        let value = match column.kind {
            Kind::Text => row.try_get::<_, Option<Stored>>(at)?.map(|text| Value::Text(text.0)),
            Kind::Number => row.try_get::<_, Option<i64>>(at)?.map(Value::Number),
            Kind::Small => row.try_get::<_, Option<i32>>(at)?.map(|number| Value::Number(number.into())),
            Kind::Flag => row.try_get::<_, Option<bool>>(at)?.map(|flag| Value::Number(flag.into())),
        };
        Ok(value.unwrap_or(Value::None))
    };
    columns.iter().enumerate().map(value).collect()
}

/// A value as a parameter for a column.
fn param(value: &Value, kind: Kind) -> Result<Box<dyn ToSql + Sync>> {
    Ok(match (value, kind) {
        (Value::Text(text), _) => Box::new(OwnedText(text.clone())),
        (Value::Number(number), Kind::Small) => Box::new(small(*number)?),
        (Value::Number(number), Kind::Flag) => Box::new(*number != 0),
        (Value::Number(number), _) => Box::new(*number),
        (Value::None, _) => Box::new(None::<i64>),
    })
}

#[derive(Debug)]
struct OwnedText(String);

impl ToSql for OwnedText {
    fn to_sql(
        &self,
        of: &postgres::types::Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> std::result::Result<postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Text(&self.0).to_sql(of, out)
    }

    postgres::types::accepts!(TEXT);
    postgres::types::to_sql_checked!();
}

fn small(number: i64) -> Result<i32> {
    i32::try_from(number).map_err(|_| Error::DamagedState { what: format!("the number {number} of a site") })
}

/// A column of rows as one array.
fn array<'r>(rows: &'r [Row], at: usize, kind: Kind) -> Result<Box<dyn ToSql + Sync + 'r>> {
    let values = || rows.iter().map(move |row| row.get(at).unwrap_or(&Value::None));
    let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
    Ok(match kind {
        Kind::Text => {
            let text = |value: &'r Value| if let Value::Text(text) = value { Some(Text(text)) } else { None };
            Box::new(values().map(text).collect::<Vec<_>>())
        }
        Kind::Number => Box::new(values().map(number).collect::<Vec<_>>()),
        Kind::Small => Box::new(values().map(|v| number(v).map(small).transpose()).collect::<Result<Vec<_>>>()?),
        Kind::Flag => Box::new(values().map(|value| number(value).map(|number| number != 0)).collect::<Vec<_>>()),
    })
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Number => "bigint",
        Kind::Small => "integer",
        Kind::Flag => "boolean",
    }
}

impl End for ServerEnd {
    fn shown(&self) -> String {
        self.shown.clone()
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        setting(&mut self.connection, key)
    }

    fn position(&mut self) -> Result<DatabasePosition> {
        schema::witnessed(&mut self.connection).map(|found| found.position)
    }

    fn count(&mut self, table: &'static CopiedTable) -> Result<u64> {
        self.number(&table.count_sql()).map(i64::unsigned_abs)
    }

    fn last_key(&mut self, table: &'static CopiedTable) -> Result<Option<Row>> {
        let key = table.key_columns();
        let rows = self.connection.query(&table.last_key_sql(NAME), &[])?;
        let row = rows.first().map(|row| read(row, key)).transpose();
        row.map_err(|error| fault::database_error(&self.shown, error))
    }

    fn each_row(
        &mut self,
        table: &'static CopiedTable,
        after: Option<&[Value]>,
        visit: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let params = after.unwrap_or_default().iter().zip(table.key_columns());
        let params = params.map(|(value, column)| param(value, column.kind)).collect::<Result<Vec<_>>>()?;
        let places = after.map(|_| (1..=params.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", "));
        let sql = table.rows_sql(NAME, places.as_deref());
        let shown = self.shown.clone();
        self.connection.each_row(&sql, params, &mut |row| {
            visit(read(row, table.columns).map_err(|error| fault::database_error(&shown, error))?)
        })
    }

    fn counters(&mut self) -> Result<Vec<i64>> {
        let counted = TABLES.iter().filter_map(|table| table.counted.map(|column| (table.name, column)));
        // A sequence that has given nothing yet has no last value here.
        let sql = |(table, column)| {
            format!("SELECT pg_sequence_last_value(pg_get_serial_sequence('{table}', '{column}')::regclass)")
        };
        counted.map(sql).map(|sql| self.number(&sql)).collect()
    }

    fn begin(&mut self, mark: &str) -> Result<()> {
        self.in_transaction(|connection| {
            set(connection, UNFINISHED, mark)?;
            let (of_settings, others): (Vec<_>, Vec<_>) = TABLES.iter().partition(|table| table.name == "sync_state");
            let names = others.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
            connection.simple(&format!("TRUNCATE {names}, sync_count"))?;
            for table in of_settings {
                connection.simple(&table.clear_sql())?;
            }
            Ok(())
        })
    }

    fn write(&mut self, table: &'static CopiedTable, rows: &[Row]) -> Result<()> {
        let columns = table.columns.iter().enumerate();
        let arrays = columns.clone().map(|(at, column)| array(rows, at, column.kind)).collect::<Result<Vec<_>>>()?;
        let params: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(AsRef::as_ref).collect();
        let places = columns.map(|(at, column)| format!("${}::{}[]", at + 1, type_of(column.kind)));
        let places = places.collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {} ({}) SELECT * FROM unnest({places})", table.name, table.columns_sql(NAME));
        self.in_transaction(|connection| connection.execute(&sql, &params).map(drop))
    }

    fn finish(&mut self, position: &DatabasePosition, counters: &[i64]) -> Result<()> {
        let counted = TABLES.iter().filter_map(|table| table.counted.map(|column| (table.name, column)));
        let place = schema::value(&self.connection.simple(PLACE)?).unwrap_or_default();
        // Nobody asks it before the database has its id.
        self.witness.start(position)?;
        self.in_transaction(|connection| {
            connection.simple("DELETE FROM sync_count")?;
            connection.execute(COUNTS, &[&PART])?;
            for ((table, column), given) in counted.zip(counters) {
                let (value, is_given) = ((*given).max(1), *given > 0);
                let sequence = format!("pg_get_serial_sequence('{table}', '{column}')");
                connection.simple(&format!("SELECT setval({sequence}, {value}, {is_given})"))?;
            }
            let sql = "UPDATE sync_position SET newest = $1, commits = $2, database_id = $3, place = $4";
            let (newest, commits) = (signed(position.newest.0), signed(position.commits));
            connection.execute(sql, &[&newest, &commits, &Text(&position.database), &Text(&place)])?;
            unset(connection, UNFINISHED)
        })
    }

    fn mark_moved(&mut self, mark: &str, commits: u64) -> Result<()> {
        self.end_snapshot()?;
        let mut now = self.position()?;
        self.in_transaction(|connection| {
            now = schema::witnessed(connection)?.position;
            if now.commits != commits {
                return Err(Error::DatabaseBusy { source: "it was written meanwhile".into() });
            }
            connection.simple("UPDATE sync_position SET commits = commits + 1")?;
            set(connection, MOVED, mark)
        })?;
        // A backup of before, put back here, has to skip what the copy gives out.
        let beyond = Cursor(now.newest.0.saturating_add(left_out(now.newest)));
        self.witness.start(&DatabasePosition { commits: commits + 1, newest: beyond, ..now })
    }

    fn mark_unfinished(&mut self, mark: &str) -> Result<()> {
        self.in_transaction(|connection| set(connection, UNFINISHED, mark))
    }

    fn take_back(&mut self, counts_as_restored: bool) -> Result<()> {
        self.end_snapshot()?;
        self.in_transaction(|connection| {
            let now = schema::witnessed(connection)?.position;
            let mut newest = now.newest;
            if counts_as_restored {
                newest = Cursor(now.newest.0.saturating_add(left_out(now.newest))).next();
                let before = setting(connection, LOST.name())?;
                let gap = ChangelogGap { after: now.newest, before: newest };
                set(connection, LOST.name(), &with_gap(before.as_deref(), gap))?;
            }
            let sql = "UPDATE sync_position SET newest = $1, commits = commits + 1";
            connection.execute(sql, &[&signed(newest.0)])?;
            unset(connection, MOVED)
        })
    }
}

/// The counts of all rows.
const COUNTS: &str = "INSERT INTO sync_count (audience, part, rows) \
    SELECT audience, cursor / $1, count(*) \
    FROM (SELECT audience, cursor FROM sync_record WHERE audience IS NOT NULL AND audience <> 'patient' \
        UNION ALL \
        SELECT audience, cursor FROM sync_change WHERE audience IS NOT NULL AND audience <> 'patient' \
        UNION ALL \
        SELECT 'patients of ' || store_id, cursor FROM sync_seen) counted \
    GROUP BY 1, 2";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::storage::copied::tables::DERIVED;

    /// The columns of each table with their types, as the migrations make them.
    fn columns() -> BTreeMap<String, BTreeMap<String, String>> {
        let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut made: Option<String> = None;
        let lines = schema::MIGRATIONS.iter().flat_map(|migration| migration.lines()).map(str::trim);
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["CREATE", "TABLE", name, ..] => {
                    tables.insert((*name).to_owned(), BTreeMap::new());
                    made = Some((*name).to_owned());
                }
                ["ALTER", "TABLE", table, "ADD", "COLUMN", name, of, ..] => {
                    let table = tables.get_mut(*table).expect("a table");
                    table.insert((*name).to_owned(), of.trim_end_matches([',', ';']).to_owned());
                }
                ["ALTER" | "DROP", "TABLE", ..] => panic!("this test cannot read: {line}"),
                [");", ..] => made = None,
                // Not what is computed from the others.
                [name, of, ..]
                    if made.is_some() && name.starts_with(char::is_lowercase) && !line.contains("GENERATED ALWAYS") =>
                {
                    let table = made.as_ref().and_then(|table| tables.get_mut(table)).expect("a table");
                    table.insert((*name).to_owned(), of.trim_end_matches(',').to_owned());
                }
                _ => {}
            }
        }
        tables
    }

    /// A new table or column has to be added to the list of what is copied, or to what is derived.
    #[test]
    fn every_table_and_column_of_a_server_is_copied() {
        let tables = columns();
        assert!(tables.len() > 10 && tables["sync_record"].len() > 10, "{tables:?}");
        for (name, columns) in tables.iter().filter(|(name, _)| !DERIVED.contains(&name.as_str())) {
            let table = TABLES.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("{name} is forgotten"));
            let copied =
                table.columns.iter().map(|column| (column.on_server.to_owned(), type_of(column.kind).to_owned()));
            assert_eq!(copied.collect::<BTreeMap<_, _>>(), *columns, "{name}");
        }
        assert!(TABLES.iter().all(|table| tables.contains_key(table.name)), "{tables:?}");
    }
}
