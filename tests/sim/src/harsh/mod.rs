//! The third kind of world: as harsh as the field. Lines carry little at a time, neighbours are hostile, machines are
//! replaced, releases rise, and people do what they should not.

mod line;
mod neighbour;
mod people;
mod swarm;

use std::sync::Mutex;

pub use swarm::{HarshSwarm, Narrow};

use line::Bytes;

/// What is harsh in a world, and the judge's book of it.
pub(crate) struct Harsh {
    pub swarm: HarshSwarm,
    bytes: Mutex<Vec<Bytes>>,
    /// How far the hostile neighbour has counted what it pushed.
    neighbours_cursor: Mutex<u64>,
}

impl Harsh {
    pub(crate) fn new(swarm: HarshSwarm) -> Self {
        Self { swarm, bytes: Mutex::default(), neighbours_cursor: Mutex::default() }
    }

    /// In how many rounds all must be quiet: over a line that carries little at a time a round brings little.
    pub(crate) fn rounds(&self) -> usize {
        if self.swarm.narrow.is_some() { 40 } else { 14 }
    }
}
