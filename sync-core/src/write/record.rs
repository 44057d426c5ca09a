//! Writing a record: its data and its changelog rows, in the caller's transaction.

use crate::changelog::{Audience, ChangeAction, NewChange, scope_of};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{Action, WireRecord};
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::types::is_patient;
use crate::record::{
    Cursor, Fields, NameId, RecordData, RecordId, RecordType, Scope, SiteId, StoreId, TableName, record_type,
    record_types,
};
use crate::storage::{QuarantineCause, ReadTxn, Selection, Source, WriteTxn, key};
use crate::write::moved_stores;
use crate::write::record_owner::note_writer;
use crate::write::restored_site::SiteRestore;

const JOINS: &str = "name_store_join";

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody here: a site pushes it.
    Local,
    /// Sync; on central, the site that pushed it; on a site, the legacy server if it came from there.
    Sync(Option<SiteId>),
}

/// What storing a record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It was here already.
    AsBefore,
    /// It is new, or changed.
    Changed,
    /// It changed, and with it the store that it belongs to.
    Moved,
}

/// Stores a record and says in the changelog that it changed. Data that is here already changes nothing, so applying
/// twice is the same as once.
pub(crate) fn upsert(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> Result<Stored> {
    let before = txn.record(table, id)?;
    if before.as_ref() == Some(data) && origin != Origin::Local {
        return Ok(Stored::AsBefore);
    }
    let old_store = match &before {
        Some(before) => scope(txn, table, before)?.0,
        None => None,
    };
    let (store, name) = scope(txn, table, data)?;
    let moved = before.is_some() && old_store != store;
    let change = change(table, id, ChangeAction::Upsert, (store, name), data, origin, now);
    txn.put_record(data, &change)?;
    if moved && !planted!(FormerStoreNotTold) {
        // The site that loses the record is told too; or every site, if it was everyone's.
        let scope = (old_store, change.name.clone());
        let told = self::change(table, id, ChangeAction::Upsert, scope, data, origin, now);
        if told.audience != Audience::Nobody {
            txn.append_change(&told, Some(data).filter(|_| !planted!(LeftAsToday)))?;
        }
    }
    Ok(if moved { Stored::Moved } else { Stored::Changed })
}

/// On central, stores a record, and logs again what reaches other sites by it: the records of a patient who becomes
/// visible in a store, the children of a record that moves to another store (weak point A11). Of a store that moves to
/// another site, the records are logged again afterwards; what was refused from that site is tried again.
pub(crate) fn upsert_at_central(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> Result<Stored> {
    let site_before = if *table == *"store" { site_of_store(txn, id)? } else { None };
    let join_before = if *table == *JOINS { txn.record(table, id)? } else { None };
    let stored = upsert(txn, table, id, data, origin, now)?;
    if stored == Stored::AsBefore {
        return Ok(stored);
    }
    let is_news = join_before.is_none_or(|before| !joins_the_same(&before, data));
    show_patient(txn, table, data, is_news)?;
    if *table == *"store" {
        retry_refused(txn, data)?;
        if site_before != site_in(data) {
            note_left_site(txn, id, site_before)?;
            moved_stores::note(txn, StoreId::from(id.as_str()))?;
        }
    }
    if stored == Stored::Moved {
        move_children(txn, table, id, now)?;
    }
    Ok(stored)
}

/// Where the changelog says that a store is no more on a site.
fn left_site_key(site: SiteId, store: &str) -> String {
    format!("{}{site} {store}", key::STORE_LEFT_SITE)
}

/// Notes that a store is no more on the site that it was on: until the site has read of that, it goes on writing.
fn note_left_site(txn: &dyn WriteTxn, store: &RecordId, site_before: Option<i64>) -> Result<()> {
    let Some(site) = site_before.and_then(|number| number.try_into().ok()).map(SiteId) else { return Ok(()) };
    txn.set_state(&left_site_key(site, store.as_str()), &txn.last_cursor()?.to_string())
}

/// What went elsewhere before a site wrote a record, without the site knowing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WentUnseen {
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
) -> Result<WentUnseen> {
    let mut went = WentUnseen::Nothing;
    let Some(kind) = record_type(table.as_str()) else { return Ok(went) };
    let stored = txn.record(table, id)?;
    for version in stored.iter().chain(std::iter::once(data)) {
        let (of_table, of_id) = decided_by(kind, id, version);
        // A store that went to another site counts as the site's own too, where that came unseen.
        let mut own = own.to_vec();
        for store in txn.changes_beside(&of_table, &of_id)?.into_iter().filter_map(|(row, _)| row.store) {
            if store_went_unseen(txn, (site, read_to), &store)? {
                own.push(store);
            }
        }
        if txn.left_at(&of_table, &of_id, &own)?.is_some_and(|left| left >= read_to) {
            return Ok(WentUnseen::Record);
        }
        let of = if of_table == *table { Some(version.clone()) } else { txn.record(&of_table, &of_id)? };
        let store = of.map(|of| scope(txn, &of_table, &of)).transpose()?.and_then(|(store, _)| store);
        if let Some(store) = store
            && store_went_unseen(txn, (site, read_to), &store)?
        {
            went = WentUnseen::Store;
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
    let left = txn.state(&left_site_key(site, store.as_str()))?;
    Ok(left.as_deref().and_then(Cursor::parse).is_some_and(|left| left >= read_to))
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

/// Removes a record and says in the changelog that it is gone; a record that is not here changes nothing.
pub(crate) fn delete(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    origin: Origin,
    now: Timestamp,
) -> Result<bool> {
    let Some(before) = txn.record(table, id)? else { return Ok(false) };
    let scope = scope(txn, table, &before)?;
    txn.remove_record(&change(table, id, ChangeAction::Delete, scope, &before, origin, now))?;
    Ok(true)
}

/// Logs again what this database has of a record, its deletion too, because what came for it gives way to that.
pub(crate) fn write_again(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    incoming: &RecordData,
    now: Timestamp,
) -> Result<()> {
    match txn.record(table, id)? {
        Some(data) => upsert(txn, table, id, &data, Origin::Local, now).map(|_| ()),
        None => {
            let scope = scope(txn, table, incoming)?;
            txn.remove_record(&change(table, id, ChangeAction::Delete, scope, incoming, Origin::Local, now)).map(|_| ())
        }
    }
}

/// Logs a change of this database again, as an edit that is not pushed yet.
pub(crate) fn log_again(txn: &dyn WriteTxn, logged: NewChange, now: Timestamp) -> Result<()> {
    let (table, id) = (logged.table.clone(), logged.id.clone());
    match (logged.action, txn.record(&table, &id)?) {
        (ChangeAction::Upsert, Some(data)) => upsert(txn, &table, &id, &data, Origin::Local, now).map(|_| ()),
        (ChangeAction::Delete, None) => {
            txn.remove_record(&NewChange { is_sync_update: false, changed_at: now, ..logged }).map(|_| ())
        }
        // Written again since it was deleted: that is the newer edit.
        _ => Ok(()),
    }
}

/// Once a join makes a patient visible in a store: the patient's records go out anew, because the store's
/// site has read past them (weak point A11), and what sites pushed of the patient before is tried again. A join that says
/// the same as before brings no news: the patient's rows would use up cursors each time that it is written.
fn show_patient(txn: &dyn WriteTxn, table: &TableName, join: &RecordData, is_news: bool) -> Result<()> {
    let fields = join.fields().filter(|_| *table == *JOINS && !planted!(PatientHistoryIgnored));
    let Some(name) = fields.as_ref().and_then(|fields| fields.text("name_ID")) else { return Ok(()) };
    txn.wake_waiting(table, &RecordId::from(name.as_ref()))?;
    if !is_news {
        return Ok(());
    }
    let (selection, end) = (Selection::Patient(NameId::from(name.as_ref())), txn.last_cursor()?.next());
    let mut left = Some(Cursor(0));
    while let Some(from) = left {
        left = log_anew(txn, &selection, (from, end), false)?;
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

/// Rows that are logged again in one go.
const ROWS: usize = 1000;

/// Logs the next rows of a selection again, in their order; those that stand beside a record, deletions among them, if
/// wanted. Gives where it goes on before `end`.
pub(crate) fn log_anew(
    txn: &dyn WriteTxn,
    selection: &Selection,
    (from, end): (Cursor, Cursor),
    and_beside: bool,
) -> Result<Option<Cursor>> {
    let rows = txn.changed_records(selection, from, ROWS, usize::MAX)?;
    let next = rows.last().map(|(row, _)| row.cursor.next()).filter(|next| *next < end);
    for (row, data) in rows.into_iter().filter(|(row, _)| row.cursor < end) {
        let mut change = row.change;
        let restore = change.source_site.map_or(Ok(None), |site| SiteRestore::load(txn, site))?;
        if restore.is_some_and(|restore| restore.lost_logged(row.cursor)) {
            if let (Some(site), Some(data)) = (change.source_site, &data)
                && txn.newest_change(&change.table, &change.id)?.as_ref() == Some(&change)
            {
                note_writer(txn, site, (&change.table, &change.id), data)?;
            }
            change.source_site = None;
        }
        log_row_anew(txn, &change, data, and_beside)?;
    }
    Ok(next)
}

/// Logs a row again: that of a record as it is, or one that stands beside, if those are wanted.
pub(crate) fn log_row_anew(
    txn: &dyn WriteTxn,
    change: &NewChange,
    data: Option<RecordData>,
    and_beside: bool,
) -> Result<()> {
    match (change.action, data) {
        (ChangeAction::Upsert, Some(data)) if is_row_of(txn, change, &data)? => txn.put_record(&data, change)?,
        (ChangeAction::Upsert, left_as) if and_beside => txn.append_change(change, left_as.as_ref())?,
        (ChangeAction::Delete, _) if and_beside => txn.append_change(change, None)?,
        _ => return Ok(()),
    };
    Ok(())
}

/// Whether a row is that of a record as it is, and not one that tells a former store of its loss.
fn is_row_of(txn: &dyn ReadTxn, row: &NewChange, data: &RecordData) -> Result<bool> {
    Ok(scope(txn, &row.table, data)? == (row.store.clone(), row.name.clone()))
}

/// The store and the name that a record's changelog row carries.
pub(crate) fn scope<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    data: &RecordData,
) -> Result<(Option<StoreId>, Option<NameId>)> {
    let Some(kind) = record_type(table.as_str()).filter(|kind| kind.scope != Scope::None) else {
        return Ok((None, None));
    };
    let Some(fields) = data.fields() else {
        return Ok((None, None));
    };
    scope_of(kind, &fields, |parent, id, field| {
        let parent = txn.record(&TableName::from(parent), id)?;
        let store = parent.as_ref().and_then(RecordData::fields).and_then(|fields| fields.text(field));
        Ok(store.filter(|id| !id.is_empty()).map(|id| StoreId::new(id.into_owned())))
    })
}

/// Whether central would send a record with this data to the site of these stores: one for every site, or for a store.
pub(crate) fn is_sent_to(txn: &dyn ReadTxn, stores: &[StoreId], record: &WireRecord) -> Result<bool> {
    let (Some(kind), Some(_)) = (record_type(record.table_name.as_str()), record.record_data.fields()) else {
        return Ok(true);
    };
    let (store, name) = scope(txn, &record.table_name, &record.record_data)?;
    Ok(match Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()) {
        Audience::Everyone => kind.pulled,
        Audience::Store(store) => kind.pulled && stores.contains(&store),
        Audience::Patient | Audience::Legacy | Audience::Nobody => false,
    })
}

/// Tells a site with these stores, which has an out-of-date version of a record that central accepted from it, of the
/// record as it is now, where nothing else would: it has left the site's stores before central knew that it was in one, or
/// its deletion was the first that central heard of it. What somebody else wrote since, the site is not told by this.
/// `is_pending` says that the newer version is not integrated here.
pub(crate) fn tell_of_newer(
    txn: &dyn WriteTxn,
    (site, stores): (SiteId, &[StoreId]),
    theirs: &WireRecord,
    is_pending: bool,
    now: Timestamp,
) -> Result<()> {
    let (table, id) = (&theirs.table_name, &theirs.record_id);
    let Some(ours) = txn.record(table, id)? else {
        if is_pending || !is_sent_to(txn, stores, theirs)? {
            return Ok(());
        }
        let scope = scope(txn, table, &theirs.record_data)?;
        return append(
            txn,
            &change(table, id, ChangeAction::Delete, scope, &theirs.record_data, Origin::Sync(None), now),
            None,
        );
    };
    if is_sent_to(txn, stores, &WireRecord { record_data: ours.clone(), ..theirs.clone() })? {
        return Ok(());
    }
    let is_from_site = |row: &NewChange| row.is_sync_update && row.source_site == Some(site);
    if txn.newest_change(table, id)?.is_some_and(|row| is_from_site(&row)) || planted!(NewerToldToAnyone) {
        if is_sent_to(txn, stores, theirs)? {
            let scope = scope(txn, table, &theirs.record_data)?;
            append(txn, &change(table, id, ChangeAction::Upsert, scope, &ours, Origin::Sync(None), now), Some(&ours))?;
        }
        return Ok(());
    }
    // The row of its leaving, which the site is not sent because it wrote that itself.
    let left = |row: &NewChange| is_from_site(row) && row.store.as_ref().is_some_and(|store| stores.contains(store));
    for (row, left_as) in txn.changes_beside(table, id)?.into_iter().filter(|(row, _)| left(row)) {
        append(txn, &NewChange { source_site: None, ..row }, left_as.as_ref())?;
    }
    Ok(())
}

fn append(txn: &dyn WriteTxn, told: &NewChange, left_as: Option<&RecordData>) -> Result<()> {
    if told.audience != Audience::Nobody {
        txn.append_change(told, left_as)?;
    }
    Ok(())
}

/// Whether what came of a record says the same as what is here.
pub(crate) fn is_same(table: &TableName, action: Action, theirs: &RecordData, ours: Option<&RecordData>) -> bool {
    match (action, ours) {
        (Action::Delete, ours) => ours.is_none(),
        (_, None) => false,
        (_, Some(ours)) if ours == theirs => true,
        (_, Some(ours)) => match record_type(table.as_str()) {
            Some(kind) => kind.is_same(ours, theirs),
            None => ours.same_value(theirs),
        },
    }
}

/// The changelog row of a record.
fn change(
    table: &TableName,
    id: &RecordId,
    action: ChangeAction,
    (store, name): (Option<StoreId>, Option<NameId>),
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> NewChange {
    let audience = match record_type(table.as_str()) {
        Some(kind) if kind.table == "name" && !is_patient(data) => Audience::Legacy,
        Some(kind) => Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()),
        None => Audience::Legacy,
    };
    let (source_site, is_sync_update) = match origin {
        Origin::Local => (None, false),
        Origin::Sync(site) => (site, true),
    };
    let (table, id) = (table.clone(), id.clone());
    NewChange { table, id, action, store, name, source_site, is_sync_update, audience, changed_at: now }
}

/// The data with a soft-delete mark, if it has none yet.
pub(crate) fn marked_deleted(data: &RecordData, field: &str, now: Timestamp) -> Option<RecordData> {
    let fields = data.fields()?;
    if fields.text(field).is_some() {
        return Some(data.clone());
    }
    let mark = format!("\"{}\"", now.wire());
    let mut out: Vec<String> = Vec::new();
    for (key, value) in fields.iter().filter(|(key, _)| *key != field) {
        out.push(format!("{}:{}", serde_json::Value::from(key), value.get()));
    }
    out.push(format!("{}:{mark}", serde_json::Value::from(field)));
    RecordData::parse(format!("{{{}}}", out.join(","))).ok()
}
