//! Repairs in the sync log: what a person changed, and why.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::storage::{LogEntry, WriteTxn};

/// The key under which a report of the sync log holds a repair.
const KEY: &str = "repair";

/// What a person repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The command, with what it was asked for.
    pub command: String,
    /// Why, in the person's own words.
    pub reason: String,
    /// What it changed.
    pub changed: String,
}

/// Keeps a repair in the sync log, between the cycles.
///
/// # Errors
/// The database failed.
pub fn note_repair(txn: &dyn WriteTxn, repair: &Repair, now: Timestamp) -> Result<()> {
    txn.add_log(&LogEntry {
        started_at: now,
        finished_at: now,
        outcome: "repaired".to_owned(),
        error: None,
        report: serde_json::json!({ KEY: repair }),
    })
}

/// The same entry with something else in the place of the words that a person gave as a reason.
pub(super) fn without_words(mut entry: LogEntry, instead: &str) -> LogEntry {
    if let Some(reason) = entry.report.pointer_mut("/repair/reason") {
        *reason = instead.into();
    }
    entry
}

/// Whether an entry of the sync log is a pull of one patient and no whole cycle.
pub fn is_of_patient(entry: &LogEntry) -> bool {
    entry.report.get("patient").is_some()
}

/// Whether an entry of the sync log is a repair and no cycle.
pub fn is_repair(entry: &LogEntry) -> bool {
    entry.report.get(KEY).is_some()
}
