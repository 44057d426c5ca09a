//! Carries out the decisions of [`plan`](super::plan) about received records.

use std::collections::VecDeque;

use super::integrated::Integrated;
use super::local_state::{LocalState, note_at_central};
use super::merge;
use super::noted_conflicts::NotedConflict;
use super::plan::{Facts as _, Plan, plan};
use super::provenance::Provenance;
use super::sent_back::{self, BufferPlace};
use crate::changelog::Change;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::{RecordData, SiteId, record_type};
use crate::role::Role;
use crate::storage::state::NotedRefusal;
use crate::storage::state::role;
use crate::storage::{Incoming, Quarantine, QuarantineCause, Selection, Source, WriteTxn, state};
use crate::write::restored_site::SiteRestore;
use crate::write::{self, Origin, WriteEffect, merged, record_owner};

/// Integrates records one after the other, in one transaction.
pub(super) struct Integrator<'t> {
    pub(super) facts: LocalState<'t>,
    pub(super) now: Timestamp,
    /// True if the quarantine is not empty, so that a record there may wait for this one.
    any_set_aside: bool,
    /// True for the central server's database.
    at_central: bool,
    /// True if there ever was a merge.
    any_merged: bool,
    /// On central, the known restore of the site that pushed.
    restore_of_source: Option<SiteRestore>,
    /// The current record's entry in the sync buffer, if it had one.
    pub(super) buffered: Option<BufferPlace>,
    pub(super) done: Integrated,
    /// The conflicts that this database keeps, oldest first; the newest of them if there are many.
    pub(super) noted: VecDeque<NotedConflict>,
    /// The records of this site that central did not take, as far as it has told.
    pub(super) not_taken: Vec<NotedRefusal>,
}

impl<'t> Integrator<'t> {
    pub(super) fn new(txn: &'t dyn WriteTxn, now: Timestamp, provenance: &'t Provenance) -> Result<Self> {
        let any_set_aside = txn.any_quarantined()?;
        let at_central = role(txn)? == Some(Role::Central);
        let restore_of_source = match provenance.source {
            Source::Site(site) => SiteRestore::load(txn, site)?,
            _ => None,
        };
        let facts = LocalState::new(txn, provenance)?;
        let any_merged = merged::any(txn)?;
        let (buffered, done, noted) = (None, Integrated::default(), VecDeque::new());
        let not_taken = match provenance.source {
            Source::Central | Source::Legacy if !at_central => state::REFUSED_BY_CENTRAL.get(txn)?.0,
            _ => Vec::new(),
        };
        Ok(Self {
            facts,
            now,
            any_set_aside,
            at_central,
            any_merged,
            restore_of_source,
            buffered,
            done,
            noted,
            not_taken,
        })
    }

    /// Decides about a record and carries that out; returns the reason if it goes into quarantine.
    pub(super) fn integrate_one(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if self.any_merged
            && incoming.action != Action::Merge
            && !planted!(MergedComesBack)
            && merged::is_gone(self.facts.txn, &incoming.table, &incoming.id)?
        {
            return self.discard_merged(incoming);
        }
        let resolved = match self.any_merged {
            true if !planted!(MergeForgetsLateRecords) => {
                merged::resolved(self.facts.txn, &incoming.table, &incoming.data)?
            }
            _ => None,
        };
        match resolved {
            Some(data) => self.integrate_resolved(&Incoming { data, ..incoming.clone() }),
            None => self.integrate_resolved(incoming),
        }
    }

    /// A version of a merged record that comes after the merge, new or repeated, or its deletion. A site's version is not
    /// dropped silently.
    fn discard_merged(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        if matches!(incoming.source, Source::Site(_)) {
            let reason = format!("the legacy server merged this {} into another one", incoming.table);
            let ignored = Quarantine { cause: QuarantineCause::Ignored, reason, waits_for: None };
            return Ok(Some(self.count_set_aside(ignored)));
        }
        merge::came_late(self.facts.txn, incoming, self.facts.provenance.origin, self.now)?;
        self.done.integrated += 1;
        Ok(None)
    }

    fn integrate_resolved(&mut self, incoming: &Incoming) -> Result<Option<Quarantine>> {
        (self.facts.came_at, self.facts.read_to) = (incoming.known.here, incoming.known.by_sender);
        let plan = plan(incoming, &self.facts)?;
        self.carry_out(plan, incoming)
    }

    pub(super) fn carry_out(&mut self, plan: Plan, incoming: &Incoming) -> Result<Option<Quarantine>> {
        let (txn, now) = (self.facts.txn, self.now);
        let (table, id) = (&incoming.table, &incoming.id);
        let origin = Origin::Sync(self.origin(incoming)?);
        if matches!(plan, Plan::Upsert | Plan::MarkDeleted(_) | Plan::Delete) {
            self.keep_not_taken(incoming)?;
        }
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
            Plan::Reduce(data) => return self.integrate_resolved(&Incoming { data, ..incoming.clone() }),
            Plan::SetAside(quarantine) => {
                if quarantine.cause == QuarantineCause::Superseded {
                    self.facts.relog_passed_move(incoming)?;
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
    /// accepts it if it never arrived, and otherwise sends the version that replaced it there once more. Under a new position
    /// it would look like a new edit, and central would lose the version that replaced it.
    pub(super) fn was_sent_to_central(&self, incoming: &Incoming) -> Result<bool> {
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
    pub(super) fn origin(&self, incoming: &Incoming) -> Result<Option<SiteId>> {
        let Some(site) = self.facts.provenance.origin else { return Ok(self.own_again(incoming)) };
        let goes_back = sent_back::is_lost(self.restore_of_source, incoming, self.buffered)
            || sent_back::is_replaced(self.facts.txn, site, incoming, self.buffered)?;
        Ok(Some(site).filter(|_| !goes_back))
    }

    /// This site, for a version that it wrote and reads again: if central loses that version, this site has to send it once more.
    fn own_again(&self, Incoming { source, table, id, .. }: &Incoming) -> Option<SiteId> {
        let own = &self.facts.provenance.own;
        let is_own = *source == Source::Central && !own.is_empty() && own.contains(&(table.clone(), id.clone()));
        is_own.then_some(self.facts.own)
    }

    pub(super) fn count_set_aside(&mut self, quarantine: Quarantine) -> Quarantine {
        self.any_set_aside = true;
        match quarantine.cause {
            QuarantineCause::Refused => self.done.refused += 1,
            _ => self.done.quarantined += 1,
        }
        quarantine
    }
}
