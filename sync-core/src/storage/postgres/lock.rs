//! Locks of a database that several processes use: PostgreSQL's advisory locks.

use std::time::Duration;

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
/// Those who serve it share this one; whoever needs the database alone takes it alone.
pub(super) const SERVER: AdvisoryLock = AdvisoryLock(4);
/// The only server that refreshes from the legacy server.
pub(super) const LEADER: AdvisoryLock = AdvisoryLock(5);
/// The only server that compares an uploaded file with an existing one, and names it.
pub(super) const UPLOAD: AdvisoryLock = AdvisoryLock(6);

/// The leader confirms its lock every second or so. One whose session was silent for so long hangs, or lost its network.
const LEADER_SILENT: &str = "6 s";

/// Whether several sessions may have a lock at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Alone,
    Shared,
}

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
    pub(super) fn take(address: &PostgresAddress, lock: AdvisoryLock, sharing: Sharing) -> Result<Option<Self>> {
        Self::take_on(Connection::open(address)?, lock, sharing)
    }

    fn take_on(mut connection: Connection, lock: AdvisoryLock, sharing: Sharing) -> Result<Option<Self>> {
        let shared = if sharing == Sharing::Shared { "_shared" } else { "" };
        let taken = connection.simple(&format!("SELECT pg_try_advisory_lock{shared}({OURS}, {})", lock.0))?;
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

/// Ends all sessions of the process that has a lock and did not confirm it for too long. PostgreSQL allows that within one role.
fn end_silent(connection: &mut Connection, lock: AdvisoryLock, silent: &str) -> Result<()> {
    let sql = format!(
        "SELECT pg_terminate_backend(of_it.pid) FROM pg_stat_activity of_it WHERE of_it.usename = current_user \
         AND of_it.datname = current_database() AND of_it.application_name IN ( \
             SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
             WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = {OURS} AND l.objid::bigint = {} \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND a.usename = current_user AND a.state = 'idle' \
             AND a.state_change < clock_timestamp() - interval '{silent}')",
        lock.0
    );
    connection.simple(&sql).map(drop)
}

/// A central server's part in a lock that all servers of a database share: until it is dropped, nobody gets the database for
/// himself, such as a migration.
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
    /// True unless somebody has the database for himself now. If the connection broke, the lock is taken again; while the
    /// database cannot be reached at all, nobody else gets it either.
    pub fn is_kept(&mut self) -> bool {
        if self.lock.as_mut().is_some_and(SessionLock::is_held) {
            return true;
        }
        // What is left of the former session may hold it, so it ends first.
        self.lock = None;
        match SessionLock::take(&self.address, SERVER, Sharing::Shared) {
            Ok(None) => false,
            Ok(taken) => {
                self.lock = taken;
                true
            }
            Err(_) => true,
        }
    }
}

/// What makes one of several central servers on a database the one that refreshes from the legacy server. It ends when it is
/// dropped, with the process or its connection, and once [`confirm`](Self::confirm) was not called for six seconds and another
/// server asks for it.
pub struct LeaderLock(pub(super) SessionLock);

impl std::fmt::Debug for LeaderLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaderLock")
    }
}

impl LeaderLock {
    /// How long a leader may rely on the last confirmation: less than after which another one may take its place.
    pub const LASTS: Duration = Duration::from_secs(4);

    /// Takes it; `None` if another server has it.
    pub(super) fn take(address: &PostgresAddress) -> Result<Option<Self>> {
        let mut connection = Connection::open(address)?;
        end_silent(&mut connection, LEADER, LEADER_SILENT)?;
        Ok(SessionLock::take_on(connection, LEADER, Sharing::Alone)?.map(Self))
    }

    /// True if this server still leads, and does so for [`LASTS`](Self::LASTS) from the moment of the call on. The host
    /// calls it every second or so.
    pub fn confirm(&mut self) -> bool {
        self.0.is_held()
    }
}
