//! Writes as plain values: a list that takes effect together.

use super::records::Records;
use super::rules::id_in;
use super::transaction::Transaction;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::record::{Cursor, RecordData, RecordId, TableName, TypedRecord};

/// A write of [`Records::apply`]: an owned value, for hosts that cannot give a closure to [`Replica::write`](crate::Replica::write), such
/// as bindings for other languages.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordWrite {
    table: TableName,
    action: WriteAction,
    local_only: bool,
    unchanged_since: Option<Cursor>,
}

#[derive(Debug, Clone, PartialEq)]
enum WriteAction {
    Put(RecordData),
    Delete(RecordId),
}

impl RecordWrite {
    /// Writes a document as the whole record, as [`Records::put`] does.
    pub fn put(table: impl Into<TableName>, data: RecordData) -> Self {
        Self::of(table.into(), WriteAction::Put(data))
    }

    /// Writes a value as the whole record, as [`TypedRecords::put`](crate::TypedRecords::put) does.
    pub fn put_value<T: TypedRecord>(record: &T) -> Self {
        Self::put(T::TYPE.table, record.write())
    }

    /// Deletes a record, as [`Records::delete`] does.
    pub fn delete(table: impl Into<TableName>, id: impl Into<RecordId>) -> Self {
        Self::of(table.into(), WriteAction::Delete(id.into()))
    }

    fn of(table: TableName, action: WriteAction) -> Self {
        Self { table, action, local_only: false, unchanged_since: None }
    }

    /// The record is not to be synchronised, as [`Transaction::local_only`] says. A deletion of such a record is so by itself; with this
    /// choice a record that is synchronised is not deleted ([`Error::BadInput`]).
    #[must_use]
    pub fn local_only(self) -> Self {
        Self { local_only: true, ..self }
    }

    /// Writes only if nobody has changed the record since this position, of [`Records::get_with_position`] or [`Records::position`]. A
    /// write of the same record that comes earlier in the list counts as a change.
    #[must_use]
    pub fn unchanged_since(self, position: Cursor) -> Self {
        Self { unchanged_since: Some(position), ..self }
    }

    fn apply(self, txn: &Transaction<'_>) -> Result<RecordId> {
        let Self { table, action, local_only, unchanged_since } = self;
        let check = |id: &RecordId| match unchanged_since {
            Some(position) => txn.if_unchanged_since(position, &table, id),
            None => Ok(()),
        };
        match action {
            WriteAction::Put(data) => {
                // A document without an id is refused when it is written.
                let id = id_in(&table, &data);
                check(&id)?;
                let written = if local_only { txn.local_only().put(&table, [data])? } else { txn.put(&table, [data])? };
                Ok(written.into_iter().next().unwrap_or(id))
            }
            WriteAction::Delete(id) => {
                check(&id)?;
                if local_only {
                    txn.local_only().delete(&table, &id)?
                } else {
                    txn.delete(&table, &id)?
                }
                Ok(id)
            }
        }
    }
}

impl Records {
    /// Writes a list in one transaction: all of it, or nothing if one write is not allowed. Tables may differ, and a write sees those
    /// before it. Returns the id of each.
    ///
    /// ```
    /// use sync_core::RecordWrite;
    /// use sync_core::record::RecordData;
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # replica.site_registry()?;
    /// let records = replica.records();
    /// let (_, position) = records.get_with_position("asset_class", "cold")?;
    /// let class = RecordData::parse(r#"{"id":"cold","name":"Cold chain"}"#)?;
    /// let category = RecordData::parse(r#"{"id":"fridges","name":"Fridges","class_id":"cold"}"#)?;
    /// records.apply([
    ///     RecordWrite::put("asset_class", class).unchanged_since(position),
    ///     RecordWrite::put("asset_category", category),
    /// ])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put) and [`delete`](Self::delete); [`Error::ChangedMeanwhile`] as [`RecordWrite::unchanged_since`] says;
    /// [`Error::BadInput`] for a record that cannot be [local only](RecordWrite::local_only).
    pub fn apply(&self, writes: impl IntoIterator<Item = RecordWrite>) -> Result<Vec<RecordId>> {
        self.write(|txn| writes.into_iter().map(|write| write.apply(txn)).collect())
    }
}
