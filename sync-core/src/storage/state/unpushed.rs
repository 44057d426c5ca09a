//! What is stored of edits that are not pushed yet: those that got a new position after they were sent, and what the site had read
//! when it wrote them.

use super::stored::{StoredLine, numbers};
use super::{Setting, SettingValue};
use crate::protocol::v6::ReadPositions;
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

/// What this site had read when it wrote the edits that are not pushed yet; `None` if that is what it has read now.
pub(crate) const READ_WHEN_WRITTEN: Setting<Option<ReadWhenWritten>> = Setting::lenient("read_when_written");

/// What a site had read of central's changelog when it wrote its edits before a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadWhenWritten {
    /// Edits before this position of the site's own changelog.
    pub below: Cursor,
    /// What the site had read before the first of them could be written, at least.
    pub read_to: ReadPositions,
}

impl SettingValue for ReadWhenWritten {
    fn from_text(text: &str) -> Option<Self> {
        let [below, records, stores] = numbers(text)?;
        Some(Self { below, read_to: ReadPositions { records, stores } })
    }

    fn to_text(&self) -> String {
        format!("{} {} {}", self.below, self.read_to.records, self.read_to.stores)
    }
}
