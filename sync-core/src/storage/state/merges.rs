//! Merged records, and the records that are still to be rewritten.

use super::Setting;
use super::stored::{StoredLine, numbers};
use crate::error::Result;
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::WriteTxn;

/// Merges whose records still have to be rewritten. Empty when all are rewritten, missing if there was never a merge.
pub(crate) const MERGES_PENDING: Setting<Vec<PendingMerge>> = Setting::new("merges_pending");

/// The id of the record that remains for a merged one.
pub(crate) fn merged_into(table: &str, id: &RecordId) -> Setting<RecordId> {
    Setting::new("merged ").of(format_args!("{table} {id}"))
}

/// Set for a record into which others were merged.
pub(crate) fn merge_target(table: &str, id: &str) -> Setting<bool> {
    Setting::new("merge_target ").of(format_args!("{table} {id}"))
}

/// The parts of this changelog that merges wrote, the newest of them: what tells a host who made a change.
pub(crate) const MERGES_WROTE: Setting<Vec<WrittenPart>> = Setting::lenient("merges_wrote");

/// The most parts that are kept.
const PARTS_MAX: usize = 100;

/// A part of a changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenPart {
    /// Its first cursor.
    pub from: Cursor,
    /// The first cursor after it.
    pub below: Cursor,
}

/// Does a part of a merge, and notes which changes it makes.
pub(crate) fn in_a_merge<T>(txn: &dyn WriteTxn, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let from = txn.last_cursor()?.next();
    let done = work()?;
    let below = txn.last_cursor()?.next();
    if from < below {
        let mut parts = MERGES_WROTE.get(txn)?;
        match parts.last_mut().filter(|last| last.below == from) {
            Some(last) => last.below = below,
            None => parts.push(WrittenPart { from, below }),
        }
        parts.drain(..parts.len().saturating_sub(PARTS_MAX));
        MERGES_WROTE.set(txn, parts)?;
    }
    Ok(done)
}

impl StoredLine for WrittenPart {
    fn from_line(line: &str) -> Option<Self> {
        let [from, below] = numbers(line)?;
        Some(Self { from, below })
    }

    fn to_line(&self) -> String {
        format!("{} {}", self.from, self.below)
    }
}

/// The rewriting that is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PendingMerge {
    /// References to merged records of this table have to be rewritten. If the table is `name`, the joins have to be checked too.
    Into(TableName, RecordId),
    /// The joins of a name have to be checked.
    JoinsOf(RecordId),
}

/// The beginning of a line about the joins of a name only.
const JOINS_OF: &str = "joins-of";

impl StoredLine for PendingMerge {
    fn from_line(line: &str) -> Option<Self> {
        // An older version accepted every id, so an id may be empty.
        let (table, id) = line.split_once(' ').unwrap_or((line, ""));
        let id = RecordId::new(id.to_owned());
        Some(if table == JOINS_OF { Self::JoinsOf(id) } else { Self::Into(table.into(), id) })
    }

    fn to_line(&self) -> String {
        match self {
            Self::Into(table, id) => format!("{table} {id}"),
            Self::JoinsOf(name) => format!("{JOINS_OF} {name}"),
        }
    }
}
