//! Verifies the folder, and removes files that nothing needs.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::Files;
use super::lost;
use super::queue::{later, table};
use super::store::{hash_file, remove};
use crate::error::Result;
use crate::record::RecordId;
use crate::record::file_name::disk_name;
use crate::record::file_reference::Reference;
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, state};

/// The age from which bytes without a reference are swept, because their writer may still be at work.
pub(crate) const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Entries that are read at once.
const PAGE: usize = 500;

/// A fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
#[non_exhaustive]
pub enum FileFault {
    /// Its bytes are missing.
    Missing {
        /// The file.
        id: RecordId,
    },
    /// Its bytes have changed.
    Changed {
        /// The file.
        id: RecordId,
        /// The change.
        reason: String,
    },
    /// Bytes without a reference.
    Surplus {
        /// Their path.
        path: std::path::PathBuf,
    },
}

/// The result of verifying all files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Sound files.
    pub sound: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// The faults.
    pub findings: Vec<FileFault>,
}

impl Files {
    /// Reads all files and compares them with their entries. A missing or changed file that central has is fetched
    /// again at its next try; a central server notes it, as an alarm. `watch` is called from time to time, and may stop it with an error.
    ///
    /// # Errors
    /// The folder or the database failed.
    pub fn verify(&self, mut watch: impl FnMut() -> Result<()>) -> Result<Verified> {
        self.take_note()?;
        let mut verified = Verified::default();
        let (mut known, mut lost) = (HashSet::new(), Vec::new());
        self.each(|entry| {
            known.insert(disk_name(&entry.id));
            if entry.state == FileState::Gone {
                return Ok(());
            }
            let must_be = lost::must_be_here(&entry);
            let finding = match hash_file(&self.store.path(&entry.id), |_| watch())? {
                None if must_be => Some(FileFault::Missing { id: entry.id.clone() }),
                None => None,
                Some((bytes, sha256)) => {
                    verified.bytes += bytes;
                    let fault = self.fault(&entry, bytes, &sha256)?;
                    verified.sound += u64::from(fault.is_none());
                    fault.map(|reason| FileFault::Changed { id: entry.id.clone(), reason })
                }
            };
            if let Some(finding) = finding {
                lost.push(entry.id.clone());
                self.fetch_again(&entry)?;
                verified.findings.push(finding);
            }
            Ok(())
        })?;
        if role(self.storage.read()?.as_ref())? == Some(Role::Central) {
            lost::note_all(self.storage.as_ref(), lost)?;
        }
        let (whole, _) = self.store.all()?;
        let surplus = whole.into_iter().filter(|found| !known.contains(&found.name));
        verified.findings.extend(surplus.map(|found| FileFault::Surplus { path: found.path }));
        Ok(verified)
    }

    fn fault(&self, entry: &FileEntry, bytes: u64, sha256: &str) -> Result<Option<String>> {
        if let Some(noted) = &entry.sha256 {
            let differs = noted != sha256;
            return Ok(differs.then(|| format!("its hash is not the one that was noted; it has {bytes} bytes")));
        }
        let reference = self.storage.read()?.record(&table(), &entry.id)?;
        Ok(reference.as_ref().and_then(Reference::read).and_then(|reference| reference.fault_of(bytes, sha256)))
    }

    /// Central has a copy of a sent or fetched file.
    fn fetch_again(&self, entry: &FileEntry) -> Result<()> {
        let is_remote = role(self.storage.read()?.as_ref())? == Some(Role::Remote);
        if entry.state != FileState::Done || !is_remote {
            return Ok(());
        }
        let now = self.clock.now();
        self.change(&entry.id, |entry| {
            entry.direction = FileDirection::Download;
            entry.state = FileState::Waiting;
            entry.next_at = Some(now);
        })?;
        Ok(())
    }

    /// Removes files a day after they became useless: bytes without a reference, abandoned parts, and on a site the
    /// bytes of deleted references that central has. Returns the number of removed files. Runs once a day, or
    /// `at_once`.
    pub(crate) fn sweep(&self, at_once: bool) -> Result<u64> {
        let now = self.clock.now();
        {
            let txn = self.storage.read()?;
            let last = state::FILES_SWEPT_AT.find(txn.as_ref())?;
            if !at_once && last.is_some_and(|last| now < later(last, ORPHAN_AGE) && last <= now) {
                return Ok(0);
            }
        }
        self.take_note()?;
        let (mut needed, mut fetched) = (HashSet::new(), HashSet::new());
        let is_remote = role(self.storage.read()?.as_ref())? == Some(Role::Remote);
        self.each(|entry| {
            let is_copy = is_remote && entry.direction == FileDirection::Download;
            if entry.state != FileState::Gone || !is_copy || now < later(entry.changed_at, ORPHAN_AGE) {
                needed.insert(disk_name(&entry.id));
            }
            if matches!(entry.state, FileState::Waiting | FileState::Running | FileState::Failed) {
                fetched.insert(format!("{}.part", disk_name(&entry.id)));
            }
            Ok(())
        })?;
        let (whole, unfinished) = self.store.all()?;
        let whole = whole.into_iter().filter(|found| !needed.contains(&found.name));
        let unfinished = unfinished.into_iter().filter(|found| !fetched.contains(&found.name));
        let mut removed = 0;
        for found in whole.chain(unfinished).filter(|found| later(found.written_by(now), ORPHAN_AGE) < now) {
            remove(&found.path)?;
            removed += 1;
        }
        let txn = self.storage.write()?;
        state::FILES_SWEPT_AT.set(txn.as_ref(), now)?;
        txn.commit()?;
        Ok(removed)
    }

    fn each(&self, mut look: impl FnMut(FileEntry) -> Result<()>) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.storage.read()?.files(after.as_ref(), PAGE)?;
            after = page.last().map(|entry| entry.id.clone());
            let is_last = page.len() < PAGE;
            page.into_iter().try_for_each(&mut look)?;
            if is_last {
                return Ok(());
            }
        }
    }
}
