//! Where records, changelog, sync buffer, cursors and settings are kept.
//!
//! A storage gives out transactions. A [`ReadTxn`] sees one state throughout, whatever is written meanwhile; a
//! [`WriteTxn`] is alone, sees its own writes, and takes effect as a whole at [`commit`](WriteTxn::commit) or, dropped,
//! not at all. What was committed survives a power cut. No transaction may be kept open across a network call.

#[cfg(feature = "sqlite")]
mod sqlite;

use serde::{Deserialize, Serialize};

#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStorage;

use crate::changelog::{Change, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};

/// Gives out transactions.
///
/// Several readers and one writer work at once. `write` waits for another writer of this process, and for a bounded
/// time for one of another process.
pub trait Storage: Send + Sync {
    /// Begins a transaction that reads.
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be read.
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>>;

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// `LocalFault`: the storage cannot be written; `database_busy` if another process keeps it too long.
    fn write(&self) -> Result<Box<dyn WriteTxn + '_>>;

    /// Takes the lock that lets one cycle run at a time, also across processes. Dropping the guard gives it back; a
    /// process that dies gives it back too.
    ///
    /// # Errors
    /// [`Error::CycleRunning`](crate::Error::CycleRunning) if another one has it.
    fn lock_cycle(&self) -> Result<CycleLock>;
}

/// Keeps other cycles out until it is dropped.
pub struct CycleLock(#[allow(dead_code, reason = "held for its drop")] Box<dyn Send>);

impl CycleLock {
    /// A lock that is given back when `guard` is dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl std::fmt::Debug for CycleLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CycleLock")
    }
}

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
    /// Set if it is quarantined from the start, because it could not even be read.
    pub quarantine: Option<Quarantine>,
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
}

impl QuarantineCause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Refused, Self::Unsupported, Self::Malformed];

    /// The cause in snake_case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
        }
    }
}

/// Which changelog rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that sync did not write: local edits.
    Local,
    /// Those that central sends to a site in an ordinary pull (`record-types`: *What central sends*).
    ForSite {
        /// The stores that are active on the site.
        stores: Vec<StoreId>,
        /// The site, if rows that came from it are left out.
        except_from: Option<SiteId>,
    },
    /// Those about one patient.
    Patient(NameId),
    /// Central data of the legacy server.
    Legacy,
}

/// A site in the local list that central keeps where no legacy server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its number.
    pub id: SiteId,
    /// Its UUID.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// A slow salted hash of the password hash that the site sends.
    pub secret: String,
    /// The hardware id it is bound to, from its first contact on.
    pub hardware_id: Option<String>,
    /// When it last completed a pull.
    pub last_pull_at: Option<Timestamp>,
}

/// One cycle in the sync log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended: `done`, `left_behind`, `failed` or `cancelled`.
    pub outcome: String,
    /// The error it ended with, if any.
    pub error: Option<LoggedError>,
    /// The report, as `sync --json` prints it.
    pub report: serde_json::Value,
}

/// An error as the sync log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedError {
    /// Its stable code.
    pub code: String,
    /// Its class.
    pub class: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The chain of causes.
    pub causes: Vec<String>,
}

/// Names of settings and cursors, each a row of text.
pub mod key {
    /// The legacy server's address.
    pub const LEGACY_URL: &str = "legacy_url";
    /// The site's name on the legacy server.
    pub const SITE_NAME: &str = "site_name";
    /// The hash of the site's password; never shown.
    pub const PASSWORD_HASH: &str = "password_sha256";
    /// The id of this machine; never shown.
    pub const HARDWARE_ID: &str = "hardware_id";
    /// The site's own UUID; never changes once set.
    pub const SITE_UUID: &str = "site_uuid";
    /// The site's number.
    pub const SITE_ID: &str = "site_id";
    /// `central` or `remote`.
    pub const ROLE: &str = "role";
    /// The address of the Open mSupply central server.
    pub const CENTRAL_URL: &str = "central_url";
    /// The number of the legacy server's own site.
    pub const LEGACY_SITE_ID: &str = "legacy_site_id";
    /// When the legacy server last said who this site is.
    pub const DISCOVERED_AT: &str = "discovered_at";
    /// When the first cycle completed.
    pub const INITIALISED_AT: &str = "initialised_at";
    /// The next position to read of central's changelog.
    pub const PULL_CURSOR_V6: &str = "pull_cursor_v6";
    /// The next position to push of our own changelog.
    pub const PUSH_CURSOR_V6: &str = "push_cursor_v6";
    /// `1` while central has not confirmed that it integrated what was pushed last.
    pub const PUSH_UNCONFIRMED: &str = "push_unconfirmed";
    /// The last position read of the legacy server's central data; exclusive, as V5 has it.
    pub const PULL_CURSOR_CENTRAL: &str = "pull_cursor_central";
}

/// How many bytes of data a chunk of staged records holds before it ends early. A chunk holds at least one record.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Reads one state of the storage.
pub trait ReadTxn {
    /// A record's data.
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// Whether a record is here.
    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// Up to `limit` records of a table, by id, after `after`.
    fn records(&self, table: &TableName, after: Option<&RecordId>, limit: usize)
    -> Result<Vec<(RecordId, RecordData)>>;
    /// The number of records of each table that has any.
    fn record_counts(&self) -> Result<Vec<(TableName, u64)>>;

    /// The stores that are active on a site.
    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>>;
    /// Whether a name is joined to any of these stores.
    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool>;

    /// Up to `limit` selected changelog rows at or after `from`, by cursor.
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>>;
    /// The same with the data that each record has now. Ends early once the data exceed `bytes_max`, but not before the
    /// first row; the rows that were passed over come with the next call.
    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>>;
    /// The number of selected changelog rows at or after `from`.
    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64>;
    /// The cursor of the newest changelog row ever written, collapsed or not; 0 before the first.
    fn last_cursor(&self) -> Result<Cursor>;
    /// Whether there is a local edit of this record at or after `from`.
    fn has_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool>;

    /// The tables of staged records of a source, with the number of upserts, deletes and merges.
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
    /// Up to `limit` quarantined records, in order of arrival after `after`.
    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>>;
    /// The number of quarantined records by cause.
    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>>;

    /// A setting or a cursor; see [`key`].
    fn state(&self, key: &str) -> Result<Option<String>>;
    /// The newest entries of the sync log, newest first.
    fn log(&self, limit: usize) -> Result<Vec<LogEntry>>;

    /// The local list of sites, by number.
    fn sites(&self) -> Result<Vec<SiteEntry>>;
    /// A site of the local list by its name; capital letters count.
    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>>;
    /// The sites whose pushed records wait for integration, longest waiting first.
    fn integrations(&self) -> Result<Vec<SiteId>>;
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

/// Reads and writes; takes effect at commit.
pub trait WriteTxn: ReadTxn {
    /// Stores a record's data together with its changelog row, which takes the place of the one of the same table,
    /// record and store. Its cursor is higher than any before, and no row below it can appear after this transaction
    /// commits.
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor>;
    /// Removes a record's data; the changelog row stays in its place.
    fn remove_record(&self, change: &NewChange) -> Result<Cursor>;
    /// Adds a changelog row beside a record's own: for the store that the record has left.
    fn append_change(&self, change: &NewChange) -> Result<Cursor>;

    /// Stages a received record in place of an older version from the same source; merges are kept each.
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()>;
    /// Takes records out of the buffer, if they are still the versions that were read.
    fn settle(&self, sequences: &[u64]) -> Result<()>;
    /// Takes a record out of the buffer, whatever its state, because a newer version was integrated.
    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()>;
    /// Sets a buffered record aside.
    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()>;
    /// Stages again what waits for this record; says how many. Where a site had pushed it, the site's integration is
    /// requested too, as of the time at which it was received.
    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64>;
    /// Stages again what was received and is quarantined for this cause; says how many.
    fn requeue(&self, cause: QuarantineCause) -> Result<u64>;

    /// Writes a setting or a cursor.
    fn set_state(&self, key: &str, value: &str) -> Result<()>;
    /// Adds an entry to the sync log; the oldest beyond a thousand go.
    fn add_log(&self, entry: &LogEntry) -> Result<()>;

    /// Adds or changes a site of the local list.
    fn put_site(&self, site: &SiteEntry) -> Result<()>;
    /// Removes a site of the local list; says whether it was there.
    fn remove_site(&self, id: SiteId) -> Result<bool>;
    /// Remembers that a site's pushed records wait for integration.
    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()>;
    /// Forgets it.
    fn finish_integration(&self, site: SiteId) -> Result<()>;

    /// Makes everything of this transaction take effect, durably.
    ///
    /// # Errors
    /// Nothing took effect.
    fn commit(self: Box<Self>) -> Result<()>;
}
