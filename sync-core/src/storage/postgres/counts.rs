//! The number of changelog rows of each audience, in parts of the changelog: the rows from a cursor on are the sum of
//! the later parts and a count within one part.

use super::text::Text;
use super::txn::PostgresTxn;
use crate::error::Result;

/// The cursors of a part. A count reads half of their rows on average, for any size of the changelog.
pub(super) const PART: i64 = 8192;

impl PostgresTxn<'_> {
    /// Counts a row that came or went.
    pub(super) fn count(&self, audience: String, cursor: i64, rows: i64) {
        *self.counts.borrow_mut().entry((audience, cursor / PART)).or_default() += rows;
    }

    /// Writes the counts, in two round trips at most.
    pub(super) fn write_counts(&self) -> Result<()> {
        let mut pending = self.counts.take();
        pending.retain(|_, rows| *rows != 0);
        if pending.is_empty() {
            return Ok(());
        }
        let audiences: Vec<Text<'_>> = pending.keys().map(|(audience, _)| Text(audience)).collect();
        let parts: Vec<i64> = pending.keys().map(|(_, part)| *part).collect();
        let rows: Vec<i64> = pending.values().copied().collect();
        let add = "INSERT INTO sync_count (audience, part, rows) \
                   SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) \
                   ON CONFLICT (audience, part) DO UPDATE SET rows = sync_count.rows + excluded.rows";
        self.execute(add, &[&audiences, &parts, &rows])?;
        if rows.iter().any(|rows| *rows < 0) {
            let tidy = "DELETE FROM sync_count c USING unnest($1::text[], $2::bigint[]) AS p (audience, part) \
                        WHERE c.audience = p.audience AND c.part = p.part AND c.rows = 0";
            self.execute(tidy, &[&audiences, &parts])?;
        }
        Ok(())
    }
}
