//! On central: the moves that a site could not know yet when it wrote a record.

use super::record::scope;
use super::record_owner::has_store_left_unseen;
use super::relog::relog_leaving;
use crate::error::Result;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::{Cursor, RecordData, RecordId, RecordType, Scope, SiteId, StoreId, TableName, record_type};
use crate::storage::{QuarantineCause, ReadTxn, Source, WriteTxn};

/// What had moved to another site before a site wrote a record without knowing it.
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

/// A site that wrote a record, and the part of the changelog that it knew.
pub(crate) struct WritingSite<'s> {
    pub id: SiteId,
    /// The position before which it has read this changelog.
    pub read_to: Cursor,
    /// The stores that are active on it.
    pub stores: &'s [StoreId],
}

/// What a site could not know when it wrote a record: that the record, its parent or its store had moved to another site.
/// The move is after the part of the changelog that the site had read.
pub(crate) fn unseen_move(
    txn: &dyn ReadTxn,
    site: &WritingSite<'_>,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
) -> Result<UnseenMove> {
    let mut found = UnseenMove::Nothing;
    let Some(kind) = record_type(table.as_str()) else { return Ok(found) };
    let stored = txn.record(table, id)?;
    if is_kept_as_own(txn, site, kind, id, data)? {
        return Ok(UnseenMove::KeptAsOwn);
    }
    for version in stored.iter().chain(std::iter::once(data)) {
        let (of_table, of_id) = decided_by(txn, kind, id, version)?;
        // A store that moved to another site unseen still counts as the site's own.
        let mut own = site.stores.to_vec();
        for store in txn.tombstones(&of_table, &of_id)?.into_iter().filter_map(|(row, _)| row.store) {
            if has_store_left_unseen(txn, site.id, store.as_str(), site.read_to)? {
                own.push(store);
            }
        }
        if txn.left_at(&of_table, &of_id, &own)?.is_some_and(|left| left >= site.read_to) {
            return Ok(UnseenMove::Record);
        }
        let of = if of_table == *table { Some(version.clone()) } else { txn.record(&of_table, &of_id)? };
        let store = of.map(|of| scope(txn, &of_table, &of)).transpose()?.and_then(|(store, _)| store);
        if let Some(store) = store
            && has_store_left_unseen(txn, site.id, store.as_str(), site.read_to)?
        {
            found = UnseenMove::Store;
        }
    }
    Ok(found)
}

/// True if a site's version of a record is in one of its stores, although the site has read that the record left that store.
/// A site that integrated the move cannot write such a version, because a host may not take a record of another store.
fn is_kept_as_own(
    txn: &dyn ReadTxn,
    site: &WritingSite<'_>,
    kind: &RecordType,
    id: &RecordId,
    data: &RecordData,
) -> Result<bool> {
    let table = TableName::from(kind.table);
    if decided_by(txn, kind, id, data)? != (table.clone(), id.clone()) {
        return Ok(false);
    }
    let Some(claimed) = scope(txn, &table, data)?.0.filter(|store| site.stores.contains(store)) else {
        return Ok(false);
    };
    Ok(txn.left_at(&table, id, &[claimed])?.is_some_and(|left| left < site.read_to))
}

/// Logs again that a record left a site's stores, because the site has read past that and kept its own edit. What it added
/// to the record meanwhile, without that knowledge, is tried again if it was refused.
pub(crate) fn relog_move_away(
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
