//! Files between ends without faults: who fetches which, which are kept, and which are swept.

mod lost;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::clock::{Clock, SystemClock, Timestamp};
use sync_core::files::{Attach, Fetch, FileFault, Files, FilesConfig};
use sync_core::record::{AssetCatalogueItem, Query, RecordId};
use sync_core::site::{FilesOptions, FilesReport, Step};
use sync_core::storage::{FileDirection, FileEntry, FileState, MemoryStorage, Storage, state};
use sync_core::transport::{HttpRequest, HttpResponse, StreamedBody, StreamedResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, SyncConfig, SyncEvent, SyncOptions, SyncOutcome};
use sync_testkit::FaultyStorage;
use sync_tests::world::{CentralEnd, SeenReport, SiteEnd, asset, data, settings};

/// A clock that can be put forward.
#[derive(Default)]
struct Ahead(SystemClock, Mutex<Duration>);

impl Ahead {
    fn forward(&self, by: Duration) {
        *self.1.lock().expect("nobody panicked") += by;
    }

    fn put_right(&self) {
        *self.1.lock().expect("nobody panicked") = Duration::ZERO;
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = self.1.lock().expect("nobody panicked").as_millis();
        Timestamp::from_unix_millis(self.0.now().unix_millis() + i64::try_from(ahead).expect("a short time"))
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

/// A central with the sites `a` and `b`, and the files of `a`.
struct World {
    central: CentralEnd,
    site: SiteEnd,
    files: Files,
    clock: Arc<Ahead>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::around(CentralEnd::new())
    }

    fn around(central: CentralEnd) -> Self {
        central.add_site("b");
        let site = central.new_site("a");
        site.sync();
        site.records.put("asset", [asset("x", "STORE_a", "")]).expect("an asset");
        site.sync();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(Ahead::default());
        let files = Replica::builder()
            .clock(clock.clone())
            .with_storage(site.storage.clone())
            .files(folder.path().join("files"));
        Self { central, site, files, clock, _folder: folder }
    }

    fn turn(&self) -> SeenReport<FilesReport> {
        let report =
            self.site.site.sync_files(&self.files, &FilesOptions::default(), &mut NoopObserver).expect("it begins");
        assert!(report.error.is_none(), "{report:?}");
        report.into()
    }

    fn entry(&self, id: &RecordId) -> FileEntry {
        self.site.storage.read().and_then(|txn| txn.file(id)).expect("a database").expect("a file")
    }
}

fn attach(files: &Files, record: &str, bytes: &[u8]) -> sync_core::Result<RecordId> {
    let attach = Attach::new("asset", record, "photo.jpg");
    files.attach_bytes(&attach, &mut &*bytes)
}

/// Every site gets every reference, and fetches the files of records that it has.
#[test]
fn a_site_fetches_the_files_of_its_records() {
    let world = World::new();
    world.central.records.put("asset", [asset("y", "STORE_b", "")]).unwrap();
    let of_central = world.central.files();
    let own = attach(&of_central, "x", b"own").unwrap();
    let other = attach(&of_central, "y", b"other").unwrap();
    world.site.sync();
    assert_eq!(world.turn().downloaded, 1);
    assert_eq!((world.entry(&own).state, world.entry(&other).state), (FileState::Done, FileState::Elsewhere));
    // Asked for, it is tried; central does not give what belongs to another site's store.
    world.files.fetch(&other).unwrap();
    assert_eq!(world.turn().failed, 1);
    assert!(world.entry(&other).reason.is_some_and(|reason| reason.contains("does not have it")));
    // Once its record comes here, its turn comes too.
    let later = attach(&of_central, "y", b"later").unwrap();
    world.site.sync();
    world.turn();
    assert_eq!(world.entry(&later).state, FileState::Elsewhere);
    world.central.records.put("asset", [asset("y", "STORE_a", "")]).unwrap();
    world.site.sync();
    assert_eq!(world.turn().downloaded, 1);
    assert_eq!(world.entry(&later).state, FileState::Done);
    assert_eq!(world.files.fetch(&"unknown".into()).unwrap_err().code(), "not_found");
    let listed = world.files.of("asset", "x").unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "photo.jpg"));
}

/// A clinic works before its photos are there, and before the first sync is whole: what has come is read by queries and by views, and a
/// window that ends keeps it.
#[test]
fn records_of_a_first_sync_are_of_use_before_it_is_whole_and_before_any_photo() {
    const CATALOGUE: u64 = 40;
    let central = CentralEnd::new();
    central.add_site("a");
    central.records.put("asset", [asset("fridge", "STORE_a", "of the clinic")]).unwrap();
    attach(&central.files(), "fridge", b"a photo").unwrap();
    for n in 0..CATALOGUE {
        let item = AssetCatalogueItem {
            id: format!("item {n:02}").into(),
            model: "m".into(),
            ..AssetCatalogueItem::default()
        };
        central.records.of().put(&item).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let replica = Replica::open(folder.path().join("clinic.sqlite")).unwrap();
    let site = replica.site(central.transport()).with_config(SyncConfig::default().pull_records(5).pull_records_max(5));
    site.set_up(&settings("a"), &mut NoopObserver).unwrap();
    let files = replica.files(folder.path().join("files"));
    let by_query = || {
        let fridges = replica.records().find("asset", &Query::new().is("notes", "of the clinic")).unwrap();
        (fridges.len() as u64, replica.records().count("asset_catalogue_item", &Query::new().is("model", "m")).unwrap())
    };
    let by_view = || {
        let count =
            |sql: &str| replica.read_sql(|connection| connection.query_row(sql, (), |row| row.get::<_, i64>(0)));
        let fridges = count("SELECT count(*) FROM asset WHERE notes = 'of the clinic'").unwrap();
        (fridges.unsigned_abs(), count("SELECT count(*) FROM asset_catalogue_item").unwrap().unsigned_abs())
    };
    // Another thread of the app reads while the cycle runs.
    let mut seen = Vec::new();
    let mut watch = replica.watch().unwrap();
    let mut ends_in_between = |event: &SyncEvent| {
        if matches!(event, SyncEvent::Progress { step: Step::PullV6, .. }) {
            seen.push((by_query(), by_view(), watch.changes().unwrap().map_or(0, |batch| batch.records.len())));
        }
        if seen.len() < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let report = site.sync(&SyncOptions::default(), &mut ends_in_between).unwrap();
    assert_eq!(report.outcome, SyncOutcome::Cancelled);
    assert!(!replica.status().unwrap().initialised, "it is not whole");
    for (by_query, by_view, told) in &seen[1..] {
        assert_eq!((by_query.0, by_query), (1, by_view), "{seen:?}");
        assert!(*told > 0 && (1..CATALOGUE).contains(&by_query.1), "each batch is there as it arrives: {seen:?}");
    }
    let left = by_query();
    assert!(left.1 < CATALOGUE && left >= seen[3].0, "what came stays: {left:?} {seen:?}");
    assert!(files.of("asset", "fridge").unwrap().iter().all(|photo| photo.entry.state != FileState::Done));
    // The next one goes on, and the photo comes last, when the app asks for it.
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert!(report.outcome == SyncOutcome::Done && report.pulled < CATALOGUE, "{report:?}");
    assert_eq!((by_query(), by_view()), ((1, CATALOGUE), (1, CATALOGUE)));
    assert!(replica.status().unwrap().initialised);
    assert_eq!(files.of("asset", "fridge").unwrap()[0].entry.state, FileState::Waiting);
    let moved = site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!((moved.downloaded, files.of("asset", "fridge").unwrap()[0].entry.state), (1, FileState::Done));
}

/// A file that was attached before the site could hear of a move belongs to its record, wherever that is now: only the site
/// that has the bytes can bring them.
#[test]
fn a_file_of_a_record_that_moved_meanwhile_arrives() {
    let move_asset = |world: &World| world.central.records.put("asset", [asset("x", "STORE_b", "")]).map(drop);
    let move_store = |world: &World| {
        world.central.sites.add_store("a", "a", "b", Some("STORE_a".into())).map(drop)?;
        world.central.central.integrate_waiting().map(drop)
    };
    for (to_another_store, reference_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let world = World::new();
        let id = attach(&world.files, "x", b"bytes").unwrap();
        if reference_first {
            world.site.sync();
        }
        if to_another_store { move_asset(&world) } else { move_store(&world) }.unwrap();
        world.site.sync();
        world.turn();
        let case = (to_another_store, reference_first);
        assert!(world.central.files().path(&id).unwrap().is_some(), "{case:?}: {:?}", world.entry(&id));
        assert_eq!(world.central.storage.read().unwrap().quarantine_counts().unwrap(), [], "{case:?}");
    }
}

#[test]
fn a_host_says_what_is_fetched() {
    let mut world = World::new();
    world.central.records.put("asset", [asset("y", "STORE_b", "")]).unwrap();
    let of_central = world.central.files();
    let ids = [attach(&of_central, "x", b"own").unwrap(), attach(&of_central, "y", b"other").unwrap()];
    for (fetch, wanted) in [(Fetch::Nothing, [false, false]), (Fetch::Everything, [true, true])] {
        let site = world.central.set_up_in(&format!("{fetch:?}"), "a", world.central.transport());
        site.sync();
        let mut config = FilesConfig::default();
        config.fetch = fetch;
        let folder = world._folder.path().join(format!("{fetch:?}"));
        world.files = Replica::builder()
            .clock(world.clock.clone())
            .with_storage(site.storage.clone())
            .files(folder)
            .with_config(config);
        world.files.list(None, 9).unwrap();
        world.site = site;
        assert_eq!(ids.each_ref().map(|id| world.entry(id).next_at.is_some()), wanted, "{fetch:?}");
    }
}

/// A failure at any operation of an attachment: either reference and bytes are there, or neither.
#[test]
fn an_attachment_is_whole_or_not_at_all() {
    let world = World::new();
    let storage = Arc::new(FaultyStorage::new(world.site.storage.clone()));
    let files =
        Replica::builder().clock(world.clock.clone()).with_storage(storage.clone()).files(world.files.store().folder());
    let count = || {
        let (entries, references) = world
            .site
            .storage
            .read()
            .and_then(|txn| Ok((txn.files(None, 99)?, txn.records(&"sync_file_reference".into(), None, 99)?)))
            .unwrap();
        let surplus = world.files.verify(|| Ok(())).unwrap().findings.len();
        (entries.len(), references.len(), surplus)
    };
    let mut n = 0;
    loop {
        n += 1;
        storage.crash_at(n);
        let attached = attach(&files, "x", b"bytes");
        storage.heal();
        match attached {
            Ok(_) => break,
            Err(_) => assert_eq!(count(), (0, 0, 0), "{n}"),
        }
    }
    assert!(n > 5, "{n}");
    assert_eq!(count(), (1, 1, 0));
    assert_eq!(attach(&files, "unknown", b"bytes").unwrap_err().code(), "not_found");
    let unset: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let nobody = Replica::builder().clock(world.clock.clone()).with_storage(unset).files(world.files.store().folder());
    assert_eq!(attach(&nobody, "x", b"bytes").unwrap_err().code(), "not_set_up");
}

/// Bytes that a crash left, and parts that nobody goes on with, go after a day; what is needed and what is young stays.
#[test]
fn what_nobody_needs_is_swept_after_a_day() {
    let world = World::new();
    let kept = attach(&world.files, "x", b"kept").unwrap();
    let store = world.files.store();
    let orphan = store.path(&"orphan".into());
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, b"orphan").unwrap();
    let left = store.folder().join("unfinished").join("left.new");
    std::fs::write(&left, b"left").unwrap();
    world.site.sync();
    assert_eq!(world.turn().uploaded, 1);
    let surplus = FileFault::Surplus { path: orphan.clone() };
    assert_eq!(world.files.verify(|| Ok(())).unwrap().findings, [surplus]);
    assert!(orphan.exists() && left.exists(), "whoever writes them may still be at it");
    world.clock.forward(Duration::from_secs(2 * 24 * 60 * 60));
    world.turn();
    assert!(!orphan.exists() && !left.exists() && world.files.path(&kept).unwrap().is_some());

    // What was deleted goes a day later from a site, where central has it; there it stays.
    world.site.records.delete("sync_file_reference", &kept).unwrap();
    world.site.sync();
    world.turn();
    assert!(world.files.path(&kept).unwrap().is_some());
    world.clock.forward(Duration::from_secs(2 * 24 * 60 * 60));
    world.turn();
    assert_eq!((world.files.path(&kept).unwrap(), world.entry(&kept).state), (None, FileState::Gone));
    assert!(world.central.files().path(&kept).unwrap().is_some());
}

/// Central dies over an upload: what it had begun to write goes with an upload a day later, and nothing else.
#[test]
fn what_a_broken_upload_left_at_central_is_swept_with_a_later_one() {
    let world = World::new();
    attach(&world.files, "x", b"bytes").unwrap();
    let unfinished = world.central.files().store().folder().join("unfinished");
    std::fs::create_dir_all(&unfinished).unwrap();
    let [old, young, other] = ["old.new", "young.new", "other"].map(|name| unfinished.join(name));
    for (path, hours) in [(&old, 25), (&young, 23), (&other, 25)] {
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 60 * 60)).unwrap();
    }
    world.site.sync();
    assert_eq!(world.turn().uploaded, 1);
    assert_eq!([&old, &young, &other].map(|path| path.exists()), [false, true, true]);
}

/// Weak point A14: a reference that comes back from central takes no upload out of the queue.
#[test]
fn an_echo_of_a_reference_changes_nothing_here() {
    let world = World::new();
    let id = attach(&world.files, "x", b"bytes").unwrap();
    world.site.sync();
    let echo = |mime: &str| {
        let table = "sync_file_reference";
        let stored = world.central.records.get(table, &id).unwrap().unwrap();
        let changed = stored.as_str().replace("image/jpeg", mime).replace("\"sha256\"", "\"unknown\"");
        world.central.records.put("sync_file_reference", [data(&changed)]).unwrap();
        world.site.sync();
    };
    echo("image/x");
    world.files.list(None, 9).unwrap();
    let entry = world.entry(&id);
    assert_eq!((entry.direction, entry.state), (FileDirection::Upload, FileState::Waiting));
    assert_eq!(world.turn().uploaded, 1);
    echo("image/y");
    assert_eq!((world.turn().uploaded, world.entry(&id).state), (0, FileState::Done));
}

/// The waits of a file that fails grow, and it is not tried before they are over.
#[test]
fn a_file_that_fails_waits_longer_each_time() {
    let world = World::new();
    let json = r#"{"id":"f","table_name":"asset","record_id":"x","file_name":"n","total_bytes":3,"created_datetime":"2026-11-23T08:00:00"}"#;
    world.central.records.put("sync_file_reference", [data(json)]).unwrap();
    world.site.sync();
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(world.turn().failed, 1, "{minutes}");
        world.clock.forward(Duration::from_secs(60 * minutes - 30));
        assert_eq!(world.turn().failed, 0, "{minutes}: not yet");
        world.clock.forward(Duration::from_secs(31));
    }
    assert_eq!(world.entry(&"f".into()).attempts, 8);
}

/// A server that takes no file, and says why.
struct TakesNone(Arc<dyn Transport>);

impl Transport for TakesNone {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.0.send(request)
    }

    fn stream(&self, _: &HttpRequest, body: Option<StreamedBody<'_>>) -> Result<StreamedResponse, TransportError> {
        if let Some(body) = body {
            std::io::copy(body.reader, &mut std::io::sink()).expect("a body that is read");
        }
        Ok(HttpResponse::text(500, "the volume for files is full").into())
    }
}

/// A server that fails with a file says why beside its status: whoever asks what became of the file reads that.
#[test]
fn what_came_with_a_status_is_said_of_the_file() {
    let world = World::new();
    let id = attach(&world.files, "x", b"bytes").unwrap();
    world.site.sync();
    let mut config = SyncConfig::default();
    config.retry_wait = Duration::from_millis(1);
    let transport = Arc::new(TakesNone(world.central.transport()));
    let site = Replica::builder()
        .clock(world.clock.clone())
        .with_storage(world.site.storage.clone())
        .site(transport)
        .with_config(config);
    let report = site.sync_files(&world.files, &FilesOptions::default(), &mut NoopObserver).expect("it begins");
    assert_eq!((report.uploaded, report.failed), (0, 1), "{report:?}");
    let entry = world.entry(&id);
    let reason = entry.reason.clone().unwrap_or_default();
    assert_eq!(entry.state, FileState::Failed);
    assert!(reason.contains("500") && reason.contains("the volume for files is full"), "{reason}");
}

/// Keeps the bodies of uploads, as they cross the wire.
struct Listens(Arc<dyn Transport>, Mutex<Vec<u8>>);

impl Transport for Listens {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.0.send(request)
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        let Some(body) = body else { return self.0.stream(request, None) };
        let mut bytes = Vec::new();
        std::io::copy(body.reader, &mut bytes).expect("a body that is read");
        let length = bytes.len() as u64;
        self.1.lock().expect("nobody panicked").clone_from(&bytes);
        self.0.stream(request, Some(StreamedBody { length, reader: &mut bytes.as_slice() }))
    }
}

/// With them a central server of Open mSupply 2.20 or later takes a file whose reference it does not have (difference D13).
#[test]
fn an_upload_names_the_record_of_the_file() {
    let world = World::new();
    let id = attach(&world.files, "x", b"bytes").unwrap();
    world.site.sync();
    let transport = Arc::new(Listens(world.central.transport(), Mutex::default()));
    let site =
        Replica::builder().clock(world.clock.clone()).with_storage(world.site.storage.clone()).site(transport.clone());
    let report = site.sync_files(&world.files, &FilesOptions::default(), &mut NoopObserver).expect("it begins");
    assert_eq!(report.uploaded, 1, "{report:?}");
    let body = String::from_utf8(transport.1.lock().expect("nobody panicked").clone()).expect("text");
    let part = body.lines().find(|line| line.starts_with('{')).expect("the part in JSON");
    let part: serde_json::Value = serde_json::from_str(part).expect("JSON");
    let named = ["file_id", "record_id", "table_name"].map(|key| part[key].as_str().unwrap_or_default());
    assert_eq!(named, [id.as_str(), "x", "asset"], "{part}");
}

/// A clock that was a year ahead when a file failed, and was put right: nothing waits for the year to be over.
#[test]
fn a_wait_that_a_wrong_clock_gave_does_not_last() {
    let world = World::new();
    let json = r#"{"id":"f","table_name":"asset","record_id":"x","file_name":"n","total_bytes":3,"created_datetime":"2026-11-23T08:00:00"}"#;
    world.central.records.put("sync_file_reference", [data(json)]).unwrap();
    world.site.sync();
    world.clock.forward(Duration::from_secs(365 * 24 * 60 * 60));
    assert_eq!(world.turn().failed, 1);
    let of_the_wrong_clock = world.entry(&"f".into()).next_at;
    world.clock.put_right();
    assert_eq!(world.turn().failed, 1, "it is tried at once");
    let entry = world.entry(&"f".into());
    assert!(entry.next_at < of_the_wrong_clock, "{entry:?}");
    assert_eq!((world.turn().failed, entry.attempts), (0, 2), "and its waits go on growing");
}

/// What is noted follows the changelog: a fresh look costs what is new.
#[test]
fn references_are_taken_note_of_once() {
    let world = World::new();
    attach(&world.central.files(), "x", b"bytes").unwrap();
    world.site.sync();
    world.files.list(None, 9).unwrap();
    let noted = || state::FILES_CURSOR.as_text().find(world.site.storage.read().unwrap().as_ref()).unwrap();
    let before = noted();
    assert!(before.is_some());
    world.files.list(None, 9).unwrap();
    assert_eq!(noted(), before);
    world.site.records.put("asset", [asset("z", "STORE_a", "")]).unwrap();
    world.files.list(None, 9).unwrap();
    assert_ne!(noted(), before);
}

/// Two at once would be in each other's way; records go on.
#[test]
fn files_are_moved_by_one_at_a_time_and_records_do_not_wait() {
    let world = World::new();
    attach(&world.files, "x", &[1; 200_000]).unwrap();
    world.site.sync();
    let mut seen = 0;
    let mut watch = |_: &sync_core::SyncEvent| {
        seen += 1;
        if seen == 3 {
            let again = world.site.site.sync_files(&world.files, &FilesOptions::default(), &mut NoopObserver);
            assert_eq!(again.unwrap_err().code(), "cycle_running");
            world.site.records.put("asset", [asset("meanwhile", "STORE_a", "")]).unwrap();
            world.site.sync();
        }
        std::ops::ControlFlow::Continue(())
    };
    let report = world.site.site.sync_files(&world.files, &FilesOptions::default(), &mut watch).unwrap();
    assert_eq!((report.uploaded, report.error.is_none()), (1, true));
    assert!(seen > 3 && world.central.records.get("asset", "meanwhile").unwrap().is_some());
}

/// Its reference and its bytes would leave the database, of a record that nobody else knows.
#[test]
fn a_record_that_is_local_only_takes_no_file() {
    let world = World::new();
    let replica = Replica::with_storage(world.site.storage.clone());
    replica.write(|txn| txn.local_only().put("asset", [asset("draft", "STORE_a", "")])).unwrap();
    let refused = attach(&world.files, "draft", b"a photo").unwrap_err();
    assert_eq!(refused.code(), "bad_input");
    assert!(refused.to_string().contains("asset draft is local only"), "{refused}");
    assert_eq!(world.site.sync().pushed, 0);
    world.site.records.put("asset", [asset("draft", "STORE_a", "")]).unwrap();
    attach(&world.files, "draft", b"a photo").unwrap();
}
