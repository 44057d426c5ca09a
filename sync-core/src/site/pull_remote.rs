//! Pull remote: the queue that the legacy server keeps for this site (`protocol-v5` §7.2).

use std::collections::HashSet;

use super::cycle::Cycle;
use super::identity::flag;
use super::observer::Step;
use super::pull::from_legacy;
use super::restored;
use crate::error::{Error, Result};
use crate::integrate::{Door, receive};
use crate::protocol::v5::{Acknowledged, QueuedRecord, ReadQueueBatch, UnreadableRecord, path};
use crate::storage::{Source, key};
use crate::texts::sentences::cycle as says;

/// Records asked for in one batch.
const LIMIT: u32 = 500;

/// How often the very same batch may come although it was acknowledged: an acknowledgement may have been lost.
const REPEATS_MAX: u32 = 3;

/// The most batches of one cycle beyond what waited at its beginning: what others write meanwhile can wait for the next.
const BATCHES_BEYOND: u64 = 20;

impl Cycle<'_, '_> {
    pub(super) fn pull_remote(&mut self) -> Result<()> {
        let mut done = 0;
        let mut batches = 0;
        let mut batches_max = None;
        let (mut before, mut repeats) = (Vec::new(), 0);
        loop {
            let path = format!("{}?limit={LIMIT}", path::QUEUED_RECORDS);
            let batch: ReadQueueBatch = self.client.legacy_get(&self.identity, &path)?;
            if batch.data.is_empty() {
                self.queue_is_read()?;
                return restored::legacy_is_recovered(self.site);
            }
            let ids = batch.sync_out_ids();
            repeats = if ids == before { repeats + 1 } else { 0 };
            if repeats >= REPEATS_MAX || ids.is_empty() {
                return Err(Error::QueueNotMoving);
            }
            let length = batch.queue_length.max(batch.data.len() as u64);
            let taken = batch.data.len() as u64;
            let acknowledged = Acknowledged { sync_ids: ids.clone() };
            if planted!(AcknowledgedBeforeStored) {
                self.client.legacy_tell(&self.identity, path::ACKNOWLEDGED_RECORDS, &acknowledged)?;
            }
            self.take_queued(batch, &ids)?;
            // Only now, when the records are safe here: the server forgets them.
            if !planted!(AcknowledgedBeforeStored) {
                self.client.legacy_tell(&self.identity, path::ACKNOWLEDGED_RECORDS, &acknowledged)?;
            }
            if repeats == 0 {
                done += taken;
                self.report.pulled += taken;
            }
            self.progress(Step::PullRemote, done, done + length.saturating_sub(taken))?;
            before = ids;
            batches += 1;
            // By what the server gives at once, which may be less than it is asked for.
            let most = *batches_max.get_or_insert(length.div_ceil(taken) + BATCHES_BEYOND);
            if batches >= most {
                let left = length.saturating_sub(taken);
                return self.warn(says::queue_fills(left));
            }
            if self.over_budget() {
                return Ok(());
            }
        }
    }

    /// The queue holds nothing that is older than what was sent, once that is integrated.
    fn queue_is_read(&self) -> Result<()> {
        let is_over = {
            let txn = self.site.storage.read()?;
            flag(txn.as_ref(), key::QUEUE_UNREAD)? && !flag(txn.as_ref(), key::PUSH_UNCONFIRMED_LEGACY)?
        };
        if is_over {
            let txn = self.site.storage.write()?;
            txn.set_state(key::QUEUE_UNREAD, "0")?;
            txn.commit()?;
        }
        Ok(())
    }

    /// Takes a batch that is acknowledged by these `ids`. What was in the one before is here: it comes again where the
    /// acknowledgement was lost, and an edit made since would be undone by it.
    fn take_queued(&mut self, batch: ReadQueueBatch, ids: &[String]) -> Result<()> {
        let door = Door { source: Source::Legacy, stores: Vec::new(), origin: self.identity.legacy_site_id };
        let txn = self.site.storage.write()?;
        let taken = txn.state(key::QUEUE_TAKEN)?.unwrap_or_default();
        let taken: HashSet<&str> = taken.lines().collect();
        let is_new = |element: &Result<QueuedRecord, UnreadableRecord<String>>| match element {
            Ok(record) => !taken.contains(record.sync_out_id.as_str()),
            Err(bad) => bad.key.as_deref().is_none_or(|id| !taken.contains(id)),
        };
        let incoming: Vec<_> = batch.data.into_iter().filter(is_new).map(from_legacy).collect();
        restored::give_way_to_legacy(self.site, txn.as_ref(), &incoming)?;
        let done = receive(txn.as_ref(), self.site.clock.now(), &door, incoming)?;
        txn.set_state(key::QUEUE_TAKEN, &ids.join("\n"))?;
        txn.commit()?;
        self.count(done);
        Ok(())
    }
}
