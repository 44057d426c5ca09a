//! The time of a cycle ends its waits and running file transfers.

use std::time::Instant;

use sync_core::Replica;
use sync_core::files::{Attach, Files};
use sync_core::site::FilesOptions;
use sync_core::storage::FileState;
use sync_core::transport::HttpResponse;
use sync_tests::raw_server::Reply;

use super::*;

const UPLOAD: &str = "/central/sync/upload_file";
const DOWNLOAD: &str = "/central/sync/download_file";
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(3);

fn briefly() -> SyncOptions {
    SyncOptions::default().max_time(Duration::from_millis(700))
}

/// The bench with the waits of a real site.
fn unhurried() -> (Bench, Site) {
    let bench = Bench::new();
    let mut config = SyncConfig::default();
    config.integration_poll = Duration::from_millis(200);
    let transport = Arc::new(HttpTransport::new(&patient()));
    let site = Replica::with_storage(bench.storage.clone()).site(transport).with_config(config);
    (bench, site)
}

#[test]
fn an_integration_without_end_is_not_waited_for_beyond_the_time() {
    let (bench, site) = unhurried();
    bench.plant("x");
    bench.server.always(STATUS, Reply::json(200, r#"{"data":{"is_integrating":true}}"#));
    let began = Instant::now();
    let report = site.sync(&briefly(), &mut NoopObserver).expect("a cycle");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(report.outcome, SyncOutcome::Partial, "{:?}", report.error);
    bench.assert_heals("integrating", "x");
}

#[test]
fn a_request_is_not_tried_again_after_the_time_and_its_error_is_told() {
    let (bench, site) = unhurried();
    bench.plant("x");
    bench.server.always(PULL, Reply::text(503, "busy"));
    let began = Instant::now();
    // On a busy machine the steps before take long; the wait before another try takes a second at least.
    let long_enough_to_ask = SyncOptions::default().max_time(Duration::from_millis(1500));
    let report = site.sync(&long_enough_to_ask, &mut NoopObserver).expect("a cycle");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_error("busy", report.error.as_ref().expect("an error"), "server_trouble", "retry");
    bench.assert_heals("busy", "x");
}

fn attached(bench: &Bench, files: &Files) -> RecordId {
    bench.plant("x");
    bench.sync_well();
    let attach = Attach::new("asset", "x", "photo.jpg");
    let id = files.attach_bytes(&attach, &mut &[7; 100_000][..]).expect("a file");
    bench.sync_well();
    id
}

fn files_of(bench: &Bench) -> Files {
    Replica::with_storage(bench.storage.clone()).files(bench.folder.path().join("files"))
}

#[test]
fn the_time_ends_a_file_that_is_being_sent_whose_next_turn_is_let_end() {
    let bench = Bench::new();
    let files = files_of(&bench);
    let id = attached(&bench, &files);
    let entry = || bench.storage.read().and_then(|txn| txn.file(&id)).expect("a database").expect("a file");
    let turn = || {
        let options = FilesOptions::default().max_time(Duration::from_millis(700));
        bench.site.sync_files(&files, &options, &mut NoopObserver).expect("it begins")
    };
    bench.server.once(UPLOAD, Reply::Late(LONG, HttpResponse::json(500, Vec::new())));
    let began = Instant::now();
    let report = turn();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(report.error.is_none() && report.failed == 0, "{report:?}");
    assert_eq!(entry().state, FileState::Waiting);
    assert!(entry().reason.is_some_and(|reason| reason.contains("time")), "{:?}", entry());
    // A line on which it takes longer than the time at each turn.
    let taken = HttpResponse::json(200, br#"{"data":{}}"#.to_vec());
    bench.server.once(UPLOAD, Reply::Late(Duration::from_millis(1500), taken));
    assert_eq!(turn().uploaded, 1);
    assert_eq!((entry().state, entry().reason), (FileState::Done, None));
}

#[test]
fn the_time_ends_a_file_that_comes() {
    let bench = Bench::new();
    let files = files_of(&bench);
    let of_central = bench.central.files();
    bench.plant("x");
    bench.sync_well();
    let attach = Attach::new("asset", "x", "photo.jpg");
    let id = of_central.attach_bytes(&attach, &mut &b"of central"[..]).expect("a file");
    bench.sync_well();
    bench.server.once(DOWNLOAD, Reply::Late(LONG, HttpResponse::json(500, Vec::new())));
    let began = Instant::now();
    let options = FilesOptions::default().max_time(Duration::from_millis(700));
    let report = bench.site.sync_files(&files, &options, &mut NoopObserver).expect("it begins");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(report.error.is_none() && report.failed == 0, "{report:?}");
    let report = bench.site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).expect("it begins");
    assert_eq!(report.downloaded, 1, "{report:?}");
    assert!(files.path(&id).expect("a folder").is_some());
}
