//! The fields of a record type: their declarations, and the reader that checks them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::datetime::{is_written_date, is_written_date_time, is_written_legacy_date};
use super::field_error::FieldError;
use super::field_value::{FieldKind, FieldValue, describe};
use super::json::{Fields, RecordData, string};

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
