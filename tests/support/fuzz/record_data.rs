//! `recordData` of each record type.
//!
//! An input is the name of a table in the first line, and JSON text in the rest.

use serde_json::Value;
use serde_json::value::RawValue;
use sync_core::Records;
use sync_core::record::{FieldKind, Fields, RecordData, RecordId, RecordType, TableName, record_type, record_types};
use sync_core::storage::{QuarantineCause, Storage};

use super::answers::first_line;
use super::promises::{as_it_travels, assert_error};
use super::seeds::examples;
use super::small_world::{B, SmallWorld, good_cycle};

pub(super) fn run(input: &[u8]) {
    let (table, json) = first_line(input);
    let number = input.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    let kind = record_type(&table).unwrap_or(record_types()[number % record_types().len()]);
    let Ok(text) = String::from_utf8(json.to_vec()) else { return };
    let Ok(data) = RecordData::parse(text) else { return };
    if is_checked_and_read_alike(kind, &data) {
        travels(kind, &data);
    }
}

/// The check and the typed read agree; written data are accepted and equal in value. Returns whether it is accepted.
fn is_checked_and_read_alike(kind: &RecordType, data: &RecordData) -> bool {
    let table = kind.table;
    let read = kind.rewrite(data);
    let written = match (kind.check(data), read) {
        (Ok(_), Ok(written)) => written,
        (Ok(_), Err(error)) => panic!("{table}: the check accepts what reading refuses: {error}"),
        // A spelling of a later version is read, and kept as it came.
        (Err(error), _) if error.unsupported => return false,
        (Err(error), Ok(_)) => {
            // Only an unknown key may be refused by the check alone: reading keeps such keys as they came.
            let declared = kind.fields.iter().any(|field| error.path == format!("$.{}", field.name));
            assert!(
                !declared && error.path.starts_with("$."),
                "{table}: reading accepts what the check refuses: {error}"
            );
            return false;
        }
        (Err(error), Err(other)) => {
            assert!(error.path == "$" || error.path.starts_with("$."), "{table}: {error}");
            assert_eq!(error, other, "{table}");
            let said = error.to_string();
            assert!(said.len() < 300 && !said.chars().any(char::is_control), "{table}: {said:?}");
            return false;
        }
    };
    kind.check(&written).unwrap_or_else(|error| panic!("{table}: what is written is refused: {error}"));
    let again = kind.rewrite(&written).unwrap_or_else(|error| panic!("{table}: {error}"));
    assert_eq!(again.as_str(), written.as_str(), "{table}: written twice");
    let (before, after) = (data.fields().expect("an object"), written.fields().expect("an object"));
    for (key, _) in before.iter() {
        let known = kind.fields.iter().find(|field| field.name == key || field.aliases.contains(&key));
        let raw = known.map_or_else(|| before.get(key), |field| field.find(&before)).expect("a value");
        let name = known.map_or(key, |field| field.name);
        let back = after.get(name).unwrap_or_else(|| panic!("{table}.{name} is lost"));
        let same = match known.map(|field| field.kind) {
            None | Some(FieldKind::Json) => raw.get() == back.get(),
            Some(kind) => same_value(kind, raw, back),
        };
        assert!(same, "{table}.{name} was {raw} and is {back}");
    }
    true
}

/// Whether two values of a field say the same.
fn same_value(kind: FieldKind, one: &RawValue, other: &RawValue) -> bool {
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).expect("JSON");
    let (one, other) = (value(one), value(other));
    match (kind, &one, &other) {
        (FieldKind::F64, Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        // A single digit gets its zero, a fraction its three, six or nine digits: no digit before them changes.
        (FieldKind::Date | FieldKind::DateTime, Value::String(one), Value::String(other)) => {
            let date = |text: &str| -> Vec<u32> {
                let date = text.split('T').next().unwrap_or_default();
                date.split('-').filter_map(|part| part.parse().ok()).collect()
            };
            let clock = |text: &str| {
                let clock = text.split_once('T').map_or("", |(_, clock)| clock);
                let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
                let fraction: String = fraction.chars().take(9).collect();
                format!("{clock}.{fraction:0<9}")
            };
            date(one) == date(other) && clock(one) == clock(other)
        }
        _ => one == other,
    }
}

/// A record that is accepted and stored comes back byte by byte, reaches the other end, and comes back to the site when
/// it is set up again; older spellings arrive in the current one, and U+FDD0 may arrive as its escape.
fn travels(kind: &RecordType, data: &RecordData) {
    let (table, world) = (TableName::from(kind.table), SmallWorld::new());
    let site = world.set_up(B);
    good_cycle(&site, "a first cycle");
    plant_parents(&world, kind, data);
    good_cycle(&site, "a cycle that brings parents");
    let (ids, by_site) = match world.records.put(kind.table, [data.clone()]) {
        Ok(ids) => (ids, false),
        Err(refused) => {
            assert_error(&refused);
            match site.records.put(kind.table, [data.clone()]) {
                Ok(ids) => (ids, true),
                Err(refused) => return assert_error(&refused),
            }
        }
    };
    let id: &RecordId = &ids[0];
    let writer = if by_site { &site.records } else { &world.records };
    let stored = writer.get(&table, id).expect("a record").expect("what was written is here");
    assert_eq!(stored.as_str(), data.as_str(), "{table}: stored");
    good_cycle(&site, "a cycle that carries it");

    let current = kind.in_current_spelling(data);
    let current = current.as_ref().unwrap_or(data);
    let assert_arrived =
        |(records, storage): (&Records, &dyn Storage), expected: &RecordData, must: bool, what: &str| {
            if let Some(arrived) = records.get(&table, id).expect("a record") {
                let [arrived, expected] = [&arrived, expected].map(|data| as_it_travels(data.as_str()));
                return assert_eq!(arrived, expected, "{table}: {what}");
            }
            let aside = storage.read().and_then(|txn| txn.quarantined(0, usize::MAX)).expect("a quarantine");
            let aside: Vec<_> = aside.iter().filter(|(row, _)| row.incoming.id == *id).collect();
            let waits = aside.iter().all(|(_, why)| why.cause == QuarantineCause::Waiting);
            assert!(waits && !(must && aside.is_empty()), "{table} {id}: {what}: {aside:?}");
        };
    if by_site {
        assert_arrived((&world.records, world.storage.as_ref()), current, kind.pushed, "at central");
    }
    let everyone = kind.style == sync_core::record::SyncStyle::Central && kind.pulled;
    let at_site = if by_site { data } else { current };
    assert_arrived((&site.records, site.storage.as_ref()), at_site, everyone || by_site, "at the site");
    let again = world.set_up(B);
    good_cycle(&again, "a site that is made anew");
    assert_arrived((&again.records, again.storage.as_ref()), current, everyone, "at a site that is made anew");
}

/// The examples that a record names as its parents.
fn plant_parents(world: &SmallWorld, kind: &RecordType, data: &RecordData) {
    let fields: Fields<'_> = data.fields().expect("an object");
    for field in kind.fields {
        let (Some(parent), Some(_)) = (field.parent, field.find(&fields)) else { continue };
        let Some((_, example)) = examples().iter().find(|(table, _)| table == parent) else { continue };
        plant_parents(world, record_type(parent).expect("a record type"), example);
        // If central may not write it, the record waits.
        let _ = world.records.put(parent, [example.clone()]);
    }
}
