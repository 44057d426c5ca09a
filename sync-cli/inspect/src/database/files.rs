//! Files that travel separately from records.

use serde::Serialize;
use sync_core::Result;

use super::open::{Database, failed};
use super::values::first_line;

/// The files of one direction and state.
#[derive(Debug, Serialize)]
pub struct FileCounts {
    /// `upload` or `download`.
    pub direction: String,
    /// The state in Open mSupply: `new`, `in_progress`, `error`, `done`, `permanent_failure`.
    pub status: String,
    /// Their number.
    pub files: i64,
    /// Their bytes together.
    pub bytes: i64,
    /// The most tries of one of them.
    pub retries: i64,
    /// One of the errors.
    #[serde(rename = "error_text")]
    pub error: Option<String>,
}

pub(super) fn files(database: &Database) -> Result<Vec<FileCounts>> {
    if !database.has_table("sync_file_reference") {
        return Ok(Vec::new());
    }
    let sql = "SELECT LOWER(direction), LOWER(status), COUNT(*), SUM(total_bytes), MAX(retries), MAX(error) \
               FROM sync_file_reference WHERE deleted_datetime IS NULL GROUP BY 1, 2 ORDER BY 1 DESC, 2";
    let mut query = database.connection.prepare(sql).map_err(failed)?;
    let rows = query.query_map((), |row| {
        Ok(FileCounts {
            direction: row.get(0)?,
            status: row.get(1)?,
            files: row.get(2)?,
            bytes: row.get(3)?,
            retries: row.get(4)?,
            error: row.get::<_, Option<String>>(5)?.as_deref().map(first_line),
        })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}
