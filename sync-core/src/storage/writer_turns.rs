//! The turns to write: one thread at a time, in the order in which they ask. No thread waits for itself, and none for ever.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::text::sentences::input;

/// How long a thread waits for one and the same transaction: longer than any transaction of the engine takes. A hook or a
/// closure of a host that waits for a thread which waits for its turn would wait for ever otherwise.
const WAIT: Duration = if cfg!(test) { Duration::from_secs(2) } else { Duration::from_secs(60) };

/// Gives the turns to write in a storage, to the threads of this process.
#[derive(Default)]
pub(super) struct WriterTurns {
    turns: Mutex<Turns>,
    ended: Condvar,
}

#[derive(Default)]
struct Turns {
    /// The thread that has the turn, and the number of its turn.
    holder: Option<(ThreadId, u64)>,
    /// The numbers of the turns that threads wait for, in order.
    waiting: VecDeque<u64>,
    next: u64,
}

impl Turns {
    /// True if the thread that waits for this turn may write now.
    fn is_turn_of(&self, number: u64) -> bool {
        self.holder.is_none() && self.waiting.front() == Some(&number)
    }
}

fn does_not_end() -> Error {
    let seconds = WAIT.as_secs();
    let source = format!(
        "a transaction of this program has not ended for {seconds} s; a hook or a closure in it may wait for this thread"
    );
    Error::DatabaseBusy { source: source.into() }
}

impl WriterTurns {
    /// Waits for the turn of this thread.
    ///
    /// # Errors
    /// [`Error::BadInput`]: this thread has the turn already, and would wait for itself. [`Error::DatabaseBusy`]: another
    /// thread does not end its transaction.
    pub(super) fn take(&self) -> Result<WriterTurn<'_>> {
        let this = std::thread::current().id();
        let mut turns = self.lock();
        if turns.holder.is_some_and(|(thread, _)| thread == this) {
            return Err(Error::bad_input(input::writes_already()));
        }
        let number = turns.next;
        turns.next += 1;
        turns.waiting.push_back(number);
        while !turns.is_turn_of(number) {
            let awaited = turns.holder;
            let (left, limit) = self
                .ended
                .wait_timeout_while(turns, WAIT, |turns| turns.holder == awaited && !turns.is_turn_of(number))
                .unwrap_or_else(PoisonError::into_inner);
            turns = left;
            if limit.timed_out() {
                turns.waiting.retain(|waiting| *waiting != number);
                drop(turns);
                // The one behind it may be the first now.
                self.ended.notify_all();
                return Err(does_not_end());
            }
        }
        turns.waiting.pop_front();
        turns.holder = Some((this, number));
        Ok(WriterTurn(self))
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until it is dropped, its thread may write, and no other.
pub(super) struct WriterTurn<'s>(&'s WriterTurns);

impl Drop for WriterTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().holder = None;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Replica;
    use crate::record::AssetClass;
    use crate::storage::MemoryStorage;

    fn class(id: &str) -> AssetClass {
        AssetClass { id: id.into(), name: "Cold chain".into(), ..AssetClass::default() }
    }

    /// Writes on another thread, and waits for it.
    fn put_elsewhere(replica: &Replica, id: &str) -> Result<()> {
        std::thread::scope(|threads| {
            threads.spawn(|| replica.records().of().put(&class(id)).map(drop)).join().expect("no panic")
        })
    }

    #[test]
    fn turns_are_given_in_the_order_of_asking() {
        let (turns, order) = (WriterTurns::default(), Mutex::new(Vec::new()));
        std::thread::scope(|threads| {
            let first = turns.take().unwrap();
            for n in 0..5 {
                threads.spawn({
                    let (turns, order) = (&turns, &order);
                    move || {
                        let _turn = turns.take().unwrap();
                        order.lock().unwrap().push(n);
                    }
                });
                while turns.lock().waiting.len() <= n {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_closure_that_waits_for_another_writer_ends_with_an_error() {
        let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
        replica.site_registry().unwrap();
        let written = replica.write(|txn| {
            let error = put_elsewhere(&replica, "other").expect_err("it has to wait for this one");
            assert_eq!(error.code(), "database_busy");
            assert!(format!("{error:?}").contains("a hook or a closure"), "{error:?}");
            txn.of().put(&class("mine"))
        });
        written.unwrap();
        put_elsewhere(&replica, "later").unwrap();
        let ids: Vec<_> =
            replica.records().of::<AssetClass>().list(None, 9).unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["later", "mine"]);
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_hook_that_waits_for_another_writer_ends_with_an_error() {
        use std::sync::OnceLock;

        use crate::storage::HookedRecord;
        use crate::storage::rusqlite::Connection;

        let folder = tempfile::tempdir().unwrap();
        let own: Arc<OnceLock<Replica>> = Arc::default();
        let hook = {
            let own = own.clone();
            move |_: &Connection, record: &HookedRecord<'_>| match own.get() {
                Some(replica) if record.id.as_str() == "mine" => {
                    put_elsewhere(replica, "other").map_err(|error| error.to_string().into())
                }
                _ => Ok(()),
            }
        };
        let replica = Replica::builder().hook(hook).open(folder.path().join("a.sqlite")).unwrap();
        replica.site_registry().unwrap();
        own.set(replica.clone()).unwrap();
        let error = replica.records().of().put(&class("mine")).expect_err("the hook failed");
        assert_eq!(error.code(), "host_failed");
        assert!(format!("{error:?}").contains("in use"), "{error:?}");
        put_elsewhere(&replica, "later").unwrap();
        assert_eq!(replica.records().of::<AssetClass>().list(None, 9).unwrap().len(), 1);
    }
}
