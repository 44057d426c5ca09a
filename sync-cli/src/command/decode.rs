//! `decode`: a message in words.

use std::io::Read as _;
use std::path::Path;

use sync_core::{Detail, Error, Said};

use crate::args::Decode;
use crate::decode::{Decoded, RecordLine, decode};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::sentences::decoded_shown as shown;
use crate::setup::unreadable;

pub(super) fn run(options: &Decode, out: &Output) -> Result<Ended, Failure> {
    let decoded = out.in_words(decode(&input(&options.file)?)?);
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
    out.line(&decoded.message.to_string())?;
    let width = decoded.facts.iter().map(|(name, _)| out.name(name).chars().count()).max().unwrap_or(0);
    for (name, value) in &decoded.facts {
        out.line(&format!("  {:<width$}  {value}", out.name(name)))?;
    }
    show_remarks(&decoded.problems, &decoded.notes, out)?;
    for record in &decoded.records {
        show_record(record, brief, out)?;
    }
    let wrong = decoded.records.iter().filter(|record| !record.problems.is_empty()).count();
    if wrong > 0 {
        out.line_said(&shown::wrong_records(wrong, decoded.records.len()))?;
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
    show_remarks(&record.problems, &record.notes, out)
}

/// What is wrong, and what is worth knowing.
fn show_remarks(problems: &[Detail], notes: &[Said], out: &Output) -> Result<(), Failure> {
    let wrong = problems.iter().map(|problem| shown::wrong(problem.clone()));
    let notes = notes.iter().map(|note| shown::note(note.clone()));
    wrong.chain(notes).try_for_each(|remark| out.line(&format!("  {}", out.texts.say(&remark))))
}
