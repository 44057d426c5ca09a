//! Fields of a record type: the format of values, and the place of a bad one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::datetime::{Date, DateTime, is_legacy_date, is_written_date, is_written_date_time, is_written_legacy_date};
use super::json::{Fields, RecordData, string};
use super::portable::{Flaw, flaw, is_portable};
use crate::text::Message;
use crate::text::sentences::error_detail;

/// The declaration of one field of a record type.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key on the wire, in the spelling of v2.19.00.
    pub name: &'static str,
    /// The format of a value.
    pub kind: FieldKind,
    /// True if null is allowed.
    pub nullable: bool,
    /// The value of a missing key, as JSON text; `None` if the key must be present.
    pub default: Option<&'static str>,
    /// The release that added a mandatory key without a default. An older peer does not send it; it reads as
    /// [`Field::default`] (quirk W2).
    pub added: Option<&'static str>,
    /// The release that added an optional key. An end of an older release has no such key, which is no difference from a
    /// value here; a null is written only if it came.
    pub optional_since: Option<&'static str>,
    /// Spellings of older releases that are read too (quirk W1).
    pub aliases: &'static [&'static str],
    /// The table of the record that this value names, and without which a real receiver refuses this record.
    pub parent: Option<&'static str>,
}

impl Field {
    /// Declares a field that holds a `T`: an `Option` may be null or missing, anything else must be present.
    pub(crate) const fn of<T: FieldValue>(name: &'static str) -> Self {
        let default = if T::NULLABLE { Some("null") } else { None };
        Self {
            name,
            kind: T::KIND,
            nullable: T::NULLABLE,
            default,
            added: None,
            optional_since: None,
            aliases: &[],
            parent: None,
        }
    }

    /// The key must be present, even if its value is null.
    pub(crate) const fn present(mut self) -> Self {
        self.default = None;
        self
    }

    /// Sets the value of a missing key.
    pub(crate) const fn missing_is(mut self, json: &'static str) -> Self {
        self.default = Some(json);
        self
    }

    /// A mandatory key that peers before `release` do not send.
    pub(crate) const fn added_in(mut self, release: &'static str, json: &'static str) -> Self {
        self.added = Some(release);
        self.default = Some(json);
        self
    }

    /// An optional key that ends before `release` do not have.
    pub(crate) const fn optional_since(mut self, release: &'static str) -> Self {
        self.optional_since = Some(release);
        self
    }

    /// Spellings of older releases.
    pub(crate) const fn formerly(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The table of the record that must be integrated first.
    pub(crate) const fn parent(mut self, table: &'static str) -> Self {
        self.parent = Some(table);
        self
    }

    /// The field's raw value under its own or an older spelling.
    pub fn find<'a>(&self, fields: &Fields<'a>) -> Option<&'a RawValue> {
        fields.get(self.name).or_else(|| self.aliases.iter().find_map(|alias| fields.get(alias)))
    }

    /// Checks the value of this field in a record.
    ///
    /// # Errors
    /// What is wrong with it, by JSON path.
    pub fn check(&self, fields: &Fields<'_>) -> Result<(), FieldError> {
        self.check_value(self.find(fields))
    }

    /// Checks a record from a host or a site, more strictly: values from servers may be looser than values sent to
    /// them.
    ///
    /// # Errors
    /// What is wrong with it, by JSON path.
    pub(crate) fn check_written(&self, fields: &Fields<'_>) -> Result<(), FieldError> {
        // Each reader would take one of them, and not all the same.
        let spellings = std::iter::once(&self.name).chain(self.aliases);
        if !self.aliases.is_empty() && spellings.filter(|name| fields.get(name).is_some()).count() > 1 {
            return Err(self.error("one spelling of the key", "an older one beside it"));
        }
        let is_written = match self.kind {
            FieldKind::Date => is_written_date,
            FieldKind::DateTime => is_written_date_time,
            FieldKind::LegacyDate => is_written_legacy_date,
            _ => return self.check(fields),
        };
        match self.find(fields).and_then(string) {
            Some(text) if is_written(&text) => Ok(()),
            text => {
                self.check(fields)?;
                let found = "a spelling that not every server reads";
                text.map_or(Ok(()), |_| Err(self.error(self.kind.describe(), found)))
            }
        }
    }

    /// Checks the value that was found under the field's key, if any.
    fn check_value(&self, found: Option<&RawValue>) -> Result<(), FieldError> {
        match found {
            None if self.default.is_some() => Ok(()),
            None => Err(self.error("a value", "no such key")),
            Some(raw) if raw.get() == "null" => {
                if self.nullable || self.kind == FieldKind::Json {
                    Ok(())
                } else {
                    Err(self.wrong(raw))
                }
            }
            Some(raw) if self.kind.accepts(raw) => Ok(()),
            Some(raw) => Err(self.wrong(raw)),
        }
    }

    fn wrong(&self, raw: &RawValue) -> FieldError {
        let is_special =
            matches!(self.kind, FieldKind::Date | FieldKind::DateTime | FieldKind::LegacyDate | FieldKind::JsonText);
        let found = match describe(raw) {
            _ if self.kind.is_not_set(raw) => Cow::Borrowed("nothing, because it was not set"),
            // "expected a date, found a string" does not tell that a text is right, only not this one.
            Cow::Borrowed("a string") if is_special => Cow::Borrowed("another string"),
            found => found,
        };
        FieldError { unsupported: self.kind.is_newer_value(raw), ..self.error(self.kind.describe(), found) }
    }

    fn error(&self, expected: impl Into<Cow<'static, str>>, found: impl Into<Cow<'static, str>>) -> FieldError {
        FieldError {
            path: format!("$.{}", self.name),
            expected: expected.into(),
            found: found.into(),
            unsupported: false,
        }
    }
}

/// The fault in a record's data. Names only the place and the kind of the value, and the value itself only if it is an
/// unknown enum value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.says())]
#[non_exhaustive]
pub struct FieldError {
    /// JSON path inside `recordData`.
    pub path: String,
    /// The expected kind.
    pub expected: Cow<'static, str>,
    /// The kind that was found.
    pub found: Cow<'static, str>,
    /// True if this looks like a value of a newer release (an unknown enum value) rather than a fault.
    pub unsupported: bool,
}

impl FieldError {
    /// The fault in words.
    pub fn says(&self) -> Message {
        error_detail::field(&self.path, &*self.expected, &*self.found)
    }
}

/// The format of a field's value on the wire (`record-types`: *How a record looks on the wire*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// A JSON string; numbers are not coerced.
    Text,
    /// JSON true or false.
    Bool,
    /// A JSON integer of 32 bits; `1.0` is refused.
    I32,
    /// Any JSON number.
    F64,
    /// A [`Date`].
    Date,
    /// A [`DateTime`].
    DateTime,
    /// A date or date-time as the legacy server writes it; `""` and `0000-00-00` for none.
    LegacyDate,
    /// A JSON string with JSON text in it, which is not parsed.
    JsonText,
    /// Any JSON value, null included.
    Json,
    /// One of the named spellings.
    Enum(&'static str, &'static [&'static str]),
    /// An array of the named spellings.
    EnumList(&'static str, &'static [&'static str]),
    /// One of the named spellings, or `""` for none.
    LegacyEnum(&'static str, &'static [&'static str]),
}

impl FieldKind {
    fn accepts(self, raw: &RawValue) -> bool {
        let text = || string(raw);
        match self {
            Self::Text | Self::JsonText => text().is_some(),
            Self::Bool => matches!(raw.get(), "true" | "false"),
            // serde, which real servers use, reads "-0" as a float.
            Self::I32 => raw.get() != "-0" && raw.get().parse::<i32>().is_ok(),
            Self::F64 => raw.get().parse::<f64>().is_ok_and(f64::is_finite),
            Self::Date => text().is_some_and(|t| Date::parse(&t).is_some()),
            Self::DateTime => text().is_some_and(|t| DateTime::parse(&t).is_some()),
            Self::LegacyDate => text().is_some_and(|t| is_legacy_date(&t)),
            Self::Json => is_portable(raw),
            Self::Enum(_, values) => text().is_some_and(|t| values.contains(&t.as_ref())),
            Self::LegacyEnum(_, values) => text().is_some_and(|t| t.is_empty() || values.contains(&t.as_ref())),
            Self::EnumList(_, values) => serde_json::from_str::<Vec<Cow<'_, str>>>(raw.get())
                .is_ok_and(|list| list.iter().all(|t| values.contains(&t.as_ref()))),
        }
    }

    /// True for the value that a new typed record has where a date or an enumeration was forgotten.
    fn is_not_set(self, raw: &RawValue) -> bool {
        let text = string(raw);
        match self {
            Self::Date | Self::DateTime => text.is_some_and(|text| text.starts_with("0000-00-00")),
            Self::Enum(..) => text.is_some_and(|text| text.is_empty()),
            _ => false,
        }
    }

    fn is_newer_value(self, raw: &RawValue) -> bool {
        match self {
            Self::Enum(..) | Self::LegacyEnum(..) => raw.get().starts_with('"'),
            Self::EnumList(..) => serde_json::from_str::<Vec<Cow<'_, str>>>(raw.get()).is_ok(),
            _ => false,
        }
    }

    /// The kind in the words of the spec: `string`, `i32`, `enum:AssetLogStatus` …
    pub fn spec_name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Text => "string",
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::F64 => "f64",
            Self::Date => "date",
            Self::DateTime | Self::LegacyDate => "datetime",
            Self::JsonText => "string-containing-json",
            Self::Json | Self::EnumList(..) => "json",
            Self::Enum(name, _) | Self::LegacyEnum(name, _) => {
                return Cow::Owned(format!("enum:{name}"));
            }
        })
    }

    /// Name and spellings, for an enumeration.
    pub fn enumeration(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Enum(name, values) | Self::EnumList(name, values) | Self::LegacyEnum(name, values) => {
                Some((name, values))
            }
            _ => None,
        }
    }

    fn describe(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Text => "a string",
            Self::Bool => "true or false",
            Self::I32 => "an integer of 32 bits",
            Self::F64 => "a number",
            Self::Date => "a date YYYY-MM-DD",
            Self::DateTime => "a date-time YYYY-MM-DDTHH:MM:SS without a zone",
            Self::LegacyDate => "a date or date-time",
            Self::JsonText => "a string that holds JSON",
            Self::Json => "a JSON value",
            // The longest one names 40 contexts of reports.
            Self::Enum(_, values) | Self::LegacyEnum(_, values) if values.len() <= 10 => {
                return Cow::Owned(format!("one of {}", values.join(", ")));
            }
            Self::Enum(name, _) | Self::LegacyEnum(name, _) => {
                return Cow::Owned(format!("a known {name}"));
            }
            Self::EnumList(name, _) => return Cow::Owned(format!("a list of known {name} values")),
        })
    }
}

/// Describes the kind of a value. Quotes it only if it looks like an enum value: short, and of plain letters.
pub(crate) fn describe(raw: &RawValue) -> Cow<'static, str> {
    let text = raw.get();
    if let Some(flaw) = flaw(text) {
        return Cow::Borrowed(flaw.kind.found());
    }
    match text.as_bytes().first() {
        Some(b'"') => match string(raw) {
            Some(word)
                if !word.is_empty()
                    && word.len() <= 40
                    && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') =>
            {
                Cow::Owned(format!("{word:?}"))
            }
            _ => Cow::Borrowed("a string"),
        },
        Some(b'{') => Cow::Borrowed("an object"),
        Some(b'[') => Cow::Borrowed("an array"),
        Some(b't' | b'f') => Cow::Borrowed("true or false"),
        Some(b'n') => Cow::Borrowed("null"),
        _ => Cow::Borrowed("a number"),
    }
}

/// A Rust type for a field of a typed record.
#[diagnostic::on_unimplemented(
    message = "a field of a record cannot have the type `{Self}`",
    note = "the types are `String`, `TypedId`, `RecordId`, `StoreId`, `bool`, `i32`, `f64`, `Date`, `DateTime`, `JsonText`, `Json`, \
            `LegacyDate`, the enumerations of `record/enums.rs`, and `Option` of each of them where null is allowed"
)]
pub trait FieldValue: Sized {
    /// The format of the value on the wire.
    const KIND: FieldKind;
    /// True if null is allowed.
    const NULLABLE: bool = false;

    /// Reads the value; `None` if it is of another kind.
    fn read(raw: &RawValue) -> Option<Self>;

    /// Writes the value as JSON.
    fn write(&self) -> Box<RawValue>;
}

/// JSON text of a value; null if it cannot be written.
fn json(value: &(impl serde::Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

macro_rules! serde_field_value {
    ($($type:ty => $kind:ident),*) => {$(
        impl FieldValue for $type {
            const KIND: FieldKind = FieldKind::$kind;

            fn read(raw: &RawValue) -> Option<Self> {
                serde_json::from_str(raw.get()).ok()
            }

            fn write(&self) -> Box<RawValue> {
                json(self)
            }
        }
    )*};
}

serde_field_value!(String => Text, bool => Bool, i32 => I32, f64 => F64);

macro_rules! text_field_value {
    ($($type:ty => $kind:ident),*) => {$(
        impl FieldValue for $type {
            const KIND: FieldKind = FieldKind::$kind;

            fn read(raw: &RawValue) -> Option<Self> {
                Self::parse(&string(raw)?)
            }

            fn write(&self) -> Box<RawValue> {
                json(&self.to_string())
            }
        }
    )*};
}

text_field_value!(Date => Date, DateTime => DateTime);

impl<T: FieldValue> FieldValue for Option<T> {
    const KIND: FieldKind = T::KIND;
    const NULLABLE: bool = true;

    fn read(raw: &RawValue) -> Option<Self> {
        if raw.get() == "null" { Some(None) } else { T::read(raw).map(Some) }
    }

    fn write(&self) -> Box<RawValue> {
        self.as_ref().map_or_else(|| RawValue::NULL.to_owned(), FieldValue::write)
    }
}

/// JSON text inside a JSON string, which is not parsed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JsonText(pub String);

impl FieldValue for JsonText {
    const KIND: FieldKind = FieldKind::JsonText;

    fn read(raw: &RawValue) -> Option<Self> {
        String::read(raw).map(Self)
    }

    fn write(&self) -> Box<RawValue> {
        json(&self.0)
    }
}

/// Any JSON value, kept as its text; null by default.
#[derive(Clone, Debug)]
pub struct Json(pub Box<RawValue>);

impl Default for Json {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

impl FieldValue for Json {
    const KIND: FieldKind = FieldKind::Json;

    fn read(raw: &RawValue) -> Option<Self> {
        Some(Self(raw.to_owned()))
    }

    fn write(&self) -> Box<RawValue> {
        self.0.clone()
    }
}

/// A date or date-time as the legacy server writes it, kept as text; `""` and `0000-00-00` for none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LegacyDate(pub String);

impl FieldValue for LegacyDate {
    const KIND: FieldKind = FieldKind::LegacyDate;

    fn read(raw: &RawValue) -> Option<Self> {
        string(raw).filter(|text| is_legacy_date(text)).map(|text| Self(text.into_owned()))
    }

    fn write(&self) -> Box<RawValue> {
        json(&self.0)
    }
}

/// A typed record is read field by field, so that an error names its field.
pub(crate) struct FieldReader<'a> {
    declared: &'static [Field],
    fields: Fields<'a>,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(declared: &'static [Field], data: &'a RecordData) -> Result<Self, FieldError> {
        data.check_portable()?;
        let fields = data.fields().ok_or_else(|| not_an_object(data))?;
        Ok(Self { declared, fields })
    }

    /// Reads the `index`th declared field.
    pub(crate) fn take<T: FieldValue>(&self, index: usize) -> Result<T, FieldError> {
        let field = &self.declared[index];
        field.check(&self.fields).or_else(|error| if error.unsupported { Ok(()) } else { Err(error) })?;
        let missing;
        let raw = match field.find(&self.fields) {
            Some(raw) => raw,
            None => {
                missing = RawValue::from_string(field.default.unwrap_or("null").to_owned());
                missing.as_deref().map_err(|_| field.error("a readable default", "none"))?
            }
        };
        T::read(raw).ok_or_else(|| field.wrong(raw))
    }

    /// The keys that this version does not know, and nulls that are written only if they came.
    pub(crate) fn unknown(&self) -> BTreeMap<String, Box<RawValue>> {
        let known = |key: &str, value: &RawValue| {
            let is_of = |field: &&Field| field.name == key || field.aliases.contains(&key);
            let declared = self.declared.iter().find(is_of);
            declared.is_some_and(|field| field.optional_since.is_none() || value.get() != "null")
        };
        self.fields
            .iter()
            .filter(|(key, value)| !known(key, value))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }
}

impl Flaw {
    /// The fault as an error of its field.
    pub(crate) fn as_field_error(&self) -> FieldError {
        let path = match &self.key {
            Some(key) => format!("$.{}", crate::redaction::excerpt(key.as_bytes())),
            None => "$".to_owned(),
        };
        unreadable(path, self.kind.found())
    }
}

/// Content that not every peer can read.
pub(crate) fn unreadable(path: String, found: &'static str) -> FieldError {
    let expected = Cow::Borrowed("a value that every peer can read");
    FieldError { path, expected, found: Cow::Borrowed(found), unsupported: false }
}

/// Checks the data of a record that is kept whole: an object with a key. Without one it would replace the stored record by nothing.
pub(crate) fn check_document(data: &RecordData) -> Result<(), FieldError> {
    let Some(fields) = data.fields() else { return Err(not_an_object(data)) };
    if fields.iter().next().is_some() {
        return Ok(());
    }
    let (path, expected, found) = ("$".to_owned(), "the data of the record".into(), "none".into());
    Err(FieldError { path, expected, found, unsupported: false })
}

pub(crate) fn not_an_object(data: &RecordData) -> FieldError {
    let found = serde_json::from_str::<&RawValue>(data.as_str()).map_or(Cow::Borrowed("something else"), describe);
    FieldError { path: "$".to_owned(), expected: Cow::Borrowed("an object"), found, unsupported: false }
}
