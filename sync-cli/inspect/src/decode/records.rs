//! The records of a message, each with its faults.

use serde_json::value::RawValue;
use sync_core::protocol::v5::ReadCentralBatch;
use sync_core::protocol::v6::{Action, ReadBatch, WireRecord};
use sync_core::record::{Fields, RecordData, record_type};

use super::decoded::{Decoded, RecordLine, shown, without_position};
use crate::sentences::{decoded_fact as facts, decoded_kind as kinds, decoded_note as notes, decoded_wrong as wrong};

pub(super) fn v6_batch(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::v6_records());
    let batch = match ReadBatch::parse(json) {
        Ok(batch) => batch,
        Err(error) => {
            decoded.problems.push(without_position(&error).into());
            return decoded;
        }
    };
    decoded.fact("records", batch.records.len());
    decoded.fact("rows left, these included", batch.total_records);
    decoded.fact("end cursor", batch.end_cursor.0);
    decoded.fact("last batch", if batch.is_last_batch { facts::yes() } else { facts::no() });
    let mut before = None;
    for element in &batch.records {
        let line = match element {
            Ok(element) => {
                let mut line = checked(&element.record, Protocol::V6);
                line.position = Some(element.cursor.0.to_string());
                if before.is_some_and(|before| element.cursor.0 <= before) {
                    line.wrong(wrong::cursor_not_larger());
                }
                before = Some(element.cursor.0);
                line
            }
            Err(bad) => RecordLine {
                position: bad.cursor.map(|cursor| cursor.0.to_string()),
                table: bad.table.as_ref().map(ToString::to_string),
                id: bad.id.as_ref().map(ToString::to_string),
                problems: vec![(&bad.reason).into()],
                ..RecordLine::default()
            },
        };
        decoded.records.push(line);
    }
    if batch.last_record_cursor().is_some_and(|last| last > batch.end_cursor) {
        decoded.wrong(wrong::beyond_end_cursor());
    }
    if batch.records.is_empty() && !batch.is_last_batch {
        decoded.notes.push(notes::empty_batch());
    }
    decoded
}

pub(super) fn central_records(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::v5_central_data());
    let Some(batch) = decoded.read::<ReadCentralBatch>(json) else { return decoded };
    decoded.fact("records", batch.data.len());
    decoded.fact("newest position there", batch.max_cursor);
    if let Some(last) = batch.last_position() {
        decoded.fact("last position here", last);
        if last > batch.max_cursor {
            decoded.wrong(wrong::beyond_newest_position());
        }
    }
    let mut before = None;
    for element in batch.data {
        decoded.records.push(match element {
            Ok(record) => {
                let position = record.position;
                let mut line = checked(&record.into(), Protocol::V5);
                line.position = Some(position.to_string());
                if before.is_some_and(|before| position <= before) {
                    line.wrong(wrong::position_not_larger());
                }
                before = Some(position);
                line
            }
            Err(bad) => RecordLine {
                position: bad.key.map(|position| position.to_string()),
                table: bad.table.as_ref().map(ToString::to_string),
                id: bad.id.as_ref().map(ToString::to_string),
                problems: vec![bad.reason.into()],
                ..RecordLine::default()
            },
        });
    }
    decoded
}

/// A queue of V5, in either direction, or the answer with only its length.
pub(super) fn queue(fields: &Fields<'_>) -> Decoded {
    let mut decoded = Decoded::new(kinds::v5_queue());
    decoded.raw_fact("left, these included", fields, "queueLength");
    let Some(data) = fields.get("data") else { return decoded };
    if let Some(elements) = decoded.read::<Vec<Box<RawValue>>>(data.get()) {
        decoded.fact("records", elements.len());
        decoded.records = elements.iter().map(|element| flat(element.get(), Protocol::V5)).collect();
    }
    decoded
}

/// Records alone, as in a log or a file.
pub(super) fn list(elements: &[Box<RawValue>]) -> Decoded {
    let mut decoded = Decoded::new(kinds::records());
    decoded.fact("records", elements.len());
    decoded.records = elements.iter().map(|element| flat(element.get(), Protocol::NotTold)).collect();
    decoded
}

pub(super) fn single(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::record());
    decoded.records = vec![flat(json, Protocol::NotTold)];
    decoded
}

/// A record beside its position, or in an element that holds it.
fn flat(json: &str, protocol: Protocol) -> RecordLine {
    let fields = Fields::parse(json);
    let get = |key: &str| fields.as_ref().and_then(|fields| fields.get(key)).map(RawValue::get);
    let position = ["cursor", "syncOutId", "ID"].iter().find_map(|key| get(key)).map(shown);
    let record = get("record").unwrap_or(json);
    match serde_json::from_str::<WireRecord>(record) {
        Ok(record) => RecordLine { position, ..checked(&record, protocol) },
        Err(error) => {
            let problem = without_position(&error).into();
            let text = |key: &str| get(key).map(shown);
            RecordLine {
                position,
                table: text("tableName"),
                id: text("recordId"),
                problems: vec![problem],
                ..Default::default()
            }
        }
    }
}

/// The protocol of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    V5,
    V6,
    NotTold,
}

/// Reads a record by the rules of its type.
fn checked(record: &WireRecord, protocol: Protocol) -> RecordLine {
    let WireRecord { table_name, record_id, action, record_data } = record;
    let mut line = RecordLine {
        action: Some(format!("{action:?}")),
        table: Some(table_name.to_string()),
        id: Some(record_id.to_string()),
        ..RecordLine::default()
    };
    if let Some(fields) = record_data.fields() {
        line.fields = fields.iter().map(|(key, value)| (key.to_owned(), shown(value.get()))).collect();
    }
    if *action == Action::Merge {
        merge(record_data, protocol, &mut line);
        return line;
    }
    let Some(kind) = record_type(table_name.as_str()) else {
        line.notes.push(notes::not_checked());
        legacy_id(record_data, record_id.as_str(), &mut line);
        return line;
    };
    if let Some(release) = kind.removed {
        line.wrong(wrong::removed(release));
    }
    match action {
        // A delete of the legacy server is valid, whatever V6 knows of the type.
        Action::Delete if protocol != Protocol::V5 && !kind.deletes_on_wire() => line.wrong(wrong::not_deleted()),
        Action::Delete => {}
        _ => data(record_data, kind, record_id.as_str(), &mut line),
    }
    line
}

/// Only the legacy server sends merges, and they name both records (`protocol-v5` §7.2, `protocol-v6` §4.2).
fn merge(data: &RecordData, protocol: Protocol, line: &mut RecordLine) {
    if protocol == Protocol::V6 {
        line.wrong(wrong::not_merged());
    }
    let fields = data.fields();
    for key in ["mergeIdToKeep", "mergeIdToDelete"] {
        if fields.as_ref().and_then(|fields| fields.text(key)).is_none_or(|id| id.is_empty()) {
            line.wrong(wrong::merge_without(key));
        }
    }
}

/// A legacy record has its id in its data too, as `ID`.
fn legacy_id(data: &RecordData, id: &str, line: &mut RecordLine) {
    let theirs = data.fields().and_then(|fields| fields.text("ID").map(std::borrow::Cow::into_owned));
    if theirs.is_some_and(|theirs| theirs != id) {
        line.wrong(wrong::key_is_not_id("ID"));
    }
}

fn data(data: &RecordData, kind: &sync_core::record::RecordType, id: &str, line: &mut RecordLine) {
    match kind.check(data) {
        Err(error) => line.wrong(error.says()),
        Ok(fields) => {
            let key = fields.text(kind.key);
            // An id may have a suffix that tells tables apart.
            if key.as_deref().is_some_and(|key| !id.starts_with(key)) {
                line.wrong(wrong::key_is_not_id(kind.key));
            }
            let known = |key: &str| kind.fields.iter().any(|field| field.name == key || field.aliases.contains(&key));
            let unknown: Vec<&str> = fields.iter().map(|(key, _)| key).filter(|key| !known(key)).collect();
            if !unknown.is_empty() {
                line.notes.push(notes::unknown_keys(unknown.join(", ")));
            }
        }
    }
    if kind.in_current_spelling(data).is_some() {
        line.notes.push(notes::older_spelling());
    }
}
