//! `changelog`: the changes made here, in order.

use serde_json::json;
use sync_core::Role;
use sync_core::record::Cursor;

use super::layout::moment;
use crate::args::{Args, Changelog};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::records_shown::written_by_site;
use crate::site_names::SiteNames;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Changelog, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    let is_central = workspace.role()? == Some(Role::Central);
    let changes = workspace.replica.records().changes(Cursor(options.from), options.limit)?;
    let head = ["CURSOR", "TABLE", "ID", "ACTION", "STORE", "WRITTEN BY", "AT"];
    let names = SiteNames::of(&workspace)?;
    let word = |word| out.word(word).to_owned();
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in changes {
        let change = row.change;
        let action = format!("{:?}", change.action).to_lowercase();
        if out.json {
            out.document(&json!({
                "cursor": row.cursor, "table": change.table, "id": change.id, "action": action,
                "store_id": change.store, "name_id": change.name, "source_site_id": change.source_site,
                "is_sync_update": change.is_sync_update, "changed_at": change.changed_at,
            }))?;
            continue;
        }
        let writer = match (change.is_sync_update, change.source_site) {
            (false, _) => word("here"),
            (true, Some(site)) if is_central => out.texts.say(&written_by_site(names.with_name(site))),
            (true, Some(_)) => word("legacy"),
            (true, None) if change.is_written_here() => word("here"),
            (true, None) => word("central"),
        };
        rows.push(vec![
            row.cursor.to_string(),
            change.table.to_string(),
            change.id.to_string(),
            out.word(&action).to_owned(),
            change.store.map(|store| store.to_string()).unwrap_or_default(),
            writer,
            moment(change.changed_at),
        ]);
    }
    if !out.json {
        out.table(&rows)?;
    }
    Ok(CommandOutcome::Done)
}
