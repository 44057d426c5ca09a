//! The state of a database: its identity, waiting records, and the result of the last cycle.

use serde::Serialize;

use crate::alarm::CentralAlarm;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, SiteId};
use crate::redaction::masked_url;
use crate::role::Role;
use crate::site::CentralRefusal;
use crate::site::report::SyncOutcome;
use crate::site::unpushed::Unpushed;
use crate::storage::state::{role, site_id};
use crate::storage::{LogEntry, LoggedError, QuarantineCause, ReadTxn, Selection, Storage, state};
use crate::support::alarms::alarms;
use crate::support::refused_by_central::refused_by_central;
use crate::support::{OtherCopy, is_of_patient, is_repair, other_copy};

/// The state of a database, which is also its JSON document.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// `central` or `remote`; `None` before it is set up.
    pub role: Option<&'static str>,
    /// The site's number.
    pub site_id: Option<SiteId>,
    /// The site's name.
    pub site_name: Option<String>,
    /// The legacy server's address.
    pub legacy_url: Option<String>,
    /// Central's address.
    pub central_url: Option<String>,
    /// True once a first cycle was complete.
    pub initialised: bool,
    /// True while this central server is paused for maintenance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The next position to read in central's changelog.
    pub pull_cursor_v6: Cursor,
    /// The next position to push of this changelog.
    pub push_cursor_v6: Cursor,
    /// Local edits that their server, central or the legacy server, has not accepted yet.
    pub waiting: Waiting,
    /// The newest cycle.
    pub last_sync: Option<LastSync>,
    /// The end of the newest complete cycle, as far as the log goes back.
    pub last_success: Option<Timestamp>,
    /// The number of quarantined records, without ignored ones.
    pub quarantined: u64,
    /// The same by cause.
    pub quarantined_by_cause: std::collections::BTreeMap<&'static str, u64>,
    /// Records of this site that central refused, and that were not written again since; only a central server of this project
    /// tells. At most the newest 200.
    pub refused_by_central: Vec<CentralRefusal>,
    /// Another copy of this site's database, if central or the watermark has seen one.
    pub other_copy: Option<OtherCopy>,
    /// On a central server, its alarms.
    pub alarms: Vec<CentralAlarm>,
    /// Files by state, as far as they are known.
    #[serde(rename = "files_by_state")]
    pub files: std::collections::BTreeMap<&'static str, u64>,
    /// Stored records, by table.
    #[serde(rename = "records_by_table")]
    pub records: std::collections::BTreeMap<String, u64>,
}

/// Local edits that their server has not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Waiting {
    /// Their number.
    pub records: u64,
    /// The size of their data.
    pub bytes: u64,
    /// The time of the oldest.
    pub oldest_at: Option<Timestamp>,
}

/// The newest cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LastSync {
    /// Its beginning.
    pub started_at: Timestamp,
    /// Its end.
    pub finished_at: Timestamp,
    /// Its outcome.
    pub outcome: String,
    /// Its error, if any.
    pub error: Option<LoggedError>,
}

/// Reads the state of a database.
///
/// # Errors
/// The database failed.
pub(crate) fn status(storage: &dyn Storage, now: Timestamp) -> Result<Status> {
    let txn = storage.read()?;
    let role = role(txn.as_ref())?;
    let site_id = site_id(txn.as_ref())?;
    let by_cause: std::collections::BTreeMap<_, _> =
        txn.quarantine_counts()?.into_iter().map(|(cause, count)| (cause.as_str(), count)).collect();
    Ok(Status {
        role: role.map(Role::as_str),
        site_id,
        site_name: state::SITE_NAME.find(txn.as_ref())?,
        legacy_url: state::LEGACY_URL.find(txn.as_ref())?.as_deref().map(masked_url),
        central_url: state::CENTRAL_URL.find(txn.as_ref())?.as_deref().map(masked_url),
        initialised: state::INITIALISED_AT.is_set(txn.as_ref())? || role == Some(Role::Central),
        paused: state::PAUSED.get(txn.as_ref())?,
        pull_cursor_v6: state::PULL_CURSOR_V6.get(txn.as_ref())?,
        push_cursor_v6: state::PUSH_CURSOR_V6.get(txn.as_ref())?,
        waiting: if role == Some(Role::Central) { Waiting::NONE } else { waiting(txn.as_ref())? },
        last_success: last_success(txn.as_ref())?,
        last_sync: last_cycle(txn.as_ref())?.map(|entry| LastSync {
            started_at: entry.started_at,
            finished_at: entry.finished_at,
            outcome: entry.outcome,
            error: entry.error,
        }),
        quarantined: by_cause
            .iter()
            .filter(|(cause, _)| !QuarantineCause::ALL.iter().any(|of| of.is_settled() && of.as_str() == **cause))
            .map(|(_, n)| n)
            .sum(),
        quarantined_by_cause: by_cause,
        refused_by_central: refused_by_central(txn.as_ref())?,
        other_copy: other_copy(storage, txn.as_ref(), now)?,
        alarms: alarms(txn.as_ref(), now)?,
        files: txn.file_counts()?.into_iter().map(|(state, count)| (state.as_str(), count)).collect(),
        records: txn.record_counts()?.into_iter().map(|(table, count)| (table.to_string(), count)).collect(),
    })
}

/// The newest whole cycle in the sync log.
pub(super) fn last_cycle(txn: &dyn ReadTxn) -> Result<Option<LogEntry>> {
    let newest = txn.log(1)?.into_iter().next();
    let is_other = |entry: &LogEntry| is_repair(entry) || is_of_patient(entry);
    if newest.as_ref().is_some_and(is_other) {
        return Ok(txn.log(usize::MAX)?.into_iter().find(|entry| !is_other(entry)));
    }
    Ok(newest)
}

/// The end of the newest cycle that left nothing undone, except records in quarantine.
pub(super) fn last_success(txn: &dyn ReadTxn) -> Result<Option<Timestamp>> {
    let went_well = |entry: &LogEntry| {
        let outcomes = [SyncOutcome::Done, SyncOutcome::LeftBehind].map(SyncOutcome::as_str);
        outcomes.contains(&entry.outcome.as_str()) && !is_of_patient(entry)
    };
    let newest = txn.log(1)?;
    // Nearly always the newest one.
    let entries = if newest.iter().all(went_well) { newest } else { txn.log(usize::MAX)? };
    Ok(entries.into_iter().find(went_well).map(|entry| entry.finished_at))
}

impl Waiting {
    const NONE: Self = Self { records: 0, bytes: 0, oldest_at: None };
}

fn waiting(txn: &dyn ReadTxn) -> Result<Waiting> {
    const ROWS: usize = 1000;
    let mut waiting = Waiting::NONE;
    let unpushed = Unpushed::of(txn)?;
    let mut from = unpushed.first();
    loop {
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        for row in rows.iter().filter(|row| unpushed.has(row)) {
            let change = &row.change;
            waiting.records += 1;
            waiting.bytes += txn.record(&change.table, &change.id)?.map_or(0, |data| data.as_str().len() as u64);
            waiting.oldest_at = Some(waiting.oldest_at.map_or(change.changed_at, |at| at.min(change.changed_at)));
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS => from = last.cursor.next(),
            _ => return Ok(waiting),
        }
    }
}
