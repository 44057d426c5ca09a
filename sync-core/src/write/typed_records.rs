//! Records as values of Rust types, beside the documents by the name of their table.

use std::fmt;
use std::marker::PhantomData;

use super::records::Records;
use super::transaction::Transaction;
use crate::error::{Error, Result};
use crate::record::{Query, RecordData, RecordId, TableName, TypedRecord};

/// The records of one type, as values: of [`Records::of`], each call on its own, or of [`Transaction::of`], within the
/// transaction. Keys that this version does not know stay in a value's `unknown`, and so in the record.
///
/// ```
/// use sync_core::record::AssetClass;
/// # use std::sync::Arc;
/// # use sync_core::{Replica, storage::MemoryStorage};
/// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
/// # replica.site_registry()?;
/// let classes = replica.records().of::<AssetClass>();
/// classes.put(&AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() })?;
/// classes.update("cold", |class| {
///     class.name = "Cold chain equipment".into();
///     Ok(())
/// })?;
/// assert_eq!(classes.get("cold")?.map(|class| class.name), Some("Cold chain equipment".into()));
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct TypedRecords<'t, T> {
    access: Access<'t>,
    kind: PhantomData<fn() -> T>,
}

/// Where the records are read and written.
enum Access<'t> {
    Alone(Records),
    Within(&'t Transaction<'t>),
}

impl<T: TypedRecord> fmt::Debug for TypedRecords<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedRecords").field(&T::TYPE.table).finish()
    }
}

impl Records {
    /// The records of a type, as values.
    pub fn of<T: TypedRecord>(&self) -> TypedRecords<'static, T> {
        TypedRecords { access: Access::Alone(self.clone()), kind: PhantomData }
    }
}

impl Transaction<'_> {
    /// The records of a type, in this transaction.
    pub fn of<T: TypedRecord>(&self) -> TypedRecords<'_, T> {
        TypedRecords { access: Access::Within(self), kind: PhantomData }
    }
}

impl<T: TypedRecord> TypedRecords<'_, T> {
    /// A record; `None` if it is not here.
    ///
    /// # Errors
    /// [`Error::InvalidRecord`] if what is stored does not have the shape of the type; the database failed.
    pub fn get(&self, id: impl Into<RecordId>) -> Result<Option<T>> {
        let (table, id) = (Self::table(), id.into());
        let data = match &self.access {
            Access::Alone(records) => records.get(&table, &id),
            Access::Within(txn) => txn.get(&table, &id),
        }?;
        data.map(|data| read(&id, &data)).transpose()
    }

    /// Up to `limit` records, by id, after `after`. Records that are marked as deleted are among them.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<T>> {
        let table = Self::table();
        let found = match &self.access {
            Access::Alone(records) => records.list(&table, after, limit),
            Access::Within(txn) => txn.list(&table, after, limit),
        }?;
        found.iter().map(|(id, data)| read(id, data)).collect()
    }

    /// The records that a query asks for.
    ///
    /// # Errors
    /// As [`get`](Self::get), and as [`Records::find`].
    pub fn find(&self, query: &Query) -> Result<Vec<T>> {
        let table = Self::table();
        let found = match &self.access {
            Access::Alone(records) => records.find(&table, query),
            Access::Within(txn) => txn.find(&table, query),
        }?;
        found.iter().map(|(id, data)| read(id, data)).collect()
    }

    /// Writes a value as the whole record. To change a record that is here, prefer [`update`](Self::update): a pull
    /// between reading and writing would be overwritten.
    ///
    /// # Errors
    /// As [`Records::put`].
    pub fn put(&self, record: &T) -> Result<()> {
        let table = T::TYPE.table;
        match &self.access {
            Access::Alone(records) => records.put(table, [record.write()]),
            Access::Within(txn) => txn.put(table, [record.write()]),
        }
        .map(|_| ())
    }

    /// Changes a record that is here, as [`Records::update`] does.
    ///
    /// # Errors
    /// As [`Records::update`], and as [`get`](Self::get).
    pub fn update(&self, id: impl Into<RecordId>, edit: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
        let (table, id) = (T::TYPE.table, id.into());
        let edit = |data: RecordData| {
            let mut record = read(&id, &data)?;
            edit(&mut record)?;
            Ok(record.write())
        };
        match &self.access {
            Access::Alone(records) => records.update(table, &id, edit),
            Access::Within(txn) => txn.update(table, &id, edit),
        }
    }

    /// Deletes a record, as [`Records::delete`] does.
    ///
    /// # Errors
    /// As [`Records::delete`].
    pub fn delete(&self, id: impl Into<RecordId>) -> Result<()> {
        match &self.access {
            Access::Alone(records) => records.delete(T::TYPE.table, &id.into()),
            Access::Within(txn) => txn.delete(T::TYPE.table, &id.into()),
        }
    }

    fn table() -> TableName {
        TableName::from(T::TYPE.table)
    }
}

/// What is stored was checked when it came; another version may have stored it.
fn read<T: TypedRecord>(id: &RecordId, data: &RecordData) -> Result<T> {
    T::read(data).map_err(|error| Error::InvalidRecord {
        table: TableName::from(T::TYPE.table),
        id: id.clone(),
        source: Box::new(error),
    })
}
