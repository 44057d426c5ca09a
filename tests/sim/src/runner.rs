//! Runs many seeds on several threads, each seed on one of them, until one breaks a promise or the time is over.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::aim::Aim;
use crate::lock;
use crate::run::{Kind, Options, Verdict, run};
use crate::swarm::Fault;

/// Every so many seeds, one runs over SQLite.
const SQLITE_EVERY: u64 = 20;

/// A seed that is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    /// Its number.
    pub number: u64,
    /// Whether its ends keep what they have in SQLite files.
    pub sqlite: bool,
    /// Whether its central server keeps what it has on a PostgreSQL server.
    pub postgres: bool,
    /// What kind of world it plays.
    pub kind: Kind,
}

impl Seed {
    /// A seed in the storage that is its own, unless SQLite is asked for.
    pub fn new(number: u64, sqlite: bool) -> Self {
        let sqlite = sqlite || number % SQLITE_EVERY == SQLITE_EVERY - 1;
        Self { number, sqlite, postgres: false, kind: Kind::default() }
    }

    /// The same with central on a PostgreSQL server or not.
    #[must_use]
    pub fn on_postgres(self, postgres: bool) -> Self {
        Self { postgres, ..self }
    }

    /// The same number for another kind of world.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Runs it.
    pub fn run(self, trace: bool) -> Verdict {
        run(self.number, Options { sqlite: self.sqlite, postgres: self.postgres, trace, kind: self.kind })
    }

    /// The one command that runs it again.
    pub fn command(self) -> String {
        let sqlite = if self.sqlite { " --sqlite" } else { "" };
        let postgres = if self.postgres { " --postgres" } else { "" };
        let (number, kind) = (self.number, self.kind.flags());
        format!("cargo run --release -p sync-sim -- --seed {number} --trace{sqlite}{postgres}{kind}")
    }
}

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// The seeds that ran.
    pub seeds: u64,
    /// How many of them over SQLite.
    pub sqlite: u64,
    /// The things that happened in them.
    pub events: u64,
    /// The faults of each kind.
    pub faults: [u64; Fault::ALL.len()],
    /// The seeds that broke a promise, with what they broke.
    pub broken: BTreeMap<Seed, Verdict>,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    fn add(&mut self, seed: Seed, verdict: Verdict) {
        self.seeds += 1;
        self.sqlite += u64::from(seed.sqlite);
        self.events += verdict.events;
        for (sum, faults) in self.faults.iter_mut().zip(verdict.faults) {
            *sum += faults;
        }
        if !verdict.violations.is_empty() {
            self.broken.insert(seed, verdict);
        }
    }
}

/// Runs seeds, given by their place, until one breaks a promise (unless `all` are wanted), there are no more, or the time
/// is over.
pub fn run_all(threads: usize, time: Option<Duration>, all: bool, seed: impl Fn(u64) -> Option<Seed> + Sync) -> Tally {
    let began = Instant::now();
    let tally = Mutex::new(Tally::default());
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        while !stop.load(Relaxed) && time.is_none_or(|time| began.elapsed() < time) {
            let Some(seed) = seed(next.fetch_add(1, Relaxed)) else { return };
            let verdict = seed.run(false);
            if !verdict.violations.is_empty() && !all {
                stop.store(true, Relaxed);
            }
            lock(&tally).add(seed, verdict);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut tally = tally.into_inner().unwrap_or_default();
    tally.took = began.elapsed();
    tally
}

/// The seeds that once broke a promise: a number a line, `sqlite` if it ran there, `legacy` if the world has a legacy
/// server, `files` if it has files, `harsh` if it is harsh, `aim=WORD` if it aims at something, and why.
pub fn kept() -> Vec<Seed> {
    let aim = |word: &str| Aim::of_word(word.strip_prefix("aim=")?);
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let marks: Vec<&str> = words
            .take_while(|word| matches!(*word, "sqlite" | "legacy" | "files" | "harsh") || aim(word).is_some())
            .collect();
        let is = |mark: &str| marks.contains(&mark);
        let aim = marks.iter().find_map(|mark| aim(mark));
        let kind = Kind { legacy: is("legacy"), files: is("files"), harsh: is("harsh"), aim };
        Some(Seed { number, sqlite: is("sqlite"), postgres: false, kind })
    });
    seeds.collect()
}
