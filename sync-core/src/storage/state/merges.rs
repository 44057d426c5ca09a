//! Merged records, and the records that are still to be rewritten.

use super::Setting;
use super::stored::StoredLine;
use crate::record::{RecordId, TableName};

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
