//! `quarantine`: what could not be integrated or was refused; why, and what to do about it.

use serde_json::json;
use sync_core::quarantine;
use sync_core::record::{Fields, Writers, record_type};
use sync_core::storage::QuarantineCause;
use sync_core::support::{
    Awaited, AwaitedState, Retried, SetAside, SetAsideGroup, Which, find_set_aside, ignore, retry, set_aside_groups,
    source_name,
};

use super::layout::{WIDTH, counted, facts, moment, short, wrapped};
use crate::args::{Args, Cause, Quarantine, QuarantineList, QuarantineRetry};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::setup::Parts;

/// How many records of a group are shown to people.
const LISTED: usize = 5;
const PAGE: usize = 500;

pub(super) fn run(args: &Args, command: &Quarantine, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    match command {
        Quarantine::List(options) => list(&parts, options, out),
        Quarantine::Show { number } => {
            let found = find_set_aside(parts.storage.as_ref(), *number)?;
            if out.json {
                out.document(&found)?
            } else {
                show(&found, out)?
            }
            Ok(Ended::Done)
        }
        Quarantine::Retry(options) => try_again(&parts, options, out),
        Quarantine::Ignore { number, reason } => {
            ignore(parts.storage.as_ref(), *number, reason)?;
            let found = find_set_aside(parts.storage.as_ref(), *number)?;
            if out.json {
                out.document(&found)?;
            } else {
                let (table, id) = (&found.table, &found.id);
                wrapped(out, "", &format!("ignored from now on, and kept: {table} {id}, because: {}", found.reason))?;
            }
            Ok(Ended::Done)
        }
    }
}

/// What a kind of cause means, and what helps.
pub(super) fn meaning(cause: QuarantineCause) -> &'static str {
    match cause {
        QuarantineCause::Waiting => {
            "Names a record that is not here. It is tried again by itself when that arrives; look why that does not come."
        }
        QuarantineCause::Refused => {
            "A rule of ownership forbids it, or the server does not take it. Correct it where it was written."
        }
        QuarantineCause::Unsupported => {
            "This version does not know its table or a value in it. Upgrade this program; it is tried again then."
        }
        QuarantineCause::Malformed => {
            "Its data break the shape of its type. Correct it where it was written, or upgrade this program."
        }
        QuarantineCause::Ignored => "Of no use here; kept to be seen. Nothing to do.",
    }
}

fn list(parts: &Parts, options: &QuarantineList, out: &Output) -> Result<Ended, Failure> {
    let cause = options.cause.map(QuarantineCause::from);
    if out.json && !options.groups {
        return documents(parts, cause, out);
    }
    let groups = set_aside_groups(parts.storage.as_ref(), cause)?;
    if out.json {
        for group in &groups {
            out.document(group)?;
        }
        return Ok(Ended::Done);
    }
    if groups.is_empty() {
        out.line("Nothing is set aside.")?;
    }
    let mut last = None;
    for group in &groups {
        if last != Some(group.cause) {
            let of_cause = groups.iter().filter(|other| other.cause == group.cause);
            let count = of_cause.map(|other| other.records).sum();
            out.line(&format!("{}: {}", group.cause.as_str(), counted(count, "record")))?;
            wrapped(out, "  ", meaning(group.cause))?;
            last = Some(group.cause);
        }
        show_group(group, out)?;
        if !options.groups {
            members(parts, group, if options.all { usize::MAX } else { LISTED }, out)?;
        }
    }
    if !groups.is_empty() {
        out.hint("One of them in full: oms-sync quarantine show NUMBER");
    }
    Ok(Ended::Done)
}

/// A JSON line for each record.
fn documents(parts: &Parts, cause: Option<QuarantineCause>, out: &Output) -> Result<Ended, Failure> {
    let mut after = 0;
    loop {
        let page = quarantine(parts.storage.as_ref(), after, PAGE)?;
        for (row, why) in &page {
            after = row.sequence;
            if cause.is_some_and(|wanted| wanted != why.cause) {
                continue;
            }
            let waits_for = why.waits_for.as_ref().map(|(table, id)| json!({ "table": table, "id": id }));
            out.document(&json!({
                "number": row.sequence, "table": row.incoming.table, "id": row.incoming.id,
                "from": source_name(row.incoming.source), "cause": why.cause, "reason": why.reason,
                "waits_for": waits_for, "received_at": row.received_at,
            }))?;
        }
        if page.len() < PAGE {
            return Ok(Ended::Done);
        }
    }
}

fn show_group(group: &SetAsideGroup, out: &Output) -> Result<(), Failure> {
    let (table, from, since) = (&group.table, &group.from, moment(group.oldest_received_at));
    out.line(&format!("  {} of {table} from {from}, the first at {since}", group.records))?;
    match &group.waits_for {
        Some((table, id)) if group.cause == QuarantineCause::Waiting => {
            wrapped(out, "    ", &format!("wait for {table} {id}"))
        }
        _ => wrapped(out, "    ", &group.reason),
    }
}

/// The first records of a group, by number.
fn members(parts: &Parts, group: &SetAsideGroup, most: usize, out: &Output) -> Result<(), Failure> {
    let mut after = group.first_number.saturating_sub(1);
    let mut shown = 0;
    while (shown as u64) < group.records {
        let page = quarantine(parts.storage.as_ref(), after, PAGE)?;
        let is_last = page.len() < PAGE;
        for (row, why) in page {
            after = row.sequence;
            let same_kind = why.waits_for == group.waits_for && why.cause == group.cause;
            let same = same_kind && row.incoming.table == group.table && source_name(row.incoming.source) == group.from;
            if !same || (group.waits_for.is_none() && !alike(&why.reason, &group.reason)) {
                continue;
            }
            if shown == most {
                let more = group.records.saturating_sub(shown as u64);
                return out.line(&format!("      and {more} more; --all lists them"));
            }
            out.line(&short(&format!("    {:>6}  {}", row.sequence, row.incoming.id), WIDTH))?;
            shown += 1;
        }
        if is_last {
            break;
        }
    }
    Ok(())
}

/// Whether two reasons begin with the same field or rule.
fn alike(one: &str, other: &str) -> bool {
    let head = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    one == other || head(one) == head(other)
}

fn show(found: &SetAside, out: &Output) -> Result<(), Failure> {
    let kind = record_type(found.table.as_str());
    let rule = kind.filter(|_| found.cause == QuarantineCause::Refused).map(|kind| match kind.writers {
        Writers::Central => "only central may write this type",
        Writers::Everyone => "every site may write this type",
        Writers::StoreSite => "only the site of the record's store may write this type",
        Writers::StoreSiteOrCentral => "the site of the record's store and central may write this type",
        Writers::StoreSiteElseCentral => "the site of the record's store may write it; without a store central alone",
    });
    facts(
        out,
        &[
            ("number", Some(found.number.to_string())),
            ("record", Some(format!("{} {}", found.table, found.id))),
            ("from", Some(found.from.clone())),
            ("received", Some(moment(found.received_at))),
            ("cause", Some(found.cause.as_str().to_owned())),
            ("reason", Some(found.reason.clone())),
            ("field", found.path.clone()),
            ("rule", rule.map(str::to_owned)),
            (
                "here",
                Some(if found.is_here { "another version of it is here" } else { "no version is here" }.to_owned()),
            ),
            ("what helps", Some(meaning(found.cause).to_owned())),
        ],
    )?;
    for awaited in &found.waits_for {
        wrapped(out, "", &waits(awaited))?;
    }
    data(found, out)
}

/// What a record waits for, and where that is.
pub(super) fn waits(awaited: &Awaited) -> String {
    let Awaited { table, id, state, .. } = awaited;
    let named = format!("waits for {table} {id}");
    match state {
        AwaitedState::NotHere => format!(
            "{named}, which is not here: it never came, or was lost. Ask on the other end: oms-sync explain {table} {id}; \
             if it has it, oms-sync cursor rewind pull reads it again."
        ),
        AwaitedState::Here => format!("{named}, which is here: oms-sync quarantine retry"),
        AwaitedState::Staged => format!("{named}, which came and is integrated by the next cycle"),
        AwaitedState::SetAside { number, cause } => {
            format!("{named}, which is set aside itself: number {number}, {}", cause.as_str())
        }
        AwaitedState::Join => {
            format!("waits until patient {id} is visible in a store of the site that sent it (a {table})")
        }
        _ => named,
    }
}

fn data(found: &SetAside, out: &Output) -> Result<(), Failure> {
    out.line("data")?;
    let Some(fields) = Fields::parse(found.data.as_str()) else {
        return out.line(&short(&format!("  {}", found.data.as_str()), WIDTH));
    };
    for (key, value) in fields.iter() {
        let at_fault = found.path.as_deref().is_some_and(|path| path.strip_prefix("$.") == Some(key));
        let mark = if at_fault { "> " } else { "  " };
        out.line(&short(&format!("{mark}{key}: {}", value.get().replace(['\n', '\r'], " ")), WIDTH))?;
    }
    Ok(())
}

fn try_again(parts: &Parts, options: &QuarantineRetry, out: &Output) -> Result<Ended, Failure> {
    let which = match (options.number, options.cause) {
        (Some(number), _) => Which::One(number),
        (None, Some(cause)) => Which::Cause(cause.into()),
        (None, None) => Which::All,
    };
    let retried = retry(parts.storage.as_ref(), parts.clock.as_ref(), which)?;
    if out.json {
        out.document(&retried)?;
    } else {
        tell(&retried, options.cause, out)?;
    }
    let left = retried.set_aside_again > 0 || !retried.not_retried.is_empty();
    Ok(if left { Ended::LeftBehind } else { Ended::Done })
}

fn tell(retried: &Retried, cause: Option<Cause>, out: &Output) -> Result<(), Failure> {
    if retried.staged + retried.sent_again + retried.integrated == 0 && retried.not_retried.is_empty() {
        let which = cause.map(|cause| format!(" as {}", QuarantineCause::from(cause).as_str())).unwrap_or_default();
        return out.line(&format!("Nothing is set aside{which}."));
    }
    if retried.staged + retried.integrated > 0 && retried.tried {
        out.line(&format!(
            "tried again: {}; integrated {}, set aside again {}",
            retried.staged, retried.integrated, retried.set_aside_again
        ))?;
    } else if retried.staged > 0 {
        let staged = counted(retried.staged, "record");
        wrapped(out, "", &format!("staged again: {staged}; a cycle runs here, and the next one tries them"))?;
    }
    if retried.kept_local > 0 {
        wrapped(out, "", &format!("{} gave way to edits made here that are not pushed yet", retried.kept_local))?;
    }
    if retried.sent_again > 0 {
        out.line(&format!("goes out again with the next push: {}", counted(retried.sent_again, "record")))?;
    }
    for left in &retried.not_retried {
        wrapped(out, "", &format!("not tried: {}, {} {}: {}", left.number, left.table, left.id, left.why))?;
    }
    if retried.set_aside_again > 0 {
        out.hint("Why: oms-sync quarantine list");
    }
    Ok(())
}
