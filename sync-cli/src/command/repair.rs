//! `cursor` and `resend`: reading or sending again after a loss. First a preview, then, with --yes, a backup and the
//! change.

use std::path::{Path, PathBuf};

use serde_json::json;
use sync_core::Error;
use sync_core::record::{Cursor, RecordId, TableName};
use sync_core::support::{PullCursor, ResendFilter};

use super::layout::{moment, say};
use crate::args::{Args, Confirm, CursorCommand, Resend, WhichCursor};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{common, input_given, records, repair_shown as shown};
use crate::workspace::Workspace;

pub(super) fn run_cursor(args: &Args, command: &CursorCommand, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    match command {
        CursorCommand::Show => show(&workspace, out)?,
        CursorCommand::Rewind { which, to, own, confirm } => {
            let which = match which {
                WhichCursor::Pull => PullCursor::Central,
                WhichCursor::PullLegacy => PullCursor::Legacy,
            };
            let planned = workspace.support().plan_rewind(which, Cursor(*to), *own)?;
            let backup = match confirm.reason(planned.changes)? {
                None => None,
                Some(reason) => {
                    let backup = back_up(&workspace, &args.db)?;
                    workspace.support().rewind(&planned, reason)?;
                    Some(backup)
                }
            };
            if out.json {
                out.document(&json!({ "plan": planned, "is_done": backup.is_some(), "backup": backup }))?;
            } else if !planned.changes {
                say(out, "", &shown::nothing_to_rewind(planned.from.to_string()))?;
            } else {
                let (from, to) = (planned.from.to_string(), planned.to.min(planned.from).to_string());
                let rewound = match (backup.is_some(), planned.own) {
                    (true, false) => shown::rewound(from, to),
                    (true, true) => shown::rewound_with_own(from, to),
                    (false, false) => shown::would_rewind(from, to),
                    (false, true) => shown::would_rewind_with_own(from, to),
                };
                say(out, "", &rewound)?;
                say(out, "", &shown::edits_are_kept())?;
                told(backup.as_deref(), out)?;
            }
        }
    }
    Ok(CommandOutcome::Done)
}

fn show(workspace: &Workspace, out: &Output) -> Result<(), Failure> {
    let all = out.in_words(workspace.support().cursors()?);
    let mut rows = vec![["CURSOR", "AT", "END", "MEANS"].map(str::to_owned).to_vec()];
    for cursor in &all {
        if out.json {
            out.document(cursor)?;
        }
        let end = cursor.end.map(|end| end.to_string()).unwrap_or_default();
        rows.push(vec![cursor.name.to_owned(), cursor.position.to_string(), end, cursor.meaning.to_string()]);
    }
    if out.json {
        return Ok(());
    }
    out.table(&rows)?;
    for cursor in &all {
        if let Some(remark) = &cursor.remark {
            say(out, "", &shown::remark(cursor.name, remark.clone()))?;
        }
    }
    Ok(())
}

pub(super) fn run_resend(args: &Args, options: &Resend, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    let lost = ResendFilter::default()
        .table(Some(options.table.as_str()).filter(|table| *table != "all").map(TableName::from))
        .id(options.id.as_deref().map(RecordId::from))
        .since(options.since)
        .received_too(options.received);
    let planned = workspace.support().plan_resend(&lost)?;
    if planned.records + planned.waiting_already == 0 && lost.id.is_some() {
        let id = options.id.clone().unwrap_or_default();
        return Err(Error::not_found(format!("change of {} made here with the id", options.table), id).into());
    }
    let backup = match options.confirm.reason(planned.records > 0)? {
        None => None,
        Some(reason) => {
            let backup = back_up(&workspace, &args.db)?;
            workspace.support().resend(&lost, reason)?;
            Some(backup)
        }
    };
    if out.json {
        out.document(&json!({ "plan": planned, "is_done": backup.is_some(), "backup": backup }))?;
        return Ok(CommandOutcome::Done);
    }
    if planned.waiting_already > 0 {
        say(out, "", &shown::waits_already(records(planned.waiting_already)))?;
    }
    if planned.records == 0 {
        say(out, "", &shown::nothing_to_resend())?;
        return Ok(CommandOutcome::Done);
    }
    let goes = if backup.is_some() { shown::goes_again } else { shown::would_go_again };
    say(out, "", &goes(records(planned.records)))?;
    for count in &planned.by_type {
        let (table, number, size) = (count.table.as_str(), count.records, bytes(count.bytes));
        let of_type = match count.oldest_at {
            Some(at) => shown::of_type_since(table, number, size, moment(at)),
            None => shown::of_type(table, number, size),
        };
        say(out, "  ", &of_type)?;
    }
    say(out, "", &shown::they_win())?;
    told(backup.as_deref(), out)?;
    Ok(CommandOutcome::Done)
}

impl Confirm {
    /// The reason, if the repair is to be done now.
    fn reason(&self, changes: bool) -> Result<Option<&str>, Error> {
        let reason = self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        match (self.yes && changes, reason) {
            (false, _) => Ok(None),
            (true, Some(reason)) => Ok(Some(reason)),
            (true, None) => Err(Error::bad_input(input_given::no_reason())),
        }
    }
}

/// Copies the database beside itself, unless a cycle runs.
fn back_up(workspace: &Workspace, db: &Path) -> Result<PathBuf, Error> {
    let path = put_aside_as(db, &workspace.replica.clock().now().to_string());
    workspace.replica.back_up(&path)?;
    Ok(path)
}

/// The path for a copy of a database as it was before a change at that time.
pub(super) fn put_aside_as(db: &Path, at: &str) -> PathBuf {
    let at: String = at.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut path = db.as_os_str().to_owned();
    path.push(format!(".before-{at}"));
    PathBuf::from(path)
}

fn told(backup: Option<&Path>, out: &Output) -> Result<(), Failure> {
    match backup {
        Some(path) => {
            say(out, "", &shown::backup_in())?;
            out.line(&format!("  {}", path.display()))?;
            out.hint_said(&common::next_sync());
        }
        None => out.hint_said(&shown::to_do_it()),
    }
    Ok(())
}
