//! Runs cycles at an interval, on the calling thread, controlled from others.

mod backoff;
mod config;
mod handle;

use std::ops::ControlFlow;
use std::time::Duration;

pub use config::DriverConfig;
pub use handle::DriverHandle;

use self::backoff::{Backoff, needs_person};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::record::Cursor;
use crate::site::{FilesOptions, FilesReport, NoopObserver, Site, SyncEvent, SyncObserver, SyncReport};

/// The end of a driver's cycle, and the time of the next one.
#[derive(Debug)]
#[non_exhaustive]
pub struct CycleEnd {
    /// The number of the cycle in this driver, from 1.
    pub number: u64,
    /// Its beginning.
    pub started_at: Timestamp,
    /// Its duration.
    pub took: Duration,
    /// Its report; an error as from [`Site::sync`]: it could not begin, or could not be written into the sync log.
    pub result: Result<SyncReport>,
    /// The report of the files that were moved after the cycle, or why that could not begin; `None` if they were not, because
    /// the driver [moves none](Driver::with_files), the cycle did not come to its end, or the line is
    /// [metered](DriverHandle::set_metered).
    pub files: Option<Result<FilesReport>>,
    /// Failures in a row, including this cycle.
    pub failures: u32,
    /// The wait before the next cycle, unless one is requested earlier; `None` if the driver was stopped.
    pub next_in: Option<Duration>,
    /// True if only a person can fix the error; see [`Error::advice`].
    pub needs_person: bool,
}

impl CycleEnd {
    /// Its error: that of the report, or the one in its place. A cycle that was [cancelled](DriverHandle::cancel) has
    /// [`Error::Cancelled`], which is no failure.
    pub fn error(&self) -> Option<&Error> {
        match &self.result {
            Ok(report) => report.error.as_ref(),
            Err(error) => Some(error),
        }
    }
}

/// Observes a driver: the events of each cycle, and its end.
pub trait DriverObserver: SyncObserver {
    /// A cycle ended. Called between two cycles, on the driver's thread.
    fn on_cycle(&mut self, end: &CycleEnd);
}

impl DriverObserver for NoopObserver {
    fn on_cycle(&mut self, _: &CycleEnd) {}
}

/// Runs the cycles of a site: at once, then at an interval, and on request.
///
/// It starts no thread: [`run`](Self::run) works on its caller's until [`DriverHandle::stop`].
///
/// An edit is pushed by the next cycle: call [`DriverHandle::trigger`] after a write that should not wait for the interval. Edits and
/// attached files that come while a cycle runs, too late for its push, need no request: another cycle follows a second later. If each of
/// these brings such edits again, the waits between them double, up to the interval.
///
/// ```
/// use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverObserver};
/// use sync_core::{Site, SyncEvent, SyncObserver};
/// use std::ops::ControlFlow;
///
/// struct Log;
/// impl SyncObserver for Log {
///     fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
///         ControlFlow::Continue(())
///     }
/// }
/// impl DriverObserver for Log {
///     fn on_cycle(&mut self, end: &CycleEnd) {
///         println!("cycle {}: {:?}; next in {:?}", end.number, end.error().map(|e| e.code()), end.next_in);
///     }
/// }
///
/// fn in_the_background(site: Site) -> sync_core::driver::DriverHandle {
///     let mut driver = Driver::new(site, DriverConfig::default());
///     let handle = driver.handle();
///     std::thread::spawn(move || driver.run(&mut Log));
///     handle // .trigger(), .suspend(), .resume(), .cancel(), .join()
/// }
/// ```
pub struct Driver {
    site: Site,
    config: DriverConfig,
    chance: Box<dyn FnMut() -> f64 + Send>,
    handle: DriverHandle,
    files: Option<(Files, FilesOptions)>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("config", &self.config).field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Driver {
    /// Creates a driver of this site.
    pub fn new(site: Site, config: DriverConfig) -> Self {
        Self { site, config, chance: Box::new(chance), handle: DriverHandle::default(), files: None }
    }

    /// Moves these files too, after each cycle that came to its end, except while the line is
    /// [metered](DriverHandle::set_metered). A failure to move them changes nothing about the next cycle: each file has waits of
    /// its own.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use sync_core::driver::{Driver, DriverConfig};
    /// use sync_core::files::Files;
    /// use sync_core::site::FilesOptions;
    /// use sync_core::{Replica, Site};
    ///
    /// fn driver_of(replica: &Replica, site: Site) -> Driver {
    ///     let photos = replica.files(Files::folder_of(Path::new("clinic.sqlite")));
    ///     Driver::new(site, DriverConfig::default()).with_files(photos, FilesOptions::default())
    /// }
    /// ```
    #[must_use]
    pub fn with_files(self, files: Files, options: FilesOptions) -> Self {
        Self { files: Some((files, options)), ..self }
    }

    /// Sets the source of randomness, which returns numbers from 0 up to 1.
    #[must_use]
    pub fn with_chance(self, chance: impl FnMut() -> f64 + Send + 'static) -> Self {
        Self { chance: Box::new(chance), ..self }
    }

    /// The handle of this driver.
    pub fn handle(&self) -> DriverHandle {
        self.handle.clone()
    }

    /// Runs cycles until it is [stopped](DriverHandle::stop). Failures are reported and retried; only a panic of the
    /// observer or of a host's hook ends it: uncommitted work of the cycle is then rolled back, no cycle runs any more
    /// ([`DriverHandle::is_stopped`]), and `run` may be called again.
    pub fn run(&mut self, observer: &mut dyn DriverObserver) {
        let handle = self.handle.clone();
        let _run = RunGuard::new(&handle);
        let clock = self.site.clock();
        let mut waits = Backoff::default();
        let mut due = clock.monotonic();
        while let Some(number) = self.handle.begin_when_due(clock.as_ref(), due) {
            let started_at = clock.now();
            let began = clock.monotonic();
            let first_edit = self.site.position().ok();
            let (result, files) = {
                let _running = CycleGuard(&self.handle);
                let mut watched = ObservedDriver { observer: &mut *observer, handle: &self.handle, of_files: false };
                let result = self.site.sync(&self.config.options, &mut watched);
                let files = self.move_files(&result, observer);
                (result, files)
            };
            let moved = result.as_ref().is_ok_and(|report| report.pushed + report.pulled > 0);
            let error = result.as_ref().map_or_else(Some, |report| report.error.as_ref());
            let needs_person = error.is_some_and(needs_person);
            let wait = waits.after(error, moved, &self.config, &mut self.chance);
            let wait = waits.shortened(wait, self.has_missed_edits(&result, first_edit));
            let ended = clock.monotonic();
            due = ended.saturating_add(wait);
            let next_in = (!self.handle.is_stopped()).then_some(wait);
            let took = ended.saturating_sub(began);
            let failures = waits.failures;
            observer.on_cycle(&CycleEnd { number, started_at, took, result, files, failures, next_in, needs_person });
        }
    }

    /// True if edits that were made during a cycle came too late for its push. A file that was attached is one: its reference.
    fn has_missed_edits(&self, cycle: &Result<SyncReport>, first_edit: Option<Cursor>) -> bool {
        let Some(first_edit) = first_edit.filter(|_| came_to_its_end(cycle) && !self.config.options.pull_only) else {
            return false;
        };
        // If the database cannot be read, the next cycle reports it.
        self.site.has_unpushed_since(first_edit).unwrap_or(false)
    }

    fn move_files(&self, cycle: &Result<SyncReport>, observer: &mut dyn DriverObserver) -> Option<Result<FilesReport>> {
        let (files, options) = self.files.as_ref().filter(|_| came_to_its_end(cycle))?;
        if self.handle.wants_end() || self.handle.is_metered() {
            return None;
        }
        let mut watched = ObservedDriver { observer, handle: &self.handle, of_files: true };
        Some(self.site.sync_files(files, options, &mut watched))
    }
}

fn came_to_its_end(cycle: &Result<SyncReport>) -> bool {
    matches!(cycle, Ok(report) if report.error.is_none() && !report.is_partial())
}

/// A running cycle. It has ended when this is dropped, also after a panic of an observer or a host's hook.
struct CycleGuard<'a>(&'a DriverHandle);

impl Drop for CycleGuard<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// A call of `run`. It has ended when this is dropped, also after a panic.
struct RunGuard<'a>(&'a DriverHandle);

impl<'a> RunGuard<'a> {
    fn new(handle: &'a DriverHandle) -> Self {
        handle.run_began();
        Self(handle)
    }
}

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        self.0.run_ended(std::thread::panicking());
    }
}

/// Randomness from the source of ids; the waits need not be unpredictable.
fn chance() -> f64 {
    let random = uuid::Uuid::new_v4().as_u64_pair().1 as u32;
    f64::from(random) / 2_f64.powi(32)
}

/// Ends a cycle at its next event once that is requested.
struct ObservedDriver<'a> {
    observer: &'a mut dyn DriverObserver,
    handle: &'a DriverHandle,
    /// True while files are moved.
    of_files: bool,
}

impl SyncObserver for ObservedDriver<'_> {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        let told = self.observer.on_event(event);
        let ends = self.handle.wants_end() || (self.of_files && self.handle.is_metered());
        if ends { ControlFlow::Break(()) } else { told }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_from_zero_up_to_one_and_differs() {
        let drawn: Vec<f64> = (0..1000).map(|_| chance()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..1.0).contains(drawn)));
        assert!(drawn.iter().any(|drawn| *drawn < 0.1) && drawn.iter().any(|drawn| *drawn > 0.9));
    }
}
