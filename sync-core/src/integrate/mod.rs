//! Integration: from the sync buffer into the records, in dependency order, in short transactions.

mod plan;

use crate::apply::{self, Origin};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::ownership::StoreOwner;
use crate::record::{Cursor, RecordId, SiteId, StoreId, TableName, integration_rank};
use crate::storage::{Buffered, QuarantineCause, Source, StagedKind, Storage, WriteTxn, key};

use self::plan::{Facts, Plan, plan};

/// The most records that one transaction integrates: no other writer waits longer than that.
const CHUNK_RECORDS: usize = 1000;

/// What an integration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Integrated {
    /// Records applied, those that were here already included.
    pub integrated: u64,
    /// Records set aside, other than by a rule of ownership.
    pub quarantined: u64,
    /// Records set aside by a rule of ownership.
    pub refused: u64,
    /// Pulled records that gave way to an edit made here.
    pub kept_local: u64,
}

impl Integrated {
    fn done(self) -> u64 {
        self.integrated + self.quarantined + self.refused + self.kept_local
    }
}

/// From where records come, and what the rules need to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub source: Source,
    /// On central, the active stores of the site that pushed.
    pub stores: Vec<StoreId>,
    /// The origin that changelog rows get.
    pub origin: Option<SiteId>,
}

/// Integrates everything staged from a source. `progress` is told done and total after each transaction and may stop
/// it; what was integrated stays.
pub(crate) fn integrate(
    storage: &dyn Storage,
    clock: &dyn Clock,
    door: &Door,
    mut progress: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Integrated> {
    let mut done = Integrated::default();
    let quarantined_before = quarantined(storage)?;
    loop {
        let mut tables = storage.read()?.staged_tables(door.source)?;
        tables.sort_by_key(|(table, _)| (integration_rank(table.as_str()), table.clone()));
        let staged: u64 = tables.iter().map(|(_, counts)| counts.upserts + counts.deletes + counts.merges).sum();
        let before = done.done();
        let total = before + staged;
        let upserts = tables.iter().map(|(table, _)| (table, StagedKind::Upserts));
        let deletes = tables.iter().rev().map(|(table, _)| (table, StagedKind::Deletes));
        let merges = tables.iter().map(|(table, _)| (table, StagedKind::Merges));
        for (table, kind) in upserts.chain(deletes).chain(merges) {
            let mut after = 0;
            while let Some(last) = integrate_chunk(storage, clock, door, (table, kind, after), &mut done)? {
                after = last;
                progress(done.done(), total)?;
            }
        }
        // What was woken by a parent is staged now; everything else is done.
        if staged == 0 || done.done() == before {
            // A record may be set aside and woken within the run: what counts is what is left.
            done.quarantined = quarantined(storage)?.saturating_sub(quarantined_before);
            return Ok(done);
        }
    }
}

/// The number of records that are set aside other than by a rule of ownership.
fn quarantined(storage: &dyn Storage) -> Result<u64> {
    let counts = storage.read()?.quarantine_counts()?;
    Ok(counts.iter().filter(|(cause, _)| *cause != QuarantineCause::Refused).map(|(_, count)| count).sum())
}

/// Integrates one chunk in one transaction; gives the sequence of its last record, or `None` if there was none.
fn integrate_chunk(
    storage: &dyn Storage,
    clock: &dyn Clock,
    door: &Door,
    (table, kind, after): (&TableName, StagedKind, u64),
    done: &mut Integrated,
) -> Result<Option<u64>> {
    let txn = storage.write()?;
    let rows = txn.staged(door.source, table, kind, after, CHUNK_RECORDS)?;
    let Some(last) = rows.last().map(|row| row.sequence) else {
        return Ok(None);
    };
    let waiting = txn.quarantine_counts()?.iter().any(|(cause, _)| *cause == QuarantineCause::Waiting);
    let facts = StoredFacts::new(txn.as_ref(), door)?;
    let mut settled = Vec::with_capacity(rows.len());
    let mut chunk = Integrated::default();
    for row in &rows {
        let plan = plan(&row.incoming, &facts)?;
        apply_plan(txn.as_ref(), clock, door, row, plan, waiting, (&mut settled, &mut chunk))?;
    }
    drop(facts);
    txn.settle(&settled)?;
    txn.commit()?;
    done.integrated += chunk.integrated;
    done.quarantined += chunk.quarantined;
    done.refused += chunk.refused;
    done.kept_local += chunk.kept_local;
    Ok(Some(last))
}

fn apply_plan(
    txn: &dyn WriteTxn,
    clock: &dyn Clock,
    door: &Door,
    row: &Buffered,
    plan: Plan,
    waiting: bool,
    (settled, chunk): (&mut Vec<u64>, &mut Integrated),
) -> Result<()> {
    let (table, id) = (&row.incoming.table, &row.incoming.id);
    let (origin, now) = (Origin::Sync(door.origin), clock.now());
    match plan {
        Plan::Upsert => {
            apply::upsert(txn, table, id, &row.incoming.data, origin, now)?;
            if waiting {
                txn.wake_waiting(table, id)?;
            }
        }
        Plan::MarkDeleted(field) => {
            if let Some(marked) = txn.record(table, id)?.and_then(|data| apply::marked_deleted(&data, field, now)) {
                apply::upsert(txn, table, id, &marked, origin, now)?;
            }
        }
        Plan::Delete => {
            apply::delete(txn, table, id, origin, now)?;
        }
        Plan::KeepLocal => {
            chunk.kept_local += 1;
            settled.push(row.sequence);
            return Ok(());
        }
        Plan::SetAside(quarantine) => {
            txn.quarantine(row.sequence, &quarantine)?;
            match quarantine.cause {
                QuarantineCause::Refused => chunk.refused += 1,
                _ => chunk.quarantined += 1,
            }
            return Ok(());
        }
    }
    chunk.integrated += 1;
    settled.push(row.sequence);
    Ok(())
}

/// What the storage knows, as the plan asks for it.
struct StoredFacts<'t> {
    txn: &'t dyn WriteTxn,
    door: &'t Door,
    /// Where local edits that are not pushed yet begin; `None` if there are none.
    unpushed_from: Option<Cursor>,
}

impl<'t> StoredFacts<'t> {
    fn new(txn: &'t dyn WriteTxn, door: &'t Door) -> Result<Self> {
        let unpushed_from = match door.source {
            Source::Central | Source::Legacy => {
                let from = Cursor(txn.state(key::PUSH_CURSOR_V6)?.and_then(|text| text.parse().ok()).unwrap_or(0));
                let any = !txn.changes(&crate::storage::Selection::Local, from, 1)?.is_empty();
                any.then_some(from)
            }
            Source::Site(_) | Source::Local => None,
        };
        Ok(Self { txn, door, unpushed_from })
    }

    fn owner(&self, store: Option<StoreId>) -> StoreOwner {
        match store {
            None => StoreOwner::Nobody,
            Some(store) if self.door.stores.contains(&store) => StoreOwner::Own,
            Some(_) => StoreOwner::Other,
        }
    }
}

impl Facts for StoredFacts<'_> {
    fn has(&self, table: &str, id: &RecordId) -> Result<bool> {
        self.txn.has_record(&TableName::from(table), id)
    }

    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<crate::record::RecordData>> {
        self.txn.record(table, id)
    }

    fn owner_of(&self, table: &TableName, data: &crate::record::RecordData) -> Result<StoreOwner> {
        Ok(self.owner(apply::scope(self.txn, table, data)?.0))
    }

    fn is_edited_here(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        match self.unpushed_from {
            Some(from) => self.txn.has_local_change(table, id, from),
            None => Ok(false),
        }
    }
}

/// Integrates what sites pushed, one site after the other, oldest request first.
pub(crate) fn integrate_sites(storage: &dyn Storage, clock: &dyn Clock) -> Result<Integrated> {
    let mut all = Integrated::default();
    loop {
        let Some(site) = storage.read()?.integrations()?.first().copied() else {
            return Ok(all);
        };
        let stores = storage.read()?.stores_of_site(site)?;
        let door = Door { source: Source::Site(site), stores, origin: Some(site) };
        let done = integrate(storage, clock, &door, |_, _| Ok::<(), Error>(()))?;
        let txn = storage.write()?;
        txn.finish_integration(site)?;
        txn.commit()?;
        all.integrated += done.integrated;
        all.quarantined += done.quarantined;
        all.refused += done.refused;
    }
}
