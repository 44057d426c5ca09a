//! Which local edits wait for their server.

use super::central::push::is_pushed;
use super::legacy::push::is_pushed_to_legacy;
use super::outbox::ROWS;
use super::remote::Site;
use crate::changelog::Change;
use crate::error::Result;
use crate::record::Cursor;
use crate::storage::state::central_is_legacy;
use crate::storage::{ReadTxn, Selection, state};

/// Which local edits of a site their server, central or the legacy server, has not accepted yet.
pub(crate) struct Unpushed {
    to_central: Cursor,
    to_legacy: Cursor,
    one_server: bool,
}

impl Unpushed {
    pub(crate) fn of(txn: &dyn ReadTxn) -> Result<Self> {
        Ok(Self {
            to_central: state::PUSH_CURSOR_V6.get(txn)?,
            to_legacy: state::PUSH_CURSOR_LEGACY.get(txn)?,
            one_server: central_is_legacy(txn)?,
        })
    }

    /// No edit before this one waits.
    pub(crate) fn first(&self) -> Cursor {
        self.to_central.min(self.to_legacy)
    }

    /// True if this local edit waits.
    pub(crate) fn has(&self, row: &Change) -> bool {
        (row.cursor >= self.to_central && is_pushed(row))
            || (row.cursor >= self.to_legacy && is_pushed_to_legacy(row, self.one_server))
    }
}

impl Site {
    /// The position behind the newest change: a later edit has this cursor or a higher one.
    pub(crate) fn position(&self) -> Result<Cursor> {
        Ok(self.storage.read()?.last_cursor()?.next())
    }

    /// True if a local edit waits that was made at this position or later.
    pub(crate) fn has_unpushed_since(&self, since: Cursor) -> Result<bool> {
        let txn = self.storage.read()?;
        let unpushed = Unpushed::of(txn.as_ref())?;
        let mut from = since.max(unpushed.first());
        loop {
            let rows = txn.changes(&Selection::Local, from, ROWS)?;
            match rows.last() {
                _ if rows.iter().any(|row| unpushed.has(row)) => return Ok(true),
                Some(last) => from = last.cursor.next(),
                None => return Ok(false),
            }
        }
    }
}
