//! Local changes that have not been sent, by table.

use std::collections::BTreeMap;

use serde::Serialize;
use sync_core::Result;
use sync_core::clock::Timestamp;
use sync_core::record::record_types;

use super::open::{Database, failed};
use super::site::{Part, Settings};
use super::values::made_at;

/// The changed records of one table that wait.
#[derive(Debug, Serialize)]
pub struct Waiting {
    /// The receiver: `central` or `legacy`.
    pub to: &'static str,
    /// Open mSupply's name of the table.
    pub table: String,
    /// Their number.
    pub records: u64,
    /// Those that are sent as a delete.
    pub deletes: u64,
    /// The position of the oldest in the changelog.
    pub oldest_cursor: i64,
    /// The id of the oldest.
    pub oldest_id: String,
    /// The time when the oldest was made, if its id shows it; the changelog has no times.
    pub oldest_made_at: Option<String>,
}

/// Types of V6 that a central server forwards to the legacy server.
const FORWARDED: &[&str] =
    &["vaccination", "vaccine_course", "vaccine_course_dose", "vaccine_course_item", "name", "name_store_join"];

/// Counts the waiting rows, with the filters of Open mSupply's own push.
pub(super) fn waiting(database: &Database, settings: &Settings, part: Part, latest: Timestamp) -> Result<Vec<Waiting>> {
    let source = database.column("changelog", "source_site_id");
    let v6: Vec<(&str, bool)> = record_types().iter().map(|kind| (kind.changelog_name, kind.pushed)).collect();
    let travels = |table: &str, to: &str| match (v6.iter().find(|(name, _)| *name == table), to) {
        (Some((_, pushed)), "central") => *pushed,
        (None, "central") => false,
        // The legacy server has no place for records that only V6 knows.
        (Some(_), _) => FORWARDED.contains(&table),
        (None, _) => true,
    };
    let mut all = Vec::new();
    let (legacy, own) = (settings.legacy(), settings.site().unwrap_or(-1));
    let ends = match part {
        Part::Central => vec![("legacy", "REMOTE_SYNC_PUSH_CURSOR")],
        _ => vec![("central", "SYNC_PUSH_CURSOR_V6"), ("legacy", "REMOTE_SYNC_PUSH_CURSOR")],
    };
    for (to, cursor) in ends {
        let filter = match part {
            Part::Central => format!(
                "({source} IS NULL OR {source} <> {legacy}) AND NOT ({source} IS NOT NULL AND table_name IN \
                 ('name', 'name_store_join'))"
            ),
            _ => format!(
                "COALESCE(is_sync_update, 0) = 0 AND (store_id IS NULL OR store_id IN \
                 (SELECT id FROM store WHERE site_id = {own}))"
            ),
        };
        // As there: the newest row of each record and store counts, and only then the filter applies.
        let sql = format!(
            "SELECT table_name, record_id, row_action, oldest FROM (SELECT *, \
             MIN(cursor) OVER same AS oldest, MAX(cursor) OVER same AS newest FROM changelog WHERE cursor >= ?1 \
             WINDOW same AS (PARTITION BY record_id, COALESCE(store_id, ''))) \
             WHERE cursor = newest AND {filter} ORDER BY cursor"
        );
        let from = settings.number(cursor).unwrap_or(0);
        let mut query = database.connection.prepare(&sql).map_err(failed)?;
        let mut rows = query.query([from]).map_err(failed)?;
        let mut tables: BTreeMap<String, Waiting> = BTreeMap::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let table: String = row.get(0).map_err(failed)?;
            if !travels(&table, to) {
                continue;
            }
            let (id, action): (String, String) = (row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
            let oldest: i64 = row.get(3).map_err(failed)?;
            let found = tables.entry(table.clone()).or_insert_with(|| Waiting {
                to,
                table,
                records: 0,
                deletes: 0,
                oldest_cursor: i64::MAX,
                oldest_id: String::new(),
                oldest_made_at: None,
            });
            found.records += 1;
            found.deletes += u64::from(action == "DELETE");
            if oldest < found.oldest_cursor {
                found.oldest_cursor = oldest;
                found.oldest_made_at = made_at(&id, latest);
                found.oldest_id = id;
            }
        }
        all.extend(tables.into_values());
    }
    Ok(all)
}
