//! Connections to a database file: their settings and their holders.

use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::fault::database_error;
use super::hook::HostHook;
use super::watermark::Watermark;
use crate::error::Result;

/// How often to retry while another process writes: every 2 ms for ten seconds. SQLite's own handler retries every 100
/// ms, and would rarely get in between the transactions of a long integration.
pub(super) const BUSY_TRIES: i32 = 5_000;
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(2);
/// The most read connections that are kept for reuse.
const READERS_KEPT: usize = 8;

/// The only connection of a process that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) watermark: Watermark,
    pub(super) hook: HostHook,
}

/// The free read connections.
pub(super) type IdleReaders = Mutex<Vec<Connection>>;

/// A read connection that returns to the pool when dropped.
pub(super) struct ReadConnection<'s> {
    idle: &'s IdleReaders,
    /// `None` only during drop.
    pub(super) connection: Option<Connection>,
}

impl<'s> ReadConnection<'s> {
    pub(super) fn new(idle: &'s IdleReaders, connection: Connection) -> Self {
        Self { idle, connection: Some(connection) }
    }
}

impl Drop for ReadConnection<'_> {
    fn drop(&mut self) {
        let mut idle = self.idle.lock();
        if let Some(connection) = self.connection.take().filter(|_| idle.len() < READERS_KEPT) {
            idle.push(connection);
        }
    }
}

pub(super) fn wait_for_another(tries: i32) -> bool {
    std::thread::sleep(BUSY_WAIT);
    tries < BUSY_TRIES
}

pub(super) fn configure(connection: &Connection) -> Result<()> {
    connection.busy_handler(Some(wait_for_another)).map_err(database_error)?;
    connection.set_prepared_statement_cache_capacity(128);
    // FULL: acknowledged data survive a power cut (weak point A9).
    for (pragma, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        ("temp_store", "MEMORY"),
        ("cache_size", "-14000"),
        ("wal_autocheckpoint", "4000"),
    ] {
        connection.pragma_update(None, pragma, value).map_err(database_error)?;
    }
    Ok(())
}
