//! The state of files.

use std::ops::Bound;
use std::sync::Arc;

use super::txn::MemoryTxn;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};
use crate::storage::{FileEntry, FileReads, FileState, FileWrites};

impl FileReads for MemoryTxn<'_> {
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        Ok(self.state.borrow().files.get(id).cloned())
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state.borrow();
        Ok(state
            .files
            .range::<RecordId, _>((after, Bound::Unbounded))
            .take(limit)
            .map(|(_, file)| file.clone())
            .collect())
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        let state = self.state.borrow();
        let of = |file: &&FileEntry| file.table == *table && file.record_id == *record;
        Ok(state.files.values().filter(of).cloned().collect())
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        let state = self.state.borrow();
        let count = |of| (of, state.files.values().filter(|file| file.state == of).count() as u64);
        Ok(FileState::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect())
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        let state = self.state.borrow();
        let mut due: Vec<_> = state.files.values().filter(|file| file.next_at.is_some_and(|next| next <= at)).collect();
        due.sort_by_key(|file| file.next_at);
        Ok(due.into_iter().take(limit).cloned().collect())
    }
}

impl FileWrites for MemoryTxn<'_> {
    fn put_file(&self, file: &FileEntry) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().files).insert(file.id.clone(), file.clone());
        Ok(())
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        Ok(Arc::make_mut(&mut self.state.borrow_mut().files).remove(id).is_some())
    }
}
