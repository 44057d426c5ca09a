//! The driver: the timing and control of cycles. Time passes only while a caller waits.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sync_core::clock::{Clock, Timestamp};
use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
use sync_core::files::Attach;
use sync_core::protocol::PasswordHash;
use sync_core::site::{FilesOptions, Step};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Replica, SyncConfig, SyncEvent, SyncObserver, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, get};

type Plan = Box<dyn FnOnce() + Send>;

/// A clock that jumps to the end of each wait, and does on the way what was planned.
#[derive(Default)]
struct PlannedClock {
    millis: AtomicU64,
    plans: Mutex<Vec<(u64, Plan)>>,
}

impl PlannedClock {
    fn at(&self, seconds: u64, plan: impl FnOnce() + Send + 'static) {
        self.plans.lock().unwrap().push((seconds * 1000, Box::new(plan)));
    }

    fn next_plan(&self, until: u64) -> Option<(u64, Plan)> {
        let mut plans = self.plans.lock().unwrap();
        let first = (0..plans.len()).filter(|i| plans[*i].0 <= until).min_by_key(|i| plans[*i].0)?;
        Some(plans.remove(first))
    }
}

impl Clock for PlannedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_763_892_379_000 + self.millis.load(Ordering::SeqCst) as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        let until = self.millis.load(Ordering::SeqCst) + duration.as_millis() as u64;
        while let Some((at, plan)) = self.next_plan(until) {
            self.millis.fetch_max(at, Ordering::SeqCst);
            plan();
        }
        self.millis.fetch_max(until, Ordering::SeqCst);
        assert!(until < 100 * 24 * 3600 * 1000, "nothing stops this driver");
    }
}

type AtRequest = Box<dyn FnMut() + Send>;

/// The way to central, with a fault and with somebody who acts while a request runs.
struct Line {
    inner: Arc<dyn Transport>,
    is_down: AtomicBool,
    at_request: Mutex<Option<AtRequest>>,
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if let Some(act) = self.at_request.lock().unwrap().as_mut() {
            act();
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err(TransportError::Unreachable("no route".into()));
        }
        self.inner.send(request)
    }
}

/// What a cycle of the driver did, and when.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    number: u64,
    began: u64,
    code: Option<&'static str>,
    next_in: u64,
    failures: u32,
    needs_person: bool,
}

/// Notes the cycles; stops the driver after so many.
struct Notes<'c> {
    clock: &'c PlannedClock,
    handle: DriverHandle,
    seen: Vec<Seen>,
    stop_after: usize,
}

impl SyncObserver for Notes<'_> {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Notes<'_> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        assert!(!self.handle.is_running());
        let began = self.clock.monotonic() - end.took;
        self.seen.push(Seen {
            number: end.number,
            began: began.as_secs(),
            code: end.error().map(|error| error.code()),
            next_in: end.next_in.map_or(0, |wait| wait.as_secs()),
            failures: end.failures,
            needs_person: end.needs_person,
        });
        if self.seen.len() == self.stop_after {
            assert!(end.next_in.is_some());
            self.handle.stop();
        }
    }
}

struct World {
    central: Arc<CentralEnd>,
    line: Arc<Line>,
    clock: Arc<PlannedClock>,
    end: SiteEnd,
    driver: Driver,
    handle: DriverHandle,
}

/// A site whose first cycle is done, with a driver whose waits are never shortened by chance.
fn world() -> World {
    let central = Arc::new(CentralEnd::over(Kind::Memory));
    let line = Arc::new(Line { inner: central.step_by_step(), is_down: false.into(), at_request: Mutex::default() });
    central.add_site("a");
    let mut end = central.set_up_in("a", "a", line.clone());
    end.sync();
    let clock = Arc::new(PlannedClock::default());
    let mut quick = SyncConfig::default();
    quick.attempts = 1;
    quick.integration_poll = Duration::ZERO;
    end.site =
        Replica::builder().clock(clock.clone()).with_storage(end.storage.clone()).site(line.clone()).with_config(quick);
    let driver = Driver::new(end.site.clone(), DriverConfig::default()).with_chance(|| 1.0);
    let handle = driver.handle();
    World { central, line, clock, end, driver, handle }
}

impl World {
    /// Runs the driver until it has ended so many cycles.
    fn cycles(&mut self, count: usize) -> Vec<Seen> {
        let clock = self.clock.clone();
        let mut notes = Notes { clock: &clock, handle: self.handle.clone(), seen: Vec::new(), stop_after: count };
        self.driver.run(&mut notes);
        notes.seen
    }

    /// The same; gives when each began.
    fn began(&mut self, count: usize) -> Vec<u64> {
        self.cycles(count).iter().map(|seen| seen.began).collect()
    }

    /// Does something at the n-th request from now on, counted from 1.
    fn at_request(&self, n: u32, act: impl Fn(&DriverHandle) + Send + 'static) {
        let (handle, mut count) = (self.handle.clone(), 0);
        *self.line.at_request.lock().unwrap() = Some(Box::new(move || {
            count += 1;
            if count == n {
                act(&handle);
            }
        }));
    }

    fn at(&self, seconds: u64, act: impl Fn(&DriverHandle) + Send + 'static) {
        let handle = self.handle.clone();
        self.clock.at(seconds, move || act(&handle));
    }
}

#[test]
fn a_cycle_runs_at_once_and_then_at_each_interval() {
    let mut world = world();
    world.end.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    let seen = world.cycles(3);
    assert_eq!(seen.iter().map(|seen| seen.began).collect::<Vec<_>>(), [0, 300, 600]);
    assert_eq!(seen.iter().map(|seen| seen.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(seen.iter().all(|seen| seen.code.is_none() && seen.next_in == 300), "{seen:?}");
    assert!(get(&world.central.records, "asset", "x").is_some(), "they are real cycles");
}

#[test]
fn waits_of_nothing_are_a_second_so_that_cycles_do_not_follow_each_other_without_a_pause() {
    let mut world = world();
    let none = Duration::ZERO;
    let config = DriverConfig::default().interval(none).first_wait(none).longest_wait(none).person_wait(none);
    world.driver = Driver::new(world.end.site.clone(), config);
    world.handle = world.driver.handle();
    assert_eq!(world.began(3), [0, 1, 2]);
    world.line.is_down.store(true, Ordering::SeqCst);
    world.driver = Driver::new(world.end.site.clone(), DriverConfig::default().first_wait(none));
    world.handle = world.driver.handle();
    let failed = world.cycles(2);
    assert!(failed.iter().all(|seen| seen.next_in == 1 && seen.code.is_some()), "{failed:?}");
}

#[test]
fn many_triggers_while_one_waits_make_one_cycle() {
    let mut world = world();
    let (tell, told) = mpsc::channel();
    world.at(100, move |handle| {
        for _ in 0..50 {
            tell.send(handle.trigger()).unwrap();
        }
    });
    assert_eq!(world.began(4), [0, 100, 400, 700], "the interval begins again after it");
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [2; 50], "each learns which cycle is its own");
}

#[test]
fn triggers_during_a_cycle_make_one_more_right_after_it() {
    let mut world = world();
    let (tell, told) = mpsc::channel();
    world.at_request(2, move |handle| {
        assert!(handle.is_running());
        for _ in 0..50 {
            tell.send(handle.trigger()).unwrap();
        }
    });
    assert_eq!(world.began(3), [0, 0, 300]);
    assert!(told.try_iter().all(|number| number == 2));
}

#[test]
fn while_suspended_nothing_runs_and_nothing_is_forgotten() {
    let mut world = world();
    world.at(10, DriverHandle::suspend);
    world.at(50, |handle| assert!(handle.trigger() == 2 && handle.is_suspended()));
    world.at(7200, DriverHandle::resume);
    // Resumed before anything is due: its own time stays.
    world.at(7210, DriverHandle::suspend);
    world.at(7220, DriverHandle::resume);
    // Resumed after that: at once.
    world.at(7600, DriverHandle::suspend);
    world.at(9000, DriverHandle::resume);
    assert_eq!(world.began(4), [0, 7200, 7500, 9000]);
}

#[test]
fn a_cycle_that_runs_when_it_is_suspended_goes_to_its_end() {
    let mut world = world();
    world.at_request(1, DriverHandle::suspend);
    world.at(5000, DriverHandle::resume);
    let seen = world.cycles(2);
    assert_eq!((seen[0].code, seen[1].began), (None, 5000));
}

#[test]
fn cancelled_a_cycle_ends_in_good_order_and_the_next_one_comes_in_its_time() {
    let mut world = world();
    world.end.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    world.at_request(2, |handle| assert!(handle.cancel()));
    // Where nothing runs there is nothing to cancel, and the next cycle is not touched.
    world.at(100, |handle| assert!(!handle.cancel()));
    let seen = world.cycles(2);
    assert_eq!((seen[0].code, seen[0].failures, seen[0].next_in), (Some("cancelled"), 0, 300));
    assert_eq!((seen[1].code, seen[1].began), (None, 300));
    assert!(get(&world.central.records, "asset", "x").is_some());
}

#[test]
fn a_trigger_in_a_cycle_that_is_cancelled_is_kept() {
    let mut world = world();
    world.at_request(1, |handle| {
        handle.trigger();
        handle.cancel();
    });
    let seen = world.cycles(2);
    assert_eq!((seen[0].code, seen[1].began, seen[1].code), (Some("cancelled"), 0, None));
}

#[test]
fn failures_in_a_row_are_tried_again_later_and_later_until_it_works() {
    let mut world = world();
    world.line.is_down.store(true, Ordering::SeqCst);
    let line = world.line.clone();
    world.clock.at(7000, move || line.is_down.store(false, Ordering::SeqCst));
    let seen = world.cycles(12);
    let waits: Vec<u64> = seen.iter().map(|seen| seen.next_in).collect();
    assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 300, 300, 300]);
    assert_eq!(seen[0].code, Some("unreachable"));
    assert_eq!(seen.iter().map(|seen| seen.failures).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0]);
    assert!(seen.iter().all(|seen| !seen.needs_person));
    world = self::world();
    world.driver = Driver::new(world.end.site.clone(), DriverConfig::default()).with_chance(|| 0.0);
    world.handle = world.driver.handle();
    world.line.is_down.store(true, Ordering::SeqCst);
    let waits: Vec<u64> = world.cycles(3).iter().map(|seen| seen.next_in).collect();
    assert_eq!(waits, [15, 30, 60], "chance shortens a wait by up to half");
}

#[test]
fn a_wrong_password_waits_for_a_person_who_need_not_wait() {
    let mut world = world();
    let renamed = |password: &str| {
        let (central, password) = (world.central.clone(), PasswordHash::of_password(password));
        move || drop(central.sites.add("a", &password).expect("another password"))
    };
    renamed("another")();
    world.clock.at(4000, renamed(sync_tests::world::PASSWORD));
    let handle = world.handle.clone();
    world.clock.at(4001, move || assert_eq!(handle.trigger(), 3));
    let seen = world.cycles(4);
    assert_eq!(seen.iter().map(|seen| seen.began).collect::<Vec<_>>(), [0, 3600, 4001, 4301]);
    for (seen, failures) in seen[..2].iter().zip([1, 2]) {
        let expected = Seen { failures, needs_person: true, next_in: 3600, code: Some("incorrect_password"), ..*seen };
        assert_eq!(*seen, expected);
    }
    assert_eq!((seen[2].code, seen[2].needs_person, seen[2].failures), (None, false, 0));
}

#[test]
fn another_program_at_work_is_no_failure() {
    let mut world = world();
    let lock = world.end.storage.lock_cycle().unwrap();
    world.clock.at(45, move || drop(lock));
    let seen = world.cycles(3);
    let codes: Vec<_> = seen.iter().map(|seen| (seen.began, seen.code, seen.failures)).collect();
    assert_eq!(codes, [(0, Some("cycle_running"), 0), (30, Some("cycle_running"), 0), (60, None, 0)]);
}

#[test]
fn stopped_it_ends_the_cycle_that_runs_and_begins_no_other() {
    let mut world = world();
    world.at_request(2, |handle| {
        handle.trigger();
        handle.stop();
    });
    let seen = world.cycles(99);
    assert_eq!(seen.iter().map(|seen| (seen.code, seen.next_in)).collect::<Vec<_>>(), [(Some("cancelled"), 0)]);
    let log = world.end.storage.read().unwrap().log(1).unwrap();
    assert_eq!(log[0].outcome, "cancelled", "it is in the log as any other");
}

#[test]
fn stopped_while_it_waits_or_is_suspended_or_before_it_runs() {
    let mut waiting = world();
    waiting.at(100, DriverHandle::stop);
    assert_eq!(waiting.began(99), [0]);
    let mut suspended = world();
    suspended.at(100, DriverHandle::suspend);
    suspended.at(5000, DriverHandle::stop);
    assert_eq!(suspended.began(99), [0]);
    let mut before = world();
    before.handle.stop();
    assert_eq!(before.began(99), [0; 0]);
}

/// Tells another thread of each cycle.
struct Tell(mpsc::Sender<u64>);

impl SyncObserver for Tell {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Tell {
    fn on_cycle(&mut self, end: &CycleEnd) {
        assert!(end.error().is_none(), "{end:?}");
        self.0.send(end.number).unwrap();
    }
}

#[test]
fn over_a_real_clock_other_threads_wake_it() {
    let world = world();
    let site = Replica::with_storage(world.end.storage.clone()).site(world.line.clone());
    let mut config = DriverConfig::default();
    // Longer than any test waits: only what is asked can wake it.
    config.interval = Duration::from_secs(100 * 24 * 3600);
    let mut driver = Driver::new(site, config);
    let handle = driver.handle();
    let (tell, told) = mpsc::channel();
    let running = std::thread::spawn(move || driver.run(&mut Tell(tell)));
    assert_eq!(told.recv(), Ok(1));
    assert_eq!(handle.trigger(), 2);
    assert_eq!(told.recv(), Ok(2));
    handle.suspend();
    let kept = handle.trigger();
    handle.resume();
    assert_eq!(told.recv(), Ok(kept));
    handle.stop();
    running.join().unwrap();
    assert_eq!(told.recv(), Err(mpsc::RecvError), "no further cycle");
}

/// Notes what came of the files; the line is metered during the first cycle.
struct FilesSeen {
    handle: DriverHandle,
    uploaded: Vec<Option<u64>>,
}

impl SyncObserver for FilesSeen {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for FilesSeen {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let moved = end.files.as_ref().map(|moved| moved.as_ref().expect("they begin"));
        self.uploaded.push(moved.map(|report| report.uploaded));
        self.handle.set_metered(false);
        if self.uploaded.len() == 2 {
            self.handle.stop();
        }
    }
}

#[test]
fn files_move_after_a_cycle_and_not_over_a_metered_line() {
    let world = world();
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::builder().clock(world.clock.clone()).with_storage(world.end.storage.clone());
    let files = replica.files(folder.path().join("files"));
    world.end.records.put("asset", [asset("x", "STORE_a", "")]).expect("stored");
    let attach = Attach::new("asset", "x", "photo.jpg");
    files.attach_bytes(&attach, &mut &b"a photo"[..]).expect("attached");
    let site = replica.site(world.central.transport());
    let mut driver = Driver::new(site, DriverConfig::default()).with_files(files, FilesOptions::default());
    let handle = driver.handle();
    handle.set_metered(true);
    let mut seen = FilesSeen { handle: handle.clone(), uploaded: Vec::new() };
    driver.run(&mut seen);
    assert_eq!(seen.uploaded, [None, Some(1)]);
    assert!(!handle.is_metered());
}

/// Stops the driver after some cycles; notes when each ended, and what came of the files.
struct Followed<'c> {
    clock: &'c PlannedClock,
    handle: DriverHandle,
    seen: Vec<(u64, u64, u64)>,
    stop_after: usize,
}

impl SyncObserver for Followed<'_> {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Followed<'_> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        assert!(end.error().is_none(), "{end:?}");
        let uploaded = end.files.as_ref().map_or(0, |moved| moved.as_ref().expect("they begin").uploaded);
        let next_in = end.next_in.expect("it goes on").as_secs();
        self.seen.push((self.clock.monotonic().as_secs(), uploaded, next_in));
        if self.seen.len() == self.stop_after {
            self.handle.stop();
        }
    }
}

/// Whatever a cycle is doing: an edit that is too late for its push does not wait for the interval, and a photo does not either.
#[test]
fn an_edit_and_a_photo_that_come_during_a_cycle_are_sent_soon_after_it() {
    let mut late = 0;
    for request in 1..=4 {
        let mut world = world();
        world.end.records.put("asset", [asset("x", "STORE_a", "")]).expect("stored");
        let folder = tempfile::tempdir().expect("a folder");
        let replica = Replica::builder().clock(world.clock.clone()).with_storage(world.end.storage.clone());
        let files = replica.files(folder.path().join("files"));
        let (records, attached) = (replica.records(), files.clone());
        world.at_request(request, move |_| {
            records.put("asset", [asset("y", "STORE_a", "")]).expect("stored");
            let attach = Attach::new("asset", "y", "photo.jpg");
            attached.attach_bytes(&attach, &mut &b"a photo"[..]).expect("attached");
        });
        world.driver = Driver::new(world.end.site.clone(), DriverConfig::default()).with_chance(|| 1.0);
        world.driver = world.driver.with_files(files, FilesOptions::default());
        world.handle = world.driver.handle();
        let mut seen = Followed { clock: &world.clock, handle: world.handle.clone(), seen: Vec::new(), stop_after: 2 };
        world.driver.run(&mut seen);
        match seen.seen[..] {
            // It was in time.
            [(0, 1, 300), (300, 0, 300)] => {}
            // The reference goes with the next cycle, and the photo after it.
            [(0, 0, 1), (1, 1, 300)] => late += 1,
            ref other => panic!("at request {request}: {other:?}"),
        }
        assert!(get(&world.central.records, "asset", "y").is_some());
    }
    assert!(late > 0, "no edit came after the push");
}

/// As a host does that writes its own log while it synchronises.
#[test]
fn a_host_that_writes_in_each_cycle_makes_no_cycles_without_end() {
    let mut world = world();
    let (records, mut count) = (world.end.records.clone(), 0);
    *world.line.at_request.lock().unwrap() = Some(Box::new(move || {
        count += 1;
        records.put("asset", [asset("x", "STORE_a", &format!("{count}"))]).expect("stored");
    }));
    assert_eq!(world.began(12), [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111]);
}

#[test]
fn a_driver_that_was_joined_has_ended_and_calls_nobody_any_more() {
    let central = CentralEnd::over(Kind::Memory);
    let site = central.new_site("north");
    let mut driver = Driver::new(site.site.clone(), DriverConfig::default());
    let handle = driver.handle();
    let (ends, ended) = mpsc::channel();
    struct Ends(mpsc::Sender<u64>);
    impl SyncObserver for Ends {
        fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }
    impl DriverObserver for Ends {
        fn on_cycle(&mut self, end: &CycleEnd) {
            let _ = self.0.send(end.number);
        }
    }
    let thread = std::thread::spawn(move || driver.run(&mut Ends(ends)));
    assert_eq!(ended.recv(), Ok(1));
    handle.join();
    assert!(handle.is_stopped() && !handle.is_running());
    thread.join().expect("it ended");
    assert!(ended.try_recv().is_err(), "no cycle came after it");
    handle.join();
}

/// A phone gives an app fifteen seconds in the background, and each request takes two. Each window brings records and ends in time, and
/// the next one goes on; a screen gets the pace.
#[test]
fn each_short_window_brings_something_until_all_is_there() {
    let world = world();
    let classes = (0..60).map(|n| data(&format!(r#"{{"id":"class {n}","name":"n"}}"#)));
    world.central.records.put("asset_class", classes).expect("stored");
    let clock = world.clock.clone();
    *world.line.at_request.lock().unwrap() = Some(Box::new(move || clock.sleep(Duration::from_secs(2))));
    let config = SyncConfig::default().attempts(1).pull_records(5).pull_records_max(5);
    let site = world.end.site.clone().with_config(config);
    let window = Duration::from_secs(15);
    let (mut pulled, mut outcomes, mut paces) = (Vec::new(), Vec::new(), Vec::new());
    while outcomes.last() != Some(&SyncOutcome::Done) {
        let began = world.clock.monotonic();
        let mut screen = |event: &SyncEvent| {
            if let SyncEvent::Progress { step: Step::PullV6, done, total, pace } = event {
                paces.push((*done, *total, *pace));
            }
            ControlFlow::Continue(())
        };
        let report = site.sync(&SyncOptions::default().max_time(window), &mut screen).expect("a cycle");
        let took = world.clock.monotonic() - began;
        assert!(report.error.is_none() && took <= window + Duration::from_secs(2), "{took:?} {report:?}");
        pulled.push(report.pulled);
        outcomes.push(report.outcome);
        assert!(outcomes.len() < 20, "it gets nowhere: {pulled:?}");
    }
    let (last, others) = outcomes.split_last().expect("cycles");
    assert!(*last == SyncOutcome::Done && others.len() >= 2, "{outcomes:?}");
    assert!(others.iter().all(|outcome| *outcome == SyncOutcome::Partial), "{outcomes:?}");
    assert!(pulled[..others.len()].iter().all(|pulled| *pulled > 0), "each window is of use: {pulled:?}");
    assert_eq!(pulled.iter().sum::<u64>(), 60);
    // Five of sixty records, by two requests since the step began.
    let pace = paces.first().map(|(done, total, pace)| (*done, *total, pace.per_minute, pace.left));
    assert_eq!(pace, Some((5, 60, Some(75), Some(Duration::from_secs(44)))), "{paces:?}");
}

/// Somebody leaves the Wi-Fi while a file is on its way: it is left where it is, and goes on later.
#[test]
fn a_line_that_becomes_metered_ends_the_file_that_is_on_its_way() {
    let world = world();
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::builder().clock(world.clock.clone()).with_storage(world.end.storage.clone());
    let files = replica.files(folder.path().join("files"));
    world.end.records.put("asset", [asset("x", "STORE_a", "")]).expect("stored");
    for name in ["one.jpg", "two.jpg"] {
        files.attach_bytes(&Attach::new("asset", "x", name), &mut &b"a photo"[..]).expect("attached");
    }
    let site = replica.site(world.line.clone());
    let mut driver = Driver::new(site, DriverConfig::default()).with_files(files, FilesOptions::default());
    let handle = driver.handle();
    let mut seen = MeteredAtAFile { handle: handle.clone(), uploaded: Vec::new(), is_left: false };
    driver.run(&mut seen);
    let uploaded: Vec<_> = seen.uploaded.iter().map(|(uploaded, code)| (*uploaded, code.as_deref())).collect();
    assert_eq!(uploaded, [(0, Some("cancelled")), (2, None)]);
}

/// Makes the line metered at the first event of the first file, and free again after the cycle.
struct MeteredAtAFile {
    handle: DriverHandle,
    uploaded: Vec<(u64, Option<String>)>,
    is_left: bool,
}

impl SyncObserver for MeteredAtAFile {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        if matches!(event, SyncEvent::StepStarted { step: Step::Files }) && !std::mem::replace(&mut self.is_left, true)
        {
            self.handle.set_metered(true);
        }
        ControlFlow::Continue(())
    }
}

impl DriverObserver for MeteredAtAFile {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let moved = end.files.as_ref().expect("they began").as_ref().expect("a report");
        self.uploaded.push((moved.uploaded, moved.error.as_ref().map(|error| error.code().to_owned())));
        self.handle.set_metered(false);
        if self.uploaded.len() == 2 {
            self.handle.stop();
        }
    }
}
