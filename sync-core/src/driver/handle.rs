//! The handle of a driver: requests from other threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, WakeSignal};

/// The pending requests, as flags; there is no queue of messages that could overflow or get lost.
#[derive(Debug, Default)]
struct DriverRequests {
    triggered: bool,
    suspended: bool,
    cancelled: bool,
    stopped: bool,
    /// A panic ended the last call of `run`.
    panicked: bool,
    /// The number of cycles begun so far.
    begun: u64,
    running: bool,
    /// The line costs money by the byte: no files are moved.
    metered: bool,
    /// How many calls of `run` are under way.
    runs: u32,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<DriverRequests>,
    bell: WakeSignal,
    /// Told when a call of `run` returns.
    returned: Condvar,
}

/// Controls a [`Driver`](super::Driver) from any thread. Clones control the same one. No call waits for a cycle.
#[derive(Debug, Clone, Default)]
pub struct DriverHandle(Arc<Shared>);

impl DriverHandle {
    fn asked(&self) -> MutexGuard<'_, DriverRequests> {
        // Only flags and a number: a panic elsewhere cannot leave them half written.
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, what: impl FnOnce(&mut DriverRequests) -> T) -> T {
        let answer = what(&mut self.asked());
        self.0.bell.wake();
        answer
    }

    /// Requests a cycle without waiting for the interval; returns the [number](super::CycleEnd::number) of the cycle
    /// that will have done it. Many requests while one waits make one cycle; one that comes during a cycle makes one
    /// more after it, because that cycle may already be past the caller's edits. While suspended, the request is kept.
    pub fn trigger(&self) -> u64 {
        self.ask(|asked| {
            asked.triggered = true;
            asked.begun + 1
        })
    }

    /// Begins no further cycle until [`resume`](Self::resume). A running cycle continues to its end.
    pub fn suspend(&self) {
        self.ask(|asked| asked.suspended = true);
    }

    /// Resumes: at once if a cycle became due meanwhile, otherwise at its time.
    pub fn resume(&self) {
        self.ask(|asked| asked.suspended = false);
    }

    /// Ends the running cycle normally: its work so far stays. Returns whether one runs. The cycle ends at its next
    /// event; a running request is broken off within two seconds, see [`SyncObserver`](crate::SyncObserver). Its
    /// [`CycleEnd::error`](super::CycleEnd::error) is [`Error::Cancelled`](crate::Error::Cancelled), and the next cycle comes at its time.
    pub fn cancel(&self) -> bool {
        self.ask(|asked| {
            asked.cancelled = asked.running;
            asked.running
        })
    }

    /// Ends the running cycle, as [`cancel`](Self::cancel) does, and the driver with it. It cannot be taken back.
    pub fn stop(&self) {
        self.ask(|asked| asked.stopped = true);
    }

    /// [Stops](Self::stop) the driver and waits until it has ended: no cycle runs any more, the database may be closed, and the
    /// observer is not called again. It takes two seconds at most with a transport that can be stopped. The thread of the driver
    /// itself, as in its observer, must not call this: it would wait for itself.
    pub fn join(&self) {
        self.stop();
        let mut asked = self.asked();
        while asked.runs > 0 {
            asked = self.0.returned.wait(asked).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says whether the line is metered, as that of a phone abroad. While it is, the driver moves no files, and stops with the
    /// one that it is moving; cycles go on, because records are small. When it is no longer metered, the files that waited are
    /// moved after the next cycle: [`trigger`](Self::trigger) moves them at once.
    pub fn set_metered(&self, is_metered: bool) {
        self.ask(|asked| asked.metered = is_metered);
    }

    /// True while the line is said to be metered.
    pub fn is_metered(&self) -> bool {
        self.asked().metered
    }

    /// True while a cycle runs.
    pub fn is_running(&self) -> bool {
        self.asked().running
    }

    /// True while the driver is suspended.
    pub fn is_suspended(&self) -> bool {
        self.asked().suspended
    }

    /// True once the driver was told to stop, and after a panic of its observer or of a host's hook ended it, until
    /// [`Driver::run`](super::Driver::run) is called again.
    pub fn is_stopped(&self) -> bool {
        let asked = self.asked();
        asked.stopped || asked.panicked
    }

    /// True if the running cycle has to end.
    pub(super) fn wants_end(&self) -> bool {
        let asked = self.asked();
        asked.cancelled || asked.stopped
    }

    /// Waits until a cycle is due, by the time or by a request, and begins it; returns its number. `None` once stopped.
    pub(super) fn begin_when_due(&self, clock: &dyn Clock, due: Duration) -> Option<u64> {
        // No request is missed, because each rings the bell.
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

    pub(super) fn run_began(&self) {
        let mut asked = self.asked();
        asked.runs += 1;
        asked.panicked = false;
    }

    pub(super) fn run_ended(&self, panicked: bool) {
        let mut asked = self.asked();
        asked.runs -= 1;
        asked.panicked = panicked;
        drop(asked);
        self.0.returned.notify_all();
    }
}
