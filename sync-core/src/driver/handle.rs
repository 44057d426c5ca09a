//! The handle of a driver: what other threads ask of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, WakeSignal};

/// What was asked, as it stands now; no queue of messages that could overflow or get lost.
#[derive(Debug, Default)]
struct DriverRequests {
    triggered: bool,
    suspended: bool,
    cancelled: bool,
    stopped: bool,
    /// Cycles begun so far.
    begun: u64,
    running: bool,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<DriverRequests>,
    bell: WakeSignal,
}

/// Steers a [`Driver`](super::Driver) from any thread. Clones steer the same one. No call waits for a cycle.
#[derive(Debug, Clone, Default)]
pub struct DriverHandle(Arc<Shared>);

impl DriverHandle {
    fn asked(&self) -> MutexGuard<'_, DriverRequests> {
        // Flags and a number: nothing that a panic elsewhere could leave half written.
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, what: impl FnOnce(&mut DriverRequests) -> T) -> T {
        let answer = what(&mut self.asked());
        self.0.bell.wake();
        answer
    }

    /// Asks for a cycle without waiting for the interval; gives the [number](super::CycleEnd::number) of the cycle that
    /// will have done it. Many triggers while one waits make one cycle; one that comes during a cycle makes one more
    /// after it, as that cycle may be past what the caller wants to be sent. While suspended, it is kept.
    pub fn trigger(&self) -> u64 {
        self.ask(|asked| {
            asked.triggered = true;
            asked.begun + 1
        })
    }

    /// Begins no further cycle until [`resume`](Self::resume). One that runs goes on to its end.
    pub fn suspend(&self) {
        self.ask(|asked| asked.suspended = true);
    }

    /// Goes on: at once with what became due meanwhile, at its time with what did not.
    pub fn resume(&self) {
        self.ask(|asked| asked.suspended = false);
    }

    /// Ends the cycle that runs, in good order: what was done stays. Says whether one runs. The cycle ends at its next
    /// event; a request that is under way is broken off, as [`SyncObserver`](crate::SyncObserver) says.
    pub fn cancel(&self) -> bool {
        self.ask(|asked| {
            asked.cancelled = asked.running;
            asked.running
        })
    }

    /// Ends the cycle that runs, as [`cancel`](Self::cancel) does, and the driver with it. Cannot be taken back.
    pub fn stop(&self) {
        self.ask(|asked| asked.stopped = true);
    }

    /// Whether a cycle runs.
    pub fn is_running(&self) -> bool {
        self.asked().running
    }

    /// Whether the driver is suspended.
    pub fn is_suspended(&self) -> bool {
        self.asked().suspended
    }

    /// Whether the driver was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.asked().stopped
    }

    /// Whether the cycle that runs is to end.
    pub(super) fn wants_end(&self) -> bool {
        let asked = self.asked();
        asked.cancelled || asked.stopped
    }

    /// Waits until a cycle is due, by the time or by a trigger, and begins it; gives its number. `None` once stopped.
    pub(super) fn begin_when_due(&self, clock: &dyn Clock, due: Duration) -> Option<u64> {
        // Nothing depends on waking up: whatever is asked rings the bell.
        const LONGEST: Duration = Duration::from_secs(3600);
        loop {
            let wait = {
                let mut asked = self.asked();
                if asked.stopped {
                    return None;
                }
                let left = due.saturating_sub(clock.monotonic());
                if !asked.suspended && (asked.triggered || left.is_zero()) {
                    asked.triggered = false;
                    asked.cancelled = false;
                    asked.running = true;
                    asked.begun += 1;
                    return Some(asked.begun);
                }
                if asked.suspended { LONGEST } else { left.min(LONGEST) }
            };
            clock.sleep_until_woken(wait, &self.0.bell);
        }
    }

    pub(super) fn ended(&self) {
        self.asked().running = false;
    }
}
