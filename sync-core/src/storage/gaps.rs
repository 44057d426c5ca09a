//! The gaps in this database's changelog, each left by a restore from a backup.

use super::{ReadTxn, key};
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::record::Cursor;

/// All gaps, oldest first.
///
/// # Errors
/// The storage cannot be read, or `damaged_state`.
pub fn changelog_gaps<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<ChangelogGap>> {
    read(txn.state(key::LOST)?.as_deref())
}

/// The newest gaps, as many as one end tells the other.
///
/// # Errors
/// As [`changelog_gaps`].
pub(crate) fn newest_gaps<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<ChangelogGap>> {
    let mut all = changelog_gaps(txn)?;
    all.drain(..all.len().saturating_sub(ChangelogGap::TOLD_MAX));
    Ok(all)
}

fn read(text: Option<&str>) -> Result<Vec<ChangelogGap>> {
    let damaged = || Error::DamagedState { what: key::LOST.to_owned() };
    let number = |text: &str| Cursor::parse(text).ok_or_else(damaged);
    let gap = |line: &str| {
        let (after, before) = line.split_once(' ').ok_or_else(damaged)?;
        Ok(ChangelogGap { after: number(after)?, before: number(before)? })
    };
    text.unwrap_or_default().lines().map(gap).collect()
}

/// The stored text with one more gap at its end.
pub(super) fn with_gap(text: Option<&str>, gap: ChangelogGap) -> String {
    format!("{}{} {}\n", text.unwrap_or_default(), gap.after, gap.before)
}
