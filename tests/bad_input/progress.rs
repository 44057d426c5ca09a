//! Answers that lead on without records, that do not lead on, or that never end.

use sync_core::record::NameId;
use sync_core::storage::MemoryStorage;
use sync_core::{NoopObserver, SyncOptions, SyncOutcome};

use super::peer::{batch, class, element, made};
use super::{Bench, PULL, assert_error};

const PATIENT_PULL: &str = "/central/sync/patient-pull";

#[test]
fn a_changelog_that_does_not_move_is_an_error_and_moves_nothing() {
    let bench = Bench::new();
    bench.plant("x");
    bench.sync_well();
    for (number, (what, reply)) in [
        ("records from before, not the last", made(|from| batch(from - 1, &[element(from - 1, &class("o"))], false))),
        ("no records and no progress", made(|from| batch(from - 1, &[], false))),
        ("an end at zero, not the last", made(|_| batch(0, &[], false))),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("{number}");
        bench.plant(&id);
        let before = bench.cursors();
        bench.server.always(PULL, reply);
        let report = bench.sync();
        assert_error(what, report.error.as_ref().unwrap(), "no_progress", "peer_fault");
        assert_eq!(bench.cursors().0, before.0, "{what}");
        bench.assert_heals(what, &id);
    }
}

/// It has nothing more; what it repeats is stored again.
#[test]
fn a_server_that_repeats_its_last_batch_is_at_its_end() {
    let bench = Bench::new();
    bench.plant("x");
    bench.sync_well();
    let before = bench.cursors();
    bench.server.always(PULL, made(|from| batch(from - 1, &[element(from - 1, &class("o"))], true)));
    for _ in 0..2 {
        bench.sync_well();
        assert!(bench.site_has("asset_class", "o"));
        assert_eq!(bench.cursors().0, before.0);
    }
}

/// Both begin at the beginning, and move no cursor.
#[test]
fn a_patient_pull_or_an_audit_that_does_not_move_is_an_error() {
    let bench = Bench::new();
    bench.plant("x");
    bench.sync_well();
    let before = bench.cursors();
    let stuck = || made(|from| batch(from.max(7) - 1, &[], false));
    bench.server.always(PATIENT_PULL, stuck());
    let pulled = bench.site.pull_patient(&NameId::from("p"), &mut NoopObserver).unwrap();
    assert_error("a patient", pulled.error.as_ref().unwrap(), "no_progress", "peer_fault");
    bench.server.always(PULL, stuck());
    let audit = bench.site.support().audit(&MemoryStorage::new(), &mut NoopObserver);
    assert_error("an audit", &audit.unwrap_err(), "no_progress", "peer_fault");
    assert_eq!(bench.cursors(), before);
    bench.server.heal();
    bench.sync_well();
}

/// A server that goes through a large part of its changelog of which nothing is for this site.
#[test]
fn long_runs_of_batches_without_records_are_progress() {
    let bench = Bench::new();
    bench.sync_well();
    let (from, run) = (bench.pull_cursor().0, 250);
    let of_the_end = class("behind_the_run");
    let answer = move |asked| match asked - from {
        behind if behind < run => batch(asked, &[], false),
        behind if behind == run => batch(asked, &[element(asked, &of_the_end)], true),
        _ => batch(asked - 1, &[], true),
    };
    let of_patient = class("of_a_patient_behind_the_run");
    let patients = move |asked| match asked < run {
        true => batch(asked, &[], false),
        false => batch(asked, &[element(asked, &of_patient)], true),
    };
    bench.server.always(PATIENT_PULL, made(patients));
    let pulled = bench.site.pull_patient(&NameId::from("p"), &mut NoopObserver).unwrap();
    assert!(pulled.error.is_none(), "{:?}", pulled.error);
    assert!(bench.site_has("asset_class", "of_a_patient_behind_the_run"));
    bench.server.always(PULL, made(answer));
    let audit = bench.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
    assert!(audit.requests > run, "{audit:?}");
    bench.sync_well();
    assert!(bench.site_has("asset_class", "behind_the_run"));
    assert_eq!(bench.pull_cursor().0, from + run + 1);
}

#[test]
fn batches_without_records_and_without_end_end_with_the_cycle() {
    let bench = Bench::new();
    bench.plant("x");
    bench.server.always(PULL, made(|from| batch(from, &[], false)));
    let options = SyncOptions::default().max_bytes(60_000);
    let report = bench.site.sync(&options, &mut NoopObserver).unwrap();
    assert_eq!(report.outcome, SyncOutcome::Partial, "{:?}", report.error);
}

/// Records without end cannot be told from many records: the cycle takes what it gets, within the limits it was given.
#[test]
fn records_without_end_are_taken_up_to_the_limit_of_the_cycle() {
    let bench = Bench::new();
    bench.server.always(PULL, made(|from| batch(from, &[element(from, &class(&format!("n{from}")))], false)));
    let options = SyncOptions::default().max_bytes(20_000);
    let report = bench.site.sync(&options, &mut NoopObserver).unwrap();
    assert_eq!(report.outcome, SyncOutcome::Partial);
    assert!(report.pulled > 5 && report.pulled == report.integrated, "{} {}", report.pulled, report.integrated);
    assert_eq!(bench.count("asset_class"), report.integrated);
    bench.server.heal();
    bench.sync_well();
}
