//! The number of requests of one site in work at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sync_core::record::SiteId;
use tokio::sync::Semaphore;

/// The most requests of one site in work at once; more wait. One with a large answer counts as all of them.
pub(super) const OF_ONE_SITE: u32 = 2;
/// The unit of memory.
pub(super) const UNIT: usize = 1024;
/// The number of sites that are remembered before unused ones are removed.
const TURNS_MAX: usize = 1000;

/// The turns of all sites.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<SiteId, Arc<Semaphore>>>);

impl Turns {
    pub(super) fn of(&self, site: SiteId) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= TURNS_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(site).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_SITE as usize))).clone()
    }
}
