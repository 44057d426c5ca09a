//! The state of files: a row beside the record that refers to the file, only for this machine.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};

/// The direction of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileDirection {
    /// To central: it was attached here.
    Upload,
    /// To this database: from central, or on central from a site.
    Download,
}

impl FileDirection {
    /// The direction in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// The state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Not tried yet.
    Waiting,
    /// Its bytes are on their way, or were when the program ended; then its next try continues.
    Running,
    /// Its bytes are here, and sent if they had to be.
    Done,
    /// The last try failed; it has a reason and the time of the next try.
    Failed,
    /// Its reference was deleted: nothing is sent or fetched.
    Gone,
    /// Its record is not here, so it is fetched only on request.
    Elsewhere,
}

impl FileState {
    /// All states.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Gone, Self::Elsewhere];

    /// The state in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// The id of its `sync_file_reference`.
    pub id: RecordId,
    /// The table of its record.
    pub table: TableName,
    /// The id of its record.
    pub record_id: RecordId,
    /// The direction of its bytes.
    pub direction: FileDirection,
    /// Its state.
    pub state: FileState,
    /// Its length, if known.
    pub bytes: Option<u64>,
    /// The SHA-256 of its bytes in lower-case hex, if known.
    pub sha256: Option<String>,
    /// The server's tag (`ETag`) of the version whose part is here.
    pub etag: Option<String>,
    /// The number of failures in a row.
    pub attempts: u32,
    /// The time of the next try; `None` for no further try.
    pub next_at: Option<Timestamp>,
    /// The reason of the failure.
    pub reason: Option<String>,
    /// The time of the last change.
    pub changed_at: Timestamp,
}

/// Reads the state of files.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait FileReads {
    /// A file.
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>>;
    /// Up to `limit` files, by id, after `after`.
    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>>;
    /// The files of a record, by id.
    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>>;
    /// The number of files in each state that any is in.
    fn file_counts(&self) -> Result<Vec<(FileState, u64)>>;
    /// Up to `limit` files that are due at this moment, the longest due first, then by id.
    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>>;
}

/// Writes the state of files.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait FileWrites: FileReads {
    /// Stores a file in place of its older state.
    fn put_file(&self, file: &FileEntry) -> Result<()>;
    /// Removes a file; returns whether it existed.
    fn remove_file(&self, id: &RecordId) -> Result<bool>;
}
