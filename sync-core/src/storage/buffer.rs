//! The sync buffer: what was received and is not integrated yet, or is set aside.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Cursor, RecordData, RecordId, SiteId, TableName};

/// How many bytes of data a chunk of staged records holds before it ends early. A chunk holds at least one record.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Where a received record came from. A kind, not a number that may change (weak point A20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Pulled from the Open mSupply central server over V6.
    Central,
    /// Pulled from the legacy server over V5.
    Legacy,
    /// Pushed by this site over V6; on central only.
    Site(SiteId),
    /// Written here, and refused by central; kept in the buffer only to be seen.
    Local,
}

/// A received record, to be staged in the sync buffer.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Where it came from.
    pub source: Source,
    /// Its table; text of the sender, not checked.
    pub table: TableName,
    /// Its id; text of the sender, not checked.
    pub id: RecordId,
    /// What is done to it.
    pub action: Action,
    /// Its data as it came.
    pub data: RecordData,
    /// Its place in the changelog of the site that pushed it.
    pub cursor: Option<Cursor>,
    /// What its writer knew.
    pub known: Known,
    /// Set if it is quarantined from the start, because it could not even be read.
    pub quarantine: Option<Quarantine>,
}

/// What the writer of a received record can have known of the records here: what was written beyond is later, or from
/// elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// Where the changelog here ended when the record came. Staging fills it in where it is missing.
    pub here: Option<Cursor>,
    /// Up to where the site that pushed the record had read the changelog here, this position excluded, if that is known.
    pub by_sender: Option<Cursor>,
}

impl Incoming {
    /// A record as it came from this source.
    pub fn new(source: Source, record: WireRecord) -> Self {
        let WireRecord { table_name: table, record_id: id, action, record_data: data } = record;
        Self { source, table, id, action, data, cursor: None, known: Known::default(), quarantine: None }
    }
}

/// A row of the sync buffer: received, not yet integrated.
#[derive(Debug, Clone)]
pub struct Buffered {
    /// Its place in the order of arrival; a newer version of the same record gets a new one.
    pub sequence: u64,
    /// What was received.
    pub incoming: Incoming,
    /// When it was received.
    pub received_at: Timestamp,
    /// Whether it was set aside and staged again: other versions of its record may have gone out meanwhile, to its sender too.
    pub was_set_aside: bool,
}

/// Why a received record is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The kind of cause.
    pub cause: QuarantineCause,
    /// The cause in words: the field, the rule, the parent.
    pub reason: String,
    /// The record it waits for.
    pub waits_for: Option<(TableName, RecordId)>,
}

/// The kinds of causes why a received record is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineCause {
    /// A record that it needs is not here yet; tried again when that arrives.
    Waiting,
    /// A rule of ownership forbids it.
    Refused,
    /// Its table or an enum value is not known to this version.
    Unsupported,
    /// Its data breaks the shape of its type.
    Malformed,
    /// The database or the code failed at it, again and again.
    Failed,
    /// Something newer was written before it could be integrated: kept to be seen.
    Superseded,
    /// It is of no use here; kept only to be seen.
    Ignored,
}

impl QuarantineCause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Refused,
        Self::Unsupported,
        Self::Malformed,
        Self::Failed,
        Self::Superseded,
        Self::Ignored,
    ];

    /// Whether it is kept only to be seen: nobody has to do anything, and nothing will come of it.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Superseded | Self::Ignored)
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

/// Which staged records are integrated together: upserts first, then deletes, then merges (`sync-cycle` §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum StagedKind {
    Upserts,
    Deletes,
    Merges,
}

impl StagedKind {
    /// The kind that an action is integrated with.
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::Insert | Action::Update => Self::Upserts,
            Action::Delete => Self::Deletes,
            Action::Merge => Self::Merges,
        }
    }

    /// One of the kind, in lower case.
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
    /// The tables of staged records of a source, by name, with the number of upserts, deletes and merges.
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>>;
    /// Up to `limit` staged records of a source, table and kind of action, in order of arrival after `after`. Ends
    /// early once their data exceed [`CHUNK_BYTES`], so memory stays bounded whatever the records hold.
    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>>;
    /// The sender's cursor of what is in the buffer of a record from this source and may still be integrated as it is: it is
    /// staged, or waits for another record.
    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>>;
    /// All versions of a record that are in the buffer, in the order of arrival.
    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>>;
    /// Up to `limit` quarantined records, in order of arrival after `after`.
    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>>;
    /// The number of quarantined records by cause.
    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>>;
}

/// Writes the sync buffer.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait BufferWrites: BufferReads {
    /// Stages a received record, or sets it aside if it says so, in place of an older version from the same source,
    /// whatever the state of that; merges are kept each. It gets a sequence above all that were given out before. Whether
    /// an upsert was an insert or an update is not kept. Where it does not say what was known here, that is all that is.
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()>;
    /// Takes records out of the buffer, if they are still the versions that were read.
    fn settle(&self, sequences: &[u64]) -> Result<()>;
    /// Takes a record out of the buffer, whatever its state, because a newer version was integrated; merges stay.
    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()>;
    /// Notes that versions of a record in the buffer are newer than what was just written: those that came after this
    /// sequence, and not before the changelog ended there.
    fn note_newer(&self, table: &TableName, id: &RecordId, than: (u64, Cursor)) -> Result<()>;
    /// Sets a buffered record aside; one that is no longer there changes nothing.
    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()>;
    /// Stages again what waits for this record, marked as what was set aside; says how many. Where a site had pushed it, the
    /// site's integration is requested too, as of the time at which it was received.
    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64>;
    /// Stages again what was received, from this source or from any, and is quarantined for this cause, in its old place and
    /// marked as what was set aside, and requests the integration of the sites that had pushed it; says how many.
    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64>;
}
