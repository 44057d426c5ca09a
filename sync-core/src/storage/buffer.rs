//! The sync buffer: received records that are not integrated yet, or are in quarantine.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Cursor, RecordData, RecordId, SiteId, TableName};

/// The bytes of data after which a chunk of staged records ends. A chunk holds at least one record.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// The source of a received record. A kind, not a number that may change (weak point A20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Pulled from the Open mSupply central server over V6.
    Central,
    /// Pulled from the legacy server over V5.
    Legacy,
    /// Pushed by a site over V6; only on central.
    Site(SiteId),
    /// Written here, and refused by central; kept in the buffer for reference.
    Local,
}

/// A received record, to be staged in the sync buffer.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its source.
    pub source: Source,
    /// Its table; text of the sender, unchecked.
    pub table: TableName,
    /// Its id; text of the sender, unchecked.
    pub id: RecordId,
    /// The action.
    pub action: Action,
    /// Its data as it came.
    pub data: RecordData,
    /// Its cursor in the changelog of the site that pushed it, or of central, from which it was pulled.
    pub cursor: Option<Cursor>,
    /// What its writer could know.
    pub known: Known,
    /// Set if it goes into quarantine at once, because it could not be read.
    pub quarantine: Option<Quarantine>,
}

/// The local records that the writer of a received record could know: later ones are newer, or from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// The end of this changelog when the record came. Staging fills it in if it is missing.
    pub here: Option<Cursor>,
    /// The position before which the site that pushed the record had read this changelog, if known.
    pub by_sender: Option<Cursor>,
}

impl Incoming {
    /// A record from this source, as it came.
    pub fn new(source: Source, record: WireRecord) -> Self {
        let WireRecord { table_name: table, record_id: id, action, record_data: data } = record;
        Self { source, table, id, action, data, cursor: None, known: Known::default(), quarantine: None }
    }
}

/// A row of the sync buffer: received and not integrated.
#[derive(Debug, Clone)]
pub struct Buffered {
    /// Its place in the order of arrival; a newer version of a record gets a new one.
    pub sequence: u64,
    /// The received record.
    pub incoming: Incoming,
    /// The time of arrival.
    pub received_at: Timestamp,
    /// True if it was in quarantine and is staged again: other versions of its record may have gone out meanwhile, to
    /// its sender too.
    pub was_set_aside: bool,
}

/// Why a received record is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The cause.
    pub cause: QuarantineCause,
    /// The reason in words: the field, the rule, the parent.
    pub reason: String,
    /// The record that it waits for.
    pub waits_for: Option<(TableName, RecordId)>,
}

/// The causes of quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineCause {
    /// A record that it needs is not here yet; tried again when that arrives.
    Waiting,
    /// A rule of ownership forbids it.
    Refused,
    /// This version does not know its table or an enum value.
    Unsupported,
    /// Its data do not fit its type.
    Malformed,
    /// The database or the code failed at it repeatedly.
    Failed,
    /// A newer version was written before it could be integrated; kept for reference.
    Superseded,
    /// It is of no use here; kept for reference.
    Ignored,
}

impl QuarantineCause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Refused,
        Self::Unsupported,
        Self::Malformed,
        Self::Failed,
        Self::Superseded,
        Self::Ignored,
    ];

    /// True if it is only kept for reference: nobody has to act, and it will not be integrated.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Superseded | Self::Ignored)
    }

    /// True if it stays in quarantine until somebody acts. A record that waits for another comes by itself once that is here.
    pub fn needs_somebody(self) -> bool {
        !self.is_settled() && self != Self::Waiting
    }

    /// The cause in snake_case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Ignored => "ignored",
        }
    }
}

/// The number of staged records of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StagedCounts {
    /// Inserts and updates.
    pub upserts: u64,
    /// Deletes.
    pub deletes: u64,
    /// Merges.
    pub merges: u64,
}

/// The kinds of staged records that are integrated together: upserts first, then deletes, then merges (`sync-cycle`
/// §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum StagedKind {
    Upserts,
    Deletes,
    Merges,
}

impl StagedKind {
    /// The kind of an action.
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::Insert | Action::Update => Self::Upserts,
            Action::Delete => Self::Deletes,
            Action::Merge => Self::Merges,
        }
    }

    /// The name of the kind, in lower case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Upserts => "upsert",
            Self::Deletes => "delete",
            Self::Merges => "merge",
        }
    }
}

/// Reads the sync buffer.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait BufferReads {
    /// The tables with staged records of a source, by name, with the number of upserts, deletes and merges.
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>>;
    /// Up to `limit` staged records of a source, table and kind, in order of arrival after `after`. Ends early once
    /// their data exceed [`CHUNK_BYTES`], so memory stays bounded for any records.
    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>>;
    /// The sender's cursor of the buffered version of a record from this source that may still be integrated: it is
    /// staged, or waits for another record.
    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// All buffered versions of a record, in order of arrival.
    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>>;
    /// True if a version of a record from another source than this one is buffered.
    fn is_buffered_elsewhere(&self, source: Source, table: &TableName, id: &RecordId) -> Result<bool>;
    /// Up to `limit` quarantined records, in order of arrival after `after`. Ends early as [`staged`](Self::staged) does: only an
    /// empty answer is the end.
    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>>;
    /// True if the buffer is not empty; costs the same whatever it holds.
    fn any_buffered(&self) -> Result<bool>;
    /// True if the quarantine is not empty; costs the same whatever it holds.
    fn any_quarantined(&self) -> Result<bool>;
    /// The highest sequence of a quarantined record from this source; 0 if there is none. Reads no records.
    fn newest_quarantined(&self, source: Source) -> Result<u64>;
    /// The number of quarantined records by cause.
    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>>;
}

/// Rows of the quarantine that are read at once.
const QUARANTINE_PAGE: usize = 500;

/// Calls `each` with every quarantined record, in order of arrival after `after`.
pub(crate) fn each_quarantined<T: BufferReads + ?Sized>(
    txn: &T,
    mut after: u64,
    mut each: impl FnMut(Buffered, Quarantine) -> Result<()>,
) -> Result<()> {
    loop {
        let page = txn.quarantined(after, QUARANTINE_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.sequence;
        for (row, why) in page {
            each(row, why)?;
        }
    }
}

/// Writes the sync buffer.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait BufferWrites: BufferReads {
    /// Stages a received record, or puts it into quarantine if it says so, in place of any older version from the same
    /// source; each merge is kept. Its sequence is above all earlier ones. Inserts and updates are stored as upserts.
    /// If it does not say what was known here, the current state counts.
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()>;
    /// Removes records from the buffer if they are still the versions that were read.
    fn settle(&self, sequences: &[u64]) -> Result<()>;
    /// Removes a record from the buffer in any state, because a newer version was integrated; merges stay.
    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()>;
    /// Marks buffered versions of a record, but no merge, as newer than the version just written: those that came after this sequence,
    /// and not before the changelog ended there.
    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()>;
    /// Puts a buffered record into quarantine; a missing one changes nothing.
    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()>;
    /// Stages the records that wait for this one again, marked as quarantined before; returns their number. For those
    /// that sites had pushed, requests the integration of the site too, as of their time of arrival.
    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64>;
    /// Stages the records in quarantine for this cause, from this source or any, in their old places and marked as
    /// quarantined before, and requests the integration of the sites that had pushed them; returns their number.
    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64>;
    /// The same for the one record in quarantine with this sequence.
    fn requeue_one(&self, sequence: u64) -> Result<u64>;
}
