//! Pull V6: batches of central's changelog, each integrated in the transaction that moves the cursor past it.

use std::time::Duration;

use serde::Serialize;
use sha2::Digest as _;
use url::Url;

use super::copied_database;
use super::outdated::{compare_with_central, yield_to_newer};
use super::position::{Advance, Position};
use crate::address::shown;
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result, Server};
use crate::integrate::{Integrated, Provenance, noting_failure, receive};
use crate::protocol::hex;
use crate::protocol::v5::UnreadableRecord;
use crate::protocol::v6::{
    Action, BatchElement, PullRequest, PushChain, ReadBatch, RefusedRecord, Unreadable, V6_VERSION, WireRecord, path,
};
use crate::record::{Cursor, RecordData, RecordId, TableName};
use crate::redaction::excerpt;
use crate::site::Site;
use crate::site::client::Client;
use crate::site::cycle::Cycle;
use crate::site::identity::Identity;
use crate::site::observer::Step;
use crate::site::sizing::{PullBatchSize, SizedBatch};
use crate::storage::state::{NewestRow, RestorePoint};
use crate::storage::{Incoming, Quarantine, QuarantineCause, Source, WriteTxn, state};
use crate::text::Detail;
use crate::text::sentences::{cycle as says, error_detail};

/// The most refused records that a cycle names.
const REFUSED_NAMED: usize = 20;

impl Cycle<'_, '_> {
    /// Passes on which records of this site central refused, and why.
    fn warn_of_refused(&mut self, refused: Vec<RefusedRecord>) -> Result<()> {
        for RefusedRecord { table, id, reason } in refused.into_iter().take(REFUSED_NAMED) {
            let [table, id, reason] = [table.as_str(), id.as_str(), &reason].map(|text| excerpt(text.as_bytes()));
            self.warn(says::central_refused(table, id, reason))?;
        }
        Ok(())
    }

    pub(crate) fn pull_v6(&mut self, central: &Url) -> Result<()> {
        let mut done = 0;
        let (mut reread, mut went_further_back, mut empty) = (false, false, 0);
        let mut asked_for_the_end = false;
        let mut pace = PullBatchSize::default();
        // An answer that was requested ahead seems to come at once, so the time of the whole round counts.
        let mut last_round = Duration::ZERO;
        self.pull_chain = copied_database::of_pull(self.site.storage.read()?.as_ref())?;
        loop {
            let (stands, newest, pulls_own, restore_point) = {
                let txn = self.site.storage.read()?;
                // A site that lost records, or got a store back, also needs its own records.
                let pulls_own = self.recovering || state::PULL_OWN.get(txn.as_ref())?;
                let restore_point = if pulls_own { state::restore_point(txn.as_ref())? } else { None };
                let newest = state::NEWEST_GONE.get(txn.as_ref())?;
                (Position::in_central(txn.as_ref())?, newest, pulls_own, restore_point)
            };
            let start = stands.next;
            let began = self.site.clock.monotonic();
            let (identity, chain) = (&self.identity, self.pull_chain.clone());
            let question = |size| question(identity, &chain, (start, pulls_own), size);
            let most = pace.next(&mut self.client.sizes, &self.site.config);
            let asked = ask_batch(&mut self.client, identity, (central, path::PULL), most, &question)?;
            let asking = self.site.clock.monotonic().saturating_sub(began).max(last_round);
            pace.note(&asked, asking, &mut self.client.sizes, &self.site.config);
            let mut batch = asked.batch;
            self.warn_of_refused(std::mem::take(&mut batch.refused))?;
            if self.learn_of_loss(&batch.lost_history, None)? {
                if std::mem::replace(&mut reread, true) {
                    return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
                }
                continue;
            }
            if let Some(lost) = newest.loss_shown_by(&batch)
                && !std::mem::replace(&mut reread, true)
            {
                self.central_went_back(lost, false, None)?;
                continue;
            }
            let records = batch.records.len() as u64;
            let (total, is_last) = (batch.total_records, batch.is_last_batch);
            let advance = stands.after(&batch);
            match advance {
                // Central has older records for this site, such as those withheld from an older release.
                Advance::Back(_) if std::mem::replace(&mut went_further_back, true) => {
                    return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
                }
                Advance::To(next) | Advance::Back(next) if is_last || self.over_budget() => {
                    self.take_batch(batch, next, restore_point)?
                }
                Advance::To(next) | Advance::Back(next) => {
                    let size = pace.next(&mut self.client.sizes, &self.site.config);
                    self.take_batch_and_ask_ahead(central, (batch, restore_point), (next, pulls_own), size)?
                }
                Advance::Stay => {
                    self.newest_is_back(newest, batch.end_cursor)?;
                    self.note_checkpoint(batch.end_cursor)?;
                }
                // The last batch was known already: a server that only repeats it has nothing more, and gives no
                // checkpoint.
                Advance::Stuck if asked_for_the_end && is_last => return self.end_reread(),
                Advance::Stuck => {
                    return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
                }
                Advance::NewestGone => self.newest_is_gone(stands.end)?,
                Advance::WentBack if !reread => {
                    reread = true;
                    let lost = ChangelogGap { after: batch.end_cursor, before: batch.end_cursor.next() };
                    self.central_went_back(lost, false, None)?;
                    continue;
                }
                Advance::WentBack => {
                    let (ours, theirs) = (start.0, batch.end_cursor.0);
                    return Err(Error::CursorWentBack { server: Server::Central, ours, theirs });
                }
            }
            done += records;
            self.report.pulled += records;
            self.report_progress(Step::PullV6, done, done + total.saturating_sub(records))?;
            // Any movement is progress, with or without records.
            empty = if records == 0 { empty + 1 } else { 0 };
            if planted!(EmptyBatchesAreAFault) && empty >= 3 && !is_last {
                return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
            }
            // The last batch from further back is not the last of the changelog.
            let is_last = is_last && !matches!(advance, Advance::Back(_));
            if is_last && records > 0 && !asked_for_the_end && self.wants_checkpoint()? {
                asked_for_the_end = true;
                continue;
            }
            if is_last {
                return self.end_reread();
            }
            if self.over_budget() {
                return Ok(());
            }
            last_round = self.site.clock.monotonic().saturating_sub(began);
        }
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

    fn take_batch(&mut self, batch: ReadBatch, next: Cursor, since: Option<RestorePoint>) -> Result<()> {
        let done = take_or_note(self.site, batch, next, since)?;
        self.count(&done);
        Ok(())
    }

    /// While a batch is integrated here, central already gathers the next.
    fn take_batch_and_ask_ahead(
        &mut self,
        central: &Url,
        (batch, since): (ReadBatch, Option<RestorePoint>),
        (next, pulls_own): (Cursor, bool),
        size: u32,
    ) -> Result<()> {
        let (site, question) = (self.site, question(&self.identity, &self.pull_chain, (next, pulls_own), size));
        let done = self.client.ask_ahead(central, path::PULL, &question, || take_or_note(site, batch, next, since))?;
        self.count(&done);
        Ok(())
    }
}

fn question(
    identity: &Identity,
    chain: &Option<PushChain>,
    (start, pulls_own): (Cursor, bool),
    batch_size: u32,
) -> PullRequest {
    PullRequest {
        cursor: start,
        batch_size,
        sync_v5_settings: identity.credentials(),
        is_initialised: identity.initialised && !pulls_own,
        sync_v6_version: V6_VERSION,
        is_dry_run: false,
        push_chain: chain.clone(),
    }
}

/// Asks central for a batch, and for smaller ones while the line breaks.
pub(crate) fn ask_batch<Q: Serialize>(
    client: &mut Client<'_>,
    identity: &Identity,
    (central, path): (&Url, &str),
    most: u32,
    question: &dyn Fn(u32) -> Q,
) -> Result<SizedBatch> {
    let raw = client.central_batch(identity, (central, path), most, question)?;
    let batch = read_batch(raw.get(), central)?;
    // Beyond the range of row numbers of every database: a cursor there would never come back.
    let highest = batch.last_record_cursor().unwrap_or_default().max(batch.end_cursor);
    if !highest.next().is_possible() {
        return Err(unreadable_answer(central, error_detail::cursor_out_of_range().into()));
    }
    Ok(SizedBatch { batch, bytes: raw.get().len() })
}

/// Reads a batch of central.
pub(crate) fn read_batch(text: &str, central: &Url) -> Result<ReadBatch> {
    ReadBatch::parse(text).map_err(|error| unreadable_answer(central, excerpt(error.to_string().as_bytes()).into()))
}

fn unreadable_answer(central: &Url, detail: Detail) -> Error {
    Error::UnreadableAnswer { server: Server::Central, url: shown(central), detail }
}

fn take_or_note(site: &Site, batch: ReadBatch, next: Cursor, since: Option<RestorePoint>) -> Result<Integrated> {
    noting_failure(site.storage.as_ref(), Source::Central, || take(site, batch, next, since))
}

/// Integrates a batch and moves the cursor past it, in one transaction.
fn take(site: &Site, batch: ReadBatch, next: Cursor, since: Option<RestorePoint>) -> Result<Integrated> {
    let next = if planted!(PullCursorOffByOne) { next.next() } else { next };
    if planted!(CursorBeforeRecords) {
        let txn = site.storage.write()?;
        state::PULL_CURSOR_V6.set(txn.as_ref(), next)?;
        txn.commit()?;
    }
    let txn = site.storage.write()?;
    compare_with_central(site, txn.as_ref(), &batch)?;
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
    let provenance = Provenance { source: Source::Central, origin: None, resolvers: site.resolvers.clone() };
    let incoming = batch.records.into_iter().map(|element| element.map_or_else(set_aside, readable)).collect();
    receive(txn, site.clock.now(), &provenance, incoming)
}

fn readable(element: BatchElement) -> Incoming {
    Incoming::new(Source::Central, element.record)
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
