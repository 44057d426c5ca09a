//! A clock that never jumps: central measures with it how long ago a push came.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::storage::{ReadTxn, WriteTxn, state};

/// The time during which a central server ran on a database. The machine's clock may be changed at any moment, so this
/// uses the monotonic clock of the process, and continues after a start from the value in the database. The time
/// without a running server does not count, because only the unreliable clock could measure it.
///
/// Several servers on one database count the same time: each from the value that it read first.
#[derive(Debug)]
pub(super) struct Uptime {
    /// The clocks at the start of this server.
    wall: Timestamp,
    monotonic: Duration,
    /// True if no other server may count on the same database meanwhile.
    is_alone: bool,
    /// The value that was read first, and the monotonic clock at that moment.
    begin: Mutex<Option<(Timestamp, Duration)>>,
}

impl Uptime {
    /// The time of a server that starts now.
    pub(super) fn new(clock: &dyn Clock, is_alone: bool) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic(), is_alone, begin: Mutex::default() }
    }

    /// Reads the stored value, unless it was read before. Where another server may be counting, the time counts from now on.
    pub(super) fn begin(&self, txn: &dyn ReadTxn, clock: &dyn Clock) -> Result<()> {
        // The first push of all stores one: until then any server may be the first.
        if let Some(remembered) = state::STEADY_TIME.find(txn)?.map(Timestamp::from_unix_millis) {
            self.begin_at(Some(remembered), clock);
        }
        Ok(())
    }

    fn begin_at(&self, remembered: Option<Timestamp>, clock: &dyn Clock) -> (Timestamp, Duration) {
        let first = || match remembered {
            Some(remembered) if self.is_alone => (remembered, self.monotonic),
            Some(remembered) => (remembered, clock.monotonic()),
            None => (self.wall, self.monotonic),
        };
        let mut begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        *begin.get_or_insert_with(first)
    }

    /// The current time, which is stored with the transaction. Without a stored value it starts from the machine's
    /// clock.
    pub(super) fn now(&self, txn: &dyn WriteTxn, clock: &dyn Clock) -> Result<Timestamp> {
        // A value that is no number counts as missing.
        let remembered = state::STEADY_TIME.find(txn)?.map(Timestamp::from_unix_millis);
        let (begin, since) = self.begin_at(remembered, clock);
        // Earlier pushes then seem older than any late copy can be.
        let begin = if planted!(LateForgottenAtRestart) { begin.after(Duration::from_secs(1800)) } else { begin };
        let counted = begin.after(clock.monotonic().saturating_sub(since));
        // Another process may have counted further meanwhile.
        let now = remembered.map_or(counted, |remembered| remembered.max(counted));
        state::STEADY_TIME.set(txn, now.unix_millis())?;
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::storage::{MemoryStorage, Storage};

    #[derive(Default)]
    struct Set {
        wall: AtomicI64,
        monotonic: AtomicU64,
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_millis(self.wall.load(Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Relaxed))
        }

        fn sleep(&self, _: Duration) {}
    }

    fn tell(steady: &Uptime, storage: &dyn Storage, clock: &Set) -> i64 {
        let txn = storage.write().unwrap();
        let now = steady.now(txn.as_ref(), clock).unwrap();
        txn.commit().unwrap();
        now.unix_millis()
    }

    #[test]
    fn it_begins_with_the_clock_and_goes_on_without_it() {
        let (storage, clock) = (MemoryStorage::new(), Set::default());
        clock.wall.store(1_000_000, Relaxed);
        let steady = Uptime::new(&clock, true);
        assert_eq!(tell(&steady, &storage, &clock), 1_000_000);
        for wall in [0, 9_000_000, i64::MAX, i64::MIN] {
            clock.wall.store(wall, Relaxed);
            let before = tell(&steady, &storage, &clock);
            clock.monotonic.fetch_add(7, Relaxed);
            assert_eq!(tell(&steady, &storage, &clock), before + 7, "whatever the clock says: {wall}");
        }
    }

    #[test]
    fn a_restart_goes_on_where_the_last_process_was_whatever_the_clock_says() {
        let (storage, clock) = (MemoryStorage::new(), Set::default());
        clock.wall.store(1_000_000, Relaxed);
        let first = Uptime::new(&clock, true);
        tell(&first, &storage, &clock);
        clock.monotonic.store(500, Relaxed);
        assert_eq!(tell(&first, &storage, &clock), 1_000_500);
        // The machine was off; its clock and the monotonic one start anew.
        clock.wall.store(0, Relaxed);
        clock.monotonic.store(0, Relaxed);
        let second = Uptime::new(&clock, true);
        assert_eq!(tell(&second, &storage, &clock), 1_000_500);
        clock.monotonic.store(20, Relaxed);
        assert_eq!(tell(&second, &storage, &clock), 1_000_520);
        // With two processes on one database, neither goes back.
        assert_eq!(tell(&first, &storage, &clock), 1_000_520);
    }

    #[test]
    fn a_second_server_counts_no_time_that_the_first_one_has_counted() {
        let (storage, clock) = (MemoryStorage::new(), Set::default());
        clock.wall.store(1_000_000, Relaxed);
        let [first, second, early] = [(); 3].map(|()| Uptime::new(&clock, false));
        tell(&first, &storage, &clock);
        early.begin(storage.read().unwrap().as_ref(), &clock).unwrap();
        clock.monotonic.store(3_600_000, Relaxed);
        assert_eq!(tell(&first, &storage, &clock), 4_600_000);
        // Its first push comes an hour after its start: what the first one took a moment ago is not an hour old.
        assert_eq!(tell(&second, &storage, &clock), 4_600_000);
        clock.monotonic.fetch_add(7, Relaxed);
        assert_eq!(
            tell(&early, &storage, &clock),
            4_600_007,
            "the time since its start counts if nobody else counted it"
        );
        assert_eq!(tell(&second, &storage, &clock), 4_600_007);
    }
}
