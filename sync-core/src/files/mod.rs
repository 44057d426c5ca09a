//! Files of records: photos and documents whose bytes are in a folder beside the database.
//!
//! A file has a record of `sync_file_reference`, which is synchronised like any other, and bytes, which travel
//! separately, one file at a time, when the host calls [`Site::sync_files`](crate::Site::sync_files). Every reference
//! written here has its bytes, and every file in the folder is complete.

mod attach;
pub(crate) mod lost;
mod queue;
mod store;
mod verify;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::record::file_name::safe_file_name;
pub use attach::Attach;
pub use store::FileStore;
pub use verify::{FileFault, Verified};

pub(crate) use queue::{Retry, later};
pub(crate) use store::{NewFile, PIECE, failed, hash_file, length};
pub(crate) use verify::ORPHAN_AGE;

use crate::clock::Clock;
use crate::error::Result;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::{RecordId, TableName};
use crate::storage::{FileEntry, Storage};
use crate::write::check_known;

/// The most bytes of one file: an Open mSupply central server accepts 50 MiB for a whole upload, which includes other
/// parts.
pub const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024 - 16 * 1024;

/// The files that a site fetches automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fetch {
    /// Those of local records: every site gets every reference of the whole system.
    OfRecordsHere,
    /// All.
    Everything,
    /// None: each is fetched on request by [`Files::fetch`].
    Nothing,
}

/// Limits and waits of files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesConfig {
    /// The files that are fetched automatically.
    pub fetch: Fetch,
    /// The most bytes of an attached file.
    pub file_bytes_max: u64,
    /// The wait after the first failure of a file; it doubles with each.
    pub retry_wait: Duration,
    /// The longest of these waits.
    pub retry_wait_max: Duration,
    /// The wait if time alone hardly helps: central refuses the file, or it is missing in the folder.
    pub refused_wait: Duration,
}

impl Default for FilesConfig {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            fetch: Fetch::OfRecordsHere,
            file_bytes_max: FILE_BYTES_MAX,
            retry_wait: minutes(1),
            retry_wait_max: minutes(60),
            refused_wait: minutes(24 * 60),
        }
    }
}

/// The files of a database and their folder.
#[derive(Clone)]
pub struct Files {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: FileStore,
    pub(crate) config: FilesConfig,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("folder", &self.store.folder()).finish_non_exhaustive()
    }
}

/// A file for display.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its state.
    #[serde(flatten)]
    pub entry: FileEntry,
    /// Its name, made safe; empty if its reference is gone.
    pub name: String,
    /// The path of its bytes, if they are here.
    pub path: Option<PathBuf>,
}

impl Files {
    /// The files of this database, with their bytes in this folder.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, folder: impl Into<PathBuf>) -> Self {
        Self { storage, clock, store: FileStore::new(folder), config: FilesConfig::default() }
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_config(self, config: FilesConfig) -> Self {
        Self { config, ..self }
    }

    /// Replaces the folder, such as by one whose operations fail.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_store(self, store: FileStore) -> Self {
        Self { store, ..self }
    }

    /// The default folder for a database file: `FILE.files` beside it. The argument of [`Replica::files`](crate::Replica::files), unless
    /// an app keeps its files elsewhere.
    pub fn folder_of(database: &Path) -> PathBuf {
        let mut name = database.as_os_str().to_owned();
        name.push(".files");
        PathBuf::from(name)
    }

    /// The folder.
    pub fn store(&self) -> &FileStore {
        &self.store
    }

    /// The path of a file's bytes; `None` if they are not here.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn path(&self, id: &RecordId) -> Result<Option<PathBuf>> {
        Ok(self.store.length(id)?.map(|_| self.store.path(id)))
    }

    /// Up to `limit` files, by id, after `after`.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileInfo>> {
        self.take_note()?;
        let txn = self.storage.read()?;
        txn.files(after, limit)?.into_iter().map(|entry| self.info(txn.as_ref(), entry)).collect()
    }

    /// A file by its id; `None` if no file has it.
    ///
    /// # Errors
    /// The database failed.
    pub fn info_of(&self, id: &RecordId) -> Result<Option<FileInfo>> {
        let txn = self.storage.read()?;
        txn.file(id)?.map(|entry| self.info(txn.as_ref(), entry)).transpose()
    }

    /// The files of a record, by id.
    ///
    /// # Errors
    /// As [`Records::get`](crate::Records::get).
    pub fn of(&self, table: impl Into<TableName>, record: impl Into<RecordId>) -> Result<Vec<FileInfo>> {
        self.take_note()?;
        let txn = self.storage.read()?;
        let table = table.into();
        check_known(txn.as_ref(), &table)?;
        txn.files_of(&table, &record.into())?.into_iter().map(|entry| self.info(txn.as_ref(), entry)).collect()
    }

    fn info(&self, txn: &dyn crate::storage::ReadTxn, entry: FileEntry) -> Result<FileInfo> {
        let reference = txn.record(&TableName::from(REFERENCES), &entry.id)?;
        let reference = reference.as_ref().and_then(Reference::read);
        let name = reference.map_or_else(String::new, |reference| safe_file_name(&reference.file_name));
        Ok(FileInfo { name, path: self.path(&entry.id)?, entry })
    }
}
