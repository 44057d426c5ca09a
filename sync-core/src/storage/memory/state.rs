//! What is stored, and the questions that need more than a look-up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::changelog::ChangelogGap;
use crate::changelog::{Audience, Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::protocol::v6::Action;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::found::{Found, JOINS};
use crate::storage::gaps::with_gap;
use crate::storage::{
    Buffered, FileEntry, KeptRecord, LogEntry, Selection, SiteActivity, SiteEntry, Source, StagedKind, key,
};

/// How many cycles the sync log keeps: a week of one every ten minutes.
const LOG_KEPT: usize = 1000;

/// What a changelog row is about: there is one for each.
type Place = (TableName, RecordId, Option<StoreId>);

/// A record, and where its own newest change stands.
#[derive(Clone)]
pub(super) struct Stored {
    pub data: RecordData,
    pub cursor: Cursor,
    /// Where it got this data.
    pub written: Cursor,
    found: Found,
}

/// A change that stands beside.
#[derive(Clone)]
struct Beside {
    cursor: Cursor,
    /// Where what it tells happened.
    written: Cursor,
    /// The record as it left the store.
    left_as: Option<RecordData>,
}

/// What is noted of a record that a site pushed.
#[derive(Clone, Copy, Default)]
pub(super) struct Noted {
    pub cursor: Cursor,
    pub is_former: bool,
    pub taken: Option<(u64, Timestamp)>,
}

/// All that a storage holds. A clone shares everything; what is then written is copied first.
#[derive(Clone, Default)]
pub(super) struct State {
    pub records: BTreeMap<TableName, Arc<BTreeMap<RecordId, Stored>>>,
    changelog: Arc<BTreeMap<Cursor, NewChange>>,
    /// The changes that are not a record's own newest: of records that were deleted, or that left a store.
    beside: Arc<BTreeMap<Place, Beside>>,
    pub newest: Cursor,
    pub buffer: Arc<BTreeMap<u64, Buffered>>,
    newest_sequence: u64,
    pub settings: Arc<BTreeMap<String, String>>,
    pub log: Arc<VecDeque<LogEntry>>,
    pub sites: Arc<BTreeMap<SiteId, SiteEntry>>,
    pub pushed: Arc<BTreeMap<(SiteId, TableName, RecordId), Noted>>,
    /// What is kept for each site, by number.
    pub kept: Arc<BTreeMap<(SiteId, u64), KeptRecord>>,
    pub kept_numbers: Arc<BTreeMap<(SiteId, TableName, RecordId), u64>>,
    pub newest_kept: u64,
    pub integrations: Arc<BTreeMap<SiteId, Timestamp>>,
    pub activity: Arc<BTreeMap<SiteId, SiteActivity>>,
    pub files: Arc<BTreeMap<RecordId, FileEntry>>,
}

impl State {
    pub(super) fn record(&self, table: &TableName, id: &RecordId) -> Option<&Stored> {
        self.records.get(table)?.get(id)
    }

    fn all<'s>(&'s self, table: &str) -> impl Iterator<Item = (&'s RecordId, &'s Found)> + use<'s> {
        let records = self.records.get(&TableName::from(table));
        records.into_iter().flat_map(|records| records.iter().map(|(id, stored)| (id, &stored.found)))
    }

    pub(super) fn children(&self, table: &TableName, parent: &RecordId) -> Vec<RecordId> {
        let is_child = |found: &Found| found.parent.as_ref() == Some(parent);
        self.all(table.as_str()).filter(|(_, found)| is_child(found)).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn stores_of_site(&self, site: SiteId) -> Vec<StoreId> {
        let is_there = |found: &Found| found.site == Some(i64::from(site.0));
        self.all("store").filter(|(_, found)| is_there(found)).map(|(id, _)| StoreId::from(id.as_str())).collect()
    }

    pub(super) fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> bool {
        let joins = |(of, to): &(NameId, StoreId)| of == name && stores.contains(to);
        self.all(JOINS).any(|(_, found)| found.join.as_ref().is_some_and(joins))
    }

    /// The selected changes at or after `from`, by cursor.
    pub(super) fn selected<'s>(&'s self, selection: &'s Selection, from: Cursor) -> impl Iterator<Item = Change> + 's {
        let rows = self.changelog.range(from..).filter(|(_, change)| self.is_selected(selection, change));
        rows.map(|(cursor, change)| Change { cursor: *cursor, change: change.clone() })
    }

    fn is_selected(&self, selection: &Selection, change: &NewChange) -> bool {
        match selection {
            Selection::All => true,
            Selection::Local => !change.is_sync_update,
            Selection::Patient(name) => change.audience == Audience::Patient && change.name.as_ref() == Some(name),
            Selection::Store(store) => match &change.audience {
                Audience::Store(of) => of == store,
                Audience::Patient => {
                    change.name.as_ref().is_some_and(|name| self.is_visible(name, std::slice::from_ref(store)))
                }
                _ => false,
            },
            Selection::Legacy => change.audience == Audience::Legacy,
            Selection::ForSite { except_from: Some(site), .. } if change.source_site == Some(*site) => false,
            Selection::ForSite { stores, .. } => match &change.audience {
                Audience::Everyone => true,
                Audience::Store(store) => stores.contains(store),
                Audience::Patient => change.name.as_ref().is_some_and(|name| self.is_visible(name, stores)),
                Audience::Legacy | Audience::Nobody => false,
            },
        }
    }

    pub(super) fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> bool {
        let of_record = |change: &NewChange| change.table == *table && change.id == *id;
        self.changelog.range(from..).any(|(_, change)| of_record(change) && !change.is_sync_update)
    }

    pub(super) fn deleted_in(&self, table: &TableName, id: &RecordId) -> Option<StoreId> {
        let deleted = self.beside_of(table, id).filter(|(_, change)| change.action == ChangeAction::Delete);
        deleted.max_by_key(|(beside, _)| beside.cursor)?.1.store.clone()
    }

    fn beside_of(&self, table: &TableName, id: &RecordId) -> impl Iterator<Item = (&Beside, &NewChange)> {
        let of_record = self.beside.range((table.clone(), id.clone(), None)..);
        let of_record = of_record.take_while(move |((of, record, _), _)| of == table && record == id);
        of_record.filter_map(|(_, beside)| Some((beside, self.changelog.get(&beside.cursor)?)))
    }

    pub(super) fn written_at(&self, table: &TableName, id: &RecordId) -> Option<Cursor> {
        if let Some(stored) = self.record(table, id) {
            return Some(stored.written);
        }
        let deleted = self.beside_of(table, id).filter(|(_, change)| change.action == ChangeAction::Delete);
        deleted.map(|(beside, _)| beside.written).max()
    }

    pub(super) fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Option<Cursor> {
        let left_these = |(_, change): &(&Beside, &NewChange)| {
            change.action == ChangeAction::Upsert && change.store.as_ref().is_some_and(|store| stores.contains(store))
        };
        self.beside_of(table, id).filter(left_these).map(|(beside, _)| beside.written).max()
    }

    /// The data that goes with a changelog row: what the record has now, or had when it left the store of the row, unless
    /// it is in another one of the site that the selection is for, or was deleted there.
    pub(super) fn data_of(&self, selection: &Selection, row: &Change) -> Option<RecordData> {
        let beside = self.beside.get(&place(&row.change)).filter(|beside| beside.cursor == row.cursor);
        let stored = self.record(&row.change.table, &row.change.id);
        let store = match stored {
            Some(stored) => self.changelog.get(&stored.cursor).and_then(|change| change.store.clone()),
            None => self.deleted_in(&row.change.table, &row.change.id),
        };
        let is_still_there = store.is_some_and(|store| selection.is_for_store(store.as_str()));
        match beside.and_then(|beside| beside.left_as.clone()).filter(|_| !is_still_there) {
            None => stored.map(|stored| stored.data.clone()),
            left_as => self.left_last(selection, &row.change).or(left_as),
        }
    }

    /// The data that a record had when it left the last of the stores of the site that a selection is for: it may have gone
    /// from one to the other before, and the row that tells of that may be logged anew.
    fn left_last(&self, selection: &Selection, change: &NewChange) -> Option<RecordData> {
        let of_site = |change: &NewChange| {
            let store = change.store.as_ref().is_some_and(|store| selection.is_for_store(store.as_str()));
            store && change.action == ChangeAction::Upsert
        };
        let left = self.beside_of(&change.table, &change.id).filter(|(_, change)| of_site(change));
        let left = left.filter_map(|(beside, _)| Some((beside.written, beside.left_as.as_ref()?)));
        left.max_by_key(|(written, _)| *written).map(|(_, data)| data.clone())
    }

    pub(super) fn newest_change(&self, table: &TableName, id: &RecordId) -> Option<NewChange> {
        self.changelog.get(&self.record(table, id)?.cursor).cloned()
    }

    pub(super) fn changes_beside(&self, table: &TableName, id: &RecordId) -> Vec<(NewChange, Option<RecordData>)> {
        let mut rows: Vec<_> = self.beside_of(table, id).collect();
        rows.sort_by_key(|(beside, _)| beside.cursor);
        rows.into_iter().map(|(beside, change)| (change.clone(), beside.left_as.clone())).collect()
    }

    pub(super) fn put_record(&mut self, data: &RecordData, change: &NewChange) -> Cursor {
        let cursor = self.add_to_changelog(change);
        let records = Arc::make_mut(self.records.entry(change.table.clone()).or_default());
        let same = records.get(&change.id).filter(|stored| stored.data == *data);
        let written = same.map_or(cursor, |stored| stored.written);
        let found = Found::of(&change.table, data);
        let before = records.insert(change.id.clone(), Stored { data: data.clone(), cursor, written, found });
        let left = Arc::make_mut(&mut self.beside).remove(&place(change)).map(|beside| beside.cursor);
        for superseded in before.map(|stored| stored.cursor).into_iter().chain(left) {
            Arc::make_mut(&mut self.changelog).remove(&superseded);
        }
        cursor
    }

    pub(super) fn remove_record(&mut self, change: &NewChange) -> Cursor {
        let records = self.records.get_mut(&change.table).map(Arc::make_mut);
        let before = records.and_then(|records| records.remove(&change.id));
        if let Some(before) = &before {
            Arc::make_mut(&mut self.changelog).remove(&before.cursor);
        }
        self.append_change(change, None, before.is_some())
    }

    /// Adds a row beside. Of what it tells again it keeps where that happened first.
    pub(super) fn append_change(&mut self, change: &NewChange, left_as: Option<&RecordData>, is_news: bool) -> Cursor {
        let cursor = self.add_to_changelog(change);
        let place = place(change);
        let former = self.beside.get(&place).filter(|former| {
            let row = self.changelog.get(&former.cursor);
            !is_news && former.left_as.as_ref() == left_as && row.is_some_and(|row| row.action == change.action)
        });
        let written = former.map_or(cursor, |former| former.written);
        let beside = Beside { cursor, written, left_as: left_as.cloned() };
        if let Some(superseded) = Arc::make_mut(&mut self.beside).insert(place, beside) {
            Arc::make_mut(&mut self.changelog).remove(&superseded.cursor);
        }
        cursor
    }

    pub(super) fn mark_synced(&mut self, table: &TableName, id: &RecordId) {
        for change in Arc::make_mut(&mut self.changelog).values_mut() {
            change.is_sync_update |= change.table == *table && change.id == *id;
        }
    }

    fn add_to_changelog(&mut self, change: &NewChange) -> Cursor {
        self.newest = self.newest.next();
        Arc::make_mut(&mut self.changelog).insert(self.newest, change.clone());
        self.newest
    }

    pub(super) fn staged(&self, source: Source) -> impl Iterator<Item = (&Buffered, StagedKind)> {
        let staged = move |row: &&Buffered| row.incoming.source == source && row.incoming.quarantine.is_none();
        self.buffer.values().filter(staged).map(|row| (row, StagedKind::of(row.incoming.action)))
    }

    pub(super) fn stage(&mut self, mut row: Buffered) {
        let incoming = &mut row.incoming;
        if incoming.action == Action::Insert {
            incoming.action = Action::Update;
        }
        incoming.known.here.get_or_insert(self.newest);
        if incoming.action != Action::Merge {
            self.discard(incoming.source, &incoming.table, &incoming.id);
        }
        self.newest_sequence += 1;
        row.sequence = self.newest_sequence;
        Arc::make_mut(&mut self.buffer).insert(row.sequence, row);
    }

    pub(super) fn discard(&mut self, source: Source, table: &TableName, id: &RecordId) {
        Arc::make_mut(&mut self.buffer).retain(|_, row| {
            let incoming = &row.incoming;
            let same = incoming.source == source && incoming.table == *table && incoming.id == *id;
            !same || incoming.action == Action::Merge
        });
    }

    /// Requests the integration of the sites that had pushed what is chosen, as of the time at which it was received.
    fn request_integration_of(&mut self, chosen: impl Fn(&Buffered) -> bool) {
        let mut oldest: BTreeMap<SiteId, Timestamp> = BTreeMap::new();
        for row in self.buffer.values().filter(|row| chosen(row)) {
            if let Source::Site(site) = row.incoming.source {
                let at = oldest.entry(site).or_insert(row.received_at);
                *at = row.received_at.min(*at);
            }
        }
        for (site, at) in oldest {
            self.request_integration(site, at);
        }
    }

    pub(super) fn request_integration(&mut self, site: SiteId, at: Timestamp) {
        Arc::make_mut(&mut self.integrations).entry(site).or_insert(at);
    }

    /// Stages again what is set aside and chosen, and requests the integration of the sites that had pushed it; says
    /// how many.
    pub(super) fn stage_again(&mut self, chosen: impl Fn(&Buffered) -> bool) -> u64 {
        self.request_integration_of(|row| row.incoming.quarantine.is_some() && chosen(row));
        let mut count = 0;
        for row in Arc::make_mut(&mut self.buffer).values_mut() {
            if row.incoming.quarantine.is_some() && chosen(row) {
                row.incoming.quarantine = None;
                count += 1;
            }
        }
        count
    }

    /// Says that this state was put in place of a newer one.
    pub(super) fn went_back_from(&mut self, newer: &Self) {
        let lost = ChangelogGap { after: self.newest, before: newer.newest.max(self.newest).next() };
        let text = with_gap(self.settings.get(key::LOST).map(String::as_str), lost);
        Arc::make_mut(&mut self.settings).insert(key::LOST.to_owned(), text);
        self.newest = lost.before;
        self.newest_sequence = newer.newest_sequence.max(self.newest_sequence);
    }

    pub(super) fn goes_on_at(&mut self, position: Cursor) {
        self.newest = self.newest.max(Cursor(position.0.saturating_sub(1)));
    }

    pub(super) fn add_log(&mut self, entry: &LogEntry) {
        let log = Arc::make_mut(&mut self.log);
        log.push_front(entry.clone());
        log.truncate(LOG_KEPT);
    }
}

fn place(change: &NewChange) -> Place {
    (change.table.clone(), change.id.clone(), change.store.clone())
}

/// A mutex whose holder panicked still guards a sound state: nothing is changed in place.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
