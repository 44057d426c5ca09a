//! Pull V6: batches of central's changelog, each integrated in the transaction that moves the cursor past it.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use sha2::Digest as _;
use url::Url;

use super::copied_database;
use super::outdated::{compare_with_central, note_own_versions, yield_to_newer};
use super::position::{Advance, PullStart, reported_refusals};
use super::read_when_written::note_before_reading;
use crate::address::shown;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::{Error, Result, Server};
use crate::integrate::{Integrated, Provenance, noting_failure, receive};
use crate::protocol::hex;
use crate::protocol::v5::UnreadableRecord;
use crate::protocol::v6::{Action, BatchElement, PullRequest, PushChain, ReadBatch, Unreadable, WireRecord, path};
use crate::record::{Cursor, RecordData, RecordId, TableName};
use crate::redaction::excerpt;
use crate::site::Site;
use crate::site::client::{BatchAnswer, Client};
use crate::site::cycle::Cycle;
use crate::site::identity::Identity;
use crate::site::observer::{Step, Totals};
use crate::site::sizing::{PullBatchSize, SizedBatch};
use crate::storage::state::{NewestRow, RestorePoint};
use crate::storage::{Incoming, Quarantine, QuarantineCause, Source, WriteTxn, state};
use crate::text::Detail;
use crate::text::sentences::{cycle as says, error_detail};

/// A pull that is under way.
#[derive(Default)]
struct RunningPull {
    /// The records that came.
    done: u64,
    size: PullBatchSize,
    /// The time of the last round: an answer that was requested ahead seems to come at once, so the whole round counts.
    last_round: Duration,
    /// True once everything is read again, because central went back.
    is_reread: bool,
    /// True once central answered from further back.
    has_gone_back: bool,
    /// True once the end of central's changelog was asked for, which gives a checkpoint.
    has_asked_for_end: bool,
    /// The number of empty batches in a row.
    empty: u32,
    totals: Totals,
}

impl Cycle<'_, '_> {
    pub(crate) fn pull_v6(&mut self, central: &Url) -> Result<()> {
        // Nothing has changed since as long as the answers that came first count.
        let mut known = self.first_pull.take().filter(|_| self.client.has_answers_at_hand());
        if known.is_none() {
            self.pull_chain = copied_database::pull_chain(self.site.storage.read()?.as_ref())?;
        }
        let mut pull = RunningPull::default();
        while self.pull_batch(central, &mut pull, known.take())? {}
        Ok(())
    }

    /// The request with which a pull would begin now.
    pub(crate) fn first_pull_request(&mut self) -> Result<PullRequest> {
        let start = PullStart::load(self.site.storage.read()?.as_ref(), self.recovering)?;
        self.pull_chain = copied_database::pull_chain(self.site.storage.read()?.as_ref())?;
        let size = PullBatchSize::default().next(&mut self.client.sizes, &self.site.config);
        let request = pull_request(&self.identity, &self.pull_chain, &start, start.position.next, size);
        self.first_pull = Some(start);
        Ok(request)
    }

    /// Pulls a batch, from the place that is stored unless it is known. Returns whether another is to be pulled.
    fn pull_batch(&mut self, central: &Url, pull: &mut RunningPull, known: Option<PullStart>) -> Result<bool> {
        let mut start = match known {
            Some(start) => start,
            None => PullStart::load(self.site.storage.read()?.as_ref(), self.recovering)?,
        };
        let from = start.position.next;
        let no_progress = || Error::NoProgress { server: Server::Central, cursor: from.0 };
        let began = self.site.clock.monotonic();
        let (identity, chain) = (&self.identity, &self.pull_chain);
        let request = |size| pull_request(identity, chain, &start, from, size);
        let size = pull.size.next(&mut self.client.sizes, &self.site.config);
        let answer = request_batch(&mut self.client, identity, central, path::PULL, size, &request)?;
        let took = self.site.clock.monotonic().saturating_sub(began).max(pull.last_round);
        pull.size.note(&answer, took, &mut self.client.sizes, &self.site.config);
        let mut batch = answer.batch;
        let up_to = batch.refused_up_to.take().filter(|up_to| *up_to != start.refused_up_to);
        let any_reported = up_to.is_some();
        self.note_refused_records(std::mem::take(&mut batch.refused), up_to)?;
        if any_reported {
            // The next request says what is noted now, also if it is sent ahead.
            start.refused_up_to = reported_refusals(self.site.storage.read()?.as_ref())?;
        }
        self.learn_of_other_copy(batch.copy_refused_at)?;
        if self.handle_reported_loss(&batch.lost_history, None)? {
            return if std::mem::replace(&mut pull.is_reread, true) { Err(no_progress()) } else { Ok(true) };
        }
        if let Some(lost) = start.newest.loss_shown_by(&batch)
            && !std::mem::replace(&mut pull.is_reread, true)
        {
            self.central_went_back(lost, false, None)?;
            return Ok(true);
        }
        let records = batch.records.len() as u64;
        let (total, is_last) = (batch.total_records, batch.is_last_batch);
        let advance = start.position.after(&batch);
        // A server that only repeats its last batch has nothing more, and gives no checkpoint.
        let was_asked_again = pull.has_asked_for_end || pull.has_gone_back;
        let repeats_last = is_last && was_asked_again && advance == Advance::Back(from);
        match advance {
            // Central has older records for this site, such as those withheld from an older release.
            Advance::Back(_) if !repeats_last && std::mem::replace(&mut pull.has_gone_back, true) => {
                return Err(no_progress());
            }
            Advance::To(next) | Advance::Back(next) => {
                let has_more = !is_last && !self.over_budget();
                let size = has_more.then(|| pull.size.next(&mut self.client.sizes, &self.site.config));
                self.take_batch(central, batch, next, &start, size)?;
            }
            Advance::Stay => {
                self.newest_is_back(start.newest, batch.end_cursor)?;
                self.note_checkpoint(batch.end_cursor)?;
            }
            Advance::Stuck => return Err(no_progress()),
            Advance::NewestGone => self.newest_is_gone(start.position.end)?,
            Advance::WentBack if !std::mem::replace(&mut pull.is_reread, true) => {
                let lost = ChangelogGap { after: batch.end_cursor, before: batch.end_cursor.next() };
                self.central_went_back(lost, false, None)?;
                return Ok(true);
            }
            Advance::WentBack => {
                let (ours, theirs) = (from.0, batch.end_cursor.0);
                return Err(Error::CursorWentBack { server: Server::Central, ours, theirs });
            }
        }
        pull.done += records;
        self.report.pulled += records;
        let (is_estimate, in_all) =
            (pull.totals.is_estimate(total, records), pull.done + total.saturating_sub(records));
        self.report_about(Step::PullV6, pull.done, in_all, is_estimate)?;
        // Any movement is progress, with or without records.
        pull.empty = if records == 0 { pull.empty + 1 } else { 0 };
        if planted!(EmptyBatchesAreAFault) && pull.empty >= 3 && !is_last {
            return Err(no_progress());
        }
        // The last batch from further back is not the last of the changelog.
        let is_last = is_last && (repeats_last || !matches!(advance, Advance::Back(_)));
        if is_last && records > 0 && !pull.has_asked_for_end && self.wants_checkpoint()? {
            pull.has_asked_for_end = true;
            return Ok(true);
        }
        if is_last {
            return self.end_reread().map(|()| false);
        }
        pull.last_round = self.site.clock.monotonic().saturating_sub(began);
        Ok(!self.over_budget())
    }

    /// Takes over that central refused another copy of this database.
    fn learn_of_other_copy(&mut self, refused_at: Option<Timestamp>) -> Result<()> {
        let Some(refused_at) = refused_at else { return Ok(()) };
        if state::COPY_REFUSED_AT.get(self.site.storage.read()?.as_ref())? == Some(refused_at) {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::COPY_REFUSED_AT.set(txn.as_ref(), Some(refused_at))?;
        txn.commit()?;
        self.warn(says::copy_refused(refused_at))
    }

    /// The newest row of central's changelog is gone: this site stays where its number would be used again.
    fn newest_is_gone(&self, gone: Cursor) -> Result<()> {
        let txn = self.site.storage.write()?;
        state::NEWEST_GONE.set(txn.as_ref(), NewestRow::Gone(gone))?;
        if state::PULL_CURSOR_V6.get(txn.as_ref())? > gone {
            state::PULL_CURSOR_V6.set(txn.as_ref(), gone)?;
        }
        txn.commit()
    }

    /// Central's changelog continued after the number of the row that was gone.
    fn newest_is_back(&self, newest: NewestRow, end: Cursor) -> Result<()> {
        let now = newest.seen_to(end);
        if now == newest {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        state::NEWEST_GONE.set(txn.as_ref(), now)?;
        txn.commit()
    }

    /// Integrates a batch. While that is done, central already gathers the next one, of so many records if any.
    fn take_batch(
        &mut self,
        central: &Url,
        batch: ReadBatch,
        next: Cursor,
        start: &PullStart,
        next_size: Option<u32>,
    ) -> Result<()> {
        let (site, since) = (self.site, start.restore_point);
        let integrate = || {
            let storage = site.storage.as_ref();
            noting_failure(storage, Source::Central, || integrate_batch(site, batch, next, since))
        };
        let done = match next_size {
            Some(size) => {
                let request = pull_request(&self.identity, &self.pull_chain, start, next, size);
                self.client.request_ahead(central, path::PULL, &request, integrate)?
            }
            None => integrate()?,
        };
        self.count(&done);
        Ok(())
    }
}

fn pull_request(
    identity: &Identity,
    chain: &Option<PushChain>,
    start: &PullStart,
    cursor: Cursor,
    batch_size: u32,
) -> PullRequest {
    PullRequest {
        is_initialised: identity.initialised && !start.pulls_own,
        is_dry_run: false,
        push_chain: chain.clone(),
        refused_up_to: Some(start.refused_up_to.clone()),
        ..identity.dry_run_pull(cursor, batch_size)
    }
}

/// Asks central for a batch, and for smaller ones while the line breaks.
pub(crate) fn request_batch<Q: Serialize>(
    client: &mut Client<'_>,
    identity: &Identity,
    central: &Url,
    path: &str,
    most: u32,
    request: &dyn Fn(u32) -> Q,
) -> Result<SizedBatch> {
    let SizedBatch { batch, bytes } = match client.central_batch(identity, central, path, most, request)? {
        BatchAnswer::Read(read) => read,
        BatchAnswer::Raw(raw) => SizedBatch { batch: read_batch(raw.get(), central)?, bytes: raw.get().len() },
    };
    // Beyond the range of row numbers of every database: a cursor there would never come back.
    let highest = batch.last_record_cursor().unwrap_or_default().max(batch.end_cursor);
    if !highest.next().is_possible() {
        return Err(unreadable_answer(central, error_detail::cursor_out_of_range().into()));
    }
    Ok(SizedBatch { batch, bytes })
}

/// Reads a batch of central.
pub(crate) fn read_batch(text: &str, central: &Url) -> Result<ReadBatch> {
    ReadBatch::parse(text).map_err(|error| unreadable_answer(central, excerpt(error.to_string().as_bytes()).into()))
}

fn unreadable_answer(central: &Url, detail: Detail) -> Error {
    Error::UnreadableAnswer { server: Server::Central, url: shown(central), detail }
}

/// Integrates a batch and moves the cursor past it, in one transaction.
fn integrate_batch(site: &Site, mut batch: ReadBatch, next: Cursor, since: Option<RestorePoint>) -> Result<Integrated> {
    let next = if planted!(PullCursorOffByOne) { next.next() } else { next };
    if planted!(CursorBeforeRecords) {
        let txn = site.storage.write()?;
        state::PULL_CURSOR_V6.set(txn.as_ref(), next)?;
        txn.commit()?;
    }
    let txn = site.storage.write()?;
    note_before_reading(txn.as_ref())?;
    compare_with_central(site, txn.as_ref(), &mut batch)?;
    if let Some(since) = since {
        yield_to_newer(site, txn.as_ref(), &batch, since)?;
    }
    let done = receive_from_central(site, txn.as_ref(), batch)?;
    state::PULL_CURSOR_V6.set(txn.as_ref(), next)?;
    let newest = state::NEWEST_GONE.get(txn.as_ref())?;
    if newest.seen_to(next) != newest {
        state::NEWEST_GONE.set(txn.as_ref(), newest.seen_to(next))?;
    }
    txn.commit()?;
    Ok(done)
}

/// Integrates a batch of central in this transaction.
pub(crate) fn receive_from_central(site: &Site, txn: &dyn WriteTxn, batch: ReadBatch) -> Result<Integrated> {
    let own = own_records(&batch);
    let provenance = Provenance { own, ..Provenance::of_server(Source::Central, None, &site.resolvers) };
    let incoming = batch.records.into_iter().map(|element| element.map_or_else(set_aside, readable)).collect();
    let done = receive(txn, site.clock.now(), &provenance, incoming)?;
    note_own_versions(txn, &provenance.own)?;
    Ok(done)
}

/// The records of which a batch has a version that this site wrote.
fn own_records(batch: &ReadBatch) -> HashSet<(TableName, RecordId)> {
    let own = batch.records.iter().flatten().filter(|element| element.is_own);
    own.map(|element| (element.record.table_name.clone(), element.record.record_id.clone())).collect()
}

fn readable(element: BatchElement) -> Incoming {
    Incoming { cursor: Some(element.cursor), ..Incoming::new(Source::Central, element.record) }
}

pub(crate) fn set_aside(Unreadable { table, id, reason, raw, .. }: Unreadable) -> Incoming {
    unreadable(Source::Central, (table, id), reason, raw)
}

/// Makes a received record of an element.
pub(crate) fn from_legacy<T: Into<WireRecord>, K>(element: Result<T, UnreadableRecord<K>>) -> Incoming {
    match element {
        Ok(record) => Incoming::new(Source::Legacy, record.into()),
        Err(bad) => unreadable(Source::Legacy, (bad.table, bad.id), bad.reason, bad.raw),
    }
}

/// An element that is no record is kept with its reason. If it has no id, a digest of its text names it.
fn unreadable(
    source: Source,
    (table, id): (Option<TableName>, Option<RecordId>),
    reason: String,
    raw: RecordData,
) -> Incoming {
    let fingerprint = || RecordId::new(hex(&sha2::Sha256::digest(raw.as_str())));
    Incoming {
        source,
        table: table.unwrap_or_else(|| TableName::from("(unreadable)")),
        id: id.unwrap_or_else(fingerprint),
        action: Action::Update,
        cursor: None,
        known: Default::default(),
        quarantine: Some(Quarantine { cause: QuarantineCause::Malformed, reason, waits_for: None }),
        data: raw,
    }
}
