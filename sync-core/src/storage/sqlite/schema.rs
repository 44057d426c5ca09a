//! Numbered migrations, and the views that show records as tables.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::database_error;
use super::fill;
use crate::error::{Error, Result};
use crate::record::{Field, FieldKind, RecordType, record_types};

/// The tables that make up the changelog.
pub(super) const TABLES: [&str; 2] = ["sync_record", "sync_change"];

/// The migrations: each upgrades the schema from its index to the next version; a released one never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
];

/// The migration after which existing data are processed in Rust.
const FILLED: i64 = 6;

/// The migration after which the sites of stores are read again in Rust.
const STORES_READ_AGAIN: i64 = 8;

/// Marks the file as ours: "OMSS".
const APPLICATION_ID: i64 = 0x4f4d_5353;

/// The schema version of a database, and that of this library. Changes nothing.
pub(super) fn version(connection: &Connection) -> Result<(i64, i64)> {
    let number = |pragma: &str| -> Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(database_error)
    };
    let (owner, version, known) = (number("application_id")?, number("user_version")?, MIGRATIONS.len() as i64);
    if owner != APPLICATION_ID {
        return Err(Error::NotADatabase { path: String::new(), source: None });
    }
    if version > known {
        return Err(Error::DatabaseTooNew { found: version, known });
    }
    Ok((version, known))
}

/// A table or a trigger that a database of this schema version has, and that this one lacks.
pub(super) fn missing(connection: &Connection) -> Result<Option<String>> {
    let names = |connection: &Connection| {
        let sql =
            "SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('table', 'trigger') AND name LIKE 'sync_%'";
        let mut query = connection.prepare(sql)?;
        let names = query.query_map((), |row| row.get(0))?;
        names.collect::<rusqlite::Result<BTreeSet<String>>>()
    };
    let mut whole = Connection::open_in_memory().map_err(database_error)?;
    migrate(&mut whole)?;
    let (whole, there) = names(&whole).and_then(|whole| Ok((whole, names(connection)?))).map_err(database_error)?;
    Ok(whole.difference(&there).next().cloned())
}

pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let number = |connection: &Connection, pragma: &str| -> Result<i64> {
        connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(database_error)
    };
    let known = MIGRATIONS.len() as i64;
    if number(connection, "application_id")? == APPLICATION_ID && number(connection, "user_version")? == known {
        return refresh_views(connection);
    }
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database_error)?;
    let (owner, version) = (number(&txn, "application_id")?, number(&txn, "user_version")?);
    let tables: i64 = txn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'", (), |row| row.get(0))
        .map_err(database_error)?;
    // A database of another program, such as a real Open mSupply one, is never changed.
    let pages = number(&txn, "page_count")?;
    if owner != APPLICATION_ID && (owner != 0 || version != 0 || tables != 0 || pages > 1) {
        return Err(Error::NotADatabase { path: String::new(), source: None });
    }
    if version > known {
        return Err(Error::DatabaseTooNew { found: version, known });
    }
    for (number, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(0)) {
        txn.execute_batch(migration).map_err(database_error)?;
        match number {
            FILLED => fill::fill(&txn)?,
            STORES_READ_AGAIN => fill::read_stores_again(&txn)?,
            _ => {}
        }
    }
    txn.pragma_update(None, "application_id", APPLICATION_ID).map_err(database_error)?;
    txn.pragma_update(None, "user_version", known).map_err(database_error)?;
    txn.commit().map_err(database_error)?;
    refresh_views(connection)
}

/// Recreates the views if their declarations changed. They hold no data.
fn refresh_views(connection: &mut Connection) -> Result<()> {
    const KEY: &str = "views";
    let views: Vec<(&str, String)> = record_types().iter().map(|kind| (kind.table, view_sql(kind))).collect();
    let all: String = views.iter().map(|(_, sql)| sql.as_str()).collect();
    let fingerprint = crate::protocol::hex(&<sha2::Sha256 as sha2::Digest>::digest(&all));
    if setting(connection, KEY).map_err(database_error)?.as_ref() == Some(&fingerprint) {
        return Ok(());
    }
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database_error)?;
    for (name, sql) in views {
        txn.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\"; {sql}")).map_err(database_error)?;
    }
    txn.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", [KEY, &fingerprint])
        .map_err(database_error)?;
    txn.commit().map_err(database_error)
}

/// A setting of a database.
pub(super) fn setting(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare("SELECT value FROM sync_state WHERE key = ?1")?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

fn view_sql(kind: &RecordType) -> String {
    let columns: Vec<String> =
        kind.fields.iter().map(|field| format!("{} AS \"{}\"", column_sql(field), field.name)).collect();
    let (table, columns) = (kind.table, columns.join(", "));
    format!("CREATE VIEW \"{table}\" AS SELECT {columns} FROM sync_record WHERE table_name = '{table}';")
}

/// The value of a field in a view.
fn column_sql(field: &Field) -> String {
    let extract = |name: &str| match field.kind {
        FieldKind::Json | FieldKind::EnumList(..) => format!("data -> '$.\"{name}\"'"),
        _ => format!("data ->> '$.\"{name}\"'"),
    };
    let spellings: Vec<String> = std::iter::once(&field.name).chain(field.aliases).map(|n| extract(n)).collect();
    // As this library reads it: an older spelling counts if the current one is missing, not if it is null.
    let first = format!("json_type(data, '$.\"{}\"') IS NOT NULL", field.name);
    match spellings.as_slice() {
        [one] => one.clone(),
        [one, older @ ..] => {
            let older = if let [one] = older { one.clone() } else { format!("coalesce({})", older.join(", ")) };
            format!("CASE WHEN {first} THEN {one} ELSE {older} END")
        }
        [] => String::new(),
    }
}

/// Makes the index of a host on a field of a record type, or makes it anew if the view has another value there.
pub(super) fn keep_index(txn: &Connection, kind: &RecordType, field: &Field) -> rusqlite::Result<()> {
    let (table, name) = (kind.table, format!("host_index_{}_{}", kind.table, field.name));
    let wanted = format!(
        "CREATE INDEX \"{name}\" ON sync_record ({}, record_id) WHERE table_name = '{table}'",
        column_sql(field)
    );
    let stored = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    match txn.query_row(stored, [&name], |row| row.get::<_, String>(0)) {
        Ok(sql) if sql == wanted => Ok(()),
        Ok(_) => txn.execute_batch(&format!("DROP INDEX \"{name}\"; {wanted}")),
        Err(rusqlite::Error::QueryReturnedNoRows) => txn.execute_batch(&wanted),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_has_the_declared_columns() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for kind in record_types() {
            let statement = connection.prepare(&format!("SELECT * FROM \"{}\"", kind.table)).unwrap();
            let declared: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
            assert_eq!(statement.column_names(), declared);
        }
        connection
            .execute(
                "INSERT INTO sync_record (table_name, record_id, data, cursor, is_sync_update, changed_at) \
                 VALUES ('vaccination', 'v', '{\"patient_link_id\":\"p\",\"given\":true}', 1, 0, 0)",
                (),
            )
            .unwrap();
        let row: (String, i64) = connection
            .query_row("SELECT patient_id, given FROM vaccination", (), |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap();
        assert_eq!(row, ("p".to_owned(), 1));
        let update = "UPDATE sync_record SET data = '{\"patient_link_id\":\"p\",\"patient_id\":null}'";
        connection.execute(update, ()).unwrap();
        let none: Option<String> =
            connection.query_row("SELECT patient_id FROM vaccination", (), |row| row.get(0)).unwrap();
        assert_eq!(none, None, "the current spelling counts");
    }
}
