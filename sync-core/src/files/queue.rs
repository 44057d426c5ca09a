//! The queue of files. It follows the changelog: each new or changed reference is added once, in the order of the
//! changelog, by any writer.

use std::collections::HashSet;
use std::time::Duration;

use super::{Fetch, Files};
use crate::changelog::{Audience, Change, ChangeAction};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::file_reference::{Reference, TABLE};
use crate::record::{RecordId, TableName};
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, Selection, WriteTxn, state};
use crate::text::sentences::input;

/// The number of changelog rows in one transaction.
const ROWS: usize = 1000;

/// How much of the queue is searched for times that a wrong clock gave. The rest is searched later.
const LOOKED_AT: usize = 10_000;

/// The next try of a file that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Soon, and later with each failure in a row.
    Soon,
    /// Soon, and not counted as a failure, because a part of it came.
    GotOn,
    /// Much later: trying alone does not help.
    Refused,
}

impl Files {
    /// Adds new and changed references to the queue.
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
        if change.audience == Audience::LocalOnly {
            return Ok(());
        }
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

    /// The effect of a reference on the file's entry. A received reference neither removes an upload from the queue nor
    /// undoes finished work (weak point A14), except by its deletion.
    fn note(&self, txn: &dyn WriteTxn, id: &RecordId, reference: Option<&Reference>) -> Result<()> {
        let known = txn.file(id)?;
        let now = self.clock.now();
        let is_live = |reference: &&Reference| !reference.is_deleted;
        let (Some(reference), known) = (reference.filter(is_live), known) else {
            if let Some(entry) = txn.file(id)?.filter(|entry| entry.state != FileState::Gone) {
                // Central has a finished file: the bytes here are a copy.
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
        // The stored facts about received bytes count, even if the reference changes.
        let (first, then) = if came_here { (noted, said) } else { (said, noted) };
        let mut entry = FileEntry {
            table: reference.table.clone(),
            record_id: reference.record_id.clone(),
            bytes: first.0.or(then.0),
            sha256: first.1.or(then.1),
            ..entry
        };
        if at_central {
            // Sites send it when they can.
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

    /// Makes a file due now: one that was not fetched because its record is elsewhere, or one that failed.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such reference here, or it was deleted; the database failed.
    pub fn fetch(&self, id: &RecordId) -> Result<()> {
        self.take_note()?;
        let txn = self.storage.write()?;
        let known = txn.file(id)?.filter(|entry| entry.state != FileState::Gone);
        let entry = known.ok_or_else(|| Error::not_found("file", id.as_str()))?;
        if entry.state != FileState::Done {
            txn.put_file(&self.queued(entry))?;
            txn.commit()?;
        }
        Ok(())
    }

    /// Sends a file again with the next run, because central has lost or damaged it. Where central has it, nothing changes:
    /// whole bytes are never replaced there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such reference here, or it was deleted; [`Error::BadInput`] if the bytes are not here;
    /// [`Error::WrongRole`] on a central server; the database or the disk failed.
    pub fn resend(&self, id: &RecordId) -> Result<()> {
        self.take_note()?;
        let is_here = self.store.length(id)?.is_some();
        let txn = self.storage.write()?;
        check_sends(txn.as_ref())?;
        let known = txn.file(id)?.filter(|entry| entry.state != FileState::Gone);
        let entry = known.ok_or_else(|| Error::not_found("file", id.as_str()))?;
        if !is_here {
            return Err(Error::bad_input(input::bytes_not_here(id.as_str())));
        }
        txn.put_file(&FileEntry { direction: FileDirection::Upload, ..self.queued(entry) })?;
        txn.commit()
    }

    /// Asks central for each file that is here with the next run, and sends those that central lacks.
    ///
    /// # Errors
    /// [`Error::WrongRole`] on a central server; the database failed.
    pub fn resend_lost(&self) -> Result<()> {
        let txn = self.storage.write()?;
        check_sends(txn.as_ref())?;
        state::FILES_ASK_AGAIN.set(txn.as_ref(), true)?;
        txn.commit()
    }

    /// Limits the wait of each file to the longest wait: a later time was stored by a clock that was ahead.
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

    /// After central was restored, it may lack files that were sent to it or came from it: each such file is due again,
    /// and central is asked. Its lost files are sent again by a site that has them.
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

    /// The next due file, due the longest, among those that were not tried.
    pub(crate) fn next_due(&self, tried: &HashSet<RecordId>) -> Result<Option<FileEntry>> {
        // Those that were tried are hardly due again already.
        let due = self.storage.read()?.files_due(self.clock.now(), tried.len() + 1)?;
        Ok(due.into_iter().find(|entry| !tried.contains(&entry.id)))
    }

    /// Changes a file's entry, in its own transaction, unless its reference is gone meanwhile; returns whether it
    /// exists.
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

    /// Records that a file failed; returns the wait before the next try.
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

/// Only a remote site sends files.
fn check_sends(txn: &dyn WriteTxn) -> Result<()> {
    match role(txn)? {
        Some(Role::Central) => Err(Error::WrongRole { needed: "remote site", found: "central server" }),
        _ => Ok(()),
    }
}

/// A moment so much later.
pub(crate) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_add(millis))
}

/// The records of the references.
pub(crate) fn table() -> TableName {
    TableName::from(TABLE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::storage::MemoryStorage;

    /// Weak point B2: the wait doubles with each failure, up to a limit, for any number of failures.
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
