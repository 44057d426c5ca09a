//! Pull: which rows a site receives, and the batch they make.

use super::{Central, Refused};
use crate::apply;
use crate::changelog::{Change, ChangeAction};
use crate::error::Result;
use crate::outgoing;
use crate::ownership::StoreOwner;
use crate::protocol::v6::{Batch, PatientPullRequest, PullRequest, WireError};
use crate::record::{Cursor, SiteId, record_type};
use crate::storage::{Lost, ReadTxn, Selection, Source};

impl Central {
    pub(super) fn pull(&self, site: SiteId, request: &PullRequest) -> std::result::Result<Batch, Refused> {
        if !request.is_initialised && self.ends_push(site)? {
            return Err(Refused(WireError::IntegrationInProgress));
        }
        let batch = {
            let txn = self.storage.read()?;
            let mut stores = txn.stores_of_site(site)?;
            if planted!(EveryStoreSelected) {
                let all = txn.records(&"store".into(), None, usize::MAX >> 1)?;
                stores = all.into_iter().map(|(id, _)| id.as_str().into()).collect();
            }
            let except_from = request.is_initialised.then_some(site);
            let selection = Selection::ForSite { stores, except_from };
            self.batch(txn.as_ref(), &selection, request.cursor, request.batch_size)?
        };
        if batch.is_last_batch && !request.is_initialised {
            self.remember_first_pull(site)?;
        }
        Ok(batch)
    }

    /// A site that begins anew, or was restored, may have left a push without its last batch. What came of it is integrated
    /// before the site reads: afterwards it would count as known there. Says whether there is anything.
    fn ends_push(&self, site: SiteId) -> Result<bool> {
        if self.storage.read()?.staged_tables(Source::Site(site))?.is_empty() {
            return Ok(false);
        }
        let txn = self.storage.write()?;
        txn.request_integration(site, self.clock.now())?;
        txn.commit()?;
        self.announce_work();
        Ok(true)
    }

    pub(super) fn patient_pull(
        &self,
        site: SiteId,
        request: &PatientPullRequest,
    ) -> std::result::Result<Batch, Refused> {
        let txn = self.storage.read()?;
        let patient = &request.fetch_patient_id;
        if !txn.is_visible(patient, &txn.stores_of_site(site)?)? {
            return Ok(Batch::empty(txn.last_cursor()?));
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
        let end_cursor = match rows.last() {
            Some((row, _)) => row.cursor,
            None if planted!(EmptyBatchMovesCursor) => self.storage.read()?.last_cursor()?,
            None => txn.last_cursor()?,
        };
        let is_pulled = |row: &Change| record_type(row.change.table.as_str()).is_some_and(|kind| kind.pulled);
        let mut records = Vec::with_capacity(rows.len());
        for (row, data) in rows {
            if is_pulled(&row) && !is_written_again(txn, selection, &row)? {
                records.extend(outgoing::element(row, data));
            }
        }
        let lost_history = Lost::all(txn)?;
        Ok(Batch { end_cursor, total_records: total, records, is_last_batch, lost_history })
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

/// Whether a row says that a record was deleted in one store, which has been written again since in another store of the
/// same site: that site has the record, and may be the one that wrote it.
fn is_written_again(txn: &dyn ReadTxn, selection: &Selection, row: &Change) -> Result<bool> {
    let Selection::ForSite { stores, .. } = selection else { return Ok(false) };
    if row.change.action != ChangeAction::Delete {
        return Ok(false);
    }
    let Some(data) = txn.record(&row.change.table, &row.change.id)? else { return Ok(false) };
    Ok(apply::owner(txn, &row.change.table, &data, stores)? == StoreOwner::Own)
}
