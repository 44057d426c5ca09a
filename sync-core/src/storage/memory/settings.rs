//! Settings and cursors, and the sync log.

use std::sync::Arc;

use super::txn::MemoryTxn;
use crate::error::Result;
use crate::storage::{LogEntry, StateReads, StateWrites, SyncLogReads, SyncLogWrites};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: usize = 1000;

impl StateReads for MemoryTxn<'_> {
    fn state(&self, key: &str) -> Result<Option<String>> {
        Ok(self.state.borrow().settings.get(key).cloned())
    }
}

impl StateWrites for MemoryTxn<'_> {
    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().settings).insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

impl SyncLogReads for MemoryTxn<'_> {
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        Ok(self.state.borrow().log.iter().take(limit).cloned().collect())
    }
}

impl SyncLogWrites for MemoryTxn<'_> {
    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let log = Arc::make_mut(&mut state.log);
        log.push_front(entry.clone());
        log.truncate(LOG_KEPT);
        Ok(())
    }
}
