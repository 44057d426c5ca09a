//! How far a database has come: what is known of it elsewhere tells whether it was put back to an older state.

use crate::record::Cursor;

/// The most cursors that are skipped if it is unknown which were used. Small, because Open mSupply 2.x keeps cursors in 32
/// bits (weak point A17).
const LEFT_OUT: u64 = 1_000_000;

/// The number of cursors to skip after this one: a small part of those that 2.x sites can still count, so that no
/// number of restores uses them up.
pub(in crate::storage) fn left_out(newest: Cursor) -> u64 {
    (Cursor::SITES_END.saturating_sub(newest.0) / 2000).clamp(10_000, LEFT_OUT)
}

/// The newest state of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct DatabasePosition {
    /// The id of the database.
    pub database: String,
    /// The number of its commits.
    pub commits: u64,
    /// Its newest cursor.
    pub newest: Cursor,
}

impl DatabasePosition {
    pub(in crate::storage) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace();
        let (database, commits, newest) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            database: database.to_owned(),
            commits: commits.parse().ok()?,
            newest: Cursor(newest.parse().ok()?),
        })
    }

    /// Of constant length, so that it is overwritten in place.
    pub(in crate::storage) fn text(&self) -> String {
        format!("{} {:020} {:020}\n", self.database, self.commits, self.newest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(database: &str, commits: u64, newest: u64) -> DatabasePosition {
        DatabasePosition { database: database.to_owned(), commits, newest: Cursor(newest) }
    }

    #[test]
    fn a_mark_comes_back_and_keeps_its_length() {
        let (small, large) = (mark("a", 1, 2), mark("a", u64::MAX, u64::MAX));
        assert_eq!(DatabasePosition::parse(&large.text()), Some(large.clone()));
        assert_eq!(small.text().len(), large.text().len());
        for broken in ["", "a", "a 1", "a x 2", "a 1 -2"] {
            assert_eq!(DatabasePosition::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn restores_never_use_up_what_sites_can_count() {
        let mut newest = Cursor(5_000_000);
        for _ in 0..10_000 {
            newest = Cursor(newest.0 + left_out(newest));
        }
        assert!(newest.0 < Cursor::SITES_END, "{newest}");
        assert_eq!(left_out(Cursor(0)), LEFT_OUT);
    }
}
