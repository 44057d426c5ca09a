//! A query of a table, ready to be answered: with the kinds of the fields that it names.

use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::{Condition, Query, Scalar, SortDirection};
use crate::record::datetime::{is_no_legacy_date, moment};
use crate::record::{DateTime, Field, FieldKind, Fields, RecordData, TableName, owned_by_sites, record_type};

/// A value as it is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Compared {
    /// A value of any other field.
    Scalar(Scalar),
    /// A date or a date-time, whatever its spelling.
    Moment(DateTime),
}

/// The values by which a found record is sorted.
pub(crate) type SortKey = Vec<Option<Compared>>;

/// Why a query cannot be answered.
#[derive(Debug, PartialEq)]
pub(crate) enum QueryFault<'q> {
    /// A date field is compared with this value, which is no date.
    NoDate(&'q str, &'q Scalar),
}

/// A query with what its table says about its fields.
pub(crate) struct AskedQuery<'q> {
    query: &'q Query,
    conditions: Vec<(AskedField<'q>, Condition<Compared>)>,
    order: Vec<(AskedField<'q>, SortDirection)>,
}

/// A field that a query names.
struct AskedField<'q> {
    name: &'q str,
    /// Its declaration in the record type, if the table has one.
    declared: Option<&'static Field>,
    is_date: bool,
}

impl<'q> AskedField<'q> {
    fn of(table: &TableName, name: &'q str) -> Self {
        let declared = record_type(table.as_str()).and_then(|kind| kind.field(name));
        let is_date = match declared {
            Some(field) => matches!(field.kind, FieldKind::Date | FieldKind::DateTime | FieldKind::LegacyDate),
            None => owned_by_sites(table.as_str()).is_some_and(|known| known.is_date(name)),
        };
        Self { name, declared, is_date }
    }

    /// The value of this field in a record; `None` for null, a list and an object.
    fn value(&self, fields: &Fields<'_>) -> Option<Scalar> {
        let raw: &RawValue = match self.declared {
            Some(field) => field.find(fields),
            None => fields.get(self.name),
        }?;
        Scalar::read(raw)
    }

    /// The same as it is compared. A text that is no date, which a server may have sent, stays a text, and so differs from every date.
    fn compared(&self, fields: &Fields<'_>) -> Option<Compared> {
        match self.value(fields)? {
            Scalar::Text(text) if self.is_date => {
                let read = moment(&text).map(Compared::Moment);
                read.or_else(|| (!is_no_legacy_date(&text)).then_some(Compared::Scalar(Scalar::Text(text))))
            }
            other => Some(Compared::Scalar(other)),
        }
    }

    /// The value of a condition on this field.
    fn wanted(&self, value: &'q Scalar) -> Result<Compared, QueryFault<'q>> {
        match value {
            Scalar::Text(text) if self.is_date => moment(text).map(Compared::Moment),
            _ if self.is_date => None,
            other => Some(Compared::Scalar(other.clone())),
        }
        .ok_or(QueryFault::NoDate(self.name, value))
    }
}

impl Compared {
    /// Values of different kinds have an order too, so that a sort is one.
    fn rank(&self) -> u8 {
        match self {
            Self::Scalar(Scalar::Bool(_)) => 0,
            Self::Scalar(Scalar::Number(_)) => 1,
            Self::Moment(_) => 2,
            Self::Scalar(Scalar::Text(_)) => 3,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Moment(one), Self::Moment(other)) => one.cmp(other),
            (Self::Scalar(Scalar::Bool(one)), Self::Scalar(Scalar::Bool(other))) => one.cmp(other),
            (Self::Scalar(Scalar::Number(one)), Self::Scalar(Scalar::Number(other))) => one.total_cmp(other),
            (Self::Scalar(Scalar::Text(one)), Self::Scalar(Scalar::Text(other))) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Condition<Compared> {
    fn holds(&self, field: &AskedField<'_>, fields: &Fields<'_>) -> bool {
        let value = field.compared(fields);
        let compared = |with: &Compared| {
            value.as_ref().filter(|value| value.rank() == with.rank()).map(|value| value.compare(with))
        };
        match self {
            Self::Is(with) => compared(with) == Some(Ordering::Equal),
            Self::IsNot(with) => compared(with) != Some(Ordering::Equal),
            Self::IsAnyOf(all) => all.iter().any(|with| compared(with) == Some(Ordering::Equal)),
            Self::IsNull => value.is_none(),
            Self::IsNotNull => value.is_some(),
            Self::AtLeast(with) => compared(with).is_some_and(Ordering::is_ge),
            Self::Below(with) => compared(with).is_some_and(Ordering::is_lt),
            Self::Contains(part) => {
                matches!(field.value(fields), Some(Scalar::Text(text)) if text.to_lowercase().contains(&part.to_lowercase()))
            }
        }
    }
}

impl<'q> AskedQuery<'q> {
    /// The query for the records of this table.
    pub(crate) fn of(query: &'q Query, table: &TableName) -> Result<Self, QueryFault<'q>> {
        let condition = |(name, condition): &'q (String, Condition<Scalar>)| {
            let field = AskedField::of(table, name);
            let wanted = condition.with_values(|value| field.wanted(value))?;
            Ok((field, wanted))
        };
        let order = |(name, direction): &'q (String, SortDirection)| (AskedField::of(table, name), *direction);
        Ok(Self {
            query,
            conditions: query.conditions.iter().map(condition).collect::<Result<_, _>>()?,
            order: query.order.iter().map(order).collect(),
        })
    }

    /// How many of the sorted records are needed.
    pub(crate) fn needed(&self) -> usize {
        self.query.limit.map_or(usize::MAX, |limit| self.query.skip.saturating_add(limit))
    }

    pub(crate) fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }

    pub(crate) fn skipped(&self) -> usize {
        self.query.skip
    }

    /// The sort key of a record, if it fulfils the conditions.
    pub(crate) fn key_of(&self, data: &RecordData) -> Option<SortKey> {
        let fields = data.fields()?;
        let is_found = self.conditions.iter().all(|(field, condition)| condition.holds(field, &fields));
        is_found.then(|| self.order.iter().map(|(field, _)| field.compared(&fields)).collect())
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
