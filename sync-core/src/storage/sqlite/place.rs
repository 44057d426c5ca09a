//! The real path of a database file, and the check that it is still there.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::fault::file_error;
#[cfg(unix)]
use crate::error::Error;
use crate::error::Result;

/// The longest chain of symbolic links that is followed.
const LINKS_MAX: usize = 40;

/// Identifies a file among all files of its machine, by any name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    /// The device.
    device: u64,
    /// Its number on the device.
    pub(super) inode: u64,
}

impl FileIdentity {
    /// The id of the file at a path. `None` if there is none or an empty one, which is no database, and on systems that
    /// keep an open file in place.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        // Only queried: if the file were opened and closed here, SQLite would lose its locks on it. A link at the path
        // leads newcomers elsewhere, even if it leads to the same file: they would not see the last writes.
        let found = std::fs::symlink_metadata(path).ok().filter(|found| found.len() > 0)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }

    /// The id of the file to which a name leads, through symbolic links.
    #[cfg(unix)]
    pub(super) fn behind(name: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(name).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Path) -> Option<Self> {
        None
    }

    #[cfg(not(unix))]
    pub(super) fn behind(_: &Path) -> Option<Self> {
        None
    }
}

/// The path of a database without symbolic links, even if the file does not exist yet. So all names of a file share one
/// lock, one watermark and one folder of files.
pub(super) fn real_path(path: &Path) -> Result<PathBuf> {
    let failed = |error| file_error(format!("finding {}", path.display()), error);
    let mut at = std::path::absolute(path).map_err(failed)?;
    for _ in 0..LINKS_MAX {
        if let Ok(real) = std::fs::canonicalize(&at) {
            return Ok(plain(real));
        }
        // It leads to a missing file, or to something else.
        let folder = at.parent().unwrap_or(Path::new("/")).to_owned();
        match std::fs::read_link(&at) {
            Ok(target) => at = folder.join(target),
            Err(_) => {
                let folder = std::fs::canonicalize(&folder).map_or(folder, plain);
                return Ok(folder.join(at.file_name().unwrap_or_default()));
            }
        }
    }
    Ok(at)
}

/// Removes the prefix that Windows gives to a resolved path, and that not every program reads.
fn plain(path: PathBuf) -> PathBuf {
    let text = path.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    match text {
        Some(text) if text.as_bytes().get(1) == Some(&b':') => PathBuf::from(text),
        _ => path,
    }
}

/// Refuses a file with several names on its disk. SQLite names the file with the last writes after the path of the
/// database: under another name it is not seen, and the database is damaged.
pub(super) fn refuse_hard_links(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // A folder has one for each folder in it, and gets another error.
        let names = std::fs::metadata(path).map_or(1, |found| if found.is_file() { found.nlink() } else { 1 });
        if names > 1 {
            return Err(Error::DatabaseHardLinked { path: path.display().to_string(), names });
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A file beside another one, named after it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Options to open a file for writing; a new file is only for its owner.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates an empty file that only its owner can read, because it will hold the site's password hash.
pub(super) fn create_private(path: &Path) -> Result<()> {
    let created: std::io::Result<File> = private().create_new(true).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(file_error(format!("making {}", path.display()), error)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::SqliteStorage;
    use super::*;
    use crate::storage::Storage as _;

    #[test]
    fn a_symbolic_link_leads_to_the_file_also_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(at("disk")).unwrap();
        symlink("disk/real.sqlite", at("link")).unwrap();
        symlink("link", at("link of link")).unwrap();
        let real = at("disk").join("real.sqlite");
        assert_eq!(real_path(&at("link of link")).unwrap(), real);
        let storage = SqliteStorage::open(at("link of link")).unwrap();
        assert_eq!(storage.path(), real);
        assert!(real.is_file());
        let _held = storage.lock_cycle().unwrap();
        for name in [at("link"), real.clone()] {
            let error = SqliteStorage::open(&name).unwrap().lock_cycle().unwrap_err();
            assert_eq!(error.code(), "cycle_running", "{name:?}");
        }
        symlink("round", at("round")).unwrap();
        assert!(SqliteStorage::open(at("round")).is_err());
    }

    #[test]
    fn a_watermark_beside_a_link_is_brought_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        let write = |path: PathBuf| {
            let storage = SqliteStorage::open(path).unwrap();
            let txn = storage.write().unwrap();
            txn.set_state("key", "value").unwrap();
            txn.commit().unwrap();
        };
        write(at("real"));
        symlink("real", at("link")).unwrap();
        std::fs::rename(at("real.watermark"), at("link.watermark")).unwrap();
        write(at("link"));
        assert!(at("real.watermark").exists() && !at("link.watermark").exists());
        let storage = SqliteStorage::open(at("real")).unwrap();
        assert_eq!(crate::storage::changelog_gaps(storage.read().unwrap().as_ref()).unwrap(), [], "it is no backup");
    }

    #[test]
    fn a_file_that_was_replaced_or_removed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        drop(SqliteStorage::open(&other).unwrap());
        for replaces in [true, false] {
            let storage = SqliteStorage::open(&path).unwrap();
            storage.check_in_place().unwrap();
            match replaces {
                true => std::fs::rename(&other, &path).unwrap(),
                false => std::fs::remove_file(&path).unwrap(),
            }
            let code = |error: Error| error.code();
            assert_eq!(storage.write().map(|_| ()).map_err(code), Err("database_replaced"));
            assert_eq!(storage.read().map(|_| ()).map_err(code), Err("database_replaced"));
            assert_eq!(storage.lock_cycle().map(|_| ()).map_err(code), Err("database_replaced"));
            drop(storage);
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(folder.path().join(format!("a{suffix}")));
            }
        }
    }

    #[test]
    fn a_log_that_was_removed_or_replaced_is_noticed_before_a_write_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("a"), folder.path().join("a-wal"));
        for replaces in [false, true] {
            let storage = SqliteStorage::open(&path).unwrap();
            let other = SqliteStorage::open(&path).unwrap();
            storage.write().unwrap().commit().unwrap();
            drop(other);
            storage.check_in_place().unwrap();
            std::fs::remove_file(&log).unwrap();
            if replaces {
                std::fs::write(&log, "").unwrap();
            }
            let code = |error: Error| error.code();
            assert_eq!(storage.write().map(|_| ()).map_err(code), Err("database_replaced"));
            assert_eq!(storage.read().map(|_| ()).map_err(code), Err("database_replaced"));
            drop(storage);
            let _ = std::fs::remove_file(&log);
            let _ = std::fs::remove_file(folder.path().join("a-shm"));
        }
    }

    #[test]
    fn a_file_that_a_link_stands_for_now_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("a"), folder.path().join("b"));
        let storage = SqliteStorage::open(&path).unwrap();
        std::fs::rename(&path, &elsewhere).unwrap();
        symlink("b", &path).unwrap();
        assert_eq!(storage.write().map(|_| ()).map_err(|error| error.code()), Err("database_replaced"));
    }

    #[test]
    fn a_link_that_leads_elsewhere_now_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["old", "new"] {
            drop(SqliteStorage::open(at(name)).unwrap());
        }
        symlink("old", at("link")).unwrap();
        let storage = SqliteStorage::open(at("link")).unwrap();
        storage.check_in_place().unwrap();
        symlink("new", at("link of the backup")).unwrap();
        std::fs::rename(at("link of the backup"), at("link")).unwrap();
        assert_eq!(storage.write().map(|_| ()).map_err(|error| error.code()), Err("database_replaced"));
        std::fs::remove_file(at("link")).unwrap();
        assert_eq!(storage.read().map(|_| ()).map_err(|error| error.code()), Err("database_replaced"));
    }

    #[test]
    fn a_file_that_was_emptied_is_noticed_before_a_write_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let storage = SqliteStorage::open(&path).unwrap();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(storage.write().map(|_| ()).map_err(|error| error.code()), Err("database_replaced"));
    }

    #[test]
    fn a_file_that_was_overwritten_is_damaged_and_its_path_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        drop(SqliteStorage::open(&path).unwrap());
        let storage = SqliteStorage::open(&path).unwrap();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, &[b'x'; 8192]).unwrap();
        let error = storage.read().and_then(|txn| txn.state("key")).unwrap_err();
        assert_eq!(error.code(), "database_failed", "{error}");
        let error = SqliteStorage::open(&path).unwrap_err();
        assert!(error.code() == "not_a_database" && error.to_string().contains("/a"), "{error}");
    }

    #[test]
    fn a_file_with_two_names_on_its_disk_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        drop(SqliteStorage::open(&path).unwrap());
        std::fs::hard_link(&path, &other).unwrap();
        for name in [&path, &other] {
            assert_eq!(SqliteStorage::open(name).unwrap_err().code(), "database_hard_linked");
            let examined = super::super::examine(name, None).unwrap();
            assert_eq!(
                examined.unwritable.map(|error| error.code()),
                Some("database_hard_linked"),
                "as doctor says it"
            );
        }
        std::fs::remove_file(&other).unwrap();
        SqliteStorage::open(&path).unwrap();
    }
}
