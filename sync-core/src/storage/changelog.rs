//! Reads the changelog: the changes by cursor, and the history of one record.

use crate::changelog::{Audience, Change, ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// A choice of changelog rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All rows.
    All,
    /// Rows that sync did not write: local edits.
    Local,
    /// Rows that central sends to a site in an ordinary pull (`record-types`: *What central sends*).
    ForSite {
        /// The stores that are active on the site.
        stores: Vec<StoreId>,
        /// The site, to leave out rows that came from it.
        except_from: Option<SiteId>,
    },
    /// Rows about one patient whose audience is that patient's: a form of another store that names the patient is not
    /// among them.
    Patient(NameId),
    /// Rows that central sends to the site of one store and not to every site: those of the store and of its patients.
    Store(StoreId),
    /// Central data of the legacy server.
    Legacy,
}

impl Selection {
    /// Whether it is for a site that is sent rows of this audience: rows for every site, or for this store.
    pub(crate) fn is_for(&self, audience: &Audience, store: Option<&str>) -> bool {
        let Self::ForSite { stores, .. } = self else { return false };
        match audience {
            Audience::Everyone => true,
            _ => store.is_some_and(|store| stores.iter().any(|own| own.as_str() == store)),
        }
    }
}

/// The number of rows up to which a storage counts exactly.
pub const COUNTED_EXACTLY: u64 = 2048;

/// Reads the changelog by cursor.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait ChangelogReads {
    /// Up to `limit` selected changelog rows at or after `from`, by cursor: fewer only if there are no more. The page
    /// after a row begins at its cursor's [`next`](Cursor::next).
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>>;
    /// The same with the data that each record has now. A tombstone of a former store, or of a record that was for every site,
    /// has the data with which the record left, where they are kept, unless the record is for the selected site still, in
    /// another of its stores or in none, or was when it was deleted; if it has left several times, the last time counts. Ends early once the data
    /// exceed `bytes_max`, but not before the first row; the rows that were passed over come with the next call.
    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>>;
    /// The number of selected changelog rows at or after `from`: never too low, and exact if no rows are left out and
    /// none can be for two stores of a site. Otherwise it is exact below [`COUNTED_EXACTLY`] rows for each audience, and of
    /// more than seven stores below so many rows in all; above, it may include rows that the site sent itself, and a patient's row once for each store that sees it.
    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64>;
    /// The number of local edits, those of [`Selection::Local`], at or after `from` and before `end`, by table and action, in any
    /// order.
    fn count_local_edits(&self, from: Cursor, end: Cursor) -> Result<Vec<(TableName, ChangeAction, u64)>> {
        const PAGE: usize = 1000;
        let mut counts: Vec<(TableName, ChangeAction, u64)> = Vec::new();
        let mut next = from;
        loop {
            let rows = self.changes(&Selection::Local, next, PAGE)?;
            for Change { change: NewChange { table, action, .. }, .. } in rows.iter().filter(|row| row.cursor < end) {
                match counts.iter_mut().find(|(of, same, _)| of == table && same == action) {
                    Some((.., count)) => *count += 1,
                    None => counts.push((table.clone(), *action, 1)),
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE && last.cursor < end => next = last.cursor.next(),
                _ => return Ok(counts),
            }
        }
    }
    /// The cursor of the newest changelog row ever written, collapsed or not; 0 before the first.
    fn last_cursor(&self) -> Result<Cursor>;
}

/// Reads the history of one record in the changelog.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait HistoryReads {
    /// The changelog row of an existing record: that of its newest change.
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>>;
    /// The tombstones of a record, by cursor: the rows for the stores that it has left, and that of its deletion. Each
    /// comes with the data with which the record left the store, if stored.
    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>>;
    /// The cursor at which a record got its current data, or at which it was deleted. A row logged again with the same
    /// data, or for a record that was deleted already, does not move it.
    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// The newest cursor of a tombstone which tells that a record left one of these stores. A row logged again moves it: the
    /// sites are told once more.
    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>>;
    /// True if there is a local edit of this record at or after `from`.
    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool>;
    /// The store of a record when it was deleted, from its newest deletion in the changelog.
    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>>;
}
