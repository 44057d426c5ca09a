//! Writes at central: what reaches other sites by them, and what a site that wrote could not know yet.

use super::moved_stores;
use super::record::{Origin, WriteEffect, change, scope, upsert};
use super::relog::relog_range;
use crate::changelog::ChangeAction;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::{
    Cursor, Fields, NameId, RecordData, RecordId, RecordType, Scope, SiteId, StoreId, TableName, record_type,
    record_types,
};
use crate::storage::{QuarantineCause, ReadTxn, Selection, Source, WriteTxn, state};

const JOINS: &str = "name_store_join";

/// On central, stores a record, and logs again what reaches other sites by it: the records of a patient who becomes
/// visible in a store, the children of a record that moves to another store (weak point A11). Of a store that moves to
/// another site, the records are logged again afterwards; what was refused from that site is tried again.
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
    if stored == WriteEffect::Moved {
        move_children(txn, table, id, now)?;
    }
    Ok(stored)
}

/// Notes that a store is no more on the site that it was on: until the site has read of that, it goes on writing.
fn note_left_site(txn: &dyn WriteTxn, store: &RecordId, site_before: Option<i64>) -> Result<()> {
    let Some(site) = site_before.and_then(|number| number.try_into().ok()).map(SiteId) else { return Ok(()) };
    state::store_left_site(site, store.as_str()).set(txn, txn.last_cursor()?)
}

/// What went elsewhere before a site wrote a record, without the site knowing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UnseenMove {
    /// Nothing, as far as is known.
    #[default]
    Nothing,
    /// The store that the record is of, with all that is in it. What the site writes for it counts if it comes back.
    Store,
    /// The record, or the one that it hangs on.
    Record,
}

/// Whether a site that wrote a record could not know yet that it is no more one of its stores: the record, or the one that
/// it hangs on, or its store went elsewhere beyond what the site had read.
pub(crate) fn went_unseen(
    txn: &dyn ReadTxn,
    (site, read_to, own): (SiteId, Cursor, &[StoreId]),
    (table, id, data): (&TableName, &RecordId, &RecordData),
) -> Result<UnseenMove> {
    let mut went = UnseenMove::Nothing;
    let Some(kind) = record_type(table.as_str()) else { return Ok(went) };
    let stored = txn.record(table, id)?;
    for version in stored.iter().chain(std::iter::once(data)) {
        let (of_table, of_id) = decided_by(kind, id, version);
        // A store that went to another site counts as the site's own too, where that came unseen.
        let mut own = own.to_vec();
        for store in txn.tombstones(&of_table, &of_id)?.into_iter().filter_map(|(row, _)| row.store) {
            if store_went_unseen(txn, (site, read_to), &store)? {
                own.push(store);
            }
        }
        if txn.left_at(&of_table, &of_id, &own)?.is_some_and(|left| left >= read_to) {
            return Ok(UnseenMove::Record);
        }
        let of = if of_table == *table { Some(version.clone()) } else { txn.record(&of_table, &of_id)? };
        let store = of.map(|of| scope(txn, &of_table, &of)).transpose()?.and_then(|(store, _)| store);
        if let Some(store) = store
            && store_went_unseen(txn, (site, read_to), &store)?
        {
            went = UnseenMove::Store;
        }
    }
    Ok(went)
}

/// The record in whose store a version of a record is: itself, the one on which it hangs, or the one whose file it describes.
fn decided_by(kind: &RecordType, id: &RecordId, version: &RecordData) -> (TableName, RecordId) {
    if *kind.table == *REFERENCES
        && let Some(Reference { table, record_id, .. }) = Reference::read(version)
    {
        return (table, record_id);
    }
    let parent = match kind.scope {
        Scope::ParentStore(field, parent, _) => version
            .fields()
            .and_then(|fields| fields.text(field).map(|id| (TableName::from(parent), RecordId::new(id.into_owned())))),
        _ => None,
    };
    parent.unwrap_or_else(|| (TableName::from(kind.table), id.clone()))
}

/// Whether a store went to another site beyond what its former site had read.
fn store_went_unseen(txn: &dyn ReadTxn, (site, read_to): (SiteId, Cursor), store: &StoreId) -> Result<bool> {
    Ok(state::store_left_site(site, store.as_str()).find(txn)?.is_some_and(|left| left >= read_to))
}

/// Once a store is active on a site, what was refused from that site may be allowed: edits made while the store was away
/// for a time.
fn retry_refused(txn: &dyn WriteTxn, store: &RecordData) -> Result<()> {
    let site = store.fields().and_then(|fields| fields.number("sync_id_remote_site"));
    if let Some(site) = site.and_then(|number| number.try_into().ok()).map(SiteId) {
        txn.requeue(QuarantineCause::Refused, Some(Source::Site(site)))?;
        // The patients of the store are visible on that site now.
        txn.requeue(QuarantineCause::Waiting, Some(Source::Site(site)))?;
    }
    Ok(())
}

fn move_children(txn: &dyn WriteTxn, table: &TableName, id: &RecordId, now: Timestamp) -> Result<()> {
    // From nobody: the site that moved the record may not have them.
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

/// Once a join makes a patient visible in a store: the patient's records go out anew, because the store's
/// site has read past them (weak point A11), and what sites pushed of the patient before is tried again. A join that says
/// the same as before brings no news: the patient's rows would use up cursors each time that it is written.
fn relog_patient_history(txn: &dyn WriteTxn, table: &TableName, join: &RecordData, is_news: bool) -> Result<()> {
    let fields = join.fields().filter(|_| *table == *JOINS && !planted!(PatientHistoryIgnored));
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

/// Whether two versions of a join make the same patient visible, or not, in the same store.
fn joins_the_same(one: &RecordData, other: &RecordData) -> bool {
    let (Some(one), Some(other)) = (one.fields(), other.fields()) else { return false };
    let is_inactive = |fields: &Fields<'_>| fields.get("inactive").is_some_and(|raw| matches!(raw.get(), "true" | "1"));
    ["name_ID", "store_ID"].iter().all(|key| one.text(key) == other.text(key))
        && is_inactive(&one) == is_inactive(&other)
}

/// The site that a store is on, as this database has it.
fn site_of_store(txn: &dyn ReadTxn, store: &RecordId) -> Result<Option<i64>> {
    Ok(txn.record(&TableName::from("store"), store)?.as_ref().and_then(site_in))
}

/// The site in the record of a store.
pub(crate) fn site_in(store: &RecordData) -> Option<i64> {
    store.fields().and_then(|fields| fields.number("sync_id_remote_site"))
}
