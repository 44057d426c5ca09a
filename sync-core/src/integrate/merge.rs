//! Merges: the legacy server found that two items, names or clinicians are the same, and keeps one of them. What pointed
//! to the other points to that one from then on, in records of every kind, also in those that come later.
//!
//! The link from the one to the other is written at once. What is here already is rewritten after that, in short
//! transactions; where that is cut, the next cycle goes on.

use std::collections::HashMap;

use crate::apply::{self, Origin};
use crate::clock::{Clock, Timestamp};
use crate::error::{Result, Server};
use crate::ownership::Role;
use crate::record::references::{MERGED, with_kept};
use crate::record::{RecordData, RecordId, SiteId, TableName, record_type};
use crate::site::identity::{confirmed_to, cursor, role};
use crate::storage::{Incoming, ReadTxn, Storage, WriteTxn, key};

/// Records that are looked at in one turn.
const ROWS: usize = 500;

/// The longest chain of merges that is followed.
const CHAIN_MAX: usize = 1000;

/// Two records that are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merge {
    /// The one that stays.
    pub keep: RecordId,
    /// The one that goes.
    pub delete: RecordId,
}

impl Merge {
    /// What a merge record says; the reason if it says nothing that can be done.
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

fn link(table: &str, id: &RecordId) -> String {
    format!("{}{table} {id}", key::MERGED)
}

/// Whether anything was ever merged here.
pub(crate) fn any(txn: &dyn ReadTxn) -> Result<bool> {
    Ok(txn.state(key::MERGES_PENDING)?.is_some())
}

/// The record that is kept for one that was merged; nothing if it was not.
fn kept(txn: &dyn ReadTxn, table: &str, id: RecordId) -> Result<Option<RecordId>> {
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

/// Links a merged record to the one that is kept, and removes it. What points to it is rewritten afterwards.
pub(super) fn note(
    txn: &dyn WriteTxn,
    table: &TableName,
    merge: Merge,
    origin: Option<SiteId>,
    now: Timestamp,
) -> Result<()> {
    let Merge { keep, delete } = merge;
    let keep = kept(txn, table.as_str(), keep.clone())?.unwrap_or(keep);
    // Of a record that was merged already, all that points to it goes on to the new one (`sync-cycle` §6.2).
    let from = kept(txn, table.as_str(), delete.clone())?.unwrap_or(delete);
    if from == keep {
        // Merged before, this way or the other way round.
        return Ok(());
    }
    txn.set_state(&link(table.as_str(), &from), keep.as_str())?;
    let mut pending = txn.state(key::MERGES_PENDING)?.unwrap_or_default();
    pending.push_str(&format!("{table} {keep}\n"));
    txn.set_state(key::MERGES_PENDING, &pending)?;
    if edited_here(txn, table, &from)? == Edited::Arrived {
        apply::delete(txn, table, &from, Origin::Sync(origin), now)?;
    }
    txn.wake_waiting(table, &from)?;
    if *table == *"name" {
        // What waits for a patient to be visible is told by the patient's id.
        txn.wake_waiting(&"name_store_join".into(), &from)?;
    }
    Ok(())
}

/// How far the newest edit of a record that was made here is on its way, seen from the server that has least of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edited {
    /// There is none that a server does not have.
    Arrived,
    /// It goes out as the record then is.
    Waits,
    /// It was sent, and the server has not said that it has it: written again, it would come after what others write there.
    IsOnItsWay,
}

/// A server to which records of its table do not go says nothing of an edit: the cursor of its push stays where it was,
/// however many of them are edited.
fn edited_here(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Edited> {
    let typed = record_type(table.as_str()).is_some();
    let to_central = typed && role(txn)? != Some(Role::Central);
    let to_legacy = !typed || matches!(table.as_str(), "name" | "name_store_join");
    let central = (to_central, Server::Central, key::PUSH_CURSOR_V6);
    let legacy = (to_legacy, Server::Legacy, key::PUSH_CURSOR_LEGACY);
    let mut edited = Edited::Arrived;
    for (_, server, pushed) in [central, legacy].into_iter().filter(|(is_concerned, ..)| *is_concerned) {
        edited = edited.max(match () {
            () if txn.has_local_change(table, id, cursor(txn, pushed)?)? => Edited::Waits,
            () if txn.has_local_change(table, id, confirmed_to(txn, server)?)? => Edited::IsOnItsWay,
            () => Edited::Arrived,
        });
    }
    Ok(edited)
}

/// Rewrites what is here and points to merged records, but not what is on its way to a server: that has its turn once it has
/// arrived. Says how many records that were.
pub(crate) fn rewrite(storage: &dyn Storage, clock: &dyn Clock, origin: Option<SiteId>) -> Result<u64> {
    let pending = storage.read()?.state(key::MERGES_PENDING)?.unwrap_or_default();
    if pending.is_empty() {
        return Ok(0);
    }
    let (mut rewritten, mut left) = (0, 0);
    let tables = storage.read()?.record_counts()?;
    for (table, _) in &tables {
        let mut after: Option<RecordId> = None;
        loop {
            // Looked through without keeping any writer waiting.
            let (page, stale) = {
                let txn = storage.read()?;
                let page = txn.records(table, after.as_ref(), ROWS)?;
                let mut stale = Vec::new();
                for (id, data) in &page {
                    if resolved(txn.as_ref(), table, data)?.is_some() {
                        stale.push(id.clone());
                    }
                }
                (page, stale)
            };
            if !stale.is_empty() {
                let done = rewrite_some(storage, clock, origin, table, &stale)?;
                rewritten += done;
                left += stale.len() as u64 - done;
            }
            match page.last() {
                Some((last, _)) if page.len() == ROWS => after = Some(last.clone()),
                _ => break,
            }
        }
    }
    tidy_joins(storage, clock, origin, &pending)?;
    if left > 0 {
        return Ok(rewritten);
    }
    let txn = storage.write()?;
    let now_pending = txn.state(key::MERGES_PENDING)?.unwrap_or_default();
    // What was merged meanwhile stays to be done.
    txn.set_state(key::MERGES_PENDING, now_pending.strip_prefix(&pending).unwrap_or(&now_pending))?;
    txn.commit()?;
    Ok(rewritten)
}

fn rewrite_some(
    storage: &dyn Storage,
    clock: &dyn Clock,
    origin: Option<SiteId>,
    table: &TableName,
    ids: &[RecordId],
) -> Result<u64> {
    let txn = storage.write()?;
    let mut done = 0;
    // At central, a join that leads to another patient now shows that patient's records.
    let at_central = role(txn.as_ref())? == Some(Role::Central);
    let store = if at_central { apply::upsert_at_central } else { apply::upsert };
    for id in ids {
        let Some(data) = txn.record(table, id)? else { continue };
        let Some(data) = resolved(txn.as_ref(), table, &data)? else { continue };
        let origin = match edited_here(txn.as_ref(), table, id)? {
            // It is still an edit, and goes out as it is now.
            Edited::Waits => Origin::Local,
            Edited::Arrived => Origin::Sync(origin),
            Edited::IsOnItsWay => continue,
        };
        store(txn.as_ref(), table, id, &data, origin, clock.now())?;
        done += 1;
    }
    txn.commit()?;
    Ok(done)
}

/// Of two joins of a store with the same name, one is enough, and one that is in use if there is such a one: otherwise the
/// store would see the patient no more. And no store is joined to its own name.
fn tidy_joins(storage: &dyn Storage, clock: &dyn Clock, origin: Option<SiteId>, pending: &str) -> Result<()> {
    let names: Vec<&str> = pending.lines().filter_map(|line| line.strip_prefix("name ")).collect();
    if names.is_empty() {
        return Ok(());
    }
    let table = TableName::from("name_store_join");
    let mut joins: HashMap<(String, String), (RecordId, bool)> = HashMap::new();
    let mut surplus = Vec::new();
    let mut after: Option<RecordId> = None;
    let txn = storage.read()?;
    loop {
        let page = txn.records(&table, after.as_ref(), ROWS)?;
        for (id, data) in &page {
            let Some(fields) = data.fields() else { continue };
            let text = |key| fields.text(key).map(std::borrow::Cow::into_owned);
            let (Some(store), Some(name)) = (text("store_ID"), text("name_ID")) else { continue };
            if !names.contains(&name.as_str()) {
                continue;
            }
            let own = txn.record(&"store".into(), &RecordId::new(store.clone()))?;
            let own = own.as_ref().and_then(RecordData::fields);
            let is_own = own.is_some_and(|fields| fields.text("name_ID").is_some_and(|own| *own == name));
            if is_own {
                surplus.push(id.clone());
                continue;
            }
            let in_use = fields.get("inactive").is_none_or(|value| !matches!(value.get(), "true" | "1"));
            match joins.get_mut(&(store.clone(), name.clone())) {
                None => {
                    joins.insert((store, name), (id.clone(), in_use));
                }
                Some(chosen) if in_use && !chosen.1 => {
                    surplus.push(std::mem::replace(chosen, (id.clone(), in_use)).0);
                }
                Some(_) => surplus.push(id.clone()),
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == ROWS => after = Some(last.clone()),
            _ => break,
        }
    }
    drop(txn);
    for ids in surplus.chunks(ROWS) {
        let txn = storage.write()?;
        for id in ids {
            apply::delete(txn.as_ref(), &table, id, Origin::Sync(origin), clock.now())?;
        }
        txn.commit()?;
    }
    Ok(())
}
