//! A transaction: a copy of the state that takes the original's place at commit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use super::state::{Noted, State, lock};
use crate::changelog::{Change, NewChange};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::v6::Action;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::{
    Buffered, CHUNK_BYTES, FileEntry, FileState, Incoming, KeptRecord, LogEntry, Pushed, Quarantine, QuarantineCause,
    ReadTxn, Selection, SiteActivity, SiteEntry, Source, StagedCounts, StagedKind, WriteTxn,
};

/// Reads, or reads and writes: only the latter holds the original and the turn to write.
pub(super) struct MemoryTxn<'s> {
    state: RefCell<State>,
    original: Option<(&'s Mutex<State>, MutexGuard<'s, ()>)>,
}

impl<'s> MemoryTxn<'s> {
    pub(super) fn reading(state: State) -> Self {
        Self { state: RefCell::new(state), original: None }
    }

    pub(super) fn writing(state: State, original: &'s Mutex<State>, turn: MutexGuard<'s, ()>) -> Self {
        Self { state: RefCell::new(state), original: Some((original, turn)) }
    }
}

/// Takes items as long as their bytes fit, and the first in any case.
fn within<T>(items: impl Iterator<Item = T>, bytes_max: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<T> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for item in items {
        bytes += bytes_of(&item);
        if bytes > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(item);
    }
    taken
}

impl ReadTxn for MemoryTxn<'_> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        Ok(self.state.borrow().record(table, id).map(|stored| stored.data.clone()))
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        Ok(self.state.borrow().record(table, id).is_some())
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        let state = self.state.borrow();
        let Some(records) = state.records.get(table) else { return Ok(Vec::new()) };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = records.range::<RecordId, _>((after, Bound::Unbounded)).take(limit);
        Ok(rows.map(|(id, stored)| (id.clone(), stored.data.clone())).collect())
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        let state = self.state.borrow();
        let counts = state.records.iter().map(|(table, records)| (table.clone(), records.len() as u64));
        Ok(counts.filter(|(_, count)| *count > 0).collect())
    }

    fn written_at(&self, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        Ok(self.state.borrow().written_at(table, id))
    }

    fn left_at(&self, table: &TableName, id: &RecordId, stores: &[StoreId]) -> Result<Option<Cursor>> {
        Ok(self.state.borrow().left_at(table, id, stores))
    }

    fn children(&self, table: &TableName, _: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        Ok(self.state.borrow().children(table, parent))
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        Ok(self.state.borrow().stores_of_site(site))
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        Ok(self.state.borrow().is_visible(name, stores))
    }

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

    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        Ok(self.state.borrow().has_local_change(table, id, from))
    }

    fn deleted_in(&self, table: &TableName, id: &RecordId) -> Result<Option<StoreId>> {
        Ok(self.state.borrow().deleted_in(table, id))
    }

    fn newest_change(&self, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
        Ok(self.state.borrow().newest_change(table, id))
    }

    fn changes_beside(&self, table: &TableName, id: &RecordId) -> Result<Vec<(NewChange, Option<RecordData>)>> {
        Ok(self.state.borrow().changes_beside(table, id))
    }

    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>> {
        let state = self.state.borrow();
        let mut tables: BTreeMap<TableName, StagedCounts> = BTreeMap::new();
        for (row, kind) in state.staged(source) {
            let counts = tables.entry(row.incoming.table.clone()).or_default();
            match kind {
                StagedKind::Upserts => counts.upserts += 1,
                StagedKind::Deletes => counts.deletes += 1,
                StagedKind::Merges => counts.merges += 1,
            }
        }
        Ok(tables.into_iter().collect())
    }

    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>> {
        let state = self.state.borrow();
        let wanted = state.staged(source).filter(|(row, is)| {
            let in_table = row.incoming.table == *table;
            in_table && *is == kind && row.sequence > after
        });
        let rows = wanted.take(limit).map(|(row, _)| row);
        let chunk = within(rows, CHUNK_BYTES, |row| row.incoming.data.as_str().len());
        Ok(chunk.into_iter().cloned().collect())
    }

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        let is_version = |row: &&Buffered| {
            let incoming = &row.incoming;
            incoming.table == *table && incoming.id == *id && incoming.action != Action::Merge
        };
        Ok(self.state.borrow().buffer.values().filter(is_version).cloned().collect())
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let state = self.state.borrow();
        let mut rows = state.buffer.values().map(|row| &row.incoming);
        let found = rows.find(|row| {
            let may_come = row
                .quarantine
                .as_ref()
                .is_none_or(|aside| matches!(aside.cause, QuarantineCause::Waiting | QuarantineCause::Failed));
            let is_it = row.source == source && row.table == *table && row.id == *id;
            is_it && row.action != Action::Merge && may_come
        });
        Ok(found.and_then(|row| row.cursor))
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        let state = self.state.borrow();
        let rows = state.buffer.range((Bound::Excluded(after), Bound::Unbounded));
        let set_aside = rows.filter_map(|(_, row)| Some((row.clone(), row.incoming.quarantine.clone()?)));
        Ok(set_aside.take(limit).collect())
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        let state = self.state.borrow();
        let causes = || state.buffer.values().filter_map(|row| row.incoming.quarantine.as_ref());
        let count = |cause| (cause, causes().filter(|quarantine| quarantine.cause == cause).count() as u64);
        Ok(QuarantineCause::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect())
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for Incoming { source, quarantine, .. } in self.state.borrow().buffer.values().map(|row| &row.incoming) {
            if let (Source::Site(site), Some(quarantine)) = (source, quarantine) {
                *counts.entry((*site, quarantine.cause)).or_default() += 1;
            }
        }
        Ok(counts.into_iter().map(|((site, cause), count)| (site, cause, count)).collect())
    }

    fn state(&self, key: &str) -> Result<Option<String>> {
        Ok(self.state.borrow().settings.get(key).cloned())
    }

    fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        Ok(self.state.borrow().log.iter().take(limit).cloned().collect())
    }

    fn sites(&self) -> Result<Vec<SiteEntry>> {
        Ok(self.state.borrow().sites.values().cloned().collect())
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        Ok(self.state.borrow().sites.values().find(|site| site.name == name).cloned())
    }

    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let noted = self.state.borrow().pushed.get(&(site, table.clone(), id.clone())).copied();
        Ok(noted.filter(|noted| !noted.is_former).map(|noted| noted.cursor))
    }

    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Pushed>> {
        let noted = self.state.borrow().pushed.get(&(site, table.clone(), id.clone())).copied();
        Ok(noted.and_then(|Noted { cursor, is_former, taken }| {
            taken.map(|(fingerprint, at)| Pushed { cursor, fingerprint, at, is_former })
        }))
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        let state = self.state.borrow();
        let mut waiting: Vec<_> = state.integrations.iter().map(|(site, at)| (*at, *site)).collect();
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, site)| site).collect())
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        Ok(self.state.borrow().integrations.contains_key(&site))
    }

    fn kept(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<KeptRecord>> {
        let state = self.state.borrow();
        let after = (Bound::Excluded((site, after)), Bound::Included((site, u64::MAX)));
        let kept = state.kept.range(after).map(|(_, record)| record.clone()).take(limit);
        Ok(within(kept, CHUNK_BYTES, |record| record.data.as_str().len()))
    }

    fn count_kept(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        let state = self.state.borrow();
        let beyond = state.kept.range((Bound::Excluded((site, after)), Bound::Included((site, u64::MAX))));
        Ok(beyond.fold((0, 0), |(count, _), ((_, number), _)| (count + 1, *number)))
    }

    fn activity(&self) -> Result<Vec<SiteActivity>> {
        Ok(self.state.borrow().activity.values().cloned().collect())
    }

    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        Ok(self.state.borrow().files.get(id).cloned())
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state.borrow();
        Ok(state
            .files
            .range::<RecordId, _>((after, Bound::Unbounded))
            .take(limit)
            .map(|(_, file)| file.clone())
            .collect())
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        let state = self.state.borrow();
        let of = |file: &&FileEntry| file.table == *table && file.record_id == *record;
        Ok(state.files.values().filter(of).cloned().collect())
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        let state = self.state.borrow();
        let count = |of| (of, state.files.values().filter(|file| file.state == of).count() as u64);
        Ok(FileState::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect())
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        let state = self.state.borrow();
        let mut due: Vec<_> = state.files.values().filter(|file| file.next_at.is_some_and(|next| next <= at)).collect();
        due.sort_by_key(|file| file.next_at);
        Ok(due.into_iter().take(limit).cloned().collect())
    }
}

impl WriteTxn for MemoryTxn<'_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        Ok(self.state.borrow_mut().put_record(data, change))
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        Ok(self.state.borrow_mut().remove_record(change))
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        Ok(self.state.borrow_mut().append_change(change, left_as, false))
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        self.state.borrow_mut().mark_synced(table, id);
        Ok(())
    }

    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        self.state.borrow_mut().stage(Buffered { sequence: 0, incoming: incoming.clone(), received_at });
        Ok(())
    }

    fn settle(&self, sequences: &[u64]) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let buffer = Arc::make_mut(&mut state.buffer);
        for sequence in sequences {
            buffer.remove(sequence);
        }
        Ok(())
    }

    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()> {
        self.state.borrow_mut().discard(source, table, id);
        Ok(())
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, (after, from): (u64, Cursor)) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let newest = state.newest;
        let later = (Bound::Excluded(after), Bound::Unbounded);
        for (_, row) in Arc::make_mut(&mut state.buffer).range_mut(later) {
            let incoming = &mut row.incoming;
            if incoming.table == *table && incoming.id == *id && incoming.known.here >= Some(from) {
                incoming.known.here = Some(newest);
            }
        }
        Ok(())
    }

    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()> {
        if let Some(row) = Arc::make_mut(&mut self.state.borrow_mut().buffer).get_mut(&sequence) {
            row.incoming.quarantine = Some(quarantine.clone());
        }
        Ok(())
    }

    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64> {
        let waits = |quarantine: &Quarantine| {
            let for_it = quarantine.waits_for.as_ref().is_some_and(|(t, i)| t == table && i == id);
            for_it && quarantine.cause == QuarantineCause::Waiting
        };
        let woken = |row: &Buffered| row.incoming.quarantine.as_ref().is_some_and(waits);
        Ok(self.state.borrow_mut().stage_again(woken))
    }

    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64> {
        let chosen = |row: &Buffered| {
            let for_cause = row.incoming.quarantine.as_ref().is_some_and(|quarantine| quarantine.cause == cause);
            for_cause && row.incoming.source != Source::Local && source.is_none_or(|s| s == row.incoming.source)
        };
        Ok(self.state.borrow_mut().stage_again(chosen))
    }

    fn set_state(&self, key: &str, value: &str) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().settings).insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn add_log(&self, entry: &LogEntry) -> Result<()> {
        self.state.borrow_mut().add_log(entry);
        Ok(())
    }

    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let others = || state.sites.values().filter(|other| other.id != site.id);
        if others().any(|other| other.uuid == site.uuid || other.name == site.name) {
            return Err(Error::Database { source: "another site has this name or uuid".into() });
        }
        Arc::make_mut(&mut state.sites).insert(site.id, site.clone());
        Ok(())
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        Ok(Arc::make_mut(&mut self.state.borrow_mut().sites).remove(&id).is_some())
    }

    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let noted = Arc::make_mut(&mut state.pushed).entry((site, table.clone(), id.clone())).or_default();
        noted.cursor = if noted.is_former { cursor } else { cursor.max(noted.cursor) };
        noted.is_former = false;
        Ok(())
    }

    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &Pushed) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let noted = Arc::make_mut(&mut state.pushed).entry((site, table.clone(), id.clone())).or_default();
        if noted.is_former || noted.cursor <= pushed.cursor {
            let taken = Some((pushed.fingerprint, pushed.at));
            *noted = Noted { cursor: pushed.cursor, is_former: false, taken };
        }
        Ok(())
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let pushed = Arc::make_mut(&mut state.pushed);
        pushed.retain(|(of, ..), noted| *of != site || noted.taken.is_some());
        pushed.iter_mut().filter(|((of, ..), _)| *of == site).for_each(|(_, noted)| noted.is_former = true);
        Ok(())
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        self.state.borrow_mut().request_integration(site, at);
        Ok(())
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().integrations).remove(&site);
        Ok(())
    }

    fn keep(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        self.let_go(site, table, id)?;
        let state = &mut *self.state.borrow_mut();
        state.newest_kept += 1;
        let number = state.newest_kept;
        let record = KeptRecord { number, table: table.clone(), id: id.clone(), data: data.clone() };
        Arc::make_mut(&mut state.kept).insert((site, number), record);
        Arc::make_mut(&mut state.kept_numbers).insert((site, table.clone(), id.clone()), number);
        Ok(())
    }

    fn let_go(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        let state = &mut *self.state.borrow_mut();
        let number = Arc::make_mut(&mut state.kept_numbers).remove(&(site, table.clone(), id.clone()));
        if let Some(number) = number {
            Arc::make_mut(&mut state.kept).remove(&(site, number));
        }
        Ok(())
    }

    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let known = Arc::make_mut(&mut state.activity).entry(activity.site);
        known.and_modify(|known| known.update(activity.clone())).or_insert_with(|| activity.clone());
        Ok(())
    }

    fn put_file(&self, file: &FileEntry) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().files).insert(file.id.clone(), file.clone());
        Ok(())
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        Ok(Arc::make_mut(&mut self.state.borrow_mut().files).remove(id).is_some())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { state, original } = *self;
        if let Some((original, _turn)) = original {
            *lock(original) = state.into_inner();
        }
        Ok(())
    }
}
