//! The sync log: one entry a cycle.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;

/// One cycle in the sync log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended: `done`, `left_behind`, `partial`, `failed` or `cancelled`; `repaired` for what a person repaired between
    /// cycles.
    pub outcome: String,
    /// The error it ended with, if any.
    pub error: Option<LoggedError>,
    /// The report, as `sync --json` prints it.
    pub report: serde_json::Value,
}

/// An error as the sync log keeps it.
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
    /// Adds an entry; the oldest beyond a thousand go.
    fn add_log(&self, entry: &LogEntry) -> Result<()>;
}
