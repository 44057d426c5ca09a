//! A fixed set of seeds, the kept ones, and what makes both worth something.

use std::collections::BTreeSet;

use sync_sim::aim::Aim;
use sync_sim::run::{Kind, Options, run};
use sync_sim::runner::{Seed, kept, run_all};
use sync_sim::swarm::{Fault, Swarm};
use sync_testkit::PostgresServer;

fn hold(seeds: &[Seed]) {
    let tally = run_all(4, None, false, |place| seeds.get(usize::try_from(place).ok()?).copied());
    if let Some((seed, verdict)) = tally.broken.first_key_value() {
        panic!("seed {}: {}\nagain: {}", seed.number, verdict.violations[0], seed.command());
    }
    assert_eq!(tally.seeds, seeds.len() as u64);
}

#[test]
fn kept_seeds_hold_all_promises() {
    hold(&kept());
}

#[test]
fn sixty_seeds_hold_all_promises() {
    let seeds: Vec<Seed> =
        (1..=60).map(|number| Seed { number, sqlite: false, postgres: false, kind: Kind::default() }).collect();
    hold(&seeds);
}

#[test]
fn five_seeds_hold_all_promises_over_sqlite() {
    let seeds: Vec<Seed> =
        (101..=105).map(|number| Seed { number, sqlite: true, postgres: false, kind: Kind::default() }).collect();
    hold(&seeds);
}

#[test]
fn four_seeds_hold_all_promises_with_central_on_postgresql() {
    if PostgresServer::of_this_process().is_some() {
        let seeds: Vec<Seed> = (1..=4).map(|number| Seed::new(number, false).on_postgres(true)).collect();
        hold(&seeds);
    }
}

#[test]
fn forty_seeds_with_a_legacy_server_hold_all_promises() {
    let kind = Kind { legacy: true, ..Kind::default() };
    let seeds: Vec<Seed> = (1..=40).map(|number| Seed::new(number, false).of_kind(kind)).collect();
    hold(&seeds);
}

/// A legacy half in which nothing happens finds nothing.
#[test]
fn everything_that_may_happen_at_a_legacy_server_does() {
    let happens = [
        "into item-",
        "into patient-",
        "into name-of-facility-",
        "into clinician-",
        "(CentralLog)",
        "(Queues)",
        "the staff write item",
        "the staff delete item",
        "the staff write name",
        "the staff join",
        "the staff edit",
        "the staff delete transact",
        "moves to site",
        "the legacy server is slow",
        "AcknowledgementsLost",
        "Window",
        "OutOfOrder",
        "IntegrationNotStarted",
        "AnswerLost",
        "Unheard",
        "Refuse(",
        "site-1 writes transact",
        "site-1 died",
        "central died",
    ];
    let mut left: BTreeSet<&str> = happens.into();
    for number in 1..=60 {
        let kind = Kind { legacy: true, ..Kind::default() };
        let verdict = run(number, Options { kind, trace: true, ..Options::default() });
        left.retain(|what| !verdict.trace.iter().any(|line| line.contains(what)));
    }
    assert!(left.is_empty(), "never happened: {left:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for (number, sqlite) in [(3, false), (7, false), (11, false), (19, false), (23, true)] {
        let kind = Kind { legacy: number == 19, files: number > 7, harsh: number > 11, aim: None };
        let options = Options { sqlite, postgres: false, trace: true, kind };
        let (first, second) = (run(number, options), run(number, options));
        let differs = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {number}");
        assert_eq!((first.hash, first.trace.len()), (second.hash, second.trace.len()), "seed {number}");
        assert!(first.trace.len() > 20, "seed {number}");
    }
}

#[test]
fn memory_and_sqlite_are_one_to_the_engine() {
    for number in [2, 5, 13] {
        // Without a restore: that is not noticed in the very same way.
        let mut swarm = Swarm::of(number);
        swarm.without(Fault::SiteRestored);
        swarm.without(Fault::CentralRestored);
        let run = |sqlite| {
            sync_sim::run::run_with(number, swarm.clone(), Options { sqlite, trace: true, ..Options::default() })
        };
        let (memory, file) = (run(false), run(true));
        let differs = memory.trace.iter().zip(&file.trace).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {number}");
    }
}

/// A simulator in which nothing happens finds nothing.
#[test]
fn everything_that_may_happen_does() {
    let mut faults = [0; Fault::ALL.len()];
    let mut written = BTreeSet::new();
    let mut faultless = 0;
    for number in 1..=60 {
        faultless += u32::from(Swarm::of(number).is_faultless());
        let verdict = run(number, Options::default());
        written.extend(verdict.written);
        for (sum, count) in faults.iter_mut().zip(verdict.faults) {
            *sum += count;
        }
    }
    for (fault, count) in Fault::ALL.iter().zip(faults) {
        assert!(count > 0, "{fault:?} never happened");
    }
    assert!(faultless > 0);
    for kind in sync_core::record::record_types().iter().filter(|kind| kind.removed.is_none()) {
        let (by_central, by_site) = (written.contains(&(kind.table, true)), written.contains(&(kind.table, false)));
        let central_may = kind.table != "contact_form" && kind.table != "name_store_join";
        assert!(by_central || by_site, "nobody wrote a {}", kind.table);
        assert!(!kind.pushed || by_site, "no site wrote a {}", kind.table);
        assert!(kind.pushed || !central_may || by_central, "central wrote no {}", kind.table);
    }
}

/// Slow lines, ends of Open mSupply and machines that are replaced: all promises hold, and each of these happens.
#[test]
fn worlds_of_slow_lines_older_ends_and_other_machines_hold_all_promises() {
    let mut left: BTreeSet<&str> = [
        "the line broke",
        "no byte moved for three minutes",
        "central has release",
        "central gets a newer release",
        "site-1 has release",
        "goes on on another machine",
        "is set up elsewhere: Err(\"hardware_id_mismatch\")",
        "begins anew on an empty disk",
    ]
    .into();
    for aim in [Aim::Rates, Aim::OlderSites, Aim::OlderCentral, Aim::Hardware] {
        for number in 1..=17 {
            let verdict = run(number, Options { kind: aim.kind(), trace: true, ..Options::default() });
            assert_eq!(verdict.violations, [], "seed {number} with --aim {}", aim.word());
            left.retain(|what| !verdict.trace.iter().any(|line| line.contains(what)));
        }
    }
    assert!(left.is_empty(), "never happened: {left:?}");
}

#[test]
fn threads_that_push_and_integrate_at_once_lose_nothing() {
    for seed in 1..=12 {
        assert_eq!(sync_sim::threads::run(seed, seed % 6 == 0, &|| {}), Vec::<String>::new(), "seed {seed}");
    }
}
