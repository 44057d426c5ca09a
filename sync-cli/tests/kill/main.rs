//! The real program, killed again and again: in the end, every acknowledged write is everywhere.
//!
//! Central and two sites are processes over SQLite files and talk over HTTP; hosts write into the same files meanwhile.
//! In each round a site's cycle runs and SIGKILL meets the site, central, or both. `OMS_KILL_ROUNDS` sets the number of
//! rounds, `OMS_KILL_SEED` the seed. A kill is no power cut: what the system has taken from a process it still writes.
//!
//! The same again with two central servers on one PostgreSQL database, which get the requests in turn: one of them is killed or
//! hangs, or all connections to the database are cut.

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

use sync_core::storage::{Buffered, Quarantine, QuarantineCause};
use sync_testkit::{PostgresServer, TestDatabase};

use self::host::Host;
use self::ledger::{CENTRAL, NAMES};
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
    let tally = in_worlds(WORLDS, rounds, || None);
    tally.assert_most_kills_met_something(rounds);
}

#[test]
fn nothing_acknowledged_is_lost_by_two_servers_on_one_database() {
    let Some(server) = PostgresServer::of_this_process() else { return };
    let rounds = number("OMS_KILL_ROUNDS").unwrap_or(16);
    let tally = in_worlds(2, rounds, || Some(server.new_database()));
    tally.assert_some_kills_met_something();
}

/// So many rounds in these worlds together.
fn in_worlds(worlds: u64, rounds: u64, database: impl Fn() -> Option<TestDatabase>) -> Tally {
    let seed = number("OMS_KILL_SEED").unwrap_or_else(fresh_seed);
    println!("OMS_KILL_SEED={seed} OMS_KILL_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let each = rounds.div_ceil(worlds * 2);
        let random: Vec<_> = (0..worlds).map(|_| (random.fork(), database())).collect();
        let worlds: Vec<_> =
            random.into_iter().map(|(own, database)| scope.spawn(move || run(own, database, each))).collect();
        for world in worlds {
            tally.add(&world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!("{tally}");
    tally
}

/// So many rounds for each site of a world, and the verdict.
fn run(mut random: Random, database: Option<TestDatabase>, rounds: u64) -> Tally {
    let world = World::new(database);
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
    let ledger = world.stop();
    let tally = world.tally(&ledger);
    let differences = ledger.differences(&std::array::from_fn(|end| world.records(end)));
    assert!(
        differences.is_empty(),
        "{} differences: {:#?}",
        differences.len(),
        &differences[..differences.len().min(5)]
    );
    for (end, name) in NAMES.iter().enumerate() {
        let storage = world.storage(end);
        let txn = storage.read().expect("a transaction");
        // Of simultaneous edits of a record at central and at a site, one yields and goes into quarantine.
        let gave_way = |(row, why): &(Buffered, Quarantine)| {
            why.cause == QuarantineCause::Superseded && row.incoming.id.as_str().starts_with("shared-")
        };
        let mut set_aside = txn.quarantined(0, usize::MAX).expect("the quarantine");
        set_aside.retain(|entry| !gave_way(entry));
        assert!(set_aside.is_empty(), "{name}: {set_aside:?}");
        assert!(txn.central().expect("central's part").integrations().expect("the queue").is_empty(), "{name}");
        drop(txn);
        drop(storage);
        match world.database().filter(|_| end == CENTRAL) {
            None => assert_sound(&world.path(name)),
            Some(database) => {
                // Nothing is staged any more, and no cursor was used twice or lies beyond the newest.
                let found = database.sql(
                    "SELECT (SELECT count(*) FROM sync_buffer WHERE state = 'staged'), \
                     count(*) - count(DISTINCT cursor), max(cursor) <= (SELECT newest FROM sync_position) \
                     FROM sync_changelog",
                );
                assert_eq!(found, "0|0|t");
            }
        }
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
