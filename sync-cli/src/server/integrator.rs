//! The thread that integrates what sites pushed, and now and then writes when they came.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sync_core::{Central, Said, Texts};

use crate::sentences::serving as says;

/// How often the visits of sites are written.
const FLUSH: Duration = Duration::from_secs(30);

/// Integrates until it is told to stop; then the transaction that runs is finished, and the rest stays queued.
pub(super) fn run(central: &Central, stopping: &AtomicBool, texts: &Texts) {
    let goes_on = || !stopping.load(Ordering::SeqCst);
    let mut flushed = Instant::now();
    while goes_on() {
        // What fails stays queued and is tried again; sites see that it is not integrated yet. A panic is a fault of this
        // program, but no reason to let every site wait for a restart (weak point B3).
        let failure = match catch_unwind(AssertUnwindSafe(|| central.integrate_while(&goes_on))) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(says::integration_failed(error.code(), Said::message(&error))),
            Err(_) => Some(says::integration_failed_by_fault()),
        };
        if let Some(failure) = failure {
            say(&failure, texts);
            std::thread::sleep(Duration::from_secs(1));
        }
        if flushed.elapsed() >= FLUSH {
            flush(central, texts);
            flushed = Instant::now();
        }
        central.wait_for_work(Duration::from_millis(500));
    }
}

/// Writes the visits of sites.
pub(super) fn flush(central: &Central, texts: &Texts) {
    if let Err(error) = central.flush_activity() {
        say(&says::visits_unwritten(error.code(), Said::message(&error)), texts);
    }
}

fn say(said: &Said, texts: &Texts) {
    // Where standard error is closed nobody wants to know.
    let _ = writeln!(std::io::stderr(), "{}", texts.say(said));
}
