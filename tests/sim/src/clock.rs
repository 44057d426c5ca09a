//! Virtual time: one time for all, that waits and requests move; and the clock of each end, which may be wrong.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sync_core::clock::{Clock, Timestamp};

use crate::run::{Sim, Spot};

/// When every world begins: 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600_000;

/// The time that passes for all alike.
#[derive(Debug, Default)]
pub struct Time(AtomicU64);

impl Time {
    /// Time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    /// Lets time pass.
    pub fn pass(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// The clock of one end.
pub struct EndClock {
    time: Arc<Time>,
    wrong_by: AtomicI64,
    end: usize,
    sim: Weak<Sim>,
}

impl EndClock {
    /// The clock of an end, right for now.
    pub fn new(time: Arc<Time>, end: usize, sim: Weak<Sim>) -> Self {
        Self { time, wrong_by: AtomicI64::new(0), end, sim }
    }

    /// Sets it wrong by so many milliseconds, ahead or behind.
    pub fn set_wrong(&self, millis: i64) {
        self.wrong_by.store(millis, Relaxed);
    }
}

impl Clock for EndClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.time.now().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(BEGIN + passed + self.wrong_by.load(Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.time.now()
    }

    fn sleep(&self, duration: Duration) {
        self.time.pass(duration);
        if let Some(sim) = self.sim.upgrade() {
            sim.meanwhile(Spot::Wait, self.end);
        }
    }
}
