//! Repairs in the sync log: the changes of a person, with the reason.

#[cfg(feature = "support")]
use crate::error::Result;
use crate::storage::{LogEntry, REPAIR};
#[cfg(feature = "support")]
use crate::support::Support;

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

/// True if an entry of the sync log is a repair or another act of an administrator, not a cycle.
pub fn is_repair(entry: &LogEntry) -> bool {
    entry.report.get(REPAIR).is_some()
}
