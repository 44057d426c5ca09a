//! `records`: reading and writing records as this site.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use serde_json::value::RawValue;
use sync_core::protocol::one_line;
use sync_core::record::{
    Deletion, Fields, RecordData, RecordId, RecordType, TableName, Writers, owned_by_sites, record_type, record_types,
};
use sync_core::text::similar;
use sync_core::{Error, Result as SyncResult};

use crate::args::{Args, Records};
use crate::failure::{CommandOutcome, Failure};
use crate::input::{RECORDS_MAX, unjoined_text_of};
use crate::output::{Output, RecordDocument, on_one_line};
use crate::sentences::{input_given, records_shown as says};
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, command: &Records, out: &Output) -> Result<CommandOutcome, Failure> {
    match command {
        Records::Types => types(out)?,
        Records::List { table } => list(&Workspace::open_to_read(args, out)?, table, out)?,
        Records::Get { table, id } => get(&Workspace::open_to_read(args, out)?, table, id, out)?,
        Records::Put { table, file, dry_run } => put(&Workspace::open(args, out)?, table, file, *dry_run, out)?,
        Records::Delete { table, id } => {
            Workspace::open(args, out)?.replica.records().delete(table, RecordId::from(id.as_str()))?;
            if out.json {
                out.document(&json!({ "table": table, "id": id, "deleted": true }))?;
            } else {
                out.line_said(&says::deleted(table, id))?;
            }
        }
    }
    Ok(CommandOutcome::Done)
}

fn types(out: &Output) -> Result<(), Failure> {
    if out.json {
        for kind in record_types() {
            out.document(&json!({
                "table": kind.table, "changelog_name": kind.changelog_name, "group": kind.group.title(),
                "style": kind.style.spec_name(), "is_pulled": kind.pulled, "is_pushed": kind.pushed,
                "deletion": deletion(kind), "writers": writers(kind), "after": kind.after,
                "added_in": kind.since, "removed_in": kind.removed,
                "fields": kind.fields.iter().map(|field| field.name).collect::<Vec<_>>(),
            }))?;
        }
        return Ok(());
    }
    let head = ["TABLE", "STYLE", "PULLED", "PUSHED", "DELETED", "WRITTEN BY", "SINCE"];
    let word = |word| out.word(word).to_owned();
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for kind in record_types() {
        let yes = |yes: bool| if yes { word("yes") } else { "-".to_owned() };
        let gone = |gone| out.texts.say(&says::since_and_gone(kind.since, gone));
        rows.push(vec![
            kind.table.to_owned(),
            kind.style.spec_name().to_owned(),
            yes(kind.pulled),
            yes(kind.pushed),
            word(deletion(kind)),
            word(writers(kind)),
            kind.removed.map_or_else(|| kind.since.to_owned(), gone),
        ]);
    }
    out.table(&rows)
}

fn deletion(kind: &RecordType) -> &'static str {
    match kind.deletion {
        Deletion::Never => "never",
        Deletion::Soft(_) => "mark",
        Deletion::SoftAndWire(_) => "mark, wire",
        Deletion::Wire => "wire",
    }
}

fn writers(kind: &RecordType) -> &'static str {
    match kind.writers {
        Writers::Central => "central",
        Writers::Everyone => "everyone",
        Writers::Author => "its author",
        Writers::Holder => "its holder",
        Writers::StoreSite => "its site",
        Writers::StoreSiteOrCentral => "its site, central",
        Writers::StoreSiteElseCentral => "its site or central",
    }
}

fn list(workspace: &Workspace, table: &str, out: &Output) -> Result<(), Failure> {
    const PAGE: usize = 500;
    let records = workspace.replica.records();
    let table = TableName::from(table);
    let mut after = None;
    loop {
        let page = records.list(&table, after.as_ref(), PAGE)?;
        for (id, data) in &page {
            if out.json {
                out.document(&RecordDocument { table: &table, id, data })?;
            } else {
                out.line(&format!("{}\t{}", one_line(id.as_str()), on_one_line(data.as_str())))?;
            }
        }
        match page.last() {
            Some((id, _)) if page.len() == PAGE && !out.is_unread() => after = Some(id.clone()),
            _ => return Ok(()),
        }
    }
}

fn get(workspace: &Workspace, table: &str, id: &str, out: &Output) -> Result<(), Failure> {
    let (table, id) = (TableName::from(table), RecordId::from(id));
    let found = workspace.replica.records().get(&table, &id)?;
    let data = found.ok_or_else(|| Error::not_found(table.to_string(), id.to_string()))?;
    if out.json {
        out.document(&RecordDocument { table: &table, id: &id, data: &data })
    } else {
        out.text(&data.as_str().lines().map(on_one_line).collect::<Vec<_>>().join("\n"))
    }
}

fn put(workspace: &Workspace, table: &str, file: &Path, dry_run: bool, out: &Output) -> Result<(), Failure> {
    let data = read_objects(&unjoined_text_of(file, RECORDS_MAX)?)?;
    if data.is_empty() {
        return Err(Error::bad_input(input_given::no_record()).into());
    }
    let records = workspace.replica.records();
    let unknown = misspelled(table, &data);
    let written = if dry_run { records.check(table, data) } else { records.put(table, data) };
    let ids = written.inspect_err(|error| hint_at_cause(error, workspace, out))?;
    for (key, meant) in unknown {
        out.hint_said(&says::key_resembles(key, meant));
    }
    if out.json {
        for id in ids {
            out.document(&json!({ "table": table, "id": id, "written": !dry_run }))?;
        }
    } else {
        let said = if dry_run { says::would_write(ids.len(), table) } else { says::wrote(ids.len(), table) };
        out.line_said(&said)?;
    }
    Ok(())
}

/// Keys that no record of the table has, or that are not known, but that resemble one; each once.
fn misspelled(table: &str, data: &[RecordData]) -> BTreeSet<(String, &'static str)> {
    let (known, aliases): (Vec<&str>, Vec<&str>) = match (record_type(table), owned_by_sites(table)) {
        (Some(kind), _) => {
            let names = kind.fields.iter().map(|field| field.name).collect();
            (names, kind.fields.iter().flat_map(|field| field.aliases).copied().collect())
        }
        (None, Some(legacy)) => (legacy.fields().collect(), vec!["id"]),
        (None, None) => return BTreeSet::new(),
    };
    let mut found = BTreeSet::new();
    for fields in data.iter().filter_map(RecordData::fields) {
        for (key, _) in fields.iter().filter(|(key, _)| !known.contains(key) && !aliases.contains(key)) {
            let names = known.iter().copied().filter(|name| fields.get(name).is_none());
            found.extend(similar(key, names).map(|meant| (key.to_owned(), meant)));
        }
    }
    found
}

/// What somebody has to know beside the error.
fn hint_at_cause(error: &Error, workspace: &Workspace, out: &Output) {
    let is_new = || workspace.replica.status().is_ok_and(|status| !status.initialised && status.legacy_url.is_some());
    if error.code() == "store_not_active_here" && is_new() {
        out.hint_said(&says::not_synced_yet());
    }
}

/// One JSON object, or several in a row; also as `records list --json` prints them.
fn read_objects(text: &str) -> SyncResult<Vec<RecordData>> {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    let listed = |raw: &RawValue| -> Option<RecordData> {
        let fields = Fields::parse(raw.get())?;
        let is_listed = fields.iter().map(|(key, _)| key).eq(["table", "id", "data"]);
        is_listed.then(|| fields.get("data").map(|data| RecordData::of(&data)))?
    };
    let read = |value: serde_json::Result<Box<RawValue>>| {
        value.and_then(|raw| listed(&raw).map_or_else(|| RecordData::parse(raw.get()), Ok))
    };
    stream
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::bad_input(input_given::records_not_json(error.to_string())))
}
