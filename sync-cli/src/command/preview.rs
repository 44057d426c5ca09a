//! `preview`: what the next push would send, and what the next pull would bring. Nothing is changed.

use sync_core::support::{Coming, Foreseen, PullPreview, PushPreview, TypeCount, preview_push};

use super::layout::{WIDTH, counted, moment, short, wrapped};
use crate::args::{Args, Preview};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::progress::{Progress, end_on_signals};
use crate::setup::Parts;

/// How many records are named to people.
const LISTED: usize = 10;

pub(super) fn run(args: &Args, command: &Preview, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    let left_behind = match command {
        Preview::Push => {
            let found = preview_push(parts.storage.as_ref())?;
            if out.json {
                out.document(&found)?
            } else {
                push(&found, out)?
            }
            found.set_aside_records > 0
        }
        Preview::Pull { limit } => {
            end_on_signals();
            let found = {
                let mut progress = Progress::new(out);
                parts.site().preview_pull(*limit, &mut progress)?
            };
            if out.json {
                out.document(&found)?
            } else {
                pull(&found, out)?
            }
            found.set_aside_records > 0
        }
    };
    if !out.json {
        out.hint("Nothing was changed.");
    }
    Ok(if left_behind { Ended::LeftBehind } else { Ended::Done })
}

fn push(found: &PushPreview, out: &Output) -> Result<(), Failure> {
    if let Some(why) = found.held_up {
        wrapped(out, "", &format!("Held up: {why}."))?;
    }
    if found.unconfirmed {
        wrapped(out, "", "Something was sent and is not confirmed: the other end is asked about that first.")?;
    }
    if found.to_central.is_empty() && found.to_legacy.is_empty() {
        out.line("Nothing waits to be pushed.")?;
    }
    types("To central:", &found.to_central, out)?;
    types("To the legacy server:", &found.to_legacy, out)?;
    types("Written here, and going nowhere:", &found.stays_here, out)?;
    foreseen("Central would set aside", &found.set_aside, found.set_aside_records, out)
}

fn pull(found: &PullPreview, out: &Output) -> Result<(), Failure> {
    for coming in &found.from {
        from(coming, out)?;
    }
    let known = if found.integrated > 0 { ", those that are here already included" } else { "" };
    out.line(&format!("Would be integrated: {}{known}", counted(found.integrated, "record")))?;
    if found.kept_local > 0 {
        wrapped(out, "", &format!("{} would give way to edits made here", counted(found.kept_local, "record")))?;
    }
    if found.woken > 0 {
        let woken = counted(found.woken, "record");
        wrapped(out, "", &format!("{woken} that are set aside now would be tried again"))?;
    }
    foreseen("Would be set aside", &found.set_aside, found.set_aside_records, out)
}

fn from(coming: &Coming, out: &Output) -> Result<(), Failure> {
    let source = match coming.source {
        "legacy_central" => "central data of the legacy server",
        "legacy_queue" => "the legacy server's queue for this site",
        _ => "central",
    };
    if let Some(error) = &coming.error {
        wrapped(out, "", &format!("From {source}: [{}] {}. {}", error.code, error.message, error.advice))?;
    }
    if coming.records == 0 {
        return if coming.error.is_none() { out.line(&format!("From {source}: nothing")) } else { Ok(()) };
    }
    let looked_at: u64 = coming.by_type.iter().map(|count| count.records).sum();
    let most = if coming.is_complete { String::new() } else { format!(", of which {looked_at} were looked at") };
    types(&format!("From {source}, {}{most}:", counted(coming.records, "record")), &coming.by_type, out)
}

fn types(title: &str, counts: &[TypeCount], out: &Output) -> Result<(), Failure> {
    if counts.is_empty() {
        return Ok(());
    }
    wrapped(out, "", title)?;
    let has_times = counts.iter().any(|count| count.oldest_at.is_some());
    let mut head = vec!["  TABLE", "RECORDS", "DELETES", "SIZE"];
    if has_times {
        head.push("OLDEST");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for count in counts {
        let table = format!("  {}", count.table);
        let mut row = vec![table, count.records.to_string(), count.deletes.to_string(), bytes(count.bytes)];
        row.extend(count.oldest_at.map(moment));
        rows.push(row);
    }
    out.table(&rows)
}

fn foreseen(title: &str, records: &[Foreseen], count: u64, out: &Output) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    out.line(&format!("{title}: {}", counted(count, "record")))?;
    for record in records.iter().take(LISTED) {
        out.line(&short(&format!("  {} {}", record.table, record.id), WIDTH))?;
        wrapped(out, "    ", &format!("{}: {}", record.cause.as_str(), record.reason))?;
    }
    match count.saturating_sub(LISTED as u64) {
        0 => Ok(()),
        more => out.line(&format!("  and {more} more; --json lists the first thousand")),
    }
}
