//! The witness: a small file outside the database that knows how far it has come. A database that was put back to an older
//! state is recognised by it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::sql::{DatabasePosition, left_out};

/// What a database says of itself.
pub(super) struct WitnessedState {
    pub position: DatabasePosition,
    /// Where it was when it was last opened; empty before.
    pub place: String,
}

impl WitnessedState {
    /// Reads the row of `sync_position`.
    pub(super) fn of(row: &[Option<String>]) -> Option<Self> {
        let [Some(newest), Some(commits), Some(database), Some(place)] = row else { return None };
        let position = DatabasePosition {
            database: database.clone(),
            commits: commits.parse().ok()?,
            newest: Cursor(newest.parse().ok()?),
        };
        Some(Self { position, place: place.clone() })
    }
}

/// The part of the changelog that was lost, if a database was put back to an older state. Without a witness it counts as put
/// back if it is elsewhere than it was: in another database, or on a server whose history was forked.
pub(super) fn restored(found: &WitnessedState, known: Option<&DatabasePosition>, place: &str) -> Option<ChangelogGap> {
    let WitnessedState { position, place: former } = found;
    let given_out = match known {
        Some(known) => (known.commits > position.commits).then_some(known.newest.max(position.newest))?,
        None if position.commits == 0 || former.is_empty() || former == place => return None,
        None => Cursor(position.newest.0.saturating_add(left_out(position.newest))),
    };
    Some(ChangelogGap { after: position.newest, before: given_out.next() })
}

/// The file, if there is one. A failure to write it does not fail a commit: the file is then only less useful. Several processes
/// may keep one and the same file: it never goes back.
pub(super) struct Witness {
    path: Option<PathBuf>,
    open: Mutex<Option<OpenWitness>>,
}

struct OpenWitness {
    file: File,
    /// The id of the database.
    database: String,
    /// The commits that the file is known to know of.
    commits: u64,
}

impl OpenWitness {
    /// Writes a position unless the file knows a newer one of the same database. Returns false while another process writes.
    fn rise(&mut self, position: &DatabasePosition) -> std::io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {}
            // One that hangs is not waited for.
            Err(TryLockError::WouldBlock) => return Ok(false),
            // A disk without locks. Nobody else has the file there, or it is only less useful.
            Err(TryLockError::Error(_)) => {}
        }
        let written = self.overwrite(position);
        let _ = self.file.unlock();
        written.map(|()| true)
    }

    fn overwrite(&mut self, position: &DatabasePosition) -> std::io::Result<()> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        // What cannot be read is overwritten.
        let _ = Read::by_ref(&mut self.file).take(BYTES_MAX).read_to_string(&mut text);
        let known = DatabasePosition::parse(&text).filter(|known| known.database == position.database);
        if known.is_some_and(|known| known.commits >= position.commits) {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(position.text().as_bytes())
    }
}

/// More bytes than the file has.
const BYTES_MAX: u64 = 1024;

impl Witness {
    pub(super) fn at(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), open: Mutex::default() }
    }

    /// What it knows of a database.
    pub(super) fn read(&self, database: &str) -> Option<DatabasePosition> {
        let text = std::fs::read_to_string(self.path.as_ref()?).ok()?;
        DatabasePosition::parse(&text).filter(|known| known.database == database)
    }

    /// Writes it for the first time.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn start(&self, position: &DatabasePosition) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed =
            |source: std::io::Error| Error::Io { what: format!("making {}", path.display()), source: source.into() };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        *self.open.lock() = Some(OpenWitness { file, database: position.database.clone(), commits: 0 });
        self.rise(position.commits, position.newest);
        Ok(())
    }

    /// Records a commit, of this process or of another one.
    pub(super) fn rise(&self, commits: u64, newest: Cursor) {
        let mut open = self.open.lock();
        let Some(witness) = open.as_mut().filter(|witness| witness.commits < commits) else { return };
        match witness.rise(&DatabasePosition { database: witness.database.clone(), commits, newest }) {
            Ok(true) => witness.commits = commits,
            Ok(false) => {}
            Err(_) => *open = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_processes_keep_one_witness_that_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let position = |commits| DatabasePosition { database: "a".to_owned(), commits, newest: Cursor(10 * commits) };
        let (one, other) = (Witness::at(Some(&path)), Witness::at(Some(&path)));
        one.start(&position(1)).unwrap();
        other.start(&position(2)).unwrap();
        let known = || one.read("a").map(|known| known.commits);
        other.rise(7, Cursor(70));
        one.rise(6, Cursor(60));
        assert_eq!(known(), Some(7));
        one.rise(8, Cursor(80));
        assert_eq!((known(), one.read("b")), (Some(8), None));
        // One that hangs while it writes is not waited for.
        let hangs = File::open(&path).unwrap();
        hangs.lock().unwrap();
        other.rise(9, Cursor(90));
        assert_eq!(known(), Some(8));
        hangs.unlock().unwrap();
        other.rise(10, Cursor(100));
        assert_eq!(known(), Some(10));
        std::fs::write(&path, [0xff; 8]).unwrap();
        one.rise(11, Cursor(110));
        assert_eq!(known(), Some(11), "what cannot be read is overwritten");
        let other_database = DatabasePosition { database: "b".to_owned(), commits: 1, newest: Cursor(1) };
        Witness::at(Some(&path)).start(&other_database).unwrap();
        assert_eq!((known(), one.read("b").map(|known| known.commits)), (None, Some(1)));
    }

    #[test]
    fn only_a_database_that_is_behind_its_witness_or_elsewhere_was_put_back() {
        let position = |commits, newest| DatabasePosition { database: "a".to_owned(), commits, newest: Cursor(newest) };
        let found = WitnessedState { position: position(10, 100), place: "1 5 1".to_owned() };
        for (known, place, gap) in [
            (Some(position(10, 100)), "1 5 1", None),
            (Some(position(9, 90)), "1 5 1", None),
            // A failover to a replica that had everything.
            (Some(position(10, 100)), "1 5 2", None),
            (Some(position(11, 170)), "1 5 1", Some((100, 171))),
            (Some(position(11, 100)), "1 5 2", Some((100, 101))),
            (None, "1 5 1", None),
            (None, "1 5 2", Some((100, 1_000_101))),
            (None, "1 6 1", Some((100, 1_000_101))),
        ] {
            let lost = restored(&found, known.as_ref(), place).map(|gap| (gap.after.0, gap.before.0));
            assert_eq!(lost, gap, "{known:?} {place}");
        }
        let new = WitnessedState { position: position(0, 0), place: String::new() };
        assert!(restored(&new, None, "1 5 1").is_none());
    }
}
