//! `quarantine`: records that could not be integrated or were refused, with the reason and the advice.

use serde_json::json;
use sync_core::Message;
use sync_core::central::SiteList;
use sync_core::record::{Fields, Writers, record_type};
use sync_core::storage::QuarantineCause;
use sync_core::support::{
    Awaited, AwaitedRoute, AwaitedState, RecordStore, Retried, RetrySelection, SetAside, SetAsideGroup, source_name,
};

use super::layout::{facts, moment, say, short, wrapped};
use crate::args::{Args, Cause, Quarantine, QuarantineList, QuarantineRetry};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::{common, quarantine_shown as shown, records};
use crate::site_names::SiteNames;
use crate::typed_commands::in_quotes;
use crate::workspace::Workspace;

/// The records of a group that are shown to people.
const LISTED: usize = 5;
const PAGE: usize = 500;

pub(super) fn run(args: &Args, command: &Quarantine, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = match command {
        Quarantine::List(_) | Quarantine::Show { .. } => Workspace::open_to_read(args, out)?,
        _ => Workspace::open(args, out)?,
    };
    match command {
        Quarantine::List(options) => list(&workspace, options, out),
        Quarantine::Show { number } => {
            let found = workspace.support().set_aside(*number)?;
            if out.json {
                out.document(&found)?
            } else {
                let is_own_list = workspace.replica.site_list()? == Some(SiteList::Local);
                show(&found, &SiteNames::of(&workspace)?, is_own_list, out)?
            }
            Ok(CommandOutcome::Done)
        }
        Quarantine::Retry(options) => try_again(&workspace, options, out),
        Quarantine::Ignore { number, reason } => {
            workspace.support().ignore(*number, reason)?;
            let found = workspace.support().set_aside(*number)?;
            if out.json {
                out.document(&found)?;
            } else {
                let (table, id) = (&found.table, &found.id);
                say(out, "", &shown::ignored(table.as_str(), id.as_str(), &found.reason))?;
            }
            Ok(CommandOutcome::Done)
        }
    }
}

fn list(workspace: &Workspace, options: &QuarantineList, out: &Output) -> Result<CommandOutcome, Failure> {
    let cause = options.cause.map(QuarantineCause::from);
    if out.json && !options.groups {
        return documents(workspace, cause, out);
    }
    let groups = workspace.support().set_aside_groups(cause)?;
    if out.json {
        for group in &groups {
            out.document(group)?;
        }
        return Ok(CommandOutcome::Done);
    }
    if groups.is_empty() {
        say(out, "", &shown::nothing())?;
    }
    let names = SiteNames::of(workspace)?;
    let mut last = None;
    for group in &groups {
        if last != Some(group.cause) {
            let of_cause = groups.iter().filter(|other| other.cause == group.cause);
            let count = of_cause.map(|other| other.records).sum();
            say(out, "", &shown::cause(group.cause.as_str(), records(count)))?;
            say(out, "  ", &group.cause.meaning())?;
            last = Some(group.cause);
        }
        show_group(group, &names, out)?;
        if !options.groups {
            members(workspace, group, if options.all { usize::MAX } else { LISTED }, out)?;
        }
    }
    if !groups.is_empty() {
        out.hint_said(&shown::one_in_full());
    }
    Ok(CommandOutcome::Done)
}

/// A JSON line for each record.
fn documents(workspace: &Workspace, cause: Option<QuarantineCause>, out: &Output) -> Result<CommandOutcome, Failure> {
    let mut after = 0;
    loop {
        let page = workspace.support().quarantine(after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(CommandOutcome::Done) };
        after = last.sequence;
        for (row, why) in &page {
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
    }
}

fn show_group(group: &SetAsideGroup, names: &SiteNames, out: &Output) -> Result<(), Failure> {
    let (table, since) = (group.table.as_str(), moment(group.oldest_received_at));
    let said = out.texts.say(&shown::group(group.records, table, names.source(&group.from), since));
    wrapped(out, "  ", &said)?;
    match &group.waits_for {
        Some((table, id)) if group.cause == QuarantineCause::Waiting => {
            say(out, "    ", &shown::wait_for(table.as_str(), id.as_str()))
        }
        _ => wrapped(out, "    ", &group.reason),
    }
}

/// The first records of a group, by number.
fn members(workspace: &Workspace, group: &SetAsideGroup, most: usize, out: &Output) -> Result<(), Failure> {
    let mut after = group.first_number.saturating_sub(1);
    let mut shown = 0;
    while (shown as u64) < group.records {
        let page = workspace.support().quarantine(after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = last.sequence;
        for (row, why) in page {
            if !group.holds(&row, &why) {
                continue;
            }
            if shown == most {
                let more = group.records.saturating_sub(shown as u64);
                return say(out, "      ", &shown::and_more(more));
            }
            out.line(&short(&format!("    {:>6}  {}", row.sequence, row.incoming.id), out.width()))?;
            shown += 1;
        }
    }
    Ok(())
}

fn show(found: &SetAside, names: &SiteNames, is_own_list: bool, out: &Output) -> Result<(), Failure> {
    let kind = record_type(found.table.as_str());
    let rule = kind.filter(|_| found.cause == QuarantineCause::Refused).map(|kind| match kind.writers {
        Writers::Central => shown::only_central(),
        Writers::Everyone => shown::everyone(),
        Writers::Author => shown::author(),
        Writers::Holder => shown::holder(),
        Writers::StoreSite => shown::store_site(),
        Writers::StoreSiteOrCentral => shown::store_site_or_central(),
        Writers::StoreSiteElseCentral => shown::store_site_else_central(),
    });
    let here = if found.is_here { shown::another_version_here() } else { shown::no_version_here() };
    facts(
        out,
        &[
            ("number", Some(found.number.to_string())),
            ("record", Some(format!("{} {}", found.table, found.id))),
            ("from", Some(names.source(&found.from))),
            ("received", Some(moment(found.received_at))),
            ("cause", Some(found.cause.as_str().to_owned())),
            ("reason", Some(found.reason.clone())),
            ("field", found.path.clone()),
            ("rule", rule.map(|rule| out.texts.say(&rule))),
            ("store", found.store.as_ref().map(|store| out.texts.say(&where_active(store, found, names)))),
            ("here", Some(out.texts.say(&here))),
            ("what helps", Some(out.texts.say(&what_helps(found, names, is_own_list)))),
        ],
    )?;
    for awaited in &found.waits_for {
        say(out, "", &waits(awaited))?;
    }
    data(found, out)
}

/// Where the store of a record is active that is not active on the site which sent the record.
fn where_active(store: &RecordStore, found: &SetAside, names: &SiteNames) -> Message {
    let (id, sender) = (store.store_id.as_str(), names.source(&found.from));
    let store_named = match (&store.name, &store.code) {
        (Some(name), Some(code)) => shown::store_named(id, name, code),
        _ => shown::store_of_id(id),
    };
    match store.active_on {
        Some(site) => shown::store_active_on(store_named, names.with_name(site), sender),
        None => shown::store_active_nowhere(store_named, sender),
    }
}

/// What to do about a record in quarantine.
pub(super) fn what_helps(found: &SetAside, names: &SiteNames, is_own_list: bool) -> Message {
    let Some(store) = found.store.as_ref().filter(|_| found.cause == QuarantineCause::Refused) else {
        return found.cause.meaning();
    };
    let sender = found.from.trim_start_matches("site ");
    let named = names.name(sender).unwrap_or(sender);
    let move_back = match (&store.name, &store.code) {
        (Some(name), Some(code)) if is_own_list => {
            shown::move_store_back(in_quotes(name), in_quotes(code), in_quotes(named), store.store_id.as_str())
        }
        _ => shown::move_store_back_at_legacy(names.source(&found.from)),
    };
    match store.active_on {
        Some(site) => shown::enter_at_other_site(move_back, names.with_name(site), found.number),
        None => shown::or_ignore(move_back, found.number),
    }
}

/// The record that another one waits for, and its state.
pub(super) fn waits(awaited: &Awaited) -> Message {
    let Awaited { table, id, state, route, .. } = awaited;
    let (table, id) = (table.as_str(), id.as_str());
    match state {
        AwaitedState::NotHere => match route {
            AwaitedRoute::RewindWithOwn => shown::not_here_own(table, id),
            AwaitedRoute::Resend => shown::not_at_central(table, id),
            _ => shown::not_here(table, id),
        },
        AwaitedState::Here => shown::here(table, id),
        AwaitedState::Staged => shown::staged(table, id),
        AwaitedState::SetAside { number, cause } => shown::set_aside(table, id, *number, cause.as_str()),
        AwaitedState::Join => shown::join(table, id),
        _ => shown::waits(table, id),
    }
}

fn data(found: &SetAside, out: &Output) -> Result<(), Failure> {
    out.line(&out.name("data"))?;
    let Some(fields) = Fields::parse(found.data.as_str()) else {
        return out.line(&short(&format!("  {}", found.data.as_str()), out.width()));
    };
    for (key, value) in fields.iter() {
        let at_fault = found.path.as_deref().is_some_and(|path| path.strip_prefix("$.") == Some(key));
        let mark = if at_fault { "> " } else { "  " };
        out.line(&short(&format!("{mark}{key}: {}", value.get().replace(['\n', '\r'], " ")), out.width()))?;
    }
    Ok(())
}

fn try_again(workspace: &Workspace, options: &QuarantineRetry, out: &Output) -> Result<CommandOutcome, Failure> {
    let which = match (options.number, options.cause) {
        (Some(number), _) => RetrySelection::One(number),
        (None, Some(cause)) => RetrySelection::Cause(cause.into()),
        (None, None) => RetrySelection::All,
    };
    let retried = out.in_words(workspace.support().retry(which)?);
    if out.json {
        out.document(&retried)?;
    } else {
        tell(&retried, options.cause, out)?;
    }
    let left = retried.set_aside_again > 0 || !retried.not_retried.is_empty();
    Ok(if left { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn tell(retried: &Retried, cause: Option<Cause>, out: &Output) -> Result<(), Failure> {
    if retried.staged + retried.sent_again + retried.integrated == 0 && retried.not_retried.is_empty() {
        let of_cause = |cause| shown::nothing_of_cause(QuarantineCause::from(cause).as_str());
        return say(out, "", &cause.map_or_else(shown::nothing, of_cause));
    }
    if retried.staged + retried.integrated > 0 && retried.tried {
        say(out, "", &shown::tried(retried.staged, retried.integrated, retried.set_aside_again))?;
    } else if retried.staged > 0 {
        say(out, "", &shown::staged_again(records(retried.staged)))?;
    }
    if retried.kept_local > 0 {
        say(out, "", &shown::gave_way(retried.kept_local))?;
    }
    for warning in &retried.warnings {
        say(out, "", &common::warning(warning))?;
    }
    if retried.sent_again > 0 {
        say(out, "", &shown::sent_again(records(retried.sent_again)))?;
    }
    for left in &retried.not_retried {
        let (table, id) = (left.table.as_str(), left.id.as_str());
        say(out, "", &shown::not_tried(left.number, table, id, left.why.clone()))?;
    }
    if retried.set_aside_again > 0 {
        out.hint_said(&shown::why());
    }
    Ok(())
}
