//! Records: their data, and their visibility.

use crate::changelog::NewChange;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// Reads records, and answers queries about stores and names.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait RecordReads {
    /// A record's data.
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// True if a record is here.
    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// Up to `limit` records of a table, by the bytes of their ids, after `after`.
    fn records(&self, table: &TableName, after: Option<&RecordId>, limit: usize)
    -> Result<Vec<(RecordId, RecordData)>>;
    /// The number of records of each non-empty table, by name.
    fn record_counts(&self) -> Result<Vec<(TableName, u64)>>;

    /// The records of a table that name another in this field, by id. Used for tables whose records belong to the store
    /// of their parent.
    fn children(&self, table: &TableName, field: &'static str, parent: &RecordId) -> Result<Vec<RecordId>>;
    /// The active stores of a site, by id: those whose record of `store` has its number in `sync_id_remote_site`, as a
    /// number or as text.
    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>>;
    /// True if a name is joined to any of these stores by a record of `name_store_join` that is not inactive.
    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool>;
    /// The id of the record of `name_store_join` that joins a name to a store and is not inactive; of several, the first by the
    /// bytes of their ids.
    fn join_of(&self, name: &NameId, store: &StoreId) -> Result<Option<RecordId>>;
}

/// Writes records together with their changelog rows.
///
/// An existing record has one changelog row of its own, that of its newest change. It may also have tombstones: a row
/// for each store that it has left. A deleted record has the tombstone of its deletion. Cursors rise, within a
/// transaction and from one transaction to the next. A cursor that was ever visible is never used again, even if its
/// row is gone.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing; see [`Storage`](super::Storage) for what goes on.
pub trait RecordWrites: RecordReads {
    /// Stores a record's data together with its changelog row, an upsert, which replaces the record's own row and its
    /// tombstone for the same store. Its cursor is above all earlier ones, and no row below it can appear after this
    /// transaction commits.
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor>;
    /// Stores a record as [`put_record`](Self::put_record) does, if it is not here. Returns `None` if it is here; then nothing
    /// is changed.
    fn insert_record(&self, data: &RecordData, change: &NewChange) -> Result<Option<Cursor>> {
        match self.record(&change.table, &change.id)? {
            Some(_) => Ok(None),
            None => self.put_record(data, change).map(Some),
        }
    }
    /// Removes a record's data. The changelog row, a delete, replaces the record's own row and stays as a tombstone
    /// until the record is put again. A missing record gets its row too.
    fn remove_record(&self, change: &NewChange) -> Result<Cursor>;
    /// Adds a tombstone for a store that a record has left, with the data that it had then; it replaces the one for the
    /// same store.
    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor>;
    /// Marks all changelog rows of a record as written by sync, in place: none is a local edit any more.
    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()>;
}
