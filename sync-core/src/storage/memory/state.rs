//! The whole content of a storage in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::changelog::{ChangelogGap, NewChange};
use crate::clock::Timestamp;
use crate::record::{Cursor, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::found::Found;
use crate::storage::state::{LOST, with_gap};
use crate::storage::{Buffered, FileEntry, LogEntry, MirroredRecord, SiteActivity, SiteEntry};

/// The subject of a changelog row: there is one row for each.
pub(super) type ChangeKey = (TableName, RecordId, Option<StoreId>);

/// A record, with the cursor of its newest change.
#[derive(Clone)]
pub(super) struct RecordRow {
    pub data: RecordData,
    pub cursor: Cursor,
    /// The cursor at which it got this data.
    pub written: Cursor,
    pub found: Found,
}

/// A tombstone: a change that is not the newest of an existing record.
#[derive(Clone)]
pub(super) struct Tombstone {
    pub cursor: Cursor,
    /// The cursor at which the record left the store or was deleted.
    pub written: Cursor,
    /// The record as it left the store.
    pub left_as: Option<RecordData>,
}

/// What is noted of a record that a site pushed.
#[derive(Clone, Copy, Default)]
pub(super) struct PushedRow {
    pub cursor: Cursor,
    pub is_former: bool,
    pub taken: Option<(u64, Timestamp)>,
}

/// The whole content of a storage. Clones share it; a write copies the part first.
#[derive(Clone, Default)]
pub(super) struct State {
    pub records: BTreeMap<TableName, Arc<BTreeMap<RecordId, RecordRow>>>,
    pub changelog: Arc<BTreeMap<Cursor, NewChange>>,
    /// The tombstones: changes of records that were deleted, or that left a store.
    pub tombstones: Arc<BTreeMap<ChangeKey, Tombstone>>,
    pub newest: Cursor,
    pub buffer: Arc<BTreeMap<u64, Buffered>>,
    pub newest_sequence: u64,
    pub settings: Arc<BTreeMap<String, String>>,
    pub log: Arc<VecDeque<LogEntry>>,
    pub sites: Arc<BTreeMap<SiteId, SiteEntry>>,
    pub pushed: Arc<BTreeMap<(SiteId, TableName, RecordId), PushedRow>>,
    /// The mirror of legacy records of each site, by number.
    pub mirror: Arc<BTreeMap<(SiteId, u64), MirroredRecord>>,
    pub mirror_numbers: Arc<BTreeMap<(SiteId, TableName, RecordId), u64>>,
    pub newest_mirrored: u64,
    pub integrations: Arc<BTreeMap<SiteId, Timestamp>>,
    pub activity: Arc<BTreeMap<SiteId, SiteActivity>>,
    pub files: Arc<BTreeMap<RecordId, FileEntry>>,
}

impl State {
    /// Records that this state replaced a newer one.
    pub(super) fn went_back_from(&mut self, newer: &Self) {
        let lost = ChangelogGap { after: self.newest, before: newer.newest.max(self.newest).next() };
        let text = with_gap(self.settings.get(LOST.name()).map(String::as_str), lost);
        Arc::make_mut(&mut self.settings).insert(LOST.name().to_owned(), text);
        self.newest = lost.before;
        self.newest_sequence = newer.newest_sequence.max(self.newest_sequence);
    }

    pub(super) fn goes_on_at(&mut self, position: Cursor) {
        self.newest = self.newest.max(Cursor(position.0.saturating_sub(1)));
    }
}

pub(super) fn place(change: &NewChange) -> ChangeKey {
    (change.table.clone(), change.id.clone(), change.store.clone())
}

/// A mutex whose holder panicked still guards a valid state, because nothing is changed in place.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
