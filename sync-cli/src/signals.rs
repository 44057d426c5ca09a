//! Signals: the first one ends a command in good order, a second one at once. SIGHUP makes `run` and `serve` look again at what may
//! have changed, and ends every other command.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sentences::progress as told;

/// Set by a signal: the cycle ends at its next event.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The number of SIGHUPs that asked to look again.
static ASKED_TO_RELOAD: AtomicU64 = AtomicU64::new(0);

/// Lets a signal end the command in good order; a second one ends it at once, which loses nothing either.
pub(crate) fn end_on_signals() {
    // Without a handler a signal ends the program at once, which is safe too.
    let _ = handle(|| (), None);
}

/// The same, and calls `first` at the first signal; SIGHUP does not end the command but calls `reload`.
pub(crate) fn end_or_reload_on_signals(first: impl Fn() + Send + 'static, reload: impl Fn() + Send + 'static) {
    let _ = handle(first, Some(Box::new(reload)));
}

/// True once a signal came that ends the command.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
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
