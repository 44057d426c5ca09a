//! The owner of a record in this database: the facts for the rules of [`ownership`](crate::ownership).

use crate::changelog::scope_of;
use crate::error::{Error, Result};
use crate::ownership::{StoreOwner, may_replace};
use crate::protocol::v6::Action;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::types::is_patient;
use crate::record::{
    Cursor, NameId, RecordData, RecordId, RecordType, Scope, SiteId, StoreId, TableName, json_text, record_type,
};
use crate::storage::state::WrittenBy;
use crate::storage::{Incoming, QuarantineCause, ReadTxn, Source, WriteTxn, state};
use crate::write::scope;

/// The store that owns a record with this data, as seen by a site with these stores. Children of a deleted record
/// belong to its store; the reference of a file belongs to the record with the file.
pub(crate) fn owner<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    data: &RecordData,
    own: &[StoreId],
) -> Result<StoreOwner> {
    if *table == *REFERENCES {
        return owner_of_file(txn, data, own);
    }
    if is_sent_by(table, data, own) {
        return Ok(StoreOwner::Own);
    }
    let store = match scope(txn, table, data)?.0 {
        None => store_of_deleted_parent(txn, table, data)?,
        store => store,
    };
    Ok(match store {
        None => StoreOwner::Nobody,
        Some(store) if own.contains(&store) => StoreOwner::Own,
        Some(_) => StoreOwner::Other,
    })
}

/// On central, true if the store that owns a record with this data left a site at this position or later.
pub(crate) fn has_owner_left<T: ReadTxn + ?Sized>(
    txn: &T,
    site: SiteId,
    record: (&TableName, &RecordData),
    since: Cursor,
) -> Result<bool> {
    let Some((table, data)) = described_record(txn, record)? else { return Ok(false) };
    scope(txn, &table, &data)?.0.map_or(Ok(false), |store| has_store_left(txn, site, store.as_str(), since))
}

/// On central, true if a store left a site at this position or later.
fn has_store_left<T: ReadTxn + ?Sized>(txn: &T, site: SiteId, store: &str, since: Cursor) -> Result<bool> {
    Ok(state::store_left_site(site, store).find(txn)?.is_some_and(|left| left >= since))
}

/// On central, true if a store left a site that could not know it: the site has not read this changelog from `read_to` on, and the
/// move, or what is told of the store today, is there. A later change of the store takes the place of the row that told of the move.
pub(crate) fn has_store_left_unseen<T: ReadTxn + ?Sized>(
    txn: &T,
    site: SiteId,
    store: &str,
    read_to: Cursor,
) -> Result<bool> {
    let Some(left) = state::store_left_site(site, store).find(txn)? else { return Ok(false) };
    let is_told = |at: Cursor| at >= read_to;
    Ok(is_told(left) || txn.written_at(&TableName::from("store"), &RecordId::from(store))?.is_some_and(is_told))
}

/// The record itself, or the one with the file if it is the reference of a file; `None` if that one is not here.
fn described_record<T: ReadTxn + ?Sized>(
    txn: &T,
    (table, data): (&TableName, &RecordData),
) -> Result<Option<(TableName, RecordData)>> {
    if *table == *REFERENCES { record_with_file(txn, data) } else { Ok(Some((table.clone(), data.clone()))) }
}

/// True if one of these stores sent the record to another store.
fn is_sent_by(table: &TableName, data: &RecordData, own: &[StoreId]) -> bool {
    let Some(Scope::Correspondence(_, from)) = record_type(table.as_str()).map(|kind| kind.scope) else { return false };
    let Some(fields) = data.fields() else { return false };
    fields.text(from).is_some_and(|store| own.iter().any(|own| *own == *store))
}

/// The file of a patient's record belongs to every site that sees the patient.
fn owner_of_file<T: ReadTxn + ?Sized>(txn: &T, reference: &RecordData, own: &[StoreId]) -> Result<StoreOwner> {
    let Some((table, data)) = record_with_file(txn, reference)?.filter(|_| !planted!(FileIsAnyones)) else {
        return Ok(StoreOwner::Nobody);
    };
    if is_about_patient(&table)
        && let Some(patient) = scope(txn, &table, &data)?.1
        && txn.is_visible(&patient, own)?
    {
        return Ok(StoreOwner::Own);
    }
    owner(txn, &table, &data, own)
}

/// The record in the reference of a file, if it is here. A reference has no file itself.
fn record_with_file<T: ReadTxn + ?Sized>(txn: &T, reference: &RecordData) -> Result<Option<(TableName, RecordData)>> {
    let Some(Reference { table, record_id, .. }) = Reference::read(reference) else { return Ok(None) };
    if table == *REFERENCES {
        return Ok(None);
    }
    Ok(txn.record(&table, &record_id)?.map(|data| (table, data)))
}

fn store_of_deleted_parent<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    data: &RecordData,
) -> Result<Option<StoreId>> {
    let hangs_on_another = |kind: &&RecordType| matches!(kind.scope, Scope::ParentStore(..));
    let Some(kind) = record_type(table.as_str()).filter(hangs_on_another) else { return Ok(None) };
    let Some(fields) = data.fields() else { return Ok(None) };
    let store = scope_of(kind, &fields, |parent, id, _| {
        let parent = TableName::from(parent);
        Ok::<_, Error>(if txn.has_record(&parent, id)? { None } else { txn.deleted_in(&parent, id)? })
    })?;
    Ok(store.0)
}

/// The last writer of a record, as it concerns a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriterOnRecord {
    /// The site itself; or nobody yet; or the record was in one of its stores.
    Itself,
    /// Another site, or central.
    Another,
    /// A site that central does not know any more: it was restored, and has to get its own records back.
    Forgotten,
}

/// On central, true if another site sent a record of one of its own stores that is not integrated. Otherwise a site
/// that read the id elsewhere, such as in the reference of a file, could create the record in its own store. A refused
/// record is no claim, and neither is one that came later than this site's version, until it had its turn.
pub(crate) fn is_set_aside_elsewhere<T: ReadTxn + ?Sized>(
    txn: &T,
    (table, id): (&TableName, &RecordId),
    (site, stores): (SiteId, &[StoreId]),
) -> Result<bool> {
    let mut is_later = false;
    for Incoming { source, data, quarantine, .. } in
        txn.buffered_versions(table, id)?.into_iter().map(|row| row.incoming)
    {
        let Source::Site(by) = source else { continue };
        let counts = match quarantine.map(|aside| aside.cause) {
            None => !is_later,
            Some(cause) => cause != QuarantineCause::Refused && !cause.is_settled(),
        };
        if by == site {
            is_later = true;
        } else if counts
            && let Some(store) = scope(txn, table, &data)?.0
            && !stores.contains(&store)
            && txn.stores_of_site(by)?.contains(&store)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// On central, the data of a record that another site sent before this site did, and that still has its turn. A push is
/// integrated after its last batch, so what came first may be here last. A refused record is no claim.
pub(crate) fn sent_first_elsewhere<T: ReadTxn + ?Sized>(
    txn: &T,
    (table, id): (&TableName, &RecordId),
    site: SiteId,
) -> Result<Option<RecordData>> {
    let versions = txn.buffered_versions(table, id)?.into_iter().map(|row| row.incoming);
    Ok(first_of_another(versions, site))
}

/// The data of the first version that another site sent before this one, of all versions in order of arrival.
fn first_of_another(versions: impl Iterator<Item = Incoming>, site: SiteId) -> Option<RecordData> {
    let counts = |incoming: &Incoming| match &incoming.quarantine {
        None => true,
        Some(aside) => aside.cause != QuarantineCause::Refused && !aside.cause.is_settled(),
    };
    let before = versions.take_while(|version| version.source != Source::Site(site));
    let mut sent = before.filter(|version| {
        matches!(version.source, Source::Site(_)) && version.action != Action::Delete && counts(version)
    });
    sent.next().map(|version| version.data)
}

/// True if the newest deletion of a record was in none of these stores.
pub(crate) fn was_deleted_elsewhere<T: ReadTxn + ?Sized>(
    txn: &T,
    (table, id): (&TableName, &RecordId),
    stores: &[StoreId],
) -> Result<bool> {
    Ok(txn.deleted_in(table, id)?.is_some_and(|store| !stores.contains(&store)))
}

/// On central, true if the record that decides the owner (itself or its parent) is here, was last written by somebody
/// else than this site, and never left one of the site's stores. A forgotten writer counts as this site: otherwise the
/// site that wrote it would lose its edits.
pub(crate) fn is_anothers<T: ReadTxn + ?Sized>(
    txn: &T,
    site: (SiteId, &[StoreId]),
    (table, id): (&TableName, &RecordId),
    data: &RecordData,
) -> Result<bool> {
    let (table, id) = parent_of(table, data).unwrap_or_else(|| (table.clone(), id.clone()));
    let writer = writer(txn, site, (&table, &id))?;
    Ok(writer == WriterOnRecord::Another || (writer == WriterOnRecord::Forgotten && planted!(ForgottenIsAnothers)))
}

/// On central, the last writer of a record, as it concerns a site with these stores.
pub(crate) fn writer<T: ReadTxn + ?Sized>(
    txn: &T,
    (site, stores): (SiteId, &[StoreId]),
    (table, id): (&TableName, &RecordId),
) -> Result<WriterOnRecord> {
    let Some(newest) = txn.newest_change(table, id)? else {
        let is_anothers = sent_first_elsewhere(txn, (table, id), site)?.is_some();
        return Ok(if is_anothers { WriterOnRecord::Another } else { WriterOnRecord::Itself });
    };
    if newest.is_sync_update && newest.source_site == Some(site) {
        return Ok(WriterOnRecord::Itself);
    }
    let was_own = |store: &StoreId| stores.contains(store);
    if txn.tombstones(table, id)?.iter().any(|(row, _)| row.store.as_ref().is_some_and(was_own)) {
        return Ok(WriterOnRecord::Itself);
    }
    let is_forgotten = !newest.is_written_here() && newest.source_site.is_none();
    if planted!(ForgottenIsAnothers) && is_forgotten {
        return Ok(WriterOnRecord::Forgotten);
    }
    Ok(match is_forgotten.then(|| noted_writer(txn, table, id)).transpose()?.flatten() {
        Some(noted) if noted == site => WriterOnRecord::Itself,
        None if is_forgotten => WriterOnRecord::Forgotten,
        _ => WriterOnRecord::Another,
    })
}

/// The stored writer of a record whose row names none, if it has not been written since.
fn noted_writer<T: ReadTxn + ?Sized>(txn: &T, table: &TableName, id: &RecordId) -> Result<Option<SiteId>> {
    let Some(WrittenBy { site, written }) = state::written_by(table, id).find(txn)? else { return Ok(None) };
    Ok((txn.written_at(table, id)? == Some(written)).then_some(site))
}

/// On central, stores the writer of a record whose row does not name it, because that site lost the record and gets it
/// back. Only for types without a store where it matters, and for names: a patient's is for its writer and for those who
/// see the patient.
pub(crate) fn note_writer(
    txn: &dyn WriteTxn,
    site: SiteId,
    (table, id): (&TableName, &RecordId),
    data: &RecordData,
) -> Result<()> {
    let matters = |kind: &RecordType| may_replace(kind).is_err() || kind.table == "name";
    let matters = record_type(table.as_str()).is_some_and(matters);
    if !matters || owner(txn, table, data, &[])? != StoreOwner::Nobody {
        return Ok(());
    }
    let written = txn.written_at(table, id)?.unwrap_or_default();
    state::written_by(table, id).set(txn, WrittenBy { site, written })
}

/// The record that decides the store of a record with this data, if its type has one.
fn parent_of(table: &TableName, data: &RecordData) -> Option<(TableName, RecordId)> {
    let kind = record_type(table.as_str())?;
    let Scope::ParentStore(field, parent, _) = kind.scope else { return None };
    let id = json_text(kind.field(field)?.find(&data.fields()?)?)?.into_owned();
    Some((TableName::from(parent), RecordId::new(id)))
}

fn is_about_patient(table: &TableName) -> bool {
    record_type(table.as_str()).is_some_and(|kind| matches!(kind.scope, Scope::Patient(_)))
}

/// The patient of a record with this data, if a site with these stores neither sees the patient nor wrote the record in
/// one of them. Central may not know every join, because the legacy server sends some only to the site itself. So the
/// site's own store in a record is proof enough.
pub(crate) fn unseen_patient<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    data: &RecordData,
    stores: &[StoreId],
) -> Result<Option<NameId>> {
    if *table == *REFERENCES {
        return match record_with_file(txn, data)? {
            Some((table, data)) => unseen_patient(txn, &table, &data, stores),
            None => Ok(None),
        };
    }
    if !is_about_patient(table) {
        return Ok(None);
    }
    let fields = data.fields();
    let is_own = |field: &str| {
        let store = fields.as_ref().and_then(|fields| fields.text(field));
        store.is_some_and(|store| stores.iter().any(|own| *own == *store))
    };
    match scope(txn, table, data)?.1 {
        Some(_) if is_own("store_id") || is_own("given_store_id") => Ok(None),
        Some(patient) if txn.is_visible(&patient, stores)? => Ok(None),
        patient => Ok(patient),
    }
}

/// On central, true if a record about a patient, or its file, names a store that left the site, which could not know it.
pub(crate) fn has_named_store_left<T: ReadTxn + ?Sized>(
    txn: &T,
    site: SiteId,
    record: (&TableName, &RecordData),
    read_to: Cursor,
) -> Result<bool> {
    let Some((_, data)) = described_record(txn, record)? else { return Ok(false) };
    let Some(fields) = data.fields() else { return Ok(false) };
    for store in ["store_id", "given_store_id"].into_iter().filter_map(|field| fields.text(field)) {
        if has_store_left_unseen(txn, site, &store, read_to)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// On central, the patient whose name or properties have this id, if the patient is here or another site sent it first,
/// and this site neither sees the patient nor wrote the name last.
pub(crate) fn unseen_name<T: ReadTxn + ?Sized>(
    txn: &T,
    (site, stores): (SiteId, &[StoreId]),
    id: &RecordId,
) -> Result<Option<NameId>> {
    let table = TableName::from("name");
    let patient = NameId::from(id.as_str());
    let is_other = |data: &RecordData| !is_patient(data);
    if txn.record(&table, id)?.as_ref().is_some_and(is_other) || txn.is_visible(&patient, stores)? {
        return Ok(None);
    }
    // The writer may be forgotten: a name then waits, and is not refused.
    if writer(txn, (site, stores), (&table, id))? == WriterOnRecord::Itself {
        return Ok(None);
    }
    Ok(Some(patient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::v6::WireRecord;
    use crate::storage::{MemoryStorage, Quarantine, Storage as _};
    use crate::write::{self, Origin};

    #[test]
    fn what_a_site_is_sent_back_stays_its_own() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (table, id) = (TableName::from("system_log"), RecordId::from("x"));
        let write = |text: &str| {
            let data = RecordData::parse(text).unwrap();
            write::upsert(txn.as_ref(), &table, &id, &data, Origin::Sync(None), Timestamp::from_unix_millis(0))
                .unwrap();
            data
        };
        let is_anothers = |site, data: &RecordData| {
            super::is_anothers(txn.as_ref(), (SiteId(site), &[]), (&table, &id), data).unwrap()
        };
        let data = write("{}");
        assert!(!is_anothers(2, &data) && !is_anothers(3, &data), "it is forgotten who wrote it");
        note_writer(txn.as_ref(), SiteId(2), (&table, &id), &data).unwrap();
        assert!(!is_anothers(2, &data) && is_anothers(3, &data));
        let data = write("[]");
        assert!(!is_anothers(2, &data) && !is_anothers(3, &data), "it was written since");
    }

    #[test]
    fn what_another_site_sent_first_is_a_claim_in_any_state_but_a_refused_or_settled_one() {
        let version = |source: Source, action, cause: Option<QuarantineCause>| {
            let record_data = RecordData::of(&serde_json::json!({ "id": "x", "by": format!("{source:?}") }));
            let record = WireRecord { table_name: "asset".into(), record_id: "x".into(), action, record_data };
            let aside = |cause| Quarantine { cause, reason: String::new(), waits_for: None };
            Incoming { quarantine: cause.map(aside), ..Incoming::new(source, record) }
        };
        let (ours, theirs, third) = (Source::Site(SiteId(2)), Source::Site(SiteId(3)), Source::Site(SiteId(4)));
        let staged = |source| version(source, Action::Update, None);
        let by = |versions: Vec<Incoming>| {
            let first = first_of_another(versions.into_iter(), SiteId(2));
            [theirs, third].into_iter().find(|source| first.as_ref() == Some(&staged(*source).data))
        };
        assert_eq!(by(vec![]), None);
        assert_eq!(
            by(vec![staged(theirs)]),
            Some(theirs),
            "this site's own version is stored already, or is a child's"
        );
        assert_eq!(by(vec![staged(theirs), staged(ours)]), Some(theirs));
        assert_eq!(by(vec![staged(ours), staged(theirs)]), None, "it came later");
        assert_eq!(by(vec![staged(third), staged(theirs), staged(ours)]), Some(third));
        assert_eq!(by(vec![staged(third), staged(ours), staged(theirs)]), Some(third));
        for source in [Source::Central, Source::Legacy, Source::Local] {
            assert_eq!(by(vec![staged(source), staged(ours)]), None, "no site sent it");
        }
        for action in [Action::Delete, Action::Insert, Action::Update] {
            let expected = (action != Action::Delete).then_some(theirs);
            assert_eq!(by(vec![version(theirs, action, None), staged(ours)]), expected, "{action:?}");
        }
        for cause in QuarantineCause::ALL {
            let is_claim =
                !matches!(cause, QuarantineCause::Refused | QuarantineCause::Superseded | QuarantineCause::Ignored);
            let versions = vec![version(theirs, Action::Update, Some(cause)), staged(ours)];
            assert_eq!(by(versions), is_claim.then_some(theirs), "{cause:?}");
            // One that is no claim hides none behind it, and a version of this site in quarantine came first all the same.
            let versions = vec![version(theirs, Action::Update, Some(cause)), staged(third), staged(ours)];
            assert_eq!(by(versions), Some(if is_claim { theirs } else { third }), "{cause:?}");
            assert_eq!(by(vec![version(ours, Action::Update, Some(cause)), staged(theirs)]), None, "{cause:?}");
        }
    }

    #[test]
    fn a_patient_whom_a_restored_site_wrote_stays_its_own() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (table, id, now) = (TableName::from("name"), RecordId::from("p"), Timestamp::from_unix_millis(0));
        let data = RecordData::parse(r#"{"ID":"p","type":"patient"}"#).unwrap();
        write::upsert(txn.as_ref(), &table, &id, &data, Origin::Sync(None), now).unwrap();
        let waits = |site| unseen_name(txn.as_ref(), (SiteId(site), &[]), &id).unwrap().is_some();
        assert!(waits(2) && waits(3));
        note_writer(txn.as_ref(), SiteId(2), (&table, &id), &data).unwrap();
        assert!(!waits(2) && waits(3));
    }
}
