//! What the storages in a database have in common: how values are stored as text and numbers.

mod buffer_row;
mod lately;
mod position;
mod rows;

pub(in crate::storage) use buffer_row::{BufferRow, read_source, source_text};
#[cfg(feature = "sqlite")]
pub(in crate::storage) use lately::LATELY_BYTES;
pub(in crate::storage) use lately::LatelyRead;
pub(in crate::storage) use position::{DatabasePosition, left_out};
#[cfg(feature = "sqlite")]
pub(in crate::storage) use rows::LogRow;
pub(in crate::storage) use rows::{ActivityRow, LogTexts, read_activity, read_log};

use std::borrow::Cow;

use crate::changelog::Audience;
use crate::record::{Cursor, RecordData, StoreId};

/// An audience as stored; `None` for no receiver.
pub(in crate::storage) fn audience_text(audience: &Audience) -> Option<Cow<'static, str>> {
    Some(match audience {
        Audience::Everyone => "everyone".into(),
        Audience::Patient => "patient".into(),
        Audience::Legacy => "legacy".into(),
        Audience::Store(store) => ["store ", store.as_str()].concat().into(),
        Audience::LocalOnly => "local only".into(),
        Audience::Nobody => return None,
    })
}

/// The audience of a stored text.
pub(in crate::storage) fn read_audience(text: Option<&str>) -> Audience {
    match text {
        Some("everyone") => Audience::Everyone,
        Some("patient") => Audience::Patient,
        Some("legacy") => Audience::Legacy,
        Some("local only") => Audience::LocalOnly,
        Some(text) => text.strip_prefix("store ").map_or(Audience::Nobody, |id| Audience::Store(StoreId::from(id))),
        None => Audience::Nobody,
    }
}

/// The name for the counts of the patients' rows that a store sees.
pub(in crate::storage) fn patients_of(store: &str) -> String {
    format!("patients of {store}")
}

/// The integers of a database are signed; a larger number is after every row.
pub(in crate::storage) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit for a database.
pub(in crate::storage) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A position in the changelog as stored.
pub(in crate::storage) fn position(cursor: Cursor) -> i64 {
    signed(cursor.0)
}

/// The position of a stored number.
pub(in crate::storage) fn cursor(position: i64) -> Cursor {
    Cursor(u64::try_from(position).unwrap_or(0))
}

/// What is read in place of a stored text that is no JSON.
const DAMAGED: &str = "another program changed this record, and its text is no JSON any more";

/// Reads stored JSON. A text that another program changed to invalid JSON is read as a JSON string that says so: it stops no other
/// record, can be replaced, and is sent to nobody, because a record is an object.
pub(in crate::storage) fn data(text: String) -> RecordData {
    RecordData::parse(text).unwrap_or_else(|_| RecordData::of(&DAMAGED))
}
