//! How much is asked for or sent at once. One policy for every direction: halve what broke, go back to what worked, grow by a
//! little after several successes.
//!
//! A line that breaks each body after some bytes, or a proxy with a limit, looks like any other broken line. So the first
//! broken body counts: the same size is not tried again. What is learnt is kept across cycles, for each server and direction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::SyncConfig;
use crate::error::{Error, Result};
use crate::protocol::v6::ReadBatch;
use crate::storage::state::{Setting, StoredJson};
use crate::storage::{ReadTxn, Storage, WriteTxn, state};

/// Successes at one size before a larger one is tried again. Each larger size that breaks doubles them.
const PATIENCE: u32 = 3;
/// The most successes that are waited for.
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
    /// A slow line alone never makes the size smaller than this.
    pub slow_min: u64,
}

/// What is known of the size that a line carries. The smallest size is 1: one record, or one byte, which stands for one
/// record too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizing {
    /// The next size.
    size: u64,
    /// The largest size that came through since the last break that disproved a smaller one; 0 if none did.
    worked: u64,
    /// The size that broke last. `None` on a line that never broke, or that carries more than what broke.
    broke: Option<u64>,
    /// Successes at this size.
    successes: u32,
    /// Successes that are needed before a larger size is tried.
    patience: u32,
    /// What was known before the breaks that no success has followed yet.
    before: Option<SizeBasis>,
}

/// What a size was chosen by.
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

    /// The next size, within these limits.
    pub(crate) fn size(&self, limits: SizeBounds) -> u64 {
        self.size.clamp(1, limits.max.max(1))
    }

    /// Whether there is anything to remember: a line that never broke is tried anew each time.
    fn is_limited(&self) -> bool {
        self.broke.is_some()
    }

    /// A body of this size came through in this time. One that is much smaller than it might be proves little.
    pub(crate) fn passed(&mut self, used: u64, took: Duration, limits: SizeBounds) {
        self.worked = self.worked.max(used);
        self.before = None;
        if took > SLOW && used > limits.slow_min {
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
            // The line carries again what broke it before.
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

    /// A body of this size broke. Says whether a smaller one may be tried.
    pub(crate) fn broke(&mut self, used: u64) -> bool {
        if used <= 1 {
            return false;
        }
        self.before.get_or_insert(SizeBasis { size: self.size, worked: self.worked, broke: self.broke });
        self.successes = 0;
        self.broke = Some(used);
        if self.worked < used && self.worked >= used.div_ceil(2) {
            // It grew too far: the size before that one is good.
            self.size = self.worked;
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        } else {
            self.size = used / 2;
            self.worked = self.worked.min(self.size.saturating_sub(1));
            self.patience = PATIENCE;
        }
        true
    }

    /// Nothing came through, however small: the line itself was at fault, so the next cycle begins with the size before.
    pub(crate) fn gave_up(&mut self) {
        if let Some(SizeBasis { size, worked, broke }) = self.before.take() {
            (self.size, self.worked, self.broke, self.successes) = (size, worked, broke, 0);
        }
    }
}

/// A server, and what goes to it or comes from it.
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

/// Whether the legacy server reads gzipped requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LegacyGzip {
    /// The address that this was learnt at.
    url: String,
    takes: bool,
}

/// What is known of each line.
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

/// The sizes of all lines while a cycle runs, and as the database keeps them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    lines: Lines,
    /// As they stand in the database.
    stored: Lines,
}

impl Sizes {
    /// The sizes that worked before. What cannot be read is forgotten: it is a hint, and learnt again.
    pub(crate) fn load(txn: &dyn ReadTxn) -> Result<Self> {
        Self::load_from(txn, &LINES)
    }

    /// The same of the lines for files, which are on their way beside a cycle.
    pub(crate) fn load_of_files(txn: &dyn ReadTxn) -> Result<Self> {
        Self::load_from(txn, &FILE_LINES)
    }

    fn load_from(txn: &dyn ReadTxn, setting: &Setting<StoredJson<Lines>>) -> Result<Self> {
        let StoredJson(lines) = setting.get(txn)?;
        Ok(Self { stored: lines.clone(), lines })
    }

    /// Keeps them, if they are others than those that are kept.
    pub(crate) fn store(&self, txn: &dyn WriteTxn) -> Result<()> {
        match self.news() {
            Some(lines) => LINES.set(txn, lines),
            None => Ok(()),
        }
    }

    /// The same of the lines for files.
    pub(crate) fn store_of_files(&self, storage: &dyn Storage) -> Result<()> {
        let Some(lines) = self.news() else { return Ok(()) };
        let txn = storage.write()?;
        FILE_LINES.set(txn.as_ref(), lines)?;
        txn.commit()
    }

    fn news(&self) -> Option<Lines> {
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

    /// Whether a kind of transfer was found to break above some size.
    pub(crate) fn is_limited(&self, kind: TransferKind) -> bool {
        self.lines.get(kind).is_some_and(Sizing::is_limited)
    }

    /// Whether nothing came through yet since the size was last made smaller.
    pub(crate) fn is_shrinking(&self, kind: TransferKind) -> bool {
        self.lines.get(kind).is_some_and(|sizing| sizing.before.is_some())
    }

    /// A body of this size came through.
    pub(crate) fn passed(&mut self, kind: TransferKind, used: u64, took: Duration, config: &SyncConfig) {
        let limits = limits(kind, config);
        self.of(kind, limits).passed(used, took, limits);
    }

    /// Whether the legacy server at this address reads gzipped requests; `None` while that is not known.
    pub(crate) fn legacy_takes_gzip(&self, url: &str) -> Option<bool> {
        self.lines.legacy_gzip.as_ref().filter(|known| known.url == url).map(|known| known.takes)
    }

    /// Notes whether it does.
    pub(crate) fn note_legacy_gzip(&mut self, url: &str, takes: bool) {
        self.lines.legacy_gzip = Some(LegacyGzip { url: url.to_owned(), takes });
    }

    /// A body of this size broke. Says whether a smaller one may be tried.
    pub(crate) fn broke(&mut self, kind: TransferKind, used: u64, config: &SyncConfig) -> bool {
        self.of(kind, limits(kind, config)).broke(used)
    }

    /// Nothing came through at any size.
    pub(crate) fn gave_up(&mut self, kind: TransferKind) {
        if let Some(sizing) = self.lines.of(kind) {
            sizing.gave_up();
        }
    }
}

/// How many records the next pulled batch is to have: what the line carries, and of large records no more than make
/// [`SyncConfig::pull_bytes`].
#[derive(Debug, Default)]
pub(crate) struct PullBatchSize {
    /// The bytes of a record, as the last batch had them.
    each: Option<u64>,
}

impl PullBatchSize {
    /// The records to ask for. While nothing is known of them, no more than in a first batch.
    pub(crate) fn next(&self, sizes: &mut Sizes, config: &SyncConfig) -> u32 {
        let fitting = match self.each {
            None => u64::from(config.pull_records),
            Some(each) => config.pull_bytes as u64 / each.max(1),
        };
        let size = sizes.size(TransferKind::CentralPull, config).min(fitting).max(1);
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// Notes a batch that came.
    pub(crate) fn note(&mut self, asked: &SizedBatch, took: Duration, sizes: &mut Sizes, config: &SyncConfig) {
        let records = asked.batch.records.len() as u64;
        self.each = (asked.bytes as u64).checked_div(records).or(self.each);
        // Fewer than were asked for in the last batch: that proves no more than they are.
        let used = if asked.batch.is_last_batch { records } else { asked.size.into() };
        sizes.passed(TransferKind::CentralPull, used, took, config);
    }
}

/// A batch that central answered.
pub(crate) struct SizedBatch {
    pub batch: ReadBatch,
    /// Its bytes.
    pub bytes: usize,
    /// How many records were asked for in the end.
    pub size: u32,
}

/// The limits of a kind of transfer, as the settings have them: records where they are asked for, bytes where they are sent.
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

/// Whether an exchange may have failed because there was too much in it. A server that takes too long may do so as it has
/// too much to gather, and a proxy before it then answers with a status of its own choice, or with that for what is too long.
pub(crate) fn may_be_the_size(error: &Error) -> bool {
    is_surely_no_outage(error) || matches!(error, Error::ServerTrouble { status: 500.., .. })
}

/// Whether a failure is no sign that the server is down. Any other is tried once more as it was before the size is blamed: a
/// server that is just being restarted would be asked for little long after.
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
