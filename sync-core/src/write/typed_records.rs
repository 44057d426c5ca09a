//! Records as values of Rust types, beside the documents by the name of their table.

use super::records::Records;
use crate::error::{Error, Result};
use crate::record::{RecordData, RecordId, TableName, TypedRecord};

/// The calls that end in `_typed` do what those without it do, for a type instead of the name of a table.
impl Records {
    /// A record as a value of its type; `None` if it is not here.
    ///
    /// # Errors
    /// [`Error::InvalidRecord`] if what is stored does not have the shape of the type; the database failed.
    pub fn get_typed<T: TypedRecord>(&self, id: &RecordId) -> Result<Option<T>> {
        let data = self.get(&TableName::from(T::TYPE.table), id)?;
        data.map(|data| read(id, &data)).transpose()
    }

    /// Up to `limit` records of a type, by id, after `after`. Records that are marked as deleted are among them.
    ///
    /// # Errors
    /// As [`get_typed`](Self::get_typed).
    pub fn list_typed<T: TypedRecord>(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<T>> {
        let found = self.list(&TableName::from(T::TYPE.table), after, limit)?;
        found.iter().map(|(id, data)| read(id, data)).collect()
    }

    /// Writes a value as the whole record. Keys that this version does not know are kept in the value's `unknown`; so a
    /// value that was read keeps them, and a new value has none. To change a record that is here, prefer
    /// [`update_typed`](Self::update_typed): a pull between reading and writing would be overwritten.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_typed<T: TypedRecord>(&self, record: &T) -> Result<()> {
        self.put(T::TYPE.table, [record.write()]).map(|_| ())
    }

    /// Changes a record that is here, as [`update`](Self::update) does. Keys that this version does not know stay.
    ///
    /// # Errors
    /// As [`update`](Self::update), and as [`get_typed`](Self::get_typed).
    pub fn update_typed<T: TypedRecord>(&self, id: &RecordId, edit: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
        self.update(T::TYPE.table, id, |data| {
            let mut record = read(id, &data)?;
            edit(&mut record)?;
            Ok(record.write())
        })
    }

    /// Deletes a record of a type, as [`delete`](Self::delete) does.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn delete_typed<T: TypedRecord>(&self, id: &RecordId) -> Result<()> {
        self.delete(T::TYPE.table, id)
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
