//! A batch of a push, ready to be sent. The next one is made while central works on the last.

use std::collections::{BTreeSet, HashSet};

use super::position::Position;
use super::read_when_written::read_to;
use crate::changelog::{Change, ChangeAction, ChangelogGap};
use crate::error::Result;
use crate::integrate::seen_at_central;
use crate::protocol::v6::{Batch, BatchElement, PushRequest, V6_VERSION, WireRecord};
use crate::record::{Cursor, SiteId, TableName, record_type};
use crate::site::Site;
use crate::site::client::OpenPush;
use crate::site::identity::Identity;
use crate::site::outbox::{BatchBudget, ENVELOPE, Gathered, gather};
use crate::storage::{ReadTxn, newest_gaps, state};
use crate::write::outgoing;

/// A batch, with the state that it was made from.
pub(super) struct PackedBatch {
    /// The push cursor before it.
    pub start: Cursor,
    /// The records that were left to push, with these.
    pub left: u64,
    pub count: u64,
    /// The record, if it is the only one.
    pub alone: Option<(WireRecord, Cursor)>,
    /// The losses of this database that are reported with it.
    pub lost_history: Vec<ChangelogGap>,
    /// Where it ends; without its records.
    pub outgoing: Gathered<BatchElement>,
    pub body: OpenPush,
}

/// Makes batches.
pub(super) struct Packer<'p> {
    pub site: &'p Site,
    pub identity: &'p Identity,
    /// The tables that are left out.
    pub refused_tables: &'p BTreeSet<TableName>,
    /// The rows that are left out.
    pub left_out: &'p HashSet<Cursor>,
    pub gzip_from: Option<usize>,
    pub budget: BatchBudget,
}

impl Packer<'_> {
    /// The batch at a position, or at the push cursor, of a push to `bound` with so many records left.
    pub(super) fn pack(&self, at: Option<Cursor>, bound: Cursor, left: u64) -> Result<PackedBatch> {
        let txn = self.site.storage.read()?;
        let from = match at {
            Some(at) => at,
            None => Position::in_own(txn.as_ref())?.next,
        };
        let (position, own) = (Position { next: from, end: bound }, self.identity.own_id());
        let renumbered = state::RENUMBERED.get(txn.as_ref())?;
        let mut outgoing = gather(txn.as_ref(), position, self.budget, self.left_out, |row, data| {
            let is_refused = self.refused_tables.contains(&row.change.table);
            let goes_out = is_pushed(&row) && !is_refused && !is_at_central(txn.as_ref(), own, &row)?;
            let Some(mut element) = goes_out.then(|| outgoing::element(row, data)).flatten() else { return Ok(None) };
            element.sent_since = state::sent_since(&renumbered, element.cursor);
            let bytes = element.record.record_data.as_str().len() as u64 + ENVELOPE;
            Ok(Some((element, bytes)))
        })?;
        let lost_history = newest_gaps(txn.as_ref())?;
        let first = outgoing.elements.iter().map(|element| element.sent_since.unwrap_or(element.cursor)).min();
        let read_to = read_to(txn.as_ref(), first)?;
        drop(txn);
        let records = std::mem::take(&mut outgoing.elements);
        let (count, only) = (records.len() as u64, records.first().filter(|_| records.len() == 1));
        let alone = only.map(|element| (element.record.clone(), element.cursor));
        let end_cursor = records.last().map_or(Cursor(0), |element| element.cursor);
        let batch = Batch {
            total_records: left,
            records,
            is_last_batch: outgoing.is_last,
            lost_history: lost_history.clone(),
            ..Batch::empty(end_cursor)
        };
        let request = PushRequest { read_to: Some(read_to), ..push_request(batch, self.identity) };
        let body = OpenPush::of(&request, self.gzip_from)?;
        Ok(PackedBatch { start: position.next, left, count, alone, lost_history, outgoing, body })
    }
}

/// A push without its chain.
pub(super) fn push_request(batch: Batch, identity: &Identity) -> PushRequest {
    let (sync_v5_settings, sync_v6_version) = (identity.credentials(), V6_VERSION);
    PushRequest { batch, sync_v5_settings, sync_v6_version, read_to: None, push_chain: None }
}

/// True if a pull has shown, since an edit was made here, that central has it. `own` is the number of this site.
pub(super) fn is_at_central(txn: &dyn ReadTxn, own: SiteId, row: &Change) -> Result<bool> {
    Ok(seen_at_central(txn, own, &row.change.table, &row.change.id)? > row.cursor)
}

/// True if a row concerns central (`protocol-v6` §9.2). Upstream leaves out rows of stores that are not active here.
/// But the store was active when the edit was made; if it moved before the push, central decides about the edit, so
/// that it is not dropped silently.
pub(crate) fn is_pushed(row: &Change) -> bool {
    concerns_central(&row.change.table, row.change.action)
}

/// True if such rows concern central.
pub(super) fn concerns_central(table: &TableName, action: ChangeAction) -> bool {
    record_type(table.as_str())
        .is_some_and(|kind| kind.pushed && (action == ChangeAction::Upsert || kind.deletes_on_wire()))
}
