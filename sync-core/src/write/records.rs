//! Reads and writes records as this database: checks ownership and shape, and writes changelog rows.

use std::sync::Arc;

use crate::changelog::Change;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::ownership::{Operation, Refusal, Role, may_write};
use crate::record::types::is_patient;
use crate::record::{
    Cursor, Deletion, DocumentStore, FieldError, Fields, LegacyTable, RECORD_BYTES_MAX, RecordData, RecordId,
    RecordType, Scope, StoreId, TableName, configured_by_legacy, document_store, owned_by_sites, record_type,
};
use crate::storage::state::{role, site_id};
use crate::storage::{ReadTxn, Selection, Source, Storage, WriteTxn};
use crate::text::sentences::input;
use crate::write;
use crate::write::Origin;
use crate::write::merged;
use crate::write::record_owner;

/// Reads and writes records as the site, or the central server, that a database belongs to.
#[derive(Clone)]
pub struct Records {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    /// The records of this storage.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, clock }
    }

    /// A record's data; `None` if it is not here.
    ///
    /// # Errors
    /// The database failed.
    pub fn get(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        self.storage.read()?.record(table, id)
    }

    /// Up to `limit` records of a table, by id, after `after`.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        self.storage.read()?.records(table, after, limit)
    }

    /// The number of records of each table that has any.
    ///
    /// # Errors
    /// The database failed.
    pub fn counts(&self) -> Result<Vec<(TableName, u64)>> {
        self.storage.read()?.record_counts()
    }

    /// The stores that are active on this site, by id: its records may name these. The first sync brings them; before
    /// that there are none.
    ///
    /// ```
    /// use sync_core::record::RecordData;
    /// # use std::sync::Arc;
    /// # use sync_core::central::InProcess;
    /// # use sync_core::protocol::PasswordHash;
    /// # use sync_core::storage::MemoryStorage;
    /// # use sync_core::{NoopObserver, Replica, Settings, SyncOptions};
    /// # let central = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # let list = central.site_registry()?;
    /// # let password = PasswordHash::of_password("a password");
    /// # list.add("clinic", &password)?;
    /// # let added = list.add_store("Clinic", "C", "clinic", None)?;
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # let site = replica.site(Arc::new(InProcess::new(Arc::new(central.stand_alone_central()))));
    /// # let (legacy_url, site_name) = ("http://central.example.org".to_owned(), "clinic".to_owned());
    /// # let hardware_id = Some("a machine".to_owned());
    /// # site.set_up(&Settings { legacy_url, site_name, password, hardware_id }, &mut NoopObserver)?;
    /// let records = replica.records();
    /// # assert!(records.active_stores()?.is_empty());
    /// # site.sync(&SyncOptions::default(), &mut NoopObserver)?;
    /// # assert_eq!(records.active_stores()?, [added]);
    /// for store in records.active_stores()? {
    ///     let at = "2026-11-23T08:00:00";
    ///     let fridge = format!(
    ///         r#"{{"id":"fridge of {store}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#
    ///     );
    ///     records.put("asset", [RecordData::parse(fridge)?])?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The database failed.
    pub fn active_stores(&self) -> Result<Vec<StoreId>> {
        let txn = self.storage.read()?;
        active_stores(txn.as_ref())
    }

    /// The changes made here, in order.
    ///
    /// # Errors
    /// The database failed.
    pub fn changes(&self, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        self.storage.read()?.changes(&Selection::All, from, limit)
    }

    /// Writes records of a table in one transaction, each with its changelog row: all of them, or none if one is not
    /// allowed or not valid. Returns their ids. Names of items, names and clinicians that the legacy server has merged
    /// are replaced by the remaining ones.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] with `OnlyAllowedOnCentral` and the other rules of ownership, [`Error::InvalidRecord`],
    /// [`Error::UnknownTable`], [`Error::BadInput`] for an id that is empty or too long and for a record above
    /// [`RECORD_BYTES_MAX`]; [`Error::NotSetUp`] before the database knows its role; the database failed. A record that not
    /// every peer can read (a key that stands twice, U+0000, half a character, a number out of range, too deep a nesting) is
    /// an [`Error::InvalidRecord`] too.
    pub fn put(&self, table: &str, records: impl IntoIterator<Item = RecordData>) -> Result<Vec<RecordId>> {
        let txn = self.storage.write()?;
        let ids = self.write_all(txn.as_ref(), table, records)?;
        txn.commit()?;
        Ok(ids)
    }

    /// Changes a record that is here: reads it, gives it to `edit` and writes what comes back, in one transaction. So
    /// no other writer, a pull among them, can come between, and its work is not overwritten unseen. Nothing is written
    /// if `edit` fails or panics. The transaction is open while `edit` runs: it must not call this database.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::NotFound`] if it is not here; [`Error::InvalidRecord`] if `edit` changed the id;
    /// the error of `edit`.
    pub fn update(
        &self,
        table: &str,
        id: &RecordId,
        edit: impl FnOnce(RecordData) -> Result<RecordData>,
    ) -> Result<()> {
        let txn = self.storage.write()?;
        let stored = txn.record(&TableName::from(table), id)?;
        let stored = stored.ok_or_else(|| Error::NotFound { what: table.to_owned(), id: id.to_string() })?;
        let written = self.write_all(txn.as_ref(), table, [edit(stored)?])?;
        if written.first() != Some(id) {
            return Err(changed_id(table, id));
        }
        txn.commit()
    }

    /// Checks like [`put`](Self::put), without writing anything.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn check(&self, table: &str, records: impl IntoIterator<Item = RecordData>) -> Result<Vec<RecordId>> {
        self.write_all(self.storage.write()?.as_ref(), table, records)
    }

    /// Writes records in the caller's transaction, as [`put`](Self::put) does.
    pub(crate) fn write_all(
        &self,
        txn: &dyn WriteTxn,
        table: &str,
        records: impl IntoIterator<Item = RecordData>,
    ) -> Result<Vec<RecordId>> {
        let kind = TableKind::of(table)?;
        let table = TableName::from(table);
        let now = self.clock.now();
        let writer = RecordWriter::new(txn)?;
        let any_set_aside = !txn.quarantine_counts()?.is_empty();
        let any_merged = merged::any(txn)?;
        let store = match writer.role {
            Role::Central => write::upsert_with_fanout,
            Role::Remote => write::upsert,
        };
        let mut ids = Vec::new();
        for data in records {
            check_portable(kind, &table, &data)?;
            let id = match kind {
                TableKind::Typed(kind) => {
                    let id = checked_id(kind, &table, &data)?;
                    writer.ask(kind, Operation::Upsert, &table, &id, Some(&data))?;
                    writer.ask_parent(kind, &table, &id, &data)?;
                    id
                }
                TableKind::Legacy(_) => {
                    let id = checked_legacy_id(&table, &data)?;
                    writer.ask_legacy(&table, &id, Some(&data))?;
                    id
                }
            };
            // The writer may not know of the merge yet.
            let resolved = if any_merged { merged::resolved(txn, &table, &data)? } else { None };
            let data = resolved.unwrap_or(data);
            store(txn, &table, &id, &data, Origin::Local, now)?;
            if any_merged {
                merged::stored(txn, &table, &id, &data)?;
            }
            if any_set_aside {
                // Received versions in quarantine are outdated now, as are those that come before this edit is pushed.
                for source in [Source::Central, Source::Legacy] {
                    txn.discard(source, &table, &id)?;
                }
                txn.wake_waiting(&table, &id)?;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Deletes a record as its type requires: by a soft-delete mark, or by a removal that travels as a Delete.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::NotFound`] if it is not here.
    pub fn delete(&self, table: &str, id: &RecordId) -> Result<()> {
        let kind = TableKind::of(table)?;
        let table = TableName::from(table);
        let now = self.clock.now();
        let txn = self.storage.write()?;
        let not_found = || Error::NotFound { what: table.to_string(), id: id.to_string() };
        let data = txn.record(&table, id)?.ok_or_else(not_found)?;
        let writer = RecordWriter::new(txn.as_ref())?;
        let kind = match kind {
            TableKind::Typed(kind) => kind,
            TableKind::Legacy(known) => {
                writer.ask_legacy(&table, id, None)?;
                if !known.deletes {
                    return Err(Refusal::NotDeletable { table: table.to_string() }.into());
                }
                write::delete(txn.as_ref(), &table, id, Origin::Local, now)?;
                return txn.commit();
            }
        };
        match kind.deletion {
            Deletion::Soft(field) | Deletion::SoftAndWire(field) => {
                writer.ask(kind, Operation::Upsert, &table, id, None)?;
                let marked = write::marked_deleted(&data, field, now).ok_or_else(not_found)?;
                write::upsert(txn.as_ref(), &table, id, &marked, Origin::Local, now)?;
            }
            Deletion::Wire | Deletion::Never => {
                writer.ask(kind, Operation::Delete, &table, id, None)?;
                write::delete(txn.as_ref(), &table, id, Origin::Local, now)?;
            }
        }
        txn.commit()
    }
}

/// The kind of a table that the host writes.
#[derive(Clone, Copy)]
enum TableKind {
    /// It has a record type.
    Typed(&'static RecordType),
    /// Its records belong to the legacy server, are stored as documents, and sites own them.
    Legacy(&'static LegacyTable),
}

impl TableKind {
    fn of(table: &str) -> Result<Self> {
        match (record_type(table), owned_by_sites(table)) {
            (Some(kind), _) => Ok(Self::Typed(kind)),
            (None, Some(known)) => Ok(Self::Legacy(known)),
            _ if configured_by_legacy(table) => Err(Refusal::OnlyAllowedOnLegacy { table: table.to_owned() }.into()),
            _ => Err(Error::UnknownTable { table: table.to_owned() }),
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
        let fields = data.fields();
        let id = keys.iter().find_map(|key| fields.as_ref()?.text(key)).unwrap_or_default();
        let id = id.chars().filter(|c| !c.is_control()).take(RecordId::BYTES_MAX).collect::<String>();
        Error::InvalidRecord { table: table.clone(), id: RecordId::new(id), source: Box::new(error) }
    })
}

/// The error for an edit that would write another record than the one it was given.
fn changed_id(table: &str, id: &RecordId) -> Error {
    let key = record_type(table).map_or("ID", |kind| kind.key);
    let fault = FieldError {
        path: format!("$.{key}"),
        expected: "the id that the record had".into(),
        found: "another".into(),
        unsupported: false,
    };
    Error::InvalidRecord { table: TableName::from(table), id: id.clone(), source: Box::new(fault) }
}

/// Checks a document of a legacy table that the host writes, and returns its id.
fn checked_legacy_id(table: &TableName, data: &RecordData) -> Result<RecordId> {
    let id_of = |fields: &Fields<'_>| fields.text("ID").or_else(|| fields.text("id")).map(std::borrow::Cow::into_owned);
    let id = RecordId::new(data.fields().as_ref().and_then(id_of).unwrap_or_default());
    let bytes = id.as_str().len();
    if bytes == 0 || bytes > RecordId::BYTES_MAX {
        return Err(Error::bad_input(input::legacy_id(table.as_str(), RecordId::BYTES_MAX)));
    }
    if data.as_str().len() > RECORD_BYTES_MAX {
        return Err(Error::bad_input(input::too_long(table.as_str(), id.as_str(), RECORD_BYTES_MAX)));
    }
    Ok(id)
}

/// Checks the shape of a record that the host writes, and returns its id.
fn checked_id(kind: &RecordType, table: &TableName, data: &RecordData) -> Result<RecordId> {
    let id_of = || data.fields().and_then(|fields| fields.text(kind.key).map(std::borrow::Cow::into_owned));
    let id = RecordId::new(id_of().unwrap_or_default());
    kind.check_written(data).map_err(|error| Error::InvalidRecord {
        table: table.clone(),
        id: id.clone(),
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
fn active_stores(txn: &dyn ReadTxn) -> Result<Vec<StoreId>> {
    site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))
}

/// The writer, for the rules of ownership.
struct RecordWriter<'t> {
    txn: &'t dyn WriteTxn,
    role: Role,
    stores: Vec<StoreId>,
}

impl<'t> RecordWriter<'t> {
    fn new(txn: &'t dyn WriteTxn) -> Result<Self> {
        let role = role(txn)?.ok_or(Error::NotSetUp)?;
        Ok(Self { txn, role, stores: active_stores(txn)? })
    }

    /// A record that belongs to the store of its parent needs the parent, because its owner is unknown without it.
    fn ask_parent(&self, kind: &RecordType, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        let Scope::ParentStore(field, parent_table, _) = kind.scope else { return Ok(()) };
        let fields = data.fields();
        let parent = kind.field(field).zip(fields.as_ref()).and_then(|(field, fields)| field.find(fields));
        let parent = parent.and_then(crate::record::json_text).unwrap_or_default();
        if self.txn.has_record(&TableName::from(parent_table), &RecordId::new(parent.clone().into_owned()))? {
            return Ok(());
        }
        Err(Error::InvalidRecord {
            table: table.clone(),
            id: id.clone(),
            source: Box::new(FieldError {
                path: format!("$.{field}"),
                expected: format!("the id of a record of {parent_table}").into(),
                found: "one that is not here".into(),
                unsupported: false,
            }),
        })
    }

    /// For a document of a legacy table: the store that it names must be active here, and so must that of its parent.
    fn ask_legacy(&self, table: &TableName, id: &RecordId, new: Option<&RecordData>) -> Result<()> {
        let stored = self.txn.record(table, id)?;
        for data in stored.iter().chain(new) {
            let store = match document_store(table, data) {
                DocumentStore::In(parent, id) => {
                    let parent = self.txn.record(&parent, &id)?.map(|data| document_store(&parent, &data));
                    parent.unwrap_or(DocumentStore::Nowhere)
                }
                told => told,
            };
            if matches!(store, DocumentStore::Here(store) if !self.stores.contains(&store)) {
                return Err(refused(Refusal::StoreNotActiveHere { table: table.to_string() }, id));
            }
        }
        Ok(())
    }

    /// Checks the stored record and the new one.
    fn ask(
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

/// The rule of ownership that a record breaks, if any.
fn refused(refusal: Refusal, id: &RecordId) -> Error {
    Error::NotAllowed { refusal, id: Some(id.clone()) }
}
