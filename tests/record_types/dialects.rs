//! The records that central writes for older releases, compared with the wire history in Open mSupply's own
//! declarations.

use serde_json::{Value, json};
use sync_core::protocol::v6::{Action, BatchElement, Dialect, Release, WireRecord, release};
use sync_core::record::{Cursor, FieldKind, RecordData, RecordType, record_type};

use super::{declared_upstream, list, text};

/// The releases of a table's history with what each changed.
fn history(upstream: &Value) -> Vec<(Release, &str)> {
    let lines = list(upstream, "wire_history").iter().filter_map(Value::as_str);
    lines
        .filter_map(|line| {
            let (before, change) = line.split_once(": ")?;
            Some((release(before.split_whitespace().last()?)?, change))
        })
        .collect()
}

fn names(change: &str, word: &str) -> bool {
    change.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word)
}

fn written(kind: &RecordType, at: Release, data: &Value) -> Option<Value> {
    let record = WireRecord {
        table_name: kind.table.into(),
        record_id: "r".into(),
        action: Action::Update,
        record_data: RecordData::of(data),
    };
    let dialect = Dialect::of(&format!("{}.{}.{}", at.0, at.1, at.2));
    let element = dialect.write(BatchElement { cursor: Cursor(1), record, sent_since: None, is_own: false }).ok()?;
    serde_json::from_str(element.record.record_data.as_str()).ok()
}

/// Every release in any history, and the one before it.
fn releases() -> Vec<Release> {
    let before = |(major, minor, patch): Release| match patch {
        0 => (major, minor - 1, 99),
        _ => (major, minor, patch - 1),
    };
    let all = declared_upstream();
    let told = all.iter().flat_map(|upstream| history(upstream).into_iter().map(|(release, _)| release));
    // The one that lost a table has other words.
    let told = told.chain([(2, 14, 0), (2, 14, 1)]);
    told.filter(|release| release.1 > 0).flat_map(|release| [before(release), release]).collect()
}

/// True if a release has the table; another test checks how tables come and go.
fn has(kind: &RecordType, at: Release) -> bool {
    written(kind, at, &json!({})).is_some()
}

#[test]
fn each_value_is_written_from_the_release_on_that_the_history_names() {
    let mut later = 0;
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a declaration");
        let enums = kind.fields.iter().filter_map(|field| match field.kind {
            FieldKind::Enum(_, values) => Some((field, values, false)),
            FieldKind::EnumList(_, values) => Some((field, values, true)),
            _ => None,
        });
        for (field, values, is_list) in enums.filter(|_| kind.pulled && kind.removed.is_none()) {
            for value in values {
                let line = history(upstream).into_iter().find(|(_, change)| names(change, value));
                later += u32::from(line.is_some());
                let data = if is_list { json!({field.name: [value]}) } else { json!({field.name: value}) };
                for at in releases().into_iter().filter(|at| has(kind, *at)) {
                    let known = line.is_none_or(|(since, _)| at >= since);
                    let what = format!("{}.{} {value} for {at:?}", kind.table, field.name);
                    assert_eq!(written(kind, at, &data).is_some(), known, "{what}");
                }
            }
        }
    }
    assert_eq!(later, 12, "values that came later");
}

#[test]
fn each_key_is_written_as_the_release_spells_it() {
    let mut renamed = 0;
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a declaration");
        for (field, older) in
            kind.fields.iter().flat_map(|field| field.aliases.iter().map(move |older| (field, *older)))
        {
            let told = history(upstream).into_iter().filter(|(_, change)| names(change, older)).map(|(at, _)| at);
            // A line may tell when the older key came; the newest one tells when it went.
            let since = told.max().unwrap_or_else(|| panic!("{}.{older} has no line", kind.table));
            renamed += 1;
            for at in releases().into_iter().filter(|at| has(kind, *at)) {
                let key = if at < since { older } else { field.name };
                let got = written(kind, at, &json!({field.name: "x", "other": 1}));
                assert_eq!(got, Some(json!({key: "x", "other": 1})), "{} for {at:?}", kind.table);
            }
        }
    }
    assert_eq!(renamed, 4);
}

#[test]
fn each_table_is_written_from_the_release_on_that_has_it() {
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a declaration");
        let since = release(text(upstream, "since")).expect("a release");
        for at in releases() {
            let is_lost = kind.table == "asset_internal_location" && at == (2, 14, 0);
            assert_eq!(has(kind, at), at >= since && !is_lost, "{} for {at:?}", kind.table);
        }
    }
}
