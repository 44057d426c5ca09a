//! Calls of futures that were dropped and have not ended: who is refused because of one of them waits for its end.
//!
//! It is kept here and not by the front of futures, because a call that blocks, and another [`Replica`](crate::Replica) over the same
//! database, meet the same locks.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

thread_local! {
    /// The call of a future that this thread works for.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// The calls that hold a lock, once for each lock.
static HOLDERS: Mutex<Vec<Call>> = Mutex::new(Vec::new());

/// A lock was given back, or a future was dropped.
static CHANGED: Condvar = Condvar::new();

fn holders() -> MutexGuard<'static, Vec<Call>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call of a future.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call(Arc<AtomicBool>);

impl Call {
    /// True once its future was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says that its future was dropped.
    #[cfg(feature = "tokio")]
    pub(crate) fn drop_future(&self) {
        // Under the lock: a call that has just seen that it is not set must not begin to wait after the notice.
        let _holders = holders();
        self.0.store(true, Ordering::Relaxed);
        CHANGED.notify_all();
    }

    /// Works for this call: the locks that this thread takes meanwhile are its own.
    #[cfg(feature = "tokio")]
    pub(crate) fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        /// The call that the thread worked for before, also after a panic.
        struct Before(Option<Call>);
        impl Drop for Before {
            fn drop(&mut self) {
                CALL.set(self.0.take());
            }
        }
        let _before = Before(CALL.replace(Some(self.clone())));
        work()
    }
}

/// The mark of a lock that a call of a future holds, until it is dropped; nothing for other locks.
pub(super) struct HolderMark(Option<Call>);

impl HolderMark {
    pub(super) fn new() -> Self {
        let call = CALL.with_borrow(Clone::clone);
        holders().extend(call.clone());
        Self(call)
    }
}

impl Drop for HolderMark {
    fn drop(&mut self) {
        let Some(call) = &self.0 else { return };
        let mut holders = holders();
        if let Some(at) = holders.iter().position(|holder| Arc::ptr_eq(&holder.0, &call.0)) {
            holders.swap_remove(at);
        }
        CHANGED.notify_all();
    }
}

/// Takes a lock. As long as it is refused and a dropped call has not ended, which may hold it, this waits: nobody awaits that cycle, so
/// nobody should be refused because of it.
///
/// # Errors
/// Those of `lock`; [`Error::Cancelled`] if the future of this call was dropped too.
pub(crate) fn lock_after_dropped<T>(mut lock: impl FnMut() -> Result<T>) -> Result<T> {
    let own = CALL.with_borrow(Clone::clone).unwrap_or_default();
    let is_ending = |holders: &[Call]| holders.iter().any(Call::is_dropped);
    loop {
        // Before: what holds the lock may end between the refusal and a look.
        let was_ending = is_ending(&holders());
        let refused = match lock() {
            Err(Error::CycleRunning { holder }) => Error::CycleRunning { holder },
            other => return other,
        };
        let now = holders();
        match is_ending(&now) {
            _ if own.is_dropped() => return Err(Error::Cancelled),
            true => drop(CHANGED.wait(now)),
            false if was_ending => {}
            false => return Err(refused),
        }
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, lock_cycle};
    use std::time::Duration;

    #[test]
    fn only_a_dropped_call_is_waited_for() {
        let storage = MemoryStorage::new();
        let call = Call::default();
        let held = call.work(|| lock_cycle(&storage)).unwrap();
        assert_eq!(lock_cycle(&storage).map(drop).unwrap_err().code(), "cycle_running", "somebody awaits it");
        call.drop_future();
        let dropped = Call::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_cycle(&storage).map(drop).map_err(|error| error.code()));
            dropped.work(|| lock_cycle(&MemoryStorage::new())).expect("a lock that is free is given at once");
            std::thread::sleep(Duration::from_millis(30));
            assert!(!waiting.is_finished());
            let blocked = scope.spawn(|| dropped.work(|| lock_cycle(&storage).map(drop).map_err(|error| error.code())));
            std::thread::sleep(Duration::from_millis(30));
            dropped.drop_future();
            assert_eq!(blocked.join().unwrap(), Err("cancelled"), "nobody awaits this one any more");
            drop(held);
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        assert!(CALL.with_borrow(Option::is_none));
    }
}
