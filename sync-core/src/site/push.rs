//! Push V6: local edits to central, then waiting until it has integrated them.

use url::Url;

use super::client::{PushFault, to_json};
use super::cycle::Cycle;
use super::identity::{cursor, flag};
use super::observer::{Step, SyncEvent};
use super::position::Position;
use crate::changelog::{Change, ChangeAction};
use crate::error::{Error, Result, Server};
use crate::integrate::seen_at_central;
use crate::outgoing;
use crate::protocol::v6::{
    Batch, BatchElement, PushRequest, PushResult, SiteStatus, SiteStatusRequest, V6_VERSION, WireRecord, path,
};
use crate::record::{Cursor, record_type};
use crate::storage::{Incoming, Lost, Quarantine, QuarantineCause, ReadTxn, Selection, Source, key};
use crate::texts::sentences::error_detail;

/// Changelog rows that are looked at in one turn.
const ROWS: usize = 1000;

/// What a request is to carry.
struct Outgoing {
    elements: Vec<BatchElement>,
    /// Where the cursor goes once it is taken.
    next: Cursor,
    /// Whether no row that is pushed lies between `next` and the bound.
    is_last: bool,
}

impl Cycle<'_, '_> {
    pub(super) fn push_v6(&mut self, central: &Url) -> Result<()> {
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
            self.begin_sending()?;
        }
        // Whether central was told that the batch was the last: only then does it integrate.
        let mut told_last = false;
        let mut limit = self.site.config.push_records_max;
        while left > 0 {
            let outgoing = self.gather(bound, limit)?;
            let (count, is_last) = (outgoing.elements.len(), outgoing.is_last);
            if count == 0 {
                break;
            }
            let alone = outgoing.elements.first().filter(|_| count == 1).cloned().zip(Some(outgoing.next));
            match self.send_batch(central, outgoing, left) {
                Ok(next) => {
                    left = left.saturating_sub(count as u64);
                    self.report.pushed += count as u64;
                    self.progress(Step::PushV6, total - left, total)?;
                    told_last = is_last;
                    if self.over_budget() {
                        // The next cycle goes on with the batch; central integrates what is whole.
                        return Ok(());
                    }
                    if next >= bound {
                        break;
                    }
                }
                Err(PushFault::Error(error)) => return Err(error),
                Err(PushFault::TooLarge) => match alone {
                    None => limit = (count / 2).max(1),
                    Some((element, next)) => {
                        self.set_aside_too_large(Server::Central, element.record, next)?;
                        left = left.saturating_sub(1);
                    }
                },
            }
        }
        self.confirm(central, told_last)
    }

    /// Moves the cursor past edits that came back from central, where nothing else is to be pushed: they are there.
    fn pass_over_what_came_back(&self, bound: Cursor) -> Result<()> {
        let from = Position::in_own(self.site.storage.read()?.as_ref())?.next;
        let any_edit = self.site.storage.read()?.changes(&Selection::Local, from, 1)?;
        if any_edit.first().is_none_or(|row| row.cursor >= bound || !is_pushed(row)) {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        txn.set_state(key::PUSH_CURSOR_V6, &bound.to_string())?;
        txn.commit()
    }

    /// From the first request on until central has confirmed, what is sent may be there or not.
    pub(super) fn begin_sending(&self) -> Result<()> {
        if self.is_unconfirmed()? || planted!(UnconfirmedIsSafe) {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        txn.set_state(key::PUSH_CONFIRMED_V6, &cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?.to_string())?;
        txn.set_state(key::PUSH_UNCONFIRMED, "1")?;
        txn.commit()
    }

    /// Whether something was sent that central has not confirmed.
    pub(super) fn is_unconfirmed(&self) -> Result<bool> {
        flag(self.site.storage.read()?.as_ref(), key::PUSH_UNCONFIRMED)
    }

    /// The next rows as records: up to `limit`, and up to the limit of bytes.
    fn gather(&self, bound: Cursor, limit: usize) -> Result<Outgoing> {
        let txn = self.site.storage.read()?;
        let stands = Position { end: bound, ..Position::in_own(txn.as_ref())? };
        let mut outgoing = Outgoing { elements: Vec::new(), next: stands.next, is_last: true };
        let mut bytes = 0;
        let mut from = outgoing.next;
        loop {
            let rows = txn.changed_records(&Selection::Local, from, ROWS, self.site.config.push_bytes_max)?;
            let exhausted = rows.is_empty();
            for (row, data) in rows {
                if !stands.is_now(row.cursor) {
                    return Ok(outgoing);
                }
                from = row.cursor.next();
                let is_left = is_pushed(&row) && !came_back(txn.as_ref(), &row)?;
                let pushed = is_left.then(|| outgoing::element(row, data)).flatten();
                let Some(element) = pushed else { continue };
                bytes += element.record.record_data.as_str().len() + 200;
                let full = outgoing.elements.len() >= limit || bytes > self.site.config.push_bytes_max;
                if full && !outgoing.elements.is_empty() {
                    outgoing.is_last = false;
                    return Ok(outgoing);
                }
                outgoing.next = from;
                outgoing.elements.push(element);
            }
            if exhausted {
                return Ok(outgoing);
            }
        }
    }

    /// Sends a batch; once it is taken, moves the cursor past it.
    fn send_batch(&mut self, central: &Url, outgoing: Outgoing, left: u64) -> Result<Cursor, PushFault> {
        let sent = outgoing.elements.len() as u64;
        let end_cursor = outgoing.elements.last().map_or(Cursor(0), |element| element.cursor);
        let lost_history = Lost::told(self.site.storage.read()?.as_ref())?;
        let batch = Batch {
            end_cursor,
            total_records: left,
            records: outgoing.elements,
            is_last_batch: outgoing.is_last,
            lost_history,
        };
        if planted!(PushCursorBeforeAnswer) {
            let txn = self.site.storage.write()?;
            txn.set_state(key::PUSH_CURSOR_V6, &outgoing.next.to_string())?;
            txn.commit()?;
        }
        let PushResult { records_pushed: accepted, lost_history } = self.post(central, batch)?;
        if accepted != sent {
            return Err(Error::PartlyAccepted { server: Server::Central, sent, accepted }.into());
        }
        // This batch is there; what was pushed before may not be any more. First, for a cycle that is cut in between sends
        // the batch again.
        let before = cursor(self.site.storage.read()?.as_ref(), key::PUSH_CURSOR_V6)?;
        self.learn_of_loss(&lost_history, Some(before))?;
        let txn = self.site.storage.write()?;
        let next = if planted!(PushWithoutBound) { txn.last_cursor()?.next() } else { outgoing.next };
        txn.set_state(key::PUSH_CURSOR_V6, &next.to_string())?;
        txn.commit()?;
        self.report.note_pushed(Server::Central, before, outgoing.next);
        Ok(outgoing.next)
    }

    fn post(&mut self, central: &Url, batch: Batch) -> Result<PushResult, PushFault> {
        let request = PushRequest { batch, sync_v5_settings: self.identity.credentials(), sync_v6_version: V6_VERSION };
        self.client.push(&self.identity, central, path::PUSH, &to_json(&request)?)
    }

    /// A record that a server does not take even alone stays here, is shown in the quarantine, and holds up no other. Where
    /// it has been written again since it was sent, the newer version goes out in its turn and is all there is to say.
    pub(super) fn set_aside_too_large(&mut self, server: Server, record: WireRecord, next: Cursor) -> Result<()> {
        let txn = self.site.storage.write()?;
        let cursor = if server == Server::Central { key::PUSH_CURSOR_V6 } else { key::PUSH_CURSOR_LEGACY };
        txn.set_state(cursor, &next.to_string())?;
        if txn.has_local_change(&record.table_name, &record.record_id, next)? {
            return txn.commit();
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
        Ok(())
    }

    /// Makes sure before a pull that central has integrated what it took: only then does a record that comes differ from
    /// what was sent because somebody wrote it later. Says whether it has.
    pub(super) fn confirm_before_pull(&mut self, central: &Url) -> Result<bool> {
        if self.is_unconfirmed()? && self.ended_early() {
            return Ok(false);
        }
        self.confirm(central, false).map(|()| true)
    }

    /// Waits until central has integrated what was pushed, now or in a cycle that was cut (weak point A16).
    fn confirm(&mut self, central: &Url, told_last: bool) -> Result<()> {
        if !self.is_unconfirmed()? {
            return Ok(());
        }
        if !told_last {
            let empty = Batch::empty(Cursor(0));
            match self.post(central, empty) {
                Ok(result) => {
                    // What was sent and not confirmed may have been lost with the rest.
                    self.learn_of_loss(&result.lost_history, None)?;
                }
                Err(PushFault::Error(error)) => return Err(error),
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
        let elapsed = |site: &super::Site| site.clock.monotonic().saturating_sub(began);
        loop {
            // Waited before the first question too: central takes a moment to begin, and would say that it is done.
            let waited = elapsed(self.site);
            self.client.wait(self.site.config.integration_poll, &SyncEvent::WaitingForIntegration { waited })?;
            let request =
                SiteStatusRequest { sync_v5_settings: self.identity.credentials(), sync_v6_version: V6_VERSION };
            let status: SiteStatus = self.client.central(&self.identity, central, path::SITE_STATUS, &request)?;
            if !status.is_integrating {
                let txn = self.site.storage.write()?;
                txn.set_state(key::PUSH_UNCONFIRMED, "0")?;
                return txn.commit();
            }
            if elapsed(self.site) >= self.site.config.integration_wait {
                return Err(Error::IntegrationTimeout { server: Server::Central });
            }
        }
    }
}

/// The number of rows that are pushed now.
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

/// Whether central was seen to have an edit since it was made.
fn came_back(txn: &dyn ReadTxn, row: &Change) -> Result<bool> {
    let (table, id) = (&row.change.table, &row.change.id);
    Ok(seen_at_central(txn, Source::Central, table, id)? > row.cursor)
}

/// Whether a row concerns central at all (`protocol-v6` §9.2). Upstream leaves out the rows of stores that are not active
/// here. An edit was made while its store was; if that moved away before the push, central decides what becomes of the
/// edit, and it is not passed over without a word.
pub(crate) fn is_pushed(row: &Change) -> bool {
    let change = &row.change;
    record_type(change.table.as_str())
        .is_some_and(|kind| kind.pushed && (change.action == ChangeAction::Upsert || kind.deletes_on_wire()))
}
