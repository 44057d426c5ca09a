//! `files`: photos and documents of records.

use serde_json::json;
use sync_core::files::{FileInfo, Finding};
use sync_core::record::RecordId;
use sync_core::storage::{FileDirection, FileState};
use sync_core::{Error, FilesOptions, FilesReport};

use crate::args::{Args, Files};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::progress::{Progress, end_on_signals, interrupted};
use crate::setup::Parts;

pub(super) fn run(args: &Args, command: &Files, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    match command {
        Files::List => list(&parts, out),
        Files::Attach { table, id, file } => {
            let file_id = parts.files().attach(table, id, file)?;
            if out.json {
                out.document(&json!({ "id": file_id, "table": table, "record_id": id }))?;
            } else {
                out.line(&format!("attached {} to {table} {id} as file {file_id}", file.display()))?;
                out.hint("It goes out with oms-sync sync --with-files.");
            }
            Ok(Ended::Done)
        }
        Files::Fetch { id } => {
            parts.files().fetch(&RecordId::from(id.as_str()))?;
            if out.json {
                out.document(&json!({ "id": id, "queued": true }))?;
            } else {
                out.line(&format!("file {id} is tried next; run oms-sync files sync"))?;
            }
            Ok(Ended::Done)
        }
        Files::Sync => {
            end_on_signals();
            let report = move_files(&parts, &FilesOptions::default(), out)?;
            if out.json {
                out.document(&report)?;
            } else {
                show(&report, out)?;
            }
            ended(&report, out)
        }
        Files::Verify => verify(&parts, out),
    }
}

/// Sends and fetches what is due.
pub(super) fn move_files(parts: &Parts, options: &FilesOptions, out: &Output) -> Result<FilesReport, Error> {
    let mut progress = Progress::new(out);
    parts.site().sync_files(&parts.files(), options, &mut progress)
}

pub(super) fn show(report: &FilesReport, out: &Output) -> Result<(), Failure> {
    let FilesReport { uploaded, downloaded, failed, .. } = report;
    let (sent, received) = (bytes(report.bytes_sent), bytes(report.bytes_received));
    out.line(&format!("files: {uploaded} sent, {downloaded} fetched ({sent} up, {received} down)"))?;
    if *failed > 0 {
        out.line(&format!("{failed} files failed and are tried again later; see oms-sync files list"))?;
    }
    Ok(())
}

/// How the command ends; prints the error that the report has.
pub(super) fn ended(report: &FilesReport, out: &Output) -> Result<Ended, Failure> {
    match &report.error {
        Some(error) => {
            if !out.json {
                out.error(error)?;
            }
            Ok(Ended::Reported(error.class()))
        }
        None if report.failed > 0 => Ok(Ended::LeftBehind),
        None => Ok(Ended::Done),
    }
}

fn list(parts: &Parts, out: &Output) -> Result<Ended, Failure> {
    const PAGE: usize = 500;
    let files = parts.files();
    let mut after = None;
    loop {
        let page = files.list(after.as_ref(), PAGE)?;
        for info in &page {
            if out.json {
                out.document(info)?;
            } else {
                out.line(&line(info))?;
            }
        }
        match page.last() {
            Some(info) if page.len() == PAGE => after = Some(info.entry.id.clone()),
            _ => return Ok(Ended::Done),
        }
    }
}

fn line(info: &FileInfo) -> String {
    let entry = &info.entry;
    let state = match (entry.state, entry.direction) {
        (FileState::Running, FileDirection::Upload) => "uploading",
        (FileState::Running, FileDirection::Download) => "downloading",
        (FileState::Waiting, FileDirection::Upload) => "waiting to be sent",
        (FileState::Waiting, FileDirection::Download) => "waiting to come",
        (state, _) => state.as_str(),
    };
    let size = entry.bytes.map_or_else(String::new, |count| format!(", {}", bytes(count)));
    let mut text = format!(
        "{} {:?} of {} {}\n  {state}{size}",
        entry.id,
        info.name,
        entry.table.as_str(),
        entry.record_id.as_str()
    );
    if let Some(reason) = &entry.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let (FileState::Failed, Some(next)) = (entry.state, entry.next_at) {
        text.push_str(&format!("; tried {} times, next at {next}", entry.attempts));
    }
    text
}

fn verify(parts: &Parts, out: &Output) -> Result<Ended, Failure> {
    end_on_signals();
    let stop = || if interrupted() { Err(Error::Cancelled) } else { Ok(()) };
    let verified = parts.files().verify(stop)?;
    if out.json {
        out.document(&verified)?;
    } else {
        for finding in &verified.findings {
            out.line(&match finding {
                Finding::Missing { id } => format!("MISSING: {id}"),
                Finding::Changed { id, reason } => format!("CHANGED: {id}: {reason}"),
                Finding::Surplus { path } => format!("SURPLUS: {}", path.display()),
                other => format!("{other:?}"),
            })?;
        }
        out.line(&format!("{} files are sound ({})", verified.sound, bytes(verified.bytes)))?;
    }
    Ok(if verified.findings.is_empty() { Ended::Done } else { Ended::LeftBehind })
}
