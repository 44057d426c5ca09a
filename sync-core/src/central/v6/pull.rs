//! Pull: selects the rows for a site, and makes the batch.

use super::withheld::{CatchUpRange, PullQuery, WithheldRecords};
use crate::central::{Central, EnvelopeError, copied_databases};
use crate::changelog::{Change, ChangeAction};
use crate::error::{Error, Result};
use crate::ownership::StoreOwner;
use crate::protocol::v6::{Batch, BatchElement, Dialect, PatientPullRequest, PullRequest, WireError};
use crate::record::{Cursor, SiteId, StoreId, record_type};
use crate::storage::{ReadTxn, Selection, SiteEntry, Source, newest_gaps, state};
use crate::write;
use crate::write::outgoing;
use crate::write::record_owner;
use crate::write::restored_site::SiteRestore;

/// Rows that are searched at once for withheld records, and the most of one answer.
const LATE_ROWS: usize = 500;
const LOOKED_MAX: usize = 50_000;
/// How often central tries to answer one pull, while other requests of the site come between.
const TRIES: u32 = 16;

impl Central {
    pub(crate) fn pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Batch, EnvelopeError> {
        if request.is_dry_run {
            return self.look(site, request, bytes_max);
        }
        self.refuse_stale_copy(site, request)?;
        if !request.is_initialised && self.ends_push(site)? {
            return Err(EnvelopeError(WireError::IntegrationInProgress));
        }
        if !request.is_initialised && request.cursor == Cursor(0) {
            self.begins_anew(site)?;
        }
        let mut answer = None;
        for _ in 0..TRIES {
            answer = self.answer_pull(site, request, bytes_max)?;
            if answer.is_some() {
                break;
            }
        }
        // Other requests of the site came between each time: it asks again.
        let mut batch = answer.ok_or(EnvelopeError(WireError::IntegrationInProgress))?;
        if batch.is_last_batch && !request.is_initialised {
            self.remember_first_pull(site, &request.sync_v5_settings.username)?;
        }
        batch.lost_history = copied_databases::lost_history(self.storage.read()?.as_ref(), site)?;
        Ok(batch)
    }

    /// An answer to a pull; `None` if the search must be repeated, because another request of the site came between, or
    /// because a row was logged for it.
    fn answer_pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Option<Batch>, EnvelopeError> {
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let (answer, selection, held, before) = {
            let txn = self.storage.read()?;
            if txn.central()?.integration_waits(site)? {
                return Err(EnvelopeError(WireError::IntegrationInProgress));
            }
            let mut stores = txn.stores_of_site(site)?;
            if planted!(EveryStoreSelected) {
                let all = txn.records(&"store".into(), None, usize::MAX >> 1)?;
                stores = all.into_iter().map(|(id, _)| id.as_str().into()).collect();
            }
            let selection = selection(stores, site, request);
            let before = WithheldRecords::load(txn.as_ref(), site)?;
            let mut held = before.clone();
            let answer = self.with_late(txn.as_ref(), &selection, (request, bytes_max), dialect, &mut held)?;
            (answer, selection, held, before)
        };
        if held == before
            && let PullScope::Batch(batch) = answer
        {
            return Ok(Some(batch));
        }
        // Before the site gets the answer and moves past the rows that are not in it.
        let txn = self.storage.write()?;
        if WithheldRecords::load(txn.as_ref(), site)? != before {
            return Ok(None);
        }
        let batch = match answer {
            PullScope::Batch(batch) => {
                held.store(txn.as_ref(), site)?;
                Some(batch)
            }
            PullScope::NeedsRow(at) => {
                let rows = txn.changed_records(&own_too(&selection), at, 1, usize::MAX)?;
                for (mut row, data) in rows.into_iter().filter(|(row, _)| row.cursor == at) {
                    if row.change.source_site == Some(site) {
                        write::leave_source_out(txn.as_ref(), &mut row.change, data.as_ref())?;
                    }
                    write::relog_row(txn.as_ref(), &row.change, data, true)?;
                }
                None
            }
        };
        txn.commit()?;
        Ok(batch)
    }

    /// A batch, after the withheld records that the site's new release can read. The batch always ends at or after the
    /// cursor of the request: our own sites take an earlier end as a fault of this server, and store nothing.
    fn with_late(
        &self,
        txn: &dyn ReadTxn,
        selection: &Selection,
        (request, bytes_max): (&PullRequest, usize),
        dialect: Dialect,
        held: &mut WithheldRecords,
    ) -> Result<PullScope> {
        let asked = request.cursor.meant(txn.last_cursor()?);
        let question = PullQuery { from: asked, release: dialect.release(), own_too: !request.is_initialised };
        let late = held.late(question);
        let size = request.batch_size.min(self.config.batch_records_max);
        let found = match &late {
            Some(late) if size > 0 => {
                late_rows(txn, selection, late, (size.div_ceil(2) as usize, bytes_max / 2), dialect)?
            }
            _ => CatchUpRows { reached: asked, ..CatchUpRows::default() },
        };
        let rest = size.saturating_sub(found.records.len() as u32).max(size.min(1));
        let (mut batch, unreadable) =
            self.batch(txn, selection, asked, (rest, bytes_max - found.bytes.min(bytes_max / 2)), dialect)?;
        unreadable.iter().chain(&found.unreadable).for_each(|at| held.note(*at, question));
        let Some(late) = late else { return Ok(PullScope::Batch(batch)) };
        let Some(last) = found.records.last().map(|element| element.cursor) else {
            held.looked_to(found.reached);
            return Ok(PullScope::Batch(batch));
        };
        if asked > txn.last_cursor()?.next() {
            // No row of this changelog brings the site there. It has to notice that; the withheld records come later.
            return Ok(PullScope::Batch(batch));
        }
        if batch.end_cursor < asked {
            return Ok(PullScope::NeedsRow(last));
        }
        batch.total_records += found.records.len() as u64;
        batch.is_last_batch &= found.reached >= late.below;
        batch.records.splice(0..0, found.records);
        held.sent(found.reached, batch.end_cursor.next());
        Ok(PullScope::Batch(batch))
    }

    /// A copy that only reads would never notice another copy that pushes, because no site gets its own records.
    fn refuse_stale_copy(&self, site: SiteId, request: &PullRequest) -> std::result::Result<(), EnvelopeError> {
        let Some(chain) = request.push_chain.as_ref().filter(|_| request.is_initialised) else { return Ok(()) };
        let Some(goes_on_since) = copied_databases::continued_elsewhere(self.storage.read()?.as_ref(), site, chain)?
        else {
            copied_databases::note_went_back(self.storage.as_ref(), site, chain, self.clock.now())?;
            return Ok(());
        };
        let txn = self.storage.write()?;
        copied_databases::note_refused(txn.as_ref(), site, self.clock.now())?;
        txn.commit()?;
        Err(EnvelopeError(WireError::database_copied(&goes_on_since.to_string())))
    }

    /// Dry run: answers a pull without recording a delivery. Withheld records stay withheld.
    fn look(&self, site: SiteId, request: &PullRequest, bytes_max: usize) -> std::result::Result<Batch, EnvelopeError> {
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let txn = self.storage.read()?;
        let selection = selection(txn.stores_of_site(site)?, site, request);
        let asked = request.cursor.meant(txn.last_cursor()?);
        Ok(self.batch(txn.as_ref(), &selection, asked, (request.batch_size, bytes_max), dialect)?.0)
    }

    /// A site that pushed before, and reads from the beginning with its own records, may have lost all of them. Those
    /// that come into its scope later, such as records of a patient who becomes visible, are sent back then.
    fn begins_anew(&self, site: SiteId) -> Result<()> {
        if !state::HIGHEST_PUSH_OF_SITE.of(site).is_set(self.storage.read()?.as_ref())? {
            return Ok(());
        }
        let txn = self.storage.write()?;
        SiteRestore::note_all_lost(txn.as_ref(), site)?;
        txn.commit()
    }

    /// A site that begins anew, or was restored, may have left a push without its last batch. Its records are
    /// integrated before the site reads, because afterwards they would count as known there. Returns whether there are
    /// any.
    fn ends_push(&self, site: SiteId) -> Result<bool> {
        let is_any = |txn: &dyn ReadTxn| Ok::<_, Error>(!txn.staged_tables(Source::Site(site))?.is_empty());
        if !is_any(self.storage.read()?.as_ref())? {
            return Ok(false);
        }
        let txn = self.storage.write()?;
        if !is_any(txn.as_ref())? {
            return Ok(false);
        }
        txn.central()?.request_integration(site, self.clock.now())?;
        super::push::set_open(txn.as_ref(), site, false)?;
        txn.commit()?;
        self.announce_work();
        Ok(true)
    }

    pub(crate) fn patient_pull(
        &self,
        site: SiteId,
        request: &PatientPullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Batch, EnvelopeError> {
        let txn = self.storage.read()?;
        if txn.central()?.integration_waits(site)? {
            return Err(EnvelopeError(WireError::IntegrationInProgress));
        }
        let patient = &request.fetch_patient_id;
        if !txn.is_visible(patient, &txn.stores_of_site(site)?)? {
            return Ok(Batch::empty(txn.last_cursor()?));
        }
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let selection = Selection::Patient(patient.clone());
        let asked = request.cursor.meant(txn.last_cursor()?);
        Ok(self.batch(txn.as_ref(), &selection, asked, (request.batch_size, bytes_max), dialect)?.0)
    }

    /// One batch, read in one transaction: if no row matches, the newest cursor is that of the searched snapshot, so no
    /// row is ever skipped (weak point A1). One more row is read to see whether it is the last batch; the number of
    /// rows that are left is only for display.
    ///
    /// Also returns the cursors of the records that the site cannot read, which are left out.
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
            // The request was for a batch of no rows.
            None if !is_last_batch => Cursor(from.0.saturating_sub(1)),
            None => txn.last_cursor()?,
        };
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
        let lost_history = newest_gaps(txn)?;
        Ok((
            Batch { end_cursor, total_records: total, records, is_last_batch, lost_history, refused: Vec::new() },
            unreadable,
        ))
    }

    fn remember_first_pull(&self, site: SiteId, name: &str) -> Result<()> {
        let is_first = |entry: &SiteEntry| entry.id == site && entry.last_pull_at.is_none();
        if !self.storage.read()?.central()?.site_named(name)?.is_some_and(|entry| is_first(&entry)) {
            return Ok(());
        }
        // Read again in the writing transaction, because a password may be set at this moment.
        let txn = self.storage.write()?;
        if let Some(entry) = txn.central()?.site_named(name)?.filter(is_first) {
            txn.central()?.put_site(&SiteEntry { last_pull_at: Some(self.clock.now()), ..entry })?;
            txn.commit()?;
        }
        Ok(())
    }
}

/// The answer.
enum PullScope {
    Batch(Batch),
    /// No position is left at which the answer could end: the row here has to be logged again.
    NeedsRow(Cursor),
}

/// The withheld records that were found.
#[derive(Default)]
struct CatchUpRows {
    records: Vec<BatchElement>,
    /// The bytes of their data.
    bytes: usize,
    /// Those that are still unreadable.
    unreadable: Vec<Cursor>,
    /// The position to continue from.
    reached: Cursor,
}

/// The next withheld rows.
fn late_rows(
    txn: &dyn ReadTxn,
    selection: &Selection,
    late: &CatchUpRange,
    (limit, bytes_max): (usize, usize),
    dialect: Dialect,
) -> Result<CatchUpRows> {
    let mut found = CatchUpRows { reached: late.from, ..CatchUpRows::default() };
    let mut looked = 0;
    let with_own = own_too(selection);
    while found.records.len() < limit && found.bytes < bytes_max && looked < LOOKED_MAX {
        let (selection, below) = match found.reached < late.own_below {
            true => (&with_own, late.own_below.min(late.below)),
            false => (selection, late.below),
        };
        let rows = txn.changed_records(selection, found.reached, LATE_ROWS, bytes_max.max(1))?;
        if rows.is_empty() {
            found.reached = below;
        }
        looked += rows.len();
        for (row, data) in rows {
            if row.cursor >= below {
                found.reached = below;
                break;
            }
            if found.records.len() >= limit || found.bytes >= bytes_max {
                break;
            }
            let at = row.cursor;
            found.reached = at.next();
            if !is_pulled(&row) || is_written_again(txn, selection, &row)? {
                continue;
            }
            let Some(element) = outgoing::element(row, data) else { continue };
            if late.was.is_some_and(|was| Dialect::of_release(was).write(element.clone()).is_ok()) {
                continue;
            }
            match dialect.write(element) {
                Ok(element) => {
                    found.bytes += element.record.record_data.as_str().len();
                    found.records.push(element);
                }
                Err(_) => found.unreadable.push(at),
            }
        }
        if found.reached >= late.below {
            break;
        }
    }
    Ok(found)
}

fn is_pulled(row: &Change) -> bool {
    record_type(row.change.table.as_str()).is_some_and(|kind| kind.pulled)
}

/// The rows for a site.
fn selection(stores: Vec<StoreId>, site: SiteId, request: &PullRequest) -> Selection {
    Selection::ForSite { stores, except_from: request.is_initialised.then_some(site) }
}

/// Includes the site's own rows.
fn own_too(selection: &Selection) -> Selection {
    match selection {
        Selection::ForSite { stores, .. } => Selection::ForSite { stores: stores.clone(), except_from: None },
        other => other.clone(),
    }
}

/// True if a row records that a record left one store of a site, and it was written again since in another store of the
/// same site: the site has the record, and may be its writer.
fn is_written_again(txn: &dyn ReadTxn, selection: &Selection, row: &Change) -> Result<bool> {
    let Selection::ForSite { stores, .. } = selection else { return Ok(false) };
    if row.change.action != ChangeAction::Delete {
        return Ok(false);
    }
    let Some(data) = txn.record(&row.change.table, &row.change.id)? else { return Ok(false) };
    Ok(record_owner::owner(txn, &row.change.table, &data, stores)? == StoreOwner::Own)
}
