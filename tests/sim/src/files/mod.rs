//! Worlds with files: hosts attach them to assets, sites send and fetch them through the real queue over the simulator's
//! line, and each end has a folder of its own.

mod book;
mod check;
mod hosts;
mod line;
mod swarm;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sync_core::central::{Central, CentralConfig};
use sync_core::clock::Clock as _;
use sync_core::files::{FILE_BYTES_MAX, FileStore, Files, FilesConfig};
use sync_core::site::{FilesOptions, FilesReport};
use sync_core::storage::state;
use sync_core::{Error, Replica, SyncEvent};

pub use book::{BookedFile, FileBook};
pub(crate) use line::is_of_a_file;
pub use swarm::FilesSwarm;

use crate::disk::Process;
use crate::lock;
use crate::promises::Promise;
use crate::run::{Chance, Sim};
use crate::swarm::Fault;
use crate::world;

/// The files of a world.
pub(crate) struct FilesHalf {
    pub swarm: FilesSwarm,
    pub book: Mutex<FileBook>,
    folder: tempfile::TempDir,
    /// Whether central compares and names what came: it does that one by one, and there is one thread only.
    pub keeping: AtomicBool,
    /// At what virtual time each file was written.
    stamped: Mutex<(BTreeMap<PathBuf, SystemTime>, u64)>,
}

impl FilesHalf {
    pub(crate) fn new(swarm: FilesSwarm) -> Self {
        let (book, keeping, stamped) = Default::default();
        Self { swarm, book, folder: world::folder(), keeping, stamped }
    }

    /// The folder of an end.
    pub(crate) fn folder(&self, end: usize) -> PathBuf {
        self.folder.path().join(end.to_string())
    }

    /// What an end has of a file under its own name, if it has any.
    pub(crate) fn held(&self, end: usize, id: &str) -> Option<Vec<u8>> {
        fs::read(FileStore::new(self.folder(end)).path(&id.into())).ok()
    }

    /// The name of a file on the disk.
    pub(crate) fn name_of(&self, id: &str) -> String {
        let path = FileStore::new(self.folder(0)).path(&id.into());
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether an end has a file whole.
    pub(crate) fn is_whole_at(&self, end: usize, id: &str) -> bool {
        let book = lock(&self.book);
        book.files.get(id).is_some_and(|file| self.held(end, id).is_some_and(|held| file.is_whole(&held)))
    }

    /// Lets files of an end have been written now, as virtual time goes, and not when this machine wrote them.
    pub(crate) fn stamp(&self, sim: &Sim, end: usize) {
        let (stamped, count) = &mut *lock(&self.stamped);
        for path in all_in(&self.folder(end)) {
            let Ok(file) = fs::OpenOptions::new().write(true).open(&path) else { continue };
            let written = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
            if stamped.get(&path) == Some(&written) {
                continue;
            }
            // No two are written at the same time, as on a disk whose clock is fine enough.
            *count += 1;
            let now = u64::try_from(sim.ends[end].clock.now().unix_millis()).unwrap_or(0);
            let at = UNIX_EPOCH + Duration::from_millis(now) + Duration::from_nanos(*count % 1_000_000);
            file.set_modified(at).expect("a time that can be set");
            stamped.insert(path, at);
        }
    }
}

impl FilesHalf {
    /// Copies the folder of an end, as somebody does who keeps backups.
    pub(crate) fn back_up(&self, end: usize, number: usize) -> PathBuf {
        let copy = self.folder.path().join(format!("{end}-backup-{number}"));
        copy_folder(&self.folder(end), &copy);
        copy
    }
}

impl Sim {
    /// After the database of an end was restored: its folder with it, or not. What central no longer has it need not have.
    pub(crate) fn restore_files(&self, half: &FilesHalf, end: usize, copy: Option<&Path>) {
        let Some(copy) = copy.filter(|_| self.happens(Chance::Files, half.swarm.folder_restored)) else { return };
        self.note(|| format!("the folder of {} too", self.ends[end].name));
        copy_folder(copy, &half.folder(end));
        half.stamp(self, end);
        let ids: Vec<String> = lock(&half.book).files.keys().cloned().collect();
        for id in ids {
            let (held, is_whole) = (half.held(end, &id).is_some(), half.is_whole_at(end, &id));
            let mut book = lock(&half.book);
            book.damaged.remove(&(end, id.clone()));
            if held && !is_whole {
                book.damaged.insert((end, id.clone()));
            }
            if end == 0 && !is_whole {
                book.taken.remove(&id);
            }
        }
    }
}

/// All files in a folder and in the folders in it, in the order of their names.
pub(crate) fn all_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(all_in(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Puts one folder in the place of another.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for path in all_in(from) {
        let target = to.join(path.strip_prefix(from).expect("a path within"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(&path, target).expect("a copy");
    }
}

/// The folder of an end, whose operations fail when those of its storage do.
fn store(half: &FilesHalf, end: usize, process: &Process) -> FileStore {
    let faulty = process.faulty.clone();
    FileStore::new(half.folder(end)).watched(move |what| {
        faulty.operate(what).map_err(|error| match error {
            Error::DiskFull { .. } => io::ErrorKind::StorageFull.into(),
            other => io::Error::other(other),
        })
    })
}

/// The files of an end: as the engine has them, with other things happening in the midst, or as hosts have them.
fn files(sim: &Sim, half: &FilesHalf, end: usize, of_host: bool) -> Files {
    let process = sim.ends[end].process();
    let mut config = FilesConfig::default();
    (config.fetch, config.file_bytes_max) = (half.swarm.fetch, FILE_BYTES_MAX);
    let store = store(half, end, &process);
    let storage = if of_host { process.faulty } else { process.storage };
    Replica::builder()
        .clock(sim.ends[end].clock.clone())
        .with_storage(storage)
        .files(half.folder(end))
        .with_store(store)
        .with_config(config)
}

/// Central with the folder for files.
pub(crate) fn central(sim: &Sim, half: &FilesHalf, (central, mut config): (Central, CentralConfig)) -> Central {
    config.upload_bytes_max = half.swarm.upload_max;
    central.with_config(config).with_files(store(half, 0, &sim.ends[0].process()))
}

impl Sim {
    /// Something happens to files.
    pub(crate) fn files_event(&self, half: &FilesHalf) {
        if self.happens(Chance::Files, half.swarm.attach) {
            for _ in 0..=self.roll(Chance::Files, 2) {
                self.some_attachment(half, self.roll(Chance::Files, self.ends.len()));
            }
        }
        if self.happens(Chance::Files, half.swarm.foreign) {
            self.replace_begun(half);
        }
        if self.happens(Chance::Files, half.swarm.damage) {
            self.damage(half);
        }
        if self.happens(Chance::Files, 20) {
            self.look_at_files(half, 1 + self.roll(Chance::Files, self.ends.len() - 1));
        }
        if self.happens(Chance::Files, half.swarm.runs) {
            let mut options = FilesOptions::default();
            match self.roll(Chance::Files, 10) {
                0 => options.max_bytes = Some(1000),
                1 => options.max_time = Some(Duration::from_secs(1)),
                _ => {}
            }
            self.run_files(half, 1 + self.roll(Chance::Files, self.ends.len() - 1), &options);
        }
    }

    /// In the midst of something else a site sends and fetches files, or a host attaches one. Says whether it did.
    pub(crate) fn files_meanwhile(&self, half: &FilesHalf, end: usize) -> bool {
        if !self.happens(Chance::Files, half.swarm.nested) {
            return false;
        }
        match self.roll(Chance::Files, 3) {
            0 => self.some_attachment(half, end),
            1 => self.damage(half),
            _ => {
                self.run_files(half, 1 + self.roll(Chance::Files, self.ends.len() - 1), &FilesOptions::default());
            }
        }
        true
    }

    /// A site sends and fetches the files that are due.
    pub(crate) fn run_files(&self, half: &FilesHalf, index: usize, options: &FilesOptions) -> Option<FilesReport> {
        let end = &self.ends[index];
        if end.is_down() || end.filing.swap(true, Relaxed) {
            return None;
        }
        self.note(|| format!("site {index} begins with its files"));
        lock(&self.state).depth += 1;
        let process = end.process();
        let failed = process.faulty.failed();
        let mut left = if self.strikes(Fault::Cancelled) { 1 + self.roll(Chance::Files, 30) } else { usize::MAX };
        let mut observer = |_: &SyncEvent| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = world::site(self, index).sync_files(&files(self, half, index, false), options, &mut observer);
        lock(&self.state).depth -= 1;
        end.filing.store(false, Relaxed);
        half.stamp(self, index);
        let storage_failed = process.faulty.failed() > failed;
        self.notice_crash(index);
        self.check_folder(half, index);
        match outcome {
            Ok(report) => {
                self.note(|| format!("site {index} ends with its files: {}", told(&report)));
                let error = report.error.as_ref();
                if let Some(error) = error.filter(|_| self.swarm.is_faultless() && half.swarm.is_faultless()) {
                    let what = format!("site {index}: an error with files where nothing fails: {error}");
                    self.violate(Promise::ErrorsAreSaid, what);
                }
                Some(report)
            }
            Err(error) => {
                self.note(|| format!("site {index} cannot begin with its files: {error}"));
                if !storage_failed && self.is_set_up(index) {
                    let what = format!("site {index} cannot begin with its files: {error}");
                    self.violate(Promise::ErrorsAreSaid, what);
                }
                None
            }
        }
    }

    /// Whether an end knows what it is.
    fn is_set_up(&self, end: usize) -> bool {
        let storage = self.ends[end].process().raw;
        storage.read().and_then(|txn| state::ROLE.is_set(txn.as_ref())).unwrap_or(false)
    }
}

fn told(report: &FilesReport) -> String {
    let FilesReport { uploaded, downloaded, failed, gone, bytes_sent, bytes_received, error, .. } = report;
    let error = error.as_ref().map(ToString::to_string);
    format!("up {uploaded} down {downloaded} failed {failed} gone {gone} bytes {bytes_sent} {bytes_received} {error:?}")
}
