//! A host's hook for each record, in the transaction that writes the record.

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
    /// Its new data; `None` if it is removed, which may happen to a missing record too.
    pub data: Option<&'r RecordData>,
    /// True if it came from a server or a site, false if it was written here.
    pub is_sync_update: bool,
}

/// Receives each record that is written or removed, by [`Records`](crate::Records) or by synchronisation.
///
/// A host keeps its own tables in the same file, and changes them here with the given connection: its changes are
/// committed with the record, or not at all. The hook is called for each record of a first sync too, so it should be
/// quick. It must not commit or roll back, and must not touch tables that begin with `sync_` or the views named after
/// record types.
///
/// ```
/// use sync_core::storage::rusqlite::Connection;
/// use sync_core::Replica;
/// use sync_core::storage::HookedRecord;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clinic.sqlite");
///
/// let follow = |connection: &Connection, record: &HookedRecord<'_>| {
///     if record.table.as_str() == "asset" {
///         let id = record.id.as_str();
///         connection.execute("DELETE FROM fridge WHERE id = ?1", [id])?;
///         if let Some(fields) = record.data.and_then(|data| data.fields()) {
///             let notes = fields.text("notes");
///             connection.execute("INSERT INTO fridge (id, notes) VALUES (?1, ?2)", (id, notes.as_deref()))?;
///         }
///     }
///     Ok(())
/// };
/// let tables = "CREATE TABLE IF NOT EXISTS fridge (id TEXT PRIMARY KEY, notes TEXT)";
/// let replica = Replica::builder().host_tables(tables).hook(follow).open(&path)?;
/// # drop(replica);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RecordHook: Send + Sync {
    /// Called for a record that is being written or removed.
    ///
    /// # Errors
    /// The whole transaction is rolled back, and its caller gets [`Error::HostFailed`](crate::Error::HostFailed): a
    /// local write is refused, and a cycle ends and tries the same record again next time. So return an error for
    /// temporary faults, such as a full disk, not for a record that the host does not need.
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
