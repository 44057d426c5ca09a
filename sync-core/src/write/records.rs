//! Reads and writes records as this database: checks ownership and shape, and writes changelog rows.

use std::cell::RefCell;
use std::sync::Arc;

use super::find::{count, find};
use super::rules::active_stores;
use super::transaction::{Transaction, get, get_with_position, list};
use crate::changelog::Change;
use crate::clock::Clock;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::record::RECORD_BYTES_MAX;
use crate::record::{Cursor, Query, RecordData, RecordId, StoreId, TableName};
use crate::storage::{Selection, Storage, WriteTxn};

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
    /// [`Error::UnknownTable`] for a table that this version does not know and that has no record here; the database failed.
    pub fn get(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<Option<RecordData>> {
        get(self.storage.read()?.as_ref(), &table.into(), &id.into())
    }

    /// Up to `limit` records of a table, by id, after `after`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(
        &self,
        table: impl Into<TableName>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        list(self.storage.read()?.as_ref(), &table.into(), after, limit)
    }

    /// The records of a table that a query asks for, from one snapshot.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a field that the record type does not have, and for a value that is no date where the field is one; as
    /// [`get`](Self::get).
    pub fn find(&self, table: impl Into<TableName>, query: &Query) -> Result<Vec<(RecordId, RecordData)>> {
        find(self.storage.read()?.as_ref(), &table.into(), query)
    }

    /// The number of records that a query finds, on all its pages: [`skip`](Query::skip) and [`limit`](Query::limit) do not
    /// matter.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn count(&self, table: impl Into<TableName>, query: &Query) -> Result<u64> {
        count(self.storage.read()?.as_ref(), &table.into(), query)
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
    /// # let settings = Settings::new("https://central.example.org", "clinic", password);
    /// # site.set_up(&settings.hardware_id("a machine".to_owned()), &mut NoopObserver)?;
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

    /// The position behind the newest change: a later change has this cursor or a higher one. Take it before you read what
    /// a person edits; see [`Transaction::if_unchanged_since`].
    ///
    /// # Errors
    /// The database failed.
    pub fn position(&self) -> Result<Cursor> {
        Ok(self.storage.read()?.last_cursor()?.next())
    }

    /// A record's data with the position at which it was read, from one snapshot: for an edit on a screen, which goes on only
    /// if nobody [changed the record since](Transaction::if_unchanged_since). A record that is not here has a position too.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with_position(
        &self,
        table: impl Into<TableName>,
        id: impl Into<RecordId>,
    ) -> Result<(Option<RecordData>, Cursor)> {
        get_with_position(self.storage.read()?.as_ref(), &table.into(), &id.into())
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
    pub fn put(
        &self,
        table: impl Into<TableName>,
        records: impl IntoIterator<Item = RecordData>,
    ) -> Result<Vec<RecordId>> {
        self.write(|txn| txn.put(table, records))
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
        table: impl Into<TableName>,
        id: impl Into<RecordId>,
        edit: impl FnOnce(RecordData) -> Result<RecordData>,
    ) -> Result<()> {
        self.write(|txn| txn.update(table, id, edit))
    }

    /// Checks like [`put`](Self::put), without writing anything. A hook of the host is called as in a dry run.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn check(
        &self,
        table: impl Into<TableName>,
        records: impl IntoIterator<Item = RecordData>,
    ) -> Result<Vec<RecordId>> {
        let txn = self.storage.write_to_drop()?;
        self.within(txn.as_ref(), |txn| txn.put(table, records))
    }

    /// Deletes a record as its type requires: by a soft-delete mark, or by a removal that travels as a Delete.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::NotFound`] if it is not here.
    pub fn delete(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<()> {
        self.write(|txn| txn.delete(table, id))
    }

    /// Runs a host's transaction.
    pub(crate) fn write<T, E: From<Error>>(&self, edit: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        let txn = self.storage.write()?;
        let done = self.within(txn.as_ref(), edit)?;
        txn.commit()?;
        Ok(done)
    }

    /// Runs a host's calls in the caller's transaction, which is to be committed only if they succeed.
    pub(crate) fn within<T, E: From<Error>>(
        &self,
        txn: &dyn WriteTxn,
        edit: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = RefCell::new(None);
        let done = edit(&Transaction::at(txn, self.clock.now(), &failed))?;
        failed.into_inner().map_or(Ok(done), |error| Err(error.into()))
    }
}
