//! Records as values of Rust types, beside the documents by the name of their table.

use std::fmt;
use std::marker::PhantomData;

use super::records::Records;
use super::transaction::Transaction;
use crate::error::{Error, Result};
use crate::record::{Cursor, Query, RecordData, RecordId, TableName, TypedId, TypedRecord};

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
    /// Writes only what has not changed since.
    since: Option<Cursor>,
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
        TypedRecords { access: Access::Alone(self.clone()), since: None, kind: PhantomData }
    }
}

impl Transaction<'_> {
    /// The records of a type, in this transaction.
    pub fn of<T: TypedRecord>(&self) -> TypedRecords<'_, T> {
        TypedRecords { access: Access::Within(self), since: None, kind: PhantomData }
    }
}

impl<T: TypedRecord> TypedRecords<'_, T> {
    /// A record; `None` if it is not here.
    ///
    /// # Errors
    /// [`Error::InvalidRecord`] if what is stored does not have the shape of the type; the database failed.
    pub fn get(&self, id: impl Into<TypedId<T>>) -> Result<Option<T>> {
        Ok(self.get_with_position(id)?.0)
    }

    /// A record, `None` if it is not here, with the position at which it was read, from one snapshot: for an edit on a
    /// screen, which is then written [only if nobody changed the record](Self::if_unchanged_since) meanwhile.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with_position(&self, id: impl Into<TypedId<T>>) -> Result<(Option<T>, Cursor)> {
        let (table, id) = (Self::table(), Self::record_id(id));
        let (data, position) = match &self.access {
            Access::Alone(records) => records.get_with_position(&table, &id),
            Access::Within(txn) => txn.get_with_position(&table, &id),
        }?;
        Ok((data.map(|data| read(&id, &data)).transpose()?, position))
    }

    /// The same records, of which only those are written that have not changed since this position: by
    /// [`put`](Self::put), [`update`](Self::update) and [`delete`](Self::delete). For an edit that a person made on a screen,
    /// from a version that somebody, or a pull, may have replaced meanwhile. A new record must not have come meanwhile.
    ///
    /// ```
    /// use sync_core::Error;
    /// use sync_core::record::AssetClass;
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # replica.site_registry()?;
    /// # replica.records().of().put(&AssetClass { id: "cold".into(), name: "Cold".into(), ..AssetClass::default() })?;
    /// let classes = replica.records().of::<AssetClass>();
    /// let (Some(mut class), position) = classes.get_with_position("cold")? else { return Ok(()) };
    /// // The person types. Meanwhile a pull, or another window, may write the record.
    /// class.name = "Cold chain".into();
    /// match classes.if_unchanged_since(position).put(&class) {
    ///     Ok(()) => println!("saved"),
    ///     Err(Error::ChangedMeanwhile { .. }) => println!("show what it is now, and ask again"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn if_unchanged_since(self, position: Cursor) -> Self {
        Self { since: Some(position), ..self }
    }

    /// Up to `limit` records, by id, after `after`. Records that are marked as deleted are among them.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first record that cannot be read; [`try_list`](Self::try_list) gives the others.
    pub fn list(&self, after: Option<&TypedId<T>>, limit: usize) -> Result<Vec<T>> {
        self.try_list(after, limit)?.into_iter().collect()
    }

    /// As [`list`](Self::list), where one record that cannot be read does not hide the others: in its place there is its error, which
    /// names it.
    ///
    /// # Errors
    /// The database failed.
    pub fn try_list(&self, after: Option<&TypedId<T>>, limit: usize) -> Result<Vec<Result<T>>> {
        let (table, after) = (Self::table(), after.map(TypedId::as_record_id));
        let found = match &self.access {
            Access::Alone(records) => records.list(&table, after, limit),
            Access::Within(txn) => txn.list(&table, after, limit),
        }?;
        Ok(found.iter().map(|(id, data)| read(id, data)).collect())
    }

    /// The records that a query asks for.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first record that cannot be read; [`try_find`](Self::try_find) gives the others. As
    /// [`Records::find`].
    pub fn find(&self, query: &Query) -> Result<Vec<T>> {
        self.try_find(query)?.into_iter().collect()
    }

    /// As [`find`](Self::find), where one record that cannot be read does not hide the others: in its place there is its error, which
    /// names it. Such a record was damaged on the disk, or another version or program stored it so.
    ///
    /// ```
    /// use sync_core::record::{Asset, Query};
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// for asset in replica.records().of::<Asset>().try_find(&Query::new().order_by("asset_number"))? {
    ///     match asset {
    ///         Ok(asset) => println!("{:?}", asset.asset_number),
    ///         Err(error) => println!("{error}"), // asset 17 is not valid: …
    ///     }
    /// }
    /// # Ok::<(), sync_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Records::find`].
    pub fn try_find(&self, query: &Query) -> Result<Vec<Result<T>>> {
        let table = Self::table();
        let found = match &self.access {
            Access::Alone(records) => records.find(&table, query),
            Access::Within(txn) => txn.find(&table, query),
        }?;
        Ok(found.iter().map(|(id, data)| read(id, data)).collect())
    }

    /// The number of records that a query finds, on all its pages.
    ///
    /// # Errors
    /// As [`Records::count`].
    pub fn count(&self, query: &Query) -> Result<u64> {
        let table = Self::table();
        match &self.access {
            Access::Alone(records) => records.count(&table, query),
            Access::Within(txn) => txn.count(&table, query),
        }
    }

    /// Writes a value as the whole record. To change a record that is here, prefer [`update`](Self::update), or
    /// [`if_unchanged_since`](Self::if_unchanged_since): a pull between reading and writing would be overwritten.
    ///
    /// # Errors
    /// As [`Records::put`]; [`Error::ChangedMeanwhile`] as [`if_unchanged_since`](Self::if_unchanged_since) says.
    pub fn put(&self, record: &T) -> Result<()> {
        let data = record.write();
        let id = data.fields().and_then(|fields| fields.text(T::TYPE.key).map(|id| RecordId::from(&*id)));
        self.writing(id.as_ref(), |txn| txn.put(T::TYPE.table, [data]).map(|_| ()))
    }

    /// Changes a record that is here, as [`Records::update`] does.
    ///
    /// # Errors
    /// As [`Records::update`], and as [`get`](Self::get); [`Error::ChangedMeanwhile`] as
    /// [`if_unchanged_since`](Self::if_unchanged_since) says.
    pub fn update(&self, id: impl Into<TypedId<T>>, edit: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
        let id = Self::record_id(id);
        let edit = |data: RecordData| {
            let mut record = read(&id, &data)?;
            edit(&mut record)?;
            Ok(record.write())
        };
        self.writing(Some(&id), |txn| txn.update(T::TYPE.table, &id, edit))
    }

    /// Deletes a record, as [`Records::delete`] does.
    ///
    /// # Errors
    /// As [`Records::delete`]; [`Error::ChangedMeanwhile`] as [`if_unchanged_since`](Self::if_unchanged_since) says.
    pub fn delete(&self, id: impl Into<TypedId<T>>) -> Result<()> {
        let id = Self::record_id(id);
        self.writing(Some(&id), |txn| txn.delete(T::TYPE.table, &id))
    }

    /// Writes in a transaction of its own, or in the one that this belongs to.
    fn writing(&self, id: Option<&RecordId>, write: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<()> {
        let checked = |txn: &Transaction<'_>| {
            if let (Some(position), Some(id)) = (self.since, id) {
                txn.if_unchanged_since(position, Self::table(), id)?;
            }
            write(txn)
        };
        match &self.access {
            Access::Alone(records) => records.write(checked),
            Access::Within(txn) => checked(txn),
        }
    }

    fn record_id(id: impl Into<TypedId<T>>) -> RecordId {
        let id: TypedId<T> = id.into();
        id.into()
    }

    fn table() -> TableName {
        TableName::from(T::TYPE.table)
    }
}

/// A stored record was checked when it came, but perhaps by another version.
pub(crate) fn read<T: TypedRecord>(id: &RecordId, data: &RecordData) -> Result<T> {
    T::read(data).map_err(|error| Error::InvalidRecord {
        table: TableName::from(T::TYPE.table),
        id: id.clone(),
        source: Box::new(error),
    })
}
