//! A process that dies, and a disk that fails, at every single operation of a storage: the next cycle continues.

use std::sync::Arc;

use sync_core::storage::MemoryStorage;
use sync_core::{Error, NoopObserver, SyncConfig, SyncOptions};
use sync_testkit::FaultyStorage;
use sync_tests::world::{CentralEnd, SiteEnd, asset, data, get};

/// What is asked of each operation in turn.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The process dies there.
    Crash,
    /// The disk is full there, once.
    DiskFull,
    /// Another process keeps the database there, once.
    Busy,
}

impl Fault {
    fn plan(self, storage: &FaultyStorage, n: u64) {
        match self {
            Self::Crash => storage.crash_at(n),
            Self::DiskFull => storage.fail_at(n, |_| Error::DiskFull { source: "planned".into() }),
            Self::Busy => storage.fail_at(n, |_| Error::DatabaseBusy { source: "planned".into() }),
        }
    }
}

/// A central server and two sites, with something to go each way.
struct World {
    central: CentralEnd,
    at_central: Arc<FaultyStorage>,
    at_a: Arc<FaultyStorage>,
    a: SiteEnd,
    b: SiteEnd,
}

impl World {
    fn new() -> Self {
        let faulty = || Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
        let (at_central, at_a) = (faulty(), faulty());
        let central = CentralEnd::over_storage(at_central.clone());
        central.add_site("a");
        let mut a = central.set_up_over(at_a.clone(), "a", central.transport());
        let b = central.new_site("b");
        a.sync();
        b.sync();
        let mut small = SyncConfig::default();
        (small.push_records_max, small.pull_records, small.pull_records_max) = (2, 2, 2);
        small.attempts = 1;
        small.integration_poll = std::time::Duration::from_millis(1);
        small.integration_wait = std::time::Duration::from_millis(5);
        a.site = a.site.clone().with_config(small);
        a.records.put("asset", ["x", "y", "z"].map(|id| asset(id, "STORE_a", "of the site"))).unwrap();
        a.records.put("name_oms_fields", [fields("n", "of the site")]).unwrap();
        central.records.put("asset_class", ["c", "d", "e"].map(class)).unwrap();
        central.records.put("name_oms_fields", [fields("m", "of central")]).unwrap();
        Self { central, at_central, at_a, a, b }
    }

    fn cycle(&self) -> bool {
        self.a.site.sync(&SyncOptions::default(), &mut NoopObserver).is_ok_and(|report| report.error.is_none())
    }

    /// Every record is where it belongs, and nothing is in quarantine or left to do.
    fn check(&self, what: &str) {
        for _ in 0..3 {
            self.cycle();
            self.b.sync();
        }
        let last = self.a.sync();
        assert_eq!((last.pushed, last.pulled), (0, 0), "{what}");
        let fields = |id: &str, text: &str| Some(fields(id, text).as_str().to_owned());
        for (id, text) in [("n", "of the site"), ("m", "of central")] {
            let expected = fields(id, text);
            assert_eq!(get(&self.central.records, "name_oms_fields", id), expected, "{what}: {id} at central");
            assert_eq!(self.a.get("name_oms_fields", id), expected, "{what}: {id} at site a");
            assert_eq!(self.b.get("name_oms_fields", id), expected, "{what}: {id} at site b");
        }
        for id in ["x", "y", "z"] {
            assert!(get(&self.central.records, "asset", id).is_some(), "{what}: {id} at central");
            assert!(self.a.get("asset", id).is_some() && self.b.get("asset", id).is_none(), "{what}: {id}");
        }
        for id in ["c", "d", "e"] {
            assert!(self.a.get("asset_class", id).is_some() && self.b.get("asset_class", id).is_some(), "{what}: {id}");
        }
        for storage in [&self.central.storage, &self.a.storage, &self.b.storage] {
            assert_eq!(storage.read().unwrap().quarantine_counts().unwrap(), [], "{what}");
        }
    }
}

fn class(id: &str) -> sync_core::record::RecordData {
    data(&format!(r#"{{"id":"{id}","name":"class"}}"#))
}

fn fields(id: &str, text: &str) -> sync_core::record::RecordData {
    data(&format!(r#"{{"id":"{id}","properties":"{text}"}}"#))
}

/// Makes each operation of a cycle of site a on this storage fail in turn.
fn at_every_operation(fault: Fault, storage: impl Fn(&World) -> &Arc<FaultyStorage>) {
    let whole = World::new();
    let before = storage(&whole).operations();
    assert!(whole.cycle());
    let operations = storage(&whole).operations() - before;
    assert!(operations > 100, "{operations}");
    whole.check("without a fault");
    let mut failed = 0;
    for n in 1..=operations {
        let world = World::new();
        fault.plan(storage(&world), n);
        failed += u64::from(!world.cycle());
        storage(&world).heal();
        world.check(&format!("{fault:?} at operation {n} of {operations}"));
    }
    // Some faults are repaired within the cycle: a request is retried.
    assert!(failed > operations / 4, "{failed} of {operations}");
}

#[test]
fn a_site_that_dies_anywhere_goes_on() {
    at_every_operation(Fault::Crash, |world| &world.at_a);
}

#[test]
fn a_site_whose_disk_is_full_anywhere_goes_on() {
    at_every_operation(Fault::DiskFull, |world| &world.at_a);
}

#[test]
fn a_site_whose_database_is_busy_anywhere_goes_on() {
    at_every_operation(Fault::Busy, |world| &world.at_a);
}

#[test]
fn a_central_server_that_dies_anywhere_goes_on() {
    at_every_operation(Fault::Crash, |world| &world.at_central);
}

#[test]
fn a_central_server_whose_disk_is_full_anywhere_goes_on() {
    at_every_operation(Fault::DiskFull, |world| &world.at_central);
}
