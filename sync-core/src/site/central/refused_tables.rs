//! Records of a table that central takes from no site: a push that holds one is refused as a whole, so they go into
//! quarantine, and the other records go out.

use super::push::{is_at_central, is_pushed};
use crate::error::{Error, Result};
use crate::record::{Cursor, TableName};
use crate::site::cycle::Cycle;
use crate::site::outbox::{PushSieve, ROWS};
use crate::storage::{Incoming, Quarantine, QuarantineCause, Selection, Source, state};
use crate::write::outgoing;

impl Cycle<'_, '_> {
    /// If a push was refused for one of its tables, puts the waiting records of that table into quarantine. Returns their
    /// number: zero for any other error, and if nothing of that table waits.
    pub(super) fn set_aside_refused_table(&mut self, error: &Error, bound: Cursor) -> Result<u64> {
        let Error::TableNotForSites { table, .. } = error else { return Ok(0) };
        if !self.refused_tables.insert(table.clone()) {
            return Ok(0);
        }
        let mut from = state::PUSH_CURSOR_V6.get(self.site.storage.read()?.as_ref())?;
        let mut set_aside = 0;
        loop {
            let (next, count) = self.set_aside_page(table, &error.to_string(), from, bound)?;
            set_aside += count;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        self.report.refused += set_aside;
        Ok(set_aside)
    }

    /// The same with one page of edits; returns the position after it, if more may follow.
    fn set_aside_page(
        &self,
        table: &TableName,
        reason: &str,
        from: Cursor,
        bound: Cursor,
    ) -> Result<(Option<Cursor>, u64)> {
        let txn = self.site.storage.write()?;
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        let next = rows.last().filter(|last| rows.len() == ROWS && last.cursor < bound).map(|last| last.cursor.next());
        let (own, mut set_aside) = (self.identity.own_id(), 0);
        for row in rows.into_iter().filter(|row| row.cursor < bound && row.change.table == *table && is_pushed(row)) {
            if is_at_central(txn.as_ref(), own, &row)? {
                continue;
            }
            let data = txn.record(&row.change.table, &row.change.id)?;
            let Some(element) = outgoing::element(row, data) else { continue };
            let (cause, reason) = (QuarantineCause::Refused, reason.to_owned());
            let quarantine = Some(Quarantine { cause, reason, waits_for: None });
            txn.stage(&Incoming { quarantine, ..Incoming::new(Source::Local, element.record) }, self.site.clock.now())?;
            set_aside += 1;
        }
        txn.commit()?;
        Ok((next, set_aside))
    }

    /// Moves the cursor past records that are in quarantine, if no other record is left to push.
    pub(super) fn skip_refused_tables(&self, bound: Cursor, sieve: &PushSieve) -> Result<()> {
        if self.refused_tables.is_empty() || sieve.below().is_some() || !sieve.left_out().is_empty() {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::PUSH_CURSOR_V6.set(txn.as_ref(), bound)?;
        txn.commit()
    }
}
