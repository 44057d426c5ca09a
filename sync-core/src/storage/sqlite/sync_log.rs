//! The sync log.

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::error::Result;
use crate::storage::sql::{LogRow, LogTexts, read_log};
use crate::storage::{LogEntry, SyncLogReads, SyncLogWrites};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: i64 = 1000;

impl<C: HoldsConnection> SyncLogReads for SqliteTxn<C> {
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        let sql = "SELECT started_at, finished_at, outcome, error, report FROM sync_log ORDER BY id DESC LIMIT ?1";
        let rows: Vec<LogRow> =
            self.all(sql, [limit as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        rows.into_iter().map(read_log).collect()
    }
}

impl SyncLogWrites for SqliteTxn<WriteTurn<'_>> {
    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        let LogTexts { started_at, finished_at, error, report } = LogTexts::of(entry)?;
        let sql = "INSERT INTO sync_log (started_at, finished_at, outcome, error, report) VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = self.insert(sql, (started_at, finished_at, &entry.outcome, error, report))?;
        self.execute("DELETE FROM sync_log WHERE id <= ?1", [id - LOG_KEPT])?;
        Ok(())
    }
}
