//! Push V6: sends local edits to central, then waits until it has integrated them.

use std::time::Duration;

use url::Url;

use super::copied_database;
pub(super) use super::packed_batch::came_back;
pub(crate) use super::packed_batch::is_pushed;
use super::packed_batch::{PackedBatch, Packer, push_request};
use super::position::Position;
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{
    Batch, BatchElement, PushResult, SiteStatus, SiteStatusRequest, V6_VERSION, WireRecord, path,
};
use crate::record::Cursor;
use crate::site::Site;
use crate::site::client::{Client, OpenPush, PushFault, PushRetry};
use crate::site::cycle::Cycle;
use crate::site::observer::{Step, SyncEvent};
use crate::site::outbox::{BatchBudget, Gathered, SingleRecordPushes, may_be_about_a_record};
use crate::site::sizing::{TransferKind, is_surely_no_outage};
use crate::storage::{Incoming, Quarantine, QuarantineCause, ReadTxn, Selection, Source, newest_gaps, state};
use crate::text::sentences::cycle as says;
use crate::text::sentences::error_detail;

/// Changelog rows that are read at once.
pub(super) const ROWS: usize = 1000;

impl Cycle<'_, '_> {
    pub(crate) fn push_v6(&mut self, central: &Url) -> Result<()> {
        let (bound, mut left) = {
            let txn = self.site.storage.read()?;
            let stands = Position::in_own(txn.as_ref())?;
            (stands.end, count_pushed(txn.as_ref(), stands)?)
        };
        if left == 0 {
            self.pass_over_what_came_back(bound)?;
        }
        let total = left;
        if left > 0 {
            self.begin_sending(bound)?;
        }
        // True once a batch was sent as the last one; central integrates only then.
        let mut told_last = false;
        let mut sieve = SingleRecordPushes::default();
        let mut ahead: Option<PackedBatch> = None;
        while left > 0 {
            let batch = match ahead.take().map(|batch| self.goes_next(batch, left)).transpose()?.flatten() {
                Some(batch) => batch,
                None => self.pack((bound, left), &sieve)?,
            };
            let (count, bytes, is_last, next) =
                (batch.count, batch.outgoing.bytes, batch.outgoing.is_last, batch.outgoing.next);
            if count == 0 {
                if sieve.widen() {
                    continue;
                }
                self.pass_over_held_back(bound, &sieve)?;
                break;
            }
            let attempts = sieve.attempts(self.site.config.attempts);
            let is_shrunk = self.client.sizes.is_shrinking(TransferKind::CentralPush);
            let parcel = PushRetry { is_divisible: count > 1, attempts, is_shrunk };
            let began = self.site.clock.monotonic();
            let PackedBatch { outgoing, alone, body, .. } = batch;
            // Only while nothing is left out: otherwise the answer decides what comes next.
            let goes_on = !is_last && sieve.is_idle() && self.options.max_bytes.is_none();
            let left_after = left.saturating_sub(count);
            let and_pack = goes_on.then_some((bound, left_after));
            let sent = self.send_batch(central, (body, count, &outgoing), parcel, and_pack);
            let sent = sent.map(|(passed_over, packed)| {
                ahead = packed;
                passed_over
            });
            match (sent, alone) {
                (Ok(passed_over), _) => {
                    sieve.passed();
                    let took = self.site.clock.monotonic().saturating_sub(began);
                    self.client.sizes.passed(TransferKind::CentralPush, bytes, took, &self.site.config);
                    left = left.saturating_sub(count + passed_over);
                    self.report.pushed += count;
                    self.report_progress(Step::PushV6, total - left, total)?;
                    told_last = is_last;
                    if self.over_budget() {
                        // The next cycle continues with the batch; central integrates the complete part.
                        return Ok(());
                    }
                    if next >= bound {
                        break;
                    }
                }
                (Err(PushFault::Error(error @ Error::TableNotForSites { .. })), _) => {
                    match self.hold_back(&error, bound)? {
                        0 => return Err(error),
                        held => left = left.saturating_sub(held),
                    }
                }
                (Err(PushFault::Error(error)), Some((record, at))) if may_be_about_a_record(&error) => {
                    self.warn(says::refused_alone(record.table_name.to_string(), record.record_id.to_string()))?;
                    if !sieve.refused(at, error) {
                        break;
                    }
                }
                (Err(PushFault::Error(error)), None) if may_be_about_a_record(&error) => {
                    sieve.refused_batch(usize::try_from(count).unwrap_or(usize::MAX));
                }
                (Err(PushFault::Error(error)), _) => return Err(error),
                (Err(PushFault::TooLarge), Some((record, _))) => {
                    left = left.saturating_sub(1 + self.set_aside_too_large(Server::Central, record, &outgoing)?);
                }
                (Err(PushFault::TooLarge), None) => {
                    self.client.sizes.broke(TransferKind::CentralPush, bytes, &self.site.config);
                }
                (Err(PushFault::Broke(error)), None) => {
                    if !self.client.shrink((Server::Central, TransferKind::CentralPush), bytes, &error)? {
                        return Err(error);
                    }
                }
                (Err(PushFault::Broke(error)), Some((_, at))) => {
                    if !sieve.broke(at, bytes, error) {
                        break;
                    }
                }
            }
        }
        if left == 0 {
            self.pass_over_held_back(bound, &sieve)?;
        }
        let Some(error) = sieve.error() else { return self.confirm(central, told_last) };
        let behind = self.pack((bound, left), &sieve.without_refused())?.outgoing;
        behind.requeue_refused(self.site.storage.as_ref(), Server::Central, self.site.clock.now())?;
        self.client.sizes.gave_up(TransferKind::CentralPush);
        // Records that break the connection are pushed later. Central integrates the others now, so that this site may
        // pull. But a server that accepted nothing and may be down gets no more requests.
        if left < total || is_surely_no_outage(&error) {
            let _ = self.confirm(central, told_last);
        }
        Err(error)
    }

    /// Moves the cursor past edits that came back from central, if nothing else is to be pushed: central has them.
    fn pass_over_what_came_back(&self, bound: Cursor) -> Result<()> {
        let from = Position::in_own(self.site.storage.read()?.as_ref())?.next;
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
        copied_database::prepare(txn.as_ref())?;
        txn.commit()
    }

    /// True if an earlier push is not confirmed by central.
    pub(crate) fn is_unconfirmed(&self) -> Result<bool> {
        state::PUSH_UNCONFIRMED.get(self.site.storage.read()?.as_ref())
    }

    /// The batch at the push cursor: as many records as fit. Leaves out those that the line did not carry or central refused.
    fn pack(&mut self, (bound, left): (Cursor, u64), sieve: &SingleRecordPushes) -> Result<PackedBatch> {
        let room = room(self.site, &mut self.client, sieve);
        let packer = Packer {
            site: self.site,
            identity: &self.identity,
            held_back: &self.held_back,
            left_out: sieve.left_out(),
            gzip_from: self.client.gzip_from(),
            bound,
            room,
        };
        packer.pack(None, left)
    }

    /// Returns a batch that was made while the one before it was under way, if it comes next indeed.
    fn goes_next(&self, batch: PackedBatch, left: u64) -> Result<Option<PackedBatch>> {
        let txn = self.site.storage.read()?;
        let follows = state::PUSH_CURSOR_V6.get(txn.as_ref())? == batch.start
            && batch.left == left
            && newest_gaps(txn.as_ref())? == batch.lost_history;
        Ok(Some(batch).filter(|_| follows))
    }

    /// Sends a batch; once it is accepted, moves the cursor past it. Returns how many records were passed over, and the batch
    /// after it, which is made meanwhile if wanted.
    fn send_batch(
        &mut self,
        central: &Url,
        (body, sent, outgoing): (OpenPush, u64, &Gathered<BatchElement>),
        parcel: PushRetry,
        and_pack: Option<(Cursor, u64)>,
    ) -> Result<(u64, Option<PackedBatch>), PushFault> {
        if planted!(PushCursorBeforeAnswer) {
            let txn = self.site.storage.write()?;
            state::PUSH_CURSOR_V6.set(txn.as_ref(), outgoing.next)?;
            txn.commit()?;
        }
        let chain = copied_database::begin(self.site)?;
        let body = body.with_chain(Some(&chain))?;
        let (mut packed, sieve) = (None, SingleRecordPushes::default());
        let PushResult { records_pushed: accepted, lost_history, copies: told } = match and_pack {
            Some((bound, left)) => {
                let packer = Packer {
                    site: self.site,
                    identity: &self.identity,
                    held_back: &self.held_back,
                    left_out: sieve.left_out(),
                    gzip_from: self.client.gzip_from(),
                    bound,
                    room: room(self.site, &mut self.client, &sieve),
                };
                let mut pack = || packed = packer.pack(Some(outgoing.next), left).ok();
                self.client.push(&self.identity, (central, path::PUSH), &body, parcel, Some(&mut pack))?
            }
            None => self.client.push(&self.identity, (central, path::PUSH), &body, parcel, None)?,
        };
        if accepted != sent {
            return Err(Error::PartlyAccepted { server: Server::Central, sent, accepted }.into());
        }
        self.knows_at_once |= told.is_some();
        // Central has this batch, but may have lost earlier pushes. The loss is handled before the cursor moves, so that a
        // cycle that is interrupted in between sends the batch again.
        let before = state::PUSH_CURSOR_V6.get(self.site.storage.read()?.as_ref())?;
        self.learn_of_loss(&lost_history, Some(before))?;
        let txn = self.site.storage.write()?;
        let next = if planted!(PushWithoutBound) { txn.last_cursor()?.next() } else { outgoing.next };
        state::PUSH_CURSOR_V6.set(txn.as_ref(), next)?;
        let passed_over = outgoing.log_passed_over(txn.as_ref(), Server::Central, self.site.clock.now())?;
        let news = copied_database::taken(txn.as_ref(), &chain, told, outgoing.is_last)?;
        txn.commit()?;
        if let Some(refused_at) = news {
            self.warn(says::copy_refused(refused_at.to_string()))?;
        }
        self.report.note_pushed(Server::Central, before, outgoing.next);
        Ok((passed_over, packed))
    }

    /// Tells central that nothing is left to push.
    fn post_empty(&mut self, central: &Url, lost_history: Vec<ChangelogGap>) -> Result<PushResult, PushFault> {
        let request = push_request(Batch { lost_history, ..Batch::empty(Cursor(0)) }, &self.identity);
        let body = OpenPush::of(&request, self.client.gzip_from())?.with_chain(None)?;
        let whole = self.client.whole();
        self.client.push(&self.identity, (central, path::PUSH), &body, whole, None)
    }

    /// Puts a record that a server refuses in a batch of its own into quarantine, where it blocks no other. If it was
    /// edited again since, the newer version is pushed in its turn, and the record does not go into quarantine. Returns
    /// the number of records that were skipped, which are pushed later.
    pub(crate) fn set_aside_too_large<E>(
        &mut self,
        server: Server,
        record: WireRecord,
        outgoing: &Gathered<E>,
    ) -> Result<u64> {
        let txn = self.site.storage.write()?;
        state::push_to(server).cursor.set(txn.as_ref(), outgoing.next)?;
        let is_written_again = txn.has_local_change(&record.table_name, &record.record_id, outgoing.next)?;
        let passed_over = outgoing.log_passed_over(txn.as_ref(), server, self.site.clock.now())?;
        if is_written_again {
            txn.commit()?;
            return Ok(passed_over);
        }
        let error = Error::RecordTooLarge {
            server,
            table: record.table_name.clone(),
            id: record.record_id.clone(),
            bytes: record.record_data.as_str().len(),
        };
        let quarantine = Quarantine { cause: QuarantineCause::Refused, reason: error.to_string(), waits_for: None };
        let incoming = Incoming { quarantine: Some(quarantine), ..Incoming::new(Source::Local, record) };
        txn.stage(&incoming, self.site.clock.now())?;
        txn.commit()?;
        self.report.refused += 1;
        Ok(passed_over)
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
    fn confirm(&mut self, central: &Url, told_last: bool) -> Result<()> {
        if !self.is_unconfirmed()? {
            return Ok(());
        }
        if !told_last {
            // Reports a restore of this site. From now on central sends the site its own records back, so the pull after
            // this brings what was lost, also of the push that is integrated now.
            let lost_history = newest_gaps(self.site.storage.read()?.as_ref())?;
            match self.post_empty(central, lost_history) {
                Ok(result) => {
                    // If central was restored, it may have lost the unconfirmed push too.
                    self.learn_of_loss(&result.lost_history, None)?;
                }
                Err(PushFault::Error(error) | PushFault::Broke(error)) => return Err(error),
                Err(PushFault::TooLarge) => {
                    return Err(Error::Refused {
                        server: Server::Central,
                        status: 413,
                        detail: error_detail::empty_batch().into(),
                    });
                }
            }
        }
        let began = self.site.clock.monotonic();
        let elapsed = |site: &crate::site::Site| site.clock.monotonic().saturating_sub(began);
        let config = &self.site.config;
        let (first, interval) = (config.integration_poll_first, config.integration_poll);
        // An Open mSupply central server takes a moment to begin, and would say that it is done.
        let mut pause = if self.knows_at_once { first.min(interval) } else { interval };
        loop {
            let waited = elapsed(self.site);
            self.client.wait(pause, &SyncEvent::WaitingForIntegration { waited })?;
            pause = (pause * 2).max(Duration::from_millis(1)).min(interval);
            let request =
                SiteStatusRequest { sync_v5_settings: self.identity.credentials(), sync_v6_version: V6_VERSION };
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

/// The room of a batch.
fn room(site: &Site, client: &mut Client<'_>, sieve: &SingleRecordPushes) -> BatchBudget {
    BatchBudget {
        records: sieve.most(site.config.push_records_max),
        bytes: client.sizes.size(TransferKind::CentralPush, &site.config),
        below: sieve.below(),
        skipped: sieve.skipped(),
    }
}

/// The number of rows to push now.
fn count_pushed(txn: &dyn ReadTxn, stands: Position) -> Result<u64> {
    let mut from = stands.next;
    let mut count = 0;
    loop {
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        for row in rows.iter().filter(|row| stands.is_now(row.cursor) && is_pushed(row)) {
            count += u64::from(!came_back(txn, row)?);
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS && stands.is_now(last.cursor) => from = last.cursor.next(),
            _ => return Ok(count),
        }
    }
}
