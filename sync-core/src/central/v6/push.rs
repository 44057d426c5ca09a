//! Push: stores a site's records in the sync buffer, and integrates them after the last batch. [`late_copy`] refuses a
//! push that arrives late, and passes over rows that came before.

pub(crate) mod late_copy;

use self::late_copy::{FilteredBatch, IncomingRow, filter_replays, note_highest_cursor};
use crate::central::copied_databases::{self, PushVerdict};
use crate::central::{Central, EnvelopeError};
use crate::error::Result;
use crate::protocol::v6::{Batch, BatchElement, PushRequest, PushResult, WireError};
use crate::record::{Cursor, SiteId};
use crate::storage::{Incoming, Known, Source, WriteTxn, state};
use crate::write;
use crate::write::restored_site::SiteRestore;

/// Stores whether a site's push has more batches to come.
pub(crate) fn set_open(txn: &dyn WriteTxn, site: SiteId, is_open: bool) -> Result<()> {
    let setting = state::OPEN_PUSH_OF_SITE.of(site);
    if setting.get(txn)? == is_open {
        return Ok(());
    }
    setting.set(txn, is_open)
}

impl Central {
    pub(crate) fn push(&self, site: SiteId, request: PushRequest) -> std::result::Result<PushResult, EnvelopeError> {
        let PushRequest { batch, push_chain, .. } = request;
        let Batch { records, end_cursor, is_last_batch: is_last, lost_history: lost_there, .. } = batch;
        let records_pushed = records.len() as u64;
        let cursors = records.iter().map(|element| element.cursor);
        let is_impossible = |cursor: Cursor| !cursor.next().is_possible() && !planted!(ImpossibleCursorTaken);
        if cursors.chain([end_cursor]).any(is_impossible) {
            // A site could never continue after a cursor beyond all numbers. The whole batch stays with the site.
            let why = "a cursor in the batch is out of range; nothing of the batch was taken";
            return Err(EnvelopeError(WireError::ParsingSyncRecordError(why.to_owned())));
        }
        let now = self.clock.now();
        let rows: Vec<IncomingRow> = records.into_iter().map(IncomingRow::new).collect();
        let txn = self.storage.write()?;
        if txn.central()?.integration_waits(site)? {
            return Err(EnvelopeError(WireError::IntegrationInProgress));
        }
        let copies = match copied_databases::judge(txn.as_ref(), site, push_chain.as_ref(), &lost_there, now)? {
            PushVerdict::Taken(told) => told,
            PushVerdict::Refused { goes_on_since } => {
                txn.commit()?;
                return Err(EnvelopeError(WireError::database_copied(&goes_on_since.to_string())));
            }
        };
        let uptime = self.uptime.now(txn.as_ref(), self.clock.as_ref())?;
        let read_to = self.read_to(txn.as_ref(), site)?;
        let FilteredBatch { fresh, duplicates, superseded } =
            filter_replays(txn.as_ref(), (site, read_to), (rows, &lost_there), uptime)?;
        note_highest_cursor(txn.as_ref(), site, &fresh, (push_chain.as_ref(), &lost_there))?;
        SiteRestore::learn(txn.as_ref(), site, &lost_there)?;
        // Repeated rows are noted anew, because further copies of this request may still arrive.
        for row in fresh.iter().chain(&duplicates) {
            row.note(txn.as_ref(), site, uptime)?;
        }
        let stores = txn.stores_of_site(site)?;
        for record in &superseded {
            let newer = txn.buffered_cursor(Source::Site(site), &record.table_name, &record.record_id)?;
            write::notify_stale_site(txn.as_ref(), (site, &stores), record, newer.is_some(), now)?;
        }
        for row in &duplicates {
            write::relog_what_replaced(txn.as_ref(), site, &row.element.record)?;
        }
        // A batch with repeated rows alone opens no push.
        let brings_something = !fresh.is_empty();
        let by_sender = Some(self.could_know(site, read_to));
        for IncomingRow { element: BatchElement { cursor, record, .. }, .. } in fresh {
            let cursor = Some(cursor).filter(|cursor| *cursor > Cursor(0));
            let known = Known { here: None, by_sender };
            txn.stage(&Incoming { cursor, known, ..Incoming::new(Source::Site(site), record) }, now)?;
        }
        if is_last {
            txn.central()?.request_integration(site, now)?;
            set_open(txn.as_ref(), site, false)?;
        } else if brings_something {
            set_open(txn.as_ref(), site, true)?;
        }
        let lost_history = copied_databases::lost_history(txn.as_ref(), site)?;
        match txn.commit() {
            Err(_) if planted!(AnswerWithoutCommit) => {}
            committed => committed?,
        }
        if is_last {
            self.announce_work();
        }
        Ok(PushResult { records_pushed, lost_history, copies })
    }
}
