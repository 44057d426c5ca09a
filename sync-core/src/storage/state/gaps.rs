//! The gaps in this database's changelog, each left by a restore from a backup.

use super::Setting;
use super::stored::{SettingValue, StoredLine, numbers};
use crate::changelog::ChangelogGap;
use crate::error::Result;
use crate::storage::ReadTxn;

/// The parts of the changelog that were lost when this storage was restored from a backup, oldest first. Only the
/// storage adds to it.
pub const LOST: Setting<Vec<ChangelogGap>> = Setting::new("lost");

/// All gaps, oldest first.
///
/// # Errors
/// The storage cannot be read, or `damaged_state`.
pub fn changelog_gaps<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<ChangelogGap>> {
    LOST.get(txn)
}

/// The newest gaps, as many as one end reports to the other.
///
/// # Errors
/// As [`changelog_gaps`].
pub(crate) fn newest_gaps<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<ChangelogGap>> {
    let mut all = changelog_gaps(txn)?;
    all.drain(..all.len().saturating_sub(ChangelogGap::TOLD_MAX));
    Ok(all)
}

/// The stored text with one more gap at its end, even if the text is damaged.
pub(crate) fn with_gap(text: Option<&str>, gap: ChangelogGap) -> String {
    format!("{}{}", text.unwrap_or_default(), vec![gap].to_text())
}

impl StoredLine for ChangelogGap {
    fn from_line(line: &str) -> Option<Self> {
        let [after, before] = numbers(line)?;
        Some(Self { after, before })
    }

    fn to_line(&self) -> String {
        format!("{} {}", self.after, self.before)
    }
}
