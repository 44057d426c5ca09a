//! `doctor`: the fault of a site, the party that has to act, and what to do. Changes nothing.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sync_core::support::doctor::{Check, CheckOutcome, Diagnosis, Party};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{Error, Replica};

use super::layout::{WIDTH, folded, say};
use crate::args::{Args, Doctor};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::palette::Tone;
use crate::progress::{end_on_signals, interrupted, until_interrupted};
use crate::sentences::{common, doctor_verdict as verdicts};

/// The default wait for each answer: shorter than in a sync, because a person waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The time limits of an exchange.
pub(super) fn timeouts(patience: Duration) -> Timeouts {
    let connect = patience.min(Duration::from_secs(15));
    Timeouts { connect, send: patience, response: patience, receive: patience }
}

pub(super) fn run(args: &Args, options: &Doctor, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let mut shown = Shown { out, skipped: Vec::new(), printed: Ok(()) };
    let mut each = |check: &Check| {
        if !out.json {
            shown.add(check);
        }
        if interrupted() || shown.printed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = diagnosed(&args.db, Some(options.max_time), &mut each);
    shown.end()?;
    let found = out.in_words(found?);
    if out.json {
        out.document(&found)?;
    } else {
        verdict(&found, out)?;
    }
    Ok(match (&found.finding, found.outcome) {
        (Some(finding), CheckOutcome::Fault) => CommandOutcome::Reported(finding.class),
        _ if found.checks.iter().any(|check| check.name == "quarantine" && check.outcome == CheckOutcome::Warning) => {
            CommandOutcome::LeftBehind
        }
        _ => CommandOutcome::Done,
    })
}

/// All checks, or only those of this device; `each` receives one after the other.
pub(super) fn diagnosed(
    db: &Path,
    patience: Option<Duration>,
    each: &mut dyn FnMut(&Check) -> ControlFlow<()>,
) -> Result<Diagnosis, Error> {
    let (checks, replica) = Replica::examine(db, free_bytes(db));
    match (replica, patience) {
        (Some(replica), Some(patience)) => {
            let site = replica.site(Arc::new(HttpTransport::new(&timeouts(patience))));
            site.support().doctor(checks, each, &mut until_interrupted)
        }
        (opened, _) => {
            let found = Diagnosis::of_file(checks, opened.is_some());
            // A stop comes too late to matter here.
            let _ = found.checks.iter().try_for_each(each);
            Ok(found)
        }
    }
}

/// The free space for the database.
fn free_bytes(db: &Path) -> Option<u64> {
    let folder = std::path::absolute(db).ok()?.parent()?.to_owned();
    fs4::available_space(folder).ok()
}

/// Shows check by check; unchecked ones in a row with the same reason share one line.
struct Shown<'a> {
    out: &'a Output,
    skipped: Vec<Check>,
    printed: Result<(), Failure>,
}

impl Shown<'_> {
    fn add(&mut self, check: &Check) {
        if self.skipped.last().is_some_and(|last| check.outcome != CheckOutcome::NotChecked || last.says != check.says)
        {
            self.show_skipped();
        }
        match check.outcome {
            CheckOutcome::NotChecked => self.skipped.push(check.clone()),
            _ if self.printed.is_ok() => self.printed = show(check, self.out),
            _ => {}
        }
    }

    fn show_skipped(&mut self) {
        let skipped = std::mem::take(&mut self.skipped);
        if self.printed.is_err() {
            return;
        }
        let texts = &self.out.texts;
        self.printed = match &skipped[..] {
            [] => Ok(()),
            [check] => show(check, self.out),
            [first, .., last] => {
                let why =
                    verdicts::not_checked(self.out.name(first.name), self.out.name(last.name), first.says.clone());
                let count = texts.say(&verdicts::checks(skipped.len()));
                row(CheckOutcome::NotChecked, &count, vec![texts.say(&why)], self.out)
            }
        };
    }

    fn end(mut self) -> Result<(), Failure> {
        self.show_skipped();
        self.printed
    }
}

fn show(check: &Check, out: &Output) -> Result<(), Failure> {
    let check = out.in_words(check.clone());
    let mut said = vec![check.says.to_string()];
    if let Some(finding) = &check.finding {
        said.push(format!("[{}] {}", finding.code, finding.advice));
        if out.verbose() {
            said.extend(finding.causes.iter().map(|cause| out.texts.say(&common::caused_by(cause))));
        }
    }
    row(check.outcome, &out.name(check.name), said, out)
}

/// A line, or several, of the table of checks.
fn row(outcome: CheckOutcome, name: &str, said: Vec<String>, out: &Output) -> Result<(), Failure> {
    const BEFORE: usize = 34;
    let (word, tone) = match outcome {
        CheckOutcome::Fault => ("FAULT", Some(Tone::Alarm)),
        CheckOutcome::Warning => (outcome.as_str(), Some(Tone::Caution)),
        CheckOutcome::Ok => (outcome.as_str(), Some(Tone::Well)),
        CheckOutcome::NotChecked => (outcome.as_str(), None),
    };
    let word = format!("{:<11}", out.word(word));
    let lines = said.iter().flat_map(|text| folded(text, WIDTH - BEFORE));
    for (index, line) in lines.enumerate() {
        match index {
            0 => out.toned_line(&word, tone, format!("  {name:<19}  {line}").trim_end())?,
            _ => out.line(&format!("{:BEFORE$}{line}", ""))?,
        }
    }
    Ok(())
}

/// The party at fault, and what to do.
fn verdict(found: &Diagnosis, out: &Output) -> Result<(), Failure> {
    let (party, says) = (found.party.as_str(), capital(&found.says.to_string()));
    let text = match &found.finding {
        Some(finding) if found.outcome == CheckOutcome::Fault || found.party == Party::Record => {
            verdicts::fault(party, says, finding.advice.clone())
        }
        Some(finding) => verdicts::look(party, says, finding.advice.clone()),
        None => verdicts::well(says),
    };
    out.line("")?;
    say(out, "", &text)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
