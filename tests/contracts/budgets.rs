//! The number of transactions of a cycle: its cost on a slow disk, where each commit is a flush.

use std::sync::Arc;

use sync_core::SyncConfig;
use sync_core::storage::MemoryStorage;
use sync_testkit::{CountingStorage, Counts};
use sync_tests::world::{CentralEnd, Kind, SeenReport, SiteEnd, asset};

/// What a cycle of a site writes besides batches: what the legacy server says of the site, and the sync log.
const ALWAYS: u64 = 2;
/// What a first cycle writes besides: the version of the library, that the legacy server has filled the queue, the one batch
/// of stores and names from it,
/// and that the site is initialised.
const FIRST: u64 = ALWAYS + 4;

/// A store and its name.
const LEGACY_RECORDS: u64 = 2;

struct Bench {
    central: CentralEnd,
    storage: Arc<CountingStorage>,
    a: SiteEnd,
}

/// A site whose batches have this many records.
fn bench(batch_records: u32) -> Bench {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let storage = Arc::new(CountingStorage::new(Arc::new(MemoryStorage::new())));
    let mut a = central.set_up_over(storage.clone(), "a", central.transport());
    let mut config = SyncConfig::default();
    config.pull_records = batch_records;
    config.pull_records_max = batch_records;
    config.push_records_max = batch_records as usize;
    a.site = a.site.clone().with_config(config);
    Bench { central, storage, a }
}

impl Bench {
    fn put_assets(&self, range: std::ops::Range<u32>) {
        let assets = range.map(|n| asset(&format!("{n:05}"), "STORE_a", ""));
        self.central.records.put("asset", assets.collect::<Vec<_>>()).unwrap();
    }

    /// What a cycle asks of the storage.
    fn cycle(&self) -> (SeenReport, Counts) {
        self.storage.take_counts();
        let report = self.a.sync();
        let counts = self.storage.take_counts();
        assert_eq!(counts.writes, counts.commits, "a write that is not committed holds up others for nothing");
        (report, counts)
    }
}

#[test]
fn a_first_sync_takes_one_write_for_each_batch() {
    for (records, batches) in [(1, 1), (100, 1), (101, 2), (1000, 10)] {
        let bench = bench(100);
        bench.put_assets(0..records);
        let (report, counts) = bench.cycle();
        assert_eq!(report.integrated, u64::from(records) + LEGACY_RECORDS);
        assert_eq!(counts.commits, FIRST + batches, "{records} records");
    }
}

#[test]
fn an_idle_cycle_writes_only_who_the_site_is_and_the_log() {
    let bench = bench(100);
    bench.put_assets(0..300);
    bench.cycle();
    let (report, counts) = bench.cycle();
    assert_eq!((report.pulled, report.pushed, report.requests), (0, 0, 1));
    assert_eq!(counts.commits, ALWAYS);
    assert!(counts.calls.values().sum::<u64>() < 100, "{counts:?}");
}

#[test]
fn a_push_takes_one_write_for_each_batch_and_three_besides() {
    let bench = bench(100);
    bench.cycle();
    let edits = (0..250).map(|n| asset(&format!("{n:05}"), "STORE_a", ""));
    bench.a.records.put("asset", edits.collect::<Vec<_>>()).unwrap();
    let (report, counts) = bench.cycle();
    assert_eq!(report.pushed, 250);
    // That sending begins, that central confirmed it, and the point that it had reached.
    assert_eq!(counts.commits, ALWAYS + 3 + 3);
}

#[test]
fn the_cost_of_an_idle_cycle_does_not_grow_with_the_records() {
    let idle = |records| {
        let bench = bench(100);
        bench.put_assets(0..records);
        bench.cycle();
        bench.cycle().1
    };
    assert_eq!(idle(10), idle(1000));
}

/// What central asks of its storage to take a push of so many assets.
fn taking(records: u32) -> Counts {
    let storage = Arc::new(CountingStorage::new(Arc::new(MemoryStorage::new())));
    let central = CentralEnd::over_storage(storage.clone());
    let a = central.new_site("a");
    a.sync();
    let edits = (0..records).map(|n| asset(&format!("{n:05}"), "STORE_a", ""));
    a.records.put("asset", edits.collect::<Vec<_>>()).unwrap();
    storage.take_counts();
    assert_eq!(a.sync().pushed, u64::from(records));
    storage.take_counts()
}

#[test]
fn central_takes_a_push_in_one_transaction_and_writes_each_record_once() {
    let (few, many) = (taking(100), taking(300));
    assert_eq!(few.commits, many.commits);
    let of = |counts: &Counts, call: &str| counts.calls.get(call).copied().unwrap_or(0);
    for (call, for_each) in [("insert_record", 1), ("note_first_taken", 1), ("pushed", 0), ("stage", 0), ("settle", 0)]
    {
        assert_eq!(of(&many, call) - of(&few, call), 200 * for_each, "{call}");
    }
    // Also three times the record, which SQLite looks up once, and once its tombstones, of which there are none.
    let sum = |counts: &Counts| counts.calls.values().sum::<u64>();
    assert_eq!(sum(&many) - sum(&few), 200 * 6, "{many:?}");
}
