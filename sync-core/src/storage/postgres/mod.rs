//! A central server's database on a PostgreSQL server.

mod address;
mod buffer;
mod changelog;
mod connection;
mod counts;
mod fault;
mod files;
mod history;
mod lock;
#[cfg(feature = "sqlite")]
mod migrated;
mod parts;
mod patient_visibility;
mod records;
mod schema;
mod select;
mod selection_sql;
mod servers;
mod settings;
mod site_pushes;
mod sites;
mod text;
mod tls;
mod txn;
mod views;
mod witness;

use std::path::Path;

pub use self::address::PostgresAddress;
use self::lock::{CYCLE, SERVER, SessionLock, Sharing};
pub use self::lock::{LeaderLock, ServerLock};
#[cfg(feature = "sqlite")]
pub(super) use self::migrated::ServerEnd;
use self::parts::SharedParts;
use self::schema::Opening;
use self::txn::PostgresTxn;
use super::{CycleLock, ReadTxn, SharedStorage, Storage, WriteTxn};
use crate::error::{Error, Result};

/// A storage for a central server in a database on a PostgreSQL server, 13 or newer, durable at each commit.
///
/// Several processes may use the database at once; one of them writes at a time. A `witness` is a file on another disk than the
/// database's, which this storage keeps: a database that was put back to an older state is recognised by it. Without one, a
/// database counts as put back whenever it is on another server, has another number there, or the server's history was forked.
///
/// A call must not be made on a thread that drives an asynchronous runtime: like all calls of this library it waits, and here the
/// runtime refuses that.
///
/// ```no_run
/// use std::path::Path;
/// use std::sync::Arc;
/// use sync_core::Replica;
/// use sync_core::storage::{PostgresAddress, PostgresStorage};
///
/// let address = PostgresAddress::parse("postgres://oms@db.example/central")?.with_password_of_environment()?;
/// let storage = PostgresStorage::open(&address, Some(Path::new("/var/lib/oms-sync/central.witness")))?;
/// let replica = Replica::with_storage(Arc::new(storage));
/// # drop(replica);
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct PostgresStorage {
    parts: SharedParts,
    only_reads: bool,
}

impl std::fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStorage").field("address", &self.parts.address).finish_non_exhaustive()
    }
}

impl PostgresStorage {
    /// Opens a database, and makes the tables if it is empty. Tables of an older version of this library are upgraded.
    ///
    /// # Errors
    /// `database_unreachable`, `database_refused`, `no_database` if the server has none of this name, `not_a_database`,
    /// `database_too_new`, `database_read_only`, `database_busy`, `disk_full`, `database_failed`; `bad_input` for a file of
    /// certificates that cannot be used.
    pub fn open(address: &PostgresAddress, witness: Option<&Path>) -> Result<Self> {
        Self::open_with(address, witness, Opening::Make)
    }

    /// Opens a database that has the tables.
    ///
    /// # Errors
    /// As [`open`](Self::open); `no_database` if it is empty.
    pub fn open_existing(address: &PostgresAddress, witness: Option<&Path>) -> Result<Self> {
        Self::open_with(address, witness, Opening::Upgrade)
    }

    /// Opens a database that has the tables, to be read only: they are not upgraded, and each write is refused.
    ///
    /// # Errors
    /// As [`open_existing`](Self::open_existing); `bad_input` if its schema is of an older version.
    pub fn open_to_read(address: &PostgresAddress) -> Result<Self> {
        Self::open_with(address, None, Opening::Read)
    }

    fn open_with(address: &PostgresAddress, witness: Option<&Path>, opening: Opening) -> Result<Self> {
        let parts = SharedParts::new(address, witness);
        let (mut connection, _) = parts.pool.lend(&parts.address)?;
        let prepared = schema::prepare(&parts, &mut connection, opening);
        parts.pool.give_back(connection);
        prepared.map(|()| Self { parts, only_reads: opening == Opening::Read })
    }

    /// The address of the database.
    pub fn address(&self) -> &PostgresAddress {
        &self.parts.address
    }

    /// Takes part in the lock that all central servers on this database share, so that nobody has it for himself meanwhile, such
    /// as a migration; `None` if somebody has. It needs a connection of its own, straight to PostgreSQL or through a pooler
    /// that lends connections for a whole session.
    ///
    /// # Errors
    /// The database cannot be reached; `database_failed` behind a pooler that lends connections for one transaction.
    pub fn lock_server(&self) -> Result<Option<ServerLock>> {
        let Some(mut lock) = SessionLock::take(&self.parts.address, SERVER, Sharing::Shared)? else { return Ok(None) };
        if !lock.is_held() {
            let source =
                "a lock of this session was lost at once: a pooler lends the connection for one transaction only";
            return Err(Error::Database { source: source.into() });
        }
        Ok(Some(ServerLock { address: self.parts.address.clone(), lock: Some(lock) }))
    }

    /// Makes this server the one that refreshes from the legacy server; `None` if another one leads.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn lock_leader(&self) -> Result<Option<LeaderLock>> {
        LeaderLock::take(&self.parts.address)
    }
}

impl Storage for PostgresStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        Ok(Box::new(PostgresTxn::reading(&self.parts)?))
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        if self.only_reads {
            return Err(Error::DatabaseReadOnly { source: "it was opened to be read only".into() });
        }
        Ok(Box::new(PostgresTxn::writing(&self.parts, self.parts.writer_turns.take()?)?))
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        match SessionLock::take(&self.parts.address, CYCLE, Sharing::Alone)? {
            Some(lock) => Ok(CycleLock::new(lock)),
            None => Err(Error::CycleRunning { holder: None }),
        }
    }

    fn servers(&self) -> Option<&dyn SharedStorage> {
        (!self.only_reads).then_some(&self.parts as &dyn SharedStorage)
    }
}
