//! Compares records and edits that a restore, here or at central, made outdated, and keeps the right version.

use std::collections::HashSet;

use super::push::is_pushed;
use crate::changelog::{Change, ChangelogGap, NewChange};
use crate::error::{Result, Server};
use crate::integrate::note_at_central;
use crate::protocol::v6::{Action, BatchElement, ReadBatch};
use crate::record::{Cursor, RecordData, RecordId, SiteId, TableName, record_type};
use crate::site::Site;
use crate::site::legacy::push::is_pushed_to_legacy;
use crate::storage::state::{CentralRestore, OwnRestore, ResendRange, RestorePoint, site_id};
use crate::storage::{Incoming, Quarantine, QuarantineCause, ReadTxn, Selection, Source, WriteTxn, state};
use crate::write;

/// Changelog rows that are logged again in one transaction.
const ROWS: usize = 1000;

/// Decides about our edits while the site reads everything again because central was restored. If central has the edit, the edit
/// counts as pushed. If central has a version that we had read before the edit, the edit is sent again. Any other version may be
/// later than the edit: it wins, and our version goes into quarantine.
///
/// An edit that was not pushed when central was restored needs no decision: it goes to the restored server like any other. A version
/// that we had read before it is left out of the batch, because central may give it as a record that left a store, which is
/// older than what central holds.
pub(crate) fn compare_with_central(site: &Site, txn: &dyn WriteTxn, batch: &mut ReadBatch) -> Result<()> {
    let CentralRestore::Rereading { reading, resend: Some(ResendRange { from, below }) } = CentralRestore::load(txn)?
    else {
        return Ok(());
    };
    let was_read = |element: &BatchElement| element.cursor <= reading.after.min(reading.seen);
    let mut left = Vec::with_capacity(batch.records.len());
    for element in std::mem::take(&mut batch.records) {
        let is_older = match &element {
            Ok(element) => compare(site, txn, element, was_read(element), (from, below))?,
            Err(_) => false,
        };
        if !is_older {
            left.push(element);
        }
    }
    batch.records = left;
    Ok(())
}

/// Decides about our edit of one record; returns true if the version that came is older than an edit that needs no decision.
fn compare(
    site: &Site,
    txn: &dyn WriteTxn,
    element: &BatchElement,
    was_read: bool,
    (from, below): (Cursor, Cursor),
) -> Result<bool> {
    let (record, own) = (&element.record, own_site(txn)?);
    let (table, id) = (&record.table_name, &record.record_id);
    if newest_row(txn, table, id)?.is_some_and(|row| is_own_again(&row, own)) {
        let ours = txn.record(table, id)?;
        if write::is_same(table, record.action, &record.record_data, ours.as_ref()) {
            note_at_central(txn, table, id)?;
        } else if was_read {
            write::reassert_local(txn, table, id, &record.record_data, site.clock.now())?;
        }
        return Ok(false);
    }
    if !txn.has_local_change(table, id, from)? {
        return Ok(false);
    }
    // What came from central over the edit may have left a row of the edit behind, for the store that the record was in.
    if txn.newest_change(table, id)?.is_some_and(|row| row.is_sync_update) {
        return Ok(false);
    }
    if txn.has_local_change(table, id, below)? {
        return Ok(was_read);
    }
    let ours = txn.record(table, id)?;
    if write::is_same(table, record.action, &record.record_data, ours.as_ref()) {
        // The record stays marked as an edit of this site, because central may be restored once more.
        txn.note_pushed(own, table, id, below)?;
    } else if was_read {
        write::reassert_local(txn, table, id, &record.record_data, site.clock.now())?;
    } else {
        txn.stage(&set_aside(table, id, ours.as_ref(), MAY_BE_LATER), site.clock.now())?;
    }
    Ok(false)
}

/// The number under which this site notes which of its own records it saw at central.
pub(crate) fn own_site(txn: &dyn ReadTxn) -> Result<SiteId> {
    Ok(site_id(txn)?.unwrap_or(SiteId(0)))
}

/// True for a version that this site wrote and read again from central.
fn is_own_again(row: &NewChange, own: SiteId) -> bool {
    row.is_sync_update && row.source_site == Some(own)
}

/// The row of a record's newest change, or of its deletion.
fn newest_row(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
    match txn.newest_change(table, id)? {
        Some(row) => Ok(Some(row)),
        None => Ok(txn.tombstones(table, id)?.into_iter().map(|(row, _)| row).next_back()),
    }
}

/// Stores that central has the versions of this site that it sent, while everything is read again because central was restored.
pub(super) fn note_own_versions(txn: &dyn WriteTxn, records: &HashSet<(TableName, RecordId)>) -> Result<()> {
    if records.is_empty() || !matches!(CentralRestore::load(txn)?, CentralRestore::Rereading { resend: Some(_), .. }) {
        return Ok(());
    }
    let own = own_site(txn)?;
    for (table, id) in records {
        if newest_row(txn, table, id)?.is_some_and(|row| is_own_again(&row, own)) {
            note_at_central(txn, table, id)?;
        }
    }
    Ok(())
}

/// Logs again the next page of edits that central lost. Returns whether there are more.
pub(super) fn requeue_next(site: &Site) -> Result<bool> {
    let is_resending = |restore| matches!(restore, CentralRestore::Resending { .. });
    if !is_resending(CentralRestore::load(site.storage.read()?.as_ref())?) {
        return Ok(false);
    }
    let txn = site.storage.write()?;
    let restore = CentralRestore::load(txn.as_ref())?;
    let CentralRestore::Resending { resend: ResendRange { from, below } } = restore else { return Ok(false) };
    let rows = txn.changes(&Selection::All, from, ROWS)?;
    let next = rows.last().map(|row| row.cursor.next()).filter(|_| rows.len() == ROWS);
    let own = own_site(txn.as_ref())?;
    // A separate legacy server lost nothing. If old edits were sent to it again, they would undo later ones.
    let one_server = state::central_is_legacy(txn.as_ref())?;
    let is_own = |row: &Change| (!row.change.is_sync_update && row.cursor < below) || is_own_again(&row.change, own);
    let is_lost = |row: &Change| is_pushed(row) || (one_server && is_pushed_to_legacy(row, one_server));
    for row in rows.into_iter().filter(|row| is_own(row) && is_lost(row)) {
        let at_central = txn.pushed_at(own, &row.change.table, &row.change.id)?.is_some_and(|at| at > row.cursor);
        if !at_central {
            write::requeue_edit(txn.as_ref(), row.change, site.clock.now())?;
        }
    }
    if next.is_none() {
        txn.forget_pushed(own)?;
    }
    restore.resent(next).store(txn.as_ref())?;
    txn.commit()?;
    Ok(next.is_some())
}

/// In a restored site, an edit from the backup gives way to a version that central received later. That version is the same edit or
/// a later one of this site. It may also be an edit of another site; then ours is not lost but goes into quarantine.
pub(crate) fn yield_to_newer(site: &Site, txn: &dyn WriteTxn, batch: &ReadBatch, since: RestorePoint) -> Result<()> {
    if planted!(OwnEditLoggedAgain) {
        return Ok(());
    }
    let of_the_backup = BackupEdits { unpushed: state::PUSH_CURSOR_V6.get(txn)?, made_since: since.made_since };
    for element in batch.records.iter().flatten().filter(|element| element.cursor > since.seen) {
        let record = &element.record;
        let version = (record.action, &record.record_data);
        of_the_backup.yield_to(site, txn, (&record.table_name, &record.record_id), version)?;
    }
    Ok(())
}

/// In a restored site, edits from the backup yield to versions in the legacy server's new queue, as they do to
/// central's.
pub(crate) fn yield_to_newer_at_legacy(site: &Site, txn: &dyn WriteTxn, incoming: &[Incoming]) -> Result<()> {
    let Some(lost) = OwnRestore::load(txn, Server::Legacy)?.unread() else { return Ok(()) };
    let of_the_backup = BackupEdits { unpushed: state::PUSH_CURSOR_LEGACY.get(txn)?, made_since: lost.before };
    for Incoming { table, id, action, data, .. } in incoming {
        of_the_backup.yield_to(site, txn, (table, id), (*action, data))?;
    }
    Ok(())
}

/// In a restored site, once the legacy server's new queue was read: edits from the backup of documents whose store is elsewhere
/// now go into quarantine. The queue has no documents of such a store, so nothing shows whether the edit was sent since the
/// backup; if it was, the store's site may have edited the document since, and the server would take the older edit over that.
pub(super) fn set_aside_of_moved_stores(site: &Site, txn: &dyn WriteTxn, lost: ChangelogGap) -> Result<()> {
    let Some(own) = site_id(txn)? else { return Ok(()) };
    let mut next = state::PUSH_CURSOR_LEGACY.get(txn)?;
    loop {
        let rows = txn.changes(&Selection::Local, next, ROWS)?;
        let last = rows.last().map(|row| row.cursor).filter(|last| *last < lost.before);
        for Change { change, .. } in rows.into_iter().filter(|row| row.cursor < lost.before && is_legacy_only(row)) {
            let Some(ours) = txn.record(&change.table, &change.id)? else { continue };
            let is_newer = txn.has_local_change(&change.table, &change.id, lost.before)?;
            if !is_newer && is_of_another_site(txn, &change.table, &ours, own)? {
                txn.stage(&set_aside(&change.table, &change.id, Some(&ours), OF_MOVED_STORE), site.clock.now())?;
                txn.mark_synced(&change.table, &change.id)?;
            }
        }
        let Some(last) = last else { return Ok(()) };
        next = last.next();
    }
}

fn is_legacy_only(row: &Change) -> bool {
    record_type(row.change.table.as_str()).is_none() && is_pushed_to_legacy(row, false)
}

fn is_of_another_site(txn: &dyn ReadTxn, table: &TableName, data: &RecordData, own: SiteId) -> Result<bool> {
    let Some(store) = write::store_of_document(txn, table, data)? else { return Ok(false) };
    let site = write::site_of_store(txn, &RecordId::from(store.as_str()))?;
    Ok(site.is_some_and(|site| site != i64::from(own.0)))
}

/// This site's edits in a restored backup that were not pushed when the backup was made.
struct BackupEdits {
    unpushed: Cursor,
    made_since: Cursor,
}

impl BackupEdits {
    /// Marks a record that has such an edit as synchronised, because the server's version counts; a different version of ours goes
    /// into quarantine.
    fn yield_to(
        &self,
        site: &Site,
        txn: &dyn WriteTxn,
        (table, id): (&TableName, &RecordId),
        (action, data): (Action, &RecordData),
    ) -> Result<()> {
        if !txn.has_local_change(table, id, self.unpushed)? || txn.has_local_change(table, id, self.made_since)? {
            return Ok(());
        }
        let ours = txn.record(table, id)?;
        if !write::is_same(table, action, data, ours.as_ref()) {
            txn.stage(&set_aside(table, id, ours.as_ref(), MAY_BE_LATER), site.clock.now())?;
        }
        txn.mark_synced(table, id)
    }
}

const MAY_BE_LATER: &str =
    "a backup was put back, here or at central, and central has another version that may be the later one";
const OF_MOVED_STORE: &str = "a backup was put back here, and the store of this record is on another site now, which may have a later \
    version; if it has none, try this one again";

fn set_aside(table: &TableName, id: &RecordId, ours: Option<&RecordData>, reason: &str) -> Incoming {
    Incoming {
        source: Source::Local,
        table: table.clone(),
        id: id.clone(),
        action: if ours.is_some() { Action::Update } else { Action::Delete },
        data: ours.cloned().unwrap_or_else(|| RecordData::of(&())),
        cursor: None,
        known: Default::default(),
        quarantine: Some(Quarantine { cause: QuarantineCause::Refused, reason: reason.to_owned(), waits_for: None }),
    }
}
