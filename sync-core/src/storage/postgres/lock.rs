//! Locks of a database that several processes use: PostgreSQL's advisory locks.

use super::address::PostgresAddress;
use super::connection::Connection;
use crate::error::Result;

/// Keeps our locks apart from those of other programs in the same database: "OMSS".
const OURS: i32 = 0x4f4d_5353;

/// One of our locks.
#[derive(Clone, Copy)]
pub(super) struct AdvisoryLock(i32);

/// The only transaction that writes.
pub(super) const WRITER: AdvisoryLock = AdvisoryLock(1);
/// The only process that makes or upgrades the tables.
pub(super) const SCHEMA: AdvisoryLock = AdvisoryLock(2);
/// The only cycle.
pub(super) const CYCLE: AdvisoryLock = AdvisoryLock(3);
/// The only server.
pub(super) const SERVER: AdvisoryLock = AdvisoryLock(4);

impl AdvisoryLock {
    /// The statement that takes it until the transaction ends.
    pub(super) fn in_transaction(self) -> String {
        format!("SELECT pg_advisory_xact_lock({OURS}, {})", self.0)
    }
}

/// A lock on a connection of its own. It ends when it is dropped, and with the process or the connection. Behind a pooler that
/// lends connections for one transaction it ends at once, which [`is_held`](Self::is_held) notices.
pub(super) struct SessionLock {
    lock: AdvisoryLock,
    connection: Option<Connection>,
}

impl SessionLock {
    /// Takes a lock; `None` if another session has it.
    pub(super) fn take(address: &PostgresAddress, lock: AdvisoryLock) -> Result<Option<Self>> {
        let mut connection = Connection::open(address)?;
        let taken = connection.simple(&format!("SELECT pg_try_advisory_lock({OURS}, {})", lock.0))?;
        let is_taken = taken.iter().flatten().any(|answer| answer.as_deref() == Some("t"));
        Ok(is_taken.then_some(Self { lock, connection: Some(connection) }))
    }

    /// True if the session still has it.
    pub(super) fn is_held(&mut self) -> bool {
        let sql = format!(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted \
             AND classid::bigint = {OURS} AND objid::bigint = {}",
            self.lock.0
        );
        let rows = self.connection.as_mut().map(|connection| connection.simple(&sql));
        rows.is_some_and(|rows| rows.is_ok_and(|rows| !rows.is_empty()))
    }
}

impl Drop for SessionLock {
    /// Released before the connection is closed, because the server notices that later. On a thread of its own, as a connection
    /// is closed.
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            std::thread::scope(|threads| {
                threads.spawn(move || connection.simple("SELECT pg_advisory_unlock_all()").is_ok());
            });
        }
    }
}

/// Keeps a second central server from the same database, until it is dropped.
pub struct ServerLock {
    pub(super) address: PostgresAddress,
    pub(super) lock: Option<SessionLock>,
}

impl std::fmt::Debug for ServerLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerLock({})", self.address)
    }
}

impl ServerLock {
    /// True unless another server has the lock now. If the connection broke, the lock is taken again; while the database
    /// cannot be reached at all, nobody else is served by it either.
    pub fn is_kept(&mut self) -> bool {
        if self.lock.as_mut().is_some_and(SessionLock::is_held) {
            return true;
        }
        // What is left of the former session may hold it, so it ends first.
        self.lock = None;
        match SessionLock::take(&self.address, SERVER) {
            Ok(None) => false,
            Ok(taken) => {
                self.lock = taken;
                true
            }
            Err(_) => true,
        }
    }
}
