//! `inspect`: the synchronisation of a real Open mSupply server, read from its database.

use oms_sync_inspect::database::{CycleLine, Inspected, Inspection, Release3, Speaks, Stuck, Waiting, inspect};
use sync_core::Message;

use super::layout::{facts, moment_of, say, wrapped};
use crate::args::Inspect;
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{inspection as says, stuck_records as stuck_says};

/// The most entries of a list that are shown to people.
const LISTED: usize = 10;

pub(super) fn run(options: &Inspect, out: &Output) -> Result<CommandOutcome, Failure> {
    let found = out.in_words(inspect(&options.file, options.cycles)?);
    if out.json {
        out.document(&found)?;
    } else {
        match &found {
            Inspected::Release2(found) => show(found, out)?,
            Inspected::Release3(found) => show_release_3(found, out)?,
        }
    }
    Ok(if found.has_trouble() { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn show(found: &Inspection, out: &Output) -> Result<(), Failure> {
    if found.read_from_copy {
        out.hint_said(&says::read_from_copy());
    }
    let site = &found.site;
    let (word, said) = (|word| out.word(word), |said: Message| Some(out.texts.say(&said)));
    let stores: Vec<&str> = site.stores.iter().map(|store| store.code.as_str()).collect();
    let cursors = &found.cursors;
    facts(
        out,
        &[
            ("Open mSupply", site.version.clone()),
            ("role", said(says::role(site.role.as_str(), site.role_because.clone()))),
            ("site", site.identity.site_name.clone()),
            ("site id", site.identity.site_id.map(|id| id.to_string())),
            ("legacy URL", site.identity.legacy_url.clone()),
            ("stores here", Some(if stores.is_empty() { word("none").to_owned() } else { stores.join(", ") })),
            ("initialisation", Some(word(&site.initialisation.replace('_', " ")).to_owned())),
            ("sync is", site.disabled.then(|| out.texts.say(&says::switched_off()))),
            ("interval", site.interval_seconds.map(|seconds| format!("{seconds} s"))),
            ("last success", Some(found.last_success.as_deref().map_or_else(|| word("never").to_owned(), moment_of))),
            ("has read up to", said(says::read_up_to(number(cursors.pull_central), number(cursors.pull_v6)))),
            (
                "has pushed up to",
                said(says::pushed_up_to(
                    number(cursors.push),
                    number(cursors.push_v6),
                    cursors.changelog_end.to_string(),
                )),
            ),
        ],
    )?;
    for doubt in &cursors.doubts {
        say(out, "", &says::doubt(doubt.clone()))?;
    }
    out.line("")?;
    waiting(&found.waiting, out)?;
    out.line("")?;
    stuck(found, out)?;
    out.line("")?;
    cycles(found, out)?;
    files(found, out)
}

/// A cursor for people.
fn number(cursor: Option<i64>) -> String {
    cursor.map_or_else(|| "none".to_owned(), |cursor| cursor.to_string())
}

fn show_release_3(found: &Release3, out: &Output) -> Result<(), Failure> {
    if found.read_from_copy {
        out.hint_said(&says::read_from_copy());
    }
    let (site, at) = (&found.site, &found.positions);
    let said = |said: Message| Some(out.texts.say(&said));
    let is_of_v6 = found.speaks == Speaks::V6 || at.pull_v6.is_some() || at.push_v6.is_some();
    facts(
        out,
        &[
            ("Open mSupply", Some(found.version.clone())),
            ("synchronises by", Some(found.meaning.to_string())),
            ("site", site.site_name.clone()),
            ("site id", site.site_id.map(|id| id.to_string())),
            ("legacy URL", site.legacy_url.clone()),
            (
                "has read up to",
                said(says::read_up_to(number(at.pull_central), number(at.pull_v6))).filter(|_| is_of_v6),
            ),
            (
                "has pushed up to",
                said(says::pushed_up_to(number(at.push), number(at.push_v6), number(at.changelog_end)))
                    .filter(|_| is_of_v6),
            ),
            ("settings of V7", (!found.v7_settings.is_empty()).then(|| found.v7_settings.join(", "))),
            ("what to do", Some(found.advice.to_string())),
        ],
    )
}

fn waiting(waiting: &[Waiting], out: &Output) -> Result<(), Failure> {
    if waiting.is_empty() {
        return line(out, "", &says::nothing_waits());
    }
    line(out, "", &says::waiting())?;
    let word = |word| out.word(word).to_owned();
    let mut rows = vec![["to", "table", "records", "deletes", "oldest", "made at"].map(str::to_owned).to_vec()];
    for of in waiting {
        let made_at = of.oldest_made_at.as_deref().map_or_else(|| word("not known"), moment_of);
        let (records, deletes) = (of.records.to_string(), of.deletes.to_string());
        rows.push(vec![word(of.to), of.table.clone(), records, deletes, of.oldest_cursor.to_string(), made_at]);
    }
    out.table(&rows)?;
    let is_known = waiting.iter().any(|of| of.oldest_made_at.is_some());
    if is_known { say(out, "", &says::made_at()) } else { Ok(()) }
}

fn stuck(found: &Inspection, out: &Output) -> Result<(), Failure> {
    let buffer = &found.buffer;
    line(out, "", &stuck_says::received(buffer.records, buffer.integrated))?;
    for of in &buffer.not_integrated {
        let (table, since) = (&of.table, moment_of(&of.oldest_received_at));
        say(
            out,
            "  ",
            &match of.records {
                1 => stuck_says::one_waits(table, since),
                records => stuck_says::wait(records, table, since),
            },
        )?;
    }
    let mut last = None;
    for group in &buffer.stuck {
        if last != Some(group.cause) {
            line(out, "", &stuck_says::stuck(group.cause.meaning()))?;
            say(out, "  ", &group.cause.advice())?;
            last = Some(group.cause);
        }
        stuck_group(group, out)?;
    }
    if !buffer.never_arrived.is_empty() {
        line(out, "", &stuck_says::never_arrived())?;
    }
    for missing in buffer.never_arrived.iter().take(LISTED) {
        out.line_within("  ", &format!("{} {}: {}", missing.table, missing.id, missing.needed_by))?;
    }
    and_more(out, "  ", buffer.never_arrived.len())?;
    if buffer.stuck.is_empty() { line(out, "", &stuck_says::none()) } else { Ok(()) }
}

/// Shows how many entries of a list were left out.
fn and_more(out: &Output, indent: &str, count: usize) -> Result<(), Failure> {
    match count.saturating_sub(LISTED) {
        0 => Ok(()),
        more => line(out, indent, &says::and_more(more)),
    }
}

fn stuck_group(group: &Stuck, out: &Output) -> Result<(), Failure> {
    let (records, table, since) = (group.records, &group.table, moment_of(&group.oldest_received_at));
    line(
        out,
        "  ",
        &match group.from_site {
            Some(site) => stuck_says::records_from(records, table, site, since),
            None => stuck_says::records(records, table, since),
        },
    )?;
    if group.missing.is_empty() {
        wrapped(out, "    ", &group.reason.to_string())?;
    }
    for missing in group.missing.iter().take(LISTED) {
        let (table, id) = (&missing.table, &missing.id);
        say(
            out,
            "    ",
            &match missing.state {
                "never_arrived" => stuck_says::lacks_never_arrived(table, id),
                "stuck_itself" => stuck_says::lacks_stuck(table, id),
                "waiting" => stuck_says::lacks_waiting(table, id),
                _ => stuck_says::lacks_gone(table, id),
            },
        )?;
    }
    and_more(out, "    ", group.missing.len())?;
    let more = group.records.saturating_sub(group.ids.len() as u64);
    let Some((last, others)) = group.ids.split_last() else { return Ok(()) };
    for id in others {
        out.line(&format!("    {id}"))?;
    }
    match more {
        0 => out.line(&format!("    {last}")),
        more => line(out, "    ", &stuck_says::ids_and_more(last, more)),
    }
}

fn cycles(found: &Inspection, out: &Output) -> Result<(), Failure> {
    line(out, "", &says::last_cycles())?;
    for cycle in &found.cycles {
        say(out, "  ", &one_cycle(cycle))?;
        if let Some(advice) = cycle.error.as_ref().and_then(|error| error.advice.as_ref()) {
            say(out, "    ", advice)?;
        }
    }
    if !found.cycle_errors.is_empty() {
        let errors: Vec<String> = found.cycle_errors.iter().map(|(code, count)| format!("{count} {code}")).collect();
        say(out, "  ", &says::errors_of_all(errors.join(", ")))?;
    }
    for error in &found.server_errors {
        say(out, "  ", &says::server_log(moment_of(&error.at), &error.kind, &error.message))?;
    }
    Ok(())
}

/// Its beginning, outcome and duration; then its records by step, and its error.
fn one_cycle(cycle: &CycleLine) -> Message {
    let (at, outcome, seconds) =
        (moment_of(&cycle.started_at), cycle.outcome.replace('_', " "), cycle.seconds.unwrap_or(0));
    let mut said = match cycle.step {
        Some(step) => says::cycle_in_step(at, outcome, step, seconds),
        None => says::cycle(at, outcome, seconds),
    };
    if !cycle.records.is_empty() {
        let records: Vec<String> = cycle.records.iter().map(|(step, count)| format!("{step} {count}")).collect();
        said = says::cycle_with_records(said, records.join(", "));
    }
    if let Some(error) = &cycle.error {
        said = says::cycle_with_error(said, error.code.as_deref().unwrap_or("Unknown sync error"), &error.message);
    }
    said
}

fn files(found: &Inspection, out: &Output) -> Result<(), Failure> {
    for group in &found.files {
        let (size, status) = (bytes(group.bytes.unsigned_abs()), group.status.replace('_', " "));
        let files = says::files(&group.direction, status, group.files, size);
        say(
            out,
            "",
            &match &group.error {
                Some(error) => says::files_with_error(files, group.retries, error),
                None => files,
            },
        )?;
    }
    Ok(())
}

/// A sentence on its own line, folded only in a terminal whose width is known.
fn line(out: &Output, indent: &str, said: &Message) -> Result<(), Failure> {
    out.line_within(indent, &out.texts.say(said))
}
