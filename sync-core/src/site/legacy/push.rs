//! Push: sends local edits of legacy tables to the legacy server, then waits until it has integrated them
//! (`protocol-v5` §8).

use crate::changelog::{Change, ChangeAction};
use crate::error::{Error, Result, Server};
use crate::protocol::v5::{PushedAnswer, PushedQueue, PushedRecord, path};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Cursor, RecordData, owned_by_sites, record_type};
use crate::site::central::position::Position;
use crate::site::client::{PushFault, PushRetry};
use crate::site::cycle::Cycle;
use crate::site::observer::{Step, SyncEvent};
use crate::site::outbox::{BatchBudget, ENVELOPE, Gathered, SingleRecordPushes, gather, may_be_about_a_record};
use crate::site::sizing::{TransferKind, is_surely_no_outage};
use crate::storage::{ReadTxn, Selection, state};
use crate::text::sentences::{cycle as says, error_detail};

/// Changelog rows that are read at once.
const ROWS: usize = 1000;

impl Cycle<'_, '_> {
    pub(crate) fn push_legacy(&mut self) -> Result<()> {
        let (bound, mut left, behind) = {
            let txn = self.site.storage.read()?;
            let bound = txn.last_cursor()?.next();
            let behind = bound.0.saturating_sub(state::PUSH_CURSOR_LEGACY.get(txn.as_ref())?.0);
            (bound, count_pushed(txn.as_ref(), bound, self.identity.central_is_legacy())?, behind)
        };
        // A server without anything to integrate is not asked to.
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
        let mut sieve = SingleRecordPushes::default();
        while left > 0 {
            let mut outgoing = self.gather_for_legacy(bound, &sieve)?;
            let (count, bytes) = (outgoing.elements.len() as u64, outgoing.bytes);
            if count == 0 {
                if sieve.widen() {
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
            let parcel = PushRetry { is_divisible: count > 1, attempts, is_shrunk };
            // The row of the only record.
            let alone = Cursor(outgoing.next.0.saturating_sub(1));
            let began = self.site.clock.monotonic();
            match self.client.legacy_push::<PushedAnswer>(&self.identity, path::QUEUED_RECORDS, &queue, parcel) {
                Ok(_) => {
                    sieve.passed();
                    let took = self.site.clock.monotonic().saturating_sub(began);
                    self.client.sizes.passed(TransferKind::LegacyPush, bytes, took, &self.site.config);
                    left = left.saturating_sub(count + self.taken_by_legacy(&outgoing)?);
                    self.report.pushed += count;
                    self.report_progress(Step::Push, total - left, total)?;
                }
                Err(PushFault::TooLarge) if count > 1 => {
                    self.client.sizes.broke(TransferKind::LegacyPush, bytes, &self.site.config);
                }
                Err(PushFault::TooLarge) => {
                    let mut passed_over = 0;
                    if let Some(PushedRecord { record, .. }) = queue.data.pop() {
                        passed_over = self.set_aside_too_large(Server::Legacy, record, &outgoing)?;
                    }
                    left = left.saturating_sub(1 + passed_over);
                }
                Err(PushFault::Broke(error)) if count > 1 => {
                    if !self.client.shrink((Server::Legacy, TransferKind::LegacyPush), bytes, &error)? {
                        return Err(error);
                    }
                }
                Err(PushFault::Broke(error)) => {
                    if !sieve.broke(alone, bytes, error) {
                        break;
                    }
                }
                Err(PushFault::Error(error)) if count > 1 && may_be_about_a_record(&error) => {
                    sieve.refused_batch(usize::try_from(count).unwrap_or(usize::MAX));
                }
                Err(PushFault::Error(error)) if may_be_about_a_record(&error) => {
                    if let Some(PushedRecord { record, .. }) = queue.data.pop() {
                        self.warn(says::refused_alone(record.table_name.to_string(), record.record_id.to_string()))?;
                    }
                    if !sieve.refused(alone, error) {
                        break;
                    }
                }
                Err(PushFault::Error(error)) => return Err(error),
            }
            if self.over_budget() {
                // The next cycle continues.
                return Ok(());
            }
        }
        let Some(error) = sieve.error() else { return self.confirm_at_legacy() };
        let behind = self.gather_for_legacy(bound, &sieve.without_refused())?;
        behind.requeue_refused(self.site.storage.as_ref(), Server::Legacy, self.site.clock.now())?;
        self.client.sizes.gave_up(TransferKind::LegacyPush);
        if left < total || is_surely_no_outage(&error) {
            let _ = self.confirm_at_legacy();
        }
        Err(error)
    }

    /// True if the legacy server may not have integrated an earlier push.
    pub(crate) fn is_unconfirmed_at_legacy(&self) -> Result<bool> {
        state::PUSH_UNCONFIRMED_LEGACY.get(self.site.storage.read()?.as_ref())
    }

    /// Moves the cursor past a batch that the legacy server accepted. Returns how many records were passed over.
    fn taken_by_legacy(&mut self, outgoing: &Gathered<PushedRecord>) -> Result<u64> {
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

    fn gather_for_legacy(&mut self, bound: Cursor, sieve: &SingleRecordPushes) -> Result<Gathered<PushedRecord>> {
        let (config, below) = (&self.site.config, sieve.below());
        let room = BatchBudget {
            records: sieve.most(config.push_records_max),
            bytes: self.client.sizes.size(TransferKind::LegacyPush, config),
            below,
            skipped: sieve.skipped(),
        };
        let central_has = self.identity.central_is_legacy();
        let txn = self.site.storage.read()?;
        let stands = Position { next: state::PUSH_CURSOR_LEGACY.get(txn.as_ref())?, end: bound };
        gather(txn.as_ref(), stands, (room, sieve.left_out()), |row, data| {
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
        let elapsed = |site: &crate::site::Site| site.clock.monotonic().saturating_sub(began);
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

/// The number of rows below `bound` that are still to be pushed.
fn count_pushed(txn: &dyn ReadTxn, bound: Cursor, central_has: bool) -> Result<u64> {
    let mut from = state::PUSH_CURSOR_LEGACY.get(txn)?;
    let mut count = 0;
    loop {
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        count += rows.iter().filter(|row| row.cursor < bound && is_pushed_to_legacy(row, central_has)).count() as u64;
        match rows.last() {
            Some(last) if rows.len() == ROWS && last.cursor < bound => from = last.cursor.next(),
            _ => return Ok(count),
        }
    }
}

/// True if a local edit concerns the legacy server: records of legacy tables that sites own and, unless `central_has`
/// them over V6 because one server is both, patients and their joins to stores. A delete counts only if the server
/// understands it.
pub(crate) fn is_pushed_to_legacy(row: &Change, central_has: bool) -> bool {
    let (table, is_delete) = (row.change.table.as_str(), row.change.action == ChangeAction::Delete);
    match record_type(table) {
        Some(kind) => {
            !central_has && matches!(table, "name" | "name_store_join") && (!is_delete || kind.deletes_on_wire())
        }
        None => owned_by_sites(table).is_some_and(|known| !is_delete || known.deletes),
    }
}
