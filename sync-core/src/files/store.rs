//! The folder with the bytes. A file appears there under its name only when it is complete and on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::watch::Watcher;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::file_lock::LockedFile;
use crate::protocol::hex;
use crate::record::RecordId;
use crate::record::file_name::disk_name;
use crate::storage::CycleLock;
use crate::storage::dropped_calls::lock_after_dropped;

/// The bytes of a file that are in memory at once.
pub(crate) const PIECE: usize = 128 * 1024;

/// The subfolder of incomplete files.
const UNFINISHED: &str = "unfinished";

/// A folder of files, each under a name made of its id.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
    watcher: Watcher,
}

impl FileStore {
    /// The files in this folder, which is created with the first one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), watcher: Watcher::default() }
    }

    /// Adds `watch`, which receives the name of each operation on the folder before it happens, and may forbid it, to
    /// simulate a full disk or a process that dies.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn watched(self, watch: impl Fn(&'static str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { watcher: Watcher::new(watch), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a file's bytes.
    pub fn path(&self, id: &RecordId) -> PathBuf {
        let name = disk_name(id);
        self.folder.join(&name[name.len() - 2..]).join(name)
    }

    /// The path of a file's part.
    pub(crate) fn part(&self, id: &RecordId) -> PathBuf {
        self.folder.join(UNFINISHED).join(format!("{}.part", disk_name(id)))
    }

    /// The length of a file here; `None` if it is not here.
    pub(crate) fn length(&self, id: &RecordId) -> Result<Option<u64>> {
        length(&self.path(id))
    }

    /// Creates an unnamed file.
    pub(crate) fn begin(&self) -> Result<NewFile> {
        let folder = self.folder.join(UNFINISHED);
        self.before("make", &folder)?;
        self.make(&folder)?;
        let path = folder.join(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let file = private().create_new(true).open(&path).map_err(|error| failed("making", &path, error))?;
        Ok(NewFile { file, path, hash: Sha256::new(), bytes: 0, kept: false, watcher: self.watcher.clone() })
    }

    /// Opens the part of a file to append, or to start again.
    pub(crate) fn open_part(&self, id: &RecordId, anew: bool) -> Result<PartialFile> {
        let path = self.part(id);
        self.before("open", &path)?;
        let folder = self.folder.join(UNFINISHED);
        self.make(&folder)?;
        let mut options = private();
        let options = if anew { options.create(true).truncate(true) } else { options.append(true) };
        let file = options.open(&path).map_err(|error| failed("opening", &path, error))?;
        Ok(PartialFile { file, watcher: self.watcher.clone() })
    }

    /// Gives a complete part its final name.
    pub(crate) fn finish_part(&self, id: &RecordId) -> Result<()> {
        let part = self.part(id);
        self.before("sync", &part)?;
        let synced = OpenOptions::new().write(true).open(&part).and_then(|file| file.sync_all());
        synced.map_err(|error| failed("writing", &part, error))?;
        self.name(&part, id)
    }

    /// Removes the part of a file, if there is one.
    pub(crate) fn drop_part(&self, id: &RecordId) -> Result<()> {
        self.before("remove", &self.folder)?;
        remove(&self.part(id))
    }

    /// Removes a file, if it is here.
    pub(crate) fn remove(&self, id: &RecordId) -> Result<()> {
        self.before("remove", &self.folder)?;
        remove(&self.path(id))
    }

    /// Creates the folder, or one in it. A folder chosen by the host may be shared on purpose, so only new folders and
    /// those with our names are closed to others.
    fn make(&self, folder: &Path) -> Result<()> {
        let is_default = self.folder.extension().is_some_and(|extension| extension == "files");
        let made = private_folder(&self.folder, is_default);
        let made = made.and_then(|()| if folder == self.folder { Ok(()) } else { private_folder(folder, true) });
        made.map_err(|error| failed("making", folder, error))
    }

    /// Puts a complete file under the name of its id.
    fn name(&self, from: &Path, id: &RecordId) -> Result<()> {
        let path = self.path(id);
        self.before("name", &path)?;
        let folder = path.parent().unwrap_or(&self.folder);
        self.make(folder)?;
        fs::rename(from, &path).map_err(|error| failed("naming", &path, error))?;
        for folder in [folder, &self.folder] {
            sync_folder(folder);
        }
        Ok(())
    }

    fn before(&self, what: &'static str, path: &Path) -> Result<()> {
        self.watcher.before(what).map_err(|error| failed(what, path, error))
    }

    /// All complete files with their times, and the incomplete ones.
    pub(crate) fn all(&self) -> Result<(Vec<FolderEntry>, Vec<FolderEntry>)> {
        let (mut whole, mut unfinished) = (Vec::new(), Vec::new());
        for folder in entries(&self.folder)? {
            let name = folder.file_name().to_string_lossy().into_owned();
            let is_folder = folder.file_type().is_ok_and(|kind| kind.is_dir());
            let found = match name.as_str() {
                UNFINISHED => &mut unfinished,
                name if is_folder && name.len() == 2 => &mut whole,
                _ => continue,
            };
            for entry in entries(&folder.path())? {
                let written = entry.metadata().and_then(|metadata| metadata.modified());
                let since = written.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or(Duration::ZERO);
                found.push(FolderEntry {
                    path: entry.path(),
                    name: entry.file_name().to_string_lossy().into_owned(),
                    written_at: Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
                });
            }
        }
        Ok((whole, unfinished))
    }

    /// Removes unnamed files that were written so long before `now`: their writer died.
    pub(crate) fn sweep_new(&self, before: Timestamp, now: Timestamp) -> Result<()> {
        let (_, unfinished) = self.all()?;
        let is_left = |found: &FolderEntry| found.name.ends_with(".new") && found.written_by(now) < before;
        unfinished.into_iter().filter(is_left).try_for_each(|found| remove(&found.path))
    }

    /// Takes the lock that lets one process at a time send and fetch the files of this folder.
    pub(crate) fn lock(&self) -> Result<CycleLock> {
        lock_after_dropped(|| self.try_lock().map(CycleLock::new))
    }

    fn try_lock(&self) -> Result<LockedFile> {
        self.make(&self.folder)?;
        let path = self.folder.join("lock");
        let file = private().create(true).open(&path).map_err(|error| failed("opening", &path, error))?;
        LockedFile::lock(file).map_err(|(_, error)| match error {
            fs::TryLockError::WouldBlock => Error::CycleRunning { holder: None },
            fs::TryLockError::Error(error) => failed("locking", &path, error),
        })
    }
}

/// An entry of the folder.
pub(crate) struct FolderEntry {
    pub path: PathBuf,
    pub name: String,
    written_at: Timestamp,
}

impl FolderEntry {
    /// Its time. A time in the future, from a clock that was ahead, is replaced by now, because the file would seem new
    /// until then.
    pub(crate) fn written_by(&self, now: Timestamp) -> Timestamp {
        if self.written_at <= now {
            return self.written_at;
        }
        let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH);
        // If that fails, it is tried again the next time.
        let _ = OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_modified(at));
        now
    }
}

/// A file that is being written. It is removed if it is dropped before it is kept.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
    kept: bool,
    watcher: Watcher,
}

/// The part of a file, open for appending.
pub(crate) struct PartialFile {
    file: File,
    watcher: Watcher,
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watcher.before("write")?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile {
    /// The number of bytes written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of the bytes written.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Puts it under the name of its id, durably.
    pub(crate) fn keep(mut self, store: &FileStore, id: &RecordId) -> Result<()> {
        store.before("sync", &self.path)?;
        self.file.sync_all().map_err(|error| failed("writing", &self.path, error))?;
        store.name(&self.path, id)?;
        self.kept = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watcher.before("write")?;
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept && self.watcher.before("remove").is_ok() {
            // Leftovers are swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The length and the SHA-256 of a file; `None` if it is missing. `watch` receives the number of bytes read, and may
/// stop it.
pub(crate) fn hash_file(path: &Path, mut watch: impl FnMut(u64) -> Result<()>) -> Result<Option<(u64, String)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("reading", path, error)),
    };
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece).map_err(|error| failed("reading", path, error))?;
        if read == 0 {
            return Ok(Some((bytes, hex(&hash.finalize()))));
        }
        hash.update(&piece[..read]);
        bytes += read as u64;
        watch(bytes)?;
    }
}

pub(crate) fn length(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("looking at", path, error)),
    }
}

pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path, error)),
        _ => Ok(()),
    }
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(|error| failed("listing", folder, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("listing", folder, error)),
    }
}

/// Only the owner may read them: they are photos and documents of a clinic.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder that only its owner can list, because names of photos are confidential too. With `is_ours`, an
/// existing folder that is open to others, as older versions created it, is closed.
fn private_folder(folder: &Path, is_ours: bool) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    #[cfg(not(unix))]
    let _ = is_ours;
    #[cfg(unix)]
    if is_ours {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            // A folder of another user stays as that user decided.
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o7700));
        }
    }
    Ok(())
}

/// Makes a new name durable. Where folders cannot be opened, as on Windows, the system does it.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Sorts an error of the disk by who must act.
pub(crate) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull { source: format!("{what} {}: {error}", path.display()).into() },
        _ => Error::Io { what: format!("{what} {}", path.display()), source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn folders_are_their_owners_only_those_of_older_versions_too() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let there = tempfile::tempdir().unwrap();
        let (fresh, older, chosen) =
            (there.path().join("a.files"), there.path().join("b.files"), there.path().join("chosen"));
        for open in [&older, &chosen] {
            fs::create_dir_all(open.join(UNFINISHED)).unwrap();
            for path in [open, &open.join(UNFINISHED)] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        for folder in [&fresh, &older, &chosen] {
            let store = FileStore::new(folder);
            let id = RecordId::from("x");
            store.begin().unwrap().keep(&store, &id).unwrap();
            let inner = store.path(&id).parent().unwrap().to_owned();
            assert_eq!([mode(&folder.join(UNFINISHED)), mode(&inner)], [0o700; 2], "{}", folder.display());
            assert_eq!(mode(&store.path(&id)), 0o600);
        }
        assert_eq!([mode(&fresh), mode(&older)], [0o700; 2]);
        assert_eq!(mode(&chosen), 0o755, "whoever made it decides");
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("files"));
        let id = RecordId::from("../x");
        let mut new = store.begin().unwrap();
        new.write_all(b"abc").unwrap();
        assert_eq!((store.length(&id).unwrap(), store.all().unwrap().1.len()), (None, 1));
        drop(new);
        assert_eq!(store.all().unwrap().1.len(), 0, "what was given up is gone");

        let mut new = store.begin().unwrap();
        new.write_all(b"abc").unwrap();
        let hash = new.sha256();
        new.keep(&store, &id).unwrap();
        assert_eq!(hash_file(&store.path(&id), |_| Ok(())).unwrap(), Some((3, hash)));
        let (whole, unfinished) = store.all().unwrap();
        assert_eq!((whole.len(), unfinished.len()), (1, 0));
        assert!(store.path(&id).starts_with(store.folder()) && !folder.path().join("x").exists());
    }

    #[test]
    fn what_was_left_while_the_clock_was_ahead_is_swept_a_day_after_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let mut left = store.begin().unwrap();
        left.kept = true;
        drop(left);
        let now = Timestamp::from_unix_millis(1_000_000_000_000);
        let day = |days: i64| Timestamp::from_unix_millis(now.unix_millis() + days * 24 * 60 * 60 * 1000);
        let count = |store: &FileStore| store.all().unwrap().1.len();
        store.sweep_new(day(-1), now).unwrap();
        assert_eq!(count(&store), 1, "it seems to be of the future");
        store.sweep_new(day(0), day(1)).unwrap();
        assert_eq!(count(&store), 1);
        store.sweep_new(day(1), day(2)).unwrap();
        assert_eq!(count(&store), 0);
    }

    #[test]
    fn one_process_at_a_time_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let held = store.lock().unwrap();
        assert_eq!(store.lock().unwrap_err().code(), "cycle_running");
        drop(held);
        store.lock().unwrap();
    }
}
