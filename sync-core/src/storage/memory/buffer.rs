//! The sync buffer: staged and quarantined records.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::state::State;
use super::txn::{MemoryTxn, within};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::{
    BufferReads, BufferWrites, Buffered, CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, Source, StagedCounts,
    StagedKind,
};

impl BufferReads for MemoryTxn<'_> {
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

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        let is_version = |row: &&Buffered| {
            let incoming = &row.incoming;
            incoming.table == *table && incoming.id == *id && incoming.action != Action::Merge
        };
        Ok(self.state.borrow().buffer.values().filter(is_version).cloned().collect())
    }

    fn is_buffered_elsewhere(&self, source: Source, table: &TableName, id: &RecordId) -> Result<bool> {
        Ok(self.buffered_versions(table, id)?.iter().any(|row| row.incoming.source != source))
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        let state = self.state.borrow();
        let rows = state.buffer.range((Bound::Excluded(after), Bound::Unbounded));
        let set_aside = rows.filter_map(|(_, row)| Some((row.clone(), row.incoming.quarantine.clone()?)));
        Ok(within(set_aside.take(limit), CHUNK_BYTES, |(row, _)| row.incoming.data.as_str().len()))
    }

    fn any_buffered(&self) -> Result<bool> {
        Ok(!self.state.borrow().buffer.is_empty())
    }

    fn any_quarantined(&self) -> Result<bool> {
        Ok(self.state.borrow().buffer.values().any(|row| row.incoming.quarantine.is_some()))
    }

    fn newest_quarantined(&self, source: Source) -> Result<u64> {
        let state = self.state.borrow();
        let mut of_source = state.buffer.iter().rev().filter(|(_, row)| row.incoming.source == source);
        Ok(of_source.find(|(_, row)| row.incoming.quarantine.is_some()).map_or(0, |(sequence, _)| *sequence))
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        let state = self.state.borrow();
        let causes = || state.buffer.values().filter_map(|row| row.incoming.quarantine.as_ref());
        let count = |cause| (cause, causes().filter(|quarantine| quarantine.cause == cause).count() as u64);
        Ok(QuarantineCause::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect())
    }
}

impl BufferWrites for MemoryTxn<'_> {
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        self.state.borrow_mut().stage(Buffered {
            sequence: 0,
            incoming: incoming.clone(),
            received_at,
            was_set_aside: false,
        });
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
            let is_version = incoming.table == *table && incoming.id == *id && incoming.action != Action::Merge;
            if is_version && incoming.known.here >= Some(from) {
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

    fn requeue_one(&self, sequence: u64) -> Result<u64> {
        let chosen = |row: &Buffered| row.sequence == sequence && row.incoming.source != Source::Local;
        Ok(self.state.borrow_mut().stage_again(chosen))
    }
}

impl State {
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

    /// Requests the integration of the sites that had pushed the chosen records, as of their time of arrival.
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

    /// Stages the chosen quarantined records again, and requests the integration of the sites that had pushed them;
    /// returns their number.
    pub(super) fn stage_again(&mut self, chosen: impl Fn(&Buffered) -> bool) -> u64 {
        self.request_integration_of(|row| row.incoming.quarantine.is_some() && chosen(row));
        let mut count = 0;
        for row in Arc::make_mut(&mut self.buffer).values_mut() {
            if row.incoming.quarantine.is_some() && chosen(row) {
                row.incoming.quarantine = None;
                row.was_set_aside = true;
                count += 1;
            }
        }
        count
    }
}
