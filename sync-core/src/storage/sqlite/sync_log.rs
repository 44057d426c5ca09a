//! The sync log.

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::storage::{LogEntry, SyncLogReads, SyncLogWrites};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: i64 = 1000;

impl<C: HoldsConnection> SyncLogReads for SqliteTxn<C> {
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        let sql = "SELECT started_at, finished_at, outcome, error, report FROM sync_log ORDER BY id DESC LIMIT ?1";
        let rows: Vec<(String, String, String, Option<String>, String)> =
            self.all(sql, [limit as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        let read = |(started, finished, outcome, error, report): (String, String, String, Option<String>, String)| {
            Some(LogEntry {
                started_at: Timestamp::parse(&started)?,
                finished_at: Timestamp::parse(&finished)?,
                outcome,
                error: error.map(|text| serde_json::from_str(&text)).transpose().ok()?,
                report: serde_json::from_str(&report).ok()?,
            })
        };
        let damaged = || Error::DamagedState { what: "the sync log".to_owned() };
        rows.into_iter().map(|row| read(row).ok_or_else(damaged)).collect()
    }
}

impl SyncLogWrites for SqliteTxn<WriteTurn<'_>> {
    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        let damaged = |_| Error::DamagedState { what: "an entry of the sync log".to_owned() };
        let error = entry.error.as_ref().map(serde_json::to_string).transpose().map_err(damaged)?;
        let params = (
            entry.started_at.to_string(),
            entry.finished_at.to_string(),
            &entry.outcome,
            error,
            entry.report.to_string(),
        );
        let sql = "INSERT INTO sync_log (started_at, finished_at, outcome, error, report) VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = self.insert(sql, params)?;
        self.execute("DELETE FROM sync_log WHERE id <= ?1", [id - LOG_KEPT])?;
        Ok(())
    }
}
