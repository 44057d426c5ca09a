//! `inspect`: the synchronisation of a real Open mSupply server, from its database.

use super::layout::wrapped;
use crate::args::Inspect;
use crate::exit::{Ended, Failure};
use crate::inspect::{CycleLine, Inspection, Stuck, Waiting, inspect};
use crate::output::{Output, bytes};

/// How many of a list are shown to people.
const LISTED: usize = 10;

pub(super) fn run(options: &Inspect, out: &Output) -> Result<Ended, Failure> {
    let found = inspect(&options.file, options.cycles)?;
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
    }
    Ok(if found.has_trouble() { Ended::LeftBehind } else { Ended::Done })
}

fn show(found: &Inspection, out: &Output) -> Result<(), Failure> {
    if found.read_from_copy {
        out.hint("The database is in use, or was when its server ended: a copy of it was read.");
    }
    let site = &found.site;
    let number = |cursor: Option<i64>| cursor.map_or("none".to_owned(), |cursor| cursor.to_string());
    let stores: Vec<&str> = site.stores.iter().map(|store| store.code.as_str()).collect();
    let cursors = &found.cursors;
    out.facts(&[
        ("Open mSupply", site.version.clone()),
        ("role", Some(format!("{} ({})", site.role.as_str(), site.role_because))),
        ("site", site.site_name.clone()),
        ("site id", site.site_id.map(|id| id.to_string())),
        ("legacy URL", site.legacy_url.clone()),
        ("stores here", Some(if stores.is_empty() { "none".to_owned() } else { stores.join(", ") })),
        ("initialisation", Some(site.initialisation.replace('_', " "))),
        ("sync is", site.disabled.then(|| "switched off: cycles do nothing".to_owned())),
        ("interval", site.interval_seconds.map(|seconds| format!("{seconds} s"))),
        ("last success", Some(found.last_success.clone().unwrap_or_else(|| "never".to_owned()))),
        (
            "has read up to",
            Some(format!("legacy server {}, central {}", number(cursors.pull_central), number(cursors.pull_v6))),
        ),
        (
            "has pushed up to",
            Some(format!(
                "legacy server {}, central {}, of {}",
                number(cursors.push),
                number(cursors.push_v6),
                cursors.changelog_end
            )),
        ),
    ])?;
    for doubt in &cursors.doubts {
        wrapped(out, "", &format!("doubt: {doubt}"))?;
    }
    out.line("")?;
    waiting(&found.waiting, out)?;
    out.line("")?;
    stuck(found, out)?;
    out.line("")?;
    cycles(found, out)?;
    files(found, out)
}

fn waiting(waiting: &[Waiting], out: &Output) -> Result<(), Failure> {
    if waiting.is_empty() {
        return out.line("Nothing waits to be pushed.");
    }
    out.line("Waiting to be pushed:")?;
    let mut rows = vec![["to", "table", "records", "deletes", "oldest", "made at"].map(str::to_owned).to_vec()];
    for line in waiting {
        let made_at = line.oldest_made_at.clone().unwrap_or_else(|| "not known".to_owned());
        let (records, deletes) = (line.records.to_string(), line.deletes.to_string());
        rows.push(vec![line.to.into(), line.table.clone(), records, deletes, line.oldest_cursor.to_string(), made_at]);
    }
    out.table(&rows)
}

fn stuck(found: &Inspection, out: &Output) -> Result<(), Failure> {
    let buffer = &found.buffer;
    out.line(&format!("Received records in the sync buffer: {}, integrated: {}", buffer.records, buffer.integrated))?;
    for line in &buffer.not_integrated {
        let verb = if line.records == 1 { "waits" } else { "wait" };
        let (records, table, since) = (line.records, &line.table, &line.oldest_received_at);
        wrapped(out, "  ", &format!("{records} {table} {verb} for the next integration, the oldest since {since}"))?;
    }
    let mut last = None;
    for group in &buffer.stuck {
        if last != Some(group.cause) {
            out.line(&format!("Stuck: {}", group.cause.as_str()))?;
            wrapped(out, "  ", group.cause.advice())?;
            last = Some(group.cause);
        }
        stuck_group(group, out)?;
    }
    if !buffer.never_arrived.is_empty() {
        out.line("Never arrived, and needed by:")?;
    }
    for missing in buffer.never_arrived.iter().take(LISTED) {
        out.line(&format!("  {} {}: {}", missing.table, missing.id, missing.needed_by))?;
    }
    and_more(out, "  ", buffer.never_arrived.len())?;
    if buffer.stuck.is_empty() { out.line("None is stuck.") } else { Ok(()) }
}

/// Says how many of a list were left out.
fn and_more(out: &Output, indent: &str, count: usize) -> Result<(), Failure> {
    match count.saturating_sub(LISTED) {
        0 => Ok(()),
        more => out.line(&format!("{indent}and {more} more; --json lists them all")),
    }
}

fn stuck_group(group: &Stuck, out: &Output) -> Result<(), Failure> {
    let from = group.from_site.map(|site| format!(" from site {site}")).unwrap_or_default();
    out.line(&format!("  {} {}{from}, since {}", group.records, group.table, group.oldest_received_at))?;
    if group.missing.is_empty() {
        wrapped(out, "    ", &group.reason)?;
    }
    for missing in group.missing.iter().take(LISTED) {
        let state = match missing.state {
            "never_arrived" => "never arrived here",
            "stuck_itself" => "is stuck itself",
            "waiting" => "waits for the next integration",
            _ => "is not here any more",
        };
        wrapped(out, "    ", &format!("lacks {} {}, which {state}", missing.table, missing.id))?;
    }
    and_more(out, "    ", group.missing.len())?;
    let more = group.records.saturating_sub(group.ids.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    out.line(&format!("    {}{more}", group.ids.join("\n    ")))
}

fn cycles(found: &Inspection, out: &Output) -> Result<(), Failure> {
    out.line("Last cycles:")?;
    for cycle in &found.cycles {
        wrapped(out, "  ", &line(cycle))?;
        if let Some(advice) = cycle.error.as_ref().and_then(|error| error.advice) {
            wrapped(out, "    ", advice)?;
        }
    }
    if !found.cycle_errors.is_empty() {
        let errors: Vec<String> = found.cycle_errors.iter().map(|(code, count)| format!("{count} {code}")).collect();
        wrapped(out, "  ", &format!("errors of all cycles: {}", errors.join(", ")))?;
    }
    for error in &found.server_errors {
        wrapped(out, "  ", &format!("server log {} {}: {}", error.at, error.kind, error.message))?;
    }
    Ok(())
}

fn line(cycle: &CycleLine) -> String {
    let records: Vec<String> = cycle.records.iter().map(|(step, count)| format!("{step} {count}")).collect();
    let records = if records.is_empty() { String::new() } else { format!(", {}", records.join(", ")) };
    let step = cycle.step.map(|step| format!(" in step {step}")).unwrap_or_default();
    let error = cycle.error.as_ref().map_or(String::new(), |error| {
        format!(" [{}] {}", error.code.as_deref().unwrap_or("Unknown sync error"), error.message)
    });
    let seconds = cycle.seconds.unwrap_or(0);
    let outcome = cycle.outcome.replace('_', " ");
    format!("{} {outcome}{step} in {seconds} s{records}{error}", cycle.started_at)
}

fn files(found: &Inspection, out: &Output) -> Result<(), Failure> {
    for group in &found.files {
        let error = group.error.as_ref().map(|error| format!(", {} tries at most: {error}", group.retries));
        let (size, status) = (bytes(group.bytes.unsigned_abs()), group.status.replace('_', " "));
        let error = error.unwrap_or_default();
        wrapped(out, "", &format!("Files, {} {status}: {} ({size}){error}", group.direction, group.files))?;
    }
    Ok(())
}
