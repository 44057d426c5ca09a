//! Compares two versions of a record regardless of spelling.

use serde_json::Value;
use serde_json::value::RawValue;

use super::datetime::{Date, DateTime};
use super::field::Field;
use super::field_value::FieldKind;
use super::json::{Fields, RecordData, string};
use super::record_type::RecordType;

impl RecordType {
    /// The fields in which two versions of a record differ. These are no differences: another spelling of a key, a date
    /// or a number; a missing key that reads as the value of the other end; an unknown key that only one of them has,
    /// because the other end may be of a release without it; the same with a key that a later release added.
    pub fn differing_fields(&self, one: &RecordData, other: &RecordData) -> Vec<String> {
        if one == other {
            return Vec::new();
        }
        let (Some(ours), Some(theirs)) = (one.fields(), other.fields()) else {
            return if one.same_value(other) { Vec::new() } else { vec!["$".to_owned()] };
        };
        let mut names = Vec::new();
        for field in self.fields.iter().filter(|field| field.optional_since.is_none()) {
            if !same_field(field, field.find(&ours), field.find(&theirs)) {
                names.push(field.name.to_owned());
            }
        }
        names.extend(differing_unknown(&ours, &theirs).filter(|key| !self.is_in_every_release(key)));
        names
    }

    /// True if two versions of a record are equal, including unknown keys: one may replace the other without a loss.
    pub(crate) fn is_same(&self, one: &RecordData, other: &RecordData) -> bool {
        let (Some(ours), Some(theirs)) = (one.fields(), other.fields()) else { return one.same_value(other) };
        let all_in = |some: &Fields<'_>, others: &Fields<'_>| {
            some.iter().all(|(key, _)| self.is_in_every_release(key) || others.get(key).is_some())
        };
        all_in(&ours, &theirs) && all_in(&theirs, &ours) && self.differing_fields(one, other).is_empty()
    }

    fn is_in_every_release(&self, key: &str) -> bool {
        let fields = self.fields.iter().filter(|field| field.optional_since.is_none());
        fields.into_iter().any(|field| field.name == key || field.aliases.contains(&key))
    }
}

/// The keys in which two versions of a document without a record type differ. A key that only one of them has is a difference.
pub(crate) fn differing_keys(one: &RecordData, other: &RecordData) -> Vec<String> {
    let (Some(ours), Some(theirs)) = (one.fields(), other.fields()) else {
        return if one.same_value(other) { Vec::new() } else { vec!["$".to_owned()] };
    };
    let only_in = |some: &Fields<'_>, others: &Fields<'_>| -> Vec<String> {
        some.iter().map(|(key, _)| key).filter(|key| others.get(key).is_none()).map(str::to_owned).collect()
    };
    let both = differing_unknown(&ours, &theirs).collect();
    [both, only_in(&ours, &theirs), only_in(&theirs, &ours)].concat()
}

/// The keys of both whose values differ.
fn differing_unknown<'f>(ours: &'f Fields<'f>, theirs: &'f Fields<'f>) -> impl Iterator<Item = String> + 'f {
    let differs = |key: &&str| match (ours.get(key), theirs.get(key)) {
        (Some(one), Some(other)) => !same_json(one.get(), other.get()),
        _ => false,
    };
    ours.iter().map(|(key, _)| key).filter(differs).map(str::to_owned)
}

fn same_field(field: &Field, one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let text = |raw: Option<&RawValue>| {
        raw.map_or_else(|| field.default.unwrap_or("null").to_owned(), |raw| raw.get().to_owned())
    };
    let (one, other) = (text(one), text(other));
    if one == other {
        return true;
    }
    let parsed = |json: &str| {
        RawValue::from_string(json.to_owned()).ok().and_then(|raw| string(&raw).map(|text| text.into_owned()))
    };
    match (field.kind, parsed(&one), parsed(&other)) {
        (FieldKind::Date, Some(one), Some(other)) => same_some(Date::parse(&one), Date::parse(&other)),
        (FieldKind::DateTime, Some(one), Some(other)) => same_some(DateTime::parse(&one), DateTime::parse(&other)),
        (FieldKind::JsonText, Some(one), Some(other)) => same_json(&one, &other),
        (FieldKind::LegacyDate | FieldKind::LegacyEnum(..), ..) => {
            let value = |json: &str| {
                let text = parsed(json).unwrap_or_default();
                if text.starts_with("0000-00-00") { String::new() } else { text.replacen(' ', "T", 1) }
            };
            value(&one) == value(&other)
        }
        _ => same_json(&one, &other),
    }
}

fn same_some<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && one == other
}

/// True if two texts are the same JSON value; the spelling of numbers does not matter.
fn same_json(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok().map(plain);
    one == other || same_some(value(one), value(other))
}

/// A value with all numbers in one form, as far as no digit is lost.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record_type;

    fn differing(table: &str, one: &str, other: &str) -> Vec<String> {
        let data = |json: &str| RecordData::parse(json).unwrap();
        let kind = record_type(table).unwrap();
        let found = kind.differing_fields(&data(one), &data(other));
        assert_eq!(found, kind.differing_fields(&data(other), &data(one)), "it is the same both ways");
        found
    }

    #[test]
    fn spelling_is_no_difference() {
        let one =
            r#"{"id":"a","created_datetime":"2025-01-01T00:00:00.000","notes":null,"installation_date":"2025-01-01"}"#;
        let other = r#"{"notes":null,"installation_date":"2025-01-01","created_datetime":"2025-01-01T00:00:00","id":"a","later":1}"#;
        assert_eq!(differing("asset", one, other), [] as [&str; 0]);
        let old = r#"{"id":"v","patient_link_id":"p","given":true}"#;
        let new = r#"{"id":"v","patient_id":"p","given":true,"comment":null}"#;
        assert_eq!(differing("vaccination", old, new), [] as [&str; 0]);
        let course = |rate: &str| format!(r#"{{"id":"c","coverage_rate":{rate}}}"#);
        assert_eq!(differing("vaccine_course", &course("1"), &course("1.0")), [] as [&str; 0]);
        assert_eq!(differing("vaccine_course", &course("1"), &course("1.5")), ["coverage_rate"]);
    }

    #[test]
    fn a_key_that_only_one_has_is_no_difference_of_fields_but_may_not_be_lost() {
        let data = |json: &str| RecordData::parse(json).unwrap();
        let kind = record_type("name_store_join").unwrap();
        let plain = data(r#"{"id":"j","name_id":"n","store_id":"s","inactive":false}"#);
        let spelled = data(r#"{"store_id":"s","name_id":"n","id":"j","inactive":false}"#);
        let more = data(r#"{"id":"j","name_id":"n","store_id":"s","inactive":false,"of a later release":"x"}"#);
        assert!(kind.is_same(&plain, &spelled));
        assert!(!kind.is_same(&plain, &more) && !kind.is_same(&more, &plain));
        assert_eq!(kind.differing_fields(&plain, &more), [] as [&str; 0]);
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let asset = |notes: &str, at: &str, extra: &str| {
            format!(r#"{{"id":"a","notes":{notes},"created_datetime":"{at}"{extra}}}"#)
        };
        let one = asset("null", "2025-01-01T00:00:00", "");
        assert_eq!(differing("asset", &one, &asset("\"\"", "2025-01-01T00:00:00", "")), ["notes"]);
        assert_eq!(differing("asset", &one, &asset("\"x\"", "2025-01-01T00:00:01", "")), ["notes", "created_datetime"]);
        let with = |value: &str| asset("null", "2025-01-01T00:00:00", &format!(r#","later":{value}"#));
        assert_eq!(differing("asset", &with("1"), &with("2")), ["later"], "both know it");
        assert_eq!(differing("asset", "[]", &one), ["$"]);
        let reports = [r#"{"id":"r","template":"{\"a\":1,\"b\":2}"}"#, r#"{"id":"r","template":"{\"b\":2, \"a\":1}"}"#];
        assert_eq!(differing("om_report", reports[0], reports[1]), [] as [&str; 0]);
    }
}
