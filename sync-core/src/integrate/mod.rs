//! Integration: received records into the records, in dependency order, in short transactions.
//!
//! A site integrates what it pulls as it arrives, in the transaction that moves its cursor ([`receive`]); what cannot be
//! integrated is set aside in the sync buffer. Central first stages what a site pushes, and integrates it once the last
//! batch is there, in turns of one transaction a site ([`Queue`]). What was woken by its parent goes the second way on
//! both.

pub(crate) mod merge;
mod plan;
mod queue;
mod staged;

use std::collections::HashSet;

use crate::apply::{self, Origin};
use crate::clock::Timestamp;
use crate::echo::SiteRestore;
use crate::error::{Result, Server};
use crate::ownership::{Role, StoreOwner};
use crate::protocol::v6::Action;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName, integration_rank};
use crate::site::identity::confirmed_to;
use crate::storage::{Incoming, Quarantine, QuarantineCause, Selection, Source, Storage, WriteTxn, key};

use self::plan::{Facts, Plan, plan};
pub(crate) use self::queue::Queue;
pub(crate) use self::staged::{PAUSE, integrate};

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

/// Takes records one after the other, within one transaction.
struct Integrator<'t> {
    facts: StoredFacts<'t>,
    now: Timestamp,
    /// Whether anything is set aside, so that something may wait for what is taken.
    any_set_aside: bool,
    /// Whether this is the central server's database.
    at_central: bool,
    /// Whether anything was ever merged.
    any_merged: bool,
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
        let any_merged = merge::any(txn)?;
        Ok(Self { facts, now, any_set_aside, at_central, any_merged, restore_of_source, done: Integrated::default() })
    }

    /// Decides about a record and does it; gives the reason if it is to be set aside.
    fn take(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if self.any_merged
            && matches!(incoming.action, Action::Insert | Action::Update)
            && !planted!(MergedComesBack)
            && merge::is_gone(self.facts.txn, &incoming.table, &incoming.id)?
        {
            return self.take_merged(incoming);
        }
        let resolved = match self.any_merged {
            true if !planted!(MergeForgetsLateRecords) => {
                merge::resolved(self.facts.txn, &incoming.table, &incoming.data)?
            }
            _ => None,
        };
        match resolved {
            Some(data) => self.take_resolved(&Incoming { data, ..incoming.clone() }),
            None => self.take_resolved(incoming),
        }
    }

    /// A record that was merged into another one comes after the merge, for the first time or again. What a site wrote of it
    /// is not lost without a word.
    fn take_merged(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if matches!(incoming.source, Source::Site(_)) {
            let reason = format!("the legacy server merged this {} into another one", incoming.table);
            let ignored = Quarantine { cause: QuarantineCause::Ignored, reason, waits_for: None };
            return Ok(Some(self.count_set_aside(ignored)));
        }
        merge::came_late(self.facts.txn, incoming, self.facts.door.origin, self.now)?;
        self.done.integrated += 1;
        Ok(None)
    }

    fn take_resolved(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        let (txn, now) = (self.facts.txn, self.now);
        let (table, id) = (&incoming.table, &incoming.id);
        let origin = Origin::Sync(self.origin(incoming));
        match plan(incoming, &self.facts)? {
            Plan::Upsert => {
                let store = if self.at_central { apply::upsert_at_central } else { apply::upsert };
                store(txn, table, id, &incoming.data, origin, now)?;
                if self.any_merged {
                    merge::stored(txn, table, id, &incoming.data)?;
                }
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
            Plan::Merge(merge) => {
                merge::note(txn, table, merge, self.facts.door.origin, now)?;
                self.any_merged = true;
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
            Plan::Reduce(data) => return self.take_resolved(&Incoming { data, ..incoming.clone() }),
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
        let server = match door.source {
            Source::Central => Some(Server::Central),
            Source::Legacy => Some(Server::Legacy),
            Source::Site(_) | Source::Local => None,
        };
        let from = server.map(|server| confirmed_to(txn, server)).transpose()?;
        let unpushed_from = match from {
            Some(from) if !txn.changes(&Selection::Local, from, 1)?.is_empty() => Some(from),
            _ => None,
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

    fn unseen_patient(&self, table: &TableName, data: &RecordData) -> Result<Option<NameId>> {
        apply::unseen_patient(self.txn, table, data, &self.door.stores)
    }

    fn is_edited_here(&self, incoming: &Incoming) -> Result<bool> {
        let (table, id) = (&incoming.table, &incoming.id);
        if planted!(LocalEditOverwritten) {
            return Ok(false);
        }
        match self.unpushed_from {
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
