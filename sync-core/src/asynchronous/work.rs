//! Blocking work of futures: on threads that tokio keeps for it, and ended once its future was dropped.

use std::ops::ControlFlow;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Result};
use crate::site::{Site, SyncEvent, SyncObserver};
use crate::storage::dropped_calls::Call;

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

/// Calls a site, with an observer that ends the call once its future was dropped. Until it has ended, other calls that meet its locks
/// [wait](crate::storage::dropped_calls).
pub(super) async fn observed<T: Send + 'static>(
    site: &Site,
    mut observer: impl SyncObserver + Send + 'static,
    work: impl FnOnce(&Site, &mut dyn SyncObserver) -> Result<T> + Send + 'static,
) -> Result<T> {
    let call = Call::default();
    let _dropped = DroppedWithFuture(call.clone());
    let site = site.clone();
    let done = blocking(move || {
        if call.is_dropped() {
            return Err(Error::Cancelled);
        }
        let mut ending = |event: &SyncEvent| match observer.on_event(event) {
            ControlFlow::Continue(()) if !call.is_dropped() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        call.work(|| work(&site, &mut ending))
    });
    done.await
}

/// Says that a future was dropped.
struct DroppedWithFuture(Call);

impl Drop for DroppedWithFuture {
    fn drop(&mut self) {
        self.0.drop_future();
    }
}
