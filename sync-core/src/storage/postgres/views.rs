//! A view for each record type, for people who ask in SQL. They have a schema of their own, so that one grant covers them and
//! nothing else.

use sha2::{Digest as _, Sha256};

use super::connection::{Connection, in_turn};
use super::lock::SCHEMA;
use crate::error::{Error, Result};
use crate::protocol::hex;
use crate::record::{Field, FieldKind, RecordType, record_types};

/// The key of the fingerprint of the views that are there.
const KEY: &str = "views";

/// Recreates the views if their declarations changed. They hold no data, so nothing fails without them: where this user may make no
/// schema there are none, and one on which something else depends stays as it is.
pub(super) fn refresh(connection: &mut Connection) -> Result<()> {
    let views: Vec<(&str, String)> = record_types().iter().map(|kind| (kind.table, view_sql(kind))).collect();
    let all: String = views.iter().map(|(_, sql)| sql.as_str()).collect();
    let fingerprint = hex(&Sha256::digest(&all));
    let known = connection.simple(&format!("SELECT value FROM sync_state WHERE key = '{KEY}'"))?;
    if known.first().and_then(|row| row.first()?.clone()).as_ref() == Some(&fingerprint) {
        return Ok(());
    }
    let made = in_turn(connection, SCHEMA.in_transaction(), |connection| {
        connection.simple("CREATE SCHEMA IF NOT EXISTS records")?;
        for (name, sql) in &views {
            connection.simple("SAVEPOINT one_view")?;
            let is_made = connection.simple(&format!("DROP VIEW IF EXISTS records.\"{name}\"; {sql}"));
            if is_made.is_err() {
                connection.simple("ROLLBACK TO SAVEPOINT one_view")?;
            }
        }
        let noted = format!(
            "INSERT INTO sync_state VALUES ('{KEY}', '{fingerprint}') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        );
        connection.simple(&noted).map(drop)
    });
    match made {
        Err(Error::DatabaseReadOnly { .. }) => Ok(()),
        made => made,
    }
}

fn view_sql(kind: &RecordType) -> String {
    let columns: Vec<String> =
        kind.fields.iter().map(|field| format!("{} AS \"{}\"", column_sql(field), field.name)).collect();
    let (table, columns) = (kind.table, columns.join(", "));
    // OFFSET keeps the data from being read once for each column.
    format!(
        "CREATE VIEW records.\"{table}\" AS SELECT {columns} \
         FROM sync_record r CROSS JOIN LATERAL (SELECT r.data::json AS j OFFSET 0) d WHERE r.table_name = '{table}'"
    )
}

/// The value of a field in a view. A value of another kind, which an older version may have taken, reads as none.
fn column_sql(field: &Field) -> String {
    let extract = |name: &str| match field.kind {
        FieldKind::Json | FieldKind::EnumList(..) => format!("j -> '{name}'"),
        FieldKind::Bool => {
            format!("CASE json_typeof(j -> '{name}') WHEN 'boolean' THEN (j ->> '{name}')::boolean END")
        }
        FieldKind::I32 | FieldKind::F64 => {
            format!("CASE json_typeof(j -> '{name}') WHEN 'number' THEN (j ->> '{name}')::numeric END")
        }
        _ => format!("j ->> '{name}'"),
    };
    let mut sql = extract(field.name);
    // As this library reads it: an older spelling counts if the current one is missing, not if it is null.
    if !field.aliases.is_empty() {
        let older: Vec<String> = field.aliases.iter().map(|name| extract(name)).collect();
        let older = older.join(", ");
        sql = format!("CASE WHEN (j -> '{}') IS NOT NULL THEN {sql} ELSE coalesce({older}) END", field.name);
    }
    sql
}
