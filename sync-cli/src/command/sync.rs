//! `sync`: one cycle.

use serde::Serialize;
use sync_core::storage::{Storage as _, key};
use sync_core::{Error, FilesOptions, FilesReport, Outcome, Role, SyncOptions, SyncReport};

use super::files;
use super::layout::wrapped;
use crate::args::{Args, Sync};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::progress::{Progress, end_on_signals};
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Sync, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    if parts.role()? == Some(Role::Central) && parts.storage.read()?.state(key::LEGACY_URL)?.is_none() {
        return Err(Error::WrongRole { needed: "remote site", found: "central server without a legacy server" }.into());
    }
    end_on_signals();
    let with_files = options.with_files;
    let options = SyncOptions {
        push_only: options.push_only,
        pull_only: options.pull_only,
        max_time: options.max_time,
        max_bytes: options.max_bytes,
    };
    let report = {
        let mut progress = Progress::new(out);
        parts.site().sync(&options, &mut progress)?
    };
    // Not where it was stopped, or where the limits are reached already.
    let goes_on = !matches!(report.outcome, Outcome::Cancelled | Outcome::Partial);
    let options = FilesOptions { max_time: options.max_time, max_bytes: options.max_bytes };
    let moved = match with_files && goes_on {
        // What the cycle did is told in any case.
        true => Some(files::move_files(&parts, &options, out).unwrap_or_else(FilesReport::from)),
        false => None,
    };
    if out.json {
        out.document(&Document { report: &report, files: moved.as_ref() })?;
    } else {
        show(&report, out)?;
        moved.iter().try_for_each(|moved| files::show(moved, out))?;
    }
    match (ended(&report, out)?, moved) {
        (Ended::Done, Some(moved)) => files::ended(&moved, out),
        (ended, _) => Ok(ended),
    }
}

/// How a cycle ended; an error is told where the report, as a document, has not told it.
pub(super) fn ended(report: &SyncReport, out: &Output) -> Result<Ended, Failure> {
    let Some(error) = &report.error else {
        return Ok(if report.outcome == Outcome::LeftBehind { Ended::LeftBehind } else { Ended::Done });
    };
    if !out.json {
        out.error(error)?;
    }
    Ok(Ended::Reported(error.class()))
}

/// The report of a cycle, and of the files where they were moved too.
#[derive(Serialize)]
struct Document<'r> {
    #[serde(flatten)]
    report: &'r SyncReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'r FilesReport>,
}

pub(super) fn show(report: &SyncReport, out: &Output) -> Result<(), Failure> {
    let SyncReport { pushed, pulled, integrated, requests, .. } = report;
    let sent = bytes(report.bytes_sent);
    let received = bytes(report.bytes_received);
    let text = format!(
        "{}: pushed {pushed}, pulled {pulled}, integrated {integrated} ({requests} requests, {sent} up, {received} down)",
        match report.outcome {
            Outcome::Done => "done",
            Outcome::LeftBehind => "done, but some records were left behind",
            Outcome::Partial => "ended at the given limit; the next sync goes on",
            Outcome::Failed => "not completed; what was done stays",
            _ => "stopped; what was done stays",
        }
    );
    wrapped(out, "", &text)?;
    if report.kept_local > 0 {
        out.line(&format!("{} edits made here were kept; they go out with the next sync", report.kept_local))?;
    }
    if report.quarantined + report.refused > 0 {
        let (set_aside, refused) = (report.quarantined, report.refused);
        out.line(&format!("set aside: {set_aside}, refused: {refused}; see oms-sync quarantine list"))?;
    }
    Ok(())
}
