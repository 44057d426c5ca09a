//! The end of the last cycle: it says what failed where every other check is well by now.

use super::{Check, CheckOutcome, Party};
use crate::error::catalogue::catalogue;
use crate::error::{ErrorClass, Result};
use crate::storage::{LogEntry, LoggedError, Storage};
use crate::support::status::{last_cycle, last_success};
use crate::text::Message;
use crate::text::sentences::doctor as say;

/// The name of the check.
pub(crate) const NAME: &str = "last sync";

/// The failure of the last cycle, or that none ever succeeded.
pub(crate) fn last_sync(storage: &dyn Storage) -> Result<Check> {
    let txn = storage.read()?;
    let (last, success) = (last_cycle(txn.as_ref())?, last_success(txn.as_ref())?);
    let Some(last) = last else { return Ok(never()) };
    if let Some(error) = last.error.as_ref().filter(|error| error.class != ErrorClass::Cancelled.as_str()) {
        return Ok(failed(&last, error));
    }
    Ok(match success {
        Some(at) => Check::ok(NAME, say::last_sync_well(at)),
        None => never(),
    })
}

fn never() -> Check {
    let about = ("never_synced", ErrorClass::Retry, Party::Device);
    Check::found(NAME, CheckOutcome::Warning, say::never_synced(), about, Message::advice(about.0))
}

/// A failure that may pass by itself is a warning: the next cycle shows whether it has passed.
fn failed(last: &LogEntry, error: &LoggedError) -> Check {
    let known = catalogue().into_iter().find(|entry| entry.code == error.code);
    // An error of another version has no entry here.
    let (code, class) = known.map_or(("last_sync_failed", ErrorClass::PeerFault), |entry| (entry.code, entry.class));
    let outcome = match class {
        ErrorClass::Retry | ErrorClass::Busy => CheckOutcome::Warning,
        _ if is_checked(code) => CheckOutcome::Warning,
        _ => CheckOutcome::Fault,
    };
    let says = say::last_sync_failed(last.finished_at, &error.message);
    let advice = match outcome {
        CheckOutcome::Warning => say::sync_again(),
        _ => Message::advice(code),
    };
    let mut check = Check::found(NAME, outcome, says, (code, class, party(last, code, class)), advice);
    if let Some(finding) = &mut check.finding {
        finding.causes.clone_from(&error.causes);
    }
    check
}

/// True for a failure that a check of its own finds as long as it lasts: if that one is well, the failure has passed.
fn is_checked(code: &str) -> bool {
    matches!(
        code,
        // What answers at an address, and how.
        "not_an_msupply_server"
            | "not_a_central_server"
            | "speaks_v7_only"
            | "central_of_release_3"
            | "certificate_refused"
            | "unreadable_answer"
            // The sign-in.
            | "incorrect_password"
            | "site_name_not_found"
            | "hardware_id_mismatch"
            | "site_has_no_store"
            | "other_site"
            | "api_version_incompatible"
            | "v6_version_incompatible"
            | "cursor_went_back"
            // The settings of this site.
            | "central_url_missing"
            | "central_url_unconfirmed"
            | "invalid_url"
            | "https_required"
            | "proxy_unusable"
            | "no_machine_id"
            | "secret_missing"
            | "database_copied"
            // The file of the database.
            | "disk_full"
            | "database_read_only"
            | "database_unreadable"
    )
}

/// The party, as far as the log shows it: the step that failed says which server was asked.
fn party(last: &LogEntry, code: &str, class: ErrorClass) -> Party {
    match (code, class) {
        ("unreachable" | "timed_out" | "cut_off", _) => Party::Network,
        (
            "not_an_msupply_server"
            | "not_a_central_server"
            | "speaks_v7_only"
            | "central_of_release_3"
            | "site_name_not_found"
            | "hardware_id_mismatch"
            | "site_has_no_store"
            | "certificate_refused",
            _,
        ) => server(last),
        (_, ErrorClass::LocalFault | ErrorClass::Configure | ErrorClass::Busy) => Party::Device,
        (_, ErrorClass::Input) => Party::Record,
        _ => server(last),
    }
}

fn server(last: &LogEntry) -> Party {
    let steps = last.report["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failed = steps.iter().find(|step| !step["error"].is_null());
    match failed.and_then(|step| step["name"].as_str()) {
        Some("prepare" | "push" | "pull_central" | "pull_remote" | "link_patient") => Party::LegacyServer,
        _ => Party::CentralServer,
    }
}
