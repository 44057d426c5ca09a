//! Which hook a storage passes records to, and the replay of changes that a hook has not seen.

use super::SqliteStorage;
use super::hook::{HostHook, RecordHook};
use super::transaction_guard::TransactionGuard;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::state::{HAS_HOOK, HOOK_MISSED_FROM};
use crate::storage::{ChangelogReads as _, RecordReads as _, Selection, Storage as _, WriteTxn as _};
use crate::text::sentences::input;

/// Changes that a replay passes to the hook in one transaction.
const REPLAYED: usize = 500;

impl SqliteStorage {
    /// Adds a hook, which receives all later writes through this object. The database remembers that there is one, so that
    /// other programs do not write records without it.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn with_hook(mut self, hook: Box<dyn RecordHook>) -> Result<Self> {
        let writer = self.writer.get_mut();
        writer.hook = HostHook::Given(hook, TransactionGuard::of(&writer.connection)?);
        if !self.only_reads && !HAS_HOOK.get(self.read()?.as_ref())? {
            let txn = self.write()?;
            HAS_HOOK.set(txn.as_ref(), true)?;
            txn.commit()?;
        }
        Ok(self)
    }

    /// True if the database remembers a hook, and this object has none and was not told to leave it out.
    pub(crate) fn is_hook_missing(&self) -> bool {
        matches!(self.writer.lock().hook, HostHook::Missing)
    }

    /// Lets this object write records without the hook that the database remembers.
    #[must_use]
    pub(crate) fn without_hook(mut self) -> Self {
        let hook = &mut self.writer.get_mut().hook;
        if matches!(hook, HostHook::Missing) {
            *hook = HostHook::LeftOut;
        }
        self
    }

    /// Calls the hook for each change from a position on, with the record as it is now. Returns the number of changes.
    ///
    /// # Errors
    /// There is no hook, or it fails; the database failed. What was done before stays.
    pub(crate) fn replay_hook(&self, from: Cursor) -> Result<u64> {
        let (mut from, mut replayed) = (from, 0);
        let covers_missed = HOOK_MISSED_FROM.get(self.read()?.as_ref())?.is_some_and(|missed| from <= missed);
        loop {
            let txn = self.begin_writing()?;
            if !txn.has_host() {
                return Err(Error::bad_input(input::no_hook()));
            }
            let rows = txn.changes(&Selection::All, from, REPLAYED)?;
            for row in &rows {
                let data = txn.record(&row.change.table, &row.change.id)?;
                txn.tell_host(data.as_ref(), &row.change)?;
            }
            replayed += rows.len() as u64;
            let next = rows.last().map(|row| row.cursor.next()).filter(|_| rows.len() == REPLAYED);
            // A replay that fails goes on from here.
            if covers_missed {
                HOOK_MISSED_FROM.set(&txn, next)?;
            }
            Box::new(txn).commit()?;
            match next {
                Some(next) => from = next,
                None => return Ok(replayed),
            }
        }
    }
}
