//! `log`: the cycles and repairs of this database.

use serde_json::{Value, json};
use sync_core::storage::LogEntry;
use sync_core::support::is_repair;
use sync_core::{Error, Message};

use super::layout::{facts, moment, say};
use crate::args::{Args, Log};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{common, log_shown as shown, skip_reason as why};
use crate::workspace::Workspace;

/// The conflicts of a cycle that are named.
const CONFLICTS: usize = 5;

pub(super) fn run(args: &Args, command: &Log, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    let entries = workspace.support().log(usize::MAX)?;
    match command {
        Log::List { limit, failed } => {
            let wanted = |entry: &LogEntry| !failed || matches!(entry.outcome.as_str(), "failed" | "left_behind");
            let numbered = entries.iter().enumerate().map(|(index, entry)| (index + 1, entry));
            let listed: Vec<_> = numbered.filter(|(_, entry)| wanted(entry)).take(*limit).collect();
            match listed.is_empty() && !out.json {
                true if entries.is_empty() => say(out, "", &shown::empty())?,
                true => say(out, "", &shown::none_failed())?,
                false => list(&listed, out)?,
            }
        }
        Log::Show { which } => {
            let (number, entry) = find(&entries, which)?;
            if out.json {
                let LogEntry { started_at, finished_at, outcome, error, report } = entry;
                out.document(&json!({
                    "number": number, "started_at": started_at, "finished_at": finished_at, "outcome": outcome,
                    "error": error.as_ref().map(|error| out.advised(error)), "report": report,
                }))?;
            } else {
                show(number, entry, out)?;
            }
        }
    }
    Ok(CommandOutcome::Done)
}

/// An entry by its number, or by the beginning of its time; of several the newest.
fn find<'e>(entries: &'e [LogEntry], which: &str) -> Result<(usize, &'e LogEntry), Error> {
    let spelled = which.replace(' ', "T");
    let is_it = |(index, entry): &(usize, &LogEntry)| match which.parse::<usize>() {
        Ok(number) if which.len() < 4 || number <= entries.len() => index + 1 == number,
        _ => entry.started_at.to_string().starts_with(&spelled),
    };
    let found = entries.iter().enumerate().find(is_it);
    let not_found = || Error::not_found("cycle in the log", which);
    found.map(|(index, entry)| (index + 1, entry)).ok_or_else(not_found)
}

/// A number of a report.
fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or(0)
}

fn seconds(entry: &LogEntry) -> f64 {
    entry.finished_at.since(entry.started_at).as_secs_f64()
}

/// The outcome for people.
fn outcome(entry: &LogEntry, out: &Output) -> String {
    out.word(&entry.outcome.replace('_', " ")).to_owned()
}

fn list(entries: &[(usize, &LogEntry)], out: &Output) -> Result<(), Failure> {
    let head = ["N", "STARTED", "S", "PUSHED", "PULLED", "QUAR.", "OUTCOME"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, entry) in entries {
        let report = &entry.report;
        let aside = number(report, "quarantined") + number(report, "refused");
        if out.json {
            let code = entry.error.as_ref().map(|error| &error.code);
            out.document(&json!({
                "number": index, "started_at": entry.started_at, "finished_at": entry.finished_at,
                "outcome": entry.outcome, "error": code, "pushed": report["pushed"], "pulled": report["pulled"],
                "quarantined": report["quarantined"], "refused": report["refused"], "repair": report["repair"],
                "patient": report["patient"],
            }))?;
            continue;
        }
        let repair = is_repair(entry);
        let count = |count: u64| if repair { "-".to_owned() } else { count.to_string() };
        // Of what an administrator changed, and of what was refused, the text says more than the word.
        let says_more = repair && matches!(entry.outcome.as_str(), "changed" | "refused");
        let texts = ["command", "changed"].iter().filter_map(|key| report["repair"][*key].as_str());
        let text = texts.filter(|text| says_more && !text.is_empty()).map(str::to_owned).next();
        let outcome = match (&entry.error, text) {
            (Some(error), _) => error.code.clone(),
            (None, Some(text)) => text,
            (None, None) => outcome(entry, out),
        };
        rows.push(vec![
            index.to_string(),
            moment(entry.started_at),
            format!("{:.1}", seconds(entry)),
            count(number(report, "pushed")),
            count(number(report, "pulled")),
            count(aside),
            outcome,
        ]);
    }
    if out.json { Ok(()) } else { out.table(&rows) }
}

fn show(number_of: usize, entry: &LogEntry, out: &Output) -> Result<(), Failure> {
    let report = &entry.report;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if is_repair(entry) {
        let repair = &report["repair"];
        let when = match entry.outcome.as_str() {
            "changed" => "changed at",
            "refused" => "refused at",
            _ => "repaired at",
        };
        return facts(
            out,
            &[
                ("number", Some(number_of.to_string())),
                (when, Some(moment(entry.started_at))),
                ("command", text(&repair["command"]).filter(|command| !command.is_empty())),
                ("reason", text(&repair["reason"]).filter(|reason| !reason.is_empty())),
                (if entry.outcome == "refused" { "what" } else { "changed" }, text(&repair["changed"])),
            ],
        );
    }
    let said = |said: &Message| Some(out.texts.say(said));
    let kept_local = match number(report, "kept_local") {
        0 => None,
        1 => said(&shown::one_edit()),
        count => said(&shown::edits(count)),
    };
    let aside = (number(report, "quarantined"), number(report, "refused"));
    facts(
        out,
        &[
            ("number", Some(number_of.to_string())),
            ("started", Some(moment(entry.started_at))),
            ("took", said(&shown::took(format!("{:.1}", seconds(entry))))),
            ("of one patient", text(&report["patient"])),
            ("outcome", Some(outcome(entry, out))),
            ("pushed", Some(number(report, "pushed").to_string())),
            ("pulled", Some(number(report, "pulled").to_string())),
            ("integrated", Some(number(report, "integrated").to_string())),
            ("quarantined", said(&shown::set_aside(aside.0, aside.1))),
            ("kept local", kept_local),
            ("requests", said(&shown::requests(number(report, "requests"), number(report, "retries")))),
            ("bytes up", Some(bytes(number(report, "bytes_sent")))),
            ("bytes down", Some(bytes(number(report, "bytes_received")))),
        ],
    )?;
    let conflicts = report["conflicts"].as_array().map_or(&[][..], Vec::as_slice);
    for conflict in conflicts.iter().take(CONFLICTS) {
        let (table, id) = (conflict["table"].as_str().unwrap_or_default(), conflict["id"].as_str().unwrap_or_default());
        say(out, "", &shown::conflict(table, id))?;
    }
    if let Some(more) = conflicts.len().checked_sub(CONFLICTS).filter(|more| *more > 0) {
        say(out, "", &shown::more_conflicts(more))?;
    }
    let mut rows = vec![["STEP", "DONE", "OF", "SECONDS", "ERROR"].map(str::to_owned).to_vec()];
    for step in report["steps"].as_array().into_iter().flatten() {
        rows.push(vec![
            out.word(&step["name"].as_str().unwrap_or_default().replace('_', " ")).to_owned(),
            number(step, "done").to_string(),
            number(step, "total").to_string(),
            format!("{:.1}", step["seconds"].as_f64().unwrap_or(0.0)),
            text(&step["error"]).unwrap_or_default(),
        ]);
    }
    out.line("")?;
    out.table(&rows)?;
    for step in report["skipped"].as_array().into_iter().flatten() {
        if let Some(reason) = skip_reason(step["reason"].as_str().unwrap_or_default()) {
            let name = step["name"].as_str().unwrap_or_default().replace('_', " ");
            say(out, "", &shown::skipped(out.word(&name), reason))?;
        }
    }
    for warning in report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        say(out, "", &common::warning(warning))?;
    }
    if let Some(error) = &entry.error {
        let error = out.advised(error);
        let label = common::error();
        say(out, "", &common::labelled_error(label, &error.code, &error.message, &error.advice))?;
        for cause in &error.causes {
            say(out, "  ", &common::caused_by(cause))?;
        }
    }
    Ok(())
}

/// A reason of the report in words; `None` for one of a later release.
fn skip_reason(reason: &str) -> Option<Message> {
    Some(match reason {
        "not_requested" => why::not_requested(),
        "cycle_ended" => why::cycle_ended(),
        "out_of_time" => why::out_of_time(),
        "legacy_unavailable" => why::legacy_unavailable(),
        "is_central" => why::is_central(),
        "no_central" => why::no_central(),
        "not_initialised" => why::not_initialised(),
        "not_recovered" => why::not_recovered(),
        "already_read" => why::already_read(),
        "push_unconfirmed" => why::push_unconfirmed(),
        "not_pulled" => why::not_pulled(),
        "step_before_failed" => why::step_before_failed(),
        _ => return None,
    })
}
