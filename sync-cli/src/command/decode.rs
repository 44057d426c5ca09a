//! `decode`: a message in words.

use std::io::Read as _;
use std::path::Path;

use sync_core::Error;

use crate::args::Decode;
use crate::decode::{Decoded, RecordLine, decode};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::setup::unreadable;

pub(super) fn run(options: &Decode, out: &Output) -> Result<Ended, Failure> {
    let decoded = decode(&input(&options.file)?)?;
    if out.json {
        out.document(&decoded)?;
    } else {
        show(&decoded, options.brief, out)?;
    }
    Ok(if decoded.has_problems() { Ended::LeftBehind } else { Ended::Done })
}

fn input(file: &Path) -> Result<Vec<u8>, Error> {
    if file != Path::new("-") {
        return std::fs::read(file).map_err(|error| unreadable(file, error));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Error::Io { what: "reading standard input".to_owned(), source: error.into() })?;
    Ok(bytes)
}

fn show(decoded: &Decoded, brief: bool, out: &Output) -> Result<(), Failure> {
    out.line(decoded.message)?;
    let width = decoded.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &decoded.facts {
        out.line(&format!("  {name:<width$}  {value}"))?;
    }
    for problem in &decoded.problems {
        out.line(&format!("  wrong: {problem}"))?;
    }
    for note in &decoded.notes {
        out.line(&format!("  note: {note}"))?;
    }
    for record in &decoded.records {
        show_record(record, brief, out)?;
    }
    let wrong = decoded.records.iter().filter(|record| !record.problems.is_empty()).count();
    if wrong > 0 {
        out.line(&format!("{wrong} of {} records have something wrong with them", decoded.records.len()))?;
    }
    Ok(())
}

fn show_record(record: &RecordLine, brief: bool, out: &Output) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let position = record.position.as_ref().map(|position| format!("{position}: ")).unwrap_or_default();
    out.line(&format!("{position}{} {} {}", text(&record.action), text(&record.table), text(&record.id)))?;
    let width = record.fields.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    for (key, value) in record.fields.iter().filter(|_| !brief) {
        out.line(&format!("    {key:<width$}  {value}"))?;
    }
    for problem in &record.problems {
        out.line(&format!("  wrong: {problem}"))?;
    }
    for note in &record.notes {
        out.line(&format!("  note: {note}"))?;
    }
    Ok(())
}
