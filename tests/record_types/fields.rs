//! What each kind of field accepts and refuses.

use sync_core::record::{Asset, AssetLogReason, Field, FieldKind, RecordData, TypedRecord, record_type, record_types};
use sync_tests::record_value::value;

use super::{declared_upstream, example, text};

const SPELLINGS: &[&str] = &["ONE", "TWO"];

/// Values as JSON text: of every JSON type, and the edges of each kind.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "5",
    "-5",
    "1.0",
    "1e2",
    "2.5",
    "2147483647",
    "-2147483648",
    "2147483648",
    "-2147483649",
    "9007199254740993",
    "12345678901234567890",
    "-0",
    "1e999",
    "\"\\ud800\"",
    "\"\"",
    "\"text\"",
    "\"5\"",
    "\"true\"",
    "\"null\"",
    "\"\\u00e9\\n\"",
    "\"2024-02-29\"",
    "\"2024-2-9\"",
    "\"2023-02-29\"",
    "\"0000-00-00\"",
    "\"0000-00-00T00:00:00\"",
    "\"2024-02-29T10:20:30\"",
    "\"2024-02-29T10:20:30.123\"",
    "\"2024-02-29T10:20:30.1234567890\"",
    "\"2024-02-29T10:20:60\"",
    "\"2024-02-29T10:20:30Z\"",
    "\"2024-02-29T10:20:30+01:00\"",
    "\"2024-02-29t10:20:30\"",
    "\"2024-02-29 10:20:30\"",
    "\"2024-02-29T10:20\"",
    "\"ONE\"",
    "\"one\"",
    "\"One\"",
    "\"THREE\"",
    "\" ONE\"",
    "[]",
    "[\"ONE\",\"TWO\"]",
    "[\"ONE\",\"one\"]",
    "[\"ONE\",null]",
    "[1]",
    "{}",
    "{\"a\":1}",
];

const DATES: &[&str] = &["\"2024-02-29\"", "\"2024-2-9\""];
const DATE_TIMES: &[&str] = &[
    "\"2024-02-29T10:20:30\"",
    "\"2024-02-29T10:20:30.123\"",
    "\"2024-02-29T10:20:30.1234567890\"",
    "\"2024-02-29T10:20:60\"",
];
const LEGACY_DATES: &[&str] = &["\"\"", "\"0000-00-00\"", "\"0000-00-00T00:00:00\"", "\"2024-02-29 10:20:30\""];

/// The [`VALUES`] that a kind accepts; it refuses all others.
fn accepted(kind: FieldKind) -> Vec<&'static str> {
    // Beyond every float, and half of a surrogate pair: no value of any kind.
    const NO_VALUES: &[&str] = &["1e999", "\"\\ud800\""];
    let starting = |start: fn(char) -> bool| {
        VALUES.iter().copied().filter(move |v| v.starts_with(start) && !NO_VALUES.contains(v)).collect()
    };
    match kind {
        FieldKind::Text | FieldKind::JsonText => starting(|c| c == '"'),
        FieldKind::Bool => vec!["true", "false"],
        FieldKind::I32 => vec!["0", "5", "-5", "2147483647", "-2147483648"],
        FieldKind::F64 => starting(|c| c == '-' || c.is_ascii_digit()),
        FieldKind::Date => DATES.to_vec(),
        FieldKind::DateTime => DATE_TIMES.to_vec(),
        FieldKind::LegacyDate => [DATES, DATE_TIMES, LEGACY_DATES].concat(),
        FieldKind::Json => VALUES.iter().copied().filter(|value| !NO_VALUES.contains(value)).collect(),
        FieldKind::Enum(..) => vec!["\"ONE\""],
        FieldKind::LegacyEnum(..) => vec!["\"ONE\"", "\"\""],
        FieldKind::EnumList(..) => vec!["[]", "[\"ONE\",\"TWO\"]"],
        other => panic!("{other:?} is not covered"),
    }
}

const KINDS: &[FieldKind] = &[
    FieldKind::Text,
    FieldKind::Bool,
    FieldKind::I32,
    FieldKind::F64,
    FieldKind::Date,
    FieldKind::DateTime,
    FieldKind::LegacyDate,
    FieldKind::JsonText,
    FieldKind::Json,
    FieldKind::Enum("Number", SPELLINGS),
    FieldKind::LegacyEnum("Number", SPELLINGS),
    FieldKind::EnumList("Number", SPELLINGS),
];

fn field(kind: FieldKind) -> Field {
    Field {
        name: "f",
        kind,
        nullable: false,
        default: None,
        added: None,
        optional_since: None,
        aliases: &["older"],
        parent: None,
    }
}

fn data(json: impl Into<String>) -> RecordData {
    RecordData::parse(json).expect("JSON")
}

fn accepts(field: &Field, json: &str) -> bool {
    let data = data(json);
    field.check(&data.fields().expect("an object")).is_ok()
}

#[test]
fn each_kind_accepts_its_values_and_no_other() {
    for kind in KINDS {
        let accepted = accepted(*kind);
        assert!(accepted.iter().all(|value| VALUES.contains(value)));
        for value in VALUES {
            let expected = accepted.contains(value);
            for key in ["f", "older"] {
                let found = accepts(&field(*kind), &format!("{{\"{key}\":{value}}}"));
                assert_eq!(found, expected, "{kind:?} and {value} under {key}");
            }
        }
    }
}

#[test]
fn every_declared_kind_is_tested() {
    for field in record_types().iter().flat_map(|kind| kind.fields) {
        let same = |kind: &&FieldKind| std::mem::discriminant(*kind) == std::mem::discriminant(&field.kind);
        assert!(KINDS.iter().any(|kind| same(&kind)), "{:?}", field.kind);
    }
}

#[test]
fn null_and_missing_keys() {
    for kind in KINDS {
        let strict = field(*kind);
        assert_eq!(accepts(&strict, r#"{"f":null}"#), *kind == FieldKind::Json, "{kind:?}");
        assert!(accepts(&Field { nullable: true, ..strict }, r#"{"f":null}"#), "{kind:?}");
        for other_casing in ["{}", r#"{"F":null}"#, r#"{" f":null}"#] {
            assert!(!accepts(&Field { nullable: true, ..strict }, other_casing), "{kind:?} and {other_casing}");
            assert!(accepts(&Field { default: Some("null"), ..strict }, other_casing), "{kind:?} and {other_casing}");
        }
    }
}

#[test]
fn errors_name_the_place_and_the_kind_but_not_the_value() {
    let error = |kind, json: &str| {
        let data = data(json);
        field(kind).check(&data.fields().expect("an object")).expect_err("refused")
    };
    for (kind, json, says, unsupported) in [
        (FieldKind::Text, "{}", "$.f: expected a value, found no such key", false),
        (FieldKind::Text, r#"{"f":5}"#, "$.f: expected a string, found a number", false),
        (FieldKind::Bool, r#"{"f":"secret"}"#, "$.f: expected true or false, found a string", false),
        (FieldKind::I32, r#"{"f":1.0}"#, "$.f: expected an integer of 32 bits, found a number", false),
        (FieldKind::F64, r#"{"f":null}"#, "$.f: expected a number, found null", false),
        (FieldKind::Date, r#"{"f":"2026-02-30"}"#, "$.f: expected a date YYYY-MM-DD, found another string", false),
        (FieldKind::Date, r#"{"f":{}}"#, "$.f: expected a date YYYY-MM-DD, found an object", false),
        (KINDS[9], r#"{"f":"THREE"}"#, r#"$.f: expected one of ONE, TWO, found "THREE""#, true),
        (KINDS[9], r#"{"f":"Jane Doe"}"#, "$.f: expected one of ONE, TWO, found a string", true),
        (KINDS[9], r#"{"f":5}"#, "$.f: expected one of ONE, TWO, found a number", false),
        (KINDS[9], r#"{"f":""}"#, "$.f: expected one of ONE, TWO, found nothing, because it was not set", true),
        (
            FieldKind::Date,
            r#"{"f":"0000-00-00"}"#,
            "$.f: expected a date YYYY-MM-DD, found nothing, because it was not set",
            false,
        ),
        (KINDS[11], r#"{"f":["THREE"]}"#, "$.f: expected a list of known Number values, found an array", true),
        (KINDS[11], r#"{"f":[1]}"#, "$.f: expected a list of known Number values, found an array", false),
    ] {
        let error = error(kind, json);
        assert_eq!((error.to_string().as_str(), error.unsupported), (says, unsupported), "{json}");
    }
    for json in ["[]", "null", "\"text\"", "5"] {
        assert_eq!(record_types()[0].check(&data(json)).expect_err("no object").path, "$", "{json}");
    }
}

/// The check without a Rust type and the reading into the Rust type agree, except about the spellings of later versions: a
/// host reads and keeps them, and no record with one is integrated or written.
#[test]
fn checking_and_reading_agree_on_every_field() {
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a record type");
        let example = value(&example(upstream));
        let agree = |data: &RecordData, what: &str| {
            let (checked, read) = (kind.check(data).map(|_| ()), kind.rewrite(data));
            match checked {
                Err(error) if error.unsupported => {
                    let kept = read.expect("readable");
                    assert_eq!(kind.check(&kept).map(|_| ()), Err(error), "{} {what}", kind.table);
                }
                checked => assert_eq!(checked, read.map(|_| ()), "{} {what}", kind.table),
            }
        };
        for field in kind.fields {
            let mut rest = example.as_object().expect("an object").clone();
            rest.remove(field.name);
            let without = RecordData::of(&rest);
            agree(&without, field.name);
            let body = without.as_str().strip_suffix('}').expect("an object");
            let comma = if rest.is_empty() { "" } else { "," };
            for value in VALUES {
                agree(&data(format!("{body}{comma}\"{}\":{value}}}", field.name)), &format!("{} {value}", field.name));
            }
        }
    }
}

#[test]
fn unknown_keys_survive_to_the_last_digit() {
    let json = r#"{"id":"r","asset_log_status":"FUNCTIONING","reason":"é","deleted_datetime":null,"comments_required":true,
        "big":12345678901234567890,"price":1.10,"of_tomorrow":{"b": 1e5, "a":[1.0]}}"#;
    let written = AssetLogReason::read(&data(json)).expect("readable").write();
    let fields = written.fields().expect("an object");
    for (key, raw) in [
        ("big", "12345678901234567890"),
        ("price", "1.10"),
        ("of_tomorrow", r#"{"b": 1e5, "a":[1.0]}"#),
        ("reason", "\"é\""),
    ] {
        assert_eq!(fields.get(key).map(serde_json::value::RawValue::get), Some(raw), "{key}");
    }
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key).collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

#[test]
fn an_asset_with_nothing_but_what_is_mandatory() {
    let json = r#"{"id":"a","created_datetime":"2025-02-11T08:41:55.1","modified_datetime":"2025-02-11T08:41:55.000"}"#;
    let asset = Asset::read(&data(json)).expect("readable");
    assert_eq!((asset.notes, asset.needs_replacement), (None, None));
    assert_eq!(asset.created_datetime.to_string(), "2025-02-11T08:41:55.100");
    assert_eq!(asset.modified_datetime.to_string(), "2025-02-11T08:41:55");
    let mandatory: Vec<&str> = Asset::TYPE.fields.iter().filter(|f| f.default.is_none()).map(|f| f.name).collect();
    assert_eq!(mandatory, ["id", "created_datetime", "modified_datetime"]);
}
