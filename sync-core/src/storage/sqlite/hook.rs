//! A host's hook for each record, in the transaction that writes the record.

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::database_error;
use super::transaction_guard::TransactionGuard;
use crate::changelog::NewChange;
use crate::error::{Cause, Error, Result};
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::state::HAS_HOOK;

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
    /// True in a dry run, as of [`SiteSupport::preview_pull`](crate::support::SiteSupport::preview_pull): the transaction is dropped, and
    /// all that the hook writes with its connection too. A hook that does more, such as sending a message, leaves that out.
    pub is_dry_run: bool,
}

/// Receives each record that is written or removed, by [`Records`](crate::Records) or by synchronisation.
///
/// A hook is a closure, or a type that implements this trait. It is given to [`ReplicaBuilder::hook`](crate::ReplicaBuilder::hook); its
/// error is a [`Cause`](crate::error::Cause), which `?` makes of any error.
///
/// A host keeps its own tables in the same file, and changes them here with the given connection: its changes are
/// committed with the record, or not at all. The hook is called for each record of a first sync too, so it should be
/// quick. It must not commit or roll back: that is undone with the whole transaction, and is an
/// [`Error::HostFailed`](crate::Error::HostFailed); savepoints are allowed. It writes rows of the host's own tables, which
/// [`ReplicaBuilder::host_tables`](crate::ReplicaBuilder::host_tables) makes: a statement that would make, change or drop a table, write to one
/// that begins with `sync_`, to a setting of the database (`PRAGMA`) or to another file is refused with SQLite's error "not authorized".
///
/// It runs within the writing transaction, so it writes with the given connection and not through the replica: that is refused on
/// its own thread ([`Error::BadInput`](crate::Error::BadInput)). Another thread that writes waits until the transaction ends. If the hook waits
/// for such a thread, that one gets [`Error::DatabaseBusy`](crate::Error::DatabaseBusy) after a minute, and the hook goes on.
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

/// Whether records that are written through a storage reach the hook of a host.
#[derive(Default)]
pub(super) enum HostHook {
    /// No host has one.
    #[default]
    None,
    /// They do.
    Given(Box<dyn RecordHook>, TransactionGuard),
    /// An app opened this database with a hook, and this program has none: no record is written.
    Missing,
    /// The same, but this program was told to write all the same.
    LeftOut,
}

impl HostHook {
    /// What a database remembers.
    pub(super) fn remembered(connection: &Connection) -> Result<Self> {
        let sql = "SELECT 1 FROM sync_state WHERE key = ?1 AND value = '1'";
        let found = connection.query_row(sql, [HAS_HOOK.name()], |_| Ok(())).optional().map_err(database_error)?;
        Ok(if found.is_some() { Self::Missing } else { Self::None })
    }

    /// Passes on a record that was just written or, without data, removed.
    pub(super) fn pass(
        &self,
        connection: &Connection,
        data: Option<&RecordData>,
        change: &NewChange,
        is_dry_run: bool,
    ) -> Result<()> {
        let NewChange { table, id, .. } = change;
        match self {
            Self::None | Self::LeftOut => Ok(()),
            // The app misses nothing of a dry run.
            Self::Missing if is_dry_run => Ok(()),
            Self::Missing => Err(Error::HookMissing),
            Self::Given(hook, guard) => {
                let record = HookedRecord { table, id, data, is_sync_update: !change.is_written_here(), is_dry_run };
                let failed = |source| Error::HostFailed { table: table.clone(), id: id.clone(), source };
                guard.watch(|| hook.on_record(connection, &record)).map_err(failed)
            }
        }
    }
}

impl<F> RecordHook for F
where
    F: Fn(&Connection, &HookedRecord<'_>) -> Result<(), Cause> + Send + Sync,
{
    fn on_record(&self, connection: &Connection, record: &HookedRecord<'_>) -> Result<(), Cause> {
        self(connection, record)
    }
}
