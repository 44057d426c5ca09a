//! Writes at central: their effects on other sites, and the moves that a writing site could not know yet.

use super::moved_stores;
use super::record::{Origin, WriteEffect, change, scope, upsert};
use super::relog::{relog_leaving, relog_range};
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
    if stored == WriteEffect::Moved {
        move_children(txn, table, id, now)?;
    }
    Ok(stored)
}

/// Records that a store has left its site, which writes on until it has read of that.
fn note_left_site(txn: &dyn WriteTxn, store: &RecordId, site_before: Option<i64>) -> Result<()> {
    let Some(site) = site_before.and_then(|number| number.try_into().ok()).map(SiteId) else { return Ok(()) };
    state::store_left_site(site, store.as_str()).set(txn, txn.last_cursor()?)
}

/// What moved elsewhere before a site wrote a record and could know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UnseenMove {
    /// Nothing, as far as is known.
    #[default]
    Nothing,
    /// The record's store with all its records. The site's edits count if the store comes back.
    Store,
    /// The record or its parent.
    Record,
    /// The record. The site has read of that, but kept an own edit, by which the record is still in one of its stores.
    KeptAsOwn,
}

/// Whether a site that wrote a record could not know that the record, its parent or its store had moved to another
/// site: the move is after the part of the changelog that the site had read.
pub(crate) fn went_unseen(
    txn: &dyn ReadTxn,
    (site, read_to, own): (SiteId, Cursor, &[StoreId]),
    (table, id, data): (&TableName, &RecordId, &RecordData),
) -> Result<UnseenMove> {
    let mut went = UnseenMove::Nothing;
    let Some(kind) = record_type(table.as_str()) else { return Ok(went) };
    let stored = txn.record(table, id)?;
    if is_kept_as_own(txn, (read_to, own), (kind, id, data))? {
        return Ok(UnseenMove::KeptAsOwn);
    }
    for version in stored.iter().chain(std::iter::once(data)) {
        let (of_table, of_id) = decided_by(txn, kind, id, version)?;
        // A store that moved to another site unseen still counts as the site's own.
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

/// Whether a version of a site says that the record is in one of its stores, although the site has read that it left that
/// store. A site that holds what it read cannot write such a version: its host may not take a record.
fn is_kept_as_own(
    txn: &dyn ReadTxn,
    (read_to, own): (Cursor, &[StoreId]),
    (kind, id, data): (&RecordType, &RecordId, &RecordData),
) -> Result<bool> {
    let table = TableName::from(kind.table);
    if decided_by(txn, kind, id, data)? != (table.clone(), id.clone()) {
        return Ok(false);
    }
    let Some(claimed) = scope(txn, &table, data)?.0.filter(|store| own.contains(store)) else { return Ok(false) };
    Ok(txn.left_at(&table, id, &[claimed])?.is_some_and(|left| left < read_to))
}

/// Tells a site with these stores once more that a record left them, because it has read past that and kept its own edit.
/// What it added to the record meanwhile was written by one who could not know: if it was refused, it is tried again.
pub(crate) fn tell_again_that_it_left(
    txn: &dyn WriteTxn,
    (site, stores): (SiteId, &[StoreId]),
    (table, id): (&TableName, &RecordId),
) -> Result<()> {
    relog_leaving(txn, (table, id), |row| row.store.as_ref().is_some_and(|store| stores.contains(store)))?;
    txn.requeue(QuarantineCause::Refused, Some(Source::Site(site)))?;
    Ok(())
}

/// The record that decides the store of a version of a record: itself, its parent, or that of the record whose file it
/// describes, such as the asset of a log with a photo.
fn decided_by(
    txn: &dyn ReadTxn,
    kind: &RecordType,
    id: &RecordId,
    version: &RecordData,
) -> Result<(TableName, RecordId)> {
    if *kind.table == *REFERENCES
        && let Some(Reference { table, record_id, .. }) = Reference::read(version)
    {
        let of = record_type(table.as_str()).filter(|of| *of.table != *REFERENCES);
        return match of.zip(txn.record(&table, &record_id)?) {
            Some((of, data)) => decided_by(txn, of, &record_id, &data),
            None => Ok((table, record_id)),
        };
    }
    let parent = match kind.scope {
        Scope::ParentStore(field, parent, _) => version
            .fields()
            .and_then(|fields| fields.text(field).map(|id| (TableName::from(parent), RecordId::new(id.into_owned())))),
        _ => None,
    };
    Ok(parent.unwrap_or_else(|| (TableName::from(kind.table), id.clone())))
}

/// True if a store moved to another site after the part that its former site had read.
fn store_went_unseen(txn: &dyn ReadTxn, (site, read_to): (SiteId, Cursor), store: &StoreId) -> Result<bool> {
    Ok(state::store_left_site(site, store.as_str()).find(txn)?.is_some_and(|left| left >= read_to))
}

/// Once a store is active on a site, records refused from that site may be allowed: edits made while the store was away
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
fn site_of_store(txn: &dyn ReadTxn, store: &RecordId) -> Result<Option<i64>> {
    Ok(txn.record(&TableName::from("store"), store)?.as_ref().and_then(site_in))
}

/// The site in a store's record.
pub(crate) fn site_in(store: &RecordData) -> Option<i64> {
    store.fields().and_then(|fields| fields.number("sync_id_remote_site"))
}
