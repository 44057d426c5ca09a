//! A record of this site that central refused, or that gave way to another version there.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::ReadTxn;
use crate::storage::state::NotedRefusal;

/// A record of this site that central refused, or that gave way to another version there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CentralRefusal {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// Whether a rule refused it, or another version won.
    pub cause: RefusalCause,
    /// The reason in central's words.
    pub reason: String,
    /// The position in central's changelog of the version that won; `None` if a rule refused the record, or central did not tell.
    pub cursor: Option<Cursor>,
    /// The SHA-256 of that version's data in hexadecimal digits, as of a [`Conflict`](crate::site::Conflict); `None` if it is a deletion, a
    /// rule refused the record, or central did not tell.
    pub digest: Option<String>,
    /// The time at which this site was told.
    pub at: Timestamp,
    /// True if the version that central did not take is still the one here: nothing newer was written here, and none came. In a report, as
    /// it is at the end of the cycle. Otherwise [`Replica::conflicts`](crate::Replica::conflicts) has it, if central's version replaced it.
    pub is_newest: bool,
}

/// Why central did not take a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCause {
    /// A rule of ownership forbids it.
    Refused,
    /// Another version, or a move to another store, was written at central before this one could be integrated, and wins.
    Superseded,
}

impl CentralRefusal {
    pub(crate) fn of(txn: &dyn ReadTxn, noted: NotedRefusal) -> Result<Self> {
        let is_newest = noted.is_of_newest(txn)?;
        let NotedRefusal { table, id, reason, at, superseded, cursor, digest, .. } = noted;
        let cause = if superseded { RefusalCause::Superseded } else { RefusalCause::Refused };
        Ok(Self { table, id, cause, reason, cursor, digest, at, is_newest })
    }
}
