//! Which of several servers on one database refreshes it from the legacy server.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sync_core::storage::{LeaderLock, PostgresStorage};

use crate::signals::interrupted;

/// How often a leader confirms that it leads, and another server asks whether it may.
const LOOK: Duration = Duration::from_secs(1);

/// Whether this server leads. One that hangs notices at its next step that it may not lead any more, before it takes the step.
pub(super) struct Lead {
    /// True where no other server can lead, as with a database file.
    is_only: bool,
    confirmed: Mutex<Option<Instant>>,
}

impl Lead {
    /// The lead of a server that may have others beside it, or of the only one.
    pub(super) fn of(has_others: bool) -> Self {
        Self { is_only: !has_others, confirmed: Mutex::default() }
    }

    /// True while this server leads.
    pub(super) fn is_mine(&self) -> bool {
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_only || confirmed.is_some_and(|at| at.elapsed() < LeaderLock::LASTS)
    }

    fn set(&self, confirmed: Option<Instant>) {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = confirmed;
    }

    /// Takes the lead whenever it is free and keeps it, until a signal comes.
    pub(super) fn keep(&self, storage: &PostgresStorage) {
        let mut lock: Option<LeaderLock> = None;
        while !interrupted() {
            // From before the question: meanwhile the answer may have become old.
            let asked = Instant::now();
            if !lock.as_mut().is_some_and(LeaderLock::confirm) {
                // What is left of the former session may hold it, so it ends first.
                drop(lock.take());
                // Without the database nobody leads.
                lock = storage.lock_leader().ok().flatten();
            }
            self.set(lock.is_some().then_some(asked));
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_confirm_in_time_does_not_lead() {
        let lead = Lead::of(true);
        assert!(!lead.is_mine() && Lead::of(false).is_mine());
        lead.set(Some(Instant::now()));
        assert!(lead.is_mine());
        lead.set(Instant::now().checked_sub(LeaderLock::LASTS));
        assert!(!lead.is_mine());
    }
}
