//! Cursors: their positions, and rewinding them to read again.

use serde::Serialize;

use crate::error::{Error, Result, Server};
use crate::record::Cursor;
use crate::role::Role;
use crate::storage::state::{Setting, role};
use crate::storage::{ReadTxn, Repair, WriteTxn, lock_cycle, state};
use crate::support::Support;
use crate::text::sentences::cursor as say;
use crate::text::{Localize, Message};

/// A cursor that can be rewound: one for reading. To send records again, use [`resend`](super::Support::resend), because a
/// push counts once: the same change sent again has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullCursor {
    /// The position in central's changelog.
    Central,
    /// The position in the legacy server's central data.
    Legacy,
}

impl PullCursor {
    fn setting(self) -> Setting<Cursor> {
        match self {
            Self::Central => state::PULL_CURSOR_V6,
            Self::Legacy => state::PULL_CURSOR_CENTRAL,
        }
    }
}

/// A cursor and its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CursorShown {
    /// Its name in the database.
    pub name: &'static str,
    /// Its position.
    pub position: Cursor,
    /// The known end of what it reads, as the next position.
    pub end: Option<Cursor>,
    /// Its meaning.
    pub meaning: Message,
    /// Remarks.
    pub remark: Option<Message>,
}

impl Localize for CursorShown {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.meaning);
        self.remark.each_message(each);
    }
}

impl Support {
    /// All cursors of this database.
    ///
    /// # Errors
    /// The database failed.
    pub fn cursors(&self) -> Result<Vec<CursorShown>> {
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        let own_end = txn.last_cursor()?.next();
        let legacy_end = state::LEGACY_POSITION_SEEN.get(txn)?;
        let unconfirmed = |server| Ok::<_, Error>(state::push_to(server).unconfirmed.get(txn)?.then(say::unconfirmed));
        let rereads = state::PULL_OWN.get(txn)?.then(say::rereads_own);
        let shown = |setting: Setting<Cursor>, meaning, end: Option<Cursor>, remark| {
            let (name, position) = (setting.name(), setting.get(txn)?);
            let beyond = end.is_some_and(|end| position > end).then(say::beyond_end);
            Ok::<_, Error>(CursorShown { name, position, end, meaning, remark: beyond.or(remark) })
        };
        Ok(vec![
            shown(state::PULL_CURSOR_V6, say::pull_central(), None, rereads)?,
            shown(state::PULL_CURSOR_CENTRAL, say::pull_legacy(), Some(legacy_end), None)?,
            shown(state::PUSH_CURSOR_V6, say::push_central(), Some(own_end), unconfirmed(Server::Central)?)?,
            shown(state::PUSH_CURSOR_LEGACY, say::push_legacy(), Some(own_end), unconfirmed(Server::Legacy)?)?,
        ])
    }
}

/// The effect of rewinding a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rewind {
    /// The cursor.
    #[serde(rename = "name")]
    pub cursor: PullCursor,
    /// Its position.
    #[serde(rename = "position_before")]
    pub from: Cursor,
    /// Its new position.
    #[serde(rename = "position_after")]
    pub to: Cursor,
    /// True to read this site's own records too.
    pub own: bool,
    /// True if anything would change: the cursor may be there, or further back, already.
    #[serde(rename = "is_change")]
    pub changes: bool,
}

impl Support {
    /// The effect of rewinding a cursor to a position. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NotSetUp`]; [`Error::WrongRole`] on a central server, for its own changelog; the database failed.
    pub fn plan_rewind(&self, which: PullCursor, to: Cursor, own: bool) -> Result<Rewind> {
        let txn = self.storage.read()?;
        plan(txn.as_ref(), which, to, own)
    }
}

fn plan(txn: &dyn ReadTxn, which: PullCursor, to: Cursor, own: bool) -> Result<Rewind> {
    match (role(txn)?, which) {
        (None, _) => return Err(Error::NotSetUp),
        (Some(Role::Central), PullCursor::Central) => {
            return Err(Error::WrongRole { needed: "remote site", found: "central server" });
        }
        _ => {}
    }
    let from = which.setting().get(txn)?;
    let own = own && which == PullCursor::Central;
    // Before the first sync is complete, this site's own records are read anyway.
    let reads_own = state::PULL_OWN.get(txn)? || !state::INITIALISED_AT.is_set(txn)?;
    Ok(Rewind { cursor: which, from, to, own, changes: to < from || (own && !reads_own) })
}

/// Forgets the stored end of a server's changelog, to which later ones are compared: a wrong one would hide the true
/// state for ever. For central only if everything is read again: it then reports its losses once more.
fn forget_told(txn: &dyn WriteTxn, rewind: &Rewind) -> Result<()> {
    match rewind.cursor {
        PullCursor::Legacy => state::LEGACY_POSITION_SEEN.set(txn, rewind.to.min(rewind.from)),
        PullCursor::Central if rewind.own && rewind.to == Cursor(0) => state::CENTRAL_LOST_KNOWN.set(txn, Cursor(0)),
        PullCursor::Central => Ok(()),
    }
}

impl Support {
    /// Rewinds a cursor, so that the next cycle reads again from there; never forwards, because skipped records would be
    /// lost. Reading again does not change existing records, and edits that are not pushed yet are kept. The reason is kept
    /// in the sync log.
    ///
    /// # Errors
    /// As [`plan_rewind`](Self::plan_rewind); [`Error::CycleRunning`].
    pub fn rewind(&self, planned: &Rewind, reason: &str) -> Result<Rewind> {
        let _lock = lock_cycle(self.storage.as_ref())?;
        let txn = self.storage.write()?;
        let rewind = plan(txn.as_ref(), planned.cursor, planned.to, planned.own)?;
        if !rewind.changes {
            return Ok(rewind);
        }
        if rewind.to < rewind.from {
            rewind.cursor.setting().set(txn.as_ref(), rewind.to)?;
        }
        if rewind.own {
            state::PULL_OWN.set(txn.as_ref(), true)?;
        }
        forget_told(txn.as_ref(), &rewind)?;
        let name = rewind.cursor.setting().name();
        let own = if rewind.own { ", with what came from this site" } else { "" };
        let repair = Repair {
            command: format!("cursor rewind {name} to {}{own}", rewind.to),
            reason: reason.to_owned(),
            changed: format!("{name}: {} was {}", rewind.to.min(rewind.from), rewind.from),
        };
        repair.note(txn.as_ref(), self.clock.now())?;
        txn.commit()?;
        Ok(rewind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(state: &[(&str, &str)]) -> Support {
        let support = Support::in_memory();
        let txn = support.storage.write().unwrap();
        state.iter().for_each(|(name, value)| state::named(name).set(txn.as_ref(), *value).unwrap());
        txn.commit().unwrap();
        support
    }

    fn state(support: &Support, name: &str) -> Option<String> {
        state::named(name).find(support.storage.read().unwrap().as_ref()).unwrap()
    }

    fn rewound(support: &Support, which: PullCursor, to: u64, own: bool) -> Rewind {
        let planned = support.plan_rewind(which, Cursor(to), own).unwrap();
        support.rewind(&planned, "because").unwrap()
    }

    #[test]
    fn a_cursor_goes_back_and_never_forwards() {
        let support = database(&[
            (state::ROLE.name(), "remote"),
            (state::PULL_CURSOR_V6.name(), "50"),
            (state::PULL_CURSOR_CENTRAL.name(), "9"),
        ]);
        for to in [50, 51, u64::MAX] {
            assert!(!rewound(&support, PullCursor::Central, to, false).changes, "{to}");
            assert_eq!(state(&support, state::PULL_CURSOR_V6.name()).as_deref(), Some("50"));
        }
        assert!(support.storage.read().unwrap().log(9).unwrap().is_empty(), "what changes nothing is not logged");
        assert!(rewound(&support, PullCursor::Central, 20, false).changes);
        assert_eq!(
            (state(&support, state::PULL_CURSOR_V6.name()).as_deref(), state(&support, state::PULL_OWN.name())),
            (Some("20"), None)
        );
        assert!(rewound(&support, PullCursor::Legacy, 0, true).changes);
        assert_eq!(state(&support, state::PULL_CURSOR_CENTRAL.name()).as_deref(), Some("0"));
        assert_eq!(state(&support, state::PULL_OWN.name()), None, "the legacy server leaves nothing out");
        assert_eq!(support.storage.read().unwrap().log(9).unwrap().len(), 2);
    }

    #[test]
    fn what_came_from_here_is_asked_for_even_where_the_cursor_stays() {
        // A cursor at 0 has only passed this site's own rows, which it does not get.
        for at in ["50", "0"] {
            let support = database(&[
                (state::ROLE.name(), "remote"),
                (state::PULL_CURSOR_V6.name(), at),
                (state::INITIALISED_AT.name(), "2026-11-23"),
            ]);
            assert!(rewound(&support, PullCursor::Central, 70, true).changes, "{at}");
            assert_eq!(state(&support, state::PULL_CURSOR_V6.name()).as_deref(), Some(at));
            assert_eq!(state(&support, state::PULL_OWN.name()).as_deref(), Some("1"));
            assert!(!rewound(&support, PullCursor::Central, 70, true).changes, "once");
        }
        let new = database(&[(state::ROLE.name(), "remote")]);
        assert!(!rewound(&new, PullCursor::Central, 0, true).changes, "the first sync reads everything");
    }

    #[test]
    fn what_a_server_told_wrongly_is_forgotten_with_a_rewind() {
        let far = (i64::MAX - 5).to_string();
        for (which, at, told) in [
            (PullCursor::Central, state::PULL_CURSOR_V6.name(), state::CENTRAL_LOST_KNOWN.name()),
            (PullCursor::Legacy, state::PULL_CURSOR_CENTRAL.name(), state::LEGACY_POSITION_SEEN.name()),
        ] {
            let support = database(&[(state::ROLE.name(), "remote"), (at, "50"), (told, far.as_str())]);
            assert!(rewound(&support, which, 0, true).changes, "{told}");
            assert_eq!(state(&support, told).as_deref(), Some("0"));
        }
    }

    #[test]
    fn a_cursor_beyond_its_end_is_remarked() {
        let support = database(&[
            (state::ROLE.name(), "remote"),
            (state::PUSH_CURSOR_V6.name(), "7"),
            (state::PUSH_UNCONFIRMED_LEGACY.name(), "1"),
        ]);
        let all = support.cursors().unwrap();
        let remark = |name: &str| {
            all.iter().find(|cursor| cursor.name == name).unwrap().remark.as_ref().map(ToString::to_string)
        };
        assert!(remark(state::PUSH_CURSOR_V6.name()).unwrap().contains("beyond the end"));
        assert!(remark(state::PUSH_CURSOR_LEGACY.name()).unwrap().contains("not confirmed"));
        assert_eq!(remark(state::PULL_CURSOR_V6.name()), None);
        assert_eq!(database(&[]).plan_rewind(PullCursor::Central, Cursor(0), false).unwrap_err().code(), "not_set_up");
    }
}
