//! Records: their data, and who may see them.

use crate::changelog::NewChange;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// Reads records, and answers the questions about stores and names that follow from them.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait RecordReads {
    /// A record's data.
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// Whether a record is here.
    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// Up to `limit` records of a table, by the bytes of their ids, after `after`.
    fn records(&self, table: &TableName, after: Option<&RecordId>, limit: usize)
    -> Result<Vec<(RecordId, RecordData)>>;
    /// The number of records of each table that has any, by the name of the table.
    fn record_counts(&self) -> Result<Vec<(TableName, u64)>>;

    /// The records of a table that name another in this field, by id. Asked of the tables whose records belong to the store
    /// of their parent.
    fn children(&self, table: &TableName, field: &'static str, parent: &RecordId) -> Result<Vec<RecordId>>;
    /// The stores that are active on a site, by id: those whose record of `store` has its number in
    /// `sync_id_remote_site`, as a number or as text.
    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>>;
    /// Whether a name is joined to any of these stores by a record of `name_store_join` that is not inactive.
    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool>;
}

/// Writes records together with their changelog rows.
///
/// A record that is here has one changelog row of its own, that of its newest change. Besides, it has tombstones: one row for
/// each store that it has left, or, once it is deleted, the row of its deletion. Cursors rise, within a transaction and from
/// one transaction to the next. A cursor that was ever visible is never given out again, even if its row is gone.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing; see [`Storage`](super::Storage) for what goes on.
pub trait RecordWrites: RecordReads {
    /// Stores a record's data together with its changelog row, an upsert, which replaces the record's own row and its
    /// tombstone for the same store. Its cursor is higher than any before, and no row below it can appear after this
    /// transaction commits.
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor>;
    /// Removes a record's data; the changelog row, a delete, replaces the record's own and stays as a tombstone until the
    /// record is put again. A record that is not here gets its row too.
    fn remove_record(&self, change: &NewChange) -> Result<Cursor>;
    /// Adds a tombstone for the store that a record has left, with the data that it had then; it replaces the one for the
    /// same store.
    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor>;
    /// Marks all changelog rows of a record as written by sync, in their places: none is a local edit any more.
    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()>;
}
