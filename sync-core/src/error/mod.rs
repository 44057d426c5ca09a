//! Errors, sorted by who must act.

pub(crate) mod catalogue;

use std::error::Error as StdError;
use std::fmt;

use crate::ownership::Refusal;
use crate::record::{FieldError, RecordId, SiteId, TableName};
use crate::text::{Detail, Said, errors};

/// The result of this library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause from below: a database, a socket, a parser.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Nobody: trying again later may work.
    Retry,
    /// Whoever set this site up: an address, a password or a role is wrong.
    Configure,
    /// Whoever installs versions: one end is too old for the other.
    Upgrade,
    /// Whoever keeps the other end: it broke the protocol.
    PeerFault,
    /// Whoever keeps this machine: disk or database.
    LocalFault,
    /// Whoever gave the command: the input is wrong or not allowed.
    Input,
    /// Nobody: another cycle is at work on this database.
    Busy,
    /// Nobody: it was stopped on request.
    Cancelled,
}

impl ErrorClass {
    /// The class as it stands in `--json` output and in the sync log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Configure => "configure",
            Self::Upgrade => "upgrade",
            Self::PeerFault => "peer_fault",
            Self::LocalFault => "local_fault",
            Self::Input => "input",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Which server an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// The legacy mSupply central server.
    Legacy,
    /// The Open mSupply central server.
    Central,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Legacy => "the legacy server",
            Self::Central => "the central server",
        })
    }
}

/// What went wrong. Each kind has a stable [`code`](Error::code), a [`class`](Error::class) that says who must act and
/// an [`advice`](Error::advice) that says how. Messages name addresses, tables and ids; never a password, a hash, a
/// hardware id or a record's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details that the message names")]
pub enum Error {
    /// No connection to a server, or none that lasted.
    Unreachable { server: Server, url: String, source: Cause },
    /// A server took longer than it may.
    TimedOut { server: Server, url: String, source: Option<Cause> },
    /// An answer ended before its end.
    CutOff { server: Server, url: String, source: Cause },
    /// An answer with a status that says that the server, or a proxy, has trouble.
    /// `source` is what came with it.
    ServerTrouble { server: Server, url: String, status: u16, source: Option<Cause> },
    /// Central integrates an earlier push of this site.
    IntegrationInProgress { server: Server },
    /// Central was not done integrating in the time that is given to it.
    IntegrationTimeout { server: Server },
    /// The legacy server gathers what the first sync brings.
    InitialisationInProgress,
    /// The legacy server was too slow to look up the site.
    SiteAuthTimeout,
    /// A server lets nobody sign in as this site for a while.
    TooManyAttempts { server: Server },
    /// Central could not ask the legacy server about this site.
    CentralCannotReachLegacy,

    /// A database without settings.
    NotSetUp,
    /// A database file that is not there.
    NoDatabase { path: String },
    /// An address that cannot be used.
    InvalidUrl { what: &'static str, url: String, reason: Detail },
    /// A name that a server does not know.
    UnknownSite { server: Server, site: String },
    /// A password that a server does not take.
    WrongPassword { site: String },
    /// Another machine is bound to the site.
    HardwareIdMismatch { site: String },
    /// Another copy of this database goes on as its site.
    DatabaseCopied { site: String, since: String },
    /// This machine has no id of its own.
    NoMachineId { reason: String },
    /// A site without an active store.
    SiteHasNoStore { site: String },
    /// The file of the database is not the one that was opened.
    DatabaseReplaced { path: String },
    /// The file of the database has several names on its disk.
    DatabaseHardLinked { path: String, names: u64 },
    /// The legacy server has no address of central.
    CentralUrlMissing,
    /// An Open mSupply server that is not central.
    NotCentral { url: String },
    /// An answer that no mSupply server gives.
    NotAServer { server: Server, url: String, found: Detail },
    /// A certificate that is not trusted.
    CertificateRefused { server: Server, url: String, source: Cause },
    /// A proxy of the environment that cannot be used; `url` is without user name and password.
    ProxyUnusable { variable: &'static str, url: String, reason: Detail },
    /// Credentials of another site than the one whose database this is.
    OtherSite { ours: String, theirs: String },
    /// A command for the other role.
    WrongRole { needed: &'static str, found: &'static str },
    /// A list of sites beside that of the legacy server at which the database was set up.
    LegacyKeepsSites,

    /// A V6 version that central does not take.
    VersionMismatch { server: Server, min: u32, max: u32, sent: u32 },
    /// A V5 version that the legacy server does not take.
    LegacyVersionMismatch { sent: u32 },
    /// A question that came with a later release.
    CentralTooOld { needs: &'static str },
    /// A schema of a later version.
    DatabaseTooNew { found: i64, known: i64 },

    /// An answer that is not of the protocol.
    UnreadableAnswer { server: Server, url: String, detail: Detail },
    /// An answer that is larger than this site takes, though the least was asked for.
    AnswerTooLarge { server: Server, url: String, bytes: u64 },
    /// A refusal for a reason that this version does not know.
    Refused { server: Server, status: u16, detail: Detail },
    /// An error within a server.
    PeerError { server: Server, detail: Detail },
    /// Batches without an end.
    NoProgress { server: Server, cursor: u64 },
    /// A queue of the legacy server without an end.
    QueueNotMoving,
    /// A changelog that ends before what was read of it.
    CursorWentBack { server: Server, ours: u64, theirs: u64 },
    /// A push of which a part was taken.
    PartlyAccepted { server: Server, sent: u64, accepted: u64 },
    /// A record that exceeds what a server takes, in `bytes`.
    RecordTooLarge { server: Server, table: TableName, id: RecordId, bytes: usize },

    /// The database is locked by another program.
    DatabaseBusy { source: Cause },
    /// The database may not be written.
    DatabaseReadOnly { source: Cause },
    /// A file that is no database of this program.
    NotADatabase { path: String, source: Option<Cause> },
    /// No space is left.
    DiskFull { source: Cause },
    /// The database failed otherwise.
    Database { source: Cause },
    /// A file, a folder or a pipe failed.
    Io { what: String, source: Cause },
    /// A host's hook refused to follow a record.
    HostFailed { table: TableName, id: RecordId, source: Cause },
    /// Something stored that cannot be what was written.
    DamagedState { what: String },

    /// A rule of ownership.
    NotAllowed { refusal: Refusal, id: Option<RecordId> },
    /// A record that breaks the shape of its type.
    InvalidRecord { table: TableName, id: RecordId, source: Box<FieldError> },
    /// A table that there is not.
    UnknownTable { table: String },
    /// Something that there is not.
    NotFound { what: String, id: String },
    /// A file that central would refuse; both in bytes.
    FileTooLarge { bytes: u64, max: u64 },
    /// Input that is not what it should be; `detail` is the whole message.
    BadInput { detail: Detail },

    /// Another cycle has the database; `holder` is its process, if known.
    CycleRunning { holder: Option<u32> },
    /// Stopped on request.
    Cancelled,
    /// A site that is not in central's list.
    UnknownSiteId { site: SiteId },
}

/// In English; [`Texts::message`](crate::Texts::message) says it otherwise.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Said::message(self).fmt(f)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::NotAllowed { refusal, id: None }
    }
}

impl Error {
    /// Input that is not what it should be: this says what is wrong with it.
    pub fn bad_input(detail: impl Into<Detail>) -> Self {
        Self::BadInput { detail: detail.into() }
    }

    /// A stable code in snake_case, for scripts and for the catalogue in the docs.
    pub fn code(&self) -> &'static str {
        self.entry().0
    }

    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        self.entry().1
    }

    /// What to do next, as a sentence.
    pub fn advice(&self) -> &'static str {
        errors::of(self.code()).advice
    }

    /// The chain of causes below this error, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    #[rustfmt::skip] // one row a variant
    fn entry(&self) -> (&'static str, ErrorClass) {
        use ErrorClass::{Busy, Cancelled, Configure, Input, LocalFault, PeerFault, Retry, Upgrade};
        match self {
            Self::Unreachable { .. } => ("unreachable", Retry),
            Self::TimedOut { .. } => ("timed_out", Retry),
            Self::CutOff { .. } => ("cut_off", Retry),
            Self::ServerTrouble { .. } => ("server_trouble", Retry),
            Self::IntegrationInProgress { .. } => ("integration_in_progress", Retry),
            Self::IntegrationTimeout { .. } => ("integration_timeout", Retry),
            Self::InitialisationInProgress => ("initialisation_in_progress", Retry),
            Self::SiteAuthTimeout => ("site_auth_timeout", Retry),
            Self::TooManyAttempts { .. } => ("too_many_attempts", Retry),
            Self::CentralCannotReachLegacy => ("central_cannot_reach_legacy", Retry),

            Self::NotSetUp => ("not_set_up", Configure),
            Self::NoDatabase { .. } => ("no_database", Configure),
            Self::InvalidUrl { .. } => ("invalid_url", Configure),
            Self::UnknownSite { .. } => ("site_name_not_found", Configure),
            Self::WrongPassword { .. } => ("incorrect_password", Configure),
            Self::HardwareIdMismatch { .. } => ("hardware_id_mismatch", Configure),
            Self::DatabaseCopied { .. } => ("database_copied", Configure),
            Self::NoMachineId { .. } => ("no_machine_id", Configure),
            Self::SiteHasNoStore { .. } => ("site_has_no_store", Configure),
            Self::CentralUrlMissing => ("central_url_missing", Configure),
            Self::NotCentral { .. } => ("not_a_central_server", Configure),
            Self::NotAServer { .. } => ("not_an_msupply_server", Configure),
            Self::CertificateRefused { .. } => ("certificate_refused", Configure),
            Self::ProxyUnusable { .. } => ("proxy_unusable", Configure),
            Self::OtherSite { .. } => ("other_site", Configure),
            Self::WrongRole { .. } => ("wrong_role", Configure),
            Self::LegacyKeepsSites => ("legacy_keeps_sites", Configure),

            Self::VersionMismatch { .. } => ("v6_version_incompatible", Upgrade),
            Self::LegacyVersionMismatch { .. } => ("api_version_incompatible", Upgrade),
            Self::CentralTooOld { .. } => ("central_too_old", Upgrade),
            Self::DatabaseTooNew { .. } => ("database_too_new", Upgrade),

            Self::UnreadableAnswer { .. } => ("unreadable_answer", PeerFault),
            Self::AnswerTooLarge { .. } => ("answer_too_large", PeerFault),
            Self::Refused { .. } => ("refused", PeerFault),
            Self::PeerError { .. } => ("peer_error", PeerFault),
            Self::NoProgress { .. } => ("no_progress", PeerFault),
            Self::QueueNotMoving => ("queue_not_moving", PeerFault),
            Self::CursorWentBack { .. } => ("cursor_went_back", PeerFault),
            Self::PartlyAccepted { .. } => ("partly_accepted", PeerFault),
            Self::RecordTooLarge { .. } => ("record_too_large", Input),

            Self::DatabaseBusy { .. } => ("database_busy", LocalFault),
            Self::DatabaseReplaced { .. } => ("database_replaced", LocalFault),
            Self::DatabaseHardLinked { .. } => ("database_hard_linked", LocalFault),
            Self::DatabaseReadOnly { .. } => ("database_read_only", LocalFault),
            Self::NotADatabase { .. } => ("not_a_database", LocalFault),
            Self::DiskFull { .. } => ("disk_full", LocalFault),
            Self::Database { .. } => ("database_failed", LocalFault),
            Self::Io { .. } => ("io_failed", LocalFault),
            Self::HostFailed { .. } => ("host_failed", LocalFault),
            Self::DamagedState { .. } => ("damaged_state", LocalFault),

            Self::NotAllowed { refusal, .. } => (refusal.code(), Input),
            Self::InvalidRecord { .. } => ("invalid_record", Input),
            Self::UnknownTable { .. } => ("unknown_table", Input),
            Self::NotFound { .. } => ("not_found", Input),
            Self::FileTooLarge { .. } => ("file_too_large", Input),
            Self::BadInput { .. } => ("bad_input", Input),
            Self::UnknownSiteId { .. } => ("unknown_site", Input),

            Self::CycleRunning { .. } => ("cycle_running", Busy),
            Self::Cancelled => ("cancelled", Cancelled),
        }
    }
}
