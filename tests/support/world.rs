//! A central server and sites in one process, over SQLite files or in memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::central::{Central, CentralConfig, InProcess, SiteRegistry};
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::{Clock, SystemClock, Timestamp};
use sync_core::files::{FileStore, Files};
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v5::IDLE_CHECK;
use sync_core::record::{Cursor, RecordData, RecordId, StoreId, SyncStyle, TableName, record_type};
use sync_core::storage::{MemoryStorage, QuarantineCause, SqliteStorage, Storage};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Records, Replica, Settings, Site, SyncConfig, SyncOptions, SyncReport};
use sync_testkit::RemoteOnlyStorage;
use tempfile::TempDir;

/// The password of every site.
pub const PASSWORD: &str = "pass";

/// Where the ends of a world store their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each in an SQLite file.
    Sqlite,
    /// Each in memory.
    Memory,
}

/// The storages of a world, by name: the same name opens the same one again.
struct Storages {
    kind: Kind,
    folder: TempDir,
    in_memory: Mutex<HashMap<String, Arc<MemoryStorage>>>,
}

impl Storages {
    fn open(&self, name: &str) -> Arc<dyn Storage> {
        match self.kind {
            Kind::Sqlite => Arc::new(SqliteStorage::open(self.path(name)).expect("a database")),
            Kind::Memory => {
                let mut all = self.in_memory.lock().expect("nobody panicked");
                all.entry(name.to_owned()).or_default().clone()
            }
        }
    }

    /// The files beside a storage.
    fn files(&self, name: &str) -> FileStore {
        FileStore::new(self.folder.path().join(format!("{name}.files")))
    }

    fn path(&self, name: &str) -> impl AsRef<Path> {
        self.folder.path().join(format!("{name}.sqlite"))
    }
}

/// A central server that needs no legacy server.
pub struct CentralEnd {
    /// Its storage.
    pub storage: Arc<dyn Storage>,
    /// The server.
    pub central: Arc<Central>,
    /// Its list of sites.
    pub sites: SiteRegistry,
    /// Its records.
    pub records: Records,
    clock: Arc<dyn Clock>,
    storages: Storages,
    limits: CentralConfig,
}

/// A remote site.
pub struct SiteEnd {
    /// Its storage.
    pub storage: Arc<dyn Storage>,
    /// The site.
    pub site: Site,
    /// Its records.
    pub records: Records,
}

/// Passes requests on without the key by which a site asks whether anything is new.
struct StepByStep(Arc<dyn Transport>);

impl Transport for StepByStep {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut passed = request.clone();
        passed.headers.retain(|(name, _)| name != IDLE_CHECK);
        self.0.send(&passed)
    }
}

/// A clock that is so many milliseconds ahead of another.
struct Later {
    clock: Arc<dyn Clock>,
    by: AtomicU64,
}

impl Clock for Later {
    fn now(&self) -> Timestamp {
        let by = i64::try_from(self.by.load(Relaxed)).expect("not that long");
        Timestamp::from_unix_millis(self.clock.now().unix_millis() + by)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + Duration::from_millis(self.by.load(Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }
}

/// JSON text as record data.
pub fn data(json: &str) -> RecordData {
    RecordData::parse(json).expect("valid JSON")
}

/// The data of an asset in a store.
pub fn asset(id: &str, store: &str, notes: &str) -> RecordData {
    data(&format!(
        r#"{{"id":"{id}","notes":"{notes}","store_id":"{store}","created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00.120"}}"#
    ))
}

/// The demonstration's document of a record type, with another value under some keys.
pub fn document(table: &str, changed: &[(&str, &str)]) -> RecordData {
    let seeds = include_str!("../../sync-cli/demo/src/seed.jsonl");
    let lines = seeds.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let mut document = lines.into_iter().find(|line| line["table"] == table).expect("a document")["data"].take();
    for (key, value) in changed {
        document[key] = (*value).into();
    }
    RecordData::of(&document)
}

impl Default for CentralEnd {
    fn default() -> Self {
        Self::new()
    }
}

impl CentralEnd {
    /// A fresh one, over SQLite files.
    pub fn new() -> Self {
        Self::over(Kind::Sqlite)
    }

    /// A new world; its sites use the same kind of storage.
    pub fn over(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storages = Storages { kind, folder, in_memory: Mutex::default() };
        let storage = storages.open("central");
        Self::of(storages, storage)
    }

    /// A new world on this storage; its sites are in memory.
    pub fn over_storage(storage: Arc<dyn Storage>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::of(Storages { kind: Kind::Memory, folder, in_memory: Mutex::default() }, storage)
    }

    fn of(storages: Storages, storage: Arc<dyn Storage>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
        let sites = replica.site_registry().expect("a central database");
        let central = replica.stand_alone_central().with_files(storages.files("central"));
        let central = Arc::new(central);
        let records = replica.records();
        Self { storage, central, sites, records, clock, storages, limits: CentralConfig::default() }
    }

    /// The same with a server that integrates at most so many records of a push in the transaction that takes it.
    #[must_use]
    pub fn integrating_at_once(mut self, records: usize) -> Self {
        self.limits.push_integrated_max = records;
        self.central = self.restarted();
        self
    }

    /// The server after a restart: on the same storage, with an empty memory.
    pub fn restarted(&self) -> Arc<Central> {
        let central =
            Replica::builder().clock(self.clock.clone()).with_storage(self.storage.clone()).stand_alone_central();
        Arc::new(central.with_config(self.limits.clone()).with_files(self.storages.files("central")))
    }

    /// The same, restarted and running for so long that no earlier request is still on its way.
    pub fn restarted_and_run_for(&self, time: Duration) -> Arc<Central> {
        let clock = Arc::new(Later { clock: self.clock.clone(), by: AtomicU64::new(0) });
        let central = Replica::builder().clock(clock.clone()).with_storage(self.storage.clone()).stand_alone_central();
        clock.by.store(u64::try_from(time.as_millis()).expect("not that long"), Relaxed);
        Arc::new(central.with_files(self.storages.files("central")))
    }

    /// The server's files.
    pub fn files(&self) -> Files {
        Replica::builder()
            .clock(self.clock.clone())
            .with_storage(self.storage.clone())
            .files(self.storages.files("central").folder())
    }

    /// The storage of this name in a world in memory; that of the server is `central`.
    pub fn memory(&self, name: &str) -> Arc<MemoryStorage> {
        self.storages.in_memory.lock().expect("nobody panicked").get(name).expect("in memory").clone()
    }

    /// A transport to it.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(InProcess::new(self.central.clone()))
    }

    /// A transport to it as to a server that tells a site nothing with the first answer: each request of a cycle is sent.
    pub fn step_by_step(&self) -> Arc<dyn Transport> {
        Arc::new(StepByStep(self.transport()))
    }

    /// Adds a site with one store, named after it: site `a` has store `STORE_a`.
    pub fn add_site(&self, name: &str) {
        self.sites.add(name, &PasswordHash::of_password(PASSWORD)).expect("a new site");
        let store = StoreId::new(format!("STORE_{name}"));
        self.sites.add_store(name, name, name, Some(store)).expect("a new store");
    }

    /// A site that was added here, set up in a database of this name, with this transport.
    pub fn set_up_in(&self, database: &str, name: &str, transport: Arc<dyn Transport>) -> SiteEnd {
        self.set_up_over(self.storages.open(database), name, transport)
    }

    /// A site that was added here, set up in this storage, with this transport.
    pub fn set_up_over(&self, storage: Arc<dyn Storage>, name: &str, transport: Arc<dyn Transport>) -> SiteEnd {
        // A site needs nothing of the part for a central server.
        let storage: Arc<dyn Storage> = Arc::new(RemoteOnlyStorage::new(storage));
        let mut quick = SyncConfig::default();
        quick.integration_poll = Duration::from_millis(1);
        let replica = Replica::builder().clock(self.clock.clone()).with_storage(storage.clone());
        let site = replica.site(transport).with_config(quick);
        site.set_up(&settings(name), &mut NoopObserver).expect("set up");
        let records = replica.records();
        SiteEnd { storage, site, records }
    }

    /// Adds a site and sets it up.
    pub fn new_site(&self, name: &str) -> SiteEnd {
        self.add_site(name);
        self.set_up_in(name, name, self.transport())
    }
}

impl CentralEnd {
    /// How many records are in quarantine, by cause.
    pub fn causes(&self) -> Vec<(QuarantineCause, u64)> {
        self.storage.read().and_then(|txn| txn.quarantine_counts()).expect("counts")
    }

    /// Puts the store `S` on a site.
    pub fn move_store(&self, site: &str) {
        self.sites.add_store("S", "S", site, Some(StoreId::from("S"))).expect("a store");
        self.central.integrate_waiting().expect("an integration");
    }

    /// Sites a and b; a has written the asset `x` in its own store.
    pub fn with_an_asset_of_a(kind: Kind) -> (Self, SiteEnd, SiteEnd) {
        let central = Self::over(kind);
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        a.records.put("asset", [asset("x", "STORE_a", "1")]).expect("an asset");
        a.sync();
        (central, a, b)
    }

    /// Sites a and b; the store `S` is on a, with the asset `x`.
    pub fn with_a_store_on_a(kind: Kind) -> (Self, SiteEnd, SiteEnd) {
        let central = Self::over(kind);
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        central.move_store("a");
        a.sync();
        b.sync();
        a.records.put("asset", [asset("x", "S", "1")]).expect("an asset");
        a.sync();
        (central, a, b)
    }
}

/// A log of an asset.
pub fn log(id: &str, asset: &str) -> RecordData {
    data(&format!(
        r#"{{"id":"{id}","asset_id":"{asset}","user_id":"u","status":"FUNCTIONING","log_datetime":"2025-01-01T00:00:00"}}"#
    ))
}

/// The notes of an asset, of its data as text.
pub fn notes(asset: Option<String>) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(&asset?).expect("JSON");
    value["notes"].as_str().map(str::to_owned)
}

/// Settings of a site of this world.
pub fn settings(name: &str) -> Settings {
    Settings::new("http://central.example.org", name, PasswordHash::of_password(PASSWORD))
        .https_only(false)
        .hardware_id(format!("machine-{name}"))
}

/// The report of a cycle, or of a run over the files, whose end a test has seen to: unlike a report itself it may be dropped.
pub type SeenReport<R = SyncReport> = Arc<R>;

impl SiteEnd {
    /// Runs a cycle that must go well.
    pub fn sync(&self) -> SeenReport {
        let report = self.site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
        assert!(report.error.is_none(), "{:?}", report.error);
        report.into()
    }

    /// A record's data as text.
    pub fn get(&self, table: &str, id: &str) -> Option<String> {
        get(&self.records, table, id)
    }
}

/// A record's data as text.
pub fn get(records: &Records, table: &str, id: &str) -> Option<String> {
    let found = records.get(TableName::from(table), RecordId::from(id)).expect("a readable record");
    found.map(|data| data.as_str().to_owned())
}

/// Writes an asset class as central's host would, unchecked.
pub fn put_class(storage: &dyn Storage, id: &str) -> Cursor {
    put_unchecked(storage, "asset_class", id, &data(&format!(r#"{{"id":"{id}","name":"n"}}"#)))
}

/// Writes a record of no store as a host would, without the checks of its rules.
pub fn put_unchecked(storage: &dyn Storage, table: &str, id: &str, data: &RecordData) -> Cursor {
    let style = record_type(table).map_or(SyncStyle::Legacy, |kind| kind.style);
    let change = NewChange {
        table: table.into(),
        id: id.into(),
        action: ChangeAction::Upsert,
        store: None,
        name: None,
        source_site: None,
        is_sync_update: false,
        audience: Audience::of(style, table, None, None),
        changed_at: Timestamp::from_unix_millis(0),
    };
    let txn = storage.write().expect("a working storage");
    let cursor = txn.put_record(data, &change).expect("a working storage");
    txn.commit().expect("a working storage");
    cursor
}

/// The number of records of a table.
pub fn count(storage: &dyn Storage, table: &str) -> u64 {
    let counts = storage.read().and_then(|txn| txn.record_counts()).expect("counts");
    counts.iter().find(|(name, _)| name.as_str() == table).map_or(0, |(_, count)| *count)
}

/// Runs a check over a new central database in each storage.
pub fn each_central(check: impl Fn(&Replica)) {
    let folder = tempfile::tempdir().expect("a folder");
    let replicas = [
        Replica::with_storage(Arc::new(MemoryStorage::new())),
        Replica::open(folder.path().join("central.sqlite")).expect("opens"),
    ];
    for replica in replicas {
        replica.site_registry().expect("a central database");
        check(&replica);
    }
}
