//! The changelog: its rows, selections of them, and the history of one record.

use std::sync::Arc;

use super::state::{RecordRow, State, Tombstone, place};
use super::txn::{MemoryTxn, within};
use crate::changelog::{Audience, Change, ChangeAction, NewChange};
use crate::error::Result;
use crate::record::{Cursor, RecordData, RecordId, StoreId, TableName};
use crate::storage::found::Found;
use crate::storage::{ChangelogReads, HistoryReads, RecordWrites, Selection};

impl ChangelogReads for MemoryTxn<'_> {
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        Ok(self.state.borrow().selected(selection, from).take(limit).collect())
    }

    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>> {
        let state = self.state.borrow();
        let with_data = |row: Change| {
            let data = state.data_of(selection, &row);
            (row, data)
        };
        let rows = state.selected(selection, from).take(limit).map(with_data);
        Ok(within(rows, bytes_max, |(_, data)| data.as_ref().map_or(0, |data| data.as_str().len())))
    }

    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        Ok(self.state.borrow().selected(selection, from).count() as u64)
    }

    fn last_cursor(&self) -> Result<Cursor> {
        Ok(self.state.borrow().newest)
    }
}

impl HistoryReads for MemoryTxn<'_> {
    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        let state = self.state.borrow();
        let stored = state.record(table, id);
        Ok(stored.and_then(|stored| state.changelog.get(&stored.cursor).cloned()))
    }

    fn tombstones(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        let state = self.state.borrow();
        let mut rows: Vec<_> = state.tombstones_of(table, id).collect();
        rows.sort_by_key(|(tombstone, _)| tombstone.cursor);
        Ok(rows.into_iter().map(|(tombstone, change)| (change.clone(), tombstone.left_as.clone())).collect())
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let state = self.state.borrow();
        if let Some(stored) = state.record(table, id) {
            return Ok(Some(stored.written));
        }
        let deleted = state.tombstones_of(table, id).filter(|(_, change)| change.action == ChangeAction::Delete);
        Ok(deleted.map(|(tombstone, _)| tombstone.written).max())
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        let state = self.state.borrow();
        let left_these = |(_, change): &(&Tombstone, &NewChange)| {
            change.action == ChangeAction::Upsert && change.store.as_ref().is_some_and(|store| stores.contains(store))
        };
        Ok(state.tombstones_of(table, id).filter(left_these).map(|(tombstone, _)| tombstone.cursor).max())
    }

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        let state = self.state.borrow();
        let of_record = |change: &NewChange| change.table == *table && change.id == *id;
        Ok(state.changelog.range(from..).any(|(_, change)| of_record(change) && !change.is_sync_update))
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        Ok(self.state.borrow().deleted_in(table, id))
    }
}

impl State {
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
                Audience::Legacy | Audience::Nobody | Audience::LocalOnly => false,
            },
        }
    }

    /// The data that goes with a changelog row: what the record has now, or had when it left the store of the row, unless
    /// it is for the site of the selection still, in another store or in none, or was when it was deleted.
    pub(super) fn data_of(&self, selection: &Selection, row: &Change) -> Option<RecordData> {
        let tombstone = self.tombstones.get(&place(&row.change)).filter(|tombstone| tombstone.cursor == row.cursor);
        let stored = self.record(&row.change.table, &row.change.id);
        let newest = match stored {
            Some(stored) => self.changelog.get(&stored.cursor),
            None => self.deletion(&row.change.table, &row.change.id),
        };
        let is_still_there = newest.is_some_and(|change| is_for_site_of(selection, change));
        match tombstone.and_then(|tombstone| tombstone.left_as.clone()).filter(|_| !is_still_there) {
            None => stored.map(|stored| stored.data.clone()),
            left_as => self.left_last(selection, &row.change).or(left_as),
        }
    }

    /// The data with which a record was last not for the site of a selection any more, because it left the site's store or went
    /// into one after it was for every site: it may have gone from one to the other before, and the row that tells of that may
    /// be logged anew.
    fn left_last(&self, selection: &Selection, change: &NewChange) -> Option<RecordData> {
        let of_site = |row: &NewChange| row.action == ChangeAction::Upsert && is_for_site_of(selection, row);
        let left = self.tombstones_of(&change.table, &change.id).filter(|(_, change)| of_site(change));
        let left = left.filter_map(|(tombstone, _)| Some((tombstone.written, tombstone.left_as.as_ref()?)));
        left.max_by_key(|(written, _)| *written).map(|(_, data)| data.clone())
    }
}

impl State {
    fn tombstones_of(&self, table: &TableName, id: &RecordId) -> impl Iterator<Item = (&Tombstone, &NewChange)> {
        let of_record = self.tombstones.range((table.clone(), id.clone(), None)..);
        let of_record = of_record.take_while(move |((of, record, _), _)| of == table && record == id);
        of_record.filter_map(|(_, tombstone)| Some((tombstone, self.changelog.get(&tombstone.cursor)?)))
    }

    pub(super) fn deleted_in(&self, table: &TableName, id: &RecordId) -> Option<StoreId> {
        self.deletion(table, id)?.store.clone()
    }

    /// The newest row of a deletion.
    fn deletion(&self, table: &TableName, id: &RecordId) -> Option<&NewChange> {
        let deleted = self.tombstones_of(table, id).filter(|(_, change)| change.action == ChangeAction::Delete);
        deleted.max_by_key(|(tombstone, _)| tombstone.cursor).map(|(_, change)| change)
    }
}

/// True if a row is for the site of a selection.
fn is_for_site_of(selection: &Selection, row: &NewChange) -> bool {
    selection.is_for(&row.audience, row.store.as_ref().map(StoreId::as_str))
}

impl RecordWrites for MemoryTxn<'_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        let state = &mut *self.state.borrow_mut();
        let cursor = state.add_to_changelog(change);
        let records = Arc::make_mut(state.records.entry(change.table.clone()).or_default());
        let same = records.get(&change.id).filter(|stored| stored.data == *data);
        let written = same.map_or(cursor, |stored| stored.written);
        let found = Found::of(&change.table, data);
        let before = records.insert(change.id.clone(), RecordRow { data: data.clone(), cursor, written, found });
        let left = Arc::make_mut(&mut state.tombstones).remove(&place(change)).map(|tombstone| tombstone.cursor);
        for superseded in before.map(|stored| stored.cursor).into_iter().chain(left) {
            Arc::make_mut(&mut state.changelog).remove(&superseded);
        }
        Ok(cursor)
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        let state = &mut *self.state.borrow_mut();
        let records = state.records.get_mut(&change.table).map(Arc::make_mut);
        let before = records.and_then(|records| records.remove(&change.id));
        if let Some(before) = &before {
            Arc::make_mut(&mut state.changelog).remove(&before.cursor);
        }
        Ok(state.add_tombstone(change, None, before.is_some()))
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        Ok(self.state.borrow_mut().add_tombstone(change, left_as, false))
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        let mut state = self.state.borrow_mut();
        for change in Arc::make_mut(&mut state.changelog).values_mut() {
            change.is_sync_update |= change.table == *table && change.id == *id;
        }
        Ok(())
    }
}

impl State {
    /// Adds a tombstone. One equal to its predecessor keeps the earlier cursor.
    fn add_tombstone(&mut self, change: &NewChange, left_as: Option<&RecordData>, is_news: bool) -> Cursor {
        let cursor = self.add_to_changelog(change);
        let place = place(change);
        let former = self.tombstones.get(&place).filter(|former| {
            let row = self.changelog.get(&former.cursor);
            !is_news && former.left_as.as_ref() == left_as && row.is_some_and(|row| row.action == change.action)
        });
        let written = former.map_or(cursor, |former| former.written);
        let tombstone = Tombstone { cursor, written, left_as: left_as.cloned() };
        if let Some(superseded) = Arc::make_mut(&mut self.tombstones).insert(place, tombstone) {
            Arc::make_mut(&mut self.changelog).remove(&superseded.cursor);
        }
        cursor
    }

    fn add_to_changelog(&mut self, change: &NewChange) -> Cursor {
        self.newest = self.newest.next();
        Arc::make_mut(&mut self.changelog).insert(self.newest, change.clone());
        self.newest
    }
}
