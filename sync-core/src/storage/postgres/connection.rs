//! Connections to a database, and the pool that lends them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use postgres::types::ToSql;
use postgres::{Client, NoTls, Row, SimpleQueryMessage, Statement};

use super::address::PostgresAddress;
use super::fault::database_error;
use super::tls::encryption;
use crate::error::{Error, Result};

/// Parameters of a statement.
pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The most connections of a process. PostgreSQL lends a hundred to all its clients, unless it is told otherwise.
const CONNECTIONS_MAX: usize = 20;
/// The most connections that are kept open for reuse.
const IDLE_MAX: usize = 8;
/// How long to wait for a connection that others use.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// A connection forgets its prepared statements once there are more.
const STATEMENTS_MAX: usize = 300;

/// Begins a transaction that others may have to wait for: in the queue for as long as some transactions before it may take, and not
/// for one whose process does nothing in it, because it hangs or its network failed.
pub(super) const BEGIN_IN_TURN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '30s'; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The oldest PostgreSQL that is supported, as its `server_version_num`.
const OLDEST: i32 = 130_000;

/// What each connection is set to. Every statement has an index to go by, and none is to be planned otherwise while a table is
/// too new for its statistics. A plan is made once for each statement and connection. A server that is told to confirm commits
/// before they are on the disk does not do so for us. A client that the server does not hear from any more, because its machine
/// or the network between failed, holds nobody up for more than ten seconds.
const SETTINGS: &str = "SET lock_timeout = '10s'; SET tcp_user_timeout = '8s'; SET tcp_keepalives_idle = 3; \
    SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
    SELECT current_setting('server_version_num'), current_setting('server_encoding')";

/// A connection with its prepared statements.
pub(super) struct Connection {
    /// `None` only during drop.
    client: Option<Client>,
    statements: HashMap<String, Statement>,
    shown: String,
}

impl Connection {
    /// Connects, and prepares the session.
    pub(super) fn open(address: &PostgresAddress) -> Result<Self> {
        let failed = |error| database_error(&address.to_string(), error);
        let client = match address.is_encrypted {
            true => address.config.connect(encryption(address.root_certificates.as_deref())?),
            false => address.config.connect(NoTls),
        };
        let client = client.map_err(failed)?;
        let mut connection = Self { client: Some(client), statements: HashMap::new(), shown: address.to_string() };
        let rows = connection.simple(SETTINGS)?;
        let server = rows.last().cloned().unwrap_or_default();
        let text = |index: usize| server.get(index).and_then(Option::as_deref).unwrap_or_default();
        if text(0).parse().unwrap_or(0) < OLDEST || text(1) != "UTF8" {
            let found =
                format!("PostgreSQL {} with texts in {}; it has to be 13 or newer, with UTF8", text(0), text(1));
            return Err(Error::NotADatabase { path: address.to_string(), source: Some(found.into()) });
        }
        Ok(connection)
    }

    fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().ok_or_else(|| Error::Database { source: "the connection is closed".into() })
    }

    /// True if the connection is of no use any more.
    pub(super) fn is_broken(&self) -> bool {
        self.client.as_ref().is_none_or(Client::is_closed)
    }

    /// Runs statements without parameters in one round trip; returns their rows as text.
    pub(super) fn simple(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let answered = self.client()?.simple_query(sql);
        let messages = answered.map_err(|error| database_error(&self.shown, error))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    fn statement(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self.client()?.prepare(sql).map_err(|error| database_error(&self.shown, error))?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Runs a statement; returns its rows.
    pub(super) fn query(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        let statement = self.statement(sql)?;
        let answered = self.client()?.query(&statement, params);
        answered.map_err(|error| database_error(&self.shown, error))
    }

    /// Runs a statement, and passes on its rows one after the other, as the server sends them.
    #[cfg(feature = "sqlite")]
    pub(super) fn each_row(
        &mut self,
        sql: &str,
        params: Vec<Box<dyn ToSql + Sync>>,
        visit: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        use postgres::fallible_iterator::FallibleIterator as _;
        let shown = self.shown.clone();
        let failed = |error| database_error(&shown, error);
        let statement = self.statement(sql)?;
        let mut rows = self.client()?.query_raw(&statement, params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(&row)?;
        }
        Ok(())
    }

    /// Waits until the server sends a notice, or for this time. Returns whether it sent any.
    pub(super) fn wait_for_notice(&mut self, timeout: Duration) -> Result<bool> {
        use postgres::fallible_iterator::FallibleIterator as _;
        let shown = self.shown.clone();
        let failed = |error| database_error(&shown, error);
        let mut notices = self.client()?.notifications();
        let is_first = notices.timeout_iter(timeout).next().map_err(failed)?.is_some();
        while is_first && notices.iter().next().map_err(failed)?.is_some() {}
        Ok(is_first)
    }

    /// Runs a statement; returns the number of rows that it changed.
    pub(super) fn execute(&mut self, sql: &str, params: Params<'_>) -> Result<u64> {
        let statement = self.statement(sql)?;
        let answered = self.client()?.execute(&statement, params);
        answered.map_err(|error| database_error(&self.shown, error))
    }
}

impl Drop for Connection {
    /// Closes it on a thread of its own: one that drives an asynchronous runtime must not wait.
    fn drop(&mut self) {
        self.statements.clear();
        if let Some(client) = self.client.take() {
            std::thread::scope(|threads| {
                threads.spawn(move || drop(client));
            });
        }
    }
}

/// The connections of a process.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Connection>,
    /// The number of connections that are lent.
    lent: usize,
}

impl Pool {
    /// Lends a connection and whether it was idle: such a one may be broken.
    pub(super) fn lend(&self, address: &PostgresAddress) -> Result<(Connection, bool)> {
        {
            let mut state = self.state.lock();
            while state.lent >= CONNECTIONS_MAX {
                if self.returned.wait_for(&mut state, POOL_WAIT).timed_out() {
                    let source = format!("this process uses its {CONNECTIONS_MAX} connections already").into();
                    return Err(Error::DatabaseBusy { source });
                }
            }
            state.lent += 1;
            if let Some(connection) = state.idle.pop() {
                return Ok((connection, true));
            }
        }
        Connection::open(address).map(|connection| (connection, false)).inspect_err(|_| self.count_back())
    }

    /// Does work outside a transaction. If the server closed the connection while nobody used it, another one does it.
    pub(super) fn at_once<T>(
        &self,
        address: &PostgresAddress,
        work: impl Fn(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        loop {
            let (mut connection, was_idle) = self.lend(address)?;
            let done = work(&mut connection);
            let tries_again = done.is_err() && was_idle && connection.is_broken();
            if done.is_err() && !connection.is_broken() {
                // The work may have begun a transaction.
                let _ = connection.simple("ROLLBACK");
            }
            self.give_back(connection);
            if !tries_again {
                return done;
            }
        }
    }

    /// Takes a connection back, outside a transaction, and keeps it if it can be used again.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut state = self.state.lock();
        let is_kept = !connection.is_broken() && state.idle.len() < IDLE_MAX;
        if is_kept {
            state.idle.push(connection);
        }
        drop(state);
        self.count_back();
    }

    /// Closes a connection that is not to be used again.
    pub(super) fn discard(&self, connection: Connection) {
        drop(connection);
        self.count_back();
    }

    fn count_back(&self) {
        self.state.lock().lent -= 1;
        self.returned.notify_one();
    }
}

/// Does work in one transaction under a lock.
pub(super) fn in_turn(
    connection: &mut Connection,
    lock: String,
    work: impl FnOnce(&mut Connection) -> Result<()>,
) -> Result<()> {
    connection.simple(&format!("{BEGIN_IN_TURN}; {lock}"))?;
    let done = work(connection).and_then(|()| connection.simple("COMMIT").map(drop));
    if done.is_err() {
        let _ = connection.simple("ROLLBACK");
    }
    done
}
