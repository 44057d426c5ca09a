//! The changelog: what changed for whom, and what it says about one record.

use crate::changelog::{Audience, Change, NewChange};
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// Which changelog rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that sync did not write: local edits.
    Local,
    /// Those that central sends to a site in an ordinary pull (`record-types`: *What central sends*).
    ForSite {
        /// The stores that are active on the site.
        stores: Vec<StoreId>,
        /// The site, if rows that came from it are left out.
        except_from: Option<SiteId>,
    },
    /// Those about one patient whose audience is that patient's: a form of another store that names the patient is not
    /// among them.
    Patient(NameId),
    /// Those that central sends to the site of one store and not to every site: the store's own, and those of its patients.
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

/// Up to how many rows a storage counts one by one.
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
    /// The number of selected changelog rows at or after `from`: never fewer than there are, and exact where no rows are
    /// left out and none can be for two stores of a site. Otherwise it is exact as long as there are fewer than
    /// [`COUNTED_EXACTLY`] rows for each audience, and may count beyond that what the site sent itself, or a patient's row
    /// once for each store that sees it.
    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64>;
    /// The cursor of the newest changelog row ever written, collapsed or not; 0 before the first.
    fn last_cursor(&self) -> Result<Cursor>;
}

/// Reads what the changelog says about one record.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait HistoryReads {
    /// The changelog row of a record that is here: that of its newest change.
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>>;
    /// The tombstones of a record, by cursor: the rows for the stores that it has left, and that of its deletion. With each
    /// come the data with which the record left the store, where they are kept.
    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>>;
    /// The cursor at which a record got the data that it has, or at which it was deleted. A row that is logged again with the
    /// same data, or of a record that was deleted already, does not move it.
    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// The newest of the cursors at which a record left one of these stores, as far as its tombstones say.
    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>>;
    /// Whether there is a local edit of this record at or after `from`.
    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool>;
    /// The store that a record was in when it was deleted, as its newest deletion in the changelog has it.
    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>>;
}
