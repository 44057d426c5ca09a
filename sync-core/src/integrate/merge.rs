//! Merges: the legacy server found that two items, names or clinicians are the same, and one of them remains.
//! References to the other one are changed to it, in records of every kind, including later ones.
//!
//! The link between them is written at once. Existing records are rewritten after that, in short transactions; after an
//! interruption the next cycle continues. A merge may come before the records that it merges, and these may come again
//! after it: the result is the same.

use std::collections::{HashMap, HashSet};

use super::failed_batch::{failure_reason, may_be_of_a_record};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::references::MERGED;
use crate::record::{RecordData, RecordId, SiteId, TableName, record_type};
use crate::role::Role;
use crate::storage::state::{PendingMerge, confirmed_to, in_a_merge, role};
use crate::storage::{Incoming, Quarantine, QuarantineCause, ReadTxn, Source, Storage, WriteTxn, state};
use crate::write;
use crate::write::Origin;
use crate::write::merged::{append_pending, is_gone, kept, resolved};

/// Records that are read at once.
const ROWS: usize = 500;

/// Two records that are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merge {
    /// The remaining record.
    pub keep: RecordId,
    /// The merged record.
    pub delete: RecordId,
}

impl Merge {
    /// Reads a merge record; returns the reason if it cannot be carried out.
    pub(super) fn of(incoming: &Incoming) -> std::result::Result<Self, String> {
        if !MERGED.contains(&incoming.table.as_str()) {
            return Err(format!("a merge of two records of {}", incoming.table));
        }
        let fields = incoming.data.fields();
        let id = |name: &str| {
            let id = fields.as_ref().and_then(|fields| fields.text(name)).filter(|id| !id.is_empty());
            let id = id.filter(|id| id.len() <= RecordId::BYTES_MAX);
            id.map(|id| RecordId::new(id.into_owned())).ok_or(format!("$.{name}: expected the id of a record"))
        };
        Ok(Self { keep: id("mergeIdToKeep")?, delete: id("mergeIdToDelete")? })
    }
}

/// A version of a merged record that comes after the merge. It is not stored, and the stored record is removed, unless
/// it is an edit that a server does not have yet.
pub(super) fn came_late(txn: &dyn WriteTxn, incoming: &Incoming, origin: Option<SiteId>, now: Timestamp) -> Result<()> {
    if edited_here(txn, &incoming.table, &incoming.id)? == EditProgress::Arrived {
        in_a_merge(txn, || write::delete(txn, &incoming.table, &incoming.id, Origin::Sync(origin), now))?;
        wake_for_merged(txn, &incoming.table, &incoming.id)?;
    }
    Ok(())
}

/// Stages again what waits for a merged record: it is there no more, and nothing else would wake it.
fn wake_for_merged(txn: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<()> {
    txn.wake_waiting(table, id)?;
    if *table == *"name" {
        // Records that wait for a patient to become visible name the patient's id.
        txn.wake_waiting(&"name_store_join".into(), id)?;
    }
    Ok(())
}

/// Links a merged record to the remaining one, and removes it. References to it are rewritten afterwards.
pub(super) fn note(
    txn: &dyn WriteTxn,
    table: &TableName,
    merge: Merge,
    origin: Option<SiteId>,
    now: Timestamp,
) -> Result<()> {
    let Merge { keep, delete } = merge;
    let keep = kept(txn, table.as_str(), keep.clone())?.unwrap_or(keep);
    // References to records that were merged into it earlier are changed to the new one too (`sync-cycle` §6.2).
    let from = kept(txn, table.as_str(), delete.clone())?.unwrap_or(delete);
    if from == keep {
        // Merged before, in this direction or the other.
        return Ok(());
    }
    state::merged_into(table.as_str(), &from).set(txn, keep.clone())?;
    state::merge_target(table.as_str(), keep.as_str()).set(txn, true)?;
    append_pending(txn, PendingMerge::Into(table.clone(), keep.clone()))?;
    if edited_here(txn, table, &from)? == EditProgress::Arrived {
        in_a_merge(txn, || write::delete(txn, table, &from, Origin::Sync(origin), now))?;
    }
    wake_for_merged(txn, table, &from)
}

/// The progress of the newest local edit of a record, at the server that has least of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EditProgress {
    /// Every server has all edits.
    Arrived,
    /// It will be sent with the content that the record has then.
    Waits,
    /// It was sent, or may have been, and the server has not confirmed it. If the record were written again, that version would
    /// come after edits of others there.
    IsOnItsWay,
}

/// A server that does not receive this table decides nothing: the cursor of its push does not move for edits of it.
fn edited_here(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<EditProgress> {
    let typed = record_type(table.as_str()).is_some();
    let to_central = typed && role(txn)? != Some(Role::Central);
    let to_legacy = !typed || matches!(table.as_str(), "name" | "name_store_join");
    let mut edited = EditProgress::Arrived;
    let servers = [(to_central, Server::Central), (to_legacy, Server::Legacy)];
    for (_, server) in servers.into_iter().filter(|(is_concerned, _)| *is_concerned) {
        edited = edited.max(match () {
            () if !txn.has_local_change(table, id, confirmed_to(txn, server)?)? => EditProgress::Arrived,
            // It is unknown how much of an interrupted push arrived.
            () if state::push_to(server).unconfirmed.get(txn)? => EditProgress::IsOnItsWay,
            () => EditProgress::Waits,
        });
    }
    Ok(edited)
}

/// Rewrites existing references to merged records, and removes merged records that are still here. Records that are on
/// their way to a server have to wait until they have arrived. Returns the number of rewritten records.
pub(crate) fn rewrite(storage: &dyn Storage, clock: &dyn Clock, origin: Option<SiteId>) -> Result<u64> {
    let pending = state::MERGES_PENDING.get(storage.read()?.as_ref())?;
    if pending.is_empty() {
        return Ok(0);
    }
    let rewriter = Rewriter { storage, clock, origin };
    let (mut rewritten, mut left) = (0, 0);
    let any_merge = pending.iter().any(|one| matches!(one, PendingMerge::Into(..)));
    let tables = if any_merge { storage.read()?.record_counts()? } else { Vec::new() };
    for (table, _) in &tables {
        let mut after: Option<RecordId> = None;
        loop {
            // Read without blocking a writer.
            let (stale, last) = rewriter.stale_records(table, after.as_ref())?;
            let done = rewriter.past_failures(table, &stale, &|ids| rewriter.rewrite_records(table, ids))?;
            rewritten += done;
            left += stale.len() as u64 - done;
            after = last;
            if after.is_none() {
                break;
            }
        }
    }
    left += rewriter.tidy_joins(&pending)?;
    if left > 0 {
        return Ok(rewritten);
    }
    let txn = storage.write()?;
    let now_pending = state::MERGES_PENDING.get(txn.as_ref())?;
    // Merges that came meanwhile are still to be done.
    let left = now_pending.strip_prefix(pending.as_slice()).unwrap_or(&now_pending);
    state::MERGES_PENDING.set(txn.as_ref(), left)?;
    txn.commit()?;
    Ok(rewritten)
}

/// Does with some records what a merge causes, in one transaction. Returns how many are done.
type RecordsWork<'w> = &'w dyn Fn(&[RecordId]) -> Result<u64>;

/// Rewrites the records that merges concern.
struct Rewriter<'s> {
    storage: &'s dyn Storage,
    clock: &'s dyn Clock,
    /// The origin for changelog rows.
    origin: Option<SiteId>,
}

impl Rewriter<'_> {
    /// The records of a page of a table that are merged or name a merged record, and the last of the page if more follow.
    fn stale_records(&self, table: &TableName, after: Option<&RecordId>) -> Result<(Vec<RecordId>, Option<RecordId>)> {
        let txn = self.storage.read()?;
        let page = txn.records(table, after, ROWS)?;
        let last = page.last().filter(|_| page.len() == ROWS).map(|(last, _)| last.clone());
        let mut stale = Vec::new();
        for (id, data) in page {
            if is_gone(txn.as_ref(), table, &id)? || resolved(txn.as_ref(), table, &data)?.is_some() {
                stale.push(id);
            }
        }
        Ok((stale, last))
    }

    /// Does some work with records. If the database fails at one of them, does it with each alone, and sets aside the one
    /// at which it fails again, so that it stops no other.
    fn past_failures(&self, table: &TableName, ids: &[RecordId], work: RecordsWork<'_>) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        match work(ids) {
            Err(error) if may_be_of_a_record(&error) => {
                let alone = |id| match work(std::slice::from_ref(id)) {
                    Err(error) if may_be_of_a_record(&error) => self.set_aside(table, id, &error),
                    done => done,
                };
                ids.iter().try_fold(0, |done, id| Ok(done + alone(id)?))
            }
            done => done,
        }
    }

    /// Puts what should have become of a record into quarantine, because the database fails at it: otherwise the merge
    /// would fail in every cycle. A version of it that is buffered already is changed when it is integrated.
    fn set_aside(&self, table: &TableName, id: &RecordId, error: &Error) -> Result<u64> {
        let txn = self.storage.write()?;
        let is_buffered = txn.buffered_versions(table, id)?.iter().any(|row| row.incoming.source == Source::Legacy);
        let Some(data) = txn.record(table, id)?.filter(|_| !is_buffered) else { return Ok(1) };
        let resolved = if is_gone(txn.as_ref(), table, id)? { None } else { resolved(txn.as_ref(), table, &data)? };
        let action = if resolved.is_some() { Action::Update } else { Action::Delete };
        let (table_name, record_id) = (table.clone(), id.clone());
        let record_data = resolved.unwrap_or_else(RecordData::empty);
        let record = WireRecord { table_name, record_id, action, record_data };
        let quarantine = Quarantine { cause: QuarantineCause::Failed, reason: failure_reason(error), waits_for: None };
        let incoming = Incoming { quarantine: Some(quarantine), ..Incoming::new(Source::Legacy, record) };
        txn.stage(&incoming, self.clock.now())?;
        txn.commit()?;
        Ok(1)
    }

    fn rewrite_records(&self, table: &TableName, ids: &[RecordId]) -> Result<u64> {
        let txn = self.storage.write()?;
        // At central, a join that now names another patient makes that patient's records visible.
        let at_central = role(txn.as_ref())? == Some(Role::Central);
        let store = if at_central { write::upsert_with_fanout } else { write::upsert };
        let done = in_a_merge(txn.as_ref(), || {
            let mut done = 0;
            for id in ids {
                if is_gone(txn.as_ref(), table, id)? {
                    done += self.remove_if_arrived(txn.as_ref(), table, id)?;
                    continue;
                }
                let Some(data) = txn.record(table, id)? else { continue };
                let Some(data) = resolved(txn.as_ref(), table, &data)? else { continue };
                let origin = match edited_here(txn.as_ref(), table, id)? {
                    // It is still an edit, and goes out in its new form.
                    EditProgress::Waits => Origin::Local,
                    EditProgress::Arrived if write::is_local_only(txn.as_ref(), table, id)? => Origin::LocalOnly,
                    EditProgress::Arrived => Origin::Sync(self.origin),
                    EditProgress::IsOnItsWay => continue,
                };
                let written = txn.written_at(table, id)?.unwrap_or_default();
                store(txn.as_ref(), table, id, &data, origin, self.clock.now())?;
                // A waiting version does not become older by this.
                txn.note_newer(table, id, (0, written))?;
                done += 1;
            }
            Ok(done)
        })?;
        txn.commit()?;
        Ok(done)
    }

    /// If a store has two joins with the same name, one stays, preferably one in use: otherwise the store would no longer
    /// see the patient. No store is joined to its own name. Returns how many were left for later, because a server does
    /// not have them yet.
    fn tidy_joins(&self, pending: &[PendingMerge]) -> Result<u64> {
        let name = |one: &PendingMerge| match one {
            PendingMerge::Into(table, id) => (*table == *"name").then(|| id.clone()),
            PendingMerge::JoinsOf(name) => Some(name.clone()),
        };
        let names: HashSet<RecordId> = pending.iter().filter_map(name).collect();
        if names.is_empty() {
            return Ok(0);
        }
        let table = TableName::from("name_store_join");
        let surplus = surplus_joins(self.storage.read()?.as_ref(), &table, &names)?;
        let mut done = 0;
        for ids in surplus.chunks(ROWS) {
            done += self.past_failures(&table, ids, &|ids| self.remove_arrived(&table, ids))?;
        }
        Ok(surplus.len() as u64 - done)
    }

    fn remove_arrived(&self, table: &TableName, ids: &[RecordId]) -> Result<u64> {
        let txn = self.storage.write()?;
        let done = in_a_merge(txn.as_ref(), || {
            let one = |done, id| Ok(done + self.remove_if_arrived(txn.as_ref(), table, id)?);
            ids.iter().try_fold(0, one)
        })?;
        txn.commit()?;
        Ok(done)
    }

    /// Removes a record if every server has all local edits of it. Returns the number of removed records.
    fn remove_if_arrived(&self, txn: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<u64> {
        if edited_here(txn, table, id)? != EditProgress::Arrived {
            return Ok(0);
        }
        write::delete(txn, table, id, Origin::Sync(self.origin), self.clock.now())?;
        wake_for_merged(txn, table, id)?;
        Ok(1)
    }
}

/// The joins of these names that are to be removed.
fn surplus_joins(txn: &dyn ReadTxn, table: &TableName, names: &HashSet<RecordId>) -> Result<Vec<RecordId>> {
    let mut chosen: HashMap<(String, String), (RecordId, bool)> = HashMap::new();
    let mut surplus = Vec::new();
    let mut after: Option<RecordId> = None;
    loop {
        let page = txn.records(table, after.as_ref(), ROWS)?;
        for (id, data) in &page {
            let Some(fields) = data.fields() else { continue };
            let text = |key| fields.text(key).map(std::borrow::Cow::into_owned);
            let (Some(store), Some(name)) = (text("store_ID"), text("name_ID")) else { continue };
            if !names.contains(&RecordId::new(name.as_str())) {
                continue;
            }
            let own = txn.record(&"store".into(), &RecordId::new(store.clone()))?;
            let own = own.as_ref().and_then(RecordData::fields);
            if own.is_some_and(|fields| fields.text("name_ID").is_some_and(|own| *own == name)) {
                surplus.push(id.clone());
                continue;
            }
            let in_use = fields.get("inactive").is_none_or(|value| !matches!(value.get(), "true" | "1"));
            match chosen.get_mut(&(store.clone(), name.clone())) {
                None => {
                    chosen.insert((store, name), (id.clone(), in_use));
                }
                Some(chosen) if in_use && !chosen.1 => {
                    surplus.push(std::mem::replace(chosen, (id.clone(), in_use)).0);
                }
                Some(_) => surplus.push(id.clone()),
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == ROWS => after = Some(last.clone()),
            _ => return Ok(surplus),
        }
    }
}

#[cfg(test)]
mod tests;
