//! Writes a record: its data and its changelog rows, in the caller's transaction.

use crate::changelog::{Audience, ChangeAction, NewChange, scope_of};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::types::is_patient;
use crate::record::{NameId, RecordData, RecordId, Scope, SiteId, StoreId, TableName, record_type};
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{ReadTxn, Source, WriteTxn};

/// The writer of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The host: a site pushes it.
    Local,
    /// The host, for this database alone.
    LocalOnly,
    /// Sync: on central, the site that pushed it; on a site, the legacy server if it came from there.
    Sync(Option<SiteId>),
}

/// The result of storing a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteEffect {
    /// It was here already.
    AsBefore,
    /// It was not here.
    Added,
    /// It changed.
    Changed,
    /// It changed and moved to another store.
    Moved,
}

/// Stores a record and logs the change. Known data changes nothing, so twice is the same as once.
pub(crate) fn upsert(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> Result<WriteEffect> {
    let (store, name) = scope(txn, table, data)?;
    let change = change(table, id, ChangeAction::Upsert, (store.clone(), name), data, origin, now);
    // Most records that come are new: their absence need not be asked for first.
    if txn.insert_record(data, &change)?.is_some() {
        return Ok(WriteEffect::Added);
    }
    let before = txn.record(table, id)?;
    if before.as_ref() == Some(data) && origin != Origin::Local {
        return Ok(WriteEffect::AsBefore);
    }
    if before.as_ref().is_some_and(|before| !before.is_object()) {
        // What another program damaged is replaced: nobody needs to act any more.
        txn.discard(Source::Local, table, id)?;
    }
    let old_store = match &before {
        Some(before) => scope(txn, table, before)?.0,
        None => None,
    };
    let moved = before.is_some() && old_store != store;
    txn.put_record(data, &change)?;
    // At a remote site the row would be a second one of the same edit, which central could take for a later edit.
    if moved && origin != Origin::LocalOnly && role(txn)? != Some(Role::Remote) && !planted!(FormerStoreNotTold) {
        // The site that loses the record gets a row too; every site does, if every site had the record.
        let scope = (old_store, change.name.clone());
        let told = self::change(table, id, ChangeAction::Upsert, scope, data, origin, now);
        if told.audience != Audience::Nobody {
            txn.append_change(&told, Some(data).filter(|_| !planted!(LeftAsToday)))?;
        }
    }
    Ok(if moved { WriteEffect::Moved } else { WriteEffect::Changed })
}

/// Removes a record and logs the deletion; a missing record changes nothing.
pub(crate) fn delete(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    origin: Origin,
    now: Timestamp,
) -> Result<bool> {
    let Some(before) = txn.record(table, id)? else { return Ok(false) };
    log_deletion(txn, table, id, &before, origin, now)?;
    Ok(true)
}

/// Logs the deletion of a record that has, or would have, this data.
pub(crate) fn log_deletion(
    txn: &dyn WriteTxn,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    origin: Origin,
    now: Timestamp,
) -> Result<()> {
    let scope = scope(txn, table, data)?;
    txn.remove_record(&change(table, id, ChangeAction::Delete, scope, data, origin, now))?;
    Ok(())
}

/// The store and the name for a record's changelog row.
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

/// True if the received data equals the stored data.
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
pub(crate) fn change(
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
        Origin::LocalOnly => (None, true),
        Origin::Sync(site) => (site, true),
    };
    let audience = if origin == Origin::LocalOnly { Audience::LocalOnly } else { audience };
    let (table, id) = (table.clone(), id.clone());
    NewChange { table, id, action, store, name, source_site, is_sync_update, audience, changed_at: now }
}

/// The data with a soft-delete mark, if it has none yet.
pub(crate) fn marked_deleted(data: &RecordData, field: &str, now: Timestamp) -> Option<RecordData> {
    let fields = data.fields()?;
    if fields.text(field).is_some() {
        return Some(data.clone());
    }
    data.with_text(field, &now.wire())
}
