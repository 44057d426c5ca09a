//! The catalogue of errors: `docs/errors.md` is made of one sample of each.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use sync_core::ownership::Refusal;
use sync_core::record::{FieldError, SiteId};
use sync_core::{Cause, Error, ErrorClass, Server};

const HEAD: &str = "\
<!-- Generated from the errors themselves. Renew it: UPDATE_DOCS=1 cargo test -p sync-tests errors -->

# Errors

Every error by who must act. The code is stable; scripts may rely on it. `oms-sync` prints message and advice, the causes
with `-v`, and all of it with `--json`. Names, addresses and numbers in the messages are examples. No message holds a
password, a hash, a hardware id or what stands in a record.
";

/// Classes in the order of the page, with the exit status of each and who must act.
const CLASSES: &[(ErrorClass, u8, &str)] = &[
    (ErrorClass::Input, 2, "Whoever called: the input is wrong or not allowed."),
    (ErrorClass::Configure, 3, "Whoever set this site up: an address, a password or a role is wrong."),
    (ErrorClass::Retry, 4, "Nobody: trying again later may work."),
    (ErrorClass::PeerFault, 4, "Whoever keeps the other end: it broke the protocol."),
    (ErrorClass::Upgrade, 5, "Whoever installs versions: one end is too old for the other."),
    (ErrorClass::LocalFault, 6, "Whoever keeps this machine: disk or database."),
    (ErrorClass::Busy, 7, "Nobody: another cycle is at work on this database."),
    (ErrorClass::Cancelled, 130, "Nobody: it was stopped on request."),
];

fn cause() -> Cause {
    "the cause".into()
}

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

fn errors() -> Vec<Error> {
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

/// What stands between double quotes right after a mark, everywhere in a source.
fn quoted_after(source: &str, mark: &str) -> BTreeSet<String> {
    let after = source.split(mark).skip(1).filter_map(|rest| rest.strip_prefix('"'));
    after.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The codes as the sources have them: a sample that somebody forgets to add is found by this.
fn declared() -> BTreeSet<String> {
    let errors = include_str!("../sync-core/src/error.rs");
    let errors = errors.split("fn entry(").nth(1).expect("the catalogue");
    let refusals = include_str!("../sync-core/src/ownership.rs");
    let refusals = refusals.split("pub fn code(").nth(1).and_then(|rest| rest.split("pub fn").next()).expect("codes");
    &quoted_after(errors, "=> (") | &quoted_after(refusals, "=> ")
}

#[test]
fn every_error_has_a_sample_and_a_code_of_its_own() {
    let samples = errors();
    let codes: BTreeSet<String> = samples.iter().map(|error| error.code().to_owned()).collect();
    assert_eq!(codes.len(), samples.len(), "two errors share a code");
    assert!(codes.len() > 40, "the sources were not understood");
    assert_eq!(codes, declared());
}

#[test]
fn every_error_says_what_to_do() {
    for error in errors() {
        let (message, advice) = (error.to_string(), error.advice());
        assert!(!message.is_empty() && !message.ends_with('.'), "{message}");
        assert!(advice.ends_with('.') && advice.len() > 10, "{}: {advice}", error.code());
        assert!(error.code().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        assert!(CLASSES.iter().any(|(class, ..)| *class == error.class()), "{}", error.code());
    }
}

#[test]
fn the_page_of_errors_is_what_the_errors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p sync-tests errors");
}

fn page() -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut page = HEAD.to_owned();
    let all = errors();
    for (class, status, who) in CLASSES {
        let name = class.as_str();
        writeln!(page, "\n## {name}: exit status {status}\n\n{who}\n").expect("writing to a string");
        page.push_str("| code | message | advice |\n|---|---|---|\n");
        for error in all.iter().filter(|error| error.class() == *class) {
            let (code, advice) = (error.code(), cell(error.advice()));
            writeln!(page, "| `{code}` | {} | {advice} |", cell(&error.to_string())).expect("writing to a string");
        }
    }
    page
}
