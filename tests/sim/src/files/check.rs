//! The promises about files: at any time, and when everything is quiet.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use sync_core::clock::{Clock as _, Timestamp};
use sync_core::files::FileStore;
use sync_core::record::RecordId;
use sync_core::site::FilesOptions;
use sync_core::storage::{FileEntry, FileState};

use super::{FilesHalf, all_in};
use crate::aim::Aim;
use crate::judge;
use crate::lock;
use crate::promises::{Held, Promise, shown};
use crate::rules::{fields, text};
use crate::run::Sim;

/// In how many rounds all files must be where they belong: one to send, one to fetch, and two for what has to be found out
/// first.
const ROUNDS: usize = 4;

/// The same over a line that breaks within a file: each round brings a part at least.
const ROUNDS_NARROW: usize = 20;

/// Longer than the longest wait of a file.
const ROUND: Duration = Duration::from_secs(25 * 60 * 60);

/// What goes beside the bytes of an upload, at most.
const BESIDE: u64 = 2000;

impl Sim {
    /// Whether an end has the reference of a file, and it is not deleted.
    pub(super) fn is_live_at(&self, end: usize, id: &str) -> bool {
        let storage = self.ends[end].process().raw;
        let data = storage.read().and_then(|txn| txn.record(&"sync_file_reference".into(), &id.into()));
        let data = data.expect("a readable record");
        data.is_some_and(|data| text(&fields(data.as_str()), "deleted_datetime").is_none())
    }

    /// Nothing that has its name is anything but whole; and what central took is there.
    pub(crate) fn check_folder(&self, half: &FilesHalf, end: usize) {
        let mut found = Vec::new();
        {
            let mut book = lock(&half.book);
            let book = &mut *book;
            for (id, file) in &book.files {
                let held = half.held(end, id);
                let is_whole = held.as_ref().is_some_and(|held| file.is_whole(held));
                let is_damaged = book.damaged.contains(&(end, id.clone()));
                if is_whole && is_damaged {
                    book.damaged.remove(&(end, id.clone()));
                }
                if let Some(held) = held.filter(|_| !is_whole && !is_damaged) {
                    found.push(format!(
                        "{} has {} bytes of {id} that are not the file",
                        self.ends[end].name,
                        held.len()
                    ));
                }
                if end == 0 && !is_whole && book.taken.contains(id) {
                    found.push(format!("central took {id}, and has it no more"));
                }
            }
        }
        for what in found {
            self.violate(Promise::FilesAreKept, what);
        }
    }

    /// Rounds in which all sites send and fetch their files; then everything is where it belongs.
    pub(crate) fn converge_files(&self, half: &FilesHalf, held: &[Held]) {
        for end in 0..self.ends.len() {
            self.check_folder(half, end);
        }
        let ids: Vec<String> = lock(&half.book).files.keys().cloned().collect();
        let holders: BTreeSet<(usize, String)> = ids
            .iter()
            .flat_map(|id| (0..self.ends.len()).map(move |end| (end, id.clone())))
            .filter(|(end, id)| half.is_whole_at(*end, id))
            .collect();
        for site in 1..self.ends.len() {
            self.look_at_files(half, site);
        }
        let is_narrow = self.aims_at(Aim::NarrowFiles);
        for round in 0..if is_narrow { ROUNDS_NARROW } else { ROUNDS } {
            self.note(|| format!("round {round} of files"));
            self.time.pass(ROUND);
            for site in 1..self.ends.len() {
                let due = self.due(site);
                let Some(report) = self.run_files(half, site, &FilesOptions::default()) else { return };
                if let Some(error) = report.error.as_ref().filter(|_| !is_narrow) {
                    let what = format!("site {site}: an error with files where nothing fails any more: {error}");
                    return self.violate(Promise::ItEnds, what);
                }
                if let Some(entry) = self.due(site).iter().find(|entry| !is_narrow && due.contains(entry)) {
                    let what = format!("site {site}: the turn of {} did not come", entry.id);
                    return self.violate(Promise::ItEnds, what);
                }
            }
        }
        for id in &ids {
            self.check_file(half, held, &holders, id);
        }
        for end in 0..self.ends.len() {
            self.check_unfinished(half, end);
            self.check_folder(half, end);
        }
    }

    fn due(&self, site: usize) -> Vec<FileEntry> {
        let storage = self.ends[site].process().raw;
        let txn = storage.read().expect("a transaction");
        txn.files_due(self.ends[site].clock.now(), 1000).expect("readable files")
    }

    /// A file that any end has and may give is at central, and at each site that has its record.
    fn check_file(&self, half: &FilesHalf, held: &[Held], holders: &BTreeSet<(usize, String)>, id: &str) {
        let (record, length) = {
            let book = lock(&half.book);
            let file = &book.files[id];
            (file.record.clone(), file.versions.iter().map(Vec::len).max().unwrap_or(0) as u64)
        };
        if !self.is_live_at(0, id) {
            return;
        }
        let content = held[0].records.get(&record);
        let may = |site: usize| {
            content.is_some_and(|content| judge::is_for(&lock(&self.ledger), held, site, &record, content))
        };
        let central_has = half.is_whole_at(0, id);
        if !central_has {
            let giver = (1..self.ends.len()).find(|site| holders.contains(&(*site, id.to_owned())) && may(*site));
            if let Some(site) = giver.filter(|_| length + BESIDE < half.swarm.upload_max) {
                let what = format!("site {site} has {id} of {}, and central does not", shown(&record));
                self.violate(Promise::FilesAreKept, what);
            }
            return;
        }
        for site in (1..self.ends.len()).filter(|site| may(*site)) {
            let has_record = held[site].records.contains_key(&record);
            if has_record && self.is_live_at(site, id) && !half.is_whole_at(site, id) {
                let bytes = half.held(site, id).map(|held| held.len());
                let what = format!("central has {id} of {}, and site {site} has {bytes:?}", shown(&record));
                self.violate(Promise::QuietMeansEqual, what);
            }
        }
    }

    /// Nothing unfinished lies about but what is gone on with.
    fn check_unfinished(&self, half: &FilesHalf, end: usize) {
        let entries = {
            let storage = self.ends[end].process().raw;
            let txn = storage.read().expect("a transaction");
            txn.files(None, 1000).expect("readable files")
        };
        let store = FileStore::new(half.folder(end));
        let goes_on = |path: &Path| {
            let is_open = |entry: &&FileEntry| matches!(entry.state, FileState::Waiting | FileState::Failed);
            entries.iter().filter(is_open).any(|entry| part_of(&store, &entry.id) == path)
        };
        let brought_at = lock(&half.book).brought_at;
        let may_lie = |path: &Path| end == 0 && !brought_at.is_some_and(|at| is_long_before(path, at));
        for path in all_in(&half.folder(end).join("unfinished")) {
            if !goes_on(&path) && !may_lie(&path) {
                let what =
                    format!("at {}, {} is left", self.ends[end].name, path.extension().unwrap_or_default().display());
                self.violate(Promise::FilesAreKept, what);
            }
        }
    }
}

/// Whether a file was written so long before that it had to be swept: a day, and one more since the sweep before.
fn is_long_before(path: &Path, at: Timestamp) -> bool {
    let written = path.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    let written = written.duration_since(UNIX_EPOCH).expect("a time of today").as_millis();
    i64::try_from(written).is_ok_and(|written| written + 2 * 24 * 60 * 60 * 1000 < at.unix_millis())
}

/// Where the part of a file lies: under the name of the file, among what is unfinished.
fn part_of(store: &FileStore, id: &RecordId) -> std::path::PathBuf {
    let name = store.path(id).file_name().unwrap_or_default().to_string_lossy().into_owned();
    store.folder().join("unfinished").join(format!("{name}.part"))
}
