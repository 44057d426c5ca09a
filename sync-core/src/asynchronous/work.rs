//! Blocking work of futures: on threads that tokio keeps for it, and ended once its future was dropped.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Result};
use crate::site::{Site, SyncEvent, SyncObserver};
use crate::storage::Storage;

/// Works on a thread of tokio for blocking work.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let mut task = AbortedOnDrop(spawn_blocking(work));
    match (&mut task.0).await {
        Ok(done) => done,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        // The runtime shut down before it began.
        Err(_) => Err(Error::Cancelled),
    }
}

/// Work that did not begin is not done any more once this is dropped.
struct AbortedOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortedOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls a site, with an observer that ends the call once its future was dropped. A call that was dropped before and has not ended comes
/// to its end first: it may hold the lock of a cycle, and this call would be refused because of a cycle that nobody awaits.
pub(super) async fn observed<T: Send + 'static>(
    site: &Site,
    mut observer: impl SyncObserver + Send + 'static,
    work: impl FnOnce(&Site, &mut dyn SyncObserver) -> Result<T> + Send + 'static,
) -> Result<T> {
    let dropped = SetOnDrop(Arc::default());
    let (site, stop) = (site.clone(), dropped.0.clone());
    let call = RunningCall::begin(&site.storage, &stop);
    let done = blocking(move || {
        call.wait_for_dropped_ones()?;
        let mut ending = |event: &SyncEvent| match observer.on_event(event) {
            ControlFlow::Continue(()) if !stop.load(Ordering::Relaxed) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        work(&site, &mut ending)
    });
    done.await
}

/// Says that a future was dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        // Under the lock: a call that has just seen that it is not set must not begin to wait after the notice.
        let _running = running();
        self.0.store(true, Ordering::Relaxed);
        CHANGED.notify_all();
    }
}

/// The calls that run, or are about to. A [`Site`] has no state that its clones share, so they are kept here.
static RUNNING: Mutex<Vec<Call>> = Mutex::new(Vec::new());

/// A call ended, or its future was dropped.
static CHANGED: Condvar = Condvar::new();

fn running() -> MutexGuard<'static, Vec<Call>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Call {
    /// The address of its storage, which the call keeps.
    storage: usize,
    is_dropped: Arc<AtomicBool>,
}

impl Call {
    fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed)
    }
}

/// A call in the list of those that run, until this is dropped.
struct RunningCall(Call);

impl RunningCall {
    fn begin(storage: &Arc<dyn Storage>, is_dropped: &Arc<AtomicBool>) -> Self {
        let call = Call { storage: Arc::as_ptr(storage).cast::<()>() as usize, is_dropped: is_dropped.clone() };
        running().push(call.clone());
        Self(call)
    }

    /// Waits until no call on the same storage runs whose future was dropped.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: the future of this call was dropped too.
    fn wait_for_dropped_ones(&self) -> Result<()> {
        let is_ending = |other: &Call| other.storage == self.0.storage && other.is_dropped();
        let mut all = running();
        loop {
            if self.0.is_dropped() {
                return Err(Error::Cancelled);
            }
            if !all.iter().any(is_ending) {
                return Ok(());
            }
            all = CHANGED.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        running().retain(|other| !Arc::ptr_eq(&other.is_dropped, &self.0.is_dropped));
        CHANGED.notify_all();
    }
}
