//! What a migration says of itself.

use serde::Serialize;

use crate::record::Cursor;

/// What a migration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationStep {
    /// Copies rows.
    Copy,
    /// Compares the rows of both databases.
    Compare,
}

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationProgress {
    /// What it does.
    pub step: MigrationStep,
    /// The table.
    pub table: &'static str,
    /// The rows of the table that are done.
    pub done: u64,
    /// All its rows.
    pub total: u64,
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopiedRows {
    /// The table.
    pub table: &'static str,
    /// Its rows, in both databases.
    pub rows: u64,
    /// The SHA-256 of these rows, in the order of their key.
    pub sha256: String,
}

/// The result of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationReport {
    /// True if an interrupted migration was continued.
    pub resumed: bool,
    /// The newest cursor that the database has given out.
    pub newest_cursor: Cursor,
    /// The tables, which are equal in both databases.
    pub tables: Vec<CopiedRows>,
}
