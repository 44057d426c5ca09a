//! Pull: which rows a site receives, and the batch they make.

use super::{Central, Refused};
use crate::changelog::{Change, ChangeAction};
use crate::error::Result;
use crate::protocol::v6::{Action, Batch, BatchElement, PatientPullRequest, PullRequest, WireRecord};
use crate::record::{Cursor, RecordData, SiteId, record_type};
use crate::storage::{ReadTxn, Selection};

impl Central {
    pub(super) fn pull(&self, site: SiteId, request: &PullRequest) -> std::result::Result<Batch, Refused> {
        let batch = {
            let txn = self.storage.read()?;
            let stores = txn.stores_of_site(site)?;
            let except_from = request.is_initialised.then_some(site);
            let selection = Selection::ForSite { stores, except_from };
            self.batch(txn.as_ref(), &selection, request.cursor, request.batch_size)?
        };
        if batch.is_last_batch && !request.is_initialised {
            self.remember_first_pull(site)?;
        }
        Ok(batch)
    }

    pub(super) fn patient_pull(
        &self,
        site: SiteId,
        request: &PatientPullRequest,
    ) -> std::result::Result<Batch, Refused> {
        let txn = self.storage.read()?;
        let patient = &request.fetch_patient_id;
        if !txn.is_visible(patient, &txn.stores_of_site(site)?)? {
            let end_cursor = txn.last_cursor()?;
            return Ok(Batch { end_cursor, total_records: 0, records: Vec::new(), is_last_batch: true });
        }
        Ok(self.batch(txn.as_ref(), &Selection::Patient(patient.clone()), request.cursor, request.batch_size)?)
    }

    /// One batch. Everything is read in one transaction: when nothing matches, the newest cursor is the newest of the
    /// very state that was searched, so no row is ever skipped (weak point A1).
    fn batch(&self, txn: &dyn ReadTxn, selection: &Selection, from: Cursor, batch_size: u32) -> Result<Batch> {
        let limit = batch_size.min(self.config.batch_records_max) as usize;
        let total = txn.count_changes(selection, from)?;
        let rows = txn.changed_records(selection, from, limit, self.config.batch_bytes_max)?;
        let is_last_batch = total <= rows.len() as u64;
        let end_cursor = rows.last().map_or_else(|| txn.last_cursor(), |(row, _)| Ok(row.cursor))?;
        let records = rows.into_iter().filter_map(|(row, data)| translate(row, data)).collect();
        Ok(Batch { end_cursor, total_records: total, records, is_last_batch })
    }

    fn remember_first_pull(&self, site: SiteId) -> Result<()> {
        let known = self.storage.read()?.sites()?.into_iter().find(|entry| entry.id == site);
        if let Some(mut entry) = known.filter(|entry| entry.last_pull_at.is_none()) {
            entry.last_pull_at = Some(self.clock.now());
            let txn = self.storage.write()?;
            txn.put_site(&entry)?;
            txn.commit()?;
        }
        Ok(())
    }
}

/// A row as a record; nothing for types and actions that sites do not pull, and for a row whose record is gone, which
/// must not stop the batch (weak point B5).
fn translate(row: Change, data: Option<RecordData>) -> Option<BatchElement> {
    let change = row.change;
    let kind = record_type(change.table.as_str()).filter(|kind| kind.pulled)?;
    let (action, record_data) = match change.action {
        ChangeAction::Delete if kind.deletes_on_wire() => (Action::Delete, RecordData::of(&())),
        ChangeAction::Delete => return None,
        ChangeAction::Upsert => {
            let data = data?;
            (Action::Update, kind.in_current_spelling(&data).unwrap_or(data))
        }
    };
    let record = WireRecord { table_name: change.table, record_id: change.id, action, record_data };
    Some(BatchElement { cursor: row.cursor, record })
}
