//! Pull remote: the queue that the legacy server keeps for this site (`protocol-v5` §7.2).

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::cycle::Cycle;
use super::observer::Step;
use super::pull::from_legacy;
use super::restored;
use crate::error::{Error, Result};
use crate::integrate::{Door, noting_failure, receive};
use crate::protocol::hex;
use crate::protocol::v5::{Acknowledged, QueuedRecord, ReadQueueBatch, UnreadableRecord, path};
use crate::protocol::v6::Action;
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
                return restored::legacy_is_recovered(self.site);
            }
            let (ids, versions) = (batch.sync_out_ids(), versions(&batch));
            repeats = if versions == before { repeats + 1 } else { 0 };
            if repeats >= REPEATS_MAX || ids.is_empty() {
                return Err(Error::QueueNotMoving);
            }
            let length = batch.queue_length.max(batch.data.len() as u64);
            let taken = batch.data.len() as u64;
            let acknowledged = Acknowledged { sync_ids: ids };
            if planted!(AcknowledgedBeforeStored) {
                self.client.legacy_tell(&self.identity, path::ACKNOWLEDGED_RECORDS, &acknowledged)?;
            }
            noting_failure(self.site.storage.as_ref(), Source::Legacy, || self.take_queued(batch, &versions))?;
            // Only now, when the records are safe here: the server forgets them.
            if !planted!(AcknowledgedBeforeStored) {
                self.client.legacy_tell(&self.identity, path::ACKNOWLEDGED_RECORDS, &acknowledged)?;
            }
            if repeats == 0 {
                done += taken;
                self.report.pulled += taken;
            }
            self.progress(Step::PullRemote, done, done + length.saturating_sub(taken))?;
            before = versions;
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

    /// Takes a batch of these `versions`. What was in the one before is here: it comes again where the acknowledgement was
    /// lost, and an edit made since would be undone by it. The server looks the records up when it sends them, so the same
    /// entry of the queue may bring a newer version the next time: that one is not here yet.
    fn take_queued(&mut self, batch: ReadQueueBatch, versions: &[String]) -> Result<()> {
        let door = Door { source: Source::Legacy, origin: self.identity.legacy_site_id };
        let txn = self.site.storage.write()?;
        let taken = txn.state(key::QUEUE_TAKEN)?.unwrap_or_default();
        let taken: HashSet<&str> = taken.lines().collect();
        let id = |version: &str| version.split(' ').next().unwrap_or_default().to_owned();
        let is_known = |version: &str| match planted!(QueueKnownById) {
            true => taken.iter().any(|known| id(known) == id(version)),
            false => taken.contains(version),
        };
        let new = batch.data.into_iter().zip(versions).filter(|(_, version)| !is_known(version));
        let incoming: Vec<_> = new.map(|(element, _)| from_legacy(element)).collect();
        restored::give_way_to_legacy(self.site, txn.as_ref(), &incoming)?;
        let done = receive(txn.as_ref(), self.site.clock.now(), &door, incoming)?;
        txn.set_state(key::QUEUE_TAKEN, &versions.join("\n"))?;
        txn.commit()?;
        self.count(done);
        Ok(())
    }
}

/// What tells each element of a batch, in its version, from every other: a digest of what it is acknowledged by, and one of
/// all of it.
fn versions(batch: &ReadQueueBatch) -> Vec<String> {
    let digest = |parts: &[&str]| {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        hex(&digest.finalize()[..16])
    };
    let version = |element: &Result<QueuedRecord, UnreadableRecord<String>>| match element {
        Ok(QueuedRecord { sync_out_id, table_name, record_id, action, record_data }) => {
            let kind = if *action == Action::Insert { Action::Update } else { *action };
            let kind = format!("{kind:?}");
            let all = [sync_out_id.as_str(), table_name.as_str(), record_id.as_str(), &kind, record_data.as_str()];
            format!("{} {}", digest(&[sync_out_id.as_str()]), digest(&all))
        }
        Err(bad) => format!("{} {}", digest(&[bad.key.as_deref().unwrap_or_default()]), digest(&[bad.raw.as_str()])),
    };
    batch.data.iter().map(version).collect()
}
