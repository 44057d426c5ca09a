//! Settings and cursors.

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::error::Result;
use crate::storage::{StateReads, StateWrites};

impl<C: HoldsConnection> StateReads for SqliteTxn<C> {
    fn state(&self, key: &str) -> Result<Option<String>> {
        self.first("SELECT value FROM sync_state WHERE key = ?1", [key], |row| row.get(0))
    }
}

impl StateWrites for SqliteTxn<WriteTurn<'_>> {
    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        self.execute("INSERT OR REPLACE INTO sync_state (key, value) VALUES (?1, ?2)", [key, value])?;
        Ok(())
    }
}
