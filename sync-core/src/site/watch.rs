//! An exchange on a second thread, so that the observer can be asked meanwhile whether to continue.

use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use crate::transport::{Stop, Transport};

/// The interval of questions to the observer.
const LOOK: Duration = Duration::from_millis(100);

/// The state of an exchange.
pub(crate) enum ExchangeProgress {
    /// It is running.
    Waiting,
    /// So many bytes of a file are sent; the exchange waits for the answer.
    Bytes(u64),
}

/// Decides whether an exchange continues. Called on the thread of its caller.
pub(crate) type ExchangeWatch<'w> = &'w mut dyn FnMut(ExchangeProgress) -> bool;

/// Reports the number of bytes sent; returns whether to continue.
pub(crate) type ByteCallback<'t> = &'t mut dyn FnMut(u64) -> bool;

/// Stops the exchange if the observer or a host's hook panics: its result is no longer needed, and the scope waits for
/// its thread.
struct EndsWithPanic<'s>(&'s Stop);

impl Drop for EndsWithPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.ask();
        }
    }
}

/// Runs an exchange. `watch` can end it if the transport supports that; otherwise it runs to its end.
pub(crate) fn watched<T: Send>(
    transport: &dyn Transport,
    watch: ExchangeWatch<'_>,
    exchange: impl FnOnce(&dyn Transport, ByteCallback<'_>) -> T + Send,
) -> T {
    let stop = Stop::new();
    match transport.stoppable(&stop) {
        Some(stoppable) => apart(&stop, watch, |tell| exchange(stoppable.as_ref(), tell)),
        None => exchange(transport, &mut |bytes| watch(ExchangeProgress::Bytes(bytes))),
    }
}

/// Runs work on a second thread that ends once `stop` asks for it.
pub(crate) fn apart<T: Send>(
    stop: &Stop,
    watch: ExchangeWatch<'_>,
    work: impl FnOnce(ByteCallback<'_>) -> T + Send,
) -> T {
    std::thread::scope(|scope| {
        let (told, notes) = sync_channel::<Option<u64>>(1);
        let (answer, answers) = sync_channel::<bool>(1);
        let working = scope.spawn(move || {
            let mut tell = |bytes| told.send(Some(bytes)).is_ok() && answers.recv().unwrap_or(false);
            let done = work(&mut tell);
            let _ = told.send(None);
            done
        });
        let _guard = EndsWithPanic(stop);
        loop {
            match notes.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if stop.is_asked() => {}
                Err(RecvTimeoutError::Timeout) => {
                    if !watch(ExchangeProgress::Waiting) {
                        stop.ask();
                    }
                }
                Ok(Some(bytes)) => {
                    let goes_on = !stop.is_asked() && watch(ExchangeProgress::Bytes(bytes));
                    if !goes_on {
                        stop.ask();
                    }
                    let _ = answer.send(goes_on);
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match working.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Does some work while an exchange runs on a second thread, then waits for it as [`watched`] does. If the work fails,
/// the exchange is stopped.
pub(crate) fn beside<T: Send, W, E>(
    transport: &dyn Transport,
    exchange: impl FnOnce(&dyn Transport) -> T + Send,
    work: impl FnOnce() -> Result<W, E>,
    watch: ExchangeWatch<'_>,
) -> (Result<W, E>, T) {
    let stop = Stop::new();
    let stoppable = transport.stoppable(&stop);
    std::thread::scope(|scope| {
        // Dropped when the exchange ends, with a panic too.
        let (ends, ended) = channel::<()>();
        let asking = scope.spawn(|| {
            let _ends = ends;
            exchange(stoppable.as_deref().unwrap_or(transport))
        });
        let _guard = EndsWithPanic(&stop);
        let done = work();
        if done.is_err() {
            stop.ask();
        }
        while stoppable.is_some()
            && !stop.is_asked()
            && matches!(ended.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout))
        {
            if !watch(ExchangeProgress::Waiting) {
                stop.ask();
            }
        }
        match asking.join() {
            Ok(answer) => (done, answer),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
