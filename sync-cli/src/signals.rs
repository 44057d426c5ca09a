//! Signals: the first one ends a command in good order, a second one at once. SIGHUP makes `run` and `serve` look again at what may
//! have changed, and ends every other command.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sync_core::Error;
use sync_core::storage::LoggedError;

use crate::sentences::progress as told;

/// Set by a signal: the cycle ends at its next event.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Set once the command has seen the signal, and so ends by itself.
static SEEN: AtomicBool = AtomicBool::new(false);

/// A command that has not seen a signal for this long waits for something that tells it nothing, such as a database that another program
/// holds. Somebody waits at the terminal.
const BLIND: Duration = Duration::from_secs(1);

/// A command that has seen a signal, and has not ended after this long, waits for such a thing at its end.
const ENDING: Duration = Duration::from_secs(5);

/// The number of SIGHUPs that asked to look again.
static ASKED_TO_RELOAD: AtomicU64 = AtomicU64::new(0);

/// Lets a signal end the command in good order; a second one ends it at once, which loses nothing either. So does the first one where the
/// command cannot see it.
pub(crate) fn end_on_signals() {
    // Without a handler a signal ends the program at once, which is safe too.
    let _ = handle(end_unless_it_ends, None);
}

/// Ends the program if the command does not end by itself.
fn end_unless_it_ends() {
    unless_it_ends(|| {
        let error = LoggedError::from(&Error::Cancelled);
        if std::env::args_os().any(|arg| arg == "--json") {
            println!("{}", serde_json::json!({ "error": error }));
        }
        eprintln!("error [{}]: {}. {}", error.code, error.message, error.advice);
        std::process::exit(130);
    });
}

/// Does this once the command had time to end.
fn unless_it_ends(end: impl FnOnce() + Send + 'static) {
    // Without this thread it ends later.
    let _ = std::thread::Builder::new().name("ending".to_owned()).spawn(|| {
        std::thread::sleep(BLIND);
        if SEEN.load(Ordering::SeqCst) {
            std::thread::sleep(ENDING);
        }
        end();
    });
}

/// The same for a command that runs until it is stopped: it ends well, also where it cannot see the signal, such as while another program
/// holds the database.
pub(crate) fn stop_or_reload_on_signals(stop: impl Fn() + Send + 'static, reload: impl Fn() + Send + 'static) {
    let first = move || {
        stop();
        unless_it_ends(|| std::process::exit(0));
    };
    let _ = handle(first, Some(Box::new(reload)));
}

/// The same, and calls `first` at the first signal; SIGHUP does not end the command but calls `reload`.
pub(crate) fn end_or_reload_on_signals(first: impl Fn() + Send + 'static, reload: impl Fn() + Send + 'static) {
    let _ = handle(first, Some(Box::new(reload)));
}

/// True once a signal came that ends the command.
pub(crate) fn interrupted() -> bool {
    let is_interrupted = INTERRUPTED.load(Ordering::SeqCst);
    if is_interrupted {
        SEEN.store(true, Ordering::SeqCst);
    }
    is_interrupted
}

/// The number of SIGHUPs until now that asked to look again: it grows with each.
pub(crate) fn asked_to_reload() -> u64 {
    ASKED_TO_RELOAD.load(Ordering::SeqCst)
}

type Reload = Box<dyn Fn() + Send>;

#[cfg(unix)]
fn handle(first: impl Fn() + Send + 'static, reload: Option<Reload>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            match &reload {
                Some(reload) if signal == SIGHUP => {
                    ASKED_TO_RELOAD.fetch_add(1, Ordering::SeqCst);
                    reload();
                }
                _ => end(&first),
            }
        }
    })?;
    Ok(())
}

/// Other systems have no SIGHUP.
#[cfg(not(unix))]
fn handle(first: impl Fn() + Send + 'static, _: Option<Reload>) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || end(&first))
}

fn end(first: &impl Fn()) {
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        std::process::exit(130);
    }
    first();
    if std::io::stderr().is_terminal() {
        eprintln!("{}", told::stopping());
    }
}
