//! Push: sends local edits of legacy tables to the legacy server, then waits until it has integrated them
//! (`protocol-v5` §8).

use crate::changelog::{Change, ChangeAction};
use crate::error::{Error, Result, Server};
use crate::protocol::v5::{PushedAnswer, PushedQueue, PushedRecord, path};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Cursor, RecordData, TableName, owned_by_sites, record_type};
use crate::site::Site;
use crate::site::central::position::Position;
use crate::site::client::{PushFault, RetryLimits};
use crate::site::cycle::Cycle;
use crate::site::failed_push::{AfterFailure, FailedBatch};
use crate::site::observer::{Step, SyncEvent};
use crate::site::outbox::{ENVELOPE, Gathered, PushSieve, ROWS, count_by_table, gather};
use crate::site::sizing::{TransferKind, is_surely_no_outage};
use crate::storage::{ReadTxn, state};
use crate::text::sentences::error_detail;

impl Cycle<'_, '_> {
    pub(crate) fn push_legacy(&mut self) -> Result<()> {
        if self.client.has_answers_at_hand() {
            // Nothing was to be pushed when the cycle began.
            return Ok(());
        }
        let central_has = self.identity.central_is_legacy();
        let (bound, mut left, behind) = {
            let txn = self.site.storage.read()?;
            let position = self.legacy_position(txn.as_ref(), txn.last_cursor()?.next())?;
            let goes_out = |table: &TableName, action| concerns_legacy(table, action, central_has);
            let left = count_by_table(txn.as_ref(), position, goes_out)?;
            (position.end, left, position.end.0.saturating_sub(position.next.0))
        };
        // Nothing to send, and nothing to confirm.
        if left == 0 && !state::PUSH_UNCONFIRMED_LEGACY.get(self.site.storage.read()?.as_ref())? {
            if behind > ROWS as u64 {
                // No row up to here goes there; the next cycles need not read them again.
                let txn = self.site.storage.write()?;
                state::PUSH_CURSOR_LEGACY.set(txn.as_ref(), bound)?;
                txn.commit()?;
            }
            return Ok(());
        }
        self.begin_sending_to_legacy()?;
        let total = left;
        let mut sieve = PushSieve::default();
        while left > 0 {
            let mut outgoing = self.gather_for_legacy(bound, &sieve)?;
            let count = outgoing.elements.len() as u64;
            let damaged = self.set_aside_damaged(&outgoing)?;
            left = left.saturating_sub(damaged);
            if count == 0 {
                if damaged > 0 || sieve.widen() {
                    continue;
                }
                break;
            }
            if planted!(LegacyCursorBeforeAnswer) {
                let txn = self.site.storage.write()?;
                state::PUSH_CURSOR_LEGACY.set(txn.as_ref(), outgoing.next)?;
                txn.commit()?;
            }
            let mut queue = PushedQueue { queue_length: left, data: std::mem::take(&mut outgoing.elements) };
            let attempts = sieve.attempts(self.site.config.attempts);
            let is_shrunk = self.client.sizes.is_shrinking(TransferKind::LegacyPush);
            let retry = RetryLimits { is_divisible: count > 1, attempts, is_shrunk };
            let began = self.site.clock.monotonic();
            match self.client.legacy_push::<PushedAnswer>(&self.identity, path::QUEUED_RECORDS, &queue, retry) {
                Ok(_) => {
                    sieve.passed();
                    let took = self.site.clock.monotonic().saturating_sub(began);
                    self.client.sizes.passed(TransferKind::LegacyPush, outgoing.bytes, took, &self.site.config);
                    left = left.saturating_sub(count + self.note_accepted_by_legacy(&outgoing)?);
                    self.report.pushed += count;
                    self.report_progress(Step::Push, total - left, total)?;
                }
                Err(fault) => {
                    let alone = if count == 1 { queue.data.pop() } else { None };
                    // The row of the only record.
                    let at = Cursor(outgoing.next.0.saturating_sub(1));
                    let alone = alone.map(|pushed| (pushed.record, at));
                    let failed = FailedBatch { kind: TransferKind::LegacyPush, count, alone, outgoing: &outgoing };
                    match self.after_failure(fault, failed, &mut sieve)? {
                        AfterFailure::TryOthers => {}
                        AfterFailure::Settled(records) => left = left.saturating_sub(records),
                        AfterFailure::GiveUp => break,
                    }
                }
            }
            if self.over_budget() {
                // The next cycle continues.
                return Ok(());
            }
        }
        let Some(error) = sieve.error() else { return self.confirm_at_legacy() };
        let others = self.gather_for_legacy(bound, &sieve.without_refused())?;
        others.requeue_refused(self.site.storage.as_ref(), Server::Legacy, self.site.clock.now())?;
        self.client.sizes.gave_up(TransferKind::LegacyPush);
        if left < total || is_surely_no_outage(&error) {
            let _ = self.confirm_at_legacy();
        }
        Err(error)
    }

    /// Pushes no rows, in the midst of a push.
    pub(crate) fn post_no_rows(&mut self) -> Result<(), PushFault> {
        let queue = PushedQueue { queue_length: 1, data: Vec::new() };
        let retry = self.client.indivisible();
        self.client.legacy_push::<PushedAnswer>(&self.identity, path::QUEUED_RECORDS, &queue, retry).map(|_| ())
    }

    /// True if the legacy server may not have integrated an earlier push.
    pub(crate) fn is_unconfirmed_at_legacy(&self) -> Result<bool> {
        state::PUSH_UNCONFIRMED_LEGACY.get(self.site.storage.read()?.as_ref())
    }

    /// Moves the cursor past a batch that the legacy server accepted. Returns how many records were passed over.
    fn note_accepted_by_legacy(&mut self, outgoing: &Gathered<PushedRecord>) -> Result<u64> {
        let txn = self.site.storage.write()?;
        let before = state::PUSH_CURSOR_LEGACY.get(txn.as_ref())?;
        state::PUSH_CURSOR_LEGACY.set(txn.as_ref(), outgoing.next)?;
        let passed_over = outgoing.log_passed_over(txn.as_ref(), Server::Legacy, self.site.clock.now())?;
        txn.commit()?;
        self.report.note_pushed(Server::Legacy, before, outgoing.next);
        Ok(passed_over)
    }

    /// Marks the push as unconfirmed, from the first request until the legacy server has integrated it. After that no
    /// older version can come, because the server reads queued records when it sends them.
    fn begin_sending_to_legacy(&self) -> Result<()> {
        let txn = self.site.storage.write()?;
        if state::PUSH_UNCONFIRMED_LEGACY.get(txn.as_ref())? {
            return Ok(());
        }
        let at = state::PUSH_CURSOR_LEGACY.get(txn.as_ref())?;
        state::PUSH_CONFIRMED_LEGACY.set(txn.as_ref(), at)?;
        state::PUSH_UNCONFIRMED_LEGACY.set(txn.as_ref(), true)?;
        txn.commit()
    }

    /// The part of the changelog up to `bound` that is still to be pushed.
    /// True if anything is to be pushed to the legacy server, or a push to it is not confirmed.
    pub(crate) fn has_edits_for_legacy(&self) -> Result<bool> {
        let (txn, central_has) = (self.site.storage.read()?, self.identity.central_is_legacy());
        let position = self.legacy_position(txn.as_ref(), txn.last_cursor()?.next())?;
        let goes_out = |table: &TableName, action| concerns_legacy(table, action, central_has);
        Ok(state::PUSH_UNCONFIRMED_LEGACY.get(txn.as_ref())? || count_by_table(txn.as_ref(), position, goes_out)? > 0)
    }

    fn legacy_position(&self, txn: &dyn ReadTxn, bound: Cursor) -> Result<Position> {
        Ok(Position { next: state::PUSH_CURSOR_LEGACY.get(txn)?, end: bound })
    }

    fn gather_for_legacy(&mut self, bound: Cursor, sieve: &PushSieve) -> Result<Gathered<PushedRecord>> {
        let config = &self.site.config;
        let budget = sieve.budget(config, self.client.sizes.size(TransferKind::LegacyPush, config));
        let central_has = self.identity.central_is_legacy();
        let txn = self.site.storage.read()?;
        let position = self.legacy_position(txn.as_ref(), bound)?;
        gather(txn.as_ref(), position, budget, sieve.left_out(), |row, data| {
            let Some(record) = is_pushed_to_legacy(&row, central_has).then(|| element(row, data)) else {
                return Ok(None);
            };
            let bytes = record.record.record_data.as_str().len() as u64 + ENVELOPE;
            Ok(Some((record, bytes)))
        })
    }

    /// Asks the legacy server to integrate the push, and waits until it has.
    pub(crate) fn confirm_at_legacy(&mut self) -> Result<()> {
        let nothing_left = PushedQueue { queue_length: 0, data: Vec::new() };
        let answer: PushedAnswer = self.client.legacy_post(&self.identity, path::QUEUED_RECORDS, &nothing_left)?;
        if !answer.integration_started {
            let detail = error_detail::integration_not_begun().into();
            return Err(Error::PeerError { server: Server::Legacy, detail });
        }
        let began = self.site.clock.monotonic();
        let elapsed = |site: &Site| site.clock.monotonic().saturating_sub(began);
        loop {
            let waited = elapsed(self.site);
            self.client.wait(self.site.config.integration_poll, &SyncEvent::WaitingForIntegration { waited })?;
            if self.is_idle()? {
                let txn = self.site.storage.write()?;
                state::PUSH_UNCONFIRMED_LEGACY.set(txn.as_ref(), false)?;
                return txn.commit();
            }
            if elapsed(self.site) >= self.site.config.integration_wait {
                return Err(Error::IntegrationTimeout { server: Server::Legacy });
            }
        }
    }
}

/// The record of a row, with its current data; a delete if it is gone.
fn element(row: Change, data: Option<RecordData>) -> PushedRecord {
    let (action, record_data) = match (row.change.action, data) {
        (ChangeAction::Upsert, Some(data)) => (Action::Update, data),
        _ => (Action::Delete, RecordData::of(&())),
    };
    let record = WireRecord { table_name: row.change.table, record_id: row.change.id, action, record_data };
    PushedRecord { sync_out_id: row.cursor.to_string(), record }
}

/// True if a local edit concerns the legacy server: records of legacy tables that sites own and, unless `central_has`
/// them over V6 because one server is both, patients and their joins to stores. A delete counts only if the server
/// understands it.
pub(crate) fn is_pushed_to_legacy(row: &Change, central_has: bool) -> bool {
    concerns_legacy(&row.change.table, row.change.action, central_has)
}

/// True if such rows concern the legacy server.
fn concerns_legacy(table: &TableName, action: ChangeAction, central_has: bool) -> bool {
    let (table, is_delete) = (table.as_str(), action == ChangeAction::Delete);
    match record_type(table) {
        Some(kind) => {
            !central_has && matches!(table, "name" | "name_store_join") && (!is_delete || kind.deletes_on_wire())
        }
        None => owned_by_sites(table).is_some_and(|known| !is_delete || known.deletes),
    }
}
