//! The real program, killed again and again: in the end, every acknowledged write is everywhere.
//!
//! Central and two sites are processes over SQLite files and talk over HTTP; hosts write into the same files meanwhile.
//! In each round a site's cycle runs and SIGKILL meets the site, central, or both. `OMS_KILL_ROUNDS` sets the number of
//! rounds, `OMS_KILL_SEED` the seed. A kill is no power cut: what the system has taken from a process it still writes.

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod host;
mod ledger;
mod line;
mod random;
mod tally;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};

use sync_core::storage::{Buffered, Quarantine, QuarantineCause, SqliteStorage, Storage as _};

use self::host::{Host, open};
use self::ledger::NAMES;
use self::random::Random;
use self::tally::Tally;
use self::world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A different seed each time, short enough to type.
fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    u64::from(since.subsec_nanos())
}

/// Worlds of a central and two sites that run beside each other, as a cycle is waiting for most of its time.
const WORLDS: u64 = 4;

#[test]
fn nothing_acknowledged_is_lost_whoever_is_killed() {
    let rounds = number("OMS_KILL_ROUNDS").unwrap_or(200);
    let seed = number("OMS_KILL_SEED").unwrap_or_else(fresh_seed);
    println!("OMS_KILL_SEED={seed} OMS_KILL_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let each = rounds.div_ceil(WORLDS * 2);
        let worlds: Vec<_> =
            (0..WORLDS).map(|_| random.fork()).map(|own| scope.spawn(move || run(own, each))).collect();
        for world in worlds {
            tally.add(&world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!("{tally}");
    tally.assert_most_kills_met_something(rounds);
}

/// So many rounds for each site of a world, and the verdict.
fn run(mut random: Random, rounds: u64) -> Tally {
    let world = World::new();
    let mut hosts: [Host; 3] = std::array::from_fn(|end| Host::new(end, random.fork()));
    let unkilled = world.measure(&mut hosts);

    let stop = AtomicBool::new(false);
    let (of_central, of_sites) = hosts.split_at_mut(1);
    std::thread::scope(|scope| {
        let (world, unkilled, stop) = (&world, &unkilled, &stop);
        let mut own = random.fork();
        let writing = scope.spawn(move || world.write_at_central(&mut of_central[0], &mut own, stop));
        let driving: Vec<_> = of_sites
            .iter_mut()
            .zip(1..)
            .map(|(host, site)| {
                let mut random = random.fork();
                scope.spawn(move || (0..rounds).for_each(|_| world.round(site, host, &mut random, unkilled)))
            })
            .collect();
        let driven: Vec<_> = driving.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::SeqCst);
        let ended = driven.into_iter().chain([writing.join()]);
        ended.for_each(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });

    world.settle();
    let paths = NAMES.map(|name| world.path(name));
    let ledger = world.stop();
    let tally = world.tally(&ledger);
    let differences = ledger.differences(&paths.each_ref().map(|path| open(path)));
    assert!(
        differences.is_empty(),
        "{} differences: {:#?}",
        differences.len(),
        &differences[..differences.len().min(5)]
    );
    for path in &paths {
        let storage = SqliteStorage::open_existing(path).expect("a database");
        let txn = storage.read().expect("a transaction");
        // Of simultaneous edits of a record at central and at a site, one yields and goes into quarantine.
        let gave_way = |(row, why): &(Buffered, Quarantine)| {
            why.cause == QuarantineCause::Superseded && row.incoming.id.as_str().starts_with("shared-")
        };
        let mut set_aside = txn.quarantined(0, usize::MAX).expect("the quarantine");
        set_aside.retain(|entry| !gave_way(entry));
        assert!(set_aside.is_empty(), "{path:?}: {set_aside:?}");
        assert!(txn.central().expect("central's part").integrations().expect("the queue").is_empty(), "{path:?}");
        drop(txn);
        drop(storage);
        assert_sound(path);
    }
    tally
}

/// SQLite's own checks of a database.
fn assert_sound(path: &std::path::Path) {
    let connection = rusqlite::Connection::open(path).expect("a database");
    let check: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("an answer");
    assert_eq!(check, "ok", "{path:?}");
    let violation = connection.query_row("PRAGMA foreign_key_check", (), |row| row.get::<_, String>(0));
    assert!(matches!(violation, Err(rusqlite::Error::QueryReturnedNoRows)), "{path:?}: {violation:?}");
}
