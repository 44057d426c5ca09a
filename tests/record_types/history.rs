//! Records in the spelling of older releases (quirks W1 and W2 of the wire history).

use serde_json::{Value, json};
use sync_core::record::{RecordData, RecordType, record_type};
use sync_tests::record_value::value;

use super::{declared_upstream, example, list, release, text};

/// The difference of an older release's record from one of today.
enum Older {
    /// A key had another name: older, current.
    Renamed(&'static str, &'static str),
    /// A mandatory key was missing; its value then.
    Missing(&'static str, fn() -> Value),
    /// A change that this project need not read, and the reason.
    NotRead(&'static str),
}
use Older::{Missing, NotRead, Renamed};

const EPOCH: fn() -> Value = || json!("1970-01-01T00:00:00");

/// Every history line about a rename or a mandatory key: table, the release in the line, how older records differ.
const HISTORY: &[(&str, &str, &[Older])] = &[
    ("asset_log_reason", "2.16.0", &[Missing("comments_required", || json!(false))]),
    ("backend_plugin", "2.16.0", &[Missing("version", || json!(""))]),
    ("demographic", "2.8.0", &[Missing("population_percentage", || json!(0.0))]),
    ("frontend_plugin", "2.16.0", &[Missing("version", || json!(""))]),
    ("item_variant", "2.8.0", &[Missing("created_datetime", EPOCH)]),
    ("item_variant", "2.10.0", &[NotRead("the rename is internal to Open mSupply; the wire key stayed")]),
    ("item_variant", "2.17.0", &[Renamed("manufacturer_link_id", "manufacturer_id")]),
    ("name", "2.6.0", &[Missing("NEXT_OF_KIN_ID", || Value::Null), Missing("next_of_kin_relative", || Value::Null)]),
    (
        "name",
        "2.9.0",
        &[NotRead("HSH_code, HSH_name and currency_ID may be missing, as for Open mSupply since v2.10.2")],
    ),
    ("rnr_form", "2.17.0", &[Renamed("name_link_id", "name_id")]),
    ("rnr_form_line", "2.3.1", &[Missing("minimum_quantity", || json!(0.0))]),
    ("vaccination", "2.7.0", &[NotRead("without a patient a vaccination belongs to nobody: it is refused")]),
    (
        "vaccination",
        "2.17.0",
        &[Renamed("patient_link_id", "patient_id"), Renamed("facility_name_link_id", "facility_name_id")],
    ),
    (
        "vaccine_course",
        "2.3.1",
        &[NotRead("the older key named an indicator, not a demographic; the newer one may be null")],
    ),
    ("vaccine_course", "2.8.0", &[NotRead("the rename is internal to Open mSupply; the wire key stayed")]),
    ("vaccine_course", "2.12.0", &[Missing("can_skip_dose", || json!(false))]),
];

fn entry(table: &str, release: &str) -> Option<&'static [Older]> {
    HISTORY.iter().find(|(t, r, _)| (*t, *r) == (table, release)).map(|(_, _, older)| *older)
}

#[test]
fn every_line_about_a_rename_or_a_mandatory_key_is_covered() {
    let mut lines = 0;
    for upstream in &declared_upstream() {
        let table = text(upstream, "table_name");
        for line in list(upstream, "wire_history").iter().filter_map(Value::as_str) {
            let telling = ["rename", "mandatory", "must be present", "had to be present", "replaced by"];
            // A line may begin with other words: the release before its first colon counts.
            let (before, _) = line.split_once(": ").unwrap_or((line, ""));
            let since = before.split_whitespace().last().unwrap_or_default();
            if telling.iter().any(|word| line.contains(word)) {
                lines += 1;
                assert!(entry(table, &release(since)).is_some(), "{table}: {line}");
            }
        }
    }
    assert_eq!(lines, HISTORY.len(), "an entry has no line");
}

/// The example of a table with one change made.
fn older(table: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> (RecordData, Value) {
    let upstream = declared_upstream();
    let upstream = upstream.iter().find(|kind| text(kind, "table_name") == table).expect("a declaration");
    let current = value(&example(upstream));
    let mut keys = current.as_object().expect("an object").clone();
    change(&mut keys);
    (RecordData::of(&keys), current)
}

fn read_as_current(kind: &RecordType, data: &RecordData) -> Value {
    kind.check(data).unwrap_or_else(|error| panic!("{} {data:?}: {error}", kind.table));
    let current = kind.in_current_spelling(data).expect("an older spelling");
    kind.check(&current).unwrap_or_else(|error| panic!("{}: {error}", kind.table));
    assert!(kind.in_current_spelling(&current).is_none(), "{} is in the current spelling now", kind.table);
    let read = kind.rewrite(data).expect("readable");
    assert_eq!(value(&read), value(&current), "{}: both ways of reading agree", kind.table);
    value(&current)
}

#[test]
fn older_records_are_read_in_the_current_spelling() {
    let (mut renames, mut added) = (0, 0);
    for (table, release, changes) in HISTORY {
        let kind = record_type(table).expect("a declaration");
        for change in *changes {
            match change {
                Renamed(from, to) => {
                    let (data, current) = older(table, |keys| {
                        let value = keys.remove(*to).expect("a value");
                        keys.insert((*from).to_owned(), value);
                    });
                    assert_eq!(read_as_current(kind, &data), current, "{table}.{from}");
                    renames += 1;
                }
                Missing(key, reads_as) => {
                    let (data, mut current) = older(table, |keys| drop(keys.remove(*key)));
                    current[*key] = reads_as();
                    assert_eq!(read_as_current(kind, &data), current, "{table}.{key}");
                    assert_eq!(kind.field(key).and_then(|field| field.added), Some(*release), "{table}.{key}");
                    added += 1;
                }
                NotRead(why) => assert!(!why.is_empty()),
            }
        }
    }
    let fields = || sync_core::record::record_types().iter().flat_map(|kind| kind.fields);
    assert_eq!(renames, fields().map(|field| field.aliases.len()).sum::<usize>(), "every alias has its line");
    assert_eq!(added, fields().filter(|field| field.added.is_some()).count(), "every added key has its line");
}

#[test]
fn all_older_spellings_at_once_and_unknown_keys_stay() {
    let (data, mut current) = older("vaccination", |keys| {
        for (from, to) in [("patient_link_id", "patient_id"), ("facility_name_link_id", "facility_name_id")] {
            let value = keys.remove(to).expect("a value");
            keys.insert(from.to_owned(), value);
        }
        keys.insert("of_tomorrow".to_owned(), json!([1, {"a": null}]));
    });
    current["of_tomorrow"] = json!([1, {"a": null}]);
    assert_eq!(read_as_current(record_type("vaccination").expect("a declaration"), &data), current);
}

#[test]
fn the_current_spelling_wins_over_an_older_one() {
    let (data, current) = older("rnr_form", |keys| {
        keys.insert("name_link_id".to_owned(), json!("of another spelling"));
    });
    let kind = record_type("rnr_form").expect("a record type");
    assert!(kind.in_current_spelling(&data).is_none());
    assert_eq!(value(&kind.rewrite(&data).expect("readable")), current);
}

#[test]
fn a_vaccination_without_a_patient_is_refused() {
    let (data, _) = older("vaccination", |keys| drop(keys.remove("patient_id")));
    let error = record_type("vaccination").expect("a declaration").check(&data).expect_err("no patient");
    assert_eq!(error.path, "$.patient_id");
}
