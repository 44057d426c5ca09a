//! The number of requests of one site, or of one address, in work at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// The most requests of one site in work at once; more wait. One with a large answer counts as all of them.
pub(super) const OF_ONE_SITE: u32 = 2;
/// The unit of memory.
pub(super) const UNIT: usize = 1024;
/// The number of owners that are remembered before unused ones are removed.
const TURNS_MAX: usize = 1000;

/// The turns of all owners.
pub(super) struct Turns<K> {
    at_once: usize,
    of_each: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> Turns<K> {
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, of_each: Mutex::default() }
    }

    pub(super) fn of(&self, owner: K) -> Arc<Semaphore> {
        let mut turns = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= TURNS_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))).clone()
    }
}
