//! Push V6: sends local edits to central, then waits until it has integrated them.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::copied_database;
pub(super) use super::packed_batch::is_at_central;
pub(crate) use super::packed_batch::is_pushed;
use super::packed_batch::{PackedBatch, Packer, concerns_central, push_request};
use super::position::Position;
use crate::changelog::{Change, ChangelogGap};
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{Batch, BatchElement, PushResult, SiteStatus, path};
use crate::record::{Cursor, TableName};
use crate::site::Site;
use crate::site::client::{Client, OpenPush, PushFault, RetryLimits};
use crate::site::cycle::Cycle;
use crate::site::failed_push::{AfterFailure, FailedBatch, refused_without_records};
use crate::site::identity::Identity;
use crate::site::observer::{Step, SyncEvent};
use crate::site::outbox::{Gathered, PushSieve, count_by_table, count_to_push};
use crate::site::sizing::{TransferKind, is_surely_no_outage};
use crate::storage::{ReadTxn, Selection, newest_gaps, state};
use crate::text::sentences::cycle as says;

/// A push that is under way.
struct RunningPush {
    /// The end of the push: later edits go out with the next one.
    bound: Cursor,
    /// The records to push in all.
    total: u64,
    /// The records that are left.
    left: u64,
    sieve: PushSieve,
    /// The batch after the one that was sent.
    ahead: Option<PackedBatch>,
    /// True once a batch was sent as the last one; central integrates only then.
    is_last_sent: bool,
}

/// What comes after a batch.
enum AfterBatch {
    NextBatch,
    /// The push ends, and central is asked to integrate it.
    End,
    /// The limit of the cycle is reached. The next cycle continues, and central integrates the complete part.
    OverBudget,
}

impl Cycle<'_, '_> {
    /// Pushes all edits that are here now.
    pub(crate) fn push_v6(&mut self, central: &Url) -> Result<()> {
        self.push_before(central, |txn| Ok(txn.last_cursor()?.next()))
    }

    /// Pushes the rest of a push that is not confirmed. Newer edits are not pushed.
    pub(crate) fn finish_push_v6(&mut self, central: &Url) -> Result<()> {
        self.push_before(central, |txn| state::PUSH_SENT_BEFORE.get(txn))
    }

    /// True if anything is to be pushed to central, or a push to it is not confirmed. True too for edits that central has already.
    pub(crate) fn has_edits_for_central(&self) -> Result<bool> {
        let count = {
            let txn = self.site.storage.read()?;
            count_by_table(txn.as_ref(), Position::in_own(txn.as_ref())?, concerns_central)?
        };
        Ok(count > 0 || self.is_unconfirmed()?)
    }

    fn push_before(&mut self, central: &Url, bound: impl FnOnce(&dyn ReadTxn) -> Result<Cursor>) -> Result<()> {
        if self.client.has_answers_at_hand() {
            // Nothing was to be pushed when the cycle began.
            return Ok(());
        }
        let (from, bound, total) = {
            let txn = self.site.storage.read()?;
            let position = Position { next: state::PUSH_CURSOR_V6.get(txn.as_ref())?, end: bound(txn.as_ref())? };
            let own = self.identity.own_id();
            let goes_out = |row: &Change| Ok(is_pushed(row) && !is_at_central(txn.as_ref(), own, row)?);
            let total = match count_by_table(txn.as_ref(), position, concerns_central)? {
                // Which of them central has is stored by record.
                1.. if txn.any_pushed()? => count_to_push(txn.as_ref(), position, goes_out)?,
                total => total,
            };
            (position.next, position.end, total)
        };
        match total {
            0 => self.skip_edits_at_central(from, bound)?,
            _ => self.begin_sending(bound)?,
        }
        let sieve = PushSieve::default();
        let mut push = RunningPush { bound, total, left: total, sieve, ahead: None, is_last_sent: false };
        while push.left > 0 {
            match self.push_batch(central, &mut push)? {
                AfterBatch::NextBatch => {}
                AfterBatch::End => break,
                AfterBatch::OverBudget => return Ok(()),
            }
        }
        self.end_push(central, push)
    }

    fn push_batch(&mut self, central: &Url, push: &mut RunningPush) -> Result<AfterBatch> {
        let batch = match push.ahead.take().map(|batch| self.if_still_next(batch, push.left)).transpose()?.flatten() {
            Some(batch) => batch,
            None => {
                let packer = packer(self.site, &self.identity, &self.refused_tables, &mut self.client, &push.sieve);
                packer.pack(None, push.bound, push.left)?
            }
        };
        let PackedBatch { count, alone, outgoing, body, .. } = batch;
        let damaged = self.set_aside_damaged(&outgoing)?;
        push.left = push.left.saturating_sub(damaged);
        if count == 0 {
            if damaged > 0 || push.sieve.widen() {
                return Ok(AfterBatch::NextBatch);
            }
            self.skip_refused_tables(push.bound, &push.sieve)?;
            return Ok(AfterBatch::End);
        }
        let began = self.site.clock.monotonic();
        let passed_over = match self.send_batch(central, body, count, &outgoing, push) {
            Ok(passed_over) => passed_over,
            Err(PushFault::Error(error @ Error::TableNotForSites { .. })) => {
                return match self.set_aside_refused_table(&error, push.bound)? {
                    0 => Err(error),
                    set_aside => {
                        push.left = push.left.saturating_sub(set_aside);
                        Ok(AfterBatch::NextBatch)
                    }
                };
            }
            Err(fault) => {
                let failed = FailedBatch { kind: TransferKind::CentralPush, count, alone, outgoing: &outgoing };
                return Ok(match self.after_failure(fault, failed, &mut push.sieve)? {
                    AfterFailure::TryOthers => AfterBatch::NextBatch,
                    AfterFailure::GiveUp => AfterBatch::End,
                    AfterFailure::Settled(records) => {
                        push.left = push.left.saturating_sub(records);
                        AfterBatch::NextBatch
                    }
                });
            }
        };
        push.sieve.passed();
        let took = self.site.clock.monotonic().saturating_sub(began);
        self.client.sizes.passed(TransferKind::CentralPush, outgoing.bytes, took, &self.site.config);
        push.left = push.left.saturating_sub(count + passed_over);
        push.is_last_sent = outgoing.is_last;
        self.report.pushed += count;
        self.report_progress(Step::PushV6, push.total - push.left, push.total)?;
        if self.over_budget() {
            return Ok(AfterBatch::OverBudget);
        }
        Ok(if outgoing.next >= push.bound { AfterBatch::End } else { AfterBatch::NextBatch })
    }

    fn end_push(&mut self, central: &Url, mut push: RunningPush) -> Result<()> {
        if push.left == 0 {
            self.skip_refused_tables(push.bound, &push.sieve)?;
        }
        let Some(error) = push.sieve.error() else { return self.confirm(central, push.is_last_sent) };
        let sieve = push.sieve.without_refused();
        let packer = packer(self.site, &self.identity, &self.refused_tables, &mut self.client, &sieve);
        let others = packer.pack(None, push.bound, push.left)?.outgoing;
        others.requeue_refused(self.site.storage.as_ref(), Server::Central, self.site.clock.now())?;
        self.client.sizes.gave_up(TransferKind::CentralPush);
        // Records that break the connection are pushed later. Central integrates the others now, so that this site may
        // pull. But a server that accepted nothing and may be down gets no more requests.
        if push.left < push.total || is_surely_no_outage(&error) {
            let _ = self.confirm(central, push.is_last_sent);
        }
        Err(error)
    }

    /// Moves the cursor past edits that central has, if nothing else is to be pushed.
    fn skip_edits_at_central(&self, from: Cursor, bound: Cursor) -> Result<()> {
        let any_edit = self.site.storage.read()?.changes(&Selection::Local, from, 1)?;
        if any_edit.first().is_none_or(|row| row.cursor >= bound || !is_pushed(row)) {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::PUSH_CURSOR_V6.set(txn.as_ref(), bound)?;
        txn.commit()
    }

    /// Marks the push as unconfirmed, from the first request until central has confirmed it: central may or may not
    /// have its records.
    pub(crate) fn begin_sending(&self, bound: Cursor) -> Result<()> {
        let (is_unconfirmed, sent_before) = {
            let txn = self.site.storage.read()?;
            (state::PUSH_UNCONFIRMED.get(txn.as_ref())?, state::PUSH_SENT_BEFORE.get(txn.as_ref())?)
        };
        let is_unconfirmed = is_unconfirmed || planted!(UnconfirmedIsSafe);
        if is_unconfirmed && bound <= sent_before {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::PUSH_SENT_BEFORE.set(txn.as_ref(), bound.max(sent_before))?;
        if is_unconfirmed {
            return txn.commit();
        }
        state::PUSH_CONFIRMED_V6.set(txn.as_ref(), state::PUSH_CURSOR_V6.get(txn.as_ref())?)?;
        state::PUSH_UNCONFIRMED.set(txn.as_ref(), true)?;
        copied_database::choose_push_id(txn.as_ref())?;
        txn.commit()
    }

    /// True if an earlier push is not confirmed by central.
    pub(crate) fn is_unconfirmed(&self) -> Result<bool> {
        state::PUSH_UNCONFIRMED.get(self.site.storage.read()?.as_ref())
    }

    /// Returns a batch that was made while the one before it was under way, if nothing has changed since.
    fn if_still_next(&self, batch: PackedBatch, left: u64) -> Result<Option<PackedBatch>> {
        let txn = self.site.storage.read()?;
        let follows = state::PUSH_CURSOR_V6.get(txn.as_ref())? == batch.start
            && batch.left == left
            && newest_gaps(txn.as_ref())? == batch.lost_history;
        Ok(Some(batch).filter(|_| follows))
    }

    /// Sends a batch; once it is accepted, moves the cursor past it. Returns how many records were passed over. Makes the
    /// next batch meanwhile, unless records are left out: then the answer decides what comes next.
    fn send_batch(
        &mut self,
        central: &Url,
        body: OpenPush,
        count: u64,
        outgoing: &Gathered<BatchElement>,
        push: &mut RunningPush,
    ) -> Result<u64, PushFault> {
        if planted!(PushCursorBeforeAnswer) {
            let txn = self.site.storage.write()?;
            state::PUSH_CURSOR_V6.set(txn.as_ref(), outgoing.next)?;
            txn.commit()?;
        }
        let attempts = push.sieve.attempts(self.site.config.attempts);
        let is_shrunk = self.client.sizes.is_shrinking(TransferKind::CentralPush);
        let retry = RetryLimits { is_divisible: count > 1, attempts, is_shrunk };
        let chain = copied_database::push_chain(self.site)?;
        let body = body.with_chain(Some(&chain))?;
        let packs_next = !outgoing.is_last && push.sieve.is_idle() && self.options.max_bytes.is_none();
        let packer = packer(self.site, &self.identity, &self.refused_tables, &mut self.client, &push.sieve);
        let (mut ahead, left) = (None, push.left.saturating_sub(count));
        let mut pack = || ahead = packer.pack(Some(outgoing.next), push.bound, left).ok();
        let meanwhile = packs_next.then_some(&mut pack as &mut dyn FnMut());
        let PushResult { records_pushed: accepted, lost_history, copies } =
            self.client.push(&self.identity, central, &body, retry, meanwhile)?;
        if accepted != count {
            return Err(Error::PartlyAccepted { server: Server::Central, sent: count, accepted }.into());
        }
        self.knows_at_once |= copies.is_some();
        // Central has this batch, but may have lost earlier pushes. The loss is handled before the cursor moves, so that a
        // cycle that is interrupted in between sends the batch again.
        let before = state::PUSH_CURSOR_V6.get(self.site.storage.read()?.as_ref())?;
        self.handle_reported_loss(&lost_history, Some(before))?;
        let txn = self.site.storage.write()?;
        let next = if planted!(PushWithoutBound) { txn.last_cursor()?.next() } else { outgoing.next };
        state::PUSH_CURSOR_V6.set(txn.as_ref(), next)?;
        let passed_over = outgoing.log_passed_over(txn.as_ref(), Server::Central, self.site.clock.now())?;
        let news = copied_database::note_accepted(txn.as_ref(), &chain, copies, outgoing.is_last)?;
        txn.commit()?;
        if let Some(refused_at) = news {
            self.warn(says::copy_refused(refused_at))?;
        }
        self.report.note_pushed(Server::Central, before, outgoing.next);
        push.ahead = ahead;
        Ok(passed_over)
    }

    /// Tells central that nothing is left to push.
    fn post_empty(&mut self, central: &Url, lost_history: Vec<ChangelogGap>) -> Result<PushResult, PushFault> {
        let request = push_request(Batch { lost_history, ..Batch::empty(Cursor(0)) }, &self.identity);
        let body = OpenPush::of(&request, self.client.gzip_from())?.with_chain(None)?;
        let retry = self.client.indivisible();
        self.client.push(&self.identity, central, &body, retry, None)
    }

    /// Pushes no records, in the midst of a push.
    pub(crate) fn post_without_records(&mut self, central: &Url) -> Result<(), PushFault> {
        let request = push_request(Batch { is_last_batch: false, ..Batch::empty(Cursor(0)) }, &self.identity);
        let body = OpenPush::of(&request, self.client.gzip_from())?.with_chain(None)?;
        let retry = self.client.indivisible();
        self.client.push::<PushResult>(&self.identity, central, &body, retry, None).map(|_| ())
    }

    /// Makes sure before a pull that central has integrated the last push. Before that, a pulled record that differs from
    /// the pushed one may be older. Returns true if central has integrated.
    pub(crate) fn confirm_before_pull(&mut self, central: &Url) -> Result<bool> {
        if self.is_unconfirmed()? && self.ended_early() {
            return Ok(false);
        }
        self.confirm(central, false).map(|()| true)
    }

    /// Waits until central has integrated the push of this cycle or of an interrupted one (weak point A16).
    fn confirm(&mut self, central: &Url, is_last_sent: bool) -> Result<()> {
        if !self.is_unconfirmed()? {
            return Ok(());
        }
        if !is_last_sent {
            // Reports a restore of this site. From now on central sends the site its own records back, so the pull after
            // this brings what was lost, also of the push that is integrated now.
            let lost_history = newest_gaps(self.site.storage.read()?.as_ref())?;
            match self.post_empty(central, lost_history) {
                Ok(result) => {
                    // If central was restored, it may have lost the unconfirmed push too.
                    self.handle_reported_loss(&result.lost_history, None)?;
                }
                Err(PushFault::Error(error) | PushFault::Broke(error)) => return Err(error),
                Err(PushFault::TooLarge) => return Err(refused_without_records(Server::Central)),
            }
        }
        let began = self.site.clock.monotonic();
        let elapsed = |site: &Site| site.clock.monotonic().saturating_sub(began);
        let config = &self.site.config;
        let (first, interval) = (config.integration_poll_first, config.integration_poll);
        // An Open mSupply central server takes a moment to begin, and would say that it is done.
        let mut pause = if self.knows_at_once { first.min(interval) } else { interval };
        loop {
            let waited = elapsed(self.site);
            self.client.wait(pause, &SyncEvent::WaitingForIntegration { waited })?;
            pause = (pause * 2).max(Duration::from_millis(1)).min(interval);
            let request = self.identity.status_request();
            let status: SiteStatus = self.client.central(&self.identity, central, path::SITE_STATUS, &request)?;
            if status.is_sync_api_paused {
                return Err(Error::SyncPaused { server: Server::Central });
            }
            if !status.is_integrating {
                let txn = self.site.storage.write()?;
                state::PUSH_UNCONFIRMED.set(txn.as_ref(), false)?;
                return txn.commit();
            }
            if elapsed(self.site) >= self.site.config.integration_wait {
                return Err(Error::IntegrationTimeout { server: Server::Central });
            }
        }
    }
}

/// Makes the batches of a push to central. Leaves out the records that the line did not carry or central refused.
fn packer<'p>(
    site: &'p Site,
    identity: &'p Identity,
    refused_tables: &'p BTreeSet<TableName>,
    client: &mut Client<'_>,
    sieve: &'p PushSieve,
) -> Packer<'p> {
    let budget = sieve.budget(&site.config, client.sizes.size(TransferKind::CentralPush, &site.config));
    Packer { site, identity, refused_tables, left_out: sieve.left_out(), gzip_from: client.gzip_from(), budget }
}
