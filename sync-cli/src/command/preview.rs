//! `preview`: the result of the next push or pull. Changes nothing.

use sync_core::Message;
use sync_core::support::{IncomingPreview, PredictedSetAside, PullPreview, PushPreview, TypeCount};
use sync_core::transport::Timeouts;

use super::doctor::FIRST_ANSWER;
use super::layout::{moment, say, short};
use crate::args::{Args, Preview};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::progress::Progress;
use crate::sentences::{common, preview_shown as shown, records};
use crate::signals::end_on_signals;
use crate::workspace::Workspace;

/// The most records that are shown to people.
const LISTED: usize = 10;

pub(super) fn run(args: &Args, command: &Preview, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    let left_behind = match command {
        Preview::Push => {
            let found = out.in_words(workspace.support().preview_push()?);
            if out.json {
                out.document(&found)?
            } else {
                push(&found, out)?
            }
            found.set_aside_records > 0
        }
        Preview::Pull { limit } => {
            end_on_signals();
            let mut found = {
                let mut progress = Progress::new(out);
                let site = workspace.site_within(&Timeouts::default().connect(FIRST_ANSWER));
                out.in_words(site.support().silent_after(FIRST_ANSWER).preview_pull(*limit, &mut progress)?)
            };
            found
                .from
                .iter_mut()
                .filter_map(|coming| coming.error.as_mut())
                .for_each(|error| *error = out.advised(error));
            if out.json {
                out.document(&found)?
            } else {
                pull(&found, out)?
            }
            found.set_aside_records > 0
        }
    };
    if !out.json {
        out.hint_said(&common::nothing_changed());
    }
    Ok(if left_behind { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn push(found: &PushPreview, out: &Output) -> Result<(), Failure> {
    if let Some(why) = &found.held_up {
        say(out, "", &shown::held_up(why.clone()))?;
    }
    if found.unconfirmed {
        say(out, "", &shown::unconfirmed())?;
    }
    if found.to_central.is_empty() && found.to_legacy.is_empty() {
        say(out, "", &shown::nothing_waits())?;
    }
    types(&shown::to_central(), &found.to_central, out)?;
    types(&shown::to_legacy(), &found.to_legacy, out)?;
    types(&shown::stays_here(), &found.stays_here, out)?;
    foreseen(shown::refused_there, &found.set_aside, found.set_aside_records, out)
}

fn pull(found: &PullPreview, out: &Output) -> Result<(), Failure> {
    for coming in &found.from {
        from(coming, out)?;
    }
    let integrated = records(found.integrated);
    let or_known = found.integrated > 0;
    say(out, "", &if or_known { shown::integrated_or_known(integrated) } else { shown::integrated(integrated) })?;
    if found.kept_local > 0 {
        say(out, "", &shown::gives_way(records(found.kept_local)))?;
    }
    for warning in &found.warnings {
        say(out, "", &common::warning(warning))?;
    }
    if found.woken > 0 {
        say(out, "", &shown::woken(records(found.woken)))?;
    }
    foreseen(shown::set_aside_here, &found.set_aside, found.set_aside_records, out)
}

fn from(coming: &IncomingPreview, out: &Output) -> Result<(), Failure> {
    let source = match coming.source {
        "legacy_central" => shown::legacy_central(),
        "legacy_queue" => shown::legacy_queue(),
        _ => shown::central(),
    };
    if let Some(error) = &coming.error {
        let error = common::an_error(&error.code, &error.message, &error.advice);
        say(out, "", &shown::no_answer(source.clone(), error))?;
    }
    if coming.records == 0 {
        return if coming.error.is_none() { say(out, "", &shown::nothing_comes(source)) } else { Ok(()) };
    }
    let count = records(coming.records);
    let looked_at: u64 = coming.by_type.iter().map(|count| count.records).sum();
    let title = match coming.is_complete {
        true => shown::comes(source, count),
        false => shown::looked_at(source, count, looked_at),
    };
    types(&title, &coming.by_type, out)
}

fn types(title: &Message, counts: &[TypeCount], out: &Output) -> Result<(), Failure> {
    if counts.is_empty() {
        return Ok(());
    }
    say(out, "", title)?;
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

fn foreseen(
    title: fn(Message) -> Message,
    named: &[PredictedSetAside],
    count: u64,
    out: &Output,
) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    say(out, "", &title(records(count)))?;
    for record in named.iter().take(LISTED) {
        out.line(&short(&format!("  {} {}", record.table, record.id), out.width()))?;
        say(out, "    ", &shown::why(record.cause.as_str(), &record.reason))?;
    }
    match count.saturating_sub(LISTED as u64) {
        0 => Ok(()),
        more => say(out, "  ", &common::and_more(more)),
    }
}
