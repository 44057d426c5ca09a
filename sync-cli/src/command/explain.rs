//! `explain`: the state and the history of a record.

use sync_core::central::SiteList;
use sync_core::changelog::ChangeAction;
use sync_core::clock::Timestamp;
use sync_core::record::{RecordId, TableName};
use sync_core::site::Conflict;
use sync_core::support::{
    ChangeHistory, Delivery, DeliveryState, Explanation, Receivers, SetAside, SyncRoute, Verdict,
};
use sync_core::{ErrorClass, Message};

use super::layout::{moment, say};
use super::quarantine::{waits, what_helps};
use crate::args::{Args, Explain};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{common, explain_shown as shown, records};
use crate::site_names::SiteNames;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Explain, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    let (table, id) = (TableName::from(options.table.as_str()), RecordId::from(options.id.as_str()));
    let found = workspace.support().explain(&table, &id)?;
    if out.json {
        out.document(&found)?;
    } else {
        let is_own_list = workspace.replica.site_list()? == Some(SiteList::Local);
        show(&found, &SiteNames::of(&workspace)?, is_own_list, out)?;
    }
    Ok(match found.verdict {
        Verdict::NotKnown => CommandOutcome::Reported(ErrorClass::Input),
        Verdict::SetAside | Verdict::RefusedByCentral => CommandOutcome::LeftBehind,
        _ => CommandOutcome::Done,
    })
}

fn show(found: &Explanation, names: &SiteNames, is_own_list: bool, out: &Output) -> Result<(), Failure> {
    say(out, "", &shown::verdict(found.table.as_str(), found.id.as_str(), in_words(found.verdict)))?;
    say(out, "", &travels(found.travels))?;
    if let Some(size) = found.bytes {
        say(out, "", &shown::is_here(bytes(size)))?;
    }
    for (index, change) in found.changes.iter().enumerate() {
        written(change, index > 0 && found.bytes.is_some(), names, out)?;
    }
    if let Some(at) = found.conflict_at {
        say(out, "", &shown::conflict_at(moment(at)))?;
    }
    if let Some(conflict) = found.conflict.as_ref().filter(|conflict| !conflict.differs.is_empty()) {
        say(out, "  ", &differs(conflict))?;
    }
    if let Some(since) = found.staged_since {
        say(out, "", &shown::staged_since(moment(since)))?;
    }
    if let Some(refused) = &found.refused_by_central {
        let told = if refused.is_newest { shown::not_taken_by_central } else { shown::not_taken_before };
        say(out, "", &told(moment(refused.at), &refused.reason))?;
    }
    for row in &found.set_aside {
        set_aside(row, names, is_own_list, out)?;
    }
    if found.awaited_by > 0 {
        say(out, "", &shown::awaited_by(records(found.awaited_by)))?;
    }
    advice(found, out)
}

fn differs(conflict: &Conflict) -> Message {
    shown::conflict_differs(conflict.from, conflict.differs.join(", "), conflict.table.as_str(), conflict.id.as_str())
}

fn in_words(verdict: Verdict) -> Message {
    match verdict {
        Verdict::NotKnown => shown::not_known(),
        Verdict::SetAside => shown::set_aside(),
        Verdict::Staged => shown::staged(),
        Verdict::WaitsForPush => shown::waits_for_push(),
        Verdict::Sent => shown::sent(),
        Verdict::Taken => shown::taken(),
        Verdict::Received => shown::received(),
        Verdict::RefusedByCentral => shown::refused_by_central(),
        Verdict::StaysHere => shown::stays_here(),
        _ => shown::at_central(),
    }
}

fn travels(how: SyncRoute) -> Message {
    match how {
        SyncRoute::V6BothWays => shown::v6_both_ways(),
        SyncRoute::V6FromCentral => shown::v6_from_central(),
        SyncRoute::V6ToCentral => shown::v6_to_central(),
        SyncRoute::V5BothWays => shown::v5_both_ways(),
        SyncRoute::V5FromLegacy => shown::v5_from_legacy(),
        _ => shown::no_such_table(),
    }
}

fn written(change: &ChangeHistory, is_beside: bool, names: &SiteNames, out: &Output) -> Result<(), Failure> {
    let (at, number) = (moment(change.at), change.cursor.to_string());
    let mut said = match (change.action, change.by.as_str()) {
        (ChangeAction::Upsert, "here") => shown::written_here(at, number),
        (ChangeAction::Delete, "here") => shown::deleted_here(at, number),
        (ChangeAction::Upsert, by) => shown::came(at, names.source(by), number),
        (ChangeAction::Delete, by) => shown::deletion_came(at, names.source(by), number),
    };
    if let Some(store) = &change.store_id {
        said = shown::of_store(said, store.as_str());
    }
    if let Some(cycle) = named(change.brought_by_cycle, change.brought_by_cycle_number) {
        said = shown::with_cycle(said, cycle);
    }
    if change.local_only {
        said = shown::local_only(said);
    }
    if is_beside {
        said = shown::for_store_left(said);
    }
    say(out, "", &said)?;
    for sent in &change.sent {
        say(out, "  ", &way_out(sent))?;
    }
    if let Some(receivers) = &change.receivers {
        say(out, "  ", &who(receivers, names))?;
    }
    Ok(())
}

/// A cycle, with its argument for `log show`.
fn named(began: Option<Timestamp>, number: Option<usize>) -> Option<Message> {
    began.zip(number).map(|(at, number)| shown::cycle_of(moment(at), number))
}

fn way_out(sent: &Delivery) -> Message {
    let to = if sent.to == "legacy" { "the legacy server" } else { "central" };
    let cycle = named(sent.by_cycle, sent.by_cycle_number).unwrap_or_else(shown::cycle_not_told);
    match (sent.state, sent.before_it) {
        (DeliveryState::Waits, 0) => shown::goes_first(to),
        (DeliveryState::Waits, 1) => shown::goes_after_one(to),
        (DeliveryState::Waits, count) => shown::goes_after(to, count),
        (DeliveryState::Sent, _) => shown::on_its_way(to, cycle),
        (DeliveryState::NotTaken, _) => shown::refused(to),
        (DeliveryState::Refused, _) => shown::refused_there(to, cycle),
        _ => shown::integrated(to, cycle),
    }
}

fn who(receivers: &Receivers, names: &SiteNames) -> Message {
    let have_it = receivers.have_it;
    let sites = match receivers.sites {
        0 => return shown::no_reader(),
        1 => shown::one_site(),
        sites => shown::sites(sites),
    };
    if receivers.sites == have_it {
        return shown::read_past(sites, have_it);
    }
    let not_yet: Vec<String> = receivers.not_yet.iter().map(|site| names.with_name(site)).collect();
    shown::not_yet_past(sites, have_it, not_yet.join(", "))
}

fn set_aside(row: &SetAside, names: &SiteNames, is_own_list: bool, out: &Output) -> Result<(), Failure> {
    let (at, number, cause, reason) = (moment(row.received_at), row.number, row.cause.as_str(), &row.reason);
    let said = match row.from.as_str() {
        "here" => shown::not_taken(at, cause, number, reason),
        from => shown::came_set_aside(at, names.source(from), cause, number, reason),
    };
    say(out, "", &said)?;
    for awaited in &row.waits_for {
        say(out, "  ", &waits(awaited))?;
    }
    if row.waits_for.is_empty() && !row.cause.is_settled() {
        say(out, "  ", &what_helps(row, names, is_own_list))?;
    }
    Ok(())
}

fn advice(found: &Explanation, out: &Output) -> Result<(), Failure> {
    for table in &found.also_in {
        say(out, "", &shown::also_in(table.as_str()))?;
    }
    if let Some(table) = found.table_may_be {
        say(out, "", &shown::table_may_be(table))?;
    }
    match found.verdict {
        Verdict::NotKnown => say(out, "", &shown::check_it()),
        Verdict::RefusedByCentral => say(out, "", &shown::write_again()),
        Verdict::WaitsForPush => say(out, "", &common::next_sync()),
        Verdict::Taken => say(out, "", &shown::lost_there()),
        _ => Ok(()),
    }
}
