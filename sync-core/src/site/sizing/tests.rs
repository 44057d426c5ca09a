use super::*;
use crate::record::Cursor;

const NO_TIME: Duration = Duration::ZERO;

fn limits_of(first: u64, max: u64) -> SizeBounds {
    SizeBounds { first, max, slow_min: max.min(16) }
}

/// A line that carries this many units at a time; gives what was kept, what was thrown away, and the sizes that were tried.
fn over(line: u64, all: u64, sizing: &mut Sizing, limits: SizeBounds) -> (u64, u64, Vec<u64>) {
    let (mut left, mut thrown, mut tried) = (all, 0, Vec::new());
    while left > 0 {
        let used = sizing.size(limits).min(left);
        tried.push(used);
        assert!(tried.len() < 10_000, "it ends: {sizing:?}");
        if used <= line {
            sizing.passed(used, NO_TIME, limits);
            left -= used;
        } else {
            thrown += line;
            assert!(sizing.broke(used), "a smaller one may be tried: {sizing:?}");
        }
    }
    (all, thrown, tried)
}

/// Every line, first size and amount below some bound: everything arrives, and more is kept than thrown away.
#[test]
fn everything_arrives_over_every_line_and_more_is_kept_than_thrown_away() {
    let mut cases = 0;
    for line in 1..=40 {
        for first in 1..=64 {
            for all in [1, 2, 3, 5, 8, 13, 40, 100, 1000] {
                let limits = limits_of(first, 128);
                let (kept, thrown, tried) = over(line, all, &mut Sizing::new(limits), limits);
                assert!(thrown <= kept, "line {line}, first {first}, {all}: {thrown} thrown away, {tried:?}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 40 * 64 * 9);
}

/// Every size that a policy can be at, every event: the invariants hold.
#[test]
fn the_rules_hold_for_every_small_state() {
    let limits = limits_of(4, 9);
    for size in 1..=9 {
        for worked in 0..=9 {
            for broke in (0..=9).map(|broke| (broke > 0).then_some(broke)) {
                for used in 1..=9 {
                    let before = Sizing { size, worked, broke, successes: 0, patience: PATIENCE, before: None };
                    let mut after = before;
                    if after.broke(used) {
                        assert!(used > 1);
                        assert!(
                            after.size < used && after.size >= used / 2,
                            "smaller, at least half: {before:?} {used}"
                        );
                        assert_eq!(after.broke, Some(used));
                        after.gave_up();
                        assert_eq!(after.size, size, "an outage does not count");
                        assert_eq!((after.worked, after.broke), (worked, broke));
                    } else {
                        assert_eq!((used, after), (1, before), "nothing is smaller than one");
                    }
                    let mut after = before;
                    after.passed(used, NO_TIME, limits);
                    assert!(
                        after.size >= size && after.size <= limits.max,
                        "a success never shrinks: {before:?} {used}"
                    );
                    if broke.is_some_and(|broke| used < broke) {
                        assert_eq!(after.size, size, "one success is not several: {before:?} {used}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_line_that_never_broke_takes_ever_more() {
    let limits = limits_of(500, 8000);
    let mut sizing = Sizing::new(limits);
    for expected in [1000, 2000, 4000, 8000, 8000] {
        sizing.passed(sizing.size(limits), NO_TIME, limits);
        assert_eq!(sizing.size(limits), expected);
    }
    sizing.passed(10, NO_TIME, limits);
    assert_eq!(sizing.size(limits), 8000, "a small one proves nothing, and is no reason for less");
    assert!(!sizing.is_limited());
}

#[test]
fn what_broke_is_halved_and_grows_by_a_little_after_several_successes() {
    let limits = limits_of(500, 8000);
    let mut sizing = Sizing::new(limits);
    let (_, thrown, tried) = over(150, 3000, &mut sizing, limits);
    assert_eq!(tried[..7], [500, 250, 125, 125, 125, 156, 125], "{tried:?}");
    assert!(thrown <= 4 * 150 + 150, "{thrown}: {tried:?}");
    assert!(sizing.is_limited());
}

#[test]
fn a_line_that_is_mended_is_used_in_full_again() {
    let limits = limits_of(500, 8000);
    let mut sizing = Sizing::new(limits);
    assert!(sizing.broke(500) && sizing.broke(250));
    let mut requests = 0;
    while sizing.size(limits) < 8000 {
        sizing.passed(sizing.size(limits), NO_TIME, limits);
        requests += 1;
        assert!(requests < 100);
    }
    assert!(!sizing.is_limited());
}

#[test]
fn an_outage_is_not_remembered_as_a_size() {
    let limits = limits_of(500, 8000);
    let mut sizing = Sizing::new(limits);
    sizing.passed(500, NO_TIME, limits);
    while sizing.broke(sizing.size(limits)) {}
    assert_eq!(sizing.size(limits), 1);
    sizing.gave_up();
    assert_eq!(sizing.size(limits), 1000);
}

#[test]
fn a_slow_line_gets_smaller_batches_but_not_tiny_ones() {
    let limits = limits_of(500, 8000);
    let minute = Duration::from_secs(60);
    let mut sizing = Sizing::new(limits);
    sizing.passed(500, minute, limits);
    assert_eq!(sizing.size(limits), 250);
    for _ in 0..9 {
        sizing.passed(sizing.size(limits), minute, limits);
    }
    assert_eq!(sizing.size(limits), 16);
    sizing.passed(1, minute, limits);
    assert_eq!(sizing.size(limits), 16, "one record that takes a minute says nothing of sixteen");
}

#[test]
fn settings_may_be_anything() {
    let config = SyncConfig {
        pull_records: 0,
        pull_records_max: 0,
        legacy_pull_records: 0,
        push_bytes_max: 0,
        ..SyncConfig::default()
    };
    let mut sizes = Sizes::default();
    for kind in [
        TransferKind::CentralPull,
        TransferKind::CentralPush,
        TransferKind::LegacyCentralData,
        TransferKind::LegacyQueue,
        TransferKind::LegacyPush,
    ] {
        assert_eq!(sizes.size(kind, &config), 1, "{kind:?}");
    }
    let small = SyncConfig { pull_records: 500, pull_records_max: 3, ..SyncConfig::default() };
    assert_eq!(Sizes::default().size(TransferKind::CentralPull, &small), 3);
}

#[test]
fn only_what_limits_is_kept_and_what_cannot_be_read_is_forgotten() {
    use crate::storage::{MemoryStorage, Storage as _};
    let config = SyncConfig::default();
    let storage = MemoryStorage::new();
    let mut sizes = Sizes::load(storage.read().unwrap().as_ref()).unwrap();
    sizes.passed(TransferKind::CentralPush, 5000, NO_TIME, &config);
    sizes.broke(TransferKind::CentralPull, 500, &config);
    sizes.passed(TransferKind::CentralPull, 250, NO_TIME, &config);
    let txn = storage.write().unwrap();
    sizes.store(txn.as_ref()).unwrap();
    txn.commit().unwrap();
    let mut kept = Sizes::load(storage.read().unwrap().as_ref()).unwrap();
    assert_eq!(kept.size(TransferKind::CentralPull, &config), 250);
    assert_eq!(kept.lines.central_push, None);

    let txn = storage.write().unwrap();
    LINES.as_text().set(txn.as_ref(), "{\"central_pull\":7}").unwrap();
    txn.commit().unwrap();
    let mut forgotten = Sizes::load(storage.read().unwrap().as_ref()).unwrap();
    assert_eq!(forgotten.size(TransferKind::CentralPull, &config), 500);
}

/// Central may read only a part of its changelog for each answer, so that a batch has few records, or none, and is not the
/// last: it shows nothing of what the line carries.
#[test]
fn a_batch_counts_for_the_records_that_came_and_not_for_those_that_were_asked_for() {
    let config = SyncConfig { pull_records: 64, ..SyncConfig::default() };
    let (mut sizes, mut batches) = (Sizes::default(), PullBatchSize::default());
    for broken in [64, 32, 16, 8, 4] {
        assert_eq!(u64::from(batches.next(&mut sizes, &config)), broken);
        assert!(sizes.broke(TransferKind::CentralPull, broken, &config));
    }
    for number in 1..1000 {
        let batch = ReadBatch {
            end_cursor: Cursor(number),
            total_records: 9,
            records: Vec::new(),
            is_last_batch: false,
            lost_history: Vec::new(),
            refused: Vec::new(),
            refused_up_to: None,
            copy_refused_at: None,
        };
        batches.note(&SizedBatch { batch, bytes: 80 }, NO_TIME, &mut sizes, &config);
        assert_eq!(batches.next(&mut sizes, &config), 2);
    }
}
