//! Integration: stores received records among the records, in dependency order, in short transactions.
//!
//! A site integrates pulled records as they arrive, in the transaction that moves its cursor ([`receive`]); records
//! that cannot be integrated go into quarantine in the sync buffer. Central does the same with each batch of a push
//! ([`receive_push`]). Staged are records that waited for a parent which arrived, batches at which the integration fails,
//! and what is too much for one transaction; central integrates these in turns of one transaction for each site
//! ([`IntegrationQueue`]).

mod failed_batch;
pub(crate) mod merge;
mod plan;
mod pushed;
mod resolve;
mod sent_back;
mod staged;
mod turns;

use std::collections::HashSet;

use crate::changelog::Change;
use crate::clock::Timestamp;
use crate::error::{Result, Server};
use crate::ownership::StoreOwner;
use crate::protocol::v6::Action;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName, integration_rank, record_type};
use crate::role::Role;
use crate::storage::state::confirmed_to;
use crate::storage::{Incoming, Known, Quarantine, QuarantineCause, ReadTxn, Selection, Source, WriteTxn, state};
use crate::write;
use crate::write::merged;
use crate::write::record_owner;
use crate::write::restored_site::SiteRestore;
use crate::write::{Origin, UnseenMove, WriteEffect};

use self::failed_batch::{failed_before, forget_failure};
pub(crate) use self::failed_batch::{noting_failure, requeue_after_upgrade, requeue_failed, staging_what_fails};
use self::plan::{Facts, Plan, plan};
pub(crate) use self::pushed::receive_push;
pub(crate) use self::resolve::Resolvers;
pub use self::resolve::{Conflict, ConflictOutcome, ConflictResolver, ConflictVersions, Resolution};
use self::sent_back::BufferPlace;
pub(crate) use self::staged::{attempted, integrate};
pub(crate) use self::turns::IntegrationQueue;

/// The result of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Integrated {
    /// Integrated records, including those that were here already.
    pub integrated: u64,
    /// Records that went into quarantine for another cause than a rule of ownership.
    pub quarantined: u64,
    /// Records that a rule of ownership refused.
    pub refused: u64,
    /// Pulled records that yielded to a local edit.
    pub kept_local: u64,
    /// Conflicts that a resolver of the host decided otherwise.
    pub resolved: u64,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
}

impl Integrated {
    /// Adds another result.
    pub(crate) fn add(&mut self, other: &Self) {
        self.integrated += other.integrated;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.kept_local += other.kept_local;
        self.resolved += other.resolved;
        Conflict::add_to(&mut self.conflicts, &other.conflicts);
    }

    fn count(&self) -> u64 {
        self.integrated + self.quarantined + self.refused + self.kept_local + self.resolved
    }
}

/// The source of records, and the facts about it that the rules need.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    pub source: Source,
    /// The origin for changelog rows.
    pub origin: Option<SiteId>,
    /// The host's decisions about conflicts.
    pub resolvers: Resolvers,
}

impl Provenance {
    /// A source whose conflicts no host decides.
    pub(crate) fn new(source: Source, origin: Option<SiteId>) -> Self {
        Self { source, origin, resolvers: Resolvers::default() }
    }

    /// What a site pushes to central.
    pub(crate) fn of_pushes(site: SiteId) -> Self {
        let origin = if planted!(SourceForgotten) { None } else { Some(site) };
        Self::new(Source::Site(site), origin)
    }
}

/// Integrates a received batch in the caller's transaction: upserts with parents before children, then deletes with
/// children before parents. Records that cannot be integrated go into quarantine.
pub(crate) fn receive(
    txn: &dyn WriteTxn,
    now: Timestamp,
    provenance: &Provenance,
    mut batch: Vec<Incoming>,
) -> Result<Integrated> {
    dedupe_keep_last(&mut batch);
    if failed_before(txn, provenance.source)? {
        return stage_all(txn, now, provenance, batch);
    }
    batch.sort_by_key(|incoming| {
        let rank = i64::from(integration_rank(incoming.table.as_str()));
        match incoming.action {
            Action::Insert | Action::Update => (0, rank),
            Action::Delete => (1, -rank),
            Action::Merge => (2, rank),
        }
    });
    let mut integrator = Integrator::new(txn, now, provenance)?;
    let any_buffered = txn.any_buffered()?;
    integrator.facts.may_be_elsewhere = any_buffered;
    let is_pushed = matches!(provenance.source, Source::Site(_));
    for mut incoming in batch {
        if any_buffered && is_pushed {
            // The place of an older version gives no claim to a record that another site has sent since.
            txn.discard(provenance.source, &incoming.table, &incoming.id)?;
        }
        let set_aside = match incoming.quarantine.take() {
            Some(unreadable) => Some(integrator.count_set_aside(unreadable)),
            None => integrator.integrate_one(&incoming)?,
        };
        match set_aside {
            Some(_) if planted!(FailedIsDropped) => {}
            Some(quarantine) => {
                let known = integrator.facts.known_when_it_came(&incoming)?;
                txn.stage(&Incoming { quarantine: Some(quarantine), known, ..incoming }, now)?;
            }
            // An older version in quarantine is outdated now.
            None if any_buffered && !is_pushed => txn.discard(provenance.source, &incoming.table, &incoming.id)?,
            None => {}
        }
    }
    Ok(integrator.done)
}

/// Stages a batch unchanged, because one like it failed: staged records are integrated one by one if needed, so that a
/// failing record stops no other.
fn stage_all(txn: &dyn WriteTxn, now: Timestamp, provenance: &Provenance, batch: Vec<Incoming>) -> Result<Integrated> {
    let facts = LocalState::new(txn, provenance)?;
    for incoming in batch {
        let known = facts.known_when_it_came(&incoming)?;
        txn.stage(&Incoming { known, ..incoming }, now)?;
    }
    forget_failure(txn, provenance.source)?;
    Ok(Integrated::default())
}

/// The sender's last version of a record counts, in any order of actions: a batch may delete a record in one store and
/// write it again in another.
fn dedupe_keep_last(batch: &mut Vec<Incoming>) {
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

/// Integrates records one after the other, in one transaction.
struct Integrator<'t> {
    facts: LocalState<'t>,
    now: Timestamp,
    /// True if the quarantine is not empty, so that a record there may wait for this one.
    any_set_aside: bool,
    /// True for the central server's database.
    at_central: bool,
    /// True if there ever was a merge.
    any_merged: bool,
    /// On central, the known restore of the site that pushed.
    restore_of_source: Option<SiteRestore>,
    /// The current record's entry in the sync buffer, if it had one.
    buffered: Option<BufferPlace>,
    done: Integrated,
}

impl<'t> Integrator<'t> {
    fn new(txn: &'t dyn WriteTxn, now: Timestamp, provenance: &'t Provenance) -> Result<Self> {
        let any_set_aside = txn.any_quarantined()?;
        let at_central = crate::storage::state::role(txn)? == Some(Role::Central);
        let restore_of_source = match provenance.source {
            Source::Site(site) => SiteRestore::load(txn, site)?,
            _ => None,
        };
        let facts = LocalState::new(txn, provenance)?;
        let any_merged = merged::any(txn)?;
        let (buffered, done) = (None, Integrated::default());
        Ok(Self { facts, now, any_set_aside, at_central, any_merged, restore_of_source, buffered, done })
    }

    /// Decides about a record and carries that out; returns the reason if it goes into quarantine.
    fn integrate_one(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if self.any_merged
            && matches!(incoming.action, Action::Insert | Action::Update)
            && !planted!(MergedComesBack)
            && merged::is_gone(self.facts.txn, &incoming.table, &incoming.id)?
        {
            return self.take_merged(incoming);
        }
        let resolved = match self.any_merged {
            true if !planted!(MergeForgetsLateRecords) => {
                merged::resolved(self.facts.txn, &incoming.table, &incoming.data)?
            }
            _ => None,
        };
        match resolved {
            Some(data) => self.take_resolved(&Incoming { data, ..incoming.clone() }),
            None => self.take_resolved(incoming),
        }
    }

    /// A version of a merged record that comes after the merge, new or repeated. A site's version is not dropped
    /// silently.
    fn take_merged(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if matches!(incoming.source, Source::Site(_)) {
            let reason = format!("the legacy server merged this {} into another one", incoming.table);
            let ignored = Quarantine { cause: QuarantineCause::Ignored, reason, waits_for: None };
            return Ok(Some(self.count_set_aside(ignored)));
        }
        merge::came_late(self.facts.txn, incoming, self.facts.provenance.origin, self.now)?;
        self.done.integrated += 1;
        Ok(None)
    }

    fn take_resolved(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        let plan = plan(incoming, &self.facts)?;
        self.carry_out(plan, incoming)
    }

    fn carry_out(&mut self, plan: Plan, incoming: &Incoming) -> Result<Option<Quarantine>> {
        let (txn, now) = (self.facts.txn, self.now);
        let (table, id) = (&incoming.table, &incoming.id);
        let origin = Origin::Sync(self.origin(incoming)?);
        match plan {
            Plan::MarkDeleted(_) | Plan::Delete if !txn.has_record(table, id)? => {
                // The deletion has to be on record, for the version that is integrated later.
                if let Some(sent) = self.facts.sent_first_elsewhere(table, id)? {
                    write::log_deletion(txn, table, id, &sent, origin, now)?;
                }
            }
            Plan::Upsert => {
                let store = if self.at_central { write::upsert_with_fanout } else { write::upsert };
                let stored = store(txn, table, id, &incoming.data, origin, now)?;
                if stored != WriteEffect::AsBefore {
                    self.note_writer(incoming, origin, &incoming.data)?;
                }
                if self.any_merged {
                    merged::stored(txn, table, id, &incoming.data)?;
                }
                if self.any_set_aside && !planted!(WaitingNotWoken) {
                    txn.wake_waiting(table, id)?;
                }
            }
            Plan::MarkDeleted(field) => {
                if let Some(marked) = txn.record(table, id)?.and_then(|data| write::marked_deleted(&data, field, now)) {
                    write::upsert(txn, table, id, &marked, origin, now)?;
                    self.note_writer(incoming, origin, &marked)?;
                }
            }
            Plan::Delete => {
                write::delete(txn, table, id, origin, now)?;
            }
            Plan::Merge(merge) => {
                merge::note(txn, table, merge, self.facts.provenance.origin, now)?;
                self.any_merged = true;
            }
            Plan::Nothing => {}
            Plan::KeepLocal(_) if self.came_back(incoming)? => {}
            Plan::KeepLocal(otherwise) => return self.end_conflict(*otherwise, incoming),
            Plan::Reduce(data) => return self.take_resolved(&Incoming { data, ..incoming.clone() }),
            Plan::SetAside(quarantine) => {
                if quarantine.cause == QuarantineCause::Superseded {
                    self.facts.tell_again_what_was_passed(incoming)?;
                }
                return Ok(Some(self.count_set_aside(quarantine)));
            }
        }
        self.done.integrated += 1;
        Ok(None)
    }

    /// On central, stores the site that wrote a record whose row does not name it.
    fn note_writer(&self, Incoming { table, id, .. }: &Incoming, origin: Origin, data: &RecordData) -> Result<()> {
        match (self.facts.provenance.origin, origin) {
            (Some(site), Origin::Sync(None)) if self.at_central => {
                record_owner::note_writer(self.facts.txn, site, (table, id), data)
            }
            _ => Ok(()),
        }
    }

    /// True if the local edit was sent to central, without an answer. The next push repeats it under its position: central
    /// accepts it if it never came, and otherwise sends what replaced it there once more. Under a new position central could not
    /// tell it from a new edit, and would lose what replaced it.
    fn was_sent_to_central(&self, incoming: &Incoming) -> Result<bool> {
        let Incoming { source, table, id, .. } = incoming;
        let by_its_legacy_half =
            *source == Source::Legacy && self.facts.is_one_server && record_type(table.as_str()).is_some();
        if *source != Source::Central && !by_its_legacy_half {
            return Ok(false);
        }
        let sent_before = state::PUSH_SENT_BEFORE.get(self.facts.txn)?;
        if !self.facts.txn.has_local_change(table, id, sent_before)? {
            return Ok(true);
        }
        // Logged again after it was sent: it goes out with its first position.
        for row in state::RENUMBERED.get(self.facts.txn)? {
            let logged = self.facts.txn.changes(&Selection::Local, row.at, 1)?;
            let is_it =
                |found: &Change| found.cursor == row.at && found.change.table == *table && found.change.id == *id;
            if logged.first().is_some_and(is_it) && !self.facts.txn.has_local_change(table, id, row.at.next())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if the received version equals the local one, which is an edit of this site that comes back: central has
    /// it, so it need not be pushed.
    fn came_back(&self, incoming: &Incoming) -> Result<bool> {
        let Incoming { source, table, id, action, data, .. } = incoming;
        let ours = self.facts.txn.record(table, id)?;
        if planted!(OwnEditLoggedAgain) || !write::is_same(table, *action, data, ours.as_ref()) {
            return Ok(false);
        }
        if *source == Source::Central {
            note_at_central(self.facts.txn, table, id)?;
        }
        Ok(true)
    }

    /// The site that a record comes from, unless the record has to go back there.
    fn origin(&self, incoming: &Incoming) -> Result<Option<SiteId>> {
        let Some(site) = self.facts.provenance.origin else { return Ok(None) };
        let goes_back = sent_back::is_lost(self.restore_of_source, incoming, self.buffered)
            || sent_back::is_replaced(self.facts.txn, site, incoming, self.buffered)?;
        Ok(Some(site).filter(|_| !goes_back))
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

/// The facts in the storage that the plan needs.
struct LocalState<'t> {
    txn: &'t dyn WriteTxn,
    provenance: &'t Provenance,
    /// On central, the active stores of the site that pushed, in this transaction.
    stores: Vec<StoreId>,
    /// The first local edit of a legacy table that is not pushed yet; `None` if there is none.
    unpushed_legacy: Option<Cursor>,
    /// The same for record types. Where one server is both, they go to it over V6, and may come from its legacy half.
    unpushed_typed: Option<Cursor>,
    /// True if the legacy server, from which the records come, is central too.
    is_one_server: bool,
    /// False if no other source has a version of the current record in the sync buffer.
    may_be_elsewhere: bool,
}

impl<'t> LocalState<'t> {
    fn new(txn: &'t dyn WriteTxn, provenance: &'t Provenance) -> Result<Self> {
        let server = match provenance.source {
            Source::Central => Some(Server::Central),
            Source::Legacy => Some(Server::Legacy),
            Source::Site(_) | Source::Local => None,
        };
        let unpushed = |server: Option<Server>| -> Result<Option<Cursor>> {
            let Some(server) = server else { return Ok(None) };
            let from = confirmed_to(txn, server)?;
            let is_any = !txn.changes(&Selection::Local, from, 1)?.is_empty();
            Ok(is_any.then_some(from))
        };
        let unpushed_legacy = unpushed(server)?;
        let is_one_server = server == Some(Server::Legacy) && state::central_is_legacy(txn)?;
        let unpushed_typed = if is_one_server { unpushed(Some(Server::Central))? } else { unpushed_legacy };
        let stores = match provenance.source {
            Source::Site(site) => txn.stores_of_site(site)?,
            _ => Vec::new(),
        };
        Ok(Self { txn, provenance, stores, unpushed_legacy, unpushed_typed, is_one_server, may_be_elsewhere: true })
    }

    /// On central, tells the site of a move that it has read past, because it kept its own edit instead.
    fn tell_again_what_was_passed(&self, incoming: &Incoming) -> Result<()> {
        match incoming.source {
            Source::Site(site) if self.went_unseen(incoming)? == UnseenMove::KeptAsOwn => {
                let record = (&incoming.table, &incoming.id);
                write::tell_again_that_it_left(self.txn, (site, &self.stores), record)
            }
            _ => Ok(()),
        }
    }

    fn unpushed_from(&self, table: &TableName) -> Option<Cursor> {
        if record_type(table.as_str()).is_some() { self.unpushed_typed } else { self.unpushed_legacy }
    }

    /// The edits that the writer of a quarantined record may have known: a local edit that the server does not have yet
    /// is newer, although it is stored already.
    fn known_when_it_came(&self, incoming: &Incoming) -> Result<Known> {
        let from = self.unpushed_from(&incoming.table).filter(|_| incoming.known.here.is_none());
        Ok(match from {
            Some(from) if self.is_edited_here(incoming)? => {
                Known { here: Some(Cursor(from.0.saturating_sub(1))), ..incoming.known }
            }
            _ => incoming.known,
        })
    }
}

impl Facts for LocalState<'_> {
    fn has(&self, table: &str, id: &RecordId) -> Result<bool> {
        self.txn.has_record(&TableName::from(table), id)
    }

    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        self.txn.record(table, id)
    }

    fn owner_of(&self, table: &TableName, data: &RecordData) -> Result<StoreOwner> {
        record_owner::owner(self.txn, table, data, &self.stores)
    }

    fn is_anothers(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<bool> {
        match self.provenance.source {
            Source::Site(site) => record_owner::is_anothers(self.txn, (site, &self.stores), (table, id), data),
            _ => Ok(false),
        }
    }

    fn was_deleted_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        record_owner::was_deleted_elsewhere(self.txn, (table, id), &self.stores)
    }

    fn is_set_aside_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        let Source::Site(site) = self.provenance.source else { return Ok(false) };
        if !self.may_be_elsewhere {
            return Ok(false);
        }
        record_owner::is_set_aside_elsewhere(self.txn, (table, id), (site, &self.stores))
    }

    fn sent_first_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        let Source::Site(site) = self.provenance.source else { return Ok(None) };
        if !self.may_be_elsewhere {
            return Ok(None);
        }
        record_owner::sent_first_elsewhere(self.txn, (table, id), site)
    }

    fn unseen_patient(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<Option<NameId>> {
        match (self.provenance.source, table.as_str()) {
            (Source::Site(_), "name" | "name_oms_fields") if planted!(PatientIsAnyones) => Ok(None),
            (Source::Site(site), "name" | "name_oms_fields") => {
                record_owner::unseen_name(self.txn, (site, &self.stores), id)
            }
            _ => record_owner::unseen_patient(self.txn, table, data, &self.stores),
        }
    }

    fn went_unseen(&self, incoming: &Incoming) -> Result<UnseenMove> {
        let (Source::Site(site), Some(read_to)) = (incoming.source, incoming.known.by_sender) else {
            return Ok(UnseenMove::Nothing);
        };
        let record = (&incoming.table, &incoming.id, &incoming.data);
        write::went_unseen(self.txn, (site, read_to, &self.stores), record)
    }

    fn is_superseded(&self, incoming: &Incoming) -> Result<bool> {
        let Some(known) = incoming.known.here.filter(|_| !planted!(OlderVersionWins)) else { return Ok(false) };
        let (table, id) = (&incoming.table, &incoming.id);
        if self.txn.written_at(table, id)?.is_none_or(|written| written <= known) {
            return Ok(false);
        }
        let here = self.txn.record(table, id)?;
        Ok(!write::is_same(table, incoming.action, &incoming.data, here.as_ref()))
    }

    fn is_edited_here(&self, incoming: &Incoming) -> Result<bool> {
        let (table, id) = (&incoming.table, &incoming.id);
        if planted!(LocalEditOverwritten) {
            return Ok(false);
        }
        let Some(from) = self.unpushed_from(table) else { return Ok(false) };
        // An edit that came back from central does not wait any more.
        let from = from.max(seen_at_central(self.txn, self.provenance.source, table, id)?);
        self.txn.has_local_change(table, id, from)
    }
}

/// Records that central has the current version of a record: its edits so far need not be pushed, unless central goes
/// back.
fn note_at_central(txn: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<()> {
    let own = crate::storage::state::site_id(txn)?.unwrap_or(SiteId(0));
    txn.note_pushed(own, table, id, txn.last_cursor()?.next())
}

/// The first edit that central is not known to have.
pub(crate) fn seen_at_central(txn: &dyn ReadTxn, source: Source, table: &TableName, id: &RecordId) -> Result<Cursor> {
    if source != Source::Central {
        return Ok(Cursor(0));
    }
    let own = crate::storage::state::site_id(txn)?.unwrap_or(SiteId(0));
    Ok(txn.pushed_at(own, table, id)?.unwrap_or_default())
}
