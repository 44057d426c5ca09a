//! `migrate`: moves a central server's database to another place.

use std::fs::File;
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::json;
use sync_core::Error;
use sync_core::storage::{MigrationEnd, MigrationProgress, MigrationReport, MigrationStep};

use super::layout::say;
use super::serve;
use crate::args::{Args, Database, Migrate};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::sentences::migration_shown as shown;
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::witness_of;

pub(super) fn run(args: &Args, options: &Migrate, out: &Output) -> Result<CommandOutcome, Failure> {
    let from = end(args, &options.from)?;
    let to = options.to.as_ref().map(|to| end(args, to)).transpose()?;
    let _locks = locks(options)?;
    end_on_signals();
    match (options.undo, to) {
        (false, Some(to)) => migrate(args, options, &from, &to, out),
        (_, to) => undo(args, options, &from, to.as_ref(), out),
    }
}

fn end(args: &Args, database: &Database) -> Result<MigrationEnd, Error> {
    Ok(match database.server()? {
        Some(address) => MigrationEnd::Server { address: Box::new(address), witness: Some(witness_of(args)) },
        None => MigrationEnd::File(database.to_path_buf()),
    })
}

/// Keeps `serve` from the file. The library does so on a server.
fn locks(options: &Migrate) -> Result<Vec<File>, Error> {
    let is_possible = options.to.as_ref().is_none_or(|to| to.is_on_server() != options.from.is_on_server());
    let ends = [Some(&options.from), options.to.as_ref()].into_iter().flatten();
    let files = ends.filter(|end| is_possible && end.is_file());
    files.map(|file| serve::lock(&file.canonicalize().unwrap_or_else(|_| file.to_path_buf()))).collect()
}

/// The result as a JSON document.
#[derive(Serialize)]
struct Moved<'m> {
    from: String,
    to: String,
    #[serde(flatten)]
    report: &'m MigrationReport,
}

fn migrate(
    args: &Args,
    options: &Migrate,
    from: &MigrationEnd,
    to: &MigrationEnd,
    out: &Output,
) -> Result<CommandOutcome, Failure> {
    let mut progress = Progress::new(out);
    let mut last = None;
    let report = args.builder()?.migrate(from, to, |at: &MigrationProgress| {
        if last != Some((at.step, at.table)) {
            last = Some((at.step, at.table));
            progress.begin(at.table);
            if at.total > 0 {
                progress.say(&match at.step {
                    MigrationStep::Copy => shown::copying(at.table, at.total),
                    MigrationStep::Compare => shown::comparing(at.table, at.total),
                });
            }
        }
        progress.at(at.done, at.total, false);
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(progress);
    let shown_at = |end: Option<&Database>| end.map(|end| end.display().to_string()).unwrap_or_default();
    let (from, to) = (shown_at(Some(&options.from)), shown_at(options.to.as_ref()));
    if out.json {
        out.document(&Moved { from, to, report: &report })?;
        return Ok(CommandOutcome::Done);
    }
    for copied in report.tables.iter().filter(|copied| copied.rows > 0) {
        out.line(&format!("  {:16}  {}", copied.table, copied.rows))?;
    }
    if report.resumed {
        say(out, "", &shown::resumed())?;
    }
    say(out, "", &shown::moved(&from, &to))?;
    out.hint_said(&shown::next(from, to));
    Ok(CommandOutcome::Done)
}

fn undo(
    args: &Args,
    options: &Migrate,
    from: &MigrationEnd,
    to: Option<&MigrationEnd>,
    out: &Output,
) -> Result<CommandOutcome, Failure> {
    args.builder()?.undo_migration(from, to)?;
    let (database, is_given_up) = (options.from.display().to_string(), to.is_none());
    if out.json {
        out.document(&json!({ "database": database, "copy_given_up": is_given_up }))?;
        return Ok(CommandOutcome::Done);
    }
    say(out, "", &if is_given_up { shown::given_up(database) } else { shown::undone(database) })?;
    if is_given_up {
        out.hint_said(&shown::never_use());
    }
    Ok(CommandOutcome::Done)
}
