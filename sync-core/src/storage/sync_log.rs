//! The sync log: one entry a cycle.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;

/// One cycle in the sync log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its beginning.
    pub started_at: Timestamp,
    /// Its end.
    pub finished_at: Timestamp,
    /// Its outcome: `done`, `left_behind`, `partial`, `failed` or `cancelled`; `repaired` for a repair between cycles.
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
