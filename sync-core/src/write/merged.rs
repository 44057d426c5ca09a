//! What is known of merged records: which record is kept for which, and what is still to be rewritten.
//!
//! [`integrate::merge`](crate::integrate::merge) notes merges and rewrites what points to merged records; writes ask here.

use crate::error::Result;
use crate::record::references::{MERGED, with_kept};
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::{ReadTxn, WriteTxn, key};

/// How a line of what is pending begins that is about the joins of a name, and about nothing else.
pub(crate) const JOINS_OF: &str = "joins-of";

/// The longest chain of merges that is followed.
const CHAIN_MAX: usize = 1000;

pub(crate) fn link(table: &str, id: &RecordId) -> String {
    format!("{}{table} {id}", key::MERGED)
}

/// Whether others were merged into this record, is noted under this name.
pub(crate) fn target(table: &str, id: &str) -> String {
    format!("{}{table} {id}", key::MERGE_TARGET)
}

/// Whether anything was ever merged here.
pub(crate) fn any(txn: &dyn ReadTxn) -> Result<bool> {
    Ok(txn.state(key::MERGES_PENDING)?.is_some())
}

/// The record that is kept for one that was merged; nothing if it was not.
pub(crate) fn kept(txn: &dyn ReadTxn, table: &str, id: RecordId) -> Result<Option<RecordId>> {
    let mut kept = None;
    let mut next = id;
    for _ in 0..CHAIN_MAX {
        let Some(further) = txn.state(&link(table, &next))? else { break };
        next = RecordId::new(further);
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
    Ok(MERGED.contains(&table.as_str()) && txn.state(&link(table.as_str(), id))?.is_some())
}

/// Notes what has to be tidied up because this record was stored, where anything was merged: a join of a name that is part
/// of a merge may be the second one of its store, as may that of a store whose name is known only now. And what a host writes
/// of a merged record goes once it has arrived.
pub(crate) fn stored(txn: &dyn WriteTxn, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
    if is_gone(txn, table, id)? && !planted!(MergedComesBack) {
        return append_pending(txn, &format!("{table} {id}"));
    }
    if !matches!(table.as_str(), "name_store_join" | "store") {
        return Ok(());
    }
    let fields = data.fields();
    let Some(name) = fields.as_ref().and_then(|fields| fields.text("name_ID")) else { return Ok(()) };
    match txn.state(&target("name", &name))? {
        Some(_) => append_pending(txn, &format!("{JOINS_OF} {name}")),
        None => Ok(()),
    }
}

pub(crate) fn append_pending(txn: &dyn WriteTxn, line: &str) -> Result<()> {
    let mut pending = txn.state(key::MERGES_PENDING)?.unwrap_or_default();
    if pending.lines().any(|known| known == line) {
        return Ok(());
    }
    pending.push_str(line);
    pending.push('\n');
    txn.set_state(key::MERGES_PENDING, &pending)
}
