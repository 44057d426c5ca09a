//! The raw JSON text of a record, and a shallow reader for it.
//!
//! A record is kept as it came: the text of `recordData`. This module only finds the value of each top-level key, so
//! that unknown keys, digits of numbers and the order of keys survive every hop.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::field_error::FieldError;
use super::key_places::{KeyPlace, key_places};
use super::portable::{self, Flaw};

/// The most bytes of one record's data: with its envelope it still fits the 10 MiB that central takes.
pub const RECORD_BYTES_MAX: usize = 10_000_000;

/// The JSON text of a record's `recordData`, valid JSON by construction.
#[derive(Clone)]
pub struct RecordData(Arc<ReadText>);

/// A text and what was found in it; copies of a record share both.
struct ReadText {
    json: Box<RawValue>,
    /// Once it was asked for: where the top-level keys stand; `None` if it is not an object.
    places: OnceLock<Option<Box<[KeyPlace]>>>,
    /// Once it was asked for: what not every peer can read.
    flaw: OnceLock<Option<Flaw>>,
}

impl RecordData {
    fn new(json: Box<RawValue>) -> Self {
        Self(Arc::new(ReadText { json, places: OnceLock::new(), flaw: OnceLock::new() }))
    }

    /// Takes JSON text unchanged.
    ///
    /// # Errors
    /// The text is not one JSON value; the parser's message says where.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.into()).map(Self::new)
    }

    /// The value `{}`, which a missing `recordData` reads as.
    pub fn empty() -> Self {
        or_null(RawValue::from_string("{}".to_owned()))
    }

    /// Writes a value as JSON; a value that cannot be written (a map with keys that are not text) reads as null.
    pub fn of(value: &impl Serialize) -> Self {
        or_null(serde_json::value::to_raw_value(value))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.json.get()
    }

    /// Finds the values of the top-level keys; `None` if this is not a JSON object.
    pub fn fields(&self) -> Option<Fields<'_>> {
        let places = self.0.places.get_or_init(|| key_places(self.as_str()));
        Some(Fields(FoundKeys::Placed(self.as_str(), places.as_ref()?)))
    }

    /// Reads the text once, so that the thread that writes it need not.
    pub(crate) fn read_ahead(&self) {
        let _ = (self.fields(), self.flaw());
    }

    /// What not every peer can read; see [`portable`](super::portable).
    fn flaw(&self) -> Option<&Flaw> {
        self.0.flaw.get_or_init(|| portable::flaw(self.as_str())).as_ref()
    }

    /// True for a JSON object, as every record is. Looks at the first character alone.
    pub(crate) fn is_object(&self) -> bool {
        self.as_str().trim_start().starts_with('{')
    }

    /// Refuses content that not every peer can read; see [`portable`](super::portable).
    pub(crate) fn check_portable(&self) -> Result<(), FieldError> {
        self.flaw().map_or(Ok(()), |flaw| Err(flaw.as_field_error()))
    }

    /// The data with each key once, with the value that every Open mSupply server reads; `None` if it is so already, or
    /// if it has another fault that not every peer can read.
    pub(crate) fn with_each_key_once(&self) -> Option<Self> {
        self.flaw().filter(|flaw| flaw.kind == portable::Unportable::KeyTwice)?;
        Self::parse(portable::with_each_key_once(self.as_str())).ok()
    }

    /// True if both hold the same value, with any order of keys and spelling of numbers.
    pub fn same_value(&self, other: &Self) -> bool {
        fn value(data: &RecordData) -> Option<serde_json::Value> {
            serde_json::from_str(data.as_str()).ok()
        }
        self.as_str() == other.as_str() || value(self) == value(other)
    }

    /// The same object with this text under a key, which becomes the last. `None` for another JSON value.
    pub(crate) fn with_text(&self, key: &str, text: &str) -> Option<Self> {
        let key_value = |key: &str, value: &str| format!("{}:{value}", serde_json::Value::from(key));
        let fields = self.fields()?;
        let others = fields.iter().filter(|(other, _)| *other != key).map(|(key, value)| key_value(key, value.get()));
        let last = key_value(key, &serde_json::Value::from(text).to_string());
        let all: Vec<String> = others.chain([last]).collect();
        Self::parse(format!("{{{}}}", all.join(","))).ok()
    }
}

fn or_null(value: Result<Box<RawValue>, serde_json::Error>) -> RecordData {
    RecordData::new(value.unwrap_or_else(|_| RawValue::NULL.to_owned()))
}

impl Serialize for RecordData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Eq for RecordData {}

impl PartialEq for RecordData {
    /// Compares the text; see [`RecordData::same_value`] for the value.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// The top-level keys of a JSON object with the raw text of their values, in the order they came.
#[derive(Debug)]
pub struct Fields<'a>(FoundKeys<'a>);

#[derive(Debug)]
enum FoundKeys<'a> {
    /// By a parser, in any text.
    Parsed(Vec<(Cow<'a, str>, &'a RawValue)>),
    /// In the text of a record, which is valid JSON.
    Placed(&'a str, &'a [KeyPlace]),
}

impl<'a> Fields<'a> {
    /// Reads an object; `None` for any other JSON value.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The raw text of a key's value; of a repeated key, the last.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        match &self.0 {
            FoundKeys::Parsed(fields) => fields.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value),
            FoundKeys::Placed(json, places) => {
                places.iter().rev().find(|place| place.is(key, json)).map(|place| place.value(json))
            }
        }
    }

    /// A key's value as text; `None` if the key is missing, null or not a string.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(string)
    }

    /// A key's value as a whole number, which servers write as a number or as text; `None` if it is neither.
    pub fn number(&self, key: &str) -> Option<i64> {
        match serde_json::from_str(self.get(key)?.get()).ok()? {
            serde_json::Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let (parsed, json, places) = match &self.0 {
            FoundKeys::Parsed(fields) => (fields.as_slice(), "", Default::default()),
            FoundKeys::Placed(json, places) => (Default::default(), *json, *places),
        };
        let parsed = parsed.iter().map(|(key, value)| (key.as_ref(), *value));
        parsed.chain(places.iter().map(move |place| (place.key(json), place.value(json))))
    }
}

/// A number with a decimal point that is whole, such as 3.0.
fn whole(number: f64) -> Option<i64> {
    /// Beyond these, not every whole number is one.
    const EXACT: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Reads a JSON string; `None` for any other value.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Fields(FoundKeys::Parsed(fields)))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A key that borrows where it can.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_without_touching_values() {
        let data = RecordData::parse(r#"{"a":9007199254740993,"b\u0041":"x\"y","a":1.10,"n":null}"#).unwrap();
        let fields = data.fields().unwrap();
        assert_eq!(fields.get("a").unwrap().get(), "1.10");
        assert_eq!(fields.text("bA").unwrap(), "x\"y");
        assert_eq!(fields.text("n"), None);
        assert_eq!(fields.text("missing"), None);
        assert_eq!(fields.iter().next().unwrap().1.get(), "9007199254740993");
    }

    #[test]
    fn only_objects_have_fields() {
        for text in ["[]", "null", "\"text\"", "1"] {
            assert!(RecordData::parse(text).unwrap().fields().is_none(), "{text}");
        }
        assert!(RecordData::parse("{").is_err());
    }

    #[test]
    fn the_places_of_keys_are_those_that_a_parser_finds() {
        let all = |fields: Option<Fields<'_>>| -> Option<Vec<(String, String)>> {
            Some(fields?.iter().map(|(key, value)| (key.to_owned(), value.get().to_owned())).collect())
        };
        for json in [
            "{}",
            " { } ",
            "[]",
            "null",
            "12",
            "\"{\"",
            r#"{"a":1}"#,
            r#"{"a":1,"a":2,"":null}"#,
            "{ \"a\" :\t[ 1 , {\"b\":\"}\"} ] ,\r\n\"c\" : -1.5e3 }",
            r#"{"a":{"b":{"c":[{},[]]}},"d":"\\","e":"\"","f":"é\u00e9","g":true}"#,
            r#"{"b\u0041":"x\"y","\"":0,"\\":1}"#,
            r#"{"a":"\ud800","b":1e999}"#,
            r#"{"a\ud800":1}"#,
            r#"{"a":"]","b":["[",{"c":"{"}],"d":false}"#,
        ] {
            let data = RecordData::parse(json).expect(json);
            assert_eq!(all(data.fields()), all(Fields::parse(json)), "{json}");
            for (key, _) in all(data.fields()).unwrap_or_default() {
                let value =
                    |fields: Option<Fields<'_>>| fields.and_then(|of| of.get(&key).map(|raw| raw.get().to_owned()));
                assert_eq!(value(data.fields()), value(Fields::parse(json)), "{key} of {json}");
            }
        }
    }
}
