//! Pauses a central server for maintenance.

use crate::error::{Error, Result};
use crate::role::Role;
use crate::storage::{note_act, state};
use crate::support::Support;

impl Support {
    /// Pauses this central server, or ends the pause. During a pause every site is asked to come again later, in a way that
    /// its release understands; a running server follows at its next request. Returns whether anything changed.
    ///
    /// # Errors
    /// [`Error::WrongRole`]: the database is no central server's. The database failed.
    pub fn pause_central(&self, is_paused: bool) -> Result<bool> {
        let txn = self.storage.write()?;
        match state::role(txn.as_ref())? {
            Some(Role::Central) => {}
            Some(Role::Remote) => return Err(Error::WrongRole { needed: "central server", found: "remote site" }),
            None => return Err(Error::NotSetUp),
        }
        if state::PAUSED.get(txn.as_ref())? == is_paused {
            return Ok(false);
        }
        state::PAUSED.set(txn.as_ref(), is_paused)?;
        let (command, changed) = if is_paused {
            ("pause", "sites are asked to come again later")
        } else {
            ("resume", "sites are served again")
        };
        note_act(txn.as_ref(), self.clock.now(), command.to_owned(), changed.to_owned())?;
        txn.commit()?;
        Ok(true)
    }
}
