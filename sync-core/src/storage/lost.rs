//! What a storage says when it was put back to an older state.

use serde::{Deserialize, Serialize};

use super::{ReadTxn, key};
use crate::error::{Error, Result};
use crate::record::Cursor;

/// A part of a changelog that was lost when its storage was restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The last cursor that is still there.
    pub after: Cursor,
    /// All cursors given out since are higher; those between the two are never used again, nor is this one.
    pub before: Cursor,
}

impl Lost {
    /// The most entries that one end tells the other: each is a restore from a backup.
    pub const TOLD_MAX: usize = 1000;

    /// What the other end is told: the newest entries of [`all`](Self::all).
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn told<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<Self>> {
        let mut all = Self::all(txn)?;
        all.drain(..all.len().saturating_sub(Self::TOLD_MAX));
        Ok(all)
    }

    /// What [`key::LOST`] says, oldest first.
    ///
    /// # Errors
    /// The storage cannot be read, or `damaged_state`.
    pub fn all<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<Self>> {
        Self::read(txn.state(key::LOST)?.as_deref())
    }

    fn read(text: Option<&str>) -> Result<Vec<Self>> {
        let damaged = || Error::DamagedState { what: key::LOST.to_owned() };
        let number = |text: &str| Cursor::parse(text).ok_or_else(damaged);
        let part = |line: &str| {
            let (after, before) = line.split_once(' ').ok_or_else(damaged)?;
            Ok(Self { after: number(after)?, before: number(before)? })
        };
        text.unwrap_or_default().lines().map(part).collect()
    }

    /// Writes it after what is there.
    pub(super) fn add_to(self, text: Option<&str>) -> String {
        format!("{}{} {}\n", text.unwrap_or_default(), self.after, self.before)
    }
}
