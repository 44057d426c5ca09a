//! Logging again: writes changelog rows anew, so that a site that has read past a record receives it.

use super::record::{Origin, change, scope, upsert};
use super::record_owner::{has_owner_left, note_writer, was_deleted_elsewhere};
use super::restored_site::SiteRestore;
use crate::changelog::{Audience, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::WireRecord;
use crate::record::{Cursor, RecordData, RecordId, Scope, SiteId, StoreId, TableName, record_type};
use crate::storage::{Buffered, Incoming, ReadTxn, Selection, Source, WriteTxn, state};

/// Logs the local version of a record again, including a deletion, because the received version yields to it.
pub(crate) fn reassert_local(
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

/// True if this version of the record is still the stored one.
pub(crate) fn is_as_stored(txn: &dyn ReadTxn, version: &Incoming) -> Result<bool> {
    Ok(txn.record(&version.table, &version.id)?.as_ref() == Some(&version.data))
}

/// Takes a version that a server refused out of quarantine, and logs it again as an edit that is not pushed yet.
pub(crate) fn push_again(txn: &dyn WriteTxn, refused: &Buffered, now: Timestamp) -> Result<()> {
    let Incoming { table, id, data, .. } = &refused.incoming;
    upsert(txn, table, id, data, Origin::Local, now)?;
    txn.settle(&[refused.sequence])
}

/// Logs a change of this database again, as an edit that is not pushed yet. The row that a record left behind in a former store is
/// no edit of its own: the record's newest row counts, and if that came from a server, the server has the record.
pub(crate) fn requeue_edit(txn: &dyn WriteTxn, logged: NewChange, now: Timestamp) -> Result<()> {
    let (table, id) = (logged.table.clone(), logged.id.clone());
    match (logged.action, txn.record(&table, &id)?) {
        (ChangeAction::Upsert, Some(data)) if txn.newest_change(&table, &id)?.as_ref() == Some(&logged) => {
            upsert(txn, &table, &id, &data, Origin::Local, now).map(|_| ())
        }
        (ChangeAction::Delete, None) => {
            txn.remove_record(&NewChange { is_sync_update: false, changed_at: now, ..logged }).map(|_| ())
        }
        // Written again since it was deleted: that edit is newer.
        _ => Ok(()),
    }
}

/// Rows that are logged again at once.
const ROWS: usize = 1000;

/// Logs the next rows of a selection again, in order, with tombstones if wanted. Returns where to continue before
/// `end`.
pub(crate) fn relog_range(
    txn: &dyn WriteTxn,
    selection: &Selection,
    (from, end): (Cursor, Cursor),
    with_tombstones: bool,
) -> Result<Option<Cursor>> {
    let rows = txn.changed_records(selection, from, ROWS, usize::MAX)?;
    let next = rows.last().map(|(row, _)| row.cursor.next()).filter(|next| *next < end);
    for (row, data) in rows.into_iter().filter(|(row, _)| row.cursor < end) {
        let mut change = row.change;
        let restore = change.source_site.map_or(Ok(None), |site| SiteRestore::load(txn, site))?;
        if restore.is_some_and(|restore| restore.lost_logged(row.cursor)) {
            leave_source_out(txn, &mut change, data.as_ref())?;
        }
        relog_row(txn, &change, data, with_tombstones)?;
    }
    Ok(next)
}

/// Leaves the source out of a row that is logged again, because its site does not have the record: a site gets no row of its own.
/// The writer stays known.
pub(crate) fn leave_source_out(txn: &dyn WriteTxn, change: &mut NewChange, data: Option<&RecordData>) -> Result<()> {
    if let (Some(site), Some(data)) = (change.source_site, data)
        && txn.newest_change(&change.table, &change.id)?.as_ref() == Some(change)
    {
        note_writer(txn, site, (&change.table, &change.id), data)?;
    }
    change.source_site = None;
    Ok(())
}

/// Logs a row again: that of a current record, or a tombstone if those are wanted. The record that a tombstone is of may be
/// back, for the same sites: it comes after it once more.
pub(crate) fn relog_row(
    txn: &dyn WriteTxn,
    change: &NewChange,
    data: Option<RecordData>,
    with_tombstones: bool,
) -> Result<()> {
    let left_as = match (change.action, data) {
        (ChangeAction::Upsert, Some(data)) if is_current(txn, change, &data)? => {
            return txn.put_record(&data, change).map(|_| ());
        }
        (ChangeAction::Upsert, left_as) => left_as,
        (ChangeAction::Delete, _) => None,
    };
    if !with_tombstones {
        return Ok(());
    }
    txn.append_change(change, left_as.as_ref())?;
    if let (Some(data), Some(current)) =
        (txn.record(&change.table, &change.id)?, txn.newest_change(&change.table, &change.id)?)
    {
        txn.put_record(&data, &current)?;
    }
    Ok(())
}

/// True for the row of a current record, false for a tombstone.
fn is_current(txn: &dyn ReadTxn, row: &NewChange, data: &RecordData) -> Result<bool> {
    Ok(scope(txn, &row.table, data)? == (row.store.clone(), row.name.clone()))
}

/// True if central would send a record with this data to the site of these stores: one for every site, or for a store.
pub(crate) fn is_sent_to(txn: &dyn ReadTxn, stores: &[StoreId], record: &WireRecord) -> Result<bool> {
    let (Some(kind), Some(_)) = (record_type(record.table_name.as_str()), record.record_data.fields()) else {
        return Ok(true);
    };
    let (store, name) = scope(txn, &record.table_name, &record.record_data)?;
    Ok(match Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()) {
        Audience::Everyone => kind.pulled,
        Audience::Store(store) => kind.pulled && stores.contains(&store),
        Audience::Patient | Audience::Legacy | Audience::Nobody | Audience::LocalOnly => false,
    })
}

/// Sends the current version of a record to a site with these stores that has an outdated version of a record which
/// central accepted from it, if nothing else would: the record has left the site's stores before central knew that it
/// was in one, or central first heard of it by its deletion. Later versions of other writers are not sent by this.
/// `is_pending` means that the newer version is not integrated here.
pub(crate) fn notify_stale_site(
    txn: &dyn WriteTxn,
    (site, stores): (SiteId, &[StoreId]),
    theirs: &WireRecord,
    is_pending: bool,
    now: Timestamp,
) -> Result<()> {
    let (table, id) = (&theirs.table_name, &theirs.record_id);
    let Some(ours) = txn.record(table, id)? else {
        // If central deleted it in another site's store, a deletion in another store would give its children to the site of
        // that one. But beside a legacy server, central may not have read yet that the store of both is on this site. Elsewhere it
        // knows: then a store of another site is that site's. A store that left the site is on another one, which never had the record.
        let scope = scope(txn, table, &theirs.record_data)?;
        let mut its_store: Vec<_> = scope.0.iter().cloned().collect();
        if !state::LEGACY_URL.is_set(txn)? || has_owner_left(txn, site, (table, &theirs.record_data), Cursor(0))? {
            its_store.clear();
        }
        let is_elsewhere = was_deleted_elsewhere(txn, (table, id), &[stores, &its_store].concat())?;
        if is_pending || is_elsewhere || !(is_sent_to(txn, stores, theirs)? || is_sent_to(txn, &its_store, theirs)?) {
            return Ok(());
        }
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
    let is_its_own = txn.newest_change(table, id)?.is_some_and(|row| is_from_site(&row)) || planted!(NewerToldToAnyone);
    // Its tombstone, which the site does not get because it wrote that itself.
    let left = |row: &NewChange| is_from_site(row) && row.store.as_ref().is_some_and(|store| stores.contains(store));
    let told = if is_its_own {
        Some(ours)
    } else if relog_leaving(txn, (table, id), left)? {
        None
    } else if has_owner_left(txn, site, (table, &ours), Cursor(0))? || planted!(StoreToldToAnyone) {
        // Central never had the record in the site's store: the site moved it before it pushed it, to a store that has left
        // the site since. The site gets its own version in that store, and nothing of what others wrote. A site that never
        // had the store learns nothing.
        in_store_of(table, &theirs.record_data, &ours)
    } else {
        None
    };
    if let Some(told) = told
        && is_sent_to(txn, stores, theirs)?
    {
        let scope = scope(txn, table, &theirs.record_data)?;
        append(txn, &change(table, id, ChangeAction::Upsert, scope, &told, Origin::Sync(None), now), Some(&told))?;
    }
    Ok(())
}

/// The data of a record with the store that another version of it is in. `None` if its type has no field for a store.
fn in_store_of(table: &TableName, data: &RecordData, other: &RecordData) -> Option<RecordData> {
    let Scope::Store(field) = record_type(table.as_str())?.scope else { return None };
    data.with_text(field, &other.fields()?.text(field)?)
}

/// Logs the tombstones of a record again, so that the sites of its former stores learn that it left. They go to these sites
/// even if the site itself wrote them. Returns whether there are any.
pub(super) fn relog_leaving(
    txn: &dyn WriteTxn,
    (table, id): (&TableName, &RecordId),
    is_meant: impl Fn(&NewChange) -> bool,
) -> Result<bool> {
    let mut any = false;
    for (row, left_as) in txn.tombstones(table, id)?.into_iter().filter(|(row, _)| is_meant(row)) {
        append(txn, &NewChange { source_site: None, ..row }, left_as.as_ref())?;
        any = true;
    }
    Ok(any)
}

/// Logs again how others replaced or deleted a record that this site pushes a second time. The site had no answer to its first
/// push: it may have read past those changes and kept its own edit.
pub(crate) fn relog_what_replaced(txn: &dyn WriteTxn, site: SiteId, theirs: &WireRecord) -> Result<()> {
    let (table, id) = (&theirs.table_name, &theirs.record_id);
    if txn.buffered_cursor(Source::Site(site), table, id)?.is_some() {
        return Ok(());
    }
    let is_anothers = |row: &NewChange| row.source_site != Some(site);
    for (row, left_as) in txn.tombstones(table, id)?.into_iter().filter(|(row, _)| is_anothers(row)) {
        relog_row(txn, &row, left_as, true)?;
    }
    match txn.newest_change(table, id)?.filter(is_anothers) {
        Some(newest) => relog_row(txn, &newest, txn.record(table, id)?, true),
        None => Ok(()),
    }
}

fn append(txn: &dyn WriteTxn, change: &NewChange, left_as: Option<&RecordData>) -> Result<()> {
    if change.audience != Audience::Nobody {
        txn.append_change(change, left_as)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::Action;
    use crate::storage::{MemoryStorage, Storage as _};
    use crate::write;

    /// A preference was deleted in a store and is for every site since: the site that the store comes to keeps it.
    #[test]
    fn a_record_that_is_back_comes_after_the_tombstone_of_a_store_that_moved() {
        let (storage, now) = (MemoryStorage::new(), Timestamp::from_unix_millis(0));
        let (table, id, store) = (TableName::from("preference"), RecordId::from("p"), StoreId::from("S"));
        let txn = storage.write().unwrap();
        let in_store = RecordData::of(&serde_json::json!({ "id": "p", "store_id": "S" }));
        let of_all = RecordData::of(&serde_json::json!({ "id": "p", "store_id": null }));
        upsert(txn.as_ref(), &table, &id, &in_store, Origin::Local, now).unwrap();
        let its_scope = scope(txn.as_ref(), &table, &in_store).unwrap();
        let deletion = change(&table, &id, ChangeAction::Delete, its_scope, &in_store, Origin::Local, now);
        txn.remove_record(&deletion).unwrap();
        upsert(txn.as_ref(), &table, &id, &of_all, Origin::Local, now).unwrap();
        let end = txn.last_cursor().unwrap().next();
        relog_range(txn.as_ref(), &Selection::Store(store.clone()), (Cursor(0), end), true).unwrap();
        let rows = |selection: &Selection| txn.changed_records(selection, end, 10, usize::MAX).unwrap();
        let told: Vec<_> = rows(&Selection::All).into_iter().map(|(row, _)| row.change.action).collect();
        assert_eq!(told, [ChangeAction::Delete, ChangeAction::Upsert]);
        assert_eq!(txn.record(&table, &id).unwrap(), Some(of_all));
        assert_eq!(rows(&Selection::Store(store)).len(), 1, "only the tombstone is of the store");
    }

    /// The site moved the record before it pushed it, then the store left the site, and another site wrote it there.
    #[test]
    fn a_restored_site_gets_its_version_in_the_store_of_today_and_nothing_of_others() {
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        let (table, id, own) = (TableName::from("asset"), RecordId::from("x"), StoreId::from("OWN"));
        let of = |notes: &str, store: &str| {
            RecordData::of(&serde_json::json!({ "id": "x", "notes": notes, "store_id": store }))
        };
        for was_its in [false, true] {
            let storage = MemoryStorage::new();
            let txn = storage.write().unwrap();
            upsert(txn.as_ref(), &table, &id, &of("pushed", "LEFT"), Origin::Sync(Some(site)), now).unwrap();
            upsert(txn.as_ref(), &table, &id, &of("of another", "LEFT"), Origin::Sync(Some(SiteId(3))), now).unwrap();
            if was_its {
                state::store_left_site(site, "LEFT").set(txn.as_ref(), Cursor(1)).unwrap();
            }
            let (table_name, record_id) = (table.clone(), id.clone());
            let theirs = WireRecord { table_name, record_id, action: Action::Update, record_data: of("old", "OWN") };
            notify_stale_site(txn.as_ref(), (site, std::slice::from_ref(&own)), &theirs, false, now).unwrap();
            let rows = txn.changed_records(&Selection::Store(own.clone()), Cursor(0), 10, usize::MAX).unwrap();
            let told: Vec<_> = rows.into_iter().map(|(_, data)| data.unwrap()).collect();
            assert_eq!(told, Vec::from_iter(was_its.then(|| of("old", "LEFT"))), "{was_its}");
        }
    }

    /// The site that has the store now never had the record.
    #[test]
    fn nobody_is_told_of_a_deletion_in_a_store_that_left_the_restored_site() {
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        for has_left in [false, true] {
            let storage = MemoryStorage::new();
            let txn = storage.write().unwrap();
            state::LEGACY_URL.set(txn.as_ref(), "http://legacy").unwrap();
            if has_left {
                state::store_left_site(site, "STORE").set(txn.as_ref(), Cursor(0)).unwrap();
            }
            let record_data = RecordData::of(&serde_json::json!({ "id": "x", "store_id": "STORE" }));
            let (table_name, record_id) = (TableName::from("asset"), RecordId::from("x"));
            let theirs = WireRecord { table_name, record_id, action: Action::Update, record_data };
            notify_stale_site(txn.as_ref(), (site, &[]), &theirs, false, now).unwrap();
            assert_eq!(txn.last_cursor().unwrap(), Cursor(u64::from(!has_left)), "{has_left}");
        }
    }

    /// Beside a legacy server, central may read later than the site that a store has come to the site.
    #[test]
    fn a_restored_site_is_told_of_a_deletion_in_a_store_that_central_has_not_seen_on_it_yet() {
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        let (table, id) = (TableName::from("asset"), RecordId::from("x"));
        let store = StoreId::from("STORE");
        let of = |store: &str| RecordData::of(&serde_json::json!({ "id": "x", "store_id": store }));
        let theirs = WireRecord {
            table_name: table.clone(),
            record_id: id.clone(),
            action: Action::Update,
            record_data: of("STORE"),
        };
        // Central heard of its deletion only, or had it in that store, or in another one. Without a legacy server the store is
        // another site's, which never had the record.
        let beside = [(None, true), (Some("STORE"), true), (Some("OTHER"), false)].map(|(at, told)| (true, at, told));
        for (has_legacy, deleted_in, is_told) in beside.into_iter().chain([(false, None, false)]) {
            let storage = MemoryStorage::new();
            let txn = storage.write().unwrap();
            if has_legacy {
                state::LEGACY_URL.set(txn.as_ref(), "http://legacy").unwrap();
            }
            if let Some(deleted_in) = deleted_in {
                write::upsert(txn.as_ref(), &table, &id, &of(deleted_in), Origin::Sync(Some(site)), now).unwrap();
                write::delete(txn.as_ref(), &table, &id, Origin::Sync(Some(site)), now).unwrap();
            }
            notify_stale_site(txn.as_ref(), (site, &[]), &theirs, false, now).unwrap();
            let rows = txn.tombstones(&table, &id).unwrap().into_iter().map(|(row, _)| row);
            let told: Vec<_> =
                rows.filter(|row| row.source_site.is_none()).map(|row| (row.action, row.store)).collect();
            let expected = is_told.then(|| (ChangeAction::Delete, Some(store.clone())));
            assert_eq!(told, Vec::from_iter(expected), "{has_legacy} {deleted_in:?}");
        }
    }
}
