//! The thread that integrates pushes, and writes the visits of sites from time to time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sync_core::Message;
use sync_core::central::Central;

use crate::options::Notice;
use crate::sentences::serving as says;

/// How often the visits of sites are written.
const FLUSH: Duration = Duration::from_secs(30);

/// Integrates until it is told to stop; then the running transaction is finished, and the rest stays queued.
pub(super) fn run(central: &Central, stopping: &AtomicBool, notice: &Notice) {
    let goes_on = || !stopping.load(Ordering::SeqCst);
    let mut flushed = Instant::now();
    while goes_on() {
        // Failed work stays queued and is retried; sites see that it is not integrated yet. A panic is a fault of this
        // program, but no reason to make every site wait for a restart (weak point B3).
        let failure = match catch_unwind(AssertUnwindSafe(|| central.integrate_while(&goes_on))) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(says::integration_failed(error.code(), Message::of(&error))),
            Err(_) => Some(says::integration_failed_by_fault()),
        };
        if let Some(failure) = failure {
            notice(&failure);
            std::thread::sleep(Duration::from_secs(1));
        }
        if flushed.elapsed() >= FLUSH {
            flush(central, notice);
            flushed = Instant::now();
        }
        central.wait_for_work(Duration::from_millis(500));
    }
}

/// Wakes [`run`] when another server on the same storage tells of work, until it is told to stop.
pub(super) fn listen(central: &Central, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) {
        // Without the notices, work is found by looking.
        if central.wait_for_others(Duration::from_millis(500)).is_err() {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Writes the visits of sites.
pub(super) fn flush(central: &Central, notice: &Notice) {
    if let Err(error) = central.flush_activity() {
        notice(&says::visits_unwritten(error.code(), Message::of(&error)));
    }
}
