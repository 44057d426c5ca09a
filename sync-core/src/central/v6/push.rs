//! Push: integrates each batch of a site's records in the transaction that takes it. What cannot be integrated there is
//! staged, and integrated in turns after the last batch. [`late_copy`] refuses a push that arrives late, and passes over rows
//! that came before.

pub(crate) mod late_copy;

use self::late_copy::{FilteredBatch, IncomingRow, filter_replays, note_highest_cursor};
use crate::central::copied_databases::{self, PushVerdict};
use crate::central::{Central, EnvelopeError};
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::integrate::{ChunkFailure, attempted, receive_push};
use crate::protocol::v6::{Batch, BatchElement, PushChain, PushRequest, PushResult, ReadPositions, WireError};
use crate::record::{Cursor, SiteId};
use crate::storage::{Incoming, Known, ReadTxn, Source, WriteTxn, state};
use crate::write;
use crate::write::restored_site::SiteRestore;

/// Stores whether a site's push has more batches to come.
fn set_open(txn: &dyn WriteTxn, site: SiteId, is_open: bool) -> Result<()> {
    let setting = state::OPEN_PUSH_OF_SITE.of(site);
    if setting.get(txn)? == is_open {
        return Ok(());
    }
    setting.set(txn, is_open)
}

/// A batch of a push, without its rows.
struct ReceivedPush<'r> {
    site: SiteId,
    /// What the site says that it has read.
    told: Option<ReadPositions>,
    chain: Option<&'r PushChain>,
    lost_there: &'r [ChangelogGap],
    is_last: bool,
}

impl Central {
    pub(crate) fn push(&self, site: SiteId, request: PushRequest) -> std::result::Result<PushResult, EnvelopeError> {
        let PushRequest { batch, push_chain, read_to, .. } = request;
        let Batch { records, end_cursor, is_last_batch: is_last, lost_history: lost_there, .. } = batch;
        let cursors = records.iter().map(|element| element.cursor);
        let is_impossible = |cursor: Cursor| !cursor.next().is_possible() && !planted!(ImpossibleCursorTaken);
        if cursors.chain([end_cursor]).any(is_impossible) {
            // A site could never continue after a cursor beyond all numbers. The whole batch stays with the site.
            let why = "a cursor in the batch is out of range; nothing of the batch was taken";
            return Err(EnvelopeError(WireError::ParsingSyncRecordError(why.to_owned())));
        }
        let rows: Vec<IncomingRow> = records.into_iter().map(IncomingRow::new).collect();
        let push = ReceivedPush { site, told: read_to, chain: push_chain.as_ref(), lost_there: &lost_there, is_last };
        let result = match self.accept(&push, &rows, self.config.push_integrated_max)? {
            // A record fails, or the database or the host does: all are staged, and the turns find out which.
            None => self.accept(&push, &rows, 0)?,
            result => result,
        };
        result.ok_or(EnvelopeError(WireError::IntegrationInProgress))
    }

    /// Accepts a batch in one transaction: integrates at most so many of its records, and stages the rest. `None` if the
    /// integration failed; then nothing is changed.
    fn accept(
        &self,
        push: &ReceivedPush<'_>,
        rows: &[IncomingRow],
        integrated_max: usize,
    ) -> std::result::Result<Option<PushResult>, EnvelopeError> {
        let &ReceivedPush { site, told, chain, lost_there, is_last } = push;
        let records_pushed = rows.len() as u64;
        let now = self.clock.now();
        let asked_before = match planted!(WaitAskedBefore) {
            true => Some(self.storage.read()?.central()?.integration_waits(site)?),
            false => None,
        };
        let txn = self.storage.write()?;
        if asked_before.map_or_else(|| txn.central()?.integration_waits(site), Ok)? {
            return Err(WireError::IntegrationInProgress.into());
        }
        let copies = match copied_databases::judge(txn.as_ref(), site, chain, lost_there, now)? {
            PushVerdict::Taken(copies) => copies,
            PushVerdict::Undecided { set_up_at } => {
                return Err(WireError::copy_undecided(&set_up_at.to_string()).into());
            }
            PushVerdict::Refused { goes_on_since } => {
                txn.commit()?;
                return Err(WireError::database_copied(&goes_on_since.to_string()).into());
            }
        };
        let uptime = self.uptime.now(txn.as_ref(), self.clock.as_ref())?;
        let read_to = self.read_to(txn.as_ref(), site)?;
        let mut filtered = filter_replays(txn.as_ref(), site, read_to, rows, lost_there, uptime)?;
        let is_anew = note_highest_cursor(txn.as_ref(), site, &filtered.fresh, chain, lost_there)?;
        SiteRestore::note_losses(txn.as_ref(), site, lost_there)?;
        filtered.note(txn.as_ref(), site, uptime, is_anew)?;
        let FilteredBatch { fresh, duplicates, superseded, .. } = filtered;
        let stores = txn.stores_of_site(site)?;
        for record in &superseded {
            let newer = txn.buffered_cursor(Source::Site(site), &record.table_name, &record.record_id)?;
            write::notify_stale_site(txn.as_ref(), (site, &stores), record, newer.is_some(), now)?;
        }
        for row in &duplicates {
            write::relog_what_replaced(txn.as_ref(), site, &row.element.record)?;
        }
        let by_sender = match planted!(SentIsRead) {
            true => read_to.unwrap_or_default(),
            false => self.known_to_site(txn.as_ref(), site, told)?,
        };
        let known = Known { here: None, by_sender: Some(by_sender) };
        let incoming = fresh.iter().map(|row| {
            let BatchElement { cursor, record, .. } = &row.element;
            let cursor = Some(*cursor).filter(|cursor| *cursor > Cursor(0));
            Incoming { cursor, known, ..Incoming::new(Source::Site(site), record.clone()) }
        });
        let incoming = incoming.collect();
        let integrate = || receive_push(txn.as_ref(), now, site, incoming, integrated_max);
        let done = match integrated_max {
            0 => integrate()?,
            _ => match attempted(integrate) {
                Ok(done) => done,
                // Staged records would wait for ever.
                Err(ChunkFailure::Error(error @ Error::HookMissing)) => return Err(error.into()),
                Err(_) => return Ok(None),
            },
        };
        if is_last {
            set_open(txn.as_ref(), site, false)?;
        } else if !fresh.is_empty() {
            // A batch with repeated rows alone opens no push.
            set_open(txn.as_ref(), site, true)?;
        }
        if is_last && any_staged(txn.as_ref(), site)? {
            txn.central()?.request_integration(site, now)?;
        } else if txn.central()?.integration_waits(site)? {
            // A record that was woken here is integrated already, or comes with the next batch, which must be accepted.
            txn.central()?.finish_integration(site)?;
        }
        let lost_history = copied_databases::lost_history(txn.as_ref(), site)?;
        match txn.commit() {
            Err(_) if planted!(AnswerWithoutCommit) => {}
            committed => committed?,
        }
        self.queue.add(&done);
        if is_last || !fresh.is_empty() {
            // Records of other sites may have waited for these.
            self.announce_work();
        }
        Ok(Some(PushResult { records_pushed, lost_history, copies }))
    }
}

/// True if records of a site are staged.
pub(super) fn any_staged(txn: &dyn ReadTxn, site: SiteId) -> Result<bool> {
    Ok(!txn.staged_tables(Source::Site(site))?.is_empty())
}

/// Has the staged records of a push integrated, because its last batch does not come. Returns whether there are any. Without any it ends
/// the push too: a record of it that waits, and is woken later, would wait for the last batch.
pub(crate) fn close_open_push(txn: &dyn WriteTxn, site: SiteId, now: Timestamp) -> Result<bool> {
    let any_staged = any_staged(txn, site)?;
    if any_staged {
        txn.central()?.request_integration(site, now)?;
    }
    set_open(txn, site, false)?;
    Ok(any_staged)
}

/// True if a site's push has no last batch yet, or left records that are not integrated.
pub(super) fn is_push_open(txn: &dyn ReadTxn, site: SiteId) -> Result<bool> {
    Ok(state::OPEN_PUSH_OF_SITE.of(site).get(txn)? || any_staged(txn, site)?)
}
