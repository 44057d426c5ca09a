//! `sync`: one cycle.

use std::time::Instant;

use serde::Serialize;
use sync_core::central::SiteList;
use sync_core::site::{FilesOptions, FilesReport};
use sync_core::support::OtherCopy;
use sync_core::{Error, ErrorClass, SyncOptions, SyncOutcome, SyncReport};

use super::files;
use super::layout::say;
use crate::args::{Args, Limit, Sync};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::progress::Progress;
use crate::sentences::{common, status_shown, sync_shown as shown};
use crate::signals::end_on_signals;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Sync, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    if workspace.replica.site_list()? == Some(SiteList::Local) {
        return Err(Error::WrongRole { needed: "remote site", found: "central server without a legacy server" }.into());
    }
    end_on_signals();
    let with_files = options.with_files;
    let (max_time, max_bytes) = (Limit::of(options.max_time), Limit::of(options.max_bytes));
    let options = {
        let mut asked = SyncOptions::default();
        (asked.push_only, asked.pull_only) = (options.push_only, options.pull_only);
        (asked.max_time, asked.max_bytes) = (max_time, max_bytes);
        asked
    };
    let began = Instant::now();
    let report = {
        let mut progress = Progress::new(out);
        out.in_words(workspace.site().sync(&options, &mut progress)?)
    };
    // Not after a stop, or once the limits are reached.
    let goes_on = !matches!(report.outcome, SyncOutcome::Cancelled | SyncOutcome::Partial);
    // The rest of the cycle's time.
    let max_time = options.max_time.map(|max| max.saturating_sub(began.elapsed()));
    let mut of_files = FilesOptions::default();
    (of_files.max_time, of_files.max_bytes) = (max_time, options.max_bytes);
    let moved = match with_files && goes_on {
        // The cycle's result is printed in any case.
        true => Some(files::move_files(&workspace, &of_files, out).unwrap_or_else(FilesReport::from)),
        false => None,
    };
    if out.json {
        out.report(&SyncDocument { report: &report, files: moved.as_ref() }, report.error.as_ref())?;
    } else {
        show(&report, out)?;
        moved.iter().try_for_each(|moved| files::show(moved, out))?;
        // The cycle that learns of another copy warns of it, and is easily missed. One that is refused itself ends with an error.
        if let Some(copy @ OtherCopy::Refused { .. }) = workspace.replica.other_copy()? {
            out.hint_said(&common::warning(status_shown::other_copy(copy.says(), copy.advice())));
        }
        // New quarantined records were reported; older ones are easily forgotten.
        if report.quarantined + report.refused == 0 {
            let counts = workspace.support().quarantine_counts()?;
            let counted = counts.iter().filter(|(cause, _)| !cause.is_settled());
            match counted.map(|(_, records)| records).sum::<u64>() {
                0 => {}
                earlier => out.hint_said(&shown::in_quarantine(earlier)),
            }
        }
    }
    match (ended(&report, out)?, moved) {
        (CommandOutcome::Done, Some(moved)) => files::ended(&moved, out),
        (ended, _) => Ok(ended),
    }
}

/// The outcome of a cycle; an error is printed unless the JSON report has it.
pub(super) fn ended(report: &SyncReport, out: &Output) -> Result<CommandOutcome, Failure> {
    let Some(error) = &report.error else {
        return Ok(if report.outcome == SyncOutcome::LeftBehind {
            CommandOutcome::LeftBehind
        } else {
            CommandOutcome::Done
        });
    };
    if !out.json {
        out.error(error)?;
        // A pause is not a fault, so there is no cause to find.
        let is_paused = matches!(error, Error::SyncPaused { .. });
        if !is_paused && matches!(error.class(), ErrorClass::Retry | ErrorClass::Configure | ErrorClass::PeerFault) {
            out.hint_said(&shown::find_cause());
        }
    }
    Ok(CommandOutcome::Reported(error.class()))
}

/// The report of a cycle, and of the files if they were moved too.
#[derive(Serialize)]
struct SyncDocument<'r> {
    #[serde(flatten)]
    report: &'r SyncReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'r FilesReport>,
}

/// The most records with a conflict that are named; `--json` names more.
const CONFLICTS_SHOWN: usize = 10;

pub(super) fn show(report: &SyncReport, out: &Output) -> Result<(), Failure> {
    let SyncReport { pushed, pulled, integrated, requests, .. } = report;
    let (sent, received) = (bytes(report.bytes_sent), bytes(report.bytes_received));
    let outcome = match report.outcome {
        SyncOutcome::Done => shown::done(),
        SyncOutcome::LeftBehind if report.quarantined + report.refused == 0 => shown::still_behind(),
        SyncOutcome::LeftBehind => shown::left_behind(),
        SyncOutcome::Partial => shown::partial(),
        SyncOutcome::Failed => shown::failed(),
        _ => shown::stopped(),
    };
    say(out, "", &shown::told(outcome, *pushed, *pulled, *integrated, *requests, sent, received))?;
    if report.kept_local > 0 {
        say(out, "", &shown::kept_local(report.kept_local))?;
        for conflict in report.conflicts.iter().take(CONFLICTS_SHOWN) {
            let (table, id) = (conflict.table.as_str(), conflict.id.as_str());
            say(
                out,
                "  ",
                &match conflict.differs.is_empty() {
                    true => shown::conflict(table, id, conflict.from),
                    false => shown::conflict_in(table, id, conflict.from, conflict.differs.join(", ")),
                },
            )?;
        }
    }
    if report.quarantined + report.refused > 0 {
        say(out, "", &shown::set_aside(report.quarantined, report.refused))?;
    }
    Ok(())
}
