//! The sizes of batches. One policy for every direction: halve a size that broke, return to one that worked, grow a
//! little after several successes.
//!
//! A line that breaks each body after some bytes, or a proxy with a limit, looks like any other broken line. So the first broken
//! body already counts, and the same size is not tried again. The sizes are stored for the next cycles, for each server and
//! direction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::SyncConfig;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::ReadBatch;
use crate::storage::state::{Setting, StoredJson};
use crate::storage::{ReadTxn, Storage, WriteTxn, state};

/// Successes at one size before a larger one is tried again. Each larger size that breaks doubles the number.
const PATIENCE: u32 = 3;
/// The largest number of such successes.
const PATIENCE_MAX: u32 = 48;
/// A batch that took longer than this is halved.
const SLOW: Duration = Duration::from_secs(30);

/// The bounds of a size, in records or in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeBounds {
    /// The size of the first batch on a line that never broke.
    pub first: u64,
    /// The largest size.
    pub max: u64,
    /// A slow line alone does not reduce the size below this.
    pub slow_min: u64,
}

/// What is known about the size that a line carries. The smallest size is 1: one record, or one byte, which stands for
/// one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizing {
    /// The next size.
    size: u64,
    /// The largest size that worked; 0 if none did. A break at a smaller size resets it.
    worked: u64,
    /// The size that broke last; `None` if the line never broke, or carries more by now.
    broke: Option<u64>,
    /// Successes at this size.
    successes: u32,
    /// Successes needed before a larger size is tried.
    patience: u32,
    /// The state before the newest breaks, as long as no success has followed them.
    before: Option<SizeBasis>,
}

/// How a size was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SizeBasis {
    size: u64,
    worked: u64,
    broke: Option<u64>,
}

impl Sizing {
    pub(crate) fn new(limits: SizeBounds) -> Self {
        let size = limits.first.clamp(1, limits.max.max(1));
        Self { size, worked: 0, broke: None, successes: 0, patience: PATIENCE, before: None }
    }

    /// The next size within these limits.
    pub(crate) fn size(&self, limits: SizeBounds) -> u64 {
        self.size.clamp(1, limits.max.max(1))
    }

    /// True if there is anything to store: a line that never broke starts anew each time.
    fn is_limited(&self) -> bool {
        self.broke.is_some()
    }

    /// Records that a body of this size passed in this time. A body much smaller than the allowed size does not count as a success.
    pub(crate) fn passed(&mut self, used: u64, took: Duration, limits: SizeBounds) {
        self.worked = self.worked.max(used);
        self.before = None;
        if took > SLOW && used > limits.slow_min && !planted!(SlowBatchNotHalved) {
            self.size = (used / 2).max(limits.slow_min).max(1);
            self.worked = self.worked.min(self.size);
            (self.broke, self.successes, self.patience) = (Some(used), 0, PATIENCE);
            return;
        }
        match self.broke {
            Some(broke) if used < broke => {
                if used.saturating_mul(2) < self.size {
                    return;
                }
                self.successes += 1;
                if self.successes >= self.patience {
                    self.successes = 0;
                    self.size = self.size(limits).saturating_add((self.size / 4).max(1)).min(limits.max.max(1));
                }
            }
            // The line carries the size that broke before.
            Some(_) => {
                (self.broke, self.successes, self.patience) = (None, 0, PATIENCE);
                self.size = self.size.max(used).min(limits.max.max(1));
            }
            None => {
                if used.saturating_mul(2) >= self.size {
                    self.size = self.size.saturating_mul(2).min(limits.max.max(1));
                }
            }
        }
    }

    /// Records that a body of this size broke. Returns whether a smaller one may be tried.
    pub(crate) fn broke(&mut self, used: u64) -> bool {
        if used <= 1 {
            return false;
        }
        self.before.get_or_insert(SizeBasis { size: self.size, worked: self.worked, broke: self.broke });
        self.successes = 0;
        self.broke = Some(used);
        if self.worked < used && self.worked >= used.div_ceil(2) {
            // The size had grown too far; the size before it was good.
            self.size = self.worked;
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        } else {
            self.size = used / 2;
            self.worked = self.worked.min(self.size.saturating_sub(1));
            self.patience = PATIENCE;
        }
        true
    }

    /// Records that even the smallest size failed. The line itself was at fault, so the next cycle begins with the size that was
    /// used before the breaks.
    pub(crate) fn gave_up(&mut self) {
        if let Some(SizeBasis { size, worked, broke }) = self.before.take() {
            (self.size, self.worked, self.broke, self.successes) = (size, worked, broke, 0);
        }
    }
}

/// A server and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferKind {
    /// Records of central: pull, patient pull, audit, preview.
    CentralPull,
    /// Edits to central.
    CentralPush,
    /// Central data of the legacy server.
    LegacyCentralData,
    /// The legacy server's queue for this site.
    LegacyQueue,
    /// Edits and acknowledgements to the legacy server.
    LegacyPush,
    /// Files from central.
    Download,
}

impl TransferKind {
    pub(crate) fn server(self) -> Server {
        match self {
            Self::CentralPull | Self::CentralPush | Self::Download => Server::Central,
            Self::LegacyCentralData | Self::LegacyQueue | Self::LegacyPush => Server::Legacy,
        }
    }
}

/// Whether the legacy server reads gzipped requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LegacyGzip {
    /// The address that this was learnt at.
    url: String,
    takes: bool,
}

/// The known sizes of each line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Lines {
    #[serde(skip_serializing_if = "Option::is_none")]
    central_pull: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    central_push: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy_central_data: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy_queue: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy_push: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Sizing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy_gzip: Option<LegacyGzip>,
}

impl Lines {
    fn of(&mut self, kind: TransferKind) -> &mut Option<Sizing> {
        match kind {
            TransferKind::CentralPull => &mut self.central_pull,
            TransferKind::CentralPush => &mut self.central_push,
            TransferKind::LegacyCentralData => &mut self.legacy_central_data,
            TransferKind::LegacyQueue => &mut self.legacy_queue,
            TransferKind::LegacyPush => &mut self.legacy_push,
            TransferKind::Download => &mut self.download,
        }
    }

    fn get(&self, kind: TransferKind) -> Option<&Sizing> {
        match kind {
            TransferKind::CentralPull => self.central_pull.as_ref(),
            TransferKind::CentralPush => self.central_push.as_ref(),
            TransferKind::LegacyCentralData => self.legacy_central_data.as_ref(),
            TransferKind::LegacyQueue => self.legacy_queue.as_ref(),
            TransferKind::LegacyPush => self.legacy_push.as_ref(),
            TransferKind::Download => self.download.as_ref(),
        }
    }

    fn all(&mut self) -> [&mut Option<Sizing>; 6] {
        let Self { central_pull, central_push, legacy_central_data, legacy_queue, legacy_push, download, .. } = self;
        [central_pull, central_push, legacy_central_data, legacy_queue, legacy_push, download]
    }
}

const LINES: Setting<StoredJson<Lines>> = state::lines();
const FILE_LINES: Setting<StoredJson<Lines>> = state::file_lines();

/// The sizes of all lines during a cycle, and as stored in the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    lines: Lines,
    /// The stored sizes.
    stored: Lines,
}

impl Sizes {
    /// Loads the stored sizes. Unreadable ones are dropped: they are only hints.
    pub(crate) fn load(txn: &dyn ReadTxn) -> Result<Self> {
        Self::load_from(txn, &LINES)
    }

    /// Loads the sizes of the lines for files, which run beside a cycle.
    pub(crate) fn load_of_files(txn: &dyn ReadTxn) -> Result<Self> {
        Self::load_from(txn, &FILE_LINES)
    }

    fn load_from(txn: &dyn ReadTxn, setting: &Setting<StoredJson<Lines>>) -> Result<Self> {
        let StoredJson(lines) = setting.get(txn)?;
        Ok(Self { stored: lines.clone(), lines })
    }

    /// Stores them if they changed.
    pub(crate) fn store(&self, txn: &dyn WriteTxn) -> Result<()> {
        match self.changed_lines() {
            Some(lines) => LINES.set(txn, lines),
            None => Ok(()),
        }
    }

    /// Stores those of the lines for files if they changed.
    pub(crate) fn store_of_files(&self, storage: &dyn Storage) -> Result<()> {
        let Some(lines) = self.changed_lines() else { return Ok(()) };
        let txn = storage.write()?;
        FILE_LINES.set(txn.as_ref(), lines)?;
        txn.commit()
    }

    fn changed_lines(&self) -> Option<Lines> {
        let mut lines = self.lines.clone();
        for line in lines.all() {
            *line = line.take().filter(Sizing::is_limited);
        }
        let is_new = lines != self.stored;
        is_new.then_some(lines)
    }

    fn of(&mut self, kind: TransferKind, limits: SizeBounds) -> &mut Sizing {
        self.lines.of(kind).get_or_insert_with(|| Sizing::new(limits))
    }

    /// The next size of a kind.
    pub(crate) fn size(&mut self, kind: TransferKind, config: &SyncConfig) -> u64 {
        let limits = limits(kind, config);
        self.of(kind, limits).size(limits)
    }

    /// True if a kind of transfer breaks above some size.
    pub(crate) fn is_limited(&self, kind: TransferKind) -> bool {
        self.lines.get(kind).is_some_and(Sizing::is_limited)
    }

    /// True if nothing passed since the size was last reduced.
    pub(crate) fn is_shrinking(&self, kind: TransferKind) -> bool {
        self.lines.get(kind).is_some_and(|sizing| sizing.before.is_some())
    }

    /// Records that a body of this size passed.
    pub(crate) fn passed(&mut self, kind: TransferKind, used: u64, took: Duration, config: &SyncConfig) {
        let limits = limits(kind, config);
        self.of(kind, limits).passed(used, took, limits);
    }

    /// Whether the legacy server at this address reads gzipped requests; `None` if unknown.
    pub(crate) fn legacy_reads_gzip(&self, url: &str) -> Option<bool> {
        self.lines.legacy_gzip.as_ref().filter(|known| known.url == url).map(|known| known.takes)
    }

    /// Records whether it does.
    pub(crate) fn note_legacy_gzip(&mut self, url: &str, takes: bool) {
        self.lines.legacy_gzip = Some(LegacyGzip { url: url.to_owned(), takes });
    }

    /// Records that a body of this size broke. Returns whether a smaller one may be tried.
    pub(crate) fn broke(&mut self, kind: TransferKind, used: u64, config: &SyncConfig) -> bool {
        self.of(kind, limits(kind, config)).broke(used)
    }

    /// Records that nothing passed at any size.
    pub(crate) fn gave_up(&mut self, kind: TransferKind) {
        if let Some(sizing) = self.lines.of(kind) {
            sizing.gave_up();
        }
    }
}

/// The number of records of the next pulled batch: as many as the line carries, but no more than fill
/// [`SyncConfig::pull_bytes`].
#[derive(Debug, Default)]
pub(crate) struct PullBatchSize {
    /// The bytes of a record in the last batch.
    each: Option<u64>,
}

impl PullBatchSize {
    /// The number of records to request. While the size of a record is unknown, it is the number for a first batch.
    pub(crate) fn next(&self, sizes: &mut Sizes, config: &SyncConfig) -> u32 {
        let fitting = match self.each {
            None => u64::from(config.pull_records),
            Some(each) => config.pull_bytes as u64 / each.max(1),
        };
        let size = sizes.size(TransferKind::CentralPull, config).min(fitting).max(1);
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// Records the size and duration of a received batch.
    pub(crate) fn note(&mut self, asked: &SizedBatch, took: Duration, sizes: &mut Sizes, config: &SyncConfig) {
        let records = asked.batch.records.len() as u64;
        self.each = (asked.bytes as u64).checked_div(records).or(self.each);
        // Counts the received records, not the requested ones: fewer than requested do not show that a larger batch would pass.
        // There may be no more records, or central read only a part of its changelog, with few records of this site or none.
        sizes.passed(TransferKind::CentralPull, records, took, config);
    }
}

/// A batch of central.
pub(crate) struct SizedBatch {
    pub batch: ReadBatch,
    /// Its bytes.
    pub bytes: usize,
}

/// The limits of a kind of transfer, from the settings: records for requests, bytes for pushes.
fn limits(kind: TransferKind, config: &SyncConfig) -> SizeBounds {
    let records = |first: u32, max: u32| {
        let max = u64::from(max.max(1));
        SizeBounds { first: u64::from(first).min(max), max, slow_min: max.min(16) }
    };
    let bytes = |max: usize| {
        let max = (max as u64).max(1);
        SizeBounds { first: max, max, slow_min: max.min(64 * 1024) }
    };
    match kind {
        TransferKind::CentralPull => records(config.pull_records, config.pull_records_max),
        TransferKind::LegacyCentralData | TransferKind::LegacyQueue => {
            records(config.legacy_pull_records, config.legacy_pull_records)
        }
        TransferKind::CentralPush | TransferKind::LegacyPush => bytes(config.push_bytes_max),
        TransferKind::Download => bytes(usize::MAX),
    }
}

/// True if an exchange may have failed because it was too large. A slow server may have too much to gather, and a proxy in front of
/// it may answer with a status of its own.
pub(crate) fn may_be_the_size(error: &Error) -> bool {
    is_surely_no_outage(error) || matches!(error, Error::ServerTrouble { status: 500.., .. })
}

/// True if a failure does not mean that the server is down. After any other failure the same size is tried once more,
/// because a server that is just restarting would otherwise get small requests for a long time.
pub(crate) fn is_surely_no_outage(error: &Error) -> bool {
    matches!(
        error,
        Error::CutOff { .. }
            | Error::TimedOut { .. }
            | Error::AnswerTooLarge { .. }
            | Error::ServerTrouble { status: 504, .. }
    )
}

#[cfg(test)]
mod tests;
