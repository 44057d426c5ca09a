//! What is copied from one storage to the other, and what each does for that.

pub(in crate::storage) mod tables;

use self::tables::{CopiedTable, Row, Value};
use super::sql::DatabasePosition;
use crate::error::Result;

/// One of the two databases, which nobody else uses meanwhile.
pub(in crate::storage) trait End: Send {
    /// Its path or address, without a password.
    fn shown(&self) -> String;

    /// A setting.
    fn setting(&mut self, key: &str) -> Result<Option<String>>;

    /// Which database it is, and how far it has come.
    fn position(&mut self) -> Result<DatabasePosition>;

    /// The number of rows of a table.
    fn count(&mut self, table: &'static CopiedTable) -> Result<u64>;

    /// The last key of a table.
    fn last_key(&mut self, table: &'static CopiedTable) -> Result<Option<Row>>;

    /// Reads the rows of a table after a key, in its order, one after the other.
    fn each_row(
        &mut self,
        table: &'static CopiedTable,
        after: Option<&[Value]>,
        visit: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()>;

    /// The last number that was given out for each table that counts, in the order of [`TABLES`](tables::TABLES).
    fn counters(&mut self) -> Result<Vec<i64>>;

    /// Removes all rows, and marks the database as an unfinished copy.
    fn begin(&mut self, mark: &str) -> Result<()>;

    /// Writes rows in one transaction.
    fn write(&mut self, table: &'static CopiedTable, rows: &[Row]) -> Result<()>;

    /// Makes the counts of audiences, sets the counters and the position, and removes the mark, in one transaction.
    fn finish(&mut self, position: &DatabasePosition, counters: &[i64]) -> Result<()>;

    /// Marks the database as moved, in a commit of its own. A backup of before is recognised as one if it is put back.
    ///
    /// # Errors
    /// `database_busy`: somebody has written since `commits`.
    fn mark_moved(&mut self, mark: &str, commits: u64) -> Result<()>;

    /// Marks the database as an unfinished copy, without removing anything.
    fn mark_unfinished(&mut self, mark: &str) -> Result<()>;

    /// Removes the mark of a database that was moved. If others may have used its copy, it counts as restored from a backup.
    fn take_back(&mut self, counts_as_restored: bool) -> Result<()>;
}
