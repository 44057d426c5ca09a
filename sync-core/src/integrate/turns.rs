//! The queue of sites whose pushed records wait for integration.
//!
//! The storage holds the waiting sites, so a restart loses none. Memory holds only the progress of each, and the order
//! of turns: a turn is one transaction, and every waiting site has one in each round. A site that pushed a million
//! records delays another by one transaction, not by a million records.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::integrated::Integrated;
use super::provenance::Provenance;
use super::staged::StagedRun;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::record::SiteId;
use crate::storage::{ReadTxn, Storage, state};
use crate::write::PAUSE;

/// Shared by all threads that integrate; no two of them work for one site.
#[derive(Debug, Default)]
pub(crate) struct IntegrationQueue {
    state: Mutex<QueueState>,
    /// Has its own lock, so a push that adds its counts does not wait for a thread that reads the storage.
    done: Mutex<Integrated>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Sites that still have a turn in this round.
    round: VecDeque<SiteId>,
    /// Sites that have their turn now.
    busy: HashSet<SiteId>,
    /// The progress of sites that were not finished in their last turn.
    runs: HashMap<SiteId, StagedRun>,
}

impl IntegrationQueue {
    /// Integrates until only the work of other threads is left, or until it has to stop. A site whose records fail
    /// delays no other; its request stays.
    ///
    /// # Errors
    /// The first failure, once every other site is done.
    pub(crate) fn work(&self, storage: &dyn Storage, clock: &dyn Clock, goes_on: &dyn Fn() -> bool) -> Result<()> {
        let mut failed: Vec<(SiteId, Error)> = Vec::new();
        while goes_on() {
            let Some(turn) = self.next(storage, &failed)? else { break };
            let site = turn.site;
            if let Err(error) = turn.take(storage, clock) {
                failed.push((site, error));
            }
        }
        failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The result since this queue was made.
    pub(crate) fn done(&self) -> Integrated {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what was integrated outside of the turns.
    pub(crate) fn add(&self, done: &Integrated) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).add(done);
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, storage: &dyn Storage, failed: &[(SiteId, Error)]) -> Result<Option<SiteTurn<'_>>> {
        let mut state = self.lock();
        let mut site = state.next(failed);
        if site.is_none() {
            // The round is over. Sites that came meanwhile are in the next, oldest request first.
            let waiting = storage.read()?.central()?.integrations()?;
            let known: HashSet<SiteId> = waiting.iter().copied().collect();
            state.runs.retain(|site, _| known.contains(site));
            state.round = waiting.into();
            site = state.next(failed);
        }
        let Some(site) = site else { return Ok(None) };
        state.busy.insert(site);
        let run = state.runs.remove(&site).unwrap_or_default();
        Ok(Some(SiteTurn { queue: self, site, run }))
    }
}

impl QueueState {
    fn next(&mut self, failed: &[(SiteId, Error)]) -> Option<SiteId> {
        while let Some(site) = self.round.pop_front() {
            if !self.busy.contains(&site) && failed.iter().all(|(other, _)| *other != site) {
                return Some(site);
            }
        }
        None
    }
}

/// True if a site has pushed batches but not its last one.
fn is_push_open<T: ReadTxn + ?Sized>(txn: &T, site: SiteId) -> Result<bool> {
    state::OPEN_PUSH_OF_SITE.of(site).get(txn)
}

/// The turn of a site; ended when dropped, also by a panic.
struct SiteTurn<'q> {
    queue: &'q IntegrationQueue,
    site: SiteId,
    run: StagedRun,
}

impl SiteTurn<'_> {
    fn take(mut self, storage: &dyn Storage, clock: &dyn Clock) -> Result<()> {
        let provenance = Provenance::of_pushes(self.site);
        let source = provenance.source;
        let site = self.site;
        // A batch of a push may come before any of these transactions.
        let Some(slice) = self.run.slice(storage, clock, &provenance, &|txn| Ok(!is_push_open(txn, site)?))? else {
            let txn = storage.write()?;
            // A waiting record was woken in the middle of a push: the site's next batch must be accepted, and after the
            // last one everything is integrated. Otherwise records staged since then keep their request.
            if is_push_open(txn.as_ref(), site)?
                || txn.staged_tables(source)?.is_empty()
                || planted!(IntegrationFinishedEarly)
            {
                txn.central()?.finish_integration(site)?;
            }
            return txn.commit();
        };
        self.queue.add(&slice.done);
        self.queue.lock().runs.insert(self.site, std::mem::take(&mut self.run));
        if slice.is_full {
            clock.sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for SiteTurn<'_> {
    fn drop(&mut self) {
        self.queue.lock().busy.remove(&self.site);
    }
}
