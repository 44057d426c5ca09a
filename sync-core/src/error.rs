//! Errors, sorted by who must act.

use std::error::Error as StdError;

use crate::ownership::Refusal;
use crate::record::{FieldError, RecordId, SiteId, TableName};

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
    /// Whoever called: the input is wrong or not allowed.
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
#[allow(missing_docs, reason = "the message of each variant says what it is and what its fields are")]
pub enum Error {
    #[error("{server} at {url} cannot be reached")]
    Unreachable { server: Server, url: String, source: Cause },
    #[error("{server} at {url} did not answer in time")]
    TimedOut { server: Server, url: String, source: Option<Cause> },
    #[error("the answer of {server} at {url} was cut off")]
    CutOff { server: Server, url: String, source: Cause },
    #[error("{server} at {url} answered with status {status}")]
    ServerTrouble { server: Server, url: String, status: u16 },
    #[error("{server} is still integrating records that this site pushed earlier")]
    IntegrationInProgress { server: Server },
    #[error("{server} took too long to integrate the pushed records")]
    IntegrationTimeout { server: Server },
    #[error("the legacy server is still gathering the records of this site")]
    InitialisationInProgress,
    #[error("the legacy server timed out while checking the site's credentials")]
    SiteAuthTimeout,
    #[error("the central server cannot reach the legacy server to check this site's credentials")]
    CentralCannotReachLegacy,

    #[error("this database is not set up as a site yet")]
    NotSetUp,
    #[error("{what} {url:?} is not a usable address: {reason}")]
    InvalidUrl { what: &'static str, url: String, reason: String },
    #[error("{server} does not know a site named {site:?}")]
    UnknownSite { server: Server, site: String },
    #[error("the password of site {site:?} is wrong")]
    WrongPassword { site: String },
    #[error("site {site:?} is bound to another machine: its hardware id does not match")]
    HardwareIdMismatch { site: String },
    #[error("site {site:?} has no store")]
    SiteHasNoStore { site: String },
    #[error("the legacy server names no central server for this site")]
    CentralUrlMissing,
    #[error("the server at {url} is not an Open mSupply central server")]
    NotCentral { url: String },
    #[error("what answers at {url} is not {server}: it sent {found}")]
    NotAServer { server: Server, url: String, found: String },
    #[error("the certificate of {server} at {url} is refused")]
    CertificateRefused { server: Server, url: String, source: Cause },
    #[error("this database belongs to site {ours}, but the legacy server says these credentials are those of {theirs}")]
    OtherSite { ours: String, theirs: String },
    #[error("this needs a {needed}, and this database is a {found}")]
    WrongRole { needed: &'static str, found: &'static str },

    #[error("{server} speaks sync versions {min} to {max}, this site sent {sent}")]
    VersionMismatch { server: Server, min: u32, max: u32, sent: u32 },
    #[error("the legacy server does not accept this site's sync API version {sent}")]
    LegacyVersionMismatch { sent: u32 },
    #[error("the central server does not know this question: it needs Open mSupply {needs} or later")]
    CentralTooOld { needs: &'static str },
    #[error("the database was written by a newer version: its schema is {found}, this version knows up to {known}")]
    DatabaseTooNew { found: i64, known: i64 },

    #[error("the answer of {server} at {url} cannot be read: {detail}")]
    UnreadableAnswer { server: Server, url: String, detail: String },
    #[error("{server} refused the request with status {status}: {detail}")]
    Refused { server: Server, status: u16, detail: String },
    #[error("{server} reports an error: {detail}")]
    PeerError { server: Server, detail: String },
    #[error("{server} never ends its batches: one that is not the last did not move past cursor {cursor}")]
    NoProgress { server: Server, cursor: u64 },
    #[error("the legacy server's queue for this site does not move: what was acknowledged comes again and again")]
    QueueNotMoving,
    #[error("the changelog of {server} went back: this site has read up to {ours}, it now ends at {theirs}")]
    CursorWentBack { server: Server, ours: u64, theirs: u64 },
    #[error("{server} took {accepted} of {sent} records")]
    PartlyAccepted { server: Server, sent: u64, accepted: u64 },
    #[error("{table} {id} alone is too large for {server}: {bytes} bytes")]
    RecordTooLarge { server: Server, table: TableName, id: RecordId, bytes: usize },

    #[error("the database is in use by another program")]
    DatabaseBusy { source: Cause },
    #[error("the database cannot be written: it is read-only")]
    DatabaseReadOnly { source: Cause },
    #[error("{path} is not a database of this program")]
    NotADatabase { path: String, source: Option<Cause> },
    #[error("the disk is full")]
    DiskFull { source: Cause },
    #[error("the database failed")]
    Database { source: Cause },
    #[error("{what} failed: {source}")]
    Io { what: String, source: Cause },
    #[error("stored data cannot be read back: {what}")]
    DamagedState { what: String },

    #[error(transparent)]
    NotAllowed(#[from] Refusal),
    #[error("{table} {id} is not valid: {source}")]
    InvalidRecord { table: TableName, id: RecordId, source: Box<FieldError> },
    #[error("there is no record type {table:?}")]
    UnknownTable { table: String },
    #[error("there is no {what} {id:?}")]
    NotFound { what: String, id: String },
    #[error("the file has {bytes} bytes, and {max} is the most")]
    FileTooLarge { bytes: u64, max: u64 },
    #[error("{detail}")]
    BadInput { detail: String },

    #[error("another cycle is running on this database{}", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    CycleRunning { holder: Option<u32> },
    #[error("stopped on request")]
    Cancelled,
    #[error("site {site} is not known here")]
    UnknownSiteId { site: SiteId },
}

impl Error {
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
        self.entry().2
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

    #[rustfmt::skip] // one row a variant: the catalogue
    fn entry(&self) -> (&'static str, ErrorClass, &'static str) {
        use ErrorClass::{Busy, Cancelled, Configure, Input, LocalFault, PeerFault, Retry, Upgrade};
        match self {
            Self::Unreachable { .. } => ("unreachable", Retry, "Check the network connection and the address; nothing is lost, the next sync goes on."),
            Self::TimedOut { .. } => ("timed_out", Retry, "The line or the server is slow; sync again, it goes on where it was."),
            Self::CutOff { .. } => ("cut_off", Retry, "The line broke; sync again, it goes on where it was."),
            Self::ServerTrouble { .. } => ("server_trouble", Retry, "The server or a proxy before it has trouble; try again later, and tell its keeper if it stays."),
            Self::IntegrationInProgress { .. } => ("integration_in_progress", Retry, "Sync again in a minute; if it stays for an hour, the central server's keeper must look."),
            Self::IntegrationTimeout { .. } => ("integration_timeout", Retry, "The records are safe on the server; sync again later."),
            Self::InitialisationInProgress => ("initialisation_in_progress", Retry, "Sync again in some minutes; it goes on waiting, and nothing has to be asked for again."),
            Self::SiteAuthTimeout => ("site_auth_timeout", Retry, "Sync again in a few minutes."),
            Self::CentralCannotReachLegacy => ("central_cannot_reach_legacy", Retry, "The fault is between the two servers; tell the central server's keeper if it stays."),

            Self::NotSetUp => ("not_set_up", Configure, "Run `oms-sync init` with the legacy server's address and the site's name."),
            Self::InvalidUrl { .. } => ("invalid_url", Configure, "Give an address like https://server.example.org:2048, without user name or password in it."),
            Self::UnknownSite { .. } => ("site_name_not_found", Configure, "Check the site name, and that the site exists on the server; capital letters count."),
            Self::WrongPassword { .. } => ("incorrect_password", Configure, "Run `oms-sync init` again with the password that the server has for this site."),
            Self::HardwareIdMismatch { .. } => ("hardware_id_mismatch", Configure, "If this machine replaces the old one, ask the server's keeper to reset the site's hardware id."),
            Self::SiteHasNoStore { .. } => ("site_has_no_store", Configure, "Ask the server's keeper to make a store active on this site."),
            Self::CentralUrlMissing => ("central_url_missing", Configure, "Ask the legacy server's keeper to enter the address of the Open mSupply central server."),
            Self::NotCentral { .. } => ("not_a_central_server", Configure, "Check the central server's address on the legacy server; a central that just started needs its first contact with the legacy server."),
            Self::NotAServer { .. } => ("not_an_msupply_server", Configure, "Check address and port; a proxy or a log-in page of the network may stand in between."),
            Self::CertificateRefused { .. } => ("certificate_refused", Configure, "Check the address and this machine's clock; a private certificate authority must be installed on this machine."),
            Self::OtherSite { .. } => ("other_site", Configure, "Use the credentials of this site, or a new database for the other one; nothing was changed."),
            Self::WrongRole { .. } => ("wrong_role", Configure, "Use the database of the right server."),

            Self::VersionMismatch { .. } => ("v6_version_incompatible", Upgrade, "Upgrade whichever end is older."),
            Self::LegacyVersionMismatch { .. } => ("api_version_incompatible", Upgrade, "Upgrade the legacy server, or this program."),
            Self::CentralTooOld { .. } => ("central_too_old", Upgrade, "Upgrade the central server; until then the ordinary sync brings the same, later."),
            Self::DatabaseTooNew { .. } => ("database_too_new", Upgrade, "Upgrade this program; the database is untouched."),

            Self::UnreadableAnswer { .. } => ("unreadable_answer", PeerFault, "Nothing was taken from this answer; send the message to the server's keeper."),
            Self::Refused { .. } => ("refused", PeerFault, "Send the message to the server's keeper."),
            Self::PeerError { .. } => ("peer_error", PeerFault, "Send the message to the server's keeper."),
            Self::NoProgress { .. } => ("no_progress", PeerFault, "Nothing is lost; the server's keeper must look at its changelog."),
            Self::QueueNotMoving => ("queue_not_moving", PeerFault, "Nothing is lost, every record of it is here; the server's keeper must look at this site's queue."),
            Self::CursorWentBack { .. } => ("cursor_went_back", PeerFault, "The server was restored from a backup or replaced; ask its keeper before syncing on."),
            Self::PartlyAccepted { .. } => ("partly_accepted", PeerFault, "Nothing is lost, the records are sent again; tell the server's keeper."),
            Self::RecordTooLarge { .. } => ("record_too_large", Input, "Make the record smaller; it stays here and blocks no other record."),

            Self::DatabaseBusy { .. } => ("database_busy", LocalFault, "Close the other program, or try again when it is done."),
            Self::DatabaseReadOnly { .. } => ("database_read_only", LocalFault, "Give this user the right to write the file and its folder."),
            Self::NotADatabase { .. } => ("not_a_database", LocalFault, "Check the path; give the database of a site, or a new file name."),
            Self::DiskFull { .. } => ("disk_full", LocalFault, "Free some space; nothing is lost, the next sync goes on."),
            Self::Database { .. } => ("database_failed", LocalFault, "See the causes; check the disk, and restore a backup if the file is damaged."),
            Self::Io { .. } => ("io_failed", LocalFault, "See the causes; check the path, its rights and the disk."),
            Self::DamagedState { .. } => ("damaged_state", LocalFault, "The database was changed by something else; restore a backup."),

            Self::NotAllowed(refusal) => (refusal.code(), Input, refusal.advice()),
            Self::InvalidRecord { .. } => ("invalid_record", Input, "Correct the field; nothing was written."),
            Self::UnknownTable { .. } => ("unknown_table", Input, "See `oms-sync records types` for the names; capital letters count."),
            Self::NotFound { .. } => ("not_found", Input, "Check the id; capital letters count."),
            Self::FileTooLarge { .. } => ("file_too_large", Input, "Make the file smaller, as by a smaller picture; nothing was written."),
            Self::BadInput { .. } => ("bad_input", Input, "Correct the input; nothing was written."),
            Self::UnknownSiteId { .. } => ("unknown_site", Input, "See `oms-sync site list` for the sites."),

            Self::CycleRunning { .. } => ("cycle_running", Busy, "Wait until it is done; a cycle that was killed does not block."),
            Self::Cancelled => ("cancelled", Cancelled, "Sync again to go on where it was."),
        }
    }
}

/// An answer of the other end as a short excerpt for messages: one line, of printable characters, without anything
/// that looks like a credential.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    // Hashes and keys are long runs of hex digits; ids with 32 of them are not secret, but nobody misses them either.
    let mut shown = String::new();
    let mut run = String::new();
    for c in line.chars().chain(std::iter::once(' ')) {
        if c.is_ascii_hexdigit() {
            run.push(c);
            continue;
        }
        shown.push_str(if run.len() >= 32 { "…" } else { &run });
        run.clear();
        shown.push(c);
    }
    shown.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_hold_no_hash() {
        let hash = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";
        let shown = excerpt(format!("<html>\n<b>x</b> {hash} {}", "word ".repeat(100)).as_bytes());
        assert!(shown.starts_with("<html> <b>x</b> … word"), "{shown}");
        assert!(shown.len() < 140);
        assert_eq!(excerpt(&[0xff, 0xfe, b'a']), "\u{fffd}\u{fffd}a");
        assert_eq!(excerpt(b""), "");
    }
}
