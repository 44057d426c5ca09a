//! The merged records: which record remains for each, and the references that are still to be rewritten.
//!
//! [`integrate::merge`](crate::integrate::merge) stores merges and rewrites references to merged records; writes look
//! them up here.

use crate::error::Result;
use crate::record::references::{MERGED, with_kept};
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::state::PendingMerge;
use crate::storage::{ReadTxn, WriteTxn, state};

/// The longest chain of merges that is followed.
const CHAIN_MAX: usize = 1000;

/// True if there ever was a merge.
pub(crate) fn any(txn: &dyn ReadTxn) -> Result<bool> {
    state::MERGES_PENDING.is_set(txn)
}

/// The remaining record for a merged one; `None` if it was not merged.
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

/// The data with every reference to a merged record replaced; `None` if there is none in it.
pub(crate) fn resolved(txn: &dyn ReadTxn, table: &TableName, data: &RecordData) -> Result<Option<RecordData>> {
    with_kept(table.as_str(), data, |target, id| kept(txn, target, id))
}

/// True if a record was merged into another one: no version of it is stored any more.
pub(crate) fn is_gone(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<bool> {
    Ok(MERGED.contains(&table.as_str()) && state::merged_into(table.as_str(), id).is_set(txn)?)
}

/// Records the work that storing this record causes after a merge: a join of a merged name may be the second one of its
/// store, and so may the join of a store whose name is known only now. A local edit of a merged record is removed once
/// it has arrived at the server.
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
