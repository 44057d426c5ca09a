//! The values of fields: their formats on the wire, and the Rust types of typed records.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::datetime::{Date, DateTime, is_legacy_date};
use super::json::string;
use super::portable::{flaw, is_portable, is_string};

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
    pub(super) fn accepts(self, raw: &RawValue) -> bool {
        let text = || string(raw);
        match self {
            Self::Text | Self::JsonText => is_string(raw),
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
    pub(super) fn is_not_set(self, raw: &RawValue) -> bool {
        let text = string(raw);
        match self {
            Self::Date | Self::DateTime => text.is_some_and(|text| text.starts_with("0000-00-00")),
            Self::Enum(..) => text.is_some_and(|text| text.is_empty()),
            _ => false,
        }
    }

    pub(super) fn is_newer_value(self, raw: &RawValue) -> bool {
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

    pub(super) fn describe(self) -> Cow<'static, str> {
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
