//! What is known of merged records: which record is kept for which, and what is still to be rewritten.
//!
//! [`integrate::merge`](crate::integrate::merge) notes merges and rewrites what points to merged records; writes ask here.

use crate::error::Result;
use crate::record::references::{MERGED, with_kept};
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::state::PendingMerge;
use crate::storage::{ReadTxn, WriteTxn, state};

/// The longest chain of merges that is followed.
const CHAIN_MAX: usize = 1000;

/// Whether anything was ever merged here.
pub(crate) fn any(txn: &dyn ReadTxn) -> Result<bool> {
    state::MERGES_PENDING.is_set(txn)
}

/// The record that is kept for one that was merged; nothing if it was not.
pub(crate) fn kept(txn: &dyn ReadTxn, table: &str, id: RecordId) -> Result<Option<RecordId>> {
    let mut kept = None;
    let mut next = id;
    for _ in 0..CHAIN_MAX {
        let Some(further) = state::merged_into(table, &next).find(txn)? else { break };
        next = further;
        kept = Some(next.clone());
    }
    Ok(kept)
}

/// The data with every name of a merged record replaced; nothing if there is none in it.
pub(crate) fn resolved(txn: &dyn ReadTxn, table: &TableName, data: &RecordData) -> Result<Option<RecordData>> {
    with_kept(table.as_str(), data, |target, id| kept(txn, target, id))
}

/// Whether a record was merged into another one: what comes of it has no place here any more.
pub(crate) fn is_gone(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<bool> {
    Ok(MERGED.contains(&table.as_str()) && state::merged_into(table.as_str(), id).is_set(txn)?)
}

/// Notes what has to be tidied up because this record was stored, where anything was merged: a join of a name that is part
/// of a merge may be the second one of its store, as may that of a store whose name is known only now. And what a host writes
/// of a merged record goes once it has arrived.
pub(crate) fn stored(txn: &dyn WriteTxn, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
    if is_gone(txn, table, id)? && !planted!(MergedComesBack) {
        return append_pending(txn, PendingMerge::Into(table.clone(), id.clone()));
    }
    if !matches!(table.as_str(), "name_store_join" | "store") {
        return Ok(());
    }
    let fields = data.fields();
    let Some(name) = fields.as_ref().and_then(|fields| fields.text("name_ID")) else { return Ok(()) };
    match state::merge_target("name", &name).is_set(txn)? {
        true => append_pending(txn, PendingMerge::JoinsOf(RecordId::new(name))),
        false => Ok(()),
    }
}

pub(crate) fn append_pending(txn: &dyn WriteTxn, merge: PendingMerge) -> Result<()> {
    let mut pending = state::MERGES_PENDING.get(txn)?;
    if pending.contains(&merge) {
        return Ok(());
    }
    pending.push(merge);
    state::MERGES_PENDING.set(txn, pending)
}
