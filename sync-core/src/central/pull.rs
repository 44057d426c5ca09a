//! Pull: which rows a site receives, and the batch they make.

use super::held_back::HeldBack;
use super::{Central, Refused};
use crate::apply;
use crate::changelog::{Change, ChangeAction};
use crate::error::Result;
use crate::outgoing;
use crate::ownership::StoreOwner;
use crate::protocol::v6::{Batch, Dialect, PatientPullRequest, PullRequest, WireError};
use crate::record::{Cursor, SiteId, StoreId, record_type};
use crate::storage::{Lost, ReadTxn, Selection, SiteEntry, Source};

impl Central {
    pub(super) fn pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Batch, Refused> {
        if request.looks_only {
            return self.look(site, request, bytes_max);
        }
        if !request.is_initialised && self.ends_push(site)? {
            return Err(Refused(WireError::IntegrationInProgress));
        }
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let (batch, held, before) = {
            let txn = self.storage.read()?;
            let mut stores = txn.stores_of_site(site)?;
            if planted!(EveryStoreSelected) {
                let all = txn.records(&"store".into(), None, usize::MAX >> 1)?;
                stores = all.into_iter().map(|(id, _)| id.as_str().into()).collect();
            }
            let selection = selection(stores, site, request);
            let before = HeldBack::load(txn.as_ref(), site)?;
            let mut held = before.clone();
            let asked = request.cursor.meant(txn.last_cursor()?);
            let from = held.start(asked, dialect.release());
            let (mut batch, unreadable) =
                self.batch(txn.as_ref(), &selection, from, (request.batch_size, bytes_max), dialect)?;
            unreadable.iter().for_each(|at| held.note(*at, dialect.release()));
            held.answered(asked, &mut batch);
            (batch, held, before)
        };
        if held != before {
            // Before the site gets the answer and moves past what is not in it.
            let txn = self.storage.write()?;
            held.store(txn.as_ref(), site)?;
            txn.commit()?;
        }
        if batch.is_last_batch && !request.is_initialised {
            self.remember_first_pull(site, &request.sync_v5_settings.username)?;
        }
        Ok(batch)
    }

    /// The same for a site that takes nothing of it: nothing is written, and nothing counts as given to the site. What was
    /// held back from it stays so.
    fn look(&self, site: SiteId, request: &PullRequest, bytes_max: usize) -> std::result::Result<Batch, Refused> {
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let txn = self.storage.read()?;
        let selection = selection(txn.stores_of_site(site)?, site, request);
        let asked = request.cursor.meant(txn.last_cursor()?);
        Ok(self.batch(txn.as_ref(), &selection, asked, (request.batch_size, bytes_max), dialect)?.0)
    }

    /// A site that begins anew, or was restored, may have left a push without its last batch. What came of it is integrated
    /// before the site reads: afterwards it would count as known there. Says whether there is anything.
    fn ends_push(&self, site: SiteId) -> Result<bool> {
        if self.storage.read()?.staged_tables(Source::Site(site))?.is_empty() {
            return Ok(false);
        }
        let txn = self.storage.write()?;
        txn.request_integration(site, self.clock.now())?;
        super::push::set_open(txn.as_ref(), site, false)?;
        txn.commit()?;
        self.announce_work();
        Ok(true)
    }

    pub(super) fn patient_pull(
        &self,
        site: SiteId,
        request: &PatientPullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Batch, Refused> {
        let txn = self.storage.read()?;
        let patient = &request.fetch_patient_id;
        if !txn.is_visible(patient, &txn.stores_of_site(site)?)? {
            return Ok(Batch::empty(txn.last_cursor()?));
        }
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let selection = Selection::Patient(patient.clone());
        let asked = request.cursor.meant(txn.last_cursor()?);
        Ok(self.batch(txn.as_ref(), &selection, asked, (request.batch_size, bytes_max), dialect)?.0)
    }

    /// One batch. Everything is read in one transaction: when nothing matches, the newest cursor is the newest of the
    /// very state that was searched, so no row is ever skipped (weak point A1). Whether it is the last one is seen by
    /// looking for one more row: how many are left is only told.
    ///
    /// Also gives the cursors of what the site cannot read, which is left out.
    fn batch(
        &self,
        txn: &dyn ReadTxn,
        selection: &Selection,
        from: Cursor,
        (batch_size, bytes_max): (u32, usize),
        dialect: Dialect,
    ) -> Result<(Batch, Vec<Cursor>)> {
        let limit = batch_size.min(self.config.batch_records_max) as usize;
        let rows = txn.changed_records(selection, from, limit, bytes_max)?;
        let next = rows.last().map_or(from, |(last, _)| last.cursor.next());
        let is_exhausted = rows.is_empty() && limit > 0;
        let is_last_batch = is_exhausted || txn.changes(selection, next, 1)?.is_empty();
        let given = rows.len() as u64;
        let total = if is_last_batch { given } else { txn.count_changes(selection, from)?.max(given + 1) };
        let end_cursor = match rows.last() {
            Some((row, _)) => row.cursor,
            None if planted!(EmptyBatchMovesCursor) => self.storage.read()?.last_cursor()?,
            // A batch of no rows at all was asked for.
            None if !is_last_batch => Cursor(from.0.saturating_sub(1)),
            None => txn.last_cursor()?,
        };
        let is_pulled = |row: &Change| record_type(row.change.table.as_str()).is_some_and(|kind| kind.pulled);
        let mut unreadable = Vec::new();
        let mut records = Vec::with_capacity(rows.len());
        for (row, data) in rows {
            if !is_pulled(&row) || is_written_again(txn, selection, &row)? {
                continue;
            }
            let cursor = row.cursor;
            match outgoing::element(row, data).map(|element| dialect.write(element)) {
                Some(Ok(element)) => records.push(element),
                Some(Err(_)) => unreadable.push(cursor),
                None => {}
            }
        }
        let lost_history = Lost::told(txn)?;
        Ok((Batch { end_cursor, total_records: total, records, is_last_batch, lost_history }, unreadable))
    }

    fn remember_first_pull(&self, site: SiteId, name: &str) -> Result<()> {
        let is_first = |entry: &SiteEntry| entry.id == site && entry.last_pull_at.is_none();
        if !self.storage.read()?.site_named(name)?.is_some_and(|entry| is_first(&entry)) {
            return Ok(());
        }
        // Read again in the transaction that writes: somebody may set a password in this moment.
        let txn = self.storage.write()?;
        if let Some(entry) = txn.site_named(name)?.filter(is_first) {
            txn.put_site(&SiteEntry { last_pull_at: Some(self.clock.now()), ..entry })?;
            txn.commit()?;
        }
        Ok(())
    }
}

/// What a site is given.
fn selection(stores: Vec<StoreId>, site: SiteId, request: &PullRequest) -> Selection {
    Selection::ForSite { stores, except_from: request.is_initialised.then_some(site) }
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
