//! A reading of served batches that is independent of the engine, and the expected place of each record.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sync_core::record::{Cursor, RecordData, RecordId, TableName};
use sync_core::storage::{Source, StagedKind, Storage, state};

use super::answers::Served;
use super::promises::as_it_travels;

/// A record that the other end sent.
#[derive(Debug)]
pub(super) struct Claim {
    /// Its place in the sender's changelog.
    pub position: u64,
    /// The first position that was asked for.
    pub asked: u64,
    /// Its table; empty if unreadable.
    pub table: String,
    id: String,
    action: String,
    data: String,
    /// Its whole element as it came.
    raw: String,
}

type Object = BTreeMap<String, Box<RawValue>>;

fn text(object: &Object, key: &str) -> Option<String> {
    object.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn number(object: &Object, key: &str) -> Option<u64> {
    object.get(key).and_then(|raw| raw.get().parse().ok())
}

fn claim(position: u64, asked: u64, raw: &RawValue, record: &Object) -> Claim {
    let of = |key| text(record, key).unwrap_or_default();
    Claim {
        position,
        asked,
        table: of("tableName"),
        id: of("recordId"),
        action: of("action"),
        data: record.get("recordData").map_or_else(|| "{}".to_owned(), |data| as_it_travels(data.get())),
        raw: as_it_travels(raw.get()),
    }
}

/// If answers to the same request differ, the last counts.
fn last_of_each_question(claims: Vec<(u64, Vec<Claim>)>) -> Vec<Claim> {
    let mut last: Vec<(u64, Vec<Claim>)> = Vec::new();
    for (asked, batch) in claims {
        last.retain(|(other, _)| *other != asked);
        last.push((asked, batch));
    }
    last.into_iter().flat_map(|(_, batch)| batch).collect()
}

/// The readable records of V6 batches.
pub(super) fn pulled_records(served: &[&Served]) -> Vec<Claim> {
    let read = |served: &&Served| -> Option<(u64, Vec<Claim>)> {
        let request: Object = serde_json::from_slice(&served.request.body).ok()?;
        let asked = number(&request, "cursor").expect("a pull names a cursor");
        let envelope: Object = serde_json::from_slice(&served.response.body).ok()?;
        let batch: Object = serde_json::from_str(envelope.get("data")?.get()).ok()?;
        let elements: Vec<Box<RawValue>> = serde_json::from_str(batch.get("records")?.get()).ok()?;
        let end = number(&batch, "end_cursor")?;
        let read = |raw: &RawValue| {
            let element: Object = serde_json::from_str(raw.get()).unwrap_or_default();
            let record = element.get("record").and_then(|raw| serde_json::from_str(raw.get()).ok());
            claim(number(&element, "cursor").unwrap_or(end), asked, raw, &record.unwrap_or_default())
        };
        Some((asked, elements.iter().map(|raw| read(raw)).collect()))
    };
    last_of_each_question(served.iter().filter_map(read).collect())
}

/// The readable records of V5 batches.
pub(super) fn central_records(served: &[&Served]) -> Vec<Claim> {
    let read = |served: &&Served| -> Option<(u64, Vec<Claim>)> {
        let (_, query) = served.request.url.split_once("cursor=")?;
        let asked = query.split('&').next()?.parse::<u64>().ok()?.saturating_add(1);
        let batch: Object = serde_json::from_slice(&served.response.body).ok()?;
        let elements: Vec<Box<RawValue>> = serde_json::from_str(batch.get("data")?.get()).ok()?;
        let read = |raw: &RawValue| {
            let record: Object = serde_json::from_str(raw.get()).ok()?;
            Some(claim(number(&record, "ID")?, asked, raw, &record))
        };
        Some((asked, elements.iter().filter_map(|raw| read(raw)).collect()))
    };
    last_of_each_question(served.iter().filter_map(read).collect())
}

/// Asserts that the stored cursor has passed no record that is neither integrated, nor in quarantine, nor replaced by a
/// newer one. `others` came on the other way and may have replaced a record too.
#[track_caller]
pub(super) fn assert_accounted(storage: &dyn Storage, cursor: &str, claims: &[Claim], others: &[Claim]) {
    let txn = storage.read().expect("a transaction");
    let stored = txn.state(cursor).expect("a state").map_or(0, |text| text.parse::<u64>().expect("a cursor"));
    // The cursor of V5 is the last one received, that of V6 the next one wanted.
    let next = if cursor == state::PULL_CURSOR_CENTRAL.name() { stored.saturating_add(1) } else { stored };
    let mut buffered = txn.quarantined(0, usize::MAX).expect("a quarantine");
    buffered.retain(|(row, _)| row.incoming.source != Source::Local);
    let mut aside: Vec<_> = buffered.into_iter().map(|(row, _)| row.incoming).collect();
    for source in [Source::Central, Source::Legacy] {
        for (table, _) in txn.staged_tables(source).expect("staged tables") {
            for kind in [StagedKind::Upserts, StagedKind::Deletes, StagedKind::Merges] {
                let rows = txn.staged(source, &table, kind, 0, usize::MAX).expect("staged records");
                aside.extend(rows.into_iter().map(|row| row.incoming));
            }
        }
    }
    for (at, claim) in claims.iter().enumerate() {
        if claim.position < claim.asked || claim.position >= next {
            continue;
        }
        let same = |other: &Claim| (&other.table, &other.id) == (&claim.table, &claim.id);
        let replaced = !claim.table.is_empty() && (claims[at + 1..].iter().any(same) || others.iter().any(same));
        let is_aside = || {
            aside.iter().any(|incoming| {
                let named = (incoming.table.as_str(), incoming.id.as_str()) == (&claim.table, &claim.id);
                named || as_it_travels(incoming.data.as_str()) == claim.raw
            })
        };
        let (table, id) = (TableName::from(claim.table.as_str()), RecordId::from(claim.id.as_str()));
        let here = txn.record(&table, &id).expect("a record");
        let integrated = match claim.action.to_ascii_lowercase().as_str() {
            // It is gone, or has the mark of its deletion.
            "delete" => here.as_ref().is_none_or(|data| data.as_str().contains("deleted_datetime")),
            // Of a repeated key, the last value is here.
            "insert" | "update" => here.as_ref().is_some_and(|data| {
                let claimed = || RecordData::parse(claim.data.as_str()).is_ok_and(|claimed| claimed.same_value(data));
                as_it_travels(data.as_str()) == claim.data || claimed()
            }),
            _ => false,
        };
        let edited = || txn.has_local_change(&table, &id, Cursor(0)).expect("a changelog");
        assert!(
            replaced || integrated || is_aside() || edited(),
            "the cursor {stored} has passed {claim:?}, which is neither here nor set aside; here is {here:?}"
        );
    }
}
