//! Backups of a database with its files.
//!
//! A backup is a folder, named after its time, that holds a copy of the database, the files in the same folders as where
//! they came from, and `backup.json`, which says what it holds. Files never change, so a file that the backup before it
//! holds too is a hard link to that one.

mod check;
mod take;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sync_core::files::Files;
use sync_core::{Error, ReplicaBuilder, Result};

use crate::sentences::input_given as given;

pub(crate) use self::check::check;
pub(crate) use self::take::{Plan, take};

/// The file that says what a backup holds. It is written last, so a folder without it is no whole backup.
const MANIFEST: &str = "backup.json";

/// What a backup holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// When the copy of the database was made.
    pub made_at: String,
    /// The version of the program that made it.
    pub program: String,
    /// The role of the database, if it had one.
    pub role: Option<String>,
    /// The name of the site, if it had one.
    pub site_name: Option<String>,
    /// The file name of the database.
    pub database: String,
    /// Its size.
    pub database_bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub database_sha256: String,
    /// The number of files.
    pub files: u64,
    /// Their size.
    pub files_bytes: u64,
}

/// A backup on the disk.
#[derive(Debug, Clone)]
pub(crate) struct StoredBackup {
    /// Its database.
    pub database: PathBuf,
    /// The folder with its files.
    pub files: PathBuf,
    /// What it holds; `None` for a database file that some other tool copied.
    pub manifest: Option<Manifest>,
}

impl StoredBackup {
    /// The backup in a folder, or a copied database file.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        if !path.exists() {
            return Err(Error::bad_input(given::no_backup(shown)));
        }
        if !path.is_dir() {
            return Ok(Self { database: path.to_owned(), files: Files::folder_of(path), manifest: None });
        }
        let says = path.join(MANIFEST);
        if !says.exists() {
            let within = Self::all_in(path)?;
            return Err(Error::bad_input(match within.last() {
                Some(newest) => given::folder_of_backups(shown, within.len(), newest.display().to_string()),
                None => given::folder_without_backup(shown),
            }));
        }
        let text = std::fs::read(&says).map_err(|error| failed("reading", &says, error))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| failed("reading", &says, error.into()))?;
        // A name, not a path to elsewhere.
        let name = Path::new(&manifest.database).file_name().unwrap_or_default();
        let database = path.join(name);
        Ok(Self { files: Files::folder_of(&database), database, manifest: Some(manifest) })
    }

    /// The whole backups in a folder, the oldest first.
    fn all_in(folder: &Path) -> Result<Vec<PathBuf>> {
        let found = std::fs::read_dir(folder).map_err(|error| failed("reading", folder, error))?;
        let mut all: Vec<PathBuf> = found
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| !is_unfinished(path) && path.join(MANIFEST).is_file())
            .collect();
        all.sort();
        Ok(all)
    }
}

/// Whose backups are meant in a folder that several databases may share.
pub(crate) struct Owner {
    builder: ReplicaBuilder,
    database: PathBuf,
}

impl Owner {
    /// The owner of the backups of this database, which `builder` opens.
    pub(crate) fn new(builder: ReplicaBuilder, database: PathBuf) -> Self {
        Self { builder, database }
    }

    /// The whole backups of this database in a folder, the oldest first. One that cannot be read counts as another's.
    fn backups_in(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let is_ours = |path: &PathBuf| {
            let backup = StoredBackup::at(path);
            backup.and_then(|backup| self.builder.is_backup_of(&backup.database, &self.database)).unwrap_or(false)
        };
        Ok(StoredBackup::all_in(folder)?.into_iter().filter(is_ours).collect())
    }
}

/// How long ago the newest backup of a database in a folder was made; `None` if there is none, or the clock is behind it.
pub(crate) fn newest_age(folder: &Path, owner: &Owner) -> Option<Duration> {
    let newest = owner.backups_in(folder).ok()?.pop()?;
    newest.join(MANIFEST).metadata().ok()?.modified().ok()?.elapsed().ok()
}

/// How the folder of a backup is called that is not whole yet.
const UNFINISHED: &str = ".unfinished-";

fn is_unfinished(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED))
}

/// A file of the folder of files: its path within that folder, and its size.
type FileInFolder = (PathBuf, u64);

/// The files in a folder of files, without what is unfinished; none if there is no folder.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<FileInFolder>> {
    let mut all = Vec::new();
    for sub in entries(folder)? {
        // Each is named after the last two digits of the files in it.
        let is_of_files = sub.is_dir() && sub.file_name().is_some_and(|name| name.len() == 2);
        for path in if is_of_files { entries(&sub)? } else { Vec::new() } {
            let Ok(found) = path.metadata() else { continue };
            if let Ok(within) = path.strip_prefix(folder)
                && found.is_file()
            {
                all.push((within.to_owned(), found.len()));
            }
        }
    }
    Ok(all)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(found) => Ok(found.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("reading", folder, error)),
    }
}

/// The SHA-256 of a file, in hexadecimal, and its size.
fn hash(path: &Path) -> Result<(String, u64)> {
    let read = || {
        let (mut file, mut hasher, mut bytes) = (File::open(path)?, Sha256::new(), 0);
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece)? {
                0 => break Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes)),
                read => {
                    hasher.update(&piece[..read]);
                    bytes += read as u64;
                }
            }
        }
    };
    read().map_err(|error| failed("reading", path, error))
}

/// Creates a folder that only its owner can enter, with those above it.
fn make_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed("making", folder, error))
}

/// Copies a file for its owner only, and syncs it to the disk.
pub(crate) fn copy_private(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        make_private(folder)?;
    }
    let mut options = private_file();
    options.create_new(true);
    let copy = || {
        let (mut from, mut to) = (File::open(from)?, options.open(to)?);
        std::io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    copy().map_err(|error| failed("writing", to, error))
}

/// How a file is made that only its owner may read.
fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// An error of a file, by who must act.
fn failed(doing: &str, path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            Error::DiskFull { source: format!("{doing} {}: {error}", path.display()).into() }
        }
        _ => Error::Io { what: format!("{doing} {}", path.display()), source: error.into() },
    }
}
