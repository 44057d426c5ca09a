//! Integration: received records into the records, in dependency order, in short transactions.
//!
//! A site integrates what it pulls as it arrives, in the transaction that moves its cursor ([`receive`]); what cannot be
//! integrated is set aside in the sync buffer. Central first stages what a site pushes, and integrates it once the last
//! batch is there ([`integrate`]). What was woken by its parent goes the second way on both.

mod plan;

use std::collections::HashSet;
use std::time::Duration;

use crate::apply::{self, Origin};
use crate::clock::{Clock, Timestamp};
use crate::echo::SiteRestore;
use crate::error::{Error, Result};
use crate::ownership::{Role, StoreOwner};
use crate::protocol::v5::CentralRecord;
use crate::protocol::v6::{Action, BatchElement, WireRecord};
use crate::record::{Cursor, RecordData, RecordId, SiteId, StoreId, TableName, integration_rank};
use crate::storage::{
    CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, Selection, Source, StagedKind, Storage, WriteTxn, key,
};

use self::plan::{Facts, Plan, plan};

/// The most staged records that one transaction integrates: no other writer waits longer than that.
const CHUNK_RECORDS: usize = 1000;
/// The pause after a full transaction, in which a writer of another process gets its turn: it can only ask again and
/// again.
const PAUSE: Duration = Duration::from_millis(4);

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
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            integrated: self.integrated + other.integrated,
            quarantined: self.quarantined + other.quarantined,
            refused: self.refused + other.refused,
            kept_local: self.kept_local + other.kept_local,
        }
    }

    fn count(self) -> u64 {
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

/// Integrates a received batch in the caller's transaction: upserts with parents before children, then deletes with
/// children before parents. What cannot be integrated is set aside.
pub(crate) fn receive(txn: &dyn WriteTxn, now: Timestamp, door: &Door, mut batch: Vec<Incoming>) -> Result<Integrated> {
    keep_last_words(&mut batch);
    batch.sort_by_key(|incoming| {
        let rank = i64::from(integration_rank(incoming.table.as_str()));
        match incoming.action {
            Action::Insert | Action::Update => (0, rank),
            Action::Delete => (1, -rank),
            Action::Merge => (2, rank),
        }
    });
    let mut integrator = Integrator::new(txn, now, door)?;
    let any_buffered = !txn.staged_tables(door.source)?.is_empty() || integrator.any_set_aside;
    for mut incoming in batch {
        let set_aside = match incoming.quarantine.take() {
            Some(unreadable) => Some(integrator.count_set_aside(unreadable)),
            None => integrator.take(&incoming)?,
        };
        match set_aside {
            Some(_) if planted!(FailedIsDropped) => {}
            Some(quarantine) => txn.stage(&Incoming { quarantine: Some(quarantine), ..incoming }, now)?,
            // An older version that was set aside is out of date now.
            None if any_buffered => txn.discard(door.source, &incoming.table, &incoming.id)?,
            None => {}
        }
    }
    Ok(integrator.done)
}

/// The sender's last word on a record counts, whatever order the kinds of actions are taken in: a record may be deleted
/// in one store and written again in another within a batch.
fn keep_last_words(batch: &mut Vec<Incoming>) {
    let mut seen = HashSet::new();
    let mut last: Vec<bool> = batch
        .iter()
        .rev()
        .map(|incoming| {
            incoming.action == Action::Merge || {
                let table = if planted!(TableIgnored) { TableName::from("") } else { incoming.table.clone() };
                seen.insert((table, incoming.id.clone()))
            }
        })
        .collect();
    batch.retain(|_| last.pop().unwrap_or(true));
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
    loop {
        let mut tables = storage.read()?.staged_tables(door.source)?;
        tables.sort_by_key(|(table, _)| (integration_rank(table.as_str()), table.clone()));
        let staged: u64 = tables.iter().map(|(_, counts)| counts.upserts + counts.deletes + counts.merges).sum();
        // What was woken by a parent is staged again; once nothing is, everything is done.
        if staged == 0 {
            return Ok(done);
        }
        let total = done.count() + staged;
        let upserts = tables.iter().map(|(table, _)| (table, StagedKind::Upserts));
        let deletes = tables.iter().rev().map(|(table, _)| (table, StagedKind::Deletes));
        let merges = tables.iter().map(|(table, _)| (table, StagedKind::Merges));
        for (table, kind) in upserts.chain(deletes).chain(merges) {
            let mut after = 0;
            while let Some((last, chunk, is_full)) = integrate_chunk(storage, clock, door, (table, kind, after))? {
                after = last;
                done = done.and(chunk);
                progress(done.count(), total)?;
                if is_full {
                    clock.sleep(PAUSE);
                }
            }
        }
    }
}

/// An element of a batch that an older version could not read at all was kept whole; this one may read it.
fn as_record(kept: Incoming) -> Incoming {
    let json = kept.data.as_str();
    let read = match kept.source {
        Source::Central => serde_json::from_str::<BatchElement>(json).map(|element| element.record).ok(),
        Source::Legacy => serde_json::from_str::<CentralRecord>(json).map(WireRecord::from).ok(),
        Source::Site(_) | Source::Local => None,
    };
    match read {
        Some(WireRecord { table_name, record_id, action, record_data }) => {
            Incoming { table: table_name, id: record_id, action, data: record_data, ..kept }
        }
        None => kept,
    }
}

/// Integrates one chunk in one transaction; gives the sequence of its last record, what was done, and whether the chunk
/// was a full one; or `None` if there was nothing.
fn integrate_chunk(
    storage: &dyn Storage,
    clock: &dyn Clock,
    door: &Door,
    (table, kind, after): (&TableName, StagedKind, u64),
) -> Result<Option<(u64, Integrated, bool)>> {
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
    Ok(Some((last, done, is_full)))
}

/// Takes records one after the other, within one transaction.
struct Integrator<'t> {
    facts: StoredFacts<'t>,
    now: Timestamp,
    /// Whether anything is set aside, so that something may wait for what is taken.
    any_set_aside: bool,
    /// Whether this is the central server's database.
    at_central: bool,
    /// On central, what is known of a restore of the site that pushed.
    restore_of_source: Option<SiteRestore>,
    done: Integrated,
}

impl<'t> Integrator<'t> {
    fn new(txn: &'t dyn WriteTxn, now: Timestamp, door: &'t Door) -> Result<Self> {
        let any_set_aside = !txn.quarantine_counts()?.is_empty();
        let at_central = crate::site::identity::role(txn)? == Some(Role::Central);
        let restore_of_source = match door.source {
            Source::Site(site) => SiteRestore::load(txn, site)?,
            _ => None,
        };
        let facts = StoredFacts::new(txn, door)?;
        Ok(Self { facts, now, any_set_aside, at_central, restore_of_source, done: Integrated::default() })
    }

    /// Decides about a record and does it; gives the reason if it is to be set aside.
    fn take(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        let (txn, now) = (self.facts.txn, self.now);
        let (table, id) = (&incoming.table, &incoming.id);
        let origin = Origin::Sync(self.origin(incoming));
        match plan(incoming, &self.facts)? {
            Plan::Upsert => {
                let store = if self.at_central { apply::upsert_at_central } else { apply::upsert };
                store(txn, table, id, &incoming.data, origin, now)?;
                if self.any_set_aside && !planted!(WaitingNotWoken) {
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
                self.done.kept_local += 1;
                // Sent already or not: it goes out with the next push, so that both ends agree in the end.
                if planted!(LocalDeleteForgotten) && !txn.has_record(table, id)? {
                    apply::upsert(txn, table, id, &incoming.data, origin, now)?;
                    return Ok(None);
                }
                apply::write_again(txn, table, id, &incoming.data, now)?;
                return Ok(None);
            }
            Plan::SetAside(quarantine) => return Ok(Some(self.count_set_aside(quarantine))),
        }
        self.done.integrated += 1;
        Ok(None)
    }

    /// The site that a record comes from, unless it lost the record since: then it gets it back.
    fn origin(&self, incoming: &Incoming) -> Option<SiteId> {
        let lost = |restore: SiteRestore| incoming.cursor.is_some_and(|cursor| restore.lost_pushed(cursor));
        self.facts.door.origin.filter(|_| !self.restore_of_source.is_some_and(lost))
    }

    fn count_set_aside(&mut self, quarantine: Quarantine) -> Quarantine {
        self.any_set_aside = true;
        match quarantine.cause {
            QuarantineCause::Refused => self.done.refused += 1,
            _ => self.done.quarantined += 1,
        }
        quarantine
    }
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
                // What central has taken but not confirmed as integrated is not safe from being overwritten yet.
                let unconfirmed = crate::site::identity::flag(txn, key::PUSH_UNCONFIRMED)?;
                let from = if unconfirmed { key::PUSH_CONFIRMED_V6 } else { key::PUSH_CURSOR_V6 };
                let from = crate::site::identity::cursor(txn, from)?;
                let any = !txn.changes(&Selection::Local, from, 1)?.is_empty();
                any.then_some(from)
            }
            Source::Site(_) | Source::Local => None,
        };
        Ok(Self { txn, door, unpushed_from })
    }
}

impl Facts for StoredFacts<'_> {
    fn has(&self, table: &str, id: &RecordId) -> Result<bool> {
        self.txn.has_record(&TableName::from(table), id)
    }

    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        self.txn.record(table, id)
    }

    fn owner_of(&self, table: &TableName, data: &RecordData) -> Result<StoreOwner> {
        apply::owner(self.txn, table, data, &self.door.stores)
    }

    fn is_edited_here(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        match self.unpushed_from {
            _ if planted!(LocalEditOverwritten) => Ok(false),
            Some(from) => self.txn.has_local_change(table, id, from),
            None => Ok(false),
        }
    }
}

/// After an upgrade of this library, what an older version could not read or did not know is tried again.
pub(crate) fn requeue_after_upgrade(storage: &dyn Storage) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if storage.read()?.state(key::LIBRARY_VERSION)?.as_deref() == Some(version) {
        return Ok(());
    }
    let txn = storage.write()?;
    for cause in [QuarantineCause::Unsupported, QuarantineCause::Malformed] {
        txn.requeue(cause, None)?;
    }
    txn.set_state(key::LIBRARY_VERSION, version)?;
    txn.commit()
}

/// Integrates what sites pushed, one site after the other, oldest request first. A site whose records fail keeps no
/// other waiting; its request stays.
///
/// # Errors
/// The first failure, once every other site is done.
pub(crate) fn integrate_sites(storage: &dyn Storage, clock: &dyn Clock) -> Result<Integrated> {
    let mut all = Integrated::default();
    let mut failed: Vec<(SiteId, Error)> = Vec::new();
    loop {
        let waiting = storage.read()?.integrations()?;
        let Some(site) = waiting.into_iter().find(|site| failed.iter().all(|(other, _)| other != site)) else {
            return failed.into_iter().next().map_or(Ok(all), |(_, error)| Err(error));
        };
        match integrate_site(storage, clock, site) {
            Ok(done) => all = all.and(done),
            Err(error) => failed.push((site, error)),
        }
    }
}

fn integrate_site(storage: &dyn Storage, clock: &dyn Clock, site: SiteId) -> Result<Integrated> {
    let stores = storage.read()?.stores_of_site(site)?;
    let origin = if planted!(SourceForgotten) { None } else { Some(site) };
    let door = Door { source: Source::Site(site), stores, origin };
    let done = integrate(storage, clock, &door, |_, _| Ok(()))?;
    let txn = storage.write()?;
    // What was staged since then, by a push that came twice, keeps its request.
    if txn.staged_tables(door.source)?.is_empty() || planted!(IntegrationFinishedEarly) {
        txn.finish_integration(site)?;
    }
    txn.commit()?;
    Ok(done)
}
