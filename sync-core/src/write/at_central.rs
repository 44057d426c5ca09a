//! Writes at central, and their effects on other sites.

use super::moved_stores;
use super::record::{Origin, WriteEffect, change, scope, upsert};
use super::relog::relog_range;
use crate::changelog::{ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{
    Cursor, Deletion, Fields, NameId, RecordData, RecordId, RecordType, Scope, SiteId, StoreId, TableName, record_type,
    record_types,
};
use crate::storage::{QuarantineCause, ReadTxn, Selection, Source, WriteTxn, state};

const JOINS: &str = "name_store_join";

/// On central, stores a record, and logs again the records that other sites now need: those of a patient who becomes
/// visible in a store, and the children of a record that moves to another store (weak point A11). The records of a
/// store that moves to another site are logged again afterwards, and records that were refused from that site are tried
/// again.
pub(crate) fn upsert_with_fanout(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> Result<WriteEffect> {
    let site_before = if *table == *"store" { site_of_store(txn, id)? } else { None };
    let join_before = if *table == *JOINS { txn.record(table, id)? } else { None };
    let stored = upsert(txn, table, id, data, origin, now)?;
    if stored == WriteEffect::AsBefore {
        return Ok(stored);
    }
    let is_news = join_before.is_none_or(|before| !joins_the_same(&before, data));
    relog_patient_history(txn, table, data, is_news)?;
    if *table == *"store" {
        retry_refused(txn, data)?;
        if site_before != site_in(data) {
            note_left_site(txn, id, site_before)?;
            moved_stores::note(txn, StoreId::from(id.as_str()))?;
        }
    }
    let has_moved = match stored {
        WriteEffect::Moved => true,
        WriteEffect::Added => is_back_elsewhere(txn, table, id)?,
        WriteEffect::AsBefore | WriteEffect::Changed => false,
    };
    if has_moved {
        move_children(txn, table, id, now)?;
    }
    Ok(stored)
}

/// True for a parent that was deleted in another store: its children are still here, and belong to the new store from now on.
fn is_back_elsewhere(txn: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<bool> {
    let is_removed = record_type(table.as_str()).is_some_and(|kind| kind.deletion == Deletion::Wire);
    let is_parent = |kind: &&RecordType| matches!(kind.scope, Scope::ParentStore(_, parent, _) if *table == *parent);
    if !is_removed || !record_types().iter().any(is_parent) {
        return Ok(false);
    }
    let was_deleted = |row: &NewChange| row.action == ChangeAction::Delete;
    let left: Vec<_> = txn.tombstones(table, id)?.into_iter().map(|(row, _)| row).filter(was_deleted).collect();
    if left.is_empty() {
        return Ok(false);
    }
    let store = txn.newest_change(table, id)?.and_then(|row| row.store);
    Ok(left.iter().any(|row| row.store != store))
}

/// Records that a store has left its site, which writes on until it has read of that.
fn note_left_site(txn: &dyn WriteTxn, store: &RecordId, site_before: Option<i64>) -> Result<()> {
    let Some(site) = site_before.and_then(site_of_number) else { return Ok(()) };
    state::store_left_site(site, store.as_str()).set(txn, txn.last_cursor()?)
}

/// Once a store is active on a site, records refused from that site may be allowed: edits made while the store was away
/// for a time.
fn retry_refused(txn: &dyn WriteTxn, store: &RecordData) -> Result<()> {
    if let Some(site) = site_in(store).and_then(site_of_number) {
        txn.requeue(QuarantineCause::Refused, Some(Source::Site(site)))?;
        // The patients of the store are visible on that site now.
        txn.requeue(QuarantineCause::Waiting, Some(Source::Site(site)))?;
    }
    Ok(())
}

fn move_children(txn: &dyn WriteTxn, table: &TableName, id: &RecordId, now: Timestamp) -> Result<()> {
    // Without a source: the site that moved the record may not have them.
    let origin = Origin::Sync(None);
    for kind in record_types() {
        let Scope::ParentStore(field, parent, _) = kind.scope else { continue };
        if *table != *parent || planted!(ChildrenStay) {
            continue;
        }
        let child_table = TableName::from(kind.table);
        for child in txn.children(&child_table, field, id)? {
            let Some(data) = txn.record(&child_table, &child)? else { continue };
            let scope = scope(txn, &child_table, &data)?;
            let moved = change(&child_table, &child, ChangeAction::Upsert, scope, &data, origin, now);
            txn.put_record(&data, &moved)?;
        }
    }
    Ok(())
}

/// When a join makes a patient visible in a store, the patient's records are logged again, because the store's site has
/// read past them (weak point A11), and quarantined records of the patient are tried again. A join without a change
/// does nothing: each write of it would otherwise use up cursors for all of the patient's rows.
fn relog_patient_history(txn: &dyn WriteTxn, table: &TableName, join: &RecordData, is_news: bool) -> Result<()> {
    if *table != *JOINS || planted!(PatientHistoryIgnored) {
        return Ok(());
    }
    let fields = join.fields();
    let Some(name) = fields.as_ref().and_then(|fields| fields.text("name_ID")) else { return Ok(()) };
    txn.wake_waiting(table, &RecordId::from(name.as_ref()))?;
    if !is_news {
        return Ok(());
    }
    let (selection, end) = (Selection::Patient(NameId::from(name.as_ref())), txn.last_cursor()?.next());
    let mut left = Some(Cursor(0));
    while let Some(from) = left {
        left = relog_range(txn, &selection, (from, end), false)?;
    }
    Ok(())
}

/// True if two versions of a join have the same patient, store and visibility.
fn joins_the_same(one: &RecordData, other: &RecordData) -> bool {
    let (Some(one), Some(other)) = (one.fields(), other.fields()) else { return false };
    let is_inactive = |fields: &Fields<'_>| fields.get("inactive").is_some_and(|raw| matches!(raw.get(), "true" | "1"));
    ["name_ID", "store_ID"].iter().all(|key| one.text(key) == other.text(key))
        && is_inactive(&one) == is_inactive(&other)
}

/// The site of a store, in this database.
pub(crate) fn site_of_store(txn: &dyn ReadTxn, store: &RecordId) -> Result<Option<i64>> {
    Ok(txn.record(&TableName::from("store"), store)?.as_ref().and_then(site_in))
}

fn site_of_number(number: i64) -> Option<SiteId> {
    number.try_into().ok().map(SiteId)
}

/// The number of the site in a store's record.
pub(crate) fn site_in(store: &RecordData) -> Option<i64> {
    store.fields().and_then(|fields| fields.number("sync_id_remote_site"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, Storage as _};

    /// Cursors are few: real sites keep 32 bits of them.
    #[test]
    fn a_join_without_a_change_uses_one_cursor_and_none_of_its_patients() {
        let (storage, now) = (MemoryStorage::new(), Timestamp::from_unix_millis(0));
        let txn = storage.write().unwrap();
        let put = |table: &str, id: &str, data: serde_json::Value, origin| {
            let before = txn.last_cursor().unwrap();
            let data = RecordData::of(&data);
            upsert_with_fanout(txn.as_ref(), &table.into(), &id.into(), &data, origin, now).unwrap();
            txn.last_cursor().unwrap().0 - before.0
        };
        let join =
            |inactive: bool| serde_json::json!({"ID": "j", "name_ID": "p", "store_ID": "S", "inactive": inactive});
        put("name", "p", serde_json::json!({"ID": "p", "type": "patient"}), Origin::Local);
        for id in ["1", "2", "3"] {
            put("vaccination", id, serde_json::json!({"id": id, "patient_id": "p"}), Origin::Local);
        }
        assert!(
            put("name_store_join", "j", join(false), Origin::Local) > 3,
            "the store's site is to get the vaccinations"
        );
        assert_eq!(put("name_store_join", "j", join(false), Origin::Sync(Some(SiteId(2)))), 0, "pushed again");
        assert_eq!(put("name_store_join", "j", join(false), Origin::Local), 1, "written again by a host");
        assert!(put("name_store_join", "j", join(true), Origin::Local) > 3, "another join");
    }
}
