//! Repairs in the sync log: the changes of a person, with the reason.

#[cfg(feature = "support")]
use crate::clock::Timestamp;
#[cfg(feature = "support")]
use crate::error::Result;
#[cfg(feature = "support")]
use crate::storage::note_act;
#[cfg(feature = "support")]
use crate::storage::state;
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

    /// Adds to the sync log that this database was restored from a backup, which was taken at this time if that is known. Otherwise the
    /// log of a restored database ends with the backup.
    ///
    /// # Errors
    /// The database failed.
    pub fn log_restore(&self, taken_at: Option<&str>) -> Result<()> {
        let changed = match taken_at {
            Some(at) => {
                let at = Timestamp::parse(at).map_or_else(|| at.to_owned(), Timestamp::for_people);
                format!("restored from a backup taken {at}")
            }
            None => "restored from a backup".to_owned(),
        };
        let txn = self.storage.write()?;
        note_act(txn.as_ref(), self.clock.now(), String::new(), changed)?;
        // Disk, certificate and backups were those of the server that ran when the backup was taken.
        if state::TOLD_BY_SERVER.is_set(txn.as_ref())? {
            state::TOLD_BY_SERVER.set(txn.as_ref(), None)?;
        }
        // So was the folder of files.
        if state::FILES_LOST.is_set(txn.as_ref())? {
            state::FILES_LOST.set(txn.as_ref(), state::JsonList(Vec::new()))?;
        }
        txn.commit()
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
