//! The last cycles, and their errors.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::Serialize;
use sync_core::text::Localize;
use sync_core::{Message, Result};

use super::open::{Database, failed};
use super::values::{first_line, time};
use crate::sentences::upstream_advice as advise;

/// Steps, by the columns of Open mSupply's log.
const STEPS: &[&str] = &["prepare_initial", "push_v6", "push", "pull_central", "pull_remote", "pull_v6", "integration"];

/// A cycle.
#[derive(Debug, Serialize)]
pub struct CycleLine {
    /// Its beginning.
    pub started_at: String,
    /// Its end.
    pub finished_at: Option<String>,
    /// `done`, `failed`, or `not_finished`: it runs, or the server was stopped within it.
    pub outcome: &'static str,
    /// Its duration, if this release stores it.
    pub seconds: Option<i64>,
    /// The step in which it ended early.
    pub step: Option<&'static str>,
    /// Records by step, if any.
    #[serde(rename = "records_by_step")]
    pub records: BTreeMap<&'static str, i64>,
    /// Its error, if it failed.
    pub error: Option<CycleError>,
}

/// The error of a cycle.
#[derive(Debug, Serialize)]
pub struct CycleError {
    /// Open mSupply's code; `None` if its users see "Unknown sync error".
    pub code: Option<String>,
    /// The first line of the message, without secrets.
    pub message: String,
    /// The advice, for its codes.
    pub advice: Option<Message>,
}

impl Localize for CycleLine {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.error.iter_mut().for_each(|error| error.advice.each_message(each));
    }
}

/// The advice for the codes of Open mSupply.
fn advice(code: &str) -> Option<Message> {
    Some(match code {
        "CONNECTION_ERROR" => advise::connection_error(),
        "SITE_NAME_NOT_FOUND" => advise::site_name_not_found(),
        "INCORRECT_PASSWORD" => advise::incorrect_password(),
        "HARDWARE_ID_MISMATCH" => advise::hardware_id_mismatch(),
        "SITE_HAS_NO_STORE" => advise::site_has_no_store(),
        "SITE_AUTH_TIMEOUT" => advise::site_auth_timeout(),
        "API_VERSION_INCOMPATIBLE" => advise::api_version_incompatible(),
        "V6_API_VERSION_INCOMPATIBLE" => advise::v6_api_version_incompatible(),
        "CENTRAL_V6_NOT_CONFIGURED" => advise::central_v6_not_configured(),
        "INTEGRATION_TIMEOUT_REACHED" => advise::integration_timeout_reached(),
        "INTEGRATION_ERROR" => advise::integration_error(),
        _ => return None,
    })
}

/// The newest cycles first.
pub(super) fn newest(database: &Database, limit: usize) -> Result<Vec<CycleLine>> {
    let columns: Vec<String> = STEPS
        .iter()
        .flat_map(|step| {
            ["_started_datetime", "_finished_datetime", "_progress_done"].map(|end| format!("{step}{end}"))
        })
        .map(|column| database.column("sync_log", &column).to_owned())
        .collect();
    let duration = database.column("sync_log", "duration_in_seconds");
    let code = database.column("sync_log", "error_code");
    let sql = format!(
        "SELECT started_datetime, finished_datetime, {duration}, {code}, error_message, {} FROM sync_log \
         ORDER BY started_datetime DESC LIMIT ?1",
        columns.join(", ")
    );
    let mut query = database.connection.prepare(&sql).map_err(failed)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map([limit], cycle);
    rows.and_then(Iterator::collect).map_err(failed)
}

fn cycle(row: &Row<'_>) -> rusqlite::Result<CycleLine> {
    let text = |i: usize| row.get::<_, Option<String>>(i);
    let (finished, code, message) = (text(1)?, text(3)?, text(4)?);
    let mut records = BTreeMap::new();
    let mut step = None;
    for (i, name) in STEPS.iter().copied().enumerate() {
        let at = 5 + 3 * i;
        if text(at)?.is_some() && text(at + 1)?.is_none() {
            step = Some(name);
        }
        if let Some(done) = row.get::<_, Option<i64>>(at + 2)?.filter(|done| *done > 0) {
            records.insert(name, done);
        }
    }
    let has_error = code.is_some() || message.is_some();
    Ok(CycleLine {
        started_at: time(&row.get::<_, String>(0)?),
        outcome: match (&finished, has_error) {
            (_, true) => "failed",
            (Some(_), false) => "done",
            (None, false) => "not_finished",
        },
        step: if finished.is_some() && !has_error { None } else { step },
        finished_at: finished.as_deref().map(time),
        seconds: row.get(2)?,
        records,
        error: has_error.then(|| CycleError {
            advice: code.as_deref().and_then(advice),
            message: first_line(message.as_deref().unwrap_or_default()),
            code,
        }),
    })
}

/// The end of the newest cycle without an error.
pub(super) fn last_success(database: &Database) -> Result<Option<String>> {
    let sql = "SELECT MAX(finished_datetime) FROM sync_log WHERE error_message IS NULL";
    let found = database.connection.query_row(sql, (), |row| row.get::<_, Option<String>>(0)).map_err(failed)?;
    Ok(found.as_deref().map(time))
}

/// The number of cycles that ended with each code.
pub(super) fn errors(database: &Database) -> Result<BTreeMap<String, u64>> {
    let code = database.column("sync_log", "error_code");
    let sql = format!(
        "SELECT COALESCE({code}, 'unknown'), COUNT(*) FROM sync_log \
         WHERE {code} IS NOT NULL OR error_message IS NOT NULL GROUP BY 1"
    );
    let mut query = database.connection.prepare(&sql).map_err(failed)?;
    let rows = query.query_map((), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())));
    rows.and_then(Iterator::collect).map_err(failed)
}

/// An error of the server's own log.
#[derive(Debug, Serialize)]
pub struct ServerError {
    /// Its time.
    pub at: String,
    /// Open mSupply's kind of entry.
    pub kind: String,
    /// The first line of the message, without secrets.
    pub message: String,
}

pub(super) fn server_errors(database: &Database, limit: i64) -> Result<Vec<ServerError>> {
    if !database.has_table("system_log") {
        return Ok(Vec::new());
    }
    // The log of a central server contains the entries of its sites too.
    let sql = "SELECT datetime, type, message FROM system_log WHERE is_error ORDER BY datetime DESC LIMIT ?1";
    let mut query = database.connection.prepare(sql).map_err(failed)?;
    let rows = query.query_map([limit], |row| {
        let message = row.get::<_, Option<String>>(2)?.unwrap_or_default();
        Ok(ServerError {
            at: time(&row.get::<_, String>(0)?),
            kind: row.get(1)?,
            message: first_line(message.trim_start_matches([' ', '-'])),
        })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}
