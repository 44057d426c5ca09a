//! The marks of a migration that keep the original and an unfinished copy from being used.
#![cfg_attr(
    not(all(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "only a program with both storages migrates")
)]

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The setting of a database that was moved elsewhere.
pub(in crate::storage) const MOVED: &str = "moved_to";
/// The setting of a database into which another one is being copied.
pub(in crate::storage) const UNFINISHED: &str = "copied_from";

/// What the original knows of its copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::storage) struct MovedTo {
    /// The copy, for people; without a password.
    pub place: String,
    /// When it was moved.
    pub at: String,
    /// The number of commits of the original when it was copied.
    pub commits: u64,
}

/// What an unfinished copy knows of its original.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::storage) struct CopiedFrom {
    /// The original, for people; without a password.
    pub place: String,
    /// The id of the original.
    pub database: String,
    /// The number of its commits when the copying began: any later one makes the copy stale.
    pub commits: u64,
}

impl CopiedFrom {
    /// True if both are of one state of one original, under whatever name.
    pub(in crate::storage) fn is_of(&self, other: &Self) -> bool {
        (&self.database, self.commits) == (&other.database, other.commits)
    }
}

/// The text of a mark.
pub(in crate::storage) fn text_of(mark: &impl Serialize) -> Result<String> {
    serde_json::to_string(mark).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::DamagedState { what: "the mark of a migration".to_owned() }
}

/// Reads the mark of a database that was moved.
pub(in crate::storage) fn moved_to(text: Option<&str>) -> Result<Option<MovedTo>> {
    text.map(serde_json::from_str).transpose().map_err(|_| damaged())
}

/// Reads the mark of an unfinished copy.
pub(in crate::storage) fn copied_from(text: Option<&str>) -> Result<Option<CopiedFrom>> {
    text.map(serde_json::from_str).transpose().map_err(|_| damaged())
}

/// Refuses a database that was moved.
pub(in crate::storage) fn refuse_moved(database: &str, mark: Option<&str>) -> Result<()> {
    match moved_to(mark)? {
        Some(moved) => Err(Error::DatabaseMoved { database: database.to_owned(), to: moved.place, at: moved.at }),
        None => Ok(()),
    }
}

/// Refuses an unfinished copy.
pub(in crate::storage) fn refuse_unfinished(database: &str, mark: Option<&str>) -> Result<()> {
    match copied_from(mark)? {
        Some(copied) => Err(Error::MigrationUnfinished { database: database.to_owned(), from: copied.place }),
        None => Ok(()),
    }
}
