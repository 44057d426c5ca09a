//! A transaction: begun at once, rolled back unless committed.

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{CachedStatement, Connection, Params, Row, TransactionBehavior};
use std::cell::{Cell, RefCell};
use std::path::Path;

use super::connection::{ReadConnection, Writer};
use super::fault::{database_error, in_file};
use super::hook::HostHook;
use super::pending_counts::Counts;
use crate::changelog::NewChange;
use crate::error::{Error, Result};
use crate::record::{Cursor, RecordData};
use crate::storage::sql::LatelyRead;
use crate::storage::state::HOOK_MISSED_FROM;
use crate::storage::writer_turns::{WriterTurn, WriterTurns};
use crate::storage::{CentralReads, CentralWrites, ReadTxn, WriteTxn};

/// The place of the newest cursor: it is never used twice, even if the newest row goes.
const NEWEST_CURSOR: &str = "newest_cursor";

/// A transaction on its connection.
pub(super) struct SqliteTxn<C: HoldsConnection> {
    holder: C,
    open: bool,
    /// The newest cursor, once this transaction has looked for it.
    newest: Cell<Option<i64>>,
    /// Whether this transaction has created a cursor.
    has_new_cursor: Cell<bool>,
    /// True if nothing of it is ever committed.
    pub(super) is_dry_run: bool,
    /// Whether there are any tombstones, once this transaction has checked.
    pub(super) any_tombstones: Cell<Option<bool>>,
    /// Whether there are any pushed versions, once this transaction has checked.
    pub(super) any_pushed: Cell<Option<bool>>,
    pub(super) counts: RefCell<Counts>,
    /// What was read last. Before a record is written, it and its parent are asked for several times.
    pub(super) lately: RefCell<LatelyRead>,
}

/// A holder of a connection.
pub(super) trait HoldsConnection {
    fn connection(&self) -> Option<&Connection>;
}

/// The turn to write. When it ends, the longest waiting thread gets it, even if its holder asks again at once: a push
/// waits for the transactions that began before it, not for a whole integration.
pub(super) struct WriteTurn<'s> {
    writer: MutexGuard<'s, Writer>,
    /// Ends after the writer is free.
    #[allow(dead_code, reason = "held for its drop")]
    turn: WriterTurn<'s>,
}

impl<'s> WriteTurn<'s> {
    pub(super) fn of(writer: &'s Mutex<Writer>, turns: &'s WriterTurns) -> Result<Self> {
        let turn = turns.take()?;
        Ok(Self { writer: writer.lock(), turn })
    }
}

impl HoldsConnection for WriteTurn<'_> {
    fn connection(&self) -> Option<&Connection> {
        Some(&self.writer.connection)
    }
}

impl HoldsConnection for ReadConnection<'_> {
    fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }
}

impl<C: HoldsConnection> SqliteTxn<C> {
    pub(super) fn begin(holder: C, behavior: TransactionBehavior) -> Result<Self> {
        let (newest, any_tombstones, has_new_cursor) = (Cell::new(None), Cell::new(None), Cell::new(false));
        let txn = Self {
            holder,
            open: true,
            newest,
            has_new_cursor,
            is_dry_run: false,
            any_tombstones,
            any_pushed: Cell::new(None),
            counts: RefCell::default(),
            lately: RefCell::default(),
        };
        txn.execute(
            match behavior {
                TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
                _ => "BEGIN DEFERRED",
            },
            (),
        )?;
        Ok(txn)
    }

    /// The newest cursor ever used; 0 before the first.
    pub(super) fn newest(&self) -> Result<i64> {
        if let Some(newest) = self.newest.get() {
            return Ok(newest);
        }
        let sql = "SELECT CAST(value AS INTEGER) FROM sync_state WHERE key = ?1";
        let newest = self.first(sql, [NEWEST_CURSOR], |row| row.get(0))?.unwrap_or(0);
        self.newest.set(Some(newest));
        Ok(newest)
    }

    /// Creates a cursor. Writers come one after the other, so no lower one can appear once this one is visible.
    pub(super) fn next_cursor(&self) -> Result<i64> {
        let next = self.newest()? + 1;
        self.newest.set(Some(next));
        self.has_new_cursor.set(true);
        Ok(next)
    }

    /// An error of this connection, which names its file where somebody asks for it.
    fn failed(&self, error: rusqlite::Error) -> Error {
        let error = database_error(error);
        match self.holder.connection().and_then(Connection::path) {
            Some(path) => in_file(error, Path::new(path)),
            None => error,
        }
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        let connection = self.holder.connection().ok_or_else(|| database_error(rusqlite::Error::InvalidQuery))?;
        connection.prepare_cached(sql).map_err(|error| self.failed(error))
    }

    /// Runs a statement; returns the number of rows that it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.statement(sql)?;
        let changed = statement.execute(params).map_err(|error| self.failed(error))?;
        note_cost(&statement);
        Ok(changed)
    }

    /// Runs an INSERT; returns the rowid.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> Result<i64> {
        self.statement(sql)?.insert(params).map_err(|error| self.failed(error))
    }

    /// The first row, if any.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.statement(sql)?;
        let found = {
            let mut rows = statement.query(params).map_err(|error| self.failed(error))?;
            let row = rows.next().map_err(|error| self.failed(error))?;
            row.map(read).transpose().map_err(|error| self.failed(error))?
        };
        note_cost(&statement);
        Ok(found)
    }

    /// Whether a statement finds a row, asked once in a transaction: `known` keeps the answer.
    pub(super) fn any_row(&self, known: &Cell<Option<bool>>, sql: &str) -> Result<bool> {
        if let Some(known) = known.get() {
            return Ok(known);
        }
        let any = self.first(sql, (), |_| Ok(()))?.is_some();
        known.set(Some(any));
        Ok(any)
    }

    /// Rows while `wanted` returns true for each.
    pub(super) fn all_while<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>> {
        let mut statement = self.statement(sql)?;
        let rows = {
            let rows = statement.query_map(params, read).map_err(|error| self.failed(error))?;
            let rows = rows.take_while(|row| row.as_ref().map_or(true, &mut wanted));
            rows.collect::<rusqlite::Result<_>>().map_err(|error| self.failed(error))?
        };
        note_cost(&statement);
        Ok(rows)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.all_while(sql, params, read, |_| true)
    }
}

#[cfg(not(test))]
fn note_cost(_: &CachedStatement<'_>) {}

/// Tests have budgets in steps of SQLite's machine, which are the same on every machine.
#[cfg(test)]
fn note_cost(statement: &CachedStatement<'_>) {
    super::cost_tests::note(statement.reset_status(rusqlite::StatementStatus::VmStep));
}

impl SqliteTxn<WriteTurn<'_>> {
    /// Passes a record that was just written or, without data, removed to the host's hook, if there is one.
    pub(super) fn tell_host(&self, data: Option<&RecordData>, change: &NewChange) -> Result<()> {
        let Writer { connection, hook, .. } = &*self.holder.writer;
        if matches!(hook, HostHook::LeftOut) && HOOK_MISSED_FROM.get(self)?.is_none() {
            HOOK_MISSED_FROM.set(self, Some(Cursor(self.newest()?.unsigned_abs())))?;
        }
        hook.pass(connection, data, change, self.is_dry_run)
    }

    /// True if there is a hook of the host.
    pub(super) fn has_host(&self) -> bool {
        matches!(self.holder.writer.hook, HostHook::Given(..))
    }
}

impl<C: HoldsConnection> ReadTxn for SqliteTxn<C> {
    fn as_central(&self) -> Option<&dyn CentralReads> {
        Some(self)
    }
}

impl WriteTxn for SqliteTxn<WriteTurn<'_>> {
    fn as_central_writer(&self) -> Option<&dyn CentralWrites> {
        Some(self)
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        self.write_counts()?;
        if let Some(newest) = self.newest.get().filter(|_| self.has_new_cursor.get()) {
            self.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", (NEWEST_CURSOR, newest))?;
        }
        let count = "UPDATE sync_state SET value = value + 1 WHERE key = 'commits' RETURNING CAST(value AS INTEGER)";
        let commits: Option<i64> = self.first(count, (), |row| row.get(0))?;
        let newest = self.newest()?;
        self.execute("COMMIT", ())?;
        self.open = false;
        let position = Cursor(newest.unsigned_abs());
        self.holder.writer.watermark.rise(commits.unwrap_or(0).unsigned_abs(), position);
        Ok(())
    }
}

impl<C: HoldsConnection> Drop for SqliteTxn<C> {
    fn drop(&mut self) {
        if self.open {
            // Fails only where SQLite has rolled back already, as it does when the disk is full.
            let _ = self.execute("ROLLBACK", ());
        }
    }
}
