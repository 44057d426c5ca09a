//! `conflicts`: records that were edited here while another version of them came, with both versions.

use serde_json::json;
use sync_core::Message;
use sync_core::record::{Fields, RecordData, RecordId, TableName, record_type};
use sync_core::site::{Conflict, ConflictOutcome, KeptConflict};
use sync_core::support::ComparedConflict;

use super::layout::{cut, facts, moment, pairs, say};
use crate::args::{Args, Conflicts};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::conflicts_shown as shown;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, command: &Conflicts, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    match command {
        Conflicts::List => list(&workspace.replica.conflicts()?, out)?,
        Conflicts::Show { table, id } => {
            let (table, id) = (TableName::from(table.as_str()), RecordId::from(id.as_str()));
            let found = workspace.support().conflict(&table, &id)?;
            if out.json { out.document(&found)? } else { show(&found, out)? }
        }
    }
    Ok(CommandOutcome::Done)
}

fn list(all: &[KeptConflict], out: &Output) -> Result<(), Failure> {
    if out.json {
        return all.iter().try_for_each(|kept| {
            let Conflict { table, id, from, is_deletion, cursor, digest, differs, outcome, .. } = &kept.conflict;
            out.document(&json!({
                "table": table, "id": id, "from": from, "is_deletion": is_deletion, "cursor": cursor, "digest": digest,
                "differs": differs, "outcome": outcome, "at": kept.at,
            }))
        });
    }
    if all.is_empty() {
        return say(out, "", &shown::none());
    }
    for KeptConflict { conflict, at, .. } in all {
        out.line(&format!("{}  {}", moment(*at), conflict.table))?;
        out.line(&format!("  {}", conflict.id))?;
        let ended = ended(conflict);
        let said = match conflict.differs.is_empty() {
            true => ended,
            false => shown::of_fields(ended, conflict.differs.join(", ")),
        };
        say(out, "    ", &said)?;
    }
    out.hint_said(&shown::one_in_full());
    Ok(())
}

/// How a conflict ended.
fn ended(conflict: &Conflict) -> Message {
    match conflict.outcome {
        ConflictOutcome::TookReceived => shown::took_received(conflict.from),
        ConflictOutcome::Replaced => shown::replaced(conflict.from),
        ConflictOutcome::ResolverFailed => shown::resolver_failed(conflict.from),
        ConflictOutcome::NotTaken => shown::not_taken(conflict.from),
        _ => shown::kept_local(conflict.from),
    }
}

fn show(found: &ComparedConflict, out: &Output) -> Result<(), Failure> {
    let KeptConflict { conflict, at, local, received, .. } = &found.kept;
    facts(
        out,
        &[
            ("record", Some(format!("{} {}", conflict.table, conflict.id))),
            ("from", Some(conflict.from.to_owned())),
            ("received", Some(moment(*at))),
            ("position", conflict.cursor.map(|cursor| out.texts.say(&shown::position(cursor.to_string())))),
            ("outcome", Some(out.texts.say(&ended(conflict)))),
        ],
    )?;
    let took_received = matches!(conflict.outcome, ConflictOutcome::TookReceived | ConflictOutcome::NotTaken);
    if conflict.is_deletion {
        say(out, "", &shown::deletion(conflict.from))?;
    } else if let (None, false, Some(digest)) = (received, took_received, &conflict.digest) {
        say(out, "", &shown::not_kept(digest))?;
    }
    if local.is_none() && matches!(conflict.outcome, ConflictOutcome::TookReceived | ConflictOutcome::Replaced) {
        say(out, "", &shown::edit_not_kept())?;
    }
    if found.here.is_none() {
        say(out, "", &shown::not_here())?;
    }
    let versions = [("here", &found.here), ("edited here", local), ("received", received)];
    let versions: Vec<(&str, &RecordData)> =
        versions.into_iter().filter_map(|(name, version)| Some((name, version.as_ref()?))).collect();
    // Of one version alone every field is shown.
    let fields = match (&versions[..], found.fields.is_empty()) {
        ([(_, only)], true) => keys(only),
        _ => found.fields.clone(),
    };
    if fields.is_empty() && !versions.is_empty() {
        say(out, "", &shown::no_field())?;
    }
    for field in &fields {
        out.line("")?;
        out.line(field)?;
        let values = versions.iter().map(|(name, data)| (out.name(name), value(conflict, data, field)));
        pairs(out, "  ", &values.collect::<Vec<_>>(), cut)?;
    }
    Ok(())
}

fn keys(data: &RecordData) -> Vec<String> {
    data.fields().map(|fields| fields.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
}

/// The value of a field in a version, as JSON; `-` if the version does not have it. A type may have it under an older name.
fn value(conflict: &Conflict, data: &RecordData, field: &str) -> String {
    let fields: Option<Fields<'_>> = data.fields();
    let kind = record_type(conflict.table.as_str()).and_then(|kind| kind.field(field));
    let found = fields.as_ref().and_then(|fields| match kind {
        Some(kind) => kind.find(fields).map(|raw| raw.get().to_owned()),
        None => fields.get(field).map(|raw| raw.get().to_owned()),
    });
    found.unwrap_or_else(|| "-".to_owned())
}
