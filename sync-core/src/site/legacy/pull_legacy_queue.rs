//! The step Pull remote: reads the legacy server's queue for this site (`protocol-v5` §7.2).

use std::collections::HashSet;

use crate::address::shown;
use crate::error::{Error, Result, Server};
use crate::integrate::{Provenance, noting_failure, receive};
use crate::protocol::digest_of;
use crate::protocol::v5::{Acknowledged, QueuedRecord, ReadQueueBatch, UnreadableRecord, path};
use crate::protocol::v6::Action;
use crate::site::central::pull::from_legacy;
use crate::site::central::{outdated, recovery};
use crate::site::client::RetryLimits;
use crate::site::cycle::Cycle;
use crate::site::observer::Step;
use crate::site::sizing::{TransferKind, may_be_the_size};
use crate::storage::state::QueueTaken;
use crate::storage::{Source, state};
use crate::text::sentences::cycle as says;

/// How often an identical batch may come although it was acknowledged: an acknowledgement may have been lost.
const REPEATS_MAX: u32 = 3;

/// The most batches of one cycle beyond those that waited at its start, each as large as the first: entries that others
/// add meanwhile can wait for the next cycle.
const BATCHES_BEYOND: u64 = 20;

/// The result of an acknowledgement.
enum Acknowledgement {
    /// The server has it.
    Received,
    /// Its body broke; the queue is read again, and acknowledged in smaller parts.
    Split,
    /// The server may not have it; the queue is read and acknowledged again.
    Unconfirmed(Error),
}

/// The query for entries of the queue.
pub(crate) fn queue_query(limit: u64) -> String {
    format!("limit={limit}")
}

impl Cycle<'_, '_> {
    pub(crate) fn read_legacy_queue(&mut self) -> Result<()> {
        let mut done = 0;
        let mut most = None;
        let (mut before, mut repeats, mut unconfirmed) = (Vec::new(), 0, 0);
        // The entries acknowledged with gzip, until it is clear whether the server read that.
        let mut gzipped_ack: Option<String> = None;
        loop {
            let path = |limit| format!("{}?{}", path::QUEUED_RECORDS, queue_query(limit));
            let (batch, _, took): (ReadQueueBatch, _, _) =
                self.client.legacy_batch(&self.identity, TransferKind::LegacyQueue, path)?;
            self.client.sizes.passed(TransferKind::LegacyQueue, batch.data.len() as u64, took, &self.site.config);
            if batch.data.is_empty() {
                self.learn_gzip_support(&mut gzipped_ack, &[]);
                return recovery::legacy_is_recovered(self.site);
            }
            let (ids, versions) = (batch.sync_out_ids(), versions(&batch));
            self.learn_gzip_support(&mut gzipped_ack, &ids);
            repeats = if versions == before { repeats + 1 } else { 0 };
            let length = batch.queue_length.max(batch.data.len() as u64);
            let taken = batch.data.len() as u64;
            if repeats >= REPEATS_MAX || (ids.is_empty() && taken < length) {
                return Err(Error::QueueNotMoving);
            }
            if planted!(AcknowledgedBeforeStored) {
                let _ = self.acknowledge(&ids, &mut gzipped_ack)?;
            }
            noting_failure(self.site.storage.as_ref(), Source::Legacy, || self.take_queued(batch, &versions))?;
            if ids.is_empty() {
                // The rest of the queue cannot be acknowledged. It is kept here, and must not stop the site for ever.
                self.warn(says::queue_without_ids(taken, self.client.named(Server::Legacy)))?;
                return recovery::legacy_is_recovered(self.site);
            }
            // Only now, when the records are stored here, because the server then forgets them.
            if !planted!(AcknowledgedBeforeStored) {
                match self.acknowledge(&ids, &mut gzipped_ack)? {
                    Acknowledgement::Received => unconfirmed = 0,
                    Acknowledgement::Split => continue,
                    Acknowledgement::Unconfirmed(error) => {
                        unconfirmed += 1;
                        if unconfirmed >= self.site.config.attempts {
                            self.client.sizes.gave_up(TransferKind::LegacyPush);
                            return Err(error);
                        }
                        self.client.wait_again(Server::Legacy, error, unconfirmed)?;
                        continue;
                    }
                }
            }
            if repeats == 0 {
                done += taken;
                self.report.pulled += taken;
            }
            self.report_progress(Step::PullRemote, done, done + length.saturating_sub(taken))?;
            before = versions;
            // Counted in batches of the size that the server sends, which may be smaller than requested.
            if done >= *most.get_or_insert(length.saturating_add(BATCHES_BEYOND * taken)) {
                let left = length.saturating_sub(taken);
                return self.warn(says::queue_fills(self.client.named(Server::Legacy), left));
            }
            if self.over_budget() {
                return Ok(());
            }
        }
    }

    /// Acknowledges the stored records, in as many requests as the line needs. A request that may not have arrived is
    /// not repeated: the entries may have newer versions meanwhile, which the server would forget.
    fn acknowledge(&mut self, ids: &[String], gzipped_ack: &mut Option<String>) -> Result<Acknowledgement> {
        let mut left = ids;
        while !left.is_empty() {
            let room = self.client.sizes.size(TransferKind::LegacyPush, &self.site.config);
            let mut bytes = 0;
            let fits = |id: &&String| {
                bytes += id.len() as u64 + 4;
                bytes <= room
            };
            let count = left.iter().take_while(fits).count().clamp(1, left.len());
            let (now, after) = left.split_at(count);
            let bytes: u64 = now.iter().map(|id| id.len() as u64 + 4).sum();
            let acknowledged = Acknowledged { sync_ids: now.to_vec() };
            let retry = RetryLimits { is_divisible: count > 1, attempts: 1, is_shrunk: false };
            match self.send_acknowledgement(&acknowledged, bytes, retry, gzipped_ack) {
                Ok(()) => {}
                Err(error) if count > 1 && may_be_the_size(&error) => {
                    let may_be_smaller = self.client.shrink(TransferKind::LegacyPush, bytes, &error)?;
                    return if may_be_smaller { Ok(Acknowledgement::Split) } else { Err(error) };
                }
                Err(error) if crate::site::client::is_worth_trying_again(&error) => {
                    return Ok(Acknowledgement::Unconfirmed(error));
                }
                Err(error) => return Err(error),
            }
            left = after;
        }
        Ok(Acknowledgement::Received)
    }

    /// Sends an acknowledgement. A large one also tests whether the legacy server reads gzip: if it accepts it without
    /// understanding it, the same records come again, and nothing is lost.
    fn send_acknowledgement(
        &mut self,
        acknowledged: &Acknowledged,
        bytes: u64,
        retry: RetryLimits,
        gzipped_ack: &mut Option<String>,
    ) -> Result<()> {
        let url = shown(&self.identity.legacy_url);
        let is_worth_it = bytes >= self.site.config.gzip_from as u64 && gzipped_ack.is_none();
        if is_worth_it && self.client.sizes.legacy_reads_gzip(&url).is_none() {
            match self.client.legacy_notify_gzipped(&self.identity, path::ACKNOWLEDGED_RECORDS, acknowledged) {
                Ok(Some(())) => {
                    *gzipped_ack = acknowledged.sync_ids.first().cloned();
                    return Ok(());
                }
                Ok(None) => self.client.sizes.note_legacy_gzip(&url, false),
                Err(error) if may_be_the_size(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.client.legacy_notify(&self.identity, path::ACKNOWLEDGED_RECORDS, acknowledged, retry)
    }

    /// Learns whether the legacy server reads gzip: it does not if entries acknowledged with gzip are still in the queue.
    fn learn_gzip_support(&mut self, gzipped_ack: &mut Option<String>, ids: &[String]) {
        if let Some(id) = gzipped_ack.take() {
            let url = shown(&self.identity.legacy_url);
            self.client.sizes.note_legacy_gzip(&url, !ids.contains(&id));
        }
    }

    /// Stores a batch with these `versions`. Entries that were in the batch before are known: they come again if the
    /// acknowledgement was lost, and would undo a later edit. The server reads the records when it sends them, so an
    /// entry that comes again may have a newer version: that one is new.
    fn take_queued(&mut self, batch: ReadQueueBatch, versions: &[String]) -> Result<()> {
        let origin = self.identity.legacy_site_id;
        let provenance = Provenance::of_server(Source::Legacy, origin, &self.site.resolvers);
        let txn = self.site.storage.write()?;
        let QueueTaken(taken) = state::QUEUE_TAKEN.get(txn.as_ref())?;
        let taken: HashSet<&str> = taken.iter().map(String::as_str).collect();
        let id = |version: &str| version.split(' ').next().unwrap_or_default().to_owned();
        let is_known = |version: &str| match planted!(QueueKnownById) {
            true => taken.iter().any(|known| id(known) == id(version)),
            false => taken.contains(version),
        };
        // A batch may be a part of the one before, as on a line that breaks: the rest of that comes next. Of an entry
        // that comes with other data, only the new data count, because it may come with the former data again.
        let now: HashSet<_> = versions.iter().map(|version| id(version)).collect();
        let comes_again = |known: &&str| now.contains(&id(known));
        let mut known = versions.to_vec();
        if taken.iter().any(comes_again) {
            known.extend(taken.iter().filter(|known| !comes_again(known)).map(|known| (*known).to_owned()));
        }
        let new = batch.data.into_iter().zip(versions).filter(|(_, version)| !is_known(version));
        let incoming: Vec<_> = new.map(|(element, _)| from_legacy(element)).collect();
        outdated::yield_to_newer_at_legacy(self.site, txn.as_ref(), &incoming)?;
        let done = receive(txn.as_ref(), self.site.clock.now(), &provenance, incoming)?;
        state::QUEUE_TAKEN.set(txn.as_ref(), QueueTaken(known))?;
        txn.commit()?;
        self.count(&done);
        Ok(())
    }
}

/// Identifies each element of a batch in its version: a digest of its acknowledgement, and one of its whole content.
fn versions(batch: &ReadQueueBatch) -> Vec<String> {
    let version = |element: &Result<QueuedRecord, UnreadableRecord<String>>| match element {
        Ok(QueuedRecord { sync_out_id, table_name, record_id, action, record_data }) => {
            let kind = if *action == Action::Insert { Action::Update } else { *action };
            let kind = format!("{kind:?}");
            let all = [sync_out_id.as_str(), table_name.as_str(), record_id.as_str(), &kind, record_data.as_str()];
            format!("{} {}", digest_of(&[sync_out_id.as_str()]), digest_of(&all))
        }
        Err(bad) => {
            format!("{} {}", digest_of(&[bad.key.as_deref().unwrap_or_default()]), digest_of(&[bad.raw.as_str()]))
        }
    };
    batch.data.iter().map(version).collect()
}
