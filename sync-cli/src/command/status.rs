//! `status`: the state of this database.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_core::clock::Timestamp;
use sync_core::support::is_repair;
use sync_core::{Error, Message, Status};

use super::layout::{age, facts, moment, say};
use crate::args::{Args, Limit, Status as StatusOptions};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{common, input_given, records, status_shown as shown};
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::Workspace;

/// How the warning of a cycle begins that the clock is days off; the log keeps it in English.
const OF_CLOCK: &str = "the clock of this machine is ";

pub(super) fn run(args: &Args, options: &StatusOptions, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    if options.watch {
        return watch(&workspace, options.every, out);
    }
    let status = current(&workspace, out)?;
    if out.json {
        out.document(&status)?
    } else {
        show(&status, out)?
    }
    warn_of_clock(&workspace, &status, out)?;
    let Some(max_age) = Limit::of(options.max_age) else { return Ok(CommandOutcome::Done) };
    if !has_cycles(&status) {
        return Err(Error::bad_input(input_given::no_cycles()).into());
    }
    let is_recent = |at: Timestamp| workspace.replica.clock().now().since(at) <= max_age;
    if status.last_success.is_some_and(is_recent) {
        return Ok(CommandOutcome::Done);
    }
    let time = age(max_age);
    let said = status.last_success.map_or_else(
        || shown::never_complete(&time),
        |last| shown::too_old(moment(last), &time, moment(last.after(max_age))),
    );
    // It is the answer to what was asked, so it is said with --quiet too.
    out.told(&common::warning(said));
    Ok(CommandOutcome::LeftBehind)
}

/// Warns of a clock that is days off: as the last sync found it by the time of the servers, or because that sync lies in the future.
fn warn_of_clock(workspace: &Workspace, status: &Status, out: &Output) -> Result<(), Failure> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let Some(last) = &status.last_sync else { return Ok(()) };
    let ahead = last.finished_at.since(workspace.replica.clock().now());
    if ahead > DAY {
        out.hint_said(&common::warning(shown::sync_in_future(ahead.as_secs() / DAY.as_secs())));
        return Ok(());
    }
    let log = workspace.support().log(usize::MAX)?;
    let of_last = log.iter().find(|entry| entry.started_at == last.started_at && !is_repair(entry));
    let warnings = of_last.and_then(|entry| entry.report["warnings"].as_array());
    let told = warnings.into_iter().flatten().filter_map(|warning| warning.as_str());
    for warning in told.filter(|warning| warning.starts_with(OF_CLOCK)) {
        out.hint_said(&common::warning(shown::at_last_sync(last.finished_at, warning)));
    }
    Ok(())
}

/// A central server with its own list of sites asks nobody, so it has no cycles.
fn has_cycles(status: &Status) -> bool {
    status.legacy_url.is_some() || status.role != Some("central")
}

/// Its state, in the chosen language.
fn current(workspace: &Workspace, out: &Output) -> Result<Status, Failure> {
    let mut status = workspace.replica.status()?;
    status.alarms = out.in_words(status.alarms);
    if let Some(error) = status.last_sync.as_mut().and_then(|last| last.error.as_mut()) {
        *error = out.advised(error);
    }
    Ok(status)
}

/// Shows it again whenever it changes, until a signal comes.
fn watch(workspace: &Workspace, every: Duration, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let mut before = None;
    while !interrupted() && !out.is_unread() {
        let status = current(workspace, out)?;
        let now = serde_json::to_string(&status).map_err(std::io::Error::other)?;
        if before.as_ref() != Some(&now) {
            if out.json {
                out.document(&status)?;
            } else {
                if before.is_some() {
                    out.line("")?;
                }
                out.line(&format!("-- {}", moment(workspace.replica.clock().now())))?;
                show(&status, out)?;
            }
            before = Some(now);
        }
        // In short waits, so that a signal ends it soon.
        let mut left = every;
        while !left.is_zero() && !interrupted() {
            let piece = left.min(Duration::from_millis(100));
            workspace.replica.clock().sleep(piece);
            left = left.saturating_sub(piece);
        }
    }
    Ok(CommandOutcome::Done)
}

fn show(status: &Status, out: &Output) -> Result<(), Failure> {
    let said = |said: &Message| Some(out.texts.say(said));
    let paused = status.paused.then(|| out.texts.say(&shown::paused()));
    let role = status.role.map_or_else(|| out.texts.say(&common::not_set_up()), |role| out.word(role).to_owned());
    let has_cycles = has_cycles(status);
    // If the last one succeeded, it is that one.
    let failed = status.last_sync.as_ref().is_some_and(|last| last.error.is_some());
    let last_success = failed.then(|| status.last_success.map_or_else(|| out.texts.say(&shown::never()), moment));
    facts(
        out,
        &[
            ("role", Some(role)),
            ("paused", paused),
            ("site", status.site_name.clone()),
            ("site id", status.site_id.map(|id| id.to_string())),
            ("legacy URL", status.legacy_url.clone()),
            ("central URL", status.central_url.clone()),
            ("initialised", said(&if status.initialised { common::yes() } else { common::no() })),
            ("pull cursor", has_cycles.then(|| status.pull_cursor_v6.to_string())),
            ("push cursor", has_cycles.then(|| status.push_cursor_v6.to_string())),
            ("to be pushed", has_cycles.then(|| out.texts.say(&waiting(status)))),
            ("last sync", has_cycles.then(|| out.texts.say(&last_sync(status)))),
            ("last success", last_success),
            ("quarantined", Some(by_kind(&status.quarantined_by_cause, &common::nothing(), out))),
            ("refused", refused(status).map(|said| out.texts.say(&said))),
            ("files", Some(by_kind(&status.files, &shown::no_files(), out))),
            ("records", Some(status.records.values().sum::<u64>().to_string())),
        ],
    )?;
    if let Some(copy) = &status.other_copy {
        say(out, "", &common::warning(shown::other_copy(copy.says(), copy.advice())))?;
    }
    for concern in &status.alarms {
        say(out, "", &common::warning(concern.says()))?;
    }
    Ok(())
}

/// The records that central refused, with the newest of them.
fn refused(status: &Status) -> Option<Message> {
    let newest = status.refused_by_central.last()?;
    let count = status.refused_by_central.len();
    Some(shown::refused_by_central(count, newest.table.as_str(), newest.id.as_str(), &newest.reason))
}

fn waiting(status: &Status) -> Message {
    let (count, size) = (records(status.waiting.records), bytes(status.waiting.bytes));
    match status.waiting.oldest_at {
        _ if status.waiting.records == 0 => common::nothing(),
        Some(at) => shown::waiting_since(count, size, at),
        None => shown::waiting(count, size),
    }
}

fn last_sync(status: &Status) -> Message {
    let Some(last) = &status.last_sync else { return shown::never() };
    let at = last.finished_at;
    match &last.error {
        Some(error) => shown::last_failed(last.outcome.replace('_', " "), at, &error.code, &error.message),
        None => shown::last(last.outcome.replace('_', " "), at),
    }
}

/// The number of each kind.
fn by_kind(counts: &BTreeMap<&'static str, u64>, none: &Message, out: &Output) -> String {
    let said: Vec<String> = counts.iter().map(|(kind, n)| out.texts.say(&shown::of_kind(*n, *kind))).collect();
    if said.is_empty() { out.texts.say(none) } else { said.join(", ") }
}
