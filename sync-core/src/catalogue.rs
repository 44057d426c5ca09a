//! The catalogue of errors: a sample of each, and what lies behind it. `docs/errors.md` and `oms-sync errors` are made
//! of it.

use crate::error::{Cause, Error, ErrorClass, Server};
use crate::ownership::Refusal;
use crate::record::{FieldError, SiteId};
use crate::texts::template;

/// What there is to know of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// The stable code.
    pub code: &'static str,
    /// Who must act.
    pub class: ErrorClass,
    /// What is said; names, addresses and numbers are examples.
    pub message: String,
    /// The same with `{name}` where a name, an address or a number stands: what a translation is made of.
    pub template: String,
    /// What usually lies behind it.
    pub cause: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// Open mSupply's own code for the same, as its sync log has it.
    pub upstream: Option<&'static str>,
}

impl ErrorClass {
    /// Who must act on errors of this class, as a sentence.
    pub fn who_must_act(self) -> &'static str {
        match self {
            Self::Retry => "Nobody: trying again later may work.",
            Self::Configure => "Whoever set this site up: an address, a password or a role is wrong.",
            Self::Upgrade => "Whoever installs versions: one end is too old for the other.",
            Self::PeerFault => "Whoever keeps the other end: it broke the protocol.",
            Self::LocalFault => "Whoever keeps this machine: disk or database.",
            Self::Input => "Whoever called: the input is wrong or not allowed.",
            Self::Busy => "Nobody: another cycle is at work on this database.",
            Self::Cancelled => "Nobody: it was stopped on request.",
        }
    }
}

/// Every error, in the order of the declaration, and after them what [`diagnose`](crate::Site::diagnose) finds that no error
/// stands for.
pub fn catalogue() -> Vec<CatalogueEntry> {
    let entry = |error: &Error| {
        let code = error.code();
        let known = CAUSES.iter().find(|(of, _)| *of == code);
        let upstream = UPSTREAM.iter().find(|(ours, _)| *ours == code).map(|(_, theirs)| *theirs);
        CatalogueEntry {
            code,
            class: error.class(),
            message: error.to_string(),
            template: template(error),
            cause: known.map_or("", |(_, cause)| cause),
            advice: error.advice(),
            upstream,
        }
    };
    let finding = |&(code, class, message, cause, advice): &Finding| CatalogueEntry {
        code,
        class,
        message: message.to_owned(),
        template: message.to_owned(),
        cause,
        advice,
        upstream: None,
    };
    samples().iter().map(entry).chain(FINDINGS.iter().map(finding)).collect()
}

/// Code, class, what is found, what usually lies behind it, what to do.
type Finding = (&'static str, ErrorClass, &'static str, &'static str, &'static str);

#[rustfmt::skip] // one row a code
const FINDINGS: &[Finding] = &[
    ("database_older", ErrorClass::Upgrade, "doctor: the database is of an older version of this program", "The program was replaced by a newer one, and has not used the database since.", "Run oms-sync status: it brings the database up to date, and older programs then refuse it."),
    ("wrong_scheme", ErrorClass::Configure, "doctor: an address begins with http:// where https:// is spoken, or the other way round", "An address was typed from memory, or the server was moved to TLS since.", "Correct the address where it was entered: here by oms-sync init, central's at the legacy server."),
    ("address_unusable", ErrorClass::Configure, "doctor: an address that is stored here cannot be used", "The address is not whole, or was written into the database by hand.", "Run oms-sync init again with the right address; central's comes from the legacy server."),
    ("program_older", ErrorClass::Upgrade, "doctor: a newer version of this program has used the database", "Two versions are installed, or the newer one was replaced by the older.", "Use the newer version; what the older one does not know it sets aside."),
    ("other_site_id", ErrorClass::Configure, "doctor: the legacy server gives this site another number", "The site was made anew on the legacy server, or its list was put back from a backup.", "Run oms-sync discover, and ask the legacy server's keeper what was changed."),
    ("other_role", ErrorClass::Configure, "doctor: the legacy server gives this site another role", "The site was made the central server on the legacy server, or is no longer.", "Run oms-sync discover, and ask the legacy server's keeper what was changed."),
    ("other_legacy_site_id", ErrorClass::Configure, "doctor: the legacy server gives itself another number", "The legacy server was replaced by another one.", "Run oms-sync discover, and ask the legacy server's keeper what was changed."),
    ("other_central_url", ErrorClass::Configure, "doctor: the legacy server names another central server", "Central has moved, or somebody typed another address on the legacy server.", "If central has moved, the next sync takes the new address over; otherwise have the old one put back before anybody syncs."),
    ("central_url_unusual", ErrorClass::Configure, "doctor: the address of central is not one that sites far away can reach", "The legacy server has localhost or the address of one room.", "Ask the legacy server's keeper to correct central's address there."),
    ("own_url_unusable", ErrorClass::Configure, "doctor: the address that sites are told of this central server leads nowhere", "The legacy server has localhost, an address of one room or no address of this server.", "Enter the address under which sites reach this server on the legacy server."),
    ("clock_wrong", ErrorClass::LocalFault, "doctor: the clocks of this machine and of a server differ", "An empty battery in the machine's clock, a wrong time zone, or a day entered by hand.", "Set date, time and time zone; records written meanwhile bear the wrong time."),
    ("store_not_in_dispensary_mode", ErrorClass::Configure, "doctor: a store of this central server is not in dispensary mode", "The store was made on the legacy server with its ordinary mode.", "Ask the legacy server's keeper to set the store to dispensary mode; the next sync brings it."),
    ("records_set_aside", ErrorClass::Input, "doctor: records are set aside", "A record that they need is not here, a rule forbids them, or they are of a later release.", "See oms-sync quarantine list for what each waits for or breaks; nothing of them is lost."),
    ("files_stuck", ErrorClass::Input, "doctor: files do not get through", "A server refuses them, they are not on the disk any more, or the line ends before they do.", "See oms-sync files list for all of them; they are tried again, and block nothing."),
];

/// The codes of Open mSupply's sync log that mean the same.
const UPSTREAM: &[(&str, &str)] = &[
    ("unreachable", "CONNECTION_ERROR"),
    ("site_name_not_found", "SITE_NAME_NOT_FOUND"),
    ("incorrect_password", "INCORRECT_PASSWORD"),
    ("hardware_id_mismatch", "HARDWARE_ID_MISMATCH"),
    ("site_has_no_store", "SITE_HAS_NO_STORE"),
    ("site_auth_timeout", "SITE_AUTH_TIMEOUT"),
    ("api_version_incompatible", "API_VERSION_INCOMPATIBLE"),
    ("v6_version_incompatible", "V6_API_VERSION_INCOMPATIBLE"),
    ("central_url_missing", "CENTRAL_V6_NOT_CONFIGURED"),
    ("integration_timeout", "INTEGRATION_TIMEOUT_REACHED"),
    ("database_failed", "INTEGRATION_ERROR"),
    ("other_site", "SITE_UUID_IS_BEING_CHANGED"),
    ("invalid_url", "INVALID_URL"),
];

#[rustfmt::skip] // one row a code
const CAUSES: &[(&str, &str)] = &[
    ("unreachable", "No network, a wrong address or port, a server that is off, or a firewall in between."),
    ("timed_out", "A slow or very lossy line, or a server with too much to do."),
    ("cut_off", "The connection broke while an answer came: a weak signal, a proxy with a limit, a server that restarted."),
    ("server_trouble", "The server, or a proxy before it, answers with an error of its own: it restarts, or has no room."),
    ("integration_in_progress", "An earlier push of this site is not digested yet; central takes one at a time of each site."),
    ("integration_timeout", "Central has much to integrate, or is stuck with it."),
    ("initialisation_in_progress", "A first sync asks the legacy server for everything of this site, which may take it half an hour."),
    ("site_auth_timeout", "The legacy server is too busy to look up the site."),
    ("central_cannot_reach_legacy", "Central asks the legacy server about each site that comes, and got no answer."),

    ("not_set_up", "This database is new, or the path given with --db is another one."),
    ("invalid_url", "The scheme (https://) is missing, or there is a blank or a name and password in the address."),
    ("site_name_not_found", "The name is spelled otherwise there, or the address is that of another server."),
    ("incorrect_password", "The password was typed wrongly, or was changed on the server since."),
    ("hardware_id_mismatch", "A legacy server lets one machine in as a site: this one is new, was reinstalled, or its database was copied."),
    ("site_has_no_store", "No store is active on this site."),
    ("central_url_missing", "Nobody has entered the Open mSupply central server's address on the legacy server."),
    ("not_a_central_server", "The address leads to a remote site, or to a central server that has not yet asked the legacy server who it is."),
    ("not_an_msupply_server", "A proxy, a log-in page of the network, or another program answers at this address and port."),
    ("certificate_refused", "The certificate is expired, for another name, or of an authority that this machine does not trust; or the clock of this machine is wrong."),
    ("other_site", "The credentials of another site were entered; one database stays one site for ever."),
    ("wrong_role", "The command is for the other kind of server."),

    ("v6_version_incompatible", "Central is older or newer than what this program speaks."),
    ("api_version_incompatible", "The legacy server is older than what this program speaks."),
    ("central_too_old", "The command uses a part of the protocol that came with a later release of Open mSupply."),
    ("database_too_new", "A newer version of this program has used the database."),

    ("unreadable_answer", "The server sent something that is not of this protocol, or only a part of it."),
    ("refused", "The server does not accept the request, for a reason of its own."),
    ("peer_error", "Something failed within the server; its own log says more."),
    ("no_progress", "The server's changelog is damaged, or its software has a fault."),
    ("queue_not_moving", "Acknowledgements do not reach the legacy server, or it does not keep them."),
    ("cursor_went_back", "The server was put back from a backup, or another one stands at its address."),
    ("partly_accepted", "The server took less than was sent without saying why."),
    ("record_too_large", "A single record, a report with pictures for example, is larger than what central takes."),

    ("database_busy", "Another program has the database open and writes to it."),
    ("database_read_only", "The file, its folder or the disk may not be written by this user."),
    ("not_a_database", "The path leads to another kind of file, or to the database of another program."),
    ("disk_full", "No space is left on the disk of the database, or of temporary files."),
    ("database_failed", "The disk fails, or the file is damaged, by a power cut on a bad disk for example."),
    ("io_failed", "A file or folder is missing, is not allowed, or the disk fails."),
    ("damaged_state", "Something that is no part of this program has written to the database."),

    ("invalid_record", "A field is missing, or holds another kind of value than the type of the record has."),
    ("unknown_table", "The name is misspelled, or this version does not know the type."),
    ("not_found", "The id is misspelled, or the record is not on this site."),
    ("file_too_large", "A photo or a film as a telephone takes them; central would refuse it."),
    ("bad_input", "The input, a file or an option is not what the command takes."),
    ("unknown_site", "The site was removed, or never added."),
    ("only_allowed_on_central", "Records of this type are configured on the Open mSupply central server alone."),
    ("store_not_active_here", "Another site keeps this store."),
    ("owned_by_remote_site", "The record belongs to a store on a remote site."),
    ("only_allowed_on_legacy", "Records of this type are kept in mSupply."),
    ("not_deletable", "Other records rest on records of this type."),
    ("removed_type", "The type was given up by Open mSupply."),
    ("not_pulled", "Central sent a record of a type that goes only to it."),

    ("cycle_running", "Another process runs a cycle on this database."),
    ("cancelled", "Somebody stopped it: a signal, or the program that embeds this."),
];

fn refusals() -> Vec<Refusal> {
    let table = |name: &str| name.to_owned();
    vec![
        Refusal::OnlyAllowedOnCentral { table: table("asset_class") },
        Refusal::StoreNotActiveHere { table: table("asset") },
        Refusal::OwnedByRemoteSite { table: table("rnr_form") },
        Refusal::OnlyAllowedOnLegacy { table: table("name") },
        Refusal::NotDeletable { table: table("asset_log") },
        Refusal::Removed { table: table("pack_variant"), release: "2.4.0" },
        Refusal::NotPulled { table: table("system_log") },
    ]
}

pub(crate) fn samples() -> Vec<Error> {
    let cause = || -> Cause { "the cause".into() };
    let (legacy, central) = (Server::Legacy, Server::Central);
    let legacy_url = || "https://mysupply.example.org:2048".to_owned();
    let url = || "https://central.example.org".to_owned();
    let site = || "clinic".to_owned();
    let mut all = vec![
        Error::Unreachable { server: central, url: url(), source: cause() },
        Error::TimedOut { server: central, url: url(), source: None },
        Error::CutOff { server: central, url: url(), source: cause() },
        Error::ServerTrouble { server: central, url: url(), status: 502 },
        Error::IntegrationInProgress { server: central },
        Error::IntegrationTimeout { server: central },
        Error::InitialisationInProgress,
        Error::SiteAuthTimeout,
        Error::CentralCannotReachLegacy,
        Error::NotSetUp,
        Error::InvalidUrl { what: "the legacy server's address", url: site(), reason: "no scheme".to_owned() },
        Error::UnknownSite { server: legacy, site: site() },
        Error::WrongPassword { site: site() },
        Error::HardwareIdMismatch { site: site() },
        Error::SiteHasNoStore { site: site() },
        Error::CentralUrlMissing,
        Error::NotCentral { url: url() },
        Error::NotAServer { server: legacy, url: legacy_url(), found: "a web page".to_owned() },
        Error::CertificateRefused { server: central, url: url(), source: cause() },
        Error::OtherSite { ours: "\"clinic\"".to_owned(), theirs: "\"warehouse\"".to_owned() },
        Error::WrongRole { needed: "central server", found: "remote site" },
        Error::VersionMismatch { server: central, min: 0, max: 4, sent: 5 },
        Error::LegacyVersionMismatch { sent: 14 },
        Error::CentralTooOld { needs: "2.7.0" },
        Error::DatabaseTooNew { found: 2, known: 1 },
        Error::UnreadableAnswer { server: central, url: url(), detail: "it is empty".to_owned() },
        Error::Refused { server: central, status: 400, detail: "a text".to_owned() },
        Error::PeerError { server: central, detail: "a text".to_owned() },
        Error::NoProgress { server: central, cursor: 1000 },
        Error::QueueNotMoving,
        Error::CursorWentBack { server: central, ours: 1000, theirs: 20 },
        Error::PartlyAccepted { server: central, sent: 100, accepted: 99 },
        Error::RecordTooLarge { server: central, table: "asset".into(), id: "a1".into(), bytes: 9_000_000 },
        Error::DatabaseBusy { source: cause() },
        Error::DatabaseReadOnly { source: cause() },
        Error::NotADatabase { path: "letter.txt".to_owned(), source: None },
        Error::DiskFull { source: cause() },
        Error::Database { source: cause() },
        Error::Io { what: "compressing a request".to_owned(), source: cause() },
        Error::DamagedState { what: "pull_cursor_v6".to_owned() },
        Error::InvalidRecord { table: "asset".into(), id: "a1".into(), source: Box::new(field_error()) },
        Error::UnknownTable { table: "asset_clas".to_owned() },
        Error::NotFound { what: "asset".to_owned(), id: "a1".to_owned() },
        Error::FileTooLarge { bytes: 60_000_000, max: 52_412_416 },
        Error::BadInput { detail: "there is no record in the input".to_owned() },
        Error::CycleRunning { holder: Some(4711) },
        Error::Cancelled,
        Error::UnknownSiteId { site: SiteId(7) },
    ];
    all.extend(refusals().into_iter().map(Error::NotAllowed));
    all
}

fn field_error() -> FieldError {
    let found = "a number".into();
    FieldError { path: "$.notes".to_owned(), expected: "text".into(), found, unsupported: false }
}
