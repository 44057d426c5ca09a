//! Rows of the sync log, and of the visits of sites.

use super::cursor;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::SiteId;
use crate::storage::{LogEntry, SiteActivity};

/// The columns of a site's visits: number, name, version, last visit, last pull, last push, position.
pub(in crate::storage) type ActivityRow = (i32, String, String, String, Option<String>, Option<String>, Option<i64>);

/// Parses a row of a site's visits.
pub(in crate::storage) fn read_activity(row: ActivityRow) -> Result<SiteActivity> {
    let (site, name, app_version, seen, pulled, pushed, read_to) = row;
    let damaged = || Error::DamagedState { what: format!("the visits of site {site}") };
    let moment = |text: String| Timestamp::parse(&text).ok_or_else(damaged);
    Ok(SiteActivity {
        site: SiteId(site),
        name,
        app_version,
        seen_at: moment(seen)?,
        pulled_at: pulled.map(moment).transpose()?,
        pushed_at: pushed.map(moment).transpose()?,
        read_to: read_to.map(cursor),
    })
}

/// The columns of an entry of the sync log: beginning, end, outcome, error, report.
pub(in crate::storage) type LogRow = (String, String, String, Option<String>, String);

/// An entry of the sync log as stored.
pub(in crate::storage) struct LogTexts {
    pub started_at: String,
    pub finished_at: String,
    pub error: Option<String>,
    pub report: String,
}

impl LogTexts {
    pub(in crate::storage) fn of(entry: &LogEntry) -> Result<Self> {
        let damaged = |_| Error::DamagedState { what: "an entry of the sync log".to_owned() };
        Ok(Self {
            started_at: entry.started_at.to_string(),
            finished_at: entry.finished_at.to_string(),
            error: entry.error.as_ref().map(serde_json::to_string).transpose().map_err(damaged)?,
            report: entry.report.to_string(),
        })
    }
}

/// Parses an entry of the sync log.
pub(in crate::storage) fn read_log((started, finished, outcome, error, report): LogRow) -> Result<LogEntry> {
    let read = || {
        Some(LogEntry {
            started_at: Timestamp::parse(&started)?,
            finished_at: Timestamp::parse(&finished)?,
            outcome,
            error: error.map(|text| serde_json::from_str(&text)).transpose().ok()?,
            report: serde_json::from_str(&report).ok()?,
        })
    };
    read().ok_or_else(|| Error::DamagedState { what: "the sync log".to_owned() })
}
