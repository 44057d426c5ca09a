//! What a host with tables of its own does with each record, in the transaction that writes the record.

use rusqlite::Connection;

use crate::error::Cause;
use crate::record::{RecordData, RecordId, TableName};

/// A record that is being written or removed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HookedRecord<'r> {
    /// Its table.
    pub table: &'r TableName,
    /// Its id.
    pub id: &'r RecordId,
    /// Its data as they are from now on; `None` if it is removed. One that was not here may be removed too.
    pub data: Option<&'r RecordData>,
    /// Whether it came from a server, or from a site, and was not written here.
    pub is_sync_update: bool,
}

/// Is told of each record that is written or removed, whether by [`Records`](crate::Records) or by synchronisation.
///
/// A host keeps tables of its own in the same file, and changes them here by the connection that it is given: what it does
/// is committed with the record, or not at all. It is called for each record of a first sync too, so it should be quick; it
/// may neither commit nor roll back, and leaves alone what begins with `sync_` and the views named after record types.
///
/// ```
/// use sync_core::storage::rusqlite::Connection;
/// use sync_core::storage::{HookedRecord, SqliteStorage};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clinic.sqlite");
///
/// let storage = SqliteStorage::open(&path)?;
/// storage.host_tables("CREATE TABLE IF NOT EXISTS fridge (id TEXT PRIMARY KEY, notes TEXT)")?;
/// let storage = storage.with_hook(|connection: &Connection, record: &HookedRecord<'_>| {
///     if record.table.as_str() == "asset" {
///         let id = record.id.as_str();
///         connection.execute("DELETE FROM fridge WHERE id = ?1", [id])?;
///         if let Some(fields) = record.data.and_then(|data| data.fields()) {
///             let notes = fields.text("notes");
///             connection.execute("INSERT INTO fridge (id, notes) VALUES (?1, ?2)", (id, notes.as_deref()))?;
///         }
///     }
///     Ok(())
/// });
/// # drop(storage);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RecordHook: Send + Sync {
    /// A record is being written or removed.
    ///
    /// # Errors
    /// The whole transaction is undone, and whoever began it gets [`Error::HostFailed`](crate::Error::HostFailed): a local
    /// write is refused, and a cycle ends there and tries the same record again next time. So an error is for what passes,
    /// as a full disk, not for a record that the host has no use for.
    fn on_record(&self, connection: &Connection, record: &HookedRecord<'_>) -> Result<(), Cause>;
}

impl<F> RecordHook for F
where
    F: Fn(&Connection, &HookedRecord<'_>) -> Result<(), Cause> + Send + Sync,
{
    fn on_record(&self, connection: &Connection, record: &HookedRecord<'_>) -> Result<(), Cause> {
        self(connection, record)
    }
}
