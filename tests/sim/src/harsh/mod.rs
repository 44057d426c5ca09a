//! The third kind of world: as harsh as the field. Lines carry little at a time, neighbours are hostile, machines are
//! replaced, releases rise, and people do what they should not.

mod files;
mod line;
mod machines;
mod neighbour;
mod neighbour_types;
mod neighbour_v5;
mod people;
mod rate;
mod releases;
mod swarm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

pub(crate) use people::POISON;
pub use rate::Rate;
pub use swarm::{HarshSwarm, Narrow};

use line::Bytes;
use machines::Passwords;

/// How often others push in the midst of central's work, at most.
const CROWD: u32 = 40;

/// What is harsh in a world, and the judge's book of it.
pub(crate) struct Harsh {
    pub swarm: HarshSwarm,
    bytes: Mutex<Vec<Bytes>>,
    /// How far the hostile neighbour has counted what it pushed.
    neighbours_cursor: Mutex<u64>,
    /// The sites of an older release, and the release.
    releases: Mutex<BTreeMap<usize, &'static str>>,
    passwords: Mutex<BTreeMap<usize, Passwords>>,
    /// How often others may still push in the midst of central's work.
    crowd_left: Mutex<u32>,
    /// The rows of central's changelog that are gone; each was the newest.
    newest_gone: Mutex<BTreeSet<u64>>,
    /// Whether a line that ends with the chaos is as it was, so that it is seen what comes through all the same.
    line_stays: AtomicBool,
    /// By site the cursor and the number of records of its last batch, if that took too long over a line by rate.
    slow_pulls: Mutex<BTreeMap<usize, (u64, u64)>>,
}

impl Harsh {
    pub(crate) fn new(swarm: HarshSwarm) -> Self {
        let (bytes, neighbours_cursor, releases, passwords) = Default::default();
        let (crowd_left, newest_gone, line_stays) = (Mutex::new(CROWD), Mutex::default(), AtomicBool::new(false));
        let slow_pulls = Mutex::default();
        Self { swarm, bytes, neighbours_cursor, releases, passwords, crowd_left, newest_gone, line_stays, slow_pulls }
    }

    /// Whether the newest row of central's changelog was ever gone.
    pub(crate) fn has_newest_gone(&self) -> bool {
        self.swarm.newest_gone
    }

    /// In how many rounds all must be quiet: over a line that carries little at a time a round brings little.
    pub(crate) fn rounds(&self) -> usize {
        if self.swarm.narrow.is_some() || !self.swarm.rates.is_empty() { 40 } else { 14 }
    }
}
