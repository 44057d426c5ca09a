//! The sync log: one entry a cycle.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::storage::WriteTxn;

/// One cycle in the sync log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its beginning.
    pub started_at: Timestamp,
    /// Its end.
    pub finished_at: Timestamp,
    /// Its outcome: `done`, `left_behind`, `partial`, `failed` or `cancelled`; `repaired` for a repair between cycles,
    /// `changed` for what an administrator changed, in the list of sites for example, and for a restore, `refused` for a copy of a site's database that central refused.
    pub outcome: String,
    /// Its error, if any.
    pub error: Option<LoggedError>,
    /// Its report, as JSON.
    pub report: serde_json::Value,
}

/// An error in the sync log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedError {
    /// Its stable code.
    pub code: String,
    /// Its class.
    pub class: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The chain of causes.
    pub causes: Vec<String>,
}

/// Reads the sync log.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait SyncLogReads {
    /// The newest entries, newest first.
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>>;
}

/// Writes the sync log.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait SyncLogWrites: SyncLogReads {
    /// Adds an entry; entries beyond a thousand are dropped, oldest first.
    fn add_log(&self, entry: &LogEntry) -> Result<()>;
}

/// The key of a repair in a report of the sync log.
pub(crate) const REPAIR: &str = "repair";

/// A change that a person made between the cycles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Repair {
    /// The operation, with its arguments.
    pub command: String,
    /// The reason, in the person's own words; empty where none is asked for.
    pub reason: String,
    /// The change.
    pub changed: String,
}

impl Repair {
    /// Adds it to the sync log.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn note(&self, txn: &dyn WriteTxn, now: Timestamp) -> Result<()> {
        self.note_as("repaired", txn, now)
    }

    fn note_as(&self, outcome: &str, txn: &dyn WriteTxn, now: Timestamp) -> Result<()> {
        txn.add_log(&LogEntry {
            started_at: now,
            finished_at: now,
            outcome: outcome.to_owned(),
            error: None,
            report: serde_json::json!({ REPAIR: self }),
        })
    }
}

/// Adds what an administrator of a central server did to the sync log.
///
/// # Errors
/// The database failed.
pub(crate) fn note_act(txn: &dyn WriteTxn, now: Timestamp, command: String, changed: String) -> Result<()> {
    Repair { command, reason: String::new(), changed }.note_as("changed", txn, now)
}

/// Adds what a central server noticed, and an administrator has to know, to the sync log.
///
/// # Errors
/// The database failed.
#[cfg(feature = "central")]
pub(crate) fn note_event(txn: &dyn WriteTxn, now: Timestamp, what: String) -> Result<()> {
    Repair { command: String::new(), reason: String::new(), changed: what }.note_as("refused", txn, now)
}
