//! Ends conflicts, as the host decides.

use super::conflict::{Conflict, ConflictOutcome, Resolution};
use super::integrated::Integrated;
use super::integrator::Integrator;
use super::noted_conflicts::{KEPT_MAX, NotedConflict, note_conflicts};
use super::plan::Plan;
use crate::error::{Error, ErrorClass, Result};
use crate::record::RecordData;
use crate::storage::{Incoming, Quarantine};
use crate::text::Message;
use crate::text::sentences::cycle as says;
use crate::write::{self, Origin};

/// True if a record of a resolver may not be written. Every other error is one of this machine.
fn is_its_fault(error: &Error) -> bool {
    error.class() == ErrorClass::Input
}

impl Integrator<'_> {
    /// Ends a conflict as the host decides, or else with the local version.
    pub(super) fn end_conflict(&mut self, otherwise: Plan, incoming: &Incoming) -> Result<Option<Quarantine>> {
        // Central may have an edit that was sent, or may not. The answer has to come before anything else is decided.
        let was_sent = self.was_sent_to_central(incoming)?;
        let local = self.facts.txn.record(&incoming.table, &incoming.id)?;
        let decided = match was_sent {
            true => None,
            false => self.facts.provenance.resolvers.decide(local.as_ref(), incoming),
        };
        let outcome = match decided {
            None | Some(Ok(Resolution::KeepLocal)) => ConflictOutcome::KeptLocal,
            Some(Ok(Resolution::TakeReceived)) => {
                self.note_conflict(incoming, local, ConflictOutcome::TookReceived);
                let set_aside = self.carry_out(otherwise, incoming)?;
                self.done.integrated = self.done.integrated.saturating_sub(u64::from(set_aside.is_none()));
                return Ok(set_aside);
            }
            Some(Ok(Resolution::Replace(data))) => match self.replace(incoming, data) {
                Ok(()) => {
                    self.note_conflict(incoming, local, ConflictOutcome::Replaced);
                    return Ok(None);
                }
                Err(error) if is_its_fault(&error) => {
                    let (table, id) = (incoming.table.as_str(), incoming.id.as_str());
                    self.done.note_failed_resolver(says::resolver_failed(table, id, Message::of(&error)));
                    ConflictOutcome::ResolverFailed
                }
                Err(error) => return Err(error),
            },
            Some(Err(_)) => {
                let (table, id) = (incoming.table.as_str(), incoming.id.as_str());
                self.done.note_failed_resolver(says::resolver_panicked(table, id));
                ConflictOutcome::ResolverFailed
            }
        };
        self.note_conflict(incoming, local, outcome);
        if was_sent { Ok(None) } else { self.keep_local(incoming).map(|()| None) }
    }

    fn note_conflict(&mut self, incoming: &Incoming, local: Option<RecordData>, outcome: ConflictOutcome) {
        match outcome {
            ConflictOutcome::TookReceived | ConflictOutcome::Replaced => self.done.resolved += 1,
            ConflictOutcome::KeptLocal | ConflictOutcome::ResolverFailed => self.done.kept_local += 1,
            ConflictOutcome::NotTaken => {}
        }
        let conflict = Conflict::of(incoming, local.as_ref(), outcome);
        self.keep_versions(&conflict, local, incoming);
        Conflict::add_to(&mut self.done.conflicts, &[conflict]);
    }

    /// Keeps the version here, if central has told that it did not take it, before another one replaces it: it is nowhere else at this
    /// site. A report names it among those that central did not take, and counts no conflict.
    pub(super) fn keep_not_taken(&mut self, incoming: &Incoming) -> Result<()> {
        let Incoming { table, id, action, data, .. } = incoming;
        let Some(noted) = self.not_taken.iter().find(|noted| noted.table == *table && noted.id == *id) else {
            return Ok(());
        };
        let local = self.facts.txn.record(table, id)?;
        if local.is_some()
            && !write::is_same(table, *action, data, local.as_ref())
            && noted.is_of_newest(self.facts.txn)?
        {
            let conflict = Conflict::of(incoming, local.as_ref(), ConflictOutcome::NotTaken);
            self.keep_versions(&conflict, local, incoming);
        }
        Ok(())
    }

    fn keep_versions(&mut self, conflict: &Conflict, local: Option<RecordData>, incoming: &Incoming) {
        if self.noted.len() == KEPT_MAX {
            self.noted.pop_front();
        }
        self.noted.push_back(NotedConflict::of(conflict, local, incoming, self.now));
    }

    /// Ends the integration, in the same transaction.
    pub(super) fn finish(self) -> Result<Integrated> {
        note_conflicts(self.facts.txn, self.noted)?;
        Ok(self.done)
    }

    /// Writes what a resolver gave, as any other write of the host. Nothing is written if it is refused.
    fn replace(&self, incoming: &Incoming, data: RecordData) -> Result<()> {
        let (table, id) = (&incoming.table, &incoming.id);
        write::put_of_host(self.facts.txn, self.now, (table, id), data)
    }

    /// The local version goes out with the next push, so that both ends agree in the end.
    fn keep_local(&self, incoming: &Incoming) -> Result<()> {
        let Incoming { table, id, data, .. } = incoming;
        let (txn, now) = (self.facts.txn, self.now);
        if planted!(LocalDeleteForgotten) && !txn.has_record(table, id)? {
            let origin = Origin::Sync(self.origin(incoming)?);
            return write::upsert(txn, table, id, data, origin, now).map(|_| ());
        }
        write::reassert_local(txn, table, id, data, now)
    }
}
