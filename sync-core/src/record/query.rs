//! Queries of one table by the fields of its records.

mod asked;

use serde_json::value::RawValue;

use super::TypedId;
use crate::text::quoted;

pub(crate) use asked::{AskedQuery, QueryFault, SortKey};

/// A query of one table: conditions on fields, all of which must hold, an order and a page. A field has its name on the wire; one
/// that the record type does not have is an error, even if stored records have such a key. The fields of the legacy server's tables are not all
/// known here. One that no record has is an error if it resembles a known field or a field of the records that are here (`name_id` for
/// `name_ID`); any other is null in every record. A record whose stored text is no JSON object has no fields, and no query finds it.
///
/// A storage is read page by page, so a query costs as much as the table is long and holds no more than its result in memory. An app with large tables asks
/// its SQLite file in SQL (`Replica::read_sql`), or keeps a table of its own.
///
/// A field that the record type, or the table of the legacy server, declares as a date or a date-time is compared and sorted by its
/// moment, whatever the spelling: a date alone is its first moment, so `2026-11-01` is `2026-11-01T00:00:00`. A value in a condition on such
/// a field is a [`Date`](super::Date), a [`DateTime`](super::DateTime) or a text of this form, in UTC and without a zone; any other
/// value is an error. The spellings of the legacy server for no date, `""` and `0000-00-00`, are null. Only [`contains`](Self::contains)
/// looks at the text itself.
///
/// ```
/// use sync_core::record::{Asset, Query};
/// # use std::sync::Arc;
/// # use sync_core::{Replica, storage::MemoryStorage};
/// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
/// let of_store = Query::new().is("store_id", "STORE_1").is_null("deleted_datetime");
/// let page = of_store.order_by("asset_number").skip(20).limit(20);
/// let assets: Vec<Asset> = replica.records().of().find(&page)?;
/// # assert!(assets.is_empty());
/// # Ok::<(), sync_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    conditions: Vec<(String, Condition<Scalar>)>,
    order: Vec<(String, SortDirection)>,
    skip: usize,
    limit: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition<V> {
    Is(V),
    IsNot(V),
    IsAnyOf(Vec<V>),
    IsNull,
    IsNotNull,
    AtLeast(V),
    Below(V),
    Contains(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortDirection {
    Up,
    Down,
}

/// A value that a field is compared with: a text, a number, true or false. It is made of a value of Rust, or of a reference to
/// one: a text, any number, an id, a date, a value of an enumeration of a record type.
///
/// ```
/// use sync_core::record::{Date, PropertyValueType, Query, Scalar};
///
/// let properties = Query::new().is("value_type", PropertyValueType::Integer).is_not("key", "doors");
/// let doses = Query::new().at_least("doses", 10_i64).is("is_active", true).below("expiry_date", Date::parse("2027-01-01").unwrap());
/// assert_eq!(Scalar::from(7_u32), Scalar::Number(7.0));
/// for (date, name) in [(Date::parse("2027-01-01").unwrap(), "doors")].iter() {
///     let _ = Query::new().below("expiry_date", date).is("key", name);
/// }
/// # let _ = (properties, doses);
/// ```
///
/// A number is compared as an `f64`, as JSON has it: integers beyond 2⁵³ may be taken for their neighbours.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text, compared byte by byte, where the field is no date.
    Text(String),
}

macro_rules! scalar {
    ($($from:ty => |$value:ident| $scalar:expr),* $(,)?) => {$(
        impl From<$from> for Scalar {
            fn from($value: $from) -> Self {
                $scalar
            }
        }
    )*};
}
scalar! {
    bool => |value| Self::Bool(value),
    i8 => |value| Self::Number(value.into()),
    i16 => |value| Self::Number(value.into()),
    i32 => |value| Self::Number(value.into()),
    i64 => |value| Self::Number(value as f64),
    isize => |value| Self::Number(value as f64),
    u8 => |value| Self::Number(value.into()),
    u16 => |value| Self::Number(value.into()),
    u32 => |value| Self::Number(value.into()),
    u64 => |value| Self::Number(value as f64),
    usize => |value| Self::Number(value as f64),
    f32 => |value| Self::Number(value.into()),
    f64 => |value| Self::Number(value),
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
    &String => |value| Self::Text(value.clone()),
    std::borrow::Cow<'_, str> => |value| Self::Text(value.into_owned()),
    super::RecordId => |value| Self::Text(value.into()),
    &super::RecordId => |value| Self::Text(value.into()),
    super::StoreId => |value| Self::Text(value.into()),
    &super::StoreId => |value| Self::Text(value.into()),
    super::Date => |value| Self::Text(value.to_string()),
    super::DateTime => |value| Self::Text(value.to_string()),
}

/// A reference to a value is compared like the value.
macro_rules! scalar_of_reference {
    ($($from:ty),* $(,)?) => {$(
        impl From<&$from> for Scalar {
            fn from(value: &$from) -> Self {
                (*value).into()
            }
        }
    )*};
}
scalar_of_reference!(
    bool,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    &str,
    super::Date,
    super::DateTime,
);

impl<T> From<TypedId<T>> for Scalar {
    fn from(id: TypedId<T>) -> Self {
        Self::Text(id.into())
    }
}

impl<T> From<&TypedId<T>> for Scalar {
    fn from(id: &TypedId<T>) -> Self {
        Self::Text(id.into())
    }
}

impl Scalar {
    /// A value of a record; `None` for null, a list and an object.
    fn read(raw: &RawValue) -> Option<Self> {
        match serde_json::from_str(raw.get()).ok()? {
            serde_json::Value::Bool(value) => Some(Self::Bool(value)),
            serde_json::Value::Number(value) => value.as_f64().map(Self::Number),
            serde_json::Value::String(value) => Some(Self::Text(value)),
            _ => None,
        }
    }

    /// As a message shows it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => format!("\"{}\"", quoted(text)),
        }
    }
}

impl<V> Condition<V> {
    /// The same condition with other values.
    fn with_values<'v, W, F>(&'v self, mut value: impl FnMut(&'v V) -> Result<W, F>) -> Result<Condition<W>, F> {
        Ok(match self {
            Self::Is(with) => Condition::Is(value(with)?),
            Self::IsNot(with) => Condition::IsNot(value(with)?),
            Self::IsAnyOf(all) => Condition::IsAnyOf(all.iter().map(value).collect::<Result<_, _>>()?),
            Self::IsNull => Condition::IsNull,
            Self::IsNotNull => Condition::IsNotNull,
            Self::AtLeast(with) => Condition::AtLeast(value(with)?),
            Self::Below(with) => Condition::Below(value(with)?),
            Self::Contains(part) => Condition::Contains(part.clone()),
        })
    }
}

impl Query {
    /// Every record of the table, by id.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only records whose field has this value.
    #[must_use]
    pub fn is(self, field: &str, value: impl Into<Scalar>) -> Self {
        self.with(field, Condition::Is(value.into()))
    }

    /// Only records whose field does not have this value, null and missing fields among them.
    #[must_use]
    pub fn is_not(self, field: &str, value: impl Into<Scalar>) -> Self {
        self.with(field, Condition::IsNot(value.into()))
    }

    /// Only records whose field has one of these values.
    #[must_use]
    pub fn is_any_of<V: Into<Scalar>>(self, field: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.with(field, Condition::IsAnyOf(values.into_iter().map(Into::into).collect()))
    }

    /// Only records whose field is null or missing.
    #[must_use]
    pub fn is_null(self, field: &str) -> Self {
        self.with(field, Condition::IsNull)
    }

    /// Only records whose field is a text, a number, true or false.
    #[must_use]
    pub fn is_not_null(self, field: &str) -> Self {
        self.with(field, Condition::IsNotNull)
    }

    /// Only records whose field is this or greater.
    #[must_use]
    pub fn at_least(self, field: &str, value: impl Into<Scalar>) -> Self {
        self.with(field, Condition::AtLeast(value.into()))
    }

    /// Only records whose field is less.
    #[must_use]
    pub fn below(self, field: &str, value: impl Into<Scalar>) -> Self {
        self.with(field, Condition::Below(value.into()))
    }

    /// Only records with this part in the text of a field, of a date too; capital letters do not matter.
    #[must_use]
    pub fn contains(self, field: &str, part: impl Into<String>) -> Self {
        self.with(field, Condition::Contains(part.into()))
    }

    /// Sorts by a field, null first; after the fields that were named before, and then by id.
    #[must_use]
    pub fn order_by(mut self, field: &str) -> Self {
        self.order.push((field.to_owned(), SortDirection::Up));
        self
    }

    /// Sorts by a field, the greatest first.
    #[must_use]
    pub fn order_by_descending(mut self, field: &str) -> Self {
        self.order.push((field.to_owned(), SortDirection::Down));
        self
    }

    /// Leaves out the first records.
    #[must_use]
    pub fn skip(self, records: usize) -> Self {
        Self { skip: records, ..self }
    }

    /// Returns so many records at most.
    #[must_use]
    pub fn limit(self, records: usize) -> Self {
        Self { limit: Some(records), ..self }
    }

    /// The fields that it names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.conditions
            .iter()
            .map(|(field, _)| field.as_str())
            .chain(self.order.iter().map(|(field, _)| field.as_str()))
    }

    fn with(mut self, field: &str, condition: Condition<Scalar>) -> Self {
        self.conditions.push((field.to_owned(), condition));
        self
    }
}
