//! Records that a server refuses for their size: they go into quarantine, where they block no other, and are pushed once
//! more after a day. The limit of a server or of a proxy on the way may have been raised.

use std::time::Duration;

use super::cycle::Cycle;
use super::outbox::Gathered;
use crate::error::{Error, Result, Server};
use crate::files::later;
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::{Buffered, Incoming, Quarantine, QuarantineCause, Source, each_quarantined, state};
use crate::write::{is_as_stored, push_again};

/// After so long such records are pushed once more.
const AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl Cycle<'_, '_> {
    /// Puts a record that is too large for a server into quarantine. If it was edited again since, the newer version is
    /// pushed in its turn, and the record does not go into quarantine. Returns the number of records that were skipped,
    /// which are pushed later.
    pub(super) fn set_aside_too_large<E>(
        &mut self,
        server: Server,
        record: WireRecord,
        outgoing: &Gathered<E>,
    ) -> Result<u64> {
        let now = self.site.clock.now();
        let txn = self.site.storage.write()?;
        state::push_to(server).cursor.set(txn.as_ref(), outgoing.next)?;
        let is_written_again = txn.has_local_change(&record.table_name, &record.record_id, outgoing.next)?;
        let passed_over = outgoing.log_passed_over(txn.as_ref(), server, now)?;
        if is_written_again {
            txn.commit()?;
            return Ok(passed_over);
        }
        let reason = reason(server, &record.table_name, &record.record_id, &record.record_data);
        let quarantine = Quarantine { cause: QuarantineCause::Refused, reason, waits_for: None };
        let incoming = Incoming { quarantine: Some(quarantine), ..Incoming::new(Source::Local, record) };
        txn.stage(&incoming, now)?;
        if state::TOO_LARGE_AGAIN_AT.get(txn.as_ref())?.is_none() {
            state::TOO_LARGE_AGAIN_AT.set(txn.as_ref(), Some(later(now, AGAIN_AFTER)))?;
        }
        txn.commit()?;
        self.report.refused += 1;
        Ok(passed_over)
    }

    /// Logs the records that were too large again, once a day has passed, as edits that are not pushed.
    pub(super) fn push_too_large_again(&mut self) -> Result<()> {
        let now = self.site.clock.now();
        let is_due = |at: Option<_>| at.is_some_and(|at| at <= now);
        if !is_due(state::TOO_LARGE_AGAIN_AT.get(self.site.storage.read()?.as_ref())?) {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        each_quarantined(txn.as_ref(), 0, |row, why| {
            if is_too_large(&row, &why) && is_as_stored(txn.as_ref(), &row.incoming)? {
                push_again(txn.as_ref(), &row, now)?;
            }
            Ok(())
        })?;
        state::TOO_LARGE_AGAIN_AT.set(txn.as_ref(), None)?;
        txn.commit()
    }
}

/// The stored reason for a record that is too large, which also tells such a record from others that were refused.
fn reason(server: Server, table: &TableName, id: &RecordId, data: &RecordData) -> String {
    Error::RecordTooLarge { server, table: table.clone(), id: id.clone(), bytes: data.as_str().len() }.to_string()
}

fn is_too_large(row: &Buffered, why: &Quarantine) -> bool {
    let Incoming { source, table, id, action, data, .. } = &row.incoming;
    if *source != Source::Local || *action == Action::Delete || why.cause != QuarantineCause::Refused {
        return false;
    }
    [Server::Central, Server::Legacy].into_iter().any(|server| why.reason == reason(server, table, id, data))
}
