//! Repairs in the sync log: the changes of a person, with the reason.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::storage::{LogEntry, WriteTxn};
#[cfg(feature = "support")]
use crate::support::Support;

/// The key of a repair in a report of the sync log.
const KEY: &str = "repair";

/// A repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Repair {
    /// The operation, with its arguments.
    pub command: String,
    /// The reason, in the person's own words.
    pub reason: String,
    /// The change.
    pub changed: String,
}

#[cfg(feature = "support")]
impl Support {
    /// The newest `limit` entries of the sync log, newest first: cycles and repairs.
    ///
    /// # Errors
    /// The database failed.
    pub fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        self.storage.read()?.log(limit)
    }
}

/// Adds a repair to the sync log, between the cycles.
///
/// # Errors
/// The database failed.
pub(crate) fn note_repair(txn: &dyn WriteTxn, repair: &Repair, now: Timestamp) -> Result<()> {
    txn.add_log(&LogEntry {
        started_at: now,
        finished_at: now,
        outcome: "repaired".to_owned(),
        error: None,
        report: serde_json::json!({ KEY: repair }),
    })
}

/// Replaces the reason that a person typed.
pub(super) fn without_words(mut entry: LogEntry, instead: &str) -> LogEntry {
    if let Some(reason) = entry.report.pointer_mut("/repair/reason") {
        *reason = instead.into();
    }
    entry
}

/// True if an entry of the sync log is a pull of one patient, not a whole cycle.
pub fn is_of_patient(entry: &LogEntry) -> bool {
    entry.report.get("patient").is_some()
}

/// True if an entry of the sync log is a repair, not a cycle.
pub fn is_repair(entry: &LogEntry) -> bool {
    entry.report.get(KEY).is_some()
}
