//! `files`: photos and documents of records.

use serde_json::json;
use sync_core::Error;
use sync_core::files::{FileFault, FileInfo};
use sync_core::record::RecordId;
use sync_core::site::{FilesOptions, FilesReport};
use sync_core::storage::{FileDirection, FileState};
use sync_core::text::Detail;

use super::layout::moment;
use crate::args::{Args, Files};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::progress::Progress;
use crate::sentences::files_shown as says;
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, command: &Files, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    match command {
        Files::List => list(&workspace, out),
        Files::Attach { table, id, file } => {
            let file_id = workspace.files().attach(table, id, file)?;
            if out.json {
                out.document(&json!({ "id": file_id, "table": table, "record_id": id }))?;
            } else {
                let file = file.display().to_string();
                out.line_said(&says::attached(file, table, id, file_id.as_str()))?;
                out.hint_said(&says::goes_out_with());
            }
            Ok(CommandOutcome::Done)
        }
        Files::Fetch { id } => {
            workspace.files().fetch(&RecordId::from(id.as_str()))?;
            if out.json {
                out.document(&json!({ "id": id, "queued": true }))?;
            } else {
                out.line_said(&says::tried_next(id))?;
            }
            Ok(CommandOutcome::Done)
        }
        Files::Resend { id } => {
            match id.as_str() {
                "all" => workspace.files().resend_lost()?,
                id => workspace.files().resend(&RecordId::from(id))?,
            }
            if out.json {
                out.document(&json!({ "id": id, "queued": true }))?;
            } else {
                out.line_said(&if id == "all" { says::asked_for_all() } else { says::sent_again(id) })?;
            }
            Ok(CommandOutcome::Done)
        }
        Files::Sync => {
            end_on_signals();
            let report = move_files(&workspace, &FilesOptions::default(), out)?;
            if out.json {
                out.report(&report, report.error.as_ref())?;
            } else {
                show(&report, out)?;
            }
            ended(&report, out)
        }
        Files::Verify => verify(&workspace, out),
    }
}

/// Sends and fetches due files.
pub(super) fn move_files(workspace: &Workspace, options: &FilesOptions, out: &Output) -> Result<FilesReport, Error> {
    let mut progress = Progress::new(out);
    workspace.site().sync_files(&workspace.files(), options, &mut progress)
}

pub(super) fn show(report: &FilesReport, out: &Output) -> Result<(), Failure> {
    let (sent, received) = (bytes(report.bytes_sent), bytes(report.bytes_received));
    out.line_said(&says::moved(report.uploaded, report.downloaded, sent, received))?;
    if report.failed > 0 {
        out.line_said(&says::failed(report.failed))?;
    }
    Ok(())
}

/// The outcome of the command; prints the error in the report.
pub(super) fn ended(report: &FilesReport, out: &Output) -> Result<CommandOutcome, Failure> {
    match &report.error {
        Some(error) => {
            if !out.json {
                out.error(error)?;
            }
            Ok(CommandOutcome::Reported(error.class()))
        }
        None if report.failed > 0 => Ok(CommandOutcome::LeftBehind),
        None => Ok(CommandOutcome::Done),
    }
}

fn list(workspace: &Workspace, out: &Output) -> Result<CommandOutcome, Failure> {
    const PAGE: usize = 500;
    let files = workspace.files();
    let mut after = None;
    loop {
        let page = files.list(after.as_ref(), PAGE)?;
        for info in &page {
            if out.json {
                out.document(info)?;
            } else {
                show_one(info, out)?;
            }
        }
        match page.last() {
            Some(info) if page.len() == PAGE => after = Some(info.entry.id.clone()),
            _ => return Ok(CommandOutcome::Done),
        }
    }
}

/// The file; and below it its state, size, error and next try.
fn show_one(info: &FileInfo, out: &Output) -> Result<(), Failure> {
    let entry = &info.entry;
    let name = format!("{:?}", info.name);
    let file = says::file(entry.id.as_str(), name, entry.table.as_str(), entry.record_id.as_str());
    let mut state: Detail = match (entry.state, entry.direction) {
        (FileState::Running, FileDirection::Upload) => says::uploading().into(),
        (FileState::Running, FileDirection::Download) => says::downloading().into(),
        (FileState::Waiting, FileDirection::Upload) => says::waits_to_be_sent().into(),
        (FileState::Waiting, FileDirection::Download) => says::waits_to_come().into(),
        (state, _) => out.word(state.as_str()).into(),
    };
    if let Some(count) = entry.bytes {
        state = says::with_size(state, bytes(count)).into();
    }
    if let Some(reason) = &entry.reason {
        state = says::because(state, reason).into();
    }
    if let (FileState::Failed, Some(next)) = (entry.state, entry.next_at) {
        state = says::next_at(state, entry.attempts, moment(next)).into();
    }
    let state = match state {
        Detail::Message(said) => out.texts.say(&said),
        Detail::Plain(word) => word,
    };
    out.line_said(&file)?;
    out.line_within("  ", &state)
}

fn verify(workspace: &Workspace, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let stop = || if interrupted() { Err(Error::Cancelled) } else { Ok(()) };
    let verified = workspace.files().verify(stop)?;
    if out.json {
        out.document(&verified)?;
    } else {
        for finding in &verified.findings {
            out.line(&match finding {
                FileFault::Missing { id } => out.texts.say(&says::missing(named(workspace, id)?)),
                FileFault::Changed { id, reason } => out.texts.say(&says::changed(named(workspace, id)?, reason)),
                FileFault::Surplus { path } => out.texts.say(&says::surplus(path.display().to_string())),
                other => format!("{other:?}"),
            })?;
        }
        out.line_said(&says::sound(verified.sound, bytes(verified.bytes)))?;
    }
    Ok(if verified.findings.is_empty() { CommandOutcome::Done } else { CommandOutcome::LeftBehind })
}

/// A file with its name and its record, where the database has them.
fn named(workspace: &Workspace, id: &RecordId) -> Result<Detail, Error> {
    let Some(info) = workspace.files().info_of(id)? else { return Ok(id.as_str().into()) };
    let (name, entry) = (format!("{:?}", info.name), &info.entry);
    Ok(says::file(entry.id.as_str(), name, entry.table.as_str(), entry.record_id.as_str()).into())
}
