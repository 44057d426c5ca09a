//! Edits of this site whose stored text another program damaged: they go into quarantine, where they block no other.

use super::cycle::Cycle;
use super::outbox::Gathered;
use crate::error::Result;
use crate::storage::{Incoming, Quarantine, QuarantineCause, Source};

impl Cycle<'_, '_> {
    /// Puts the damaged records that a push met into quarantine, with the text that is left of them. None of them is to be pushed any
    /// more. Returns their number.
    pub(super) fn set_aside_damaged<E>(&mut self, outgoing: &Gathered<E>) -> Result<u64> {
        if outgoing.damaged.is_empty() {
            return Ok(0);
        }
        let txn = self.site.storage.write()?;
        for record in &outgoing.damaged {
            let reason = "another program changed what is stored of it, and that is no JSON object any more".to_owned();
            let quarantine = Some(Quarantine { cause: QuarantineCause::Malformed, reason, waits_for: None });
            let incoming = Incoming { quarantine, ..Incoming::new(Source::Local, record.clone()) };
            txn.stage(&incoming, self.site.clock.now())?;
            txn.mark_synced(&record.table_name, &record.record_id)?;
        }
        txn.commit()?;
        Ok(outgoing.damaged.len() as u64)
    }
}
