//! `doctor`: what is wrong, whose it is, and what to do. Nothing is changed.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sync_core::support::doctor::{Check, Diagnosis, Outcome, Party, examine_file};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{Site, SystemClock};

use super::layout::{WIDTH, folded, wrapped};
use crate::args::Args;
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{end_on_signals, interrupted};

/// Shorter than those of a sync: somebody waits for the answer.
pub(super) fn timeouts() -> Timeouts {
    let seconds = Duration::from_secs;
    Timeouts { connect: seconds(15), send: seconds(60), response: seconds(90), receive: seconds(60) }
}

pub(super) fn run(args: &Args, out: &Output) -> Result<Ended, Failure> {
    end_on_signals();
    let (checks, storage) = examine_file(&args.db, free_bytes(&args.db));
    let mut printed = Ok(());
    let mut each = |check: &Check| {
        if !out.json && printed.is_ok() {
            printed = show(check, out);
        }
        if interrupted() || printed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = match storage {
        Some(storage) => {
            let clock = Arc::new(SystemClock::new());
            let site = Site::new(Arc::new(storage), Arc::new(HttpTransport::new(&timeouts())), clock);
            site.diagnose(checks, &mut each)
        }
        None => {
            let found = Diagnosis::of_file(checks);
            // An end that was asked for comes too late to matter here.
            let _ = found.checks.iter().try_for_each(&mut each);
            Ok(found)
        }
    };
    printed?;
    let found = found?;
    if out.json {
        out.document(&found)?;
    } else {
        verdict(&found, out)?;
    }
    Ok(match (&found.finding, found.outcome) {
        (Some(finding), Outcome::Fault) => Ended::Reported(finding.class),
        _ if found.checks.iter().any(|check| check.name == "quarantine" && check.outcome == Outcome::Warning) => {
            Ended::LeftBehind
        }
        _ => Ended::Done,
    })
}

/// The space that is left where the database lies, or would lie.
fn free_bytes(db: &Path) -> Option<u64> {
    let folder = std::path::absolute(db).ok()?.parent()?.to_owned();
    fs4::available_space(folder).ok()
}

fn show(check: &Check, out: &Output) -> Result<(), Failure> {
    const BEFORE: usize = 34;
    let mut said = folded(&check.says, WIDTH - BEFORE);
    if let Some(finding) = &check.finding {
        said.extend(folded(&format!("[{}] {}", finding.code, finding.advice), WIDTH - BEFORE));
        if out.verbose() {
            let causes = finding.causes.iter().map(|cause| format!("caused by: {cause}"));
            said.extend(causes.flat_map(|cause| folded(&cause, WIDTH - BEFORE)));
        }
    }
    let outcome = match check.outcome {
        Outcome::Fault => "FAULT",
        other => other.as_str(),
    };
    let mut head = format!("{outcome:<11}  {:<19}  ", check.name);
    for line in said {
        out.line(format!("{head}{line}").trim_end())?;
        head = " ".repeat(BEFORE);
    }
    Ok(())
}

/// Who is at fault, and what to do.
fn verdict(found: &Diagnosis, out: &Output) -> Result<(), Failure> {
    let text = match (&found.finding, found.outcome) {
        (Some(finding), Outcome::Fault) => {
            format!("At fault: {}. {}. {}", found.party.as_str(), capital(&found.says), finding.advice)
        }
        (Some(finding), _) if found.party == Party::Record => {
            format!("At fault: {}. {}. {}", found.party.as_str(), capital(&found.says), finding.advice)
        }
        (Some(finding), _) => {
            let party = found.party.as_str();
            format!("At fault: nobody, but look at {party}. {}. {}", capital(&found.says), finding.advice)
        }
        (None, _) => format!("At fault: nobody. {}.", capital(&found.says)),
    };
    out.line("")?;
    wrapped(out, "", &text)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
