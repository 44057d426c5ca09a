//! `explain`: where a record is, and what became of it.

use sync_core::record::{RecordId, TableName};
use sync_core::storage::QuarantineCause;
use sync_core::support::{Explanation, Receivers, Sent, SentState, SetAside, Travels, Verdict, Written, explain};
use sync_core::{ChangeAction, ErrorClass};

use super::layout::{counted, moment, say, wrapped};
use super::quarantine::waits;
use crate::args::{Args, Explain};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Explain, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    let (table, id) = (TableName::from(options.table.as_str()), RecordId::from(options.id.as_str()));
    let found = explain(parts.storage.as_ref(), &table, &id)?;
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
    }
    Ok(match found.verdict {
        Verdict::NotKnown => Ended::Reported(ErrorClass::Input),
        Verdict::SetAside => Ended::LeftBehind,
        _ => Ended::Done,
    })
}

fn show(found: &Explanation, out: &Output) -> Result<(), Failure> {
    wrapped(out, "", &format!("{} {}: {}", found.table, found.id, in_words(found.verdict)))?;
    wrapped(out, "", travels(found.travels))?;
    if let Some(size) = found.bytes {
        out.line(&format!("It is here, with {} of data.", bytes(size)))?;
    }
    for (index, change) in found.changes.iter().enumerate() {
        written(change, index > 0 && found.bytes.is_some(), out)?;
    }
    if let Some(since) = found.staged_since {
        let since = moment(since);
        wrapped(out, "", &format!("{since}  a version came, and is integrated by the next cycle"))?;
    }
    for row in &found.set_aside {
        set_aside(row, out)?;
    }
    if found.awaited_by > 0 {
        let waiting = counted(found.awaited_by, "record");
        wrapped(out, "", &format!("Set aside until this one comes: {waiting} (oms-sync quarantine list)"))?;
    }
    advice(found, out)
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotKnown => "never seen here",
        Verdict::SetAside => "a version of it is set aside",
        Verdict::Staged => "came, and waits to be integrated",
        Verdict::WaitsForPush => "changed here, and waits to be pushed",
        Verdict::Sent => "sent; the other end has not said yet that it is integrated",
        Verdict::Taken => "sent, and taken by the other end",
        Verdict::Received => "came from the other end, and nothing of it waits",
        Verdict::StaysHere => "written here, and does not leave this database",
        _ => "on this central server, for the sites to pull",
    }
}

fn travels(how: Travels) -> &'static str {
    match how {
        Travels::V6BothWays => "Its type travels over V6, from sites to central and from there to sites.",
        Travels::V6FromCentral => "Its type travels over V6, from central to sites only.",
        Travels::V6ToCentral => "Its type travels over V6, from sites to central only.",
        Travels::V5BothWays => "Its type travels over V5, between a site and the legacy server.",
        Travels::V5FromLegacy => "Its type travels over V5, from the legacy server to sites only.",
        _ => "This version knows no such table.",
    }
}

fn written(change: &Written, is_beside: bool, out: &Output) -> Result<(), Failure> {
    let verb = match (change.action, change.by.as_str()) {
        (ChangeAction::Upsert, "here") => "written here".to_owned(),
        (ChangeAction::Delete, "here") => "deleted here".to_owned(),
        (ChangeAction::Upsert, by) => format!("came from {by}"),
        (ChangeAction::Delete, by) => format!("deletion came from {by}"),
    };
    let store = change.store_id.as_ref().map(|store| format!(", of store {store}")).unwrap_or_default();
    let cycle = change.brought_by_cycle.map(|at| format!(", with the cycle of {}", moment(at))).unwrap_or_default();
    let beside = if is_beside { "; for a store that it has left" } else { "" };
    let (at, cursor) = (moment(change.at), change.cursor);
    wrapped(out, "", &format!("{at}  {verb}, change {cursor}{store}{cycle}{beside}"))?;
    for sent in &change.sent {
        wrapped(out, "  ", &way_out(sent))?;
    }
    if let Some(receivers) = &change.receivers {
        wrapped(out, "  ", &who(receivers))?;
    }
    Ok(())
}

fn way_out(sent: &Sent) -> String {
    let to = if sent.to == "legacy" { "the legacy server" } else { "central" };
    let cycle = match sent.by_cycle {
        Some(at) => format!("the cycle of {}", moment(at)),
        None => "a cycle that the log no longer has".to_owned(),
    };
    match sent.state {
        SentState::Waits if sent.before_it == 0 => format!("to {to}: waits; it goes out first with the next push"),
        SentState::Waits => format!("to {to}: waits; {} before it", counted(sent.before_it, "change")),
        SentState::Sent => format!("to {to}: taken, with {cycle}; whether it is integrated there is not known yet"),
        _ => format!(
            "to {to}: taken, with {cycle}, and {to} is done integrating. Whether it set the record aside is not told \
             over the line: ask there."
        ),
    }
}

fn who(receivers: &Receivers) -> String {
    if receivers.sites == 0 {
        return "no site that is known here reads it".to_owned();
    }
    let not_yet: Vec<String> = receivers.not_yet.iter().map(ToString::to_string).collect();
    let left = receivers.sites - receivers.have_it;
    let left = match left {
        0 => String::new(),
        _ => format!("; not yet: site {}", not_yet.join(", ")),
    };
    format!("for {}: {} read past it{left}", counted(receivers.sites, "site"), receivers.have_it)
}

fn set_aside(row: &SetAside, out: &Output) -> Result<(), Failure> {
    let (at, number, from, cause) = (moment(row.received_at), row.number, &row.from, row.cause.as_str());
    let came = if from == "here" { "written here and not taken".to_owned() } else { format!("came from {from}") };
    wrapped(out, "", &format!("{at}  {came}, and set aside as {cause}, number {number}: {}", row.reason))?;
    for awaited in &row.waits_for {
        say(out, "  ", &waits(awaited))?;
    }
    if row.waits_for.is_empty() && row.cause != QuarantineCause::Ignored {
        say(out, "  ", &row.cause.meaning())?;
    }
    Ok(())
}

fn advice(found: &Explanation, out: &Output) -> Result<(), Failure> {
    for table in &found.also_in {
        out.line(&format!("A record of {table} has the same id."))?;
    }
    if let Some(table) = found.table_may_be {
        out.line(&format!("Did you mean the table {table}?"))?;
    }
    match found.verdict {
        Verdict::NotKnown => wrapped(
            out,
            "",
            "Check table and id; capital letters count. If the other end has it: oms-sync preview pull says whether it \
             comes with the next sync; what lies behind the pull cursor is read again by oms-sync cursor rewind pull.",
        ),
        Verdict::WaitsForPush => wrapped(out, "", "Next: oms-sync sync"),
        Verdict::Taken => wrapped(out, "", "If the other end has lost it since: oms-sync resend sends it again."),
        _ => Ok(()),
    }
}
