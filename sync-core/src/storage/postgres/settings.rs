//! Settings and cursors, and the sync log.

use super::text::Text;
use super::txn::{PostgresTxn, text};
use crate::error::Result;
use crate::storage::sql::{LogTexts, limited, read_log};
use crate::storage::{LogEntry, StateReads, StateWrites, SyncLogReads, SyncLogWrites};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: i64 = 1000;

impl StateReads for PostgresTxn<'_> {
    fn state(&self, key: &str) -> Result<Option<String>> {
        self.first("SELECT value FROM sync_state WHERE key = $1", &[&Text(key)], |row| text(row, 0))
    }
}

impl StateWrites for PostgresTxn<'_> {
    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        let sql = "INSERT INTO sync_state (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.execute(sql, &[&Text(key), &Text(value)]).map(drop)
    }
}

impl SyncLogReads for PostgresTxn<'_> {
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        let sql = "SELECT started_at, finished_at, outcome, error, report FROM sync_log ORDER BY id DESC LIMIT $1";
        let rows = self.all(sql, &[&limited(limit)], |row| {
            let error = row.try_get(3)?;
            Ok((row.try_get(0)?, row.try_get(1)?, text(row, 2)?, error, row.try_get(4)?))
        })?;
        rows.into_iter().map(read_log).collect()
    }
}

impl SyncLogWrites for PostgresTxn<'_> {
    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        let LogTexts { started_at, finished_at, error, report } = LogTexts::of(entry)?;
        let sql = "INSERT INTO sync_log (started_at, finished_at, outcome, error, report) VALUES ($1, $2, $3, $4, $5)";
        self.execute(sql, &[&started_at, &finished_at, &Text(&entry.outcome), &error, &report])?;
        // The ids have gaps, one for each transaction that was rolled back.
        let drop_oldest =
            "DELETE FROM sync_log WHERE id <= (SELECT id FROM sync_log ORDER BY id DESC OFFSET $1 LIMIT 1)";
        self.execute(drop_oldest, &[&LOG_KEPT]).map(drop)
    }
}
