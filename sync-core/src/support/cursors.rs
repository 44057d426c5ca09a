//! Cursors: where they stand, and reading again from further back.

use serde::Serialize;

use super::log::{Repair, note_repair};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ownership::Role;
use crate::record::Cursor;
use crate::site::identity::{cursor, flag, role};
use crate::storage::{ReadTxn, Storage, key};

/// A cursor that can be rewound: one of those with which this site reads. What this site sends is sent again by
/// [`resend`](super::resend): a push counts once, so one that merely comes again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullCursor {
    /// Into central's changelog.
    Central,
    /// Into the legacy server's central data.
    Legacy,
}

impl PullCursor {
    fn key(self) -> &'static str {
        match self {
            Self::Central => key::PULL_CURSOR_V6,
            Self::Legacy => key::PULL_CURSOR_CENTRAL,
        }
    }
}

/// A cursor and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CursorShown {
    /// Its name in the database.
    pub name: &'static str,
    /// Where it stands.
    pub position: Cursor,
    /// Where what it goes through is known to end, as a position that would be next.
    pub end: Option<Cursor>,
    /// What it means.
    pub meaning: &'static str,
    /// What is remarkable about it.
    pub remark: Option<&'static str>,
}

/// All cursors of this database.
///
/// # Errors
/// The database failed.
pub fn cursors(storage: &dyn Storage) -> Result<Vec<CursorShown>> {
    let txn = storage.read()?;
    let txn = txn.as_ref();
    let own_end = txn.last_cursor()?.next();
    let legacy_end = cursor(txn, key::LEGACY_POSITION_SEEN)?;
    let unconfirmed =
        |name: &str| Ok::<_, Error>(flag(txn, name)?.then_some("what was sent last is not confirmed yet"));
    let rereads = flag(txn, key::PULL_OWN)?.then_some("everything of this site is read again too");
    let shown = |name, meaning, end: Option<Cursor>, remark| {
        let position = cursor(txn, name)?;
        let beyond = end.is_some_and(|end| position > end).then_some("it stands beyond the end: that cannot be");
        Ok::<_, Error>(CursorShown { name, position, end, meaning, remark: beyond.or(remark) })
    };
    Ok(vec![
        shown(key::PULL_CURSOR_V6, "next of central's to read", None, rereads)?,
        shown(key::PULL_CURSOR_CENTRAL, "last of the legacy server's read", Some(legacy_end), None)?,
        shown(key::PUSH_CURSOR_V6, "next of ours, for central", Some(own_end), unconfirmed(key::PUSH_UNCONFIRMED)?)?,
        shown(
            key::PUSH_CURSOR_LEGACY,
            "next of ours, for the legacy server",
            Some(own_end),
            unconfirmed(key::PUSH_UNCONFIRMED_LEGACY)?,
        )?,
    ])
}

/// What rewinding a cursor changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rewind {
    /// Which.
    pub cursor: PullCursor,
    /// Where it stands.
    pub from: Cursor,
    /// Where it is to go.
    pub to: Cursor,
    /// Whether what came from this site is read too.
    pub own: bool,
    /// Whether anything is to be changed: it may stand there, or further back, already.
    pub changes: bool,
}

/// What rewinding a cursor to a position would change. Nothing is changed yet.
///
/// # Errors
/// [`Error::NotSetUp`]; [`Error::WrongRole`] on a central server, for its own changelog; the database failed.
pub fn plan_rewind(storage: &dyn Storage, which: PullCursor, to: Cursor, own: bool) -> Result<Rewind> {
    let txn = storage.read()?;
    plan(txn.as_ref(), which, to, own)
}

fn plan(txn: &dyn ReadTxn, which: PullCursor, to: Cursor, own: bool) -> Result<Rewind> {
    match (role(txn)?, which) {
        (None, _) => return Err(Error::NotSetUp),
        (Some(Role::Central), PullCursor::Central) => {
            return Err(Error::WrongRole { needed: "remote site", found: "central server" });
        }
        _ => {}
    }
    let from = cursor(txn, which.key())?;
    let own = own && which == PullCursor::Central;
    let owns_already = flag(txn, key::PULL_OWN)?;
    Ok(Rewind { cursor: which, from, to, own, changes: to < from || (own && !owns_already && from > Cursor(0)) })
}

/// Rewinds a cursor, so that the next cycle reads again from there; never forwards, as what is skipped is lost. Reading
/// again changes nothing that is here already, and edits that are not pushed yet are kept. Why is kept in the sync log.
///
/// # Errors
/// As [`plan_rewind`]; [`Error::CycleRunning`].
pub fn rewind(storage: &dyn Storage, planned: &Rewind, reason: &str, now: Timestamp) -> Result<Rewind> {
    let _lock = storage.lock_cycle()?;
    let txn = storage.write()?;
    let rewind = plan(txn.as_ref(), planned.cursor, planned.to, planned.own)?;
    if !rewind.changes {
        return Ok(rewind);
    }
    if rewind.to < rewind.from {
        txn.set_state(rewind.cursor.key(), &rewind.to.to_string())?;
    }
    if rewind.own {
        txn.set_state(key::PULL_OWN, "1")?;
    }
    let name = rewind.cursor.key();
    let own = if rewind.own { ", with what came from this site" } else { "" };
    let repair = Repair {
        command: format!("cursor rewind {name} to {}{own}", rewind.to),
        reason: reason.to_owned(),
        changed: format!("{name}: {} was {}", rewind.to.min(rewind.from), rewind.from),
    };
    note_repair(txn.as_ref(), &repair, now)?;
    txn.commit()?;
    Ok(rewind)
}
