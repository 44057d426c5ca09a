//! The catalogue of errors: a sample of each, and what lies behind it. `docs/errors.md` and `oms-sync errors` are made
//! of it.

use crate::error::{Cause, Error, ErrorClass, Server};
use crate::ownership::Refusal;
use crate::record::{FieldError, SiteId};
use crate::text::errors;
use crate::text::sentences::error_detail;

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
    pub template: &'static str,
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
            Self::Input => "Whoever gave the command: the input is wrong or not allowed.",
            Self::Busy => "Nobody: another cycle is at work on this database.",
            Self::Cancelled => "Nobody: it was stopped on request.",
        }
    }
}

/// Every error, in the order of the declaration, and after them what [`diagnose`](crate::Site::diagnose) finds that no error
/// stands for.
pub fn catalogue() -> Vec<CatalogueEntry> {
    let entry = |code, class, message: Option<String>| {
        let text = errors::of(code);
        CatalogueEntry {
            code,
            class,
            message: message.unwrap_or_else(|| text.message.to_owned()),
            template: text.message,
            cause: text.cause,
            advice: text.advice,
            upstream: UPSTREAM.iter().find(|(ours, _)| *ours == code).map(|(_, theirs)| *theirs),
        }
    };
    let of_errors = samples().into_iter().map(|error| entry(error.code(), error.class(), Some(error.to_string())));
    of_errors.chain(FINDINGS.iter().map(|&(code, class)| entry(code, class, None))).collect()
}

/// What only `doctor` finds: code and class.
const FINDINGS: &[(&str, ErrorClass)] = &[
    ("database_older", ErrorClass::Upgrade),
    ("wrong_scheme", ErrorClass::Configure),
    ("address_unusable", ErrorClass::Configure),
    ("program_older", ErrorClass::Upgrade),
    ("other_site_id", ErrorClass::Configure),
    ("other_role", ErrorClass::Configure),
    ("other_legacy_site_id", ErrorClass::Configure),
    ("other_central_url", ErrorClass::Configure),
    ("central_url_unusual", ErrorClass::Configure),
    ("own_url_unusable", ErrorClass::Configure),
    ("clock_wrong", ErrorClass::LocalFault),
    ("changelog_nears_its_end", ErrorClass::Configure),
    ("store_not_in_dispensary_mode", ErrorClass::Configure),
    ("stores_lost", ErrorClass::LocalFault),
    ("records_set_aside", ErrorClass::Input),
    ("files_stuck", ErrorClass::Input),
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
        Refusal::WrittenElsewhere { table: table("sync_file_reference") },
    ]
}

pub(crate) fn samples() -> Vec<Error> {
    let cause = || -> Cause { "the cause".into() };
    let (legacy, central) = (Server::Legacy, Server::Central);
    let legacy_url = || "https://msupply.example.org:2048".to_owned();
    let url = || "https://central.example.org".to_owned();
    let site = || "clinic".to_owned();
    let mut all = vec![
        Error::Unreachable { server: central, url: url(), source: cause() },
        Error::TimedOut { server: central, url: url(), source: None },
        Error::CutOff { server: central, url: url(), source: cause() },
        Error::ServerTrouble { server: central, url: url(), status: 502, source: None },
        Error::IntegrationInProgress { server: central },
        Error::IntegrationTimeout { server: central },
        Error::InitialisationInProgress,
        Error::SiteAuthTimeout,
        Error::TooManyAttempts { server: legacy },
        Error::CentralCannotReachLegacy,
        Error::NotSetUp,
        Error::NoDatabase { path: "oms-sync.sqlite".to_owned() },
        Error::InvalidUrl { what: "the legacy server's address", url: site(), reason: "no scheme".into() },
        Error::UnknownSite { server: legacy, site: site() },
        Error::WrongPassword { site: site() },
        Error::HardwareIdMismatch { site: site() },
        Error::DatabaseCopied { site: site(), since: "2026-11-23T08:00:00.000Z".to_owned() },
        Error::NoMachineId { reason: "no such file".to_owned() },
        Error::SiteHasNoStore { site: site() },
        Error::CentralUrlMissing,
        Error::NotCentral { url: url() },
        Error::NotAServer { server: legacy, url: legacy_url(), found: error_detail::web_page().into() },
        Error::CertificateRefused { server: central, url: url(), source: cause() },
        Error::ProxyUnusable {
            variable: "https_proxy",
            url: "socks5://proxy.example.org".to_owned(),
            reason: error_detail::proxy_of_scheme("socks5").into(),
        },
        Error::OtherSite { ours: "\"clinic\"".to_owned(), theirs: "\"warehouse\"".to_owned() },
        Error::WrongRole { needed: "central server", found: "remote site" },
        Error::LegacyKeepsSites,
        Error::VersionMismatch { server: central, min: 0, max: 4, sent: 5 },
        Error::LegacyVersionMismatch { sent: 14 },
        Error::CentralTooOld { needs: "2.7.0" },
        Error::DatabaseTooNew { found: 2, known: 1 },
        Error::UnreadableAnswer { server: central, url: url(), detail: error_detail::empty().into() },
        Error::AnswerTooLarge { server: central, url: url(), bytes: 268_435_456 },
        Error::Refused { server: central, status: 400, detail: "a text".into() },
        Error::PeerError { server: central, detail: "a text".into() },
        Error::NoProgress { server: central, cursor: 1000 },
        Error::QueueNotMoving,
        Error::CursorWentBack { server: central, ours: 1000, theirs: 20 },
        Error::PartlyAccepted { server: central, sent: 100, accepted: 99 },
        Error::RecordTooLarge { server: central, table: "asset".into(), id: "a1".into(), bytes: 9_000_000 },
        Error::DatabaseBusy { source: cause() },
        Error::DatabaseReplaced { path: "site.sqlite".to_owned() },
        Error::DatabaseHardLinked { path: "site.sqlite".to_owned(), names: 2 },
        Error::DatabaseReadOnly { source: cause() },
        Error::NotADatabase { path: "letter.txt".to_owned(), source: None },
        Error::DiskFull { source: cause() },
        Error::Database { source: cause() },
        Error::Io { what: "compressing a request".to_owned(), source: cause() },
        Error::HostFailed { table: "asset".into(), id: "a1".into(), source: cause() },
        Error::DamagedState { what: "pull_cursor_v6".to_owned() },
        Error::InvalidRecord { table: "asset".into(), id: "a1".into(), source: Box::new(field_error()) },
        Error::UnknownTable { table: "asset_clas".to_owned() },
        Error::NotFound { what: "asset".to_owned(), id: "a1".to_owned() },
        Error::FileTooLarge { bytes: 60_000_000, max: 52_412_416 },
        Error::bad_input("there is no record in the input"),
        Error::CycleRunning { holder: Some(4711) },
        Error::Cancelled,
        Error::UnknownSiteId { site: SiteId(7) },
    ];
    all.extend(refusals().into_iter().map(|refusal| Error::NotAllowed { refusal, id: Some("a1".into()) }));
    all
}

fn field_error() -> FieldError {
    let found = "a number".into();
    FieldError { path: "$.notes".to_owned(), expected: "text".into(), found, unsupported: false }
}
