//! Every bad input from a network, another end or a disk: each gives an error that says who must act, loses nothing,
//! and is repaired by the next good cycle.

mod central_door;
mod database;
mod disk;
mod files;
mod legacy_answers;
mod network;
mod on_arrival;
mod peer;
mod peer_words;
mod progress;
mod queue;
mod refused_alone;
mod release_3;
mod time_limits;
mod too_large;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::record::{Cursor, RecordId, TableName};
use sync_core::storage::{Quarantine, Source, SqliteStorage, Storage, state};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{
    Error, NoopObserver, Records, Replica, Settings, Site, SyncConfig, SyncEvent, SyncOptions, SyncOutcome, SyncReport,
};
use sync_tests::raw_server::RawServer;
use sync_tests::world::{CentralEnd, PASSWORD, SeenReport, asset, count, data, get};
use tempfile::TempDir;

const SITE: &str = "/sync/v5/site";
const RECORDS: &str = "/sync/v5/central_records";
const PULL: &str = "/central/sync/pull";
const PUSH: &str = "/central/sync/push";
const STATUS: &str = "/central/sync/site_status";

/// Limits and waits that make a test fast.
fn fast() -> SyncConfig {
    let mut config = SyncConfig::default();
    config.attempts = 2;
    config.retry_wait = Duration::from_millis(2);
    config.integration_poll = Duration::from_millis(1);
    config.integration_wait = Duration::from_millis(400);
    config
}

/// Time limits that no sound answer reaches here.
fn patient() -> Timeouts {
    let wait = Duration::from_secs(8);
    Timeouts::all(wait)
}

fn settings(url: &str) -> Settings {
    Settings::new(url, "a", PasswordHash::of_password(PASSWORD)).hardware_id("machine-a".to_owned())
}

fn site_over(storage: &Arc<SqliteStorage>, timeouts: &Timeouts) -> Site {
    let transport = Arc::new(HttpTransport::new(timeouts));
    Replica::with_storage(storage.clone()).site(transport).with_config(fast())
}

/// Asserts what holds of every error: its code and class, advice, and that it tells no secret.
#[track_caller]
fn assert_error(what: &str, error: &Error, code: &str, class: &str) {
    let said = format!("{error} {}", error.causes().join(" "));
    assert_eq!((error.code(), error.class().as_str()), (code, class), "{what}: {said}");
    assert!(!error.advice().is_empty(), "{what}");
    assert!(!said.contains(PasswordHash::of_password(PASSWORD).expose()) && !said.contains("machine-a"), "{said}");
}

/// An initialised site and its central, with a server between them that can be made to misbehave.
struct Bench {
    central: CentralEnd,
    server: RawServer,
    storage: Arc<SqliteStorage>,
    site: Site,
    records: Records,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self::before_set_up();
        bench.site.set_up(&settings(&bench.server.url()), &mut NoopObserver).expect("set up");
        bench.sync_well();
        bench
    }

    fn before_set_up() -> Self {
        let central = CentralEnd::new();
        central.add_site("a");
        let server = RawServer::before(central.central.clone());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = Arc::new(SqliteStorage::open(folder.path().join("a.sqlite")).expect("a database"));
        let site = site_over(&storage, &patient());
        let records = Replica::with_storage(storage.clone()).records();
        Self { central, server, storage, site, records, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.sqlite")
    }

    /// Runs a cycle, however it ends.
    fn sync(&self) -> SeenReport {
        self.site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle that begins").into()
    }

    #[track_caller]
    fn sync_well(&self) -> SeenReport {
        let report = self.sync();
        assert!(report.error.is_none(), "{:?}", report.error);
        report
    }

    /// Runs a cycle and counts its retries.
    fn sync_counting_retries(&self) -> (SyncReport, usize) {
        let mut retries = 0;
        let mut count = |event: &SyncEvent| {
            retries += usize::from(matches!(event, SyncEvent::Retrying { .. }));
            ControlFlow::Continue(())
        };
        let report = self.site.sync(&SyncOptions::default(), &mut count).expect("a cycle that begins");
        (report, retries)
    }

    /// The cursors of pull and push.
    fn cursors(&self) -> (u64, u64) {
        let txn = self.storage.read().expect("a database");
        let cursor = |name| txn.state(name).expect("a state").and_then(|text| text.parse().ok()).unwrap_or(0);
        (cursor(state::PULL_CURSOR_V6.name()), cursor(state::PUSH_CURSOR_V6.name()))
    }

    /// Writes an edit on either side, for the other; both under this id.
    fn plant(&self, id: &str) {
        self.records.put("asset", [asset(id, "STORE_a", "made at the site")]).expect("an edit");
        let class = data(&format!(r#"{{"id":"{id}","name":"of central {id}"}}"#));
        self.central.records.put("asset_class", [class]).expect("an edit at central");
    }

    fn site_has(&self, table: &str, id: &str) -> bool {
        get(&self.records, table, id).is_some()
    }

    fn central_has(&self, table: &str, id: &str) -> bool {
        get(&self.central.records, table, id).is_some()
    }

    /// Asserts that no cursor moved past a planted edit that the other side does not have.
    #[track_caller]
    fn assert_nothing_passed(&self, what: &str, id: &str, before: (u64, u64)) {
        let (pull, push) = self.cursors();
        let staged = self.storage.read().and_then(|txn| txn.staged_tables(Source::Central)).expect("a database");
        assert!(pull == before.0 || !staged.is_empty() || self.site_has("asset_class", id), "{what}: pull moved");
        assert!(push == before.1 || self.central_has("asset", id), "{what}: push moved");
        assert!(self.site_has("asset", id) && self.central_has("asset_class", id), "{what}: an edit is gone");
        assert!(self.quarantined().is_empty(), "{what}: {:?}", self.quarantined());
    }

    /// Repairs the server and asserts that one cycle brings every record where it belongs.
    #[track_caller]
    fn assert_heals(&self, what: &str, id: &str) {
        self.server.heal();
        let report = self.sync();
        assert_eq!(report.outcome, SyncOutcome::Done, "{what}: {:?}", report.error);
        assert!(self.central_has("asset", id), "{what}: the site's edit is at central");
        assert!(self.site_has("asset_class", id), "{what}: central's edit is at the site");
    }

    /// The quarantine: table, id and reason.
    fn quarantined(&self) -> Vec<(TableName, RecordId, Quarantine)> {
        set_aside(self.storage.as_ref())
    }

    fn count(&self, table: &str) -> u64 {
        count(self.storage.as_ref(), table)
    }

    fn pull_cursor(&self) -> Cursor {
        Cursor(self.cursors().0)
    }
}

fn set_aside(storage: &dyn Storage) -> Vec<(TableName, RecordId, Quarantine)> {
    let rows = storage.read().and_then(|txn| txn.quarantined(0, 1000)).expect("a quarantine");
    rows.into_iter().map(|(row, why)| (row.incoming.table, row.incoming.id, why)).collect()
}
