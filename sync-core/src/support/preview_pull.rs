//! Preview of the next pull: its records are read from the servers as in a pull, integrated in a transaction that is
//! dropped, and forgotten. No cursor moves, nothing is acknowledged.

use serde::Serialize;
use url::Url;

use crate::error::{Error, ErrorClass, Result, Server};
use crate::integrate::{Integrated, Provenance, receive};
use crate::protocol::v5::{LegacyStatus, ReadCentralBatch, ReadQueueBatch, path as v5_path};
use crate::protocol::v6::{Action, PullRequest, SiteStatus, path};
use crate::role::Role;
use crate::site::central::pull::{from_legacy, request_batch, set_aside};
use crate::site::client::Client;
use crate::site::config::SyncConfig;
use crate::site::identity::Identity;
use crate::site::observer::SyncObserver;
use crate::site::sizing::{PullBatchSize, Sizes, TransferKind};
use crate::storage::{Incoming, LoggedError, Source, each_quarantined, state};
use crate::support::SiteSupport;
use crate::support::patience::FirstAnswer;
use crate::support::{NAMED, PredictedSetAside, TypeCount, TypeCounts};
use crate::text::{Localize, Message};

/// The most records of central in one batch.
const LIMIT: u32 = 500;

/// The sources, in the order of a cycle.
const SOURCES: [&str; 3] = ["legacy_central", "legacy_queue", "central"];

/// The most bytes of data that are held at a time.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The result of the next pull.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct PullPreview {
    /// From each source, in the order of a cycle: central data of the legacy server, its queue for this site, central.
    #[serde(rename = "sources")]
    pub from: Vec<IncomingPreview>,
    /// Records that would be integrated, of those that were read.
    pub integrated: u64,
    /// Records that would yield to a local edit.
    pub kept_local: u64,
    /// The first of the records that would go into quarantine.
    pub set_aside: Vec<PredictedSetAside>,
    /// The number of these.
    pub set_aside_records: u64,
    /// Quarantined records that would be tried again, because the record that they wait for comes.
    pub woken: u64,
    /// Warnings that the pull would give: why a resolver of the host failed.
    pub warnings: Vec<Message>,
}

impl Localize for PullPreview {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.warnings.iter_mut().for_each(each);
    }
}

/// The records from one source.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct IncomingPreview {
    /// `legacy_central`, `legacy_queue` or `central`.
    pub source: &'static str,
    /// The position of the first one; `None` for the queue.
    pub from_cursor: Option<u64>,
    /// The number of records according to the server; at least those that were read.
    pub records: u64,
    /// True if all of them were read.
    pub is_complete: bool,
    /// Those that were read, by type.
    pub by_type: Vec<TypeCount>,
    /// The error that stopped reading.
    pub error: Option<LoggedError>,
}

/// The records from one source, before they are examined.
struct SourcePreview {
    coming: IncomingPreview,
    source: Source,
    batches: Vec<Vec<Incoming>>,
}

/// The rest of the limit.
struct PreviewBudget {
    records: u64,
    bytes: usize,
}

impl PreviewBudget {
    /// Subtracts a batch; returns whether more may be read.
    fn take(&mut self, batch: &[Incoming]) -> bool {
        self.records = self.records.saturating_sub(batch.len() as u64);
        let bytes: usize = batch.iter().map(|incoming| incoming.data.as_str().len()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.records > 0 && self.bytes > 0
    }
}

impl SourcePreview {
    fn new(name: &'static str) -> Self {
        let coming = IncomingPreview {
            source: name,
            from_cursor: None,
            records: 0,
            is_complete: false,
            by_type: Vec::new(),
            error: None,
        };
        let source = if name == "central" { Source::Central } else { Source::Legacy };
        Self { coming, source, batches: Vec::new() }
    }

    /// Adds a batch, of `total` records that are left with it; returns whether more may be read.
    fn add(&mut self, batch: Vec<Incoming>, total: u64, left: &mut PreviewBudget) -> bool {
        let before: usize = self.batches.iter().map(Vec::len).sum();
        self.coming.records = (before + batch.len()).max(before + usize::try_from(total).unwrap_or(0)) as u64;
        let goes_on = left.take(&batch);
        self.batches.push(batch);
        goes_on
    }

    fn count(&mut self) {
        let mut counts = TypeCounts::default();
        for incoming in self.batches.iter().flatten() {
            counts.add(&incoming.table, incoming.action == Action::Delete, incoming.data.as_str().len(), None);
        }
        self.coming.by_type = counts.list();
    }
}

impl SiteSupport {
    /// Previews the next pull, up to so many records: asks the servers, and changes nothing.
    ///
    /// # Errors
    /// [`Error::NotSetUp`]; the first error if no server could be asked; the database failed.
    pub fn preview_pull(&self, records_max: u64, observer: &mut dyn SyncObserver) -> Result<PullPreview> {
        let identity = self.site.identity()?;
        let sizes = Sizes::load(self.site.storage.read()?.as_ref())?;
        let mut left = PreviewBudget { records: records_max.max(1), bytes: BYTES_MAX };
        let mut all = Vec::new();
        let mut first_error: Option<Error> = None;
        for name in SOURCES {
            let mut gathered = SourcePreview::new(name);
            let mut gather = |observer: &mut dyn SyncObserver| {
                let mut client = self.site.client(observer);
                client.sizes = sizes.clone();
                match name {
                    "legacy_central" => self.gather_central_data(&identity, &mut client, &mut gathered, &mut left),
                    "legacy_queue" => gather_queue(&identity, &mut client, &mut gathered, &mut left),
                    _ => self.gather_central(&identity, &mut client, &mut gathered, &mut left),
                }
            };
            let outcome = match name {
                "legacy_central" => self.ask_legacy(&identity, observer).and_then(|()| gather(observer)),
                // It does not answer: the same would be asked of the same server once more.
                "legacy_queue" => match &first_error {
                    Some(error) if error.class() == ErrorClass::Retry => Err(Error::clone(error)),
                    _ => gather(observer),
                },
                _ if identity.role != Some(Role::Remote) => continue,
                _ => self.ask_central(&identity, observer).and_then(|()| gather(observer)),
            };
            gathered.count();
            if let Err(error) = outcome {
                if matches!(error.class(), ErrorClass::Cancelled | ErrorClass::LocalFault) {
                    return Err(error);
                }
                gathered.coming.error = Some((&error).into());
                first_error.get_or_insert(error);
            }
            all.push(gathered);
        }
        // If no server answered there is nothing to show.
        match first_error {
            Some(error) if all.iter().all(|gathered| gathered.coming.error.is_some()) => Err(error),
            _ => self.try_out(&identity, all),
        }
    }

    /// Asks the legacy server something small, once: a person waits, and what does not answer now is known soon.
    fn ask_legacy(&self, identity: &Identity, observer: &mut dyn SyncObserver) -> Result<()> {
        self.ask_first((Server::Legacy, &identity.legacy_url), observer, |client| {
            client.legacy_get::<LegacyStatus>(identity, v5_path::SITE_STATUS).map(|_| ())
        })
    }

    /// The same for central.
    fn ask_central(&self, identity: &Identity, observer: &mut dyn SyncObserver) -> Result<()> {
        let (url, request) = (identity.central_url()?, identity.status_request());
        self.ask_first((Server::Central, &url), observer, |client| {
            client.central::<SiteStatus>(identity, &url, path::SITE_STATUS, &request).map(|_| ())
        })
    }

    fn ask_first(
        &self,
        server: (Server, &Url),
        observer: &mut dyn SyncObserver,
        ask: impl FnOnce(&mut Client<'_>) -> Result<()>,
    ) -> Result<()> {
        let config = SyncConfig { attempts: 1, ..self.site.config.clone() };
        let first = FirstAnswer::within(self.silence);
        let mut until_silent = first.observer(observer);
        let (transport, clock) = (self.site.transport.as_ref(), self.site.clock.as_ref());
        first.of(&mut Client::new(transport, clock, &config, &mut until_silent), server, ask)
    }

    fn gather_central_data(
        &self,
        identity: &Identity,
        client: &mut Client<'_>,
        gathered: &mut SourcePreview,
        left: &mut PreviewBudget,
    ) -> Result<()> {
        let mut start = state::PULL_CURSOR_CENTRAL.get(self.site.storage.read()?.as_ref())?.0;
        gathered.coming.from_cursor = Some(start);
        loop {
            let path = |limit| format!("{}?cursor={start}&limit={limit}", v5_path::CENTRAL_RECORDS);
            let (batch, asked, _): (ReadCentralBatch, _, _) =
                client.legacy_batch(identity, TransferKind::LegacyCentralData, path)?;
            let last = batch.last_position();
            let incoming: Vec<_> = batch.data.into_iter().map(from_legacy).collect();
            let is_empty = incoming.is_empty();
            let goes_on = gathered.add(incoming, 0, left);
            match last {
                Some(last) if last > start => start = last,
                // A gap in its positions.
                None if is_empty && start < batch.max_cursor => start = start.saturating_add(asked),
                _ => {
                    gathered.coming.is_complete = true;
                    return Ok(());
                }
            }
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn gather_central(
        &self,
        identity: &Identity,
        client: &mut Client<'_>,
        gathered: &mut SourcePreview,
        left: &mut PreviewBudget,
    ) -> Result<()> {
        let central = identity.central_url()?;
        let (mut start, pulls_own) = {
            let txn = self.site.storage.read()?;
            (state::PULL_CURSOR_V6.get(txn.as_ref())?, state::PULL_OWN.get(txn.as_ref())?)
        };
        gathered.coming.from_cursor = Some(start.0);
        loop {
            let request = |batch_size| PullRequest {
                is_initialised: identity.initialised && !pulls_own,
                ..identity.dry_run_pull(start, batch_size)
            };
            let most = PullBatchSize::default().next(&mut client.sizes, &self.site.config).min(LIMIT);
            let batch = request_batch(client, identity, &central, path::PULL, most, &request)?.batch;
            let next = batch.last_record_cursor().unwrap_or_default().max(batch.end_cursor).next();
            let is_last = batch.is_last_batch;
            let incoming = batch
                .records
                .into_iter()
                .map(|element| element.map_or_else(set_aside, |e| Incoming::new(Source::Central, e.record)));
            let goes_on = gathered.add(incoming.collect(), batch.total_records, left);
            if is_last {
                gathered.coming.is_complete = true;
                return Ok(());
            }
            if next <= start {
                return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
            }
            start = next;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Integrates everything as a pull would, and drops the transaction.
    fn try_out(&self, identity: &Identity, all: Vec<SourcePreview>) -> Result<PullPreview> {
        let (mut found, mut done) = (PullPreview::default(), Integrated::default());
        let txn = self.site.storage.write_to_drop()?;
        let (before, newest) = {
            let counts: u64 = txn.quarantine_counts()?.iter().map(|(_, count)| count).sum();
            let mut newest = 0;
            each_quarantined(txn.as_ref(), 0, |row, _| {
                newest = row.sequence;
                Ok(())
            })?;
            (counts, newest)
        };
        for SourcePreview { coming, source, batches } in all {
            let origin = identity.legacy_site_id.filter(|_| source == Source::Legacy);
            let door = Provenance::of_server(source, origin, &self.site.resolvers);
            for batch in batches {
                done.add(&receive(txn.as_ref(), self.site.clock.now(), &door, batch)?);
            }
            found.from.push(coming);
        }
        let mut after = newest;
        loop {
            let page = txn.quarantined(after, 500)?;
            let Some((last, _)) = page.last() else { break };
            after = last.sequence;
            for (row, why) in page {
                found.set_aside_records += 1;
                if found.set_aside.len() < NAMED {
                    let (table, id) = (row.incoming.table, row.incoming.id);
                    found.set_aside.push(PredictedSetAside { table, id, cause: why.cause, reason: why.reason });
                }
            }
        }
        let left: u64 = txn.quarantine_counts()?.iter().map(|(_, count)| count).sum();
        found.woken = (before + found.set_aside_records).saturating_sub(left);
        (found.integrated, found.kept_local, found.warnings) =
            (done.integrated, done.kept_local, done.failed_resolvers);
        // Dropped: none of this takes effect.
        drop(txn);
        Ok(found)
    }
}

/// The legacy server's queue for this site: only its first batch, because the next one needs an acknowledgement.
fn gather_queue(
    identity: &Identity,
    client: &mut Client<'_>,
    gathered: &mut SourcePreview,
    left: &mut PreviewBudget,
) -> Result<()> {
    let path = |limit| format!("{}?limit={limit}", v5_path::QUEUED_RECORDS);
    let (batch, ..): (ReadQueueBatch, _, _) = client.legacy_batch(identity, TransferKind::LegacyQueue, path)?;
    let total = batch.queue_length;
    let incoming: Vec<_> = batch.data.into_iter().map(from_legacy).collect();
    gathered.coming.is_complete = total <= incoming.len() as u64;
    gathered.add(incoming, total, left);
    Ok(())
}
