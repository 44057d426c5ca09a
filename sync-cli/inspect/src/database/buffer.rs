//! Received records that were not integrated: the reason, and the record that each lacks.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde_json::{Map, Value};
use sync_core::text::{Detail, Localize};
use sync_core::{Message, Result};

use super::open::{Database, failed};
use super::values::{first_line, table_of, time};
use crate::sentences::stuck_records as says;

/// Why a record is stuck. Open mSupply does not retry it, and does not show it to its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It names a record that was not there.
    MissingParent,
    /// This release does not know its table, and skips it.
    UnknownTable,
    /// Its content cannot be read.
    BadData,
    /// Another record has a value that must be unique.
    Duplicate,
    /// This release leaves it out deliberately.
    Ignored,
    /// Something else.
    Other,
}

impl Cause {
    /// A description, such as `lacks another record`.
    pub fn meaning(self) -> Message {
        match self {
            Self::MissingParent => says::missing_parent(),
            Self::UnknownTable => says::unknown_table(),
            Self::BadData => says::bad_data(),
            Self::Duplicate => says::duplicate(),
            Self::Ignored => says::ignored(),
            Self::Other => says::other(),
        }
    }

    /// The advice.
    pub fn advice(self) -> Message {
        match self {
            Self::MissingParent => says::missing_parent_advice(),
            Self::UnknownTable => says::unknown_table_advice(),
            Self::BadData => says::bad_data_advice(),
            Self::Duplicate => says::duplicate_advice(),
            Self::Ignored => says::ignored_advice(),
            Self::Other => says::other_advice(),
        }
    }

    fn of(error: &str) -> Self {
        match error {
            _ if error.starts_with("Ignored: ") => Self::Ignored,
            _ if error.contains("Translator for record not found") => Self::UnknownTable,
            _ if error.contains("ForeignKeyViolation") || error.contains("FOREIGN KEY") => Self::MissingParent,
            _ if error.contains("UniqueViolation") || error.contains("UNIQUE constraint") => Self::Duplicate,
            _ if error.contains("at line ") && error.contains(" column ") => Self::BadData,
            _ => Self::Other,
        }
    }
}

/// A record that others lack.
#[derive(Debug, Clone, Serialize)]
pub struct Missing {
    /// Its table, as Open mSupply names it.
    pub table: String,
    /// Its id.
    pub id: String,
    /// The number of stuck records that name it.
    pub needed_by: u64,
    /// `never_arrived`, `stuck_itself`, `waiting`, or `not_kept`: it was integrated and is gone.
    pub state: &'static str,
}

/// Stuck records of one table, one sender and one cause.
#[derive(Debug, Serialize)]
pub struct Stuck {
    /// Why they are stuck.
    pub cause: Cause,
    /// Their table, as the wire names it.
    pub table: String,
    /// The site that pushed them; `None` for pulled records.
    pub from_site: Option<i64>,
    /// Their number.
    pub records: u64,
    /// The error of the first of them.
    pub reason: Detail,
    /// Empty if the records that they lacked have arrived since.
    #[serde(rename = "missing_records")]
    pub missing: Vec<Missing>,
    /// The arrival of the oldest.
    pub oldest_received_at: String,
    /// Some of their ids.
    pub ids: Vec<String>,
    /// The advice.
    pub advice: Message,
}

impl Localize for Stuck {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.reason.each_message(each);
        self.advice.each_message(each);
    }
}

/// Received records of one table that the next integration handles.
#[derive(Debug, Serialize)]
pub struct NotIntegrated {
    /// Their table, as the wire names it.
    pub table: String,
    /// The site that pushed them; `None` for pulled records.
    pub from_site: Option<i64>,
    /// Their number.
    pub records: i64,
    /// The arrival of the oldest.
    pub oldest_received_at: String,
}

/// The sync buffer.
#[derive(Debug, Serialize)]
pub struct Buffer {
    /// The number of its records.
    pub records: i64,
    /// Those that were integrated without an error.
    pub integrated: i64,
    /// Those that the next integration handles, by table and sender.
    pub not_integrated: Vec<NotIntegrated>,
    /// Those that no integration handles again, by cause.
    pub stuck: Vec<Stuck>,
    /// The records that never arrived and that others lack, the most needed first: with these the rest can follow.
    pub never_arrived: Vec<Missing>,
}

struct Row {
    id: String,
    table: String,
    data: String,
    from_site: Option<i64>,
    received: String,
    /// `None` for one that an integration skipped.
    error: Option<String>,
}

impl Buffer {
    pub(super) fn read(database: &Database) -> Result<Self> {
        let source = database.column("sync_buffer", "source_site_id");
        // A later integration of the same sender's records that skipped this one does not know its table.
        let newest = format!(
            "WITH newest AS (SELECT {source} AS sender, MAX(integration_datetime) AS at FROM sync_buffer GROUP BY 1)"
        );
        let passed = format!(
            "integration_datetime IS NULL AND received_datetime < (SELECT at FROM newest WHERE sender IS {source})"
        );
        let sql = format!(
            "{newest} SELECT record_id, table_name, data, {source}, received_datetime, integration_error \
             FROM sync_buffer WHERE integration_error IS NOT NULL OR ({passed}) ORDER BY received_datetime, record_id"
        );
        let mut query = database.connection.prepare(&sql).map_err(failed)?;
        let rows = query.query_map((), |row| {
            Ok(Row {
                id: row.get(0)?,
                table: row.get(1)?,
                data: row.get(2)?,
                from_site: row.get(3)?,
                received: row.get(4)?,
                error: row.get(5)?,
            })
        });
        let mut groups: BTreeMap<(Cause, String, Option<i64>), Stuck> = BTreeMap::new();
        for row in rows.map_err(failed)? {
            add(database, row.map_err(failed)?, &mut groups)?;
        }
        let sql = format!(
            "{newest} SELECT table_name, {source}, COUNT(*), MIN(received_datetime) FROM sync_buffer \
             WHERE integration_datetime IS NULL AND integration_error IS NULL AND ({passed}) IS NOT TRUE GROUP BY 1, 2"
        );
        let mut query = database.connection.prepare(&sql).map_err(failed)?;
        let rows = query.query_map((), |row| {
            Ok(NotIntegrated {
                table: row.get(0)?,
                from_site: row.get(1)?,
                records: row.get(2)?,
                oldest_received_at: time(&row.get::<_, String>(3)?),
            })
        });
        let stuck: Vec<Stuck> = groups.into_values().collect();
        let done =
            "SELECT COUNT(*) FROM sync_buffer WHERE integration_datetime IS NOT NULL AND integration_error IS NULL";
        Ok(Self {
            records: database.number("SELECT COUNT(*) FROM sync_buffer", ())?,
            integrated: database.number(done, ())?,
            not_integrated: rows.and_then(Iterator::collect).map_err(failed)?,
            never_arrived: never_arrived(&stuck),
            stuck,
        })
    }
}

fn never_arrived(stuck: &[Stuck]) -> Vec<Missing> {
    let mut all: Vec<Missing> = Vec::new();
    for missing in stuck.iter().flat_map(|group| &group.missing).filter(|missing| missing.state == "never_arrived") {
        match all.iter_mut().find(|known| known.table == missing.table && known.id == missing.id) {
            Some(known) => known.needed_by += missing.needed_by,
            None => all.push(missing.clone()),
        }
    }
    all.sort_by(|a, b| b.needed_by.cmp(&a.needed_by).then_with(|| (&a.table, &a.id).cmp(&(&b.table, &b.id))));
    all
}

fn add(database: &Database, row: Row, groups: &mut BTreeMap<(Cause, String, Option<i64>), Stuck>) -> Result<()> {
    const IDS: usize = 5;
    let cause = row.error.as_deref().map_or(Cause::UnknownTable, Cause::of);
    let group = groups.entry((cause, row.table.clone(), row.from_site)).or_insert_with(|| Stuck {
        cause,
        table: row.table.clone(),
        from_site: row.from_site,
        records: 0,
        reason: row.error.as_deref().map_or_else(|| says::passed_over().into(), |error| first_line(error).into()),
        missing: Vec::new(),
        oldest_received_at: time(&row.received),
        ids: Vec::new(),
        advice: cause.advice(),
    });
    group.records += 1;
    if group.ids.len() < IDS {
        group.ids.push(row.id);
    }
    if cause == Cause::MissingParent {
        for (table, id) in missing(database, &row.table, &row.data)? {
            match group.missing.iter_mut().find(|known| known.table == table && known.id == id) {
                Some(known) => known.needed_by += 1,
                None => {
                    let state = state(database, &id)?;
                    group.missing.push(Missing { table, id, needed_by: 1, state });
                }
            }
        }
    }
    Ok(())
}

/// The missing records that this one names, by the database's own foreign keys.
fn missing(database: &Database, table: &str, data: &str) -> Result<Vec<(String, String)>> {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(data) else { return Ok(Vec::new()) };
    let sql = "SELECT \"from\", \"table\", COALESCE(\"to\", 'id') FROM pragma_foreign_key_list(?1) ORDER BY 1";
    let mut query = database.connection.prepare_cached(sql).map_err(failed)?;
    let keys = query.query_map([table_of(table)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let keys: Vec<(String, String, String)> = keys.and_then(Iterator::collect).map_err(failed)?;
    let mut missing = Vec::new();
    for (column, parent, to) in keys {
        let named = fields.iter().find(|(key, _)| plain(key) == plain(&column)).and_then(|(_, value)| value.as_str());
        let Some(id) = named.filter(|id| !id.is_empty()) else { continue };
        let sql = format!("SELECT 1 FROM \"{parent}\" WHERE \"{to}\" = ?1");
        let found: Option<i64> =
            database.connection.query_row(&sql, [id], |row| row.get(0)).optional().map_err(failed)?;
        if found.is_none() {
            missing.push((parent.trim_end_matches("_link").to_owned(), id.to_owned()));
        }
    }
    Ok(missing)
}

/// A column and a key of the wire with the same meaning: Open mSupply's columns point to its own link tables.
fn plain(key: &str) -> String {
    key.to_lowercase().replace("_link_", "_")
}

/// The state of a record that others lack.
fn state(database: &Database, id: &str) -> Result<&'static str> {
    let sql =
        "SELECT integration_error IS NOT NULL, integration_datetime IS NULL FROM sync_buffer WHERE record_id = ?1";
    let found = database.connection.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(match found.optional().map_err(failed)? {
        None => "never_arrived",
        Some((true, _)) => "stuck_itself",
        Some((false, true)) => "waiting",
        Some((false, false)) => "not_kept",
    })
}
