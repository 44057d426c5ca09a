//! The files that a central server had and has no more: an alarm, because no site can fetch them.
//!
//! Nothing looks for them by itself, which would be a look at each of perhaps a million files. They are noted where somebody
//! meets one: a site that fetches it, and [`Files::verify`](super::Files::verify).

use crate::error::Result;
use crate::record::RecordId;
use crate::storage::state::{FILES_LOST, JsonList};
use crate::storage::{FileDirection, FileEntry, FileState, Storage};

/// The most files that are noted.
const NOTED_MAX: usize = 1000;

/// True for a file whose bytes must be here: it was attached here, or was here once.
pub(super) fn must_be_here(entry: &FileEntry) -> bool {
    entry.state != FileState::Gone && (entry.direction == FileDirection::Upload || entry.state == FileState::Done)
}

/// Notes whether the bytes of a file are here. Those that never were are no loss.
#[cfg(feature = "central")]
pub(crate) fn note(storage: &dyn Storage, id: &RecordId, is_here: bool) -> Result<()> {
    let is_news = {
        let txn = storage.read()?;
        let is_noted = FILES_LOST.get(txn.as_ref())?.0.contains(id);
        is_noted == is_here && (is_here || txn.file(id)?.is_some_and(|entry| must_be_here(&entry)))
    };
    match is_news {
        true if is_here => change(storage, |noted| noted.retain(|other| other != id)),
        true => change(storage, |noted| noted.push(id.clone())),
        false => Ok(()),
    }
}

/// Notes what a look at all files found.
pub(super) fn note_all(storage: &dyn Storage, lost: Vec<RecordId>) -> Result<()> {
    let is_same = FILES_LOST.get(storage.read()?.as_ref())?.0 == lost;
    if is_same { Ok(()) } else { change(storage, |noted| *noted = lost) }
}

fn change(storage: &dyn Storage, change: impl FnOnce(&mut Vec<RecordId>)) -> Result<()> {
    let txn = storage.write()?;
    let mut noted = FILES_LOST.get(txn.as_ref())?.0;
    change(&mut noted);
    noted.truncate(NOTED_MAX);
    FILES_LOST.set(txn.as_ref(), JsonList(noted))?;
    txn.commit()
}
