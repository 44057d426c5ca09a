//! Push V6: sends local edits to central, then waits until it has integrated them.

use std::time::Duration;

use url::Url;

use super::copied_database;
use super::position::Position;
use crate::changelog::{Change, ChangeAction};
use crate::error::{Error, Result, Server};
use crate::integrate::seen_at_central;
use crate::protocol::v6::{
    Batch, BatchElement, PushChain, PushRequest, PushResult, SiteStatus, SiteStatusRequest, V6_VERSION, WireRecord,
    path,
};
use crate::record::{Cursor, record_type};
use crate::site::client::{PushFault, PushRetry, to_json};
use crate::site::cycle::Cycle;
use crate::site::observer::{Step, SyncEvent};
use crate::site::outbox::{BatchBudget, ENVELOPE, Gathered, SingleRecordPushes, gather, may_be_about_a_record};
use crate::site::sizing::{TransferKind, is_surely_no_outage};
use crate::storage::{Incoming, Quarantine, QuarantineCause, ReadTxn, Selection, Source, newest_gaps, state};
use crate::text::sentences::cycle as says;
use crate::text::sentences::error_detail;
use crate::write::outgoing;

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
        while left > 0 {
            let mut outgoing = self.gather(bound, &sieve)?;
            let (count, bytes, is_last, next) =
                (outgoing.elements.len() as u64, outgoing.bytes, outgoing.is_last, outgoing.next);
            if count == 0 {
                if sieve.widen() {
                    continue;
                }
                self.pass_over_held_back(bound, &sieve)?;
                break;
            }
            let records = std::mem::take(&mut outgoing.elements);
            let alone = records.first().filter(|_| count == 1).map(|element| (element.record.clone(), element.cursor));
            let attempts = sieve.attempts(self.site.config.attempts);
            let is_shrunk = self.client.sizes.is_shrinking(TransferKind::CentralPush);
            let parcel = PushRetry { is_divisible: count > 1, attempts, is_shrunk };
            let began = self.site.clock.monotonic();
            match (self.send_batch(central, (records, &outgoing), left, parcel), alone) {
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
        let behind = self.gather(bound, &sieve.without_refused())?;
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

    /// The next rows as records: as many as fit. Leaves out those that the line did not carry or central refused.
    fn gather(&mut self, bound: Cursor, sieve: &SingleRecordPushes) -> Result<Gathered<BatchElement>> {
        let (config, below) = (&self.site.config, sieve.below());
        let room = BatchBudget {
            records: sieve.most(config.push_records_max),
            bytes: self.client.sizes.size(TransferKind::CentralPush, config),
            below,
            skipped: sieve.skipped(),
        };
        let txn = self.site.storage.read()?;
        let stands = Position { end: bound, ..Position::in_own(txn.as_ref())? };
        let renumbered = state::RENUMBERED.get(txn.as_ref())?;
        gather(txn.as_ref(), stands, (room, sieve.left_out()), |row, data| {
            let is_held_back = self.held_back.contains(&row.change.table);
            let is_left = is_pushed(&row) && !is_held_back && !came_back(txn.as_ref(), &row)?;
            let Some(mut element) = is_left.then(|| outgoing::element(row, data)).flatten() else { return Ok(None) };
            element.sent_since = state::sent_since(&renumbered, element.cursor);
            let bytes = element.record.record_data.as_str().len() as u64 + ENVELOPE;
            Ok(Some((element, bytes)))
        })
    }

    /// Sends a batch; once it is accepted, moves the cursor past it. Returns how many records were passed over.
    fn send_batch(
        &mut self,
        central: &Url,
        (records, outgoing): (Vec<BatchElement>, &Gathered<BatchElement>),
        left: u64,
        parcel: PushRetry,
    ) -> Result<u64, PushFault> {
        let sent = records.len() as u64;
        let end_cursor = records.last().map_or(Cursor(0), |element| element.cursor);
        let lost_history = newest_gaps(self.site.storage.read()?.as_ref())?;
        let is_last_batch = outgoing.is_last;
        let batch = Batch { total_records: left, records, is_last_batch, lost_history, ..Batch::empty(end_cursor) };
        if planted!(PushCursorBeforeAnswer) {
            let txn = self.site.storage.write()?;
            state::PUSH_CURSOR_V6.set(txn.as_ref(), outgoing.next)?;
            txn.commit()?;
        }
        let chain = copied_database::begin(self.site)?;
        let PushResult { records_pushed: accepted, lost_history, copies: told } =
            self.post(central, batch, Some(chain.clone()), parcel)?;
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
        Ok(passed_over)
    }

    fn post(
        &mut self,
        central: &Url,
        batch: Batch,
        chain: Option<PushChain>,
        parcel: PushRetry,
    ) -> Result<PushResult, PushFault> {
        let request = PushRequest {
            batch,
            sync_v5_settings: self.identity.credentials(),
            sync_v6_version: V6_VERSION,
            push_chain: chain,
        };
        self.client.push(&self.identity, central, path::PUSH, &to_json(&request)?, parcel)
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
            let (empty, whole) = (Batch { lost_history, ..Batch::empty(Cursor(0)) }, self.client.whole());
            match self.post(central, empty, None, whole) {
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

/// True if a pull has shown, since an edit was made here, that central has it.
pub(super) fn came_back(txn: &dyn ReadTxn, row: &Change) -> Result<bool> {
    let (table, id) = (&row.change.table, &row.change.id);
    Ok(seen_at_central(txn, Source::Central, table, id)? > row.cursor)
}

/// True if a row concerns central (`protocol-v6` §9.2). Upstream leaves out rows of stores that are not active here.
/// But the store was active when the edit was made; if it moved before the push, central decides about the edit, so
/// that it is not dropped silently.
pub(crate) fn is_pushed(row: &Change) -> bool {
    let change = &row.change;
    record_type(change.table.as_str())
        .is_some_and(|kind| kind.pushed && (change.action == ChangeAction::Upsert || kind.deletes_on_wire()))
}
