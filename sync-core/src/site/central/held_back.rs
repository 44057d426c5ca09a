//! Records of a table that central takes from no site: a push that holds one is refused as a whole, so they go into
//! quarantine, and the other records go out.

use super::push::{ROWS, came_back, is_pushed};
use crate::error::{Error, Result};
use crate::record::{Cursor, TableName};
use crate::site::cycle::Cycle;
use crate::site::outbox::SingleRecordPushes;
use crate::storage::{Incoming, Quarantine, QuarantineCause, Selection, Source, state};
use crate::write::outgoing;

impl Cycle<'_, '_> {
    /// If a push was refused for one of its tables, puts the waiting records of that table into quarantine. Returns their
    /// number: zero for any other error, and if nothing of that table waits.
    pub(super) fn hold_back(&mut self, error: &Error, bound: Cursor) -> Result<u64> {
        let Error::TableNotForSites { table, .. } = error else { return Ok(0) };
        if !self.held_back.insert(table.clone()) {
            return Ok(0);
        }
        let mut from = state::PUSH_CURSOR_V6.get(self.site.storage.read()?.as_ref())?;
        let mut held = 0;
        loop {
            let (next, count) = self.hold_back_some(table, &error.to_string(), (from, bound))?;
            held += count;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        self.report.refused += held;
        Ok(held)
    }

    /// The same with one page of edits; returns the position after it, if more may follow.
    fn hold_back_some(
        &self,
        table: &TableName,
        reason: &str,
        (from, bound): (Cursor, Cursor),
    ) -> Result<(Option<Cursor>, u64)> {
        let txn = self.site.storage.write()?;
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        let next = rows.last().filter(|last| rows.len() == ROWS && last.cursor < bound).map(|last| last.cursor.next());
        let mut held = 0;
        for row in rows.into_iter().filter(|row| row.cursor < bound && row.change.table == *table && is_pushed(row)) {
            if came_back(txn.as_ref(), &row)? {
                continue;
            }
            let data = txn.record(&row.change.table, &row.change.id)?;
            let Some(element) = outgoing::element(row, data) else { continue };
            let (cause, reason) = (QuarantineCause::Refused, reason.to_owned());
            let quarantine = Some(Quarantine { cause, reason, waits_for: None });
            txn.stage(&Incoming { quarantine, ..Incoming::new(Source::Local, element.record) }, self.site.clock.now())?;
            held += 1;
        }
        txn.commit()?;
        Ok((next, held))
    }

    /// Moves the cursor past records that are in quarantine, if no other record is left to push.
    pub(super) fn pass_over_held_back(&self, bound: Cursor, sieve: &SingleRecordPushes) -> Result<()> {
        if self.held_back.is_empty() || sieve.below().is_some() || !sieve.left_out().is_empty() {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::PUSH_CURSOR_V6.set(txn.as_ref(), bound)?;
        txn.commit()
    }
}
