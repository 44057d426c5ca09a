//! A running request is broken off: by the observer, by the driver's handle, by the time of a cycle, by a panic.

use std::io::Read as _;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
use sync_core::protocol::PasswordHash;
use sync_core::site::SkipReason;
use sync_core::storage::rusqlite::Connection;
use sync_core::storage::{HookedRecord, MemoryStorage, QuarantineCause, Storage as _, state};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{NoopObserver, Replica, Site, SyncEvent, SyncObserver, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, get, put_class, settings};

const SOON: Duration = Duration::from_secs(2);

/// A site whose servers take every connection and say nothing.
fn unanswered() -> (Site, Arc<MemoryStorage>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    let storage = Arc::new(MemoryStorage::new());
    let txn = storage.write().expect("a transaction");
    let hash = PasswordHash::of_password("x");
    for (name, value) in [
        (state::LEGACY_URL.name(), url.as_str()),
        (state::SITE_NAME.name(), "a"),
        (state::PASSWORD_HASH.name(), hash.expose()),
        (state::HARDWARE_ID.name(), "machine-a"),
    ] {
        txn.set_state(name, value).expect("a setting");
    }
    txn.commit().expect("a commit");
    let wait = Duration::from_secs(60);
    let timeouts = Timeouts::all(wait);
    let site = Replica::with_storage(storage.clone()).site(Arc::new(HttpTransport::new(&timeouts)));
    (site, storage)
}

#[test]
fn the_observer_is_asked_while_a_request_is_under_way() {
    let (site, _) = unanswered();
    let began = Instant::now();
    let mut waited = Vec::new();
    let mut watch = |event: &SyncEvent| {
        if let SyncEvent::RequestUnderWay { waited: now } = event {
            waited.push(*now);
        }
        if began.elapsed() > Duration::from_millis(500) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = site.sync(&SyncOptions::default(), &mut watch).expect("a cycle");
    assert_eq!(report.outcome, SyncOutcome::Cancelled, "{:?}", report.error);
    assert!(began.elapsed() < Duration::from_millis(500) + SOON, "{:?}", began.elapsed());
    assert!(waited.len() >= 2 && waited.is_sorted(), "{waited:?}");
}

#[test]
fn the_time_of_a_cycle_ends_a_request_and_is_no_error() {
    let (site, _) = unanswered();
    let began = Instant::now();
    let options = SyncOptions::default().max_time(Duration::from_secs(1));
    let report = site.sync(&options, &mut sync_core::NoopObserver).expect("a cycle");
    assert_eq!(report.outcome, SyncOutcome::Partial, "{:?}", report.error);
    assert!(report.error.is_none() && report.steps.iter().all(|step| step.error.is_none()), "{report:?}");
    assert!(report.skipped.iter().all(|step| step.reason == SkipReason::OutOfTime), "{:?}", report.skipped);
    assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(1) + SOON);
}

/// Notes how cycles end.
#[derive(Default)]
struct Ends(Vec<SyncOutcome>);

impl SyncObserver for Ends {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Ends {
    fn on_cycle(&mut self, end: &CycleEnd) {
        self.0.push(end.result.as_ref().expect("a cycle").outcome);
    }
}

#[test]
fn the_handle_of_a_driver_ends_a_request_too() {
    for end in [DriverHandle::stop, |handle: &DriverHandle| assert!(handle.cancel())] {
        let mut driver = Driver::new(unanswered().0, DriverConfig::default());
        let handle = driver.handle();
        let steering = std::thread::spawn(move || {
            while !handle.is_running() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(300));
            let began = Instant::now();
            end(&handle);
            while handle.is_running() {
                std::thread::yield_now();
            }
            handle.stop();
            began.elapsed()
        });
        let mut ends = Ends::default();
        driver.run(&mut ends);
        assert_eq!(ends.0, [SyncOutcome::Cancelled]);
        assert!(steering.join().expect("it ends") < SOON);
    }
}

/// Panics at the first request that is under way.
struct Panics;

impl SyncObserver for Panics {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        assert!(!matches!(event, SyncEvent::RequestUnderWay { .. }), "on purpose");
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Panics {
    fn on_cycle(&mut self, _: &CycleEnd) {}
}

#[test]
fn a_panic_of_the_host_leaves_no_driver_that_runs_and_no_request() {
    let (site, storage) = unanswered();
    let mut driver = Driver::new(site, DriverConfig::default());
    let handle = driver.handle();
    let began = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| driver.run(&mut Panics)));
    assert!(ended.is_err() && began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(!handle.is_running() && !handle.cancel());
    assert!(handle.is_stopped(), "a screen sees that no cycle comes any more");
    drop(storage.lock_cycle().expect("nobody holds the database"));
    // It goes on where it is asked to.
    let stopping = handle.clone();
    std::thread::spawn(move || {
        while !stopping.is_running() {
            std::thread::yield_now();
        }
        assert!(!stopping.is_stopped());
        stopping.stop();
    });
    let mut ends = Ends::default();
    driver.run(&mut ends);
    assert_eq!(ends.0, [SyncOutcome::Cancelled]);
}

/// Stops the driver after its first cycle.
struct Once(DriverHandle);

impl SyncObserver for Once {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Once {
    fn on_cycle(&mut self, _: &CycleEnd) {
        self.0.stop();
    }
}

#[test]
fn a_panic_of_a_hook_leaves_no_driver_that_runs_and_stops_no_other_record() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let folder = tempfile::tempdir().expect("a folder");
    let hook = |_: &Connection, record: &HookedRecord<'_>| {
        assert!(*record.id != *"bad", "on purpose");
        Ok(())
    };
    let replica = Replica::builder().hook(hook).open(folder.path().join("a.sqlite")).expect("a database");
    let site = replica.site(central.transport());
    site.set_up(&settings("a"), &mut NoopObserver).expect("set up");
    let new_driver = || {
        let driver = Driver::new(site.clone(), DriverConfig::default());
        let handle = driver.handle();
        (driver, handle)
    };
    let (mut driver, handle) = new_driver();
    driver.run(&mut Once(handle));
    for id in ["before", "bad", "later"] {
        put_class(central.storage.as_ref(), id);
    }
    let (mut driver, handle) = new_driver();
    let ended = catch_unwind(AssertUnwindSafe(|| driver.run(&mut Once(handle.clone()))));
    assert!(ended.is_err() && !handle.is_running() && !handle.cancel());
    drop(replica.storage().lock_cycle().expect("nobody holds the database"));
    driver.run(&mut Once(handle.clone()));
    for (id, is_here) in [("before", true), ("bad", false), ("later", true)] {
        assert_eq!(get(&replica.records(), "asset_class", id).is_some(), is_here, "{id}");
    }
    let aside = replica.storage().read().expect("a transaction").quarantine_counts().expect("counts");
    assert_eq!(aside, [(QuarantineCause::Failed, 1)]);
}
