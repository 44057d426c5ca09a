//! Pull: selects the rows for a site, and makes the batch.

use super::push::{close_open_push, is_push_open};
use super::withheld::{CatchUpRange, PullQuery, WithheldRecords};
use crate::central::copied_databases::{self, PullStage, PullVerdict};
use crate::central::{Central, EnvelopeError};
use crate::changelog::{Change, ChangeAction};
use crate::error::Result;
use crate::ownership::StoreOwner;
use crate::protocol::v6::{Batch, BatchElement, Dialect, PatientPullRequest, PullRequest, WireError};
use crate::record::{Cursor, RecordData, SiteId, StoreId, record_type};
use crate::storage::{ReadTxn, Selection, SiteEntry, newest_gaps, state};
use crate::write;
use crate::write::outgoing;
use crate::write::record_owner;
use crate::write::restored_site::SiteRestore;

/// Rows that are read at once in a search for withheld records.
const SEARCHED_AT_ONCE: usize = 500;

/// The most rows that are searched for withheld records in one request.
const SEARCHED_MAX: usize = 50_000;

/// How often central tries to answer one pull, while other requests of the site come between.
const TRIES: u32 = 16;

/// The most rows and bytes of an answer.
#[derive(Clone, Copy)]
struct AnswerLimits {
    rows: u32,
    bytes: usize,
}

impl Central {
    pub(crate) fn pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        bytes_max: usize,
    ) -> std::result::Result<Batch, EnvelopeError> {
        let limits = self.answer_limits(request.batch_size, bytes_max);
        if request.is_dry_run {
            return self.dry_run_pull(site, request, limits);
        }
        self.refuse_stale_copy(site, request)?;
        if !request.is_initialised && self.close_open_push(site)? {
            return Err(EnvelopeError(WireError::IntegrationInProgress));
        }
        if !request.is_initialised && request.cursor == Cursor(0) {
            self.note_empty_database(site)?;
        }
        let batch = (0..TRIES).find_map(|_| self.try_pull(site, request, limits).transpose()).transpose()?;
        // Other requests of the site came between each time: it asks again.
        let mut batch = batch.ok_or(EnvelopeError(WireError::IntegrationInProgress))?;
        if batch.is_last_batch && !request.is_initialised {
            self.note_first_pull(site, &request.sync_v5_settings.username)?;
        }
        let txn = self.storage.read()?;
        self.note_pulled_from(site, request.cursor.meant(txn.last_cursor()?))?;
        batch.lost_history = copied_databases::lost_history(txn.as_ref(), site)?;
        if request.is_initialised && request.push_chain.is_some() {
            // Other copies were refused above: this is the one that goes on.
            batch.copy_refused_at = copied_databases::of_site(txn.as_ref(), site)?.and_then(|known| known.refused_at);
        }
        Ok(batch)
    }

    fn answer_limits(&self, batch_size: u32, bytes_max: usize) -> AnswerLimits {
        AnswerLimits { rows: batch_size.min(self.config.batch_records_max), bytes: bytes_max }
    }

    /// An answer to a pull; `None` if it has to be made anew, because another request of the site came between, or
    /// because a row was logged for it.
    fn try_pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        limits: AnswerLimits,
    ) -> std::result::Result<Option<Batch>, EnvelopeError> {
        let (answer, selection, withheld, before) = {
            let stores_before = match planted!(StoresReadBefore) {
                true => Some(self.storage.read()?.stores_of_site(site)?),
                false => None,
            };
            let txn = self.storage.read()?;
            if txn.central()?.integration_waits(site)? {
                return Err(EnvelopeError(WireError::IntegrationInProgress));
            }
            let mut stores = stores_before.map_or_else(|| txn.stores_of_site(site), Ok)?;
            if planted!(EveryStoreSelected) {
                let all = txn.records(&"store".into(), None, usize::MAX >> 1)?;
                stores = all.into_iter().map(|(id, _)| id.as_str().into()).collect();
            }
            let selection = selection(stores, site, request);
            let dialect = Dialect::of(&request.sync_v5_settings.app_version);
            // A site of this library reads its own records: it asks which of them it wrote.
            let writer = Some(site).filter(|_| !request.is_initialised && request.push_chain.is_some());
            let reader = BatchReader { central: self, txn: txn.as_ref(), selection: &selection, dialect, writer };
            let before = WithheldRecords::load(txn.as_ref(), site)?;
            let mut withheld = before.clone();
            let answer = reader.answer(request, limits, &mut withheld)?;
            (answer, selection, withheld, before)
        };
        if withheld == before
            && let PullAnswer::Batch(batch) = answer
        {
            return Ok(Some(batch));
        }
        // Stored before the site gets the answer, because it then moves past the rows that are not in it.
        let txn = self.storage.write()?;
        if WithheldRecords::load(txn.as_ref(), site)? != before {
            return Ok(None);
        }
        let batch = match answer {
            PullAnswer::Batch(batch) => {
                withheld.store(txn.as_ref(), site)?;
                Some(batch)
            }
            PullAnswer::RelogFirst(at) => {
                let rows = txn.changed_records(&including_own(&selection), at, 1, usize::MAX)?;
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

    /// Refuses a copy of a site's database that was left behind by another copy. A copy that only reads would never
    /// notice the other one, because no site gets its own records.
    fn refuse_stale_copy(&self, site: SiteId, request: &PullRequest) -> std::result::Result<(), EnvelopeError> {
        let Some(chain) = &request.push_chain else { return Ok(()) };
        let now = self.clock.now();
        let stage = match (request.is_initialised, request.cursor) {
            (true, _) => PullStage::Initialised,
            (false, Cursor(0)) => PullStage::Begins,
            (false, _) => PullStage::Continues,
        };
        copied_databases::note_set_up(self.storage.as_ref(), site, chain, stage, now)?;
        if !request.is_initialised {
            return Ok(());
        }
        let verdict = copied_databases::judge_pull(self.storage.read()?.as_ref(), site, chain, now)?;
        match verdict {
            PullVerdict::Continues => Ok(copied_databases::note_went_back(self.storage.as_ref(), site, chain, now)?),
            PullVerdict::Undecided { set_up_at } => {
                Err(EnvelopeError(WireError::copy_undecided(&set_up_at.to_string())))
            }
            PullVerdict::Refused { goes_on_since } => {
                let txn = self.storage.write()?;
                copied_databases::note_refused(txn.as_ref(), site, now)?;
                txn.commit()?;
                Err(EnvelopeError(WireError::database_copied(&goes_on_since.to_string())))
            }
        }
    }

    /// Answers a pull without recording a delivery. Withheld records stay withheld.
    fn dry_run_pull(
        &self,
        site: SiteId,
        request: &PullRequest,
        limits: AnswerLimits,
    ) -> std::result::Result<Batch, EnvelopeError> {
        let txn = self.storage.read()?;
        let selection = selection(txn.stores_of_site(site)?, site, request);
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let reader = BatchReader { central: self, txn: txn.as_ref(), selection: &selection, dialect, writer: None };
        Ok(reader.batch(request.cursor.meant(txn.last_cursor()?), limits)?.0)
    }

    /// A site that pushed before, and reads from the beginning with its own records, may have lost all of them. Those
    /// that come into its scope later, such as records of a patient who becomes visible, are sent back then.
    fn note_empty_database(&self, site: SiteId) -> Result<()> {
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
    fn close_open_push(&self, site: SiteId) -> Result<bool> {
        if !is_push_open(self.storage.read()?.as_ref(), site)? {
            return Ok(false);
        }
        let txn = self.storage.write()?;
        let any_staged = close_open_push(txn.as_ref(), site, self.clock.now())?;
        txn.commit()?;
        if any_staged {
            self.announce_work();
        }
        Ok(any_staged)
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
        let selection = Selection::Patient(patient.clone());
        let dialect = Dialect::of(&request.sync_v5_settings.app_version);
        let reader = BatchReader { central: self, txn: txn.as_ref(), selection: &selection, dialect, writer: None };
        let limits = self.answer_limits(request.batch_size, bytes_max);
        Ok(reader.batch(request.cursor.meant(txn.last_cursor()?), limits)?.0)
    }

    fn note_first_pull(&self, site: SiteId, name: &str) -> Result<()> {
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

enum PullAnswer {
    Batch(Batch),
    /// Withheld records wait, and no position is left at which an answer with them could end: this row has to be logged
    /// again first.
    RelogFirst(Cursor),
}

/// Reads answers for one site from one snapshot.
struct BatchReader<'r> {
    central: &'r Central,
    txn: &'r dyn ReadTxn,
    selection: &'r Selection,
    dialect: Dialect,
    /// The site whose own versions are marked as such, if any.
    writer: Option<SiteId>,
}

/// The withheld records that a search found.
#[derive(Default)]
struct CatchUpRows {
    records: Vec<BatchElement>,
    /// The bytes of their data.
    bytes: usize,
    /// Those that the site still cannot read.
    unreadable: Vec<Cursor>,
    /// Where the next search continues.
    reached: Cursor,
}

impl CatchUpRows {
    fn is_full(&self, limits: AnswerLimits) -> bool {
        self.records.len() >= limits.rows as usize || self.bytes >= limits.bytes
    }
}

impl BatchReader<'_> {
    /// The next batch, with withheld records that the site's new release can read before it. It always ends at or after
    /// the cursor of the request: a site of this library takes an earlier end as a fault of this server, and stores
    /// nothing.
    fn answer(
        &self,
        request: &PullRequest,
        limits: AnswerLimits,
        withheld: &mut WithheldRecords,
    ) -> Result<PullAnswer> {
        let from = request.cursor.meant(self.txn.last_cursor()?);
        let query = PullQuery { from, release: self.dialect.release(), includes_own: !request.is_initialised };
        let range = withheld.catch_up_range(query);
        if let Some(range) = range.as_ref().filter(|_| limits.rows == 1)
            && !self.txn.changes(self.selection, from, 1)?.is_empty()
        {
            // Two records may be too large for the line of a site that asks for one. The withheld ones come after the others.
            let (mut batch, unreadable) = self.batch(from, limits)?;
            unreadable.iter().for_each(|at| withheld.withhold(*at, query));
            batch.is_last_batch = false;
            // The site may come to where a larger answer ended that was lost.
            withheld.note_sent(range.from, batch.end_cursor.next());
            return Ok(PullAnswer::Batch(batch));
        }
        let half = AnswerLimits { rows: limits.rows.div_ceil(2), bytes: limits.bytes / 2 };
        let found = match &range {
            Some(range) if limits.rows > 0 => self.catch_up_rows(range, half)?,
            _ => CatchUpRows { reached: from, ..CatchUpRows::default() },
        };
        let rest = AnswerLimits {
            rows: limits.rows.saturating_sub(found.records.len() as u32).max(limits.rows.min(1)),
            bytes: limits.bytes - found.bytes.min(half.bytes),
        };
        let (mut batch, unreadable) = self.batch(from, rest)?;
        unreadable.iter().chain(&found.unreadable).for_each(|at| withheld.withhold(*at, query));
        let Some(range) = range else { return Ok(PullAnswer::Batch(batch)) };
        let Some(last) = found.records.last().map(|element| element.cursor) else {
            withheld.note_searched(found.reached);
            return Ok(PullAnswer::Batch(batch));
        };
        if from > self.txn.last_cursor()?.next() {
            // The site read another changelog, and has to notice that first; the withheld records come later.
            return Ok(PullAnswer::Batch(batch));
        }
        if batch.end_cursor < from {
            return Ok(PullAnswer::RelogFirst(last));
        }
        batch.total_records += found.records.len() as u64;
        batch.is_last_batch &= found.reached >= range.below;
        batch.records.splice(0..0, found.records);
        withheld.note_sent(found.reached, batch.end_cursor.next());
        Ok(PullAnswer::Batch(batch))
    }

    /// One batch. A last one without records ends at the newest cursor of the snapshot that was searched: no row is ever
    /// skipped (weak point A1), and the site notes that central has all it pushed up to there. One more row is read to see whether it is the last batch; the number of rows that are left
    /// is only for display.
    ///
    /// Also returns the cursors of the records that the site cannot read, which are left out.
    fn batch(&self, from: Cursor, limits: AnswerLimits) -> Result<(Batch, Vec<Cursor>)> {
        let (txn, selection) = (self.txn, self.selection);
        let most = limits.rows as usize;
        let mut rows = txn.changed_records(selection, from, most.saturating_add(1), limits.bytes)?;
        let has_more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().map_or(from, |(last, _)| last.cursor.next());
        let is_exhausted = rows.is_empty() && most > 0;
        // Fewer rows may have come because they are large.
        let is_last_batch = !has_more && (is_exhausted || txn.changes(selection, next, 1)?.is_empty());
        let given = rows.len() as u64;
        let total_records = if is_last_batch { given } else { txn.count_changes(selection, from)?.max(given + 1) };
        // Without rows, the request was for a batch of none.
        let end_of_rows = rows.last().map_or(Cursor(from.0.saturating_sub(1)), |(row, _)| row.cursor);
        let mut unreadable = Vec::new();
        let mut records = Vec::with_capacity(rows.len());
        for (row, data) in rows {
            let Some(element) = self.element(row, data)? else { continue };
            let cursor = element.cursor;
            match self.dialect.write(element) {
                Ok(element) => records.push(element),
                Err(_) => unreadable.push(cursor),
            }
        }
        let end_cursor = match records.is_empty() && is_last_batch {
            true if planted!(EmptyBatchMovesCursor) => self.central.storage.read()?.last_cursor()?,
            true => txn.last_cursor()?,
            false => end_of_rows,
        };
        let lost_history = newest_gaps(txn)?;
        let batch =
            Batch { end_cursor, total_records, records, is_last_batch, lost_history, ..Batch::empty(end_cursor) };
        Ok((batch, unreadable))
    }

    /// Searches for the next withheld records.
    fn catch_up_rows(&self, range: &CatchUpRange, limits: AnswerLimits) -> Result<CatchUpRows> {
        let mut found = CatchUpRows { reached: range.from, ..CatchUpRows::default() };
        let mut searched = 0;
        let with_own = including_own(self.selection);
        let (with_own, selection) = match planted!(WithheldToAnyone) {
            true => (Selection::All, &Selection::All),
            false => (with_own, self.selection),
        };
        while found.reached < range.below && !found.is_full(limits) && searched < SEARCHED_MAX {
            let (selection, below) = match found.reached < range.own_below {
                true => (&with_own, range.own_below.min(range.below)),
                false => (selection, range.below),
            };
            let rows = self.txn.changed_records(selection, found.reached, SEARCHED_AT_ONCE, limits.bytes.max(1))?;
            if rows.is_empty() {
                found.reached = below;
            }
            searched += rows.len();
            for (row, data) in rows {
                if row.cursor >= below {
                    found.reached = below;
                    break;
                }
                if found.is_full(limits) {
                    break;
                }
                found.reached = row.cursor.next();
                self.catch_up_row(range, (row, data), &mut found)?;
            }
        }
        Ok(found)
    }

    /// Adds a row, unless the release that it was withheld from could read it: then the site has it.
    fn catch_up_row(
        &self,
        range: &CatchUpRange,
        (row, data): (Change, Option<RecordData>),
        found: &mut CatchUpRows,
    ) -> Result<()> {
        let Some(element) = self.element(row, data)? else { return Ok(()) };
        if range.unreadable_in.is_some_and(|release| Dialect::of_release(release).write(element.clone()).is_ok()) {
            return Ok(());
        }
        let cursor = element.cursor;
        match self.dialect.write(element) {
            Ok(element) => {
                found.bytes += element.record.record_data.as_str().len();
                found.records.push(element);
            }
            Err(_) => found.unreadable.push(cursor),
        }
        Ok(())
    }

    /// The record that is sent for a row, if any.
    fn element(&self, row: Change, data: Option<RecordData>) -> Result<Option<BatchElement>> {
        let is_pulled = record_type(row.change.table.as_str()).is_some_and(|kind| kind.pulled);
        if !is_pulled || self.has_moved_within_site(&row)? {
            return Ok(None);
        }
        let is_own = row.change.is_sync_update && self.writer.is_some() && row.change.source_site == self.writer;
        Ok(outgoing::element(row, data).map(|element| BatchElement { is_own, ..element }))
    }

    /// True if a row says that a record left one store of a site, and it was written since in another store of the same
    /// site: the site has the record, and may be its writer.
    fn has_moved_within_site(&self, row: &Change) -> Result<bool> {
        let Selection::ForSite { stores, .. } = self.selection else { return Ok(false) };
        let change = &row.change;
        if change.action != ChangeAction::Delete {
            return Ok(false);
        }
        let Some(data) = self.txn.record(&change.table, &change.id)? else { return Ok(false) };
        Ok(record_owner::owner(self.txn, &change.table, &data, stores)? == StoreOwner::Own)
    }
}

/// The rows for a site.
fn selection(stores: Vec<StoreId>, site: SiteId, request: &PullRequest) -> Selection {
    Selection::ForSite { stores, except_from: request.is_initialised.then_some(site) }
}

/// The same rows, and those that the site itself wrote.
fn including_own(selection: &Selection) -> Selection {
    match selection {
        Selection::ForSite { stores, .. } => Selection::ForSite { stores: stores.clone(), except_from: None },
        other => other.clone(),
    }
}
