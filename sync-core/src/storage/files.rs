//! What is known of a file: a row beside the record that refers to it, of this machine only.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};

/// Which way a file's bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileDirection {
    /// From here to central: it was attached here.
    Upload,
    /// To here: from central, or on central from a site.
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

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Its turn has not come yet.
    Waiting,
    /// Its bytes are on their way; or they were when the program ended, and then they go on at its turn.
    Running,
    /// Its bytes are here, and have been sent if they had to be.
    Done,
    /// The last try failed; see the reason and the time of the next.
    Failed,
    /// Its reference was deleted: nothing is sent or fetched any more.
    Gone,
    /// The record that it belongs to is not here, so nobody fetches it until somebody asks.
    Elsewhere,
}

impl FileState {
    /// All of them.
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

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// The id of its `sync_file_reference`.
    pub id: RecordId,
    /// The table of the record that it belongs to.
    pub table: TableName,
    /// The id of that record.
    pub record_id: RecordId,
    /// Which way its bytes go.
    pub direction: FileDirection,
    /// How far it is.
    pub state: FileState,
    /// Its length, as far as that is known.
    pub bytes: Option<u64>,
    /// The SHA-256 of its bytes in lower-case hex, as far as that is known.
    pub sha256: Option<String>,
    /// What the server called the version of which a part is here.
    pub etag: Option<String>,
    /// How often it failed in a row.
    pub attempts: u32,
    /// When it is tried next; `None` if it is not to be tried.
    pub next_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
    /// When this last changed.
    pub changed_at: Timestamp,
}

/// Reads what is known of files.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait FileReads {
    /// What is known of a file.
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>>;
    /// Up to `limit` files, by id, after `after`.
    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>>;
    /// The files of a record, by id.
    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>>;
    /// The number of files in each state that any is in.
    fn file_counts(&self) -> Result<Vec<(FileState, u64)>>;
    /// Up to `limit` files that are to be tried at this moment or before, the longest due first, then by id.
    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>>;
}

/// Notes what is known of files.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait FileWrites: FileReads {
    /// Notes what is known of a file, in place of what was.
    fn put_file(&self, file: &FileEntry) -> Result<()>;
    /// Forgets what is known of a file; says whether there was anything.
    fn remove_file(&self, id: &RecordId) -> Result<bool>;
}
