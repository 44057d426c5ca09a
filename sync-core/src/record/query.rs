//! Queries of one table by the fields of its records.

use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::TypedId;

/// A query of one table: conditions on fields, all of which must hold, an order and a page. A field has its name on the wire; one
/// that the record type does not have is an error, even if stored records have such a key. A storage is read page by page,
/// so a query costs as much as the table is long and holds no more than its result in memory. An app with large tables asks
/// its SQLite file in SQL (`Replica::read_sql`), or keeps a table of its own.
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
    conditions: Vec<(String, Condition)>,
    order: Vec<(String, SortDirection)>,
    skip: usize,
    limit: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Is(Scalar),
    IsNot(Scalar),
    IsAnyOf(Vec<Scalar>),
    IsNull,
    IsNotNull,
    AtLeast(Scalar),
    Below(Scalar),
    Contains(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortDirection {
    Up,
    Down,
}

/// A value that a field is compared with: a text, a number, true or false.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text, compared byte by byte; dates and ids are texts.
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
    i32 => |value| Self::Number(value.into()),
    f64 => |value| Self::Number(value),
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
    &String => |value| Self::Text(value.clone()),
    super::RecordId => |value| Self::Text(value.into()),
    &super::RecordId => |value| Self::Text(value.into()),
    super::StoreId => |value| Self::Text(value.into()),
    &super::StoreId => |value| Self::Text(value.into()),
    super::Date => |value| Self::Text(value.to_string()),
    super::DateTime => |value| Self::Text(value.to_string()),
}

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

    /// Values of different kinds have an order too, so that a sort is one.
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Condition {
    fn holds(&self, value: Option<&Scalar>) -> bool {
        let compared =
            |with: &Scalar| value.filter(|value| value.rank() == with.rank()).map(|value| value.compare(with));
        match self {
            Self::Is(with) => compared(with) == Some(Ordering::Equal),
            Self::IsNot(with) => compared(with) != Some(Ordering::Equal),
            Self::IsAnyOf(all) => all.iter().any(|with| compared(with) == Some(Ordering::Equal)),
            Self::IsNull => value.is_none(),
            Self::IsNotNull => value.is_some(),
            Self::AtLeast(with) => compared(with).is_some_and(Ordering::is_ge),
            Self::Below(with) => compared(with).is_some_and(Ordering::is_lt),
            Self::Contains(part) => {
                matches!(value, Some(Scalar::Text(text)) if text.to_lowercase().contains(&part.to_lowercase()))
            }
        }
    }
}

/// The values by which a found record is sorted.
pub(crate) type SortKey = Vec<Option<Scalar>>;

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

    /// Only records with this part in the text of a field; capital letters do not matter.
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

    fn with(mut self, field: &str, condition: Condition) -> Self {
        self.conditions.push((field.to_owned(), condition));
        self
    }

    /// The fields that it names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let conditions = self.conditions.iter().map(|(field, _)| field.as_str());
        conditions.chain(self.order.iter().map(|(field, _)| field.as_str()))
    }

    /// How many of the sorted records are needed.
    pub(crate) fn needed(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| self.skip.saturating_add(limit))
    }

    pub(crate) fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }

    pub(crate) fn skipped(&self) -> usize {
        self.skip
    }

    /// The sort key of a record, if it fulfils the conditions. `value_of` gives the value of a field.
    pub(crate) fn key_of<'r>(&self, value_of: impl Fn(&str) -> Option<&'r RawValue>) -> Option<SortKey> {
        let value = |field: &str| value_of(field).and_then(Scalar::read);
        let is_found = self.conditions.iter().all(|(field, condition)| condition.holds(value(field).as_ref()));
        is_found.then(|| self.order.iter().map(|(field, _)| value(field)).collect())
    }

    /// The order of two records.
    pub(crate) fn compare(&self, one: &SortKey, other: &SortKey) -> Ordering {
        let of_fields = self.order.iter().zip(one.iter().zip(other)).map(|((_, direction), (one, other))| {
            let up = match (one, other) {
                (Some(one), Some(other)) => one.compare(other),
                (one, other) => one.is_some().cmp(&other.is_some()),
            };
            if *direction == SortDirection::Up { up } else { up.reverse() }
        });
        of_fields.fold(Ordering::Equal, Ordering::then)
    }
}
