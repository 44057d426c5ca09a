//! The declarations of the record types, compared with those of Open mSupply (`fixtures/record-types.json`).

mod declarations;
mod dialects;
mod fields;
mod history;
mod page;
mod seed_documents;

use serde_json::Value;
use sync_core::record::RecordData;
use sync_tests::capture::fixtures;

/// What Open mSupply v2.19.00 declares, a JSON object for each type.
fn declared_upstream() -> Vec<Value> {
    let text = std::fs::read_to_string(fixtures().join("record-types.json")).expect("the declarations");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} of {value}"))
}

/// A release without its `v`, leading zeros and `-release`: `v2.2.0-release` is `2.2.0`, `v2.19.00` is `2.19.0`.
fn release(text: &str) -> String {
    let text = text.trim_start_matches('v').trim_end_matches("-release");
    let parts: Vec<String> = text.split('.').map(|part| part.parse::<u32>().expect("a number").to_string()).collect();
    parts.join(".")
}

/// The example of a type.
fn example(upstream: &Value) -> RecordData {
    assert!(upstream["example"].is_object(), "{} has no example", upstream["table_name"]);
    RecordData::of(&upstream["example"])
}
