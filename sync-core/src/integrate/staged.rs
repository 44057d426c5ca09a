//! What is staged, into the records: in dependency order, a short transaction at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Door, Integrated, Integrator};
use crate::clock::Clock;
use crate::error::Result;
use crate::protocol::v5::{CentralRecord, QueuedRecord};
use crate::protocol::v6::{BatchElement, WireRecord};
use crate::record::{TableName, integration_rank};
use crate::storage::{CHUNK_BYTES, Incoming, Source, StagedKind, Storage};

/// The most staged records that one transaction integrates: no other writer waits longer than that.
const CHUNK_RECORDS: usize = 1000;
/// The pause after a full transaction, in which a writer of another process gets its turn: it can only ask again and
/// again.
pub(crate) const PAUSE: Duration = Duration::from_millis(4);

/// Integrates everything staged from a source. `progress` is told done and total after each transaction and may stop
/// it; what was integrated stays.
pub(crate) fn integrate(
    storage: &dyn Storage,
    clock: &dyn Clock,
    door: &Door,
    mut progress: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Integrated> {
    let mut run = Run::default();
    while let Some(slice) = run.slice(storage, clock, door)? {
        progress(run.done.count(), run.total)?;
        if slice.is_full {
            clock.sleep(PAUSE);
        }
    }
    Ok(run.done)
}

/// How far the integration of what is staged from one source has come. Nothing is lost with it: another begins again with
/// what is still staged.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// What is left of this pass, in order.
    left: VecDeque<(TableName, StagedKind)>,
    /// The last sequence that was taken of the first of them.
    after: u64,
    done: Integrated,
    total: u64,
}

/// What one transaction did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub done: Integrated,
    /// Whether it was as long as a transaction may be.
    pub is_full: bool,
}

impl Run {
    /// Integrates in one transaction what comes next; `None` once nothing is staged any more. What was woken by a parent is
    /// staged again and comes with another pass.
    pub(super) fn slice(&mut self, storage: &dyn Storage, clock: &dyn Clock, door: &Door) -> Result<Option<Slice>> {
        loop {
            let Some(place) = self.left.front() else {
                self.begin_pass(storage, door.source)?;
                if self.left.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            let chunk = integrate_chunk(storage, clock, door, (&place.0, place.1, self.after))?;
            match &chunk {
                Some((last, slice)) if slice.is_full => self.after = *last,
                _ => {
                    self.left.pop_front();
                    self.after = 0;
                }
            }
            if let Some((_, slice)) = chunk {
                self.done = self.done.and(slice.done);
                return Ok(Some(slice));
            }
        }
    }

    /// Upserts with parents before children, then deletes with children before parents, then merges.
    fn begin_pass(&mut self, storage: &dyn Storage, source: Source) -> Result<()> {
        let mut tables = storage.read()?.staged_tables(source)?;
        tables.sort_by_key(|(table, _)| (integration_rank(table.as_str()), table.clone()));
        let staged: u64 = tables.iter().map(|(_, counts)| counts.upserts + counts.deletes + counts.merges).sum();
        self.total = self.done.count() + staged;
        let upserts = tables.iter().filter(|(_, counts)| counts.upserts > 0).map(|(t, _)| (t, StagedKind::Upserts));
        let deletes = tables.iter().rev().filter(|(_, counts)| counts.deletes > 0);
        let merges = tables.iter().filter(|(_, counts)| counts.merges > 0).map(|(t, _)| (t, StagedKind::Merges));
        let all = upserts.chain(deletes.map(|(t, _)| (t, StagedKind::Deletes))).chain(merges);
        self.left = all.map(|(table, kind)| (table.clone(), kind)).collect();
        Ok(())
    }
}

/// An element of a batch that an older version could not read at all was kept whole; this one may read it.
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

/// Integrates one chunk in one transaction; gives the sequence of its last record and what was done; or `None` if there was
/// nothing.
fn integrate_chunk(
    storage: &dyn Storage,
    clock: &dyn Clock,
    door: &Door,
    (table, kind, after): (&TableName, StagedKind, u64),
) -> Result<Option<(u64, Slice)>> {
    let txn = storage.write()?;
    let rows = txn.staged(door.source, table, kind, after, CHUNK_RECORDS)?;
    let Some(last) = rows.last().map(|row| row.sequence) else {
        return Ok(None);
    };
    let bytes: usize = rows.iter().map(|row| row.incoming.data.as_str().len()).sum();
    let is_full = rows.len() >= CHUNK_RECORDS || bytes >= CHUNK_BYTES / 2;
    let mut integrator = Integrator::new(txn.as_ref(), clock.now(), door)?;
    let mut settled = Vec::with_capacity(rows.len());
    for row in rows {
        match integrator.take(&as_record(row.incoming))? {
            None => settled.push(row.sequence),
            Some(_) if planted!(FailedIsDropped) => settled.push(row.sequence),
            Some(quarantine) => txn.quarantine(row.sequence, &quarantine)?,
        }
    }
    let done = integrator.done;
    txn.settle(&settled)?;
    txn.commit()?;
    Ok(Some((last, Slice { done, is_full })))
}
