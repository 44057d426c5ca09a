//! `decode`: explains a message.

use oms_sync_inspect::decode::{Decoded, RecordLine, decode};
use sync_core::Message;
use sync_core::text::Detail;

use super::layout::{cut, pairs, say, wrapped};
use crate::args::Decode;
use crate::failure::{CommandOutcome, Failure};
use crate::input::{RECORDS_MAX, bytes_of};
use crate::output::Output;
use crate::sentences::decoded_shown as shown;

pub(super) fn run(options: &Decode, out: &Output) -> Result<CommandOutcome, Failure> {
    let decoded = out.in_words(decode(&bytes_of(&options.file, RECORDS_MAX)?)?);
    if out.json {
        out.document(&decoded)?;
    } else {
        show(&decoded, options.brief, out)?;
    }
    Ok(if decoded.has_problems() { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn show(decoded: &Decoded, brief: bool, out: &Output) -> Result<(), Failure> {
    wrapped(out, "", &decoded.message.to_string())?;
    let facts: Vec<_> = decoded.facts.iter().map(|(name, value)| (out.name(name), value.to_string())).collect();
    pairs(out, "  ", &facts, cut)?;
    show_remarks(&decoded.problems, &decoded.notes, out)?;
    for record in &decoded.records {
        show_record(record, brief, out)?;
    }
    let wrong = decoded.records.iter().filter(|record| !record.problems.is_empty()).count();
    if wrong > 0 {
        say(out, "", &shown::wrong_records(wrong, decoded.records.len()))?;
    }
    Ok(())
}

fn show_record(record: &RecordLine, brief: bool, out: &Output) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let position = record.position.as_ref().map(|position| format!("{position}: ")).unwrap_or_default();
    wrapped(out, "", &format!("{position}{} {} {}", text(&record.action), text(&record.table), text(&record.id)))?;
    if !brief {
        pairs(out, "    ", &record.fields, cut)?;
    }
    show_remarks(&record.problems, &record.notes, out)
}

/// Faults and remarks.
fn show_remarks(problems: &[Detail], notes: &[Message], out: &Output) -> Result<(), Failure> {
    let wrong = problems.iter().map(|problem| shown::wrong(problem.clone()));
    let notes = notes.iter().map(|note| shown::note(note.clone()));
    wrong.chain(notes).try_for_each(|remark| say(out, "  ", &remark))
}
