//! Integrates staged records: in dependency order, one short transaction at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::failed_batch::{failure_reason, may_be_of_a_record};
use super::integrated::Integrated;
use super::integrator::Integrator;
use super::provenance::Provenance;
use super::sent_back::BufferPlace;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::protocol::v5::{CentralRecord, QueuedRecord};
use crate::protocol::v6::{BatchElement, WireRecord};
use crate::record::{TableName, integration_rank};
use crate::storage::{
    Buffered, CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, ReadTxn, Source, StagedCounts, StagedKind, Storage,
    WriteTxn,
};
use crate::write::PAUSE;

/// The most staged records in one transaction: no other writer waits longer than for these.
const CHUNK_RECORDS: usize = 1000;

/// Integrates all staged records of a source, and adds to the result, also if it fails on its way. `progress` receives
/// done and total after each transaction and may stop it; integrated records stay.
pub(crate) fn integrate(
    storage: &dyn Storage,
    clock: &dyn Clock,
    provenance: &Provenance,
    result: &mut Integrated,
    mut progress: impl FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let mut run = StagedRun::default();
    while let Some(slice) = run.slice(storage, clock, provenance, &|_| Ok(true))? {
        result.add(&slice.done);
        progress(run.done.count(), run.total)?;
        if slice.is_full {
            clock.sleep(PAUSE);
        }
    }
    Ok(())
}

/// The progress of integrating one source. It may be lost: a new one begins with the records that are still staged.
#[derive(Debug, Default)]
pub(super) struct StagedRun {
    /// The rest of this pass, in order.
    left: VecDeque<(TableName, StagedKind)>,
    /// The last sequence of the first group that was taken.
    after: u64,
    /// The number of records that are still taken one by one, because one of them fails.
    one_by_one: usize,
    done: Integrated,
    total: u64,
}

/// The result of one transaction.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub done: Integrated,
    /// True if it was as long as a transaction may be.
    pub is_full: bool,
}

impl StagedRun {
    /// Integrates the next records in one transaction; `None` if none is staged, or if that transaction says that this
    /// has to stop. Records woken by a parent are staged again and come with another pass.
    pub(super) fn slice(
        &mut self,
        storage: &dyn Storage,
        clock: &dyn Clock,
        provenance: &Provenance,
        may_go_on: &dyn Fn(&dyn ReadTxn) -> Result<bool>,
    ) -> Result<Option<Slice>> {
        loop {
            if self.left.is_empty() {
                self.begin_pass(storage, provenance.source)?;
            }
            let Some((table, kind)) = self.left.front() else { return Ok(None) };
            let at_most = if self.one_by_one > 0 { 1 } else { CHUNK_RECORDS };
            let first = Cell::new(None);
            let attempt = || {
                let chunk = ChunkStart { groups: &self.left, after: self.after, first: &first };
                attempted(|| integrate_chunk(storage, clock, provenance, chunk, at_most, may_go_on))
            };
            // A single failure may be chance.
            let mut outcome = attempt();
            if let Err(failure) = outcome {
                failure.may_be_of_a_record()?;
                outcome = attempt();
            }
            let chunk = match outcome.map_err(ChunkFailure::may_be_of_a_record) {
                Ok(chunk) => chunk,
                Err(failure) => {
                    let failure = failure?;
                    if planted!(FailingSliceRepeats)
                        && let ChunkFailure::Error(error) = failure
                    {
                        return Err(error);
                    }
                    if at_most > 1 {
                        self.one_by_one = CHUNK_RECORDS;
                        continue;
                    }
                    let place = StagedPosition { table, kind: *kind, after: self.after };
                    set_failed_aside(storage, provenance.source, place, first.get(), &failure)?
                }
            };
            let ChunkOutcome::Done { finished, last, slice } = chunk else { return Ok(None) };
            self.left.drain(..finished);
            self.after = last;
            self.one_by_one = self.one_by_one.saturating_sub(1);
            if let Some(slice) = slice {
                self.done.add(&slice.done);
                return Ok(Some(slice));
            }
        }
    }

    fn begin_pass(&mut self, storage: &dyn Storage, source: Source) -> Result<()> {
        let tables = storage.read()?.staged_tables(source)?;
        let staged: u64 = tables.iter().map(|(_, counts)| counts.upserts + counts.deletes + counts.merges).sum();
        self.total = self.done.count() + staged;
        self.left = in_order(tables);
        Ok(())
    }
}

/// Upserts with parents before children, then deletes with children before parents, then merges.
fn in_order(mut tables: Vec<(TableName, StagedCounts)>) -> VecDeque<(TableName, StagedKind)> {
    tables.sort_by_key(|(table, _)| (integration_rank(table.as_str()), table.clone()));
    let upserts = tables.iter().filter(|(_, counts)| counts.upserts > 0).map(|(t, _)| (t, StagedKind::Upserts));
    let deletes = tables.iter().rev().filter(|(_, counts)| counts.deletes > 0);
    let merges = tables.iter().filter(|(_, counts)| counts.merges > 0).map(|(t, _)| (t, StagedKind::Merges));
    let all = upserts.chain(deletes.map(|(t, _)| (t, StagedKind::Deletes))).chain(merges);
    all.map(|(table, kind)| (table.clone(), kind)).collect()
}

/// Integrates staged records of a source in the caller's transaction: at most so many, and those that these wake.
pub(super) fn integrate_staged(
    txn: &dyn WriteTxn,
    now: Timestamp,
    provenance: &Provenance,
    mut most: usize,
) -> Result<Integrated> {
    let mut done = Integrated::default();
    while most > 0 {
        let groups = in_order(txn.staged_tables(provenance.source)?);
        if groups.is_empty() {
            break;
        }
        let mut integrator = Integrator::new(txn, now, provenance)?;
        let taken = integrate_groups(&mut integrator, &groups, 0, most, &Cell::new(None))?;
        done.add(&integrator.finish()?);
        if taken.bytes >= CHUNK_BYTES / 2 {
            break;
        }
        most = most.saturating_sub(taken.records.max(1));
    }
    Ok(done)
}

/// An element that an older version could not read was kept whole; this version may read it.
fn as_record(kept: Incoming) -> Incoming {
    let json = kept.data.as_str();
    let read = match kept.source {
        Source::Central => serde_json::from_str::<BatchElement>(json).map(|element| element.record).ok(),
        Source::Legacy => serde_json::from_str::<CentralRecord>(json)
            .map(WireRecord::from)
            .or_else(|_| serde_json::from_str::<QueuedRecord>(json).map(WireRecord::from))
            .ok(),
        Source::Site(_) | Source::Local => None,
    };
    match read {
        Some(WireRecord { table_name, record_id, action, record_data }) => {
            Incoming { table: table_name, id: record_id, action, data: record_data, ..kept }
        }
        None => kept,
    }
}

/// A position among the staged records.
#[derive(Clone, Copy)]
struct StagedPosition<'r> {
    table: &'r TableName,
    kind: StagedKind,
    after: u64,
}

/// The result of a chunk.
enum ChunkOutcome {
    /// The transaction says that this has to stop.
    MayNotGoOn,
    Done {
        /// The number of groups that have no more staged records.
        finished: usize,
        /// The sequence of the last record that was taken of the group after those; 0 if none was.
        last: u64,
        /// The result; `None` if no record was staged in these groups.
        slice: Option<Slice>,
    },
}

/// Why a transaction failed that integrates records.
#[derive(Debug)]
pub(crate) enum ChunkFailure {
    Error(Error),
    /// The code has a fault.
    Panic,
}

impl ChunkFailure {
    /// Returns it if a record may have made the database or the code fail.
    ///
    /// # Errors
    /// The fault is one of the machine, independent of the records.
    fn may_be_of_a_record(self) -> Result<Self> {
        match self {
            Self::Error(error) if !may_be_of_a_record(&error) => Err(error),
            failure => Ok(failure),
        }
    }

    /// The failure as text, without content of the record.
    fn reason(&self) -> String {
        match self {
            Self::Error(error) => failure_reason(error),
            Self::Panic => "it cannot be integrated: the program has a fault that it brings to light".to_owned(),
        }
    }
}

/// Runs one transaction; a panic rolls it back like an error.
pub(crate) fn attempted<T>(run: impl FnOnce() -> Result<T>) -> std::result::Result<T, ChunkFailure> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map_err(ChunkFailure::Error),
        Err(_) => Err(ChunkFailure::Panic),
    }
}

/// Puts the one record at a position, at which the database or the code fails, into quarantine. `failed` is its sequence: another
/// server on this storage may have done so meanwhile, and the next record is none that failed.
fn set_failed_aside(
    storage: &dyn Storage,
    source: Source,
    place: StagedPosition<'_>,
    failed: Option<u64>,
    failure: &ChunkFailure,
) -> Result<ChunkOutcome> {
    let txn = storage.write()?;
    let Some(row) = txn.staged(source, place.table, place.kind, place.after, 1)?.into_iter().next() else {
        return Ok(ChunkOutcome::Done { finished: 1, last: 0, slice: None });
    };
    if failed.is_some_and(|failed| failed != row.sequence) {
        return Ok(ChunkOutcome::Done { finished: 0, last: place.after, slice: None });
    }
    let quarantine = Quarantine { cause: QuarantineCause::Failed, reason: failure.reason(), waits_for: None };
    txn.quarantine(row.sequence, &quarantine)?;
    txn.commit()?;
    let done = Integrated { quarantined: 1, ..Integrated::default() };
    Ok(ChunkOutcome::Done { finished: 0, last: row.sequence, slice: Some(Slice { done, is_full: true }) })
}

/// Where a chunk begins.
#[derive(Clone, Copy)]
struct ChunkStart<'r> {
    groups: &'r VecDeque<(TableName, StagedKind)>,
    /// The sequence in the first group.
    after: u64,
    /// Gets the sequence of the first record that is taken.
    first: &'r Cell<Option<u64>>,
}

/// Integrates one chunk in one transaction: records of as many groups as fit, the first group's after a sequence.
fn integrate_chunk(
    storage: &dyn Storage,
    clock: &dyn Clock,
    provenance: &Provenance,
    ChunkStart { groups, after, first }: ChunkStart<'_>,
    at_most: usize,
    may_go_on: &dyn Fn(&dyn ReadTxn) -> Result<bool>,
) -> Result<ChunkOutcome> {
    let txn = storage.write()?;
    if !may_go_on(txn.as_ref())? {
        return Ok(ChunkOutcome::MayNotGoOn);
    }
    let mut integrator = Integrator::new(txn.as_ref(), clock.now(), provenance)?;
    let taken = integrate_groups(&mut integrator, groups, after, at_most, first)?;
    let (finished, last) = (taken.finished, taken.last);
    if taken.records == 0 {
        return Ok(ChunkOutcome::Done { finished, last, slice: None });
    }
    let slice = Some(Slice { done: integrator.finish()?, is_full: taken.is_full(at_most) });
    txn.commit()?;
    Ok(ChunkOutcome::Done { finished, last, slice })
}

/// What was taken of the staged records.
#[derive(Default)]
struct StagedPart {
    /// The number of groups that have no more staged records.
    finished: usize,
    /// The sequence of the last record that was taken of the group after those; 0 if none was.
    last: u64,
    records: usize,
    bytes: usize,
}

impl StagedPart {
    fn is_full(&self, at_most: usize) -> bool {
        self.records >= at_most || self.bytes >= CHUNK_BYTES / 2
    }
}

/// Integrates records of as many groups as fit, the first group's after a sequence.
fn integrate_groups(
    integrator: &mut Integrator<'_>,
    groups: &VecDeque<(TableName, StagedKind)>,
    after: u64,
    at_most: usize,
    first: &Cell<Option<u64>>,
) -> Result<StagedPart> {
    let (txn, source) = (integrator.facts.txn, integrator.facts.provenance.source);
    let mut taken = StagedPart { last: after, ..StagedPart::default() };
    for (table, kind) in groups {
        let rows = txn.staged(source, table, *kind, taken.last, at_most - taken.records)?;
        let last = rows.last().map(|row| row.sequence);
        if taken.records == 0 {
            first.set(rows.first().map(|row| row.sequence));
        }
        taken.records += rows.len();
        taken.bytes += rows.iter().map(|row| row.incoming.data.as_str().len()).sum::<usize>();
        integrate_rows(integrator, rows)?;
        if let Some(last) = last.filter(|_| taken.is_full(at_most)) {
            taken.last = last;
            break;
        }
        taken.finished += 1;
        taken.last = 0;
    }
    Ok(taken)
}

/// Integrates staged records in the transaction of an integrator.
fn integrate_rows(integrator: &mut Integrator<'_>, rows: Vec<Buffered>) -> Result<()> {
    let txn = integrator.facts.txn;
    let mut settled = Vec::with_capacity(rows.len());
    for row in rows {
        let newest = txn.last_cursor()?;
        let (table, id, known) = (row.incoming.table.clone(), row.incoming.id.clone(), row.incoming.known.here);
        let is_elsewhere = txn.is_buffered_elsewhere(row.incoming.source, &table, &id)?;
        integrator.buffered = Some(BufferPlace::of(&row));
        integrator.facts.may_be_elsewhere = is_elsewhere;
        match integrator.integrate_one(&as_record(row.incoming))? {
            None => settled.push(row.sequence),
            Some(_) if planted!(FailedIsDropped) => settled.push(row.sequence),
            Some(quarantine) => txn.quarantine(row.sequence, &quarantine)?,
        }
        if is_elsewhere && txn.last_cursor()? > newest {
            // Later versions do not count as older because this one is integrated later.
            txn.note_newer(&table, &id, (row.sequence, known.unwrap_or_default()))?;
        }
    }
    txn.settle(&settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::Action;
    use crate::record::{RecordData, SiteId};
    use crate::storage::MemoryStorage;

    /// Another server on the storage met the same failure, and was faster.
    #[test]
    fn only_the_record_that_failed_is_set_aside() {
        let (storage, source) = (MemoryStorage::new(), Source::Site(SiteId(2)));
        let table = TableName::from("asset");
        let txn = storage.write().unwrap();
        for id in ["fails", "next"] {
            let record_data = RecordData::parse("{}").unwrap();
            let record =
                WireRecord { table_name: table.clone(), record_id: id.into(), action: Action::Update, record_data };
            txn.stage(&Incoming::new(source, record), Timestamp::from_unix_millis(0)).unwrap();
        }
        let first = txn.staged(source, &table, StagedKind::Upserts, 0, 1).unwrap()[0].sequence;
        txn.commit().unwrap();
        let place = StagedPosition { table: &table, kind: StagedKind::Upserts, after: 0 };
        for _ in 0..2 {
            set_failed_aside(&storage, source, place, Some(first), &ChunkFailure::Panic).unwrap();
        }
        let txn = storage.read().unwrap();
        let set_aside: Vec<_> = txn.quarantined(0, 9).unwrap().into_iter().map(|(row, _)| row.incoming.id).collect();
        assert_eq!(set_aside, ["fails"]);
        assert_eq!(txn.staged(source, &table, StagedKind::Upserts, 0, 9).unwrap().len(), 1);
    }
}
