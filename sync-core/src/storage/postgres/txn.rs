//! A transaction: begun at once, rolled back unless committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use postgres::Row;

use super::connection::{BEGIN_IN_TURN, Connection, Params, Pool};
use super::fault::database_error;
use super::lock::WRITER;
use super::parts::SharedParts;
use super::text::Stored;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::marks;
use crate::storage::sql::LatelyRead;
use crate::storage::writer_turns::WriterTurn;
use crate::storage::{CentralReads, CentralWrites, ReadTxn, WriteTxn};

/// What reading a column gives.
pub(super) type Column<T> = std::result::Result<T, postgres::Error>;

/// A transaction on its connection. A reader's is read-only for PostgreSQL too.
pub(super) struct PostgresTxn<'s> {
    storage: &'s SharedParts,
    lent: Lent<'s>,
    /// The turn to write. It ends after the connection is given back.
    #[allow(dead_code, reason = "held for its drop")]
    turn: Option<WriterTurn<'s>>,
    is_open: Cell<bool>,
    /// The newest cursor ever used; 0 before the first.
    newest: Cell<i64>,
    commits: i64,
    /// True if the commit tells all servers that pushed records wait for integration.
    announces: Cell<bool>,
    /// Whether there are any tombstones.
    pub(super) any_tombstones: Cell<bool>,
    /// The rows that each part of each audience has gained or lost, and that are not written yet.
    pub(super) counts: RefCell<BTreeMap<(String, i64), i64>>,
    /// What was read last. Before a record is written, it and its parent are asked for several times.
    pub(super) lately: RefCell<LatelyRead>,
}

/// A connection of the pool, until it is dropped.
struct Lent<'s> {
    pool: &'s Pool,
    /// `None` only during drop.
    connection: RefCell<Option<Connection>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut().take() {
            self.pool.give_back(connection);
        }
    }
}

/// The channel on which a commit tells all servers that pushed records wait for integration.
pub(super) const WORK: &str = "oms_sync_work";

/// What is asked at the beginning of each transaction.
const POSITION: &str = "SELECT newest, commits, EXISTS (SELECT FROM sync_change) FROM sync_position";

impl<'s> PostgresTxn<'s> {
    /// Begins to read: one snapshot, taken now.
    pub(super) fn reading(storage: &'s SharedParts) -> Result<Self> {
        Self::begin(storage, None, &format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {POSITION}"))
    }

    /// Begins to write. Each statement sees what was committed before it, and the lock comes first: a snapshot from before the
    /// lock would not show what the last writer committed.
    pub(super) fn writing(storage: &'s SharedParts, turn: WriterTurn<'s>) -> Result<Self> {
        let (lock, moved) = (WRITER.in_transaction(), marks::MOVED);
        let begin = format!(
            "{BEGIN_IN_TURN}; {lock}; \
             SELECT newest, commits, EXISTS (SELECT FROM sync_change), \
             (SELECT value FROM sync_state WHERE key = '{moved}') FROM sync_position"
        );
        Self::begin(storage, Some(turn), &begin)
    }

    fn begin(storage: &'s SharedParts, turn: Option<WriterTurn<'s>>, sql: &str) -> Result<Self> {
        let (connection, row) = loop {
            let (mut connection, was_idle) = storage.pool.lend(&storage.address)?;
            match connection.simple(sql) {
                Ok(rows) => break (connection, rows.last().cloned().unwrap_or_default()),
                Err(error) => {
                    // The server closed it meanwhile. Nothing was done, so another one can do it.
                    let tries_again = was_idle && connection.is_broken();
                    if !connection.is_broken() {
                        let _ = connection.simple("ROLLBACK");
                    }
                    storage.pool.give_back(connection);
                    if !tries_again {
                        return Err(error);
                    }
                }
            }
        };
        let lent = Lent { pool: &storage.pool, connection: RefCell::new(Some(connection)) };
        let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
        let number = |index: usize| {
            text(index).parse().map_err(|_| Error::DamagedState { what: "the table sync_position".to_owned() })
        };
        let any_tombstones = text(2) == "t";
        let txn = Self {
            storage,
            lent,
            turn,
            is_open: Cell::new(true),
            newest: Cell::new(number(0)?),
            commits: number(1)?,
            announces: Cell::new(false),
            any_tombstones: Cell::new(any_tombstones),
            counts: RefCell::default(),
            lately: RefCell::default(),
        };
        // What other processes committed meanwhile.
        storage.witness.rise(txn.commits.unsigned_abs(), Cursor(txn.newest.get().unsigned_abs()));
        // A process that opened it before may still run.
        marks::refuse_moved(&storage.address.to_string(), row.get(3).and_then(Option::as_deref))?;
        Ok(txn)
    }

    /// Has the commit tell all servers that pushed records wait for integration.
    pub(super) fn announce_work(&self) {
        self.announces.set(true);
    }

    /// The newest cursor ever used; 0 before the first.
    pub(super) fn newest(&self) -> i64 {
        self.newest.get()
    }

    /// Creates a cursor. Writers come one after the other, so no lower one can appear once this one is visible.
    pub(super) fn next_cursor(&self) -> i64 {
        self.newest.set(self.newest.get() + 1);
        self.newest.get()
    }

    fn on_connection<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        match self.lent.connection.borrow_mut().as_mut() {
            Some(connection) => work(connection),
            None => Err(Error::Database { source: "the transaction has ended".into() }),
        }
    }

    fn read_error(&self, error: postgres::Error) -> Error {
        database_error(&self.storage.address.to_string(), error)
    }

    /// Runs a statement; returns the number of rows that it changed.
    pub(super) fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64> {
        self.on_connection(|connection| connection.execute(sql, params))
    }

    /// The first row, if any.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnOnce(&Row) -> Column<T>,
    ) -> Result<Option<T>> {
        let rows = self.on_connection(|connection| connection.query(sql, params))?;
        rows.first().map(read).transpose().map_err(|error| self.read_error(error))
    }

    /// All rows.
    pub(super) fn all<T>(&self, sql: &str, params: Params<'_>, read: impl FnMut(&Row) -> Column<T>) -> Result<Vec<T>> {
        let rows = self.on_connection(|connection| connection.query(sql, params))?;
        rows.iter().map(read).collect::<Column<_>>().map_err(|error| self.read_error(error))
    }

    /// True if there is a row.
    pub(super) fn any(&self, sql: &str, params: Params<'_>) -> Result<bool> {
        Ok(self.first(sql, params, |_| Ok(()))?.is_some())
    }

    fn simple(&self, sql: &str) -> Result<()> {
        self.on_connection(|connection| connection.simple(sql)).map(drop)
    }
}

/// A text of a peer in a column.
pub(super) fn text(row: &Row, index: usize) -> Column<String> {
    row.try_get::<_, Stored>(index).map(|stored| stored.0)
}

/// A text of a peer in a column, if any.
pub(super) fn text_or_none(row: &Row, index: usize) -> Column<Option<String>> {
    row.try_get::<_, Option<Stored>>(index).map(|stored| stored.map(|stored| stored.0))
}

impl ReadTxn for PostgresTxn<'_> {
    fn as_central(&self) -> Option<&dyn CentralReads> {
        Some(self)
    }
}

impl WriteTxn for PostgresTxn<'_> {
    fn as_central_writer(&self) -> Option<&dyn CentralWrites> {
        Some(self)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.write_counts()?;
        let (newest, commits) = (self.newest.get(), self.commits + 1);
        let notice = if self.announces.get() { format!("NOTIFY {WORK}; ") } else { String::new() };
        // The update fails where an earlier statement failed: PostgreSQL would answer a mere COMMIT without an error then.
        self.simple(&format!("UPDATE sync_position SET newest = {newest}, commits = {commits}; {notice}COMMIT"))?;
        self.is_open.set(false);
        self.storage.witness.rise(commits.unsigned_abs(), Cursor(newest.unsigned_abs()));
        Ok(())
    }
}

impl Drop for PostgresTxn<'_> {
    fn drop(&mut self) {
        if self.is_open.get()
            && self.simple("ROLLBACK").is_err()
            && let Some(connection) = self.lent.connection.get_mut().take()
        {
            // What is open on it ends with it.
            self.lent.pool.discard(connection);
        }
    }
}
