//! Backups that are taken and put back: of a site, or of central.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use sync_core::storage::MemoryBackup;
use sync_testkit::TestDatabase;

use crate::disk::Disk;
use crate::ledger::Key;
use crate::promises::{From, Held};
use crate::run::{Chance, Sim};
use crate::swarm::Fault;
use crate::{lock, world};

/// A backup of an end, and how many versions there were when it was taken.
pub(crate) struct Backup {
    copy: Copy,
    versions: usize,
    /// The same in the book of the legacy half.
    documents: usize,
    /// The folder with files, as it was.
    files: Option<PathBuf>,
}

enum Copy {
    Memory(MemoryBackup),
    File(PathBuf),
    Server(TestDatabase),
    Lent,
}

impl Sim {
    /// Now and then a backup is taken, or put back.
    pub(crate) fn backups(&self) {
        let sites = self.swarm.has(Fault::SiteRestored);
        let central = self.swarm.has(Fault::CentralRestored);
        if (sites || central) && self.happens(Chance::Events, 80) {
            let end = self.roll(Chance::Events, self.ends.len());
            if if end == 0 { central } else { sites } {
                self.take_backup(end);
            }
        }
        if self.strikes(Fault::SiteRestored) {
            self.restore(1 + self.roll(Chance::Events, self.ends.len() - 1));
        }
        if self.strikes(Fault::CentralRestored) {
            self.restore(0);
        }
    }

    /// The same in the midst of anything, where that is possible.
    pub(crate) fn take_backup_in_memory(&self, index: usize) {
        if matches!(self.ends[index].disk, Disk::Memory(_)) {
            self.take_backup(index);
        }
    }

    fn take_backup(&self, index: usize) {
        let end = &self.ends[index];
        if end.is_down() {
            return;
        }
        let copy = match &end.disk {
            Disk::Memory(storage) => Copy::Memory(lock(storage).backup()),
            Disk::File(path) => {
                let copy = path.with_extension(format!("backup-{}", lock(&self.ledger).versions.len()));
                self.while_closed(index, || copy_database(path, &copy));
                Copy::File(copy)
            }
            Disk::Server(database, _) => {
                let mut copy = None;
                self.while_closed(index, || copy = Some(database.copy()));
                Copy::Server(copy.expect("it was made"))
            }
        };
        let versions = lock(&self.ledger).versions.len();
        let documents = self.legacy.as_ref().map_or(0, |legacy| lock(&legacy.book).versions.versions.len());
        self.note(|| format!("a backup of {} is taken", end.name));
        let files = self.files.as_ref().map(|half| half.back_up(index, lock(&self.state).backups[index].len()));
        lock(&self.state).backups[index].push(Backup { copy, versions, documents, files });
    }

    /// Puts one of an end's backups back, and starts it anew; once in a run. What is left after several restores, of one
    /// end or of both, is not judged: nobody could say of each edit where it should be.
    fn restore(&self, index: usize) {
        let end = &self.ends[index];
        let taken = lock(&self.state).backups[index].len();
        if taken == 0 || !self.may_restore() {
            return;
        }
        let chosen = self.roll(Chance::Events, taken);
        let before = world::held(self);
        let (versions, documents) = {
            let mut state = lock(&self.state);
            // Later ones are of a future that did not come.
            state.backups[index].truncate(chosen + 1);
            let backup = &state.backups[index][chosen];
            (backup.versions, backup.documents)
        };
        self.note(|| format!("{} is restored from its backup {chosen}", end.name));
        // Lent to this restore, since the state cannot be held while the end is closed.
        let copy = std::mem::replace(&mut lock(&self.state).backups[index][chosen].copy, Copy::Lent);
        match (&end.disk, &copy) {
            (Disk::Memory(storage), Copy::Memory(copy)) => lock(storage).restore(copy),
            (Disk::File(path), Copy::File(copy)) => self.while_closed(index, || copy_database(copy, path)),
            (Disk::Server(database, _), Copy::Server(copy)) => {
                self.while_closed(index, || database.replace_with(copy));
            }
            _ => {}
        }
        lock(&self.state).backups[index][chosen].copy = copy;
        if let Some(half) = &self.files {
            let copy = lock(&self.state).backups[index][chosen].files.clone();
            self.restore_files(half, index, copy.as_deref());
        }
        end.is_down.store(true, Relaxed);
        self.restart(index);
        self.forget_what_was_given();
        if index == 0 {
            self.central_went_back();
        } else {
            self.site_went_back(index, versions, &before);
        }
        if let Some(legacy) = &self.legacy {
            self.documents_went_back(legacy, index, documents);
        }
    }

    /// Whether an end may be restored: once in a run, unless the world is so harsh that it happens again and again.
    pub(crate) fn may_restore(&self) -> bool {
        lock(&self.ledger).restored.is_empty() || self.harsh.as_ref().is_some_and(|harsh| harsh.swarm.several_restores)
    }

    /// Closes the database of an end, lets something be done to it, and opens it again.
    fn while_closed(&self, index: usize, work: impl FnOnce()) {
        let end = &self.ends[index];
        if index == 0 {
            lock(&self.state).central = None;
        }
        let other = Disk::Memory(std::sync::Mutex::default());
        *lock(&end.process) = other.open(index, &self.me);
        work();
        *lock(&end.process) = end.disk.open(index, &self.me);
        if index == 0 {
            self.restart(0);
        }
    }

    /// What a site wrote since its backup, and nobody holds, is void.
    pub(crate) fn site_went_back(&self, site: usize, versions: usize, before: &[Held]) {
        let held = world::held(self);
        let mut ledger = lock(&self.ledger);
        for number in versions..ledger.versions.len() {
            let version = &ledger.versions[number];
            if version.by != site {
                continue;
            }
            let (key, content) = (&version.key, &version.content);
            let by_an_end = match content {
                // Other sites may hold it, but only its writer would send it again.
                Some(content) => {
                    let at_central = held[0].records.get(key);
                    at_central.is_some_and(|held| ledger.is_same(&key.0, Some(held), Some(content)))
                }
                // A deletion that an end took: it held the record, and does not now.
                None => !held[0].records.contains_key(key) && before[0].records.contains_key(key),
            };
            let in_buffer = held[0]
                .aside
                .iter()
                .chain(&held[0].staged)
                .filter(|aside| aside.from == From::Site(site) && aside.key == *key)
                .any(|aside| ledger.is_same(&key.0, aside.content.as_deref(), content.as_deref()));
            // One that is still under way may come or not.
            if !by_an_end && !in_buffer {
                ledger.versions[number].is_void = true;
            }
        }
        ledger.was_restored(site);
        // If its backup is from before a restore of central, that restore is news to it once more.
        let learns_again = u32::from(ledger.restored.contains(&0));
        drop(ledger);
        let [pull, legacy] = &mut lock(&self.state).may_fall[site];
        (*pull, *legacy) = (*pull + 1 + learns_again, *legacy + learns_again);
    }

    /// Of each record counts what its writers hold, and what central holds again; all else is void. What a restored site
    /// read back is central's word, and no longer the site's: if central is restored too, it may be gone. So is what central
    /// had set aside, and gave back to its writer later.
    fn central_went_back(&self) {
        let held = world::held(self);
        let central = &held[0];
        let mut ledger = lock(&self.ledger);
        let keys: Vec<Key> = ledger.records().cloned().collect();
        for key in keys {
            let here = central.records.get(&key).and_then(|content| ledger.version(&key, content));
            let mut counts: BTreeSet<usize> = here.into_iter().collect();
            let mut last: BTreeMap<usize, usize> = BTreeMap::new();
            for (number, version) in ledger.of(&key) {
                let (by, content) = (version.by, version.content.as_ref());
                last.insert(by, number);
                let is_it = |other: Option<&String>| {
                    ledger.is_same(&key.0, other.map(String::as_str), content.map(String::as_str))
                };
                let in_buffer = central
                    .aside
                    .iter()
                    .chain(&central.staged)
                    .any(|aside| aside.from == From::Site(by) && aside.key == key && is_it(aside.content.as_ref()));
                // What somebody wrote on top of, and central gave back when it was restored before, is central's word.
                let came_back = ledger.on_top_of(number).any(|(_, later)| later.by != by);
                let came_back = came_back || ledger.came_back_from_central(number);
                let is_own = by > 0 && by < held.len() && !ledger.is_from_before_a_restore(number) && !came_back;
                let at_its_writer = is_own && content.is_some() && is_it(held[by].records.get(&key));
                if in_buffer || at_its_writer {
                    counts.insert(number);
                }
            }
            for (by, number) in last {
                let is_deletion = ledger.versions[number].content.is_none();
                if is_deletion
                    && !ledger.is_from_before_a_restore(number)
                    && by > 0
                    && by < held.len()
                    && !held[by].records.contains_key(&key)
                {
                    counts.insert(number);
                }
            }
            ledger.only_these_count(&key, &counts, here);
        }
        ledger.was_restored(0);
        for (key, content) in &central.records {
            // Where there is a legacy server, it says where stores are.
            if key.0 == "store" && self.legacy.is_none() {
                let number = crate::rules::fields(content)["sync_id_remote_site"].as_i64().unwrap_or(1);
                let site = usize::try_from(number - 1).unwrap_or(0);
                if ledger.site_of(&key.1) != Some(site) {
                    ledger.store_is_on(&key.1, site);
                }
            }
        }
        drop(ledger);
        lock(&self.state).may_fall.iter_mut().for_each(|[pull, legacy]| (*pull, *legacy) = (*pull + 1, *legacy + 3));
    }
}

/// Copies a database that nobody has open, without what stands beside it.
fn copy_database(from: &Path, to: &Path) {
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{beside}", to.display()));
    }
    std::fs::copy(from, to).expect("a copy");
}
