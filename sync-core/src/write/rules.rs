//! The rules for what a host writes: the shape of records, and who may write them.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::ownership::{Operation, Refusal, may_write};
use crate::record::types::is_patient;
use crate::record::{
    DocumentStore, FieldError, Fields, LegacyTable, RECORD_BYTES_MAX, RecordData, RecordId, RecordType, Scope, StoreId,
    TableName, configured_by_legacy, document_store, owned_by_sites, record_type,
};
use crate::role::Role;
use crate::storage::state::{role, site_id};
use crate::storage::{ReadTxn, WriteTxn};
use crate::text::sentences::input;
use crate::write::record_owner;

/// The kind of a table that the host writes.
#[derive(Clone, Copy)]
pub(super) enum TableKind {
    /// It has a record type.
    Typed(&'static RecordType),
    /// Its records belong to the legacy server, are stored as documents, and sites own them.
    Legacy(&'static LegacyTable),
}

impl TableKind {
    pub(super) fn of(table: &str) -> Result<Self> {
        match (record_type(table), owned_by_sites(table)) {
            (Some(kind), _) => Ok(Self::Typed(kind)),
            (None, Some(known)) => Ok(Self::Legacy(known)),
            _ if configured_by_legacy(table) => Err(Refusal::OnlyAllowedOnLegacy { table: table.to_owned() }.into()),
            _ => Err(Error::unknown_table(table)),
        }
    }
}

/// Refuses a record that not every peer can read. If its id cannot be trusted either, the last one in the text is
/// named.
fn check_portable(kind: TableKind, table: &TableName, data: &RecordData) -> Result<()> {
    data.check_portable().map_err(|error| {
        let keys = match kind {
            TableKind::Typed(kind) => [kind.key; 2],
            TableKind::Legacy(_) => ["ID", "id"],
        };
        Error::InvalidRecord { table: table.clone(), id: shown_id(data, &keys), source: Box::new(error) }
    })
}

/// The id in the message about an invalid record, which may be a number or missing.
fn shown_id(data: &RecordData, keys: &[&str]) -> RecordId {
    let fields = data.fields();
    let found = keys.iter().find_map(|key| fields.as_ref()?.get(key)).map(|raw| {
        let is_number = raw.get().starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if is_number { Some(Cow::Borrowed(raw.get())) } else { crate::record::json_text(raw) }
    });
    let id = found.flatten().unwrap_or_default();
    let id = id.chars().filter(|c| !c.is_control()).take(RecordId::BYTES_MAX).collect::<String>();
    RecordId::new(if id.is_empty() { "(none)".to_owned() } else { id })
}

/// The error for an edit that would write another record than the one it was given.
pub(super) fn changed_id(table: &str, id: &RecordId) -> Error {
    let key = record_type(table).map_or("ID", |kind| kind.key);
    let fault = FieldError {
        path: format!("$.{key}"),
        expected: "the id that the record had".into(),
        found: "another".into(),
        unsupported: false,
    };
    Error::InvalidRecord { table: TableName::from(table), id: id.clone(), source: Box::new(fault) }
}

/// The id that a document has; empty if it has none.
pub(super) fn id_in(table: &TableName, data: &RecordData) -> RecordId {
    let in_fields = |fields: &Fields<'_>| match record_type(table.as_str()) {
        Some(kind) => fields.text(kind.key).map(Cow::into_owned),
        None => fields.text("ID").or_else(|| fields.text("id")).map(Cow::into_owned),
    };
    RecordId::new(data.fields().as_ref().and_then(in_fields).unwrap_or_default())
}

/// Checks a document of a legacy table that the host writes, and returns its id.
fn checked_legacy_id(table: &TableName, data: &RecordData) -> Result<RecordId> {
    let id = id_in(table, data);
    let bytes = id.as_str().len();
    if bytes == 0 || bytes > RecordId::BYTES_MAX {
        return Err(Error::bad_input(input::legacy_id(table.as_str(), RecordId::BYTES_MAX)));
    }
    if data.as_str().len() > RECORD_BYTES_MAX {
        return Err(Error::bad_input(input::too_long(table.as_str(), id.as_str(), RECORD_BYTES_MAX)));
    }
    Ok(id)
}

/// Checks the kinds of the fields of a document of a legacy table, as far as they are known. A field that is stored so stays as it is.
fn check_legacy_kinds(
    known: &LegacyTable,
    table: &TableName,
    id: &RecordId,
    data: &RecordData,
    stored: Option<&RecordData>,
) -> Result<()> {
    let Some(fields) = data.fields() else { return Ok(()) };
    let stored = stored.and_then(RecordData::fields);
    known.check_kinds(&fields, stored.as_ref()).map_err(|error| Error::InvalidRecord {
        table: table.clone(),
        id: id.clone(),
        source: Box::new(error),
    })
}

/// Refuses a key of a legacy record that differs from a known field only in capital letters, `_` and `-`. Every server would pass it on and
/// read the other one, and a store or a parent in it would be no rule of ownership's. A record that has the key already keeps it.
fn check_legacy_names(
    known: &LegacyTable,
    table: &TableName,
    data: &RecordData,
    stored: Option<&RecordData>,
) -> Result<()> {
    let Some(fields) = data.fields() else { return Ok(()) };
    let stored = stored.and_then(RecordData::fields);
    // The id is read from `id` too.
    let is_known = |key: &str| key == "id" || known.fields().any(|field| field == key);
    let is_stored = |key: &str| stored.as_ref().is_some_and(|stored| stored.get(key).is_some());
    for (key, _) in fields.iter().filter(|(key, _)| !is_known(key)) {
        let meant = known.fields().find(|field| letters(field).eq(letters(key)));
        if let Some(meant) = meant.filter(|_| !is_stored(key)) {
            return Err(Error::unknown_field(table.as_str(), key, Some(meant)));
        }
    }
    Ok(())
}

/// The letters of a name without what is mistaken most often.
fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase)
}

/// Checks the shape of a record that the host writes, and returns its id.
fn checked_id(kind: &RecordType, table: &TableName, data: &RecordData) -> Result<RecordId> {
    let id = id_in(table, data);
    kind.check_written(data).map_err(|error| Error::InvalidRecord {
        table: table.clone(),
        id: shown_id(data, &[kind.key]),
        source: Box::new(error),
    })?;
    if id.as_str().is_empty() || id.as_str().len() > RecordId::BYTES_MAX {
        return Err(Error::bad_input(input::id(table.as_str(), RecordId::BYTES_MAX)));
    }
    if data.as_str().len() > RECORD_BYTES_MAX {
        return Err(Error::bad_input(input::too_long(table.as_str(), id.as_str(), RECORD_BYTES_MAX)));
    }
    Ok(id)
}

/// The active stores of this database's site; none before it is known.
pub(super) fn active_stores(txn: &dyn ReadTxn) -> Result<Vec<StoreId>> {
    site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))
}

/// The store of a legacy record: its own, or that of the record whose line it is.
pub(crate) fn store_of_document(txn: &dyn ReadTxn, table: &TableName, data: &RecordData) -> Result<Option<StoreId>> {
    let store = match document_store(table, data) {
        DocumentStore::In(parent, id) => match txn.record(&parent, &id)? {
            Some(data) => document_store(&parent, &data),
            None => DocumentStore::Nowhere,
        },
        store => store,
    };
    Ok(match store {
        DocumentStore::Here(store) => Some(store),
        DocumentStore::In(..) | DocumentStore::Nowhere => None,
    })
}

/// The writer, for the rules of ownership.
pub(super) struct RecordWriter<'t> {
    txn: &'t dyn WriteTxn,
    pub(super) role: Role,
    stores: Vec<StoreId>,
}

impl<'t> RecordWriter<'t> {
    pub(super) fn new(txn: &'t dyn WriteTxn) -> Result<Self> {
        let role = role(txn)?.ok_or(Error::NotSetUp)?;
        Ok(Self { txn, role, stores: active_stores(txn)? })
    }

    /// Checks the shape of a record and who may write it; returns its id.
    pub(super) fn check(&self, kind: TableKind, table: &TableName, data: &RecordData) -> Result<RecordId> {
        check_portable(kind, table, data)?;
        match kind {
            TableKind::Typed(kind) => {
                let id = checked_id(kind, table, data)?;
                self.check_ownership(kind, Operation::Upsert, table, &id, Some(data))?;
                self.check_parent(kind, table, &id, data)?;
                Ok(id)
            }
            TableKind::Legacy(known) => {
                let id = checked_legacy_id(table, data)?;
                let stored = self.txn.record(table, &id)?;
                check_legacy_names(known, table, data, stored.as_ref())?;
                check_legacy_kinds(known, table, &id, data, stored.as_ref())?;
                self.check_legacy_store(table, &id, Some(data))?;
                self.check_legacy_parent(known, (table, &id), data, stored.as_ref())?;
                Ok(id)
            }
        }
    }

    /// A record that belongs to the store of its parent needs the parent, because its owner is unknown without it.
    fn check_parent(&self, kind: &RecordType, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        let Scope::ParentStore(field, parent_table, _) = kind.scope else { return Ok(()) };
        let fields = data.fields();
        let parent = kind.field(field).zip(fields.as_ref()).and_then(|(field, fields)| field.find(fields));
        let parent = parent.and_then(crate::record::json_text).unwrap_or_default();
        if self.txn.has_record(&TableName::from(parent_table), &RecordId::new(parent.clone().into_owned()))? {
            return Ok(());
        }
        Err(missing_parent((table, id), field, parent_table))
    }

    /// A line of a legacy table needs the record whose line it is, for the same reason; a server may send the two in any order. A line that
    /// is stored without it stays as it is, and a line with a store of its own need not name one.
    fn check_legacy_parent(
        &self,
        known: &LegacyTable,
        (table, id): (&TableName, &RecordId),
        data: &RecordData,
        stored: Option<&RecordData>,
    ) -> Result<()> {
        let Some((field, parent_table)) = known.parent() else { return Ok(()) };
        let named = |data: &RecordData| data.fields()?.text(field).map(|id| RecordId::new(id.into_owned()));
        let parent = named(data).filter(|id| !id.as_str().is_empty());
        let is_here = match &parent {
            Some(parent) => self.txn.has_record(&TableName::from(parent_table), parent)?,
            None => document_store(table, data) != DocumentStore::Nowhere,
        };
        match is_here || stored.is_some_and(|stored| named(stored).filter(|id| !id.as_str().is_empty()) == parent) {
            true => Ok(()),
            false => Err(missing_parent((table, id), field, parent_table)),
        }
    }

    /// For a document of a legacy table: the store that it names must be active here, and so must that of its parent.
    pub(super) fn check_legacy_store(&self, table: &TableName, id: &RecordId, new: Option<&RecordData>) -> Result<()> {
        let stored = self.txn.record(table, id)?;
        for data in stored.iter().chain(new) {
            let store = store_of_document(self.txn, table, data)?;
            if store.is_some_and(|store| !self.stores.contains(&store)) {
                return Err(refused(Refusal::StoreNotActiveHere { table: table.to_string() }, id));
            }
        }
        Ok(())
    }

    /// Checks who may write the stored record, and the new one.
    pub(super) fn check_ownership(
        &self,
        kind: &RecordType,
        operation: Operation,
        table: &TableName,
        id: &RecordId,
        new: Option<&RecordData>,
    ) -> Result<()> {
        let stored = self.txn.record(table, id)?;
        for data in stored.iter().chain(new) {
            if kind.table == "name" && self.role == Role::Remote && !is_patient(data) {
                return Err(refused(Refusal::OnlyAllowedOnLegacy { table: table.to_string() }, id));
            }
            let owner = record_owner::owner(self.txn, table, data, &self.stores)?;
            may_write(self.role, kind, operation, owner).map_err(|refusal| refused(refusal, id))?;
        }
        Ok(())
    }
}

/// The error for a record without the record that it belongs to.
fn missing_parent((table, id): (&TableName, &RecordId), field: &str, parent_table: &str) -> Error {
    Error::InvalidRecord {
        table: table.clone(),
        id: id.clone(),
        source: Box::new(FieldError {
            path: format!("$.{field}"),
            expected: format!("the id of a record of {parent_table}").into(),
            found: "one that is not here".into(),
            unsupported: false,
        }),
    }
}

/// The error for a record that breaks a rule of ownership.
fn refused(refusal: Refusal, id: &RecordId) -> Error {
    Error::NotAllowed { refusal, id: Some(id.clone()) }
}
