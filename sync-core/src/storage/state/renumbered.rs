//! Edits of this site that got a new position after they were sent.

use super::Setting;
use super::stored::{StoredLine, numbers};
use crate::record::Cursor;

/// The edits before which smaller ones went to central, and which were logged again: those that are still to be pushed, by
/// their position now.
pub(crate) const RENUMBERED: Setting<Vec<Renumbered>> = Setting::lenient("renumbered");

/// An edit that was sent under one position and logged again under another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renumbered {
    /// Its position now.
    pub at: Cursor,
    /// The first position under which it was sent.
    pub since: Cursor,
}

/// The first position of the edit at this position, if it had another.
pub(crate) fn sent_since(renumbered: &[Renumbered], at: Cursor) -> Option<Cursor> {
    let found = renumbered.binary_search_by_key(&at, |row| row.at).ok()?;
    renumbered.get(found).map(|row| row.since)
}

impl StoredLine for Renumbered {
    fn from_line(line: &str) -> Option<Self> {
        let [at, since] = numbers(line)?;
        Some(Self { at, since })
    }

    fn to_line(&self) -> String {
        format!("{} {}", self.at, self.since)
    }
}
