//! Integrates a batch in the transaction that receives it.

use std::collections::HashSet;

use super::failed_batch::{failed_before, forget_failure};
use super::ignored::without_ignored;
use super::integrated::Integrated;
use super::integrator::Integrator;
use super::local_state::LocalState;
use super::provenance::Provenance;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::integration_rank;
use crate::storage::{Incoming, Source, WriteTxn};

/// Integrates a received batch in the caller's transaction: upserts with parents before children, then deletes with
/// children before parents. Records that cannot be integrated go into quarantine.
pub(crate) fn receive(
    txn: &dyn WriteTxn,
    now: Timestamp,
    provenance: &Provenance,
    mut batch: Vec<Incoming>,
) -> Result<Integrated> {
    dedupe_keep_last(&mut batch);
    let mut batch = without_ignored(txn, batch)?;
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
    integrator.finish()
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
    let mut seen = HashSet::with_capacity(batch.len());
    let mut last: Vec<bool> = Vec::with_capacity(batch.len());
    for incoming in batch.iter().rev() {
        let table = if planted!(TableIgnored) { "" } else { incoming.table.as_str() };
        last.push(incoming.action == Action::Merge || seen.insert((table, incoming.id.as_str())));
    }
    if last.contains(&false) {
        batch.retain(|_| last.pop().unwrap_or(true));
    }
}
