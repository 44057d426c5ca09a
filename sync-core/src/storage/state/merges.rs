//! Records that were merged, and what is still to be rewritten after that.

use super::Setting;
use super::stored::StoredLine;
use crate::record::{RecordId, TableName};

/// Merges after which something is still to be tidied up. Empty once that is done, never set where nothing was ever merged.
pub(crate) const MERGES_PENDING: Setting<Vec<PendingMerge>> = Setting::new("merges_pending");

/// The id of the record that was kept for one that was merged.
pub(crate) fn merged_into(table: &str, id: &RecordId) -> Setting<RecordId> {
    Setting::new("merged ").of(format_args!("{table} {id}"))
}

/// Set for a record into which others were merged.
pub(crate) fn merge_target(table: &str, id: &str) -> Setting<bool> {
    Setting::new("merge_target ").of(format_args!("{table} {id}"))
}

/// What is to be tidied up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PendingMerge {
    /// What points to records of this table that were merged is to be rewritten, and of a name its joins looked through.
    Into(TableName, RecordId),
    /// The joins of a name are to be looked through.
    JoinsOf(RecordId),
}

/// How a line begins that is about the joins of a name, and about nothing else.
const JOINS_OF: &str = "joins-of";

impl StoredLine for PendingMerge {
    fn from_line(line: &str) -> Option<Self> {
        // An older version wrote whatever the id was, even an empty one.
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
