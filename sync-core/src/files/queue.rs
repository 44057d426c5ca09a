//! Which file is tried when. What is known of files follows the changelog: each reference that was written here or came
//! is taken note of once, in the order of the changelog, whoever wrote it.

use std::collections::HashSet;
use std::time::Duration;

use super::{Fetch, Files};
use crate::changelog::{Change, ChangeAction};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ownership::Role;
use crate::record::file_reference::{Reference, TABLE};
use crate::record::{RecordId, TableName};
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, Selection, WriteTxn, state};

/// How many rows of the changelog are taken note of in one transaction.
const ROWS: usize = 1000;

/// How much of the queue is looked at for what waits for a time that a wrong clock gave. The rest has its turn when that has
/// had its own.
const LOOKED_AT: usize = 10_000;

/// When a file that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Soon, and with each failure in a row later.
    Soon,
    /// Soon, and not counted: a part of it came.
    GotOn,
    /// Not for a long time: trying alone does not help.
    Refused,
}

impl Files {
    /// Takes note of references that are new or have changed.
    pub(crate) fn take_note(&self) -> Result<()> {
        loop {
            {
                let txn = self.storage.read()?;
                if state::FILES_CURSOR.get(txn.as_ref())? > txn.last_cursor()? || role(txn.as_ref())?.is_none() {
                    return Ok(());
                }
            }
            let txn = self.storage.write()?;
            let from = state::FILES_CURSOR.get(txn.as_ref())?;
            let rows = txn.changes(&Selection::All, from, ROWS)?;
            for row in &rows {
                self.follow(txn.as_ref(), row)?;
            }
            let next = match rows.last() {
                Some(last) if rows.len() == ROWS => last.cursor.next(),
                _ => txn.last_cursor()?.next(),
            };
            state::FILES_CURSOR.set(txn.as_ref(), next)?;
            txn.commit()?;
        }
    }

    fn follow(&self, txn: &dyn WriteTxn, row: &Change) -> Result<()> {
        let change = &row.change;
        if change.table == *TABLE {
            let data = txn.record(&change.table, &change.id)?;
            let reference = data.as_ref().and_then(Reference::read);
            return self.note(txn, &change.id, reference.as_ref());
        }
        if change.action == ChangeAction::Upsert && self.config.fetch == Fetch::OfRecordsHere {
            for entry in txn.files_of(&change.table, &change.id)? {
                if entry.state == FileState::Elsewhere {
                    txn.put_file(&self.queued(entry))?;
                }
            }
        }
        Ok(())
    }

    /// What a reference changes in what is known of its file. Nothing that comes from elsewhere takes an upload out of the
    /// queue or undoes what was done (weak point A14), but the deletion of the reference.
    fn note(&self, txn: &dyn WriteTxn, id: &RecordId, reference: Option<&Reference>) -> Result<()> {
        let known = txn.file(id)?;
        let now = self.clock.now();
        let is_live = |reference: &&Reference| !reference.is_deleted;
        let (Some(reference), known) = (reference.filter(is_live), known) else {
            if let Some(entry) = txn.file(id)?.filter(|entry| entry.state != FileState::Gone) {
                // What was done central has: the bytes here are a copy.
                let direction = if entry.state == FileState::Done { FileDirection::Download } else { entry.direction };
                let gone = FileEntry { state: FileState::Gone, direction, next_at: None, reason: None, ..entry };
                txn.put_file(&FileEntry { changed_at: now, ..gone })?;
            }
            return Ok(());
        };
        let entry = match known {
            Some(entry) if entry.state == FileState::Gone => self.queued(entry),
            Some(entry) if entry.direction == FileDirection::Upload || entry.state == FileState::Done => return Ok(()),
            // Central may have written the reference again because the bytes have come.
            Some(entry) if entry.state == FileState::Failed => self.queued(entry),
            Some(entry) => entry,
            None => self.queued(FileEntry {
                id: id.clone(),
                table: reference.table.clone(),
                record_id: reference.record_id.clone(),
                direction: FileDirection::Download,
                state: FileState::Waiting,
                bytes: None,
                sha256: None,
                etag: None,
                attempts: 0,
                next_at: None,
                reason: None,
                changed_at: now,
            }),
        };
        let at_central = role(txn)? == Some(Role::Central);
        let came_here = at_central && self.store.length(id)?.is_some();
        let (said, noted) = ((reference.bytes, reference.sha256.clone()), (entry.bytes, entry.sha256.clone()));
        // What is known of bytes that came counts, whatever their reference says since.
        let (first, then) = if came_here { (noted, said) } else { (said, noted) };
        let mut entry = FileEntry {
            table: reference.table.clone(),
            record_id: reference.record_id.clone(),
            bytes: first.0.or(then.0),
            sha256: first.1.or(then.1),
            ..entry
        };
        if at_central {
            // Sites bring it when they will.
            entry.next_at = None;
            if came_here {
                entry.state = FileState::Done;
            }
        } else if entry.state == FileState::Waiting && !self.is_wanted(txn, reference)? {
            entry = FileEntry { state: FileState::Elsewhere, next_at: None, ..entry };
        }
        txn.put_file(&entry)
    }

    fn is_wanted(&self, txn: &dyn WriteTxn, reference: &Reference) -> Result<bool> {
        match self.config.fetch {
            Fetch::Everything => Ok(true),
            Fetch::Nothing => Ok(false),
            Fetch::OfRecordsHere => txn.has_record(&reference.table, &reference.record_id),
        }
    }

    fn queued(&self, entry: FileEntry) -> FileEntry {
        let now = self.clock.now();
        FileEntry { state: FileState::Waiting, next_at: Some(now), attempts: 0, reason: None, changed_at: now, ..entry }
    }

    /// Puts a file at its turn now: one that nobody fetched because its record is elsewhere, or one that failed.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such reference here, or it was deleted; the database failed.
    pub fn fetch(&self, id: &RecordId) -> Result<()> {
        self.take_note()?;
        let txn = self.storage.write()?;
        let known = txn.file(id)?.filter(|entry| entry.state != FileState::Gone);
        let entry = known.ok_or_else(|| Error::NotFound { what: "file".to_owned(), id: id.to_string() })?;
        if entry.state != FileState::Done {
            txn.put_file(&self.queued(entry))?;
            txn.commit()?;
        }
        Ok(())
    }

    /// Lets no file wait longer than any wait is: what waits for a later time than that was noted by a clock that was ahead.
    pub(crate) fn mend_waits(&self) -> Result<()> {
        let now = self.clock.now();
        let latest = later(now, self.config.retry_wait_max.max(self.config.refused_wait));
        let is_far = |entry: &FileEntry| entry.next_at.is_some_and(|at| at > latest);
        let queue = self.storage.read()?.files_due(Timestamp::from_unix_millis(i64::MAX), LOOKED_AT)?;
        if !queue.iter().any(is_far) {
            return Ok(());
        }
        let txn = self.storage.write()?;
        for id in queue.into_iter().filter(is_far).map(|entry| entry.id) {
            if let Some(entry) = txn.file(&id)?.filter(is_far) {
                txn.put_file(&FileEntry { next_at: Some(now), ..entry })?;
            }
        }
        txn.commit()
    }

    /// Once central was restored, whether it has what was sent to it or came from it is not known: each such file has its
    /// turn again, in which central is asked. What it lost goes there from whoever has it.
    pub(crate) fn ask_again(&self) -> Result<()> {
        if !state::FILES_ASK_AGAIN.get(self.storage.read()?.as_ref())? {
            return Ok(());
        }
        let mut after = None;
        loop {
            let txn = self.storage.write()?;
            let page = txn.files(after.as_ref(), ROWS)?;
            after = page.last().map(|entry| entry.id.clone());
            let is_last = page.len() < ROWS;
            for entry in page.into_iter().filter(|entry| entry.state == FileState::Done) {
                txn.put_file(&FileEntry { direction: FileDirection::Download, ..self.queued(entry) })?;
            }
            if is_last {
                state::FILES_ASK_AGAIN.set(txn.as_ref(), false)?;
            }
            txn.commit()?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next file that is due, and has been due the longest, of those that were not tried.
    pub(crate) fn next_due(&self, tried: &HashSet<RecordId>) -> Result<Option<FileEntry>> {
        // Those that were tried are hardly due again already.
        let due = self.storage.read()?.files_due(self.clock.now(), tried.len() + 1)?;
        Ok(due.into_iter().find(|entry| !tried.contains(&entry.id)))
    }

    /// Changes what is known of a file, in a transaction of its own, unless its reference is gone meanwhile; says whether
    /// it is still there.
    pub(crate) fn change(&self, id: &RecordId, change: impl FnOnce(&mut FileEntry)) -> Result<bool> {
        self.take_note()?;
        let txn = self.storage.write()?;
        let Some(mut entry) = txn.file(id)?.filter(|entry| entry.state != FileState::Gone) else { return Ok(false) };
        change(&mut entry);
        entry.changed_at = self.clock.now();
        txn.put_file(&entry)?;
        txn.commit()?;
        Ok(true)
    }

    /// Notes that a file failed; gives the wait before it is tried again.
    pub(crate) fn fail(&self, id: &RecordId, reason: String, retry: Retry) -> Result<()> {
        let now = self.clock.now();
        self.change(id, |entry| {
            entry.state = FileState::Failed;
            entry.attempts = if retry == Retry::GotOn { 1 } else { entry.attempts.saturating_add(1) };
            entry.next_at = Some(later(now, self.wait(entry.attempts, retry)));
            entry.reason = Some(reason);
        })?;
        Ok(())
    }

    fn wait(&self, attempts: u32, retry: Retry) -> Duration {
        let config = &self.config;
        match retry {
            Retry::Refused => config.refused_wait,
            // Saturates: the number of failures has no end (weak point B2).
            Retry::Soon | Retry::GotOn => config
                .retry_wait
                .saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)))
                .min(config.retry_wait_max),
        }
    }
}

/// A moment so much later.
pub(crate) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_add(millis))
}

/// The records that references are.
pub(crate) fn table() -> TableName {
    TableName::from(TABLE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::storage::MemoryStorage;

    /// Weak point B2: with each failure the wait doubles, up to a limit, however many there were.
    #[test]
    fn waits_grow_and_never_overflow() {
        let files = Files::new(Arc::new(MemoryStorage::new()), Arc::new(SystemClock::new()), "unused");
        let minutes = |attempts| files.wait(attempts, Retry::Soon).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(minutes), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!([60, 61, 168, u32::MAX].map(minutes), [60; 4]);
        assert_eq!(files.wait(1, Retry::Refused), files.wait(9, Retry::Refused));
        assert!(later(Timestamp::from_unix_millis(i64::MAX - 1), Duration::MAX) > Timestamp::from_unix_millis(0));
    }
}
