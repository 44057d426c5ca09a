//! Central data of the legacy server (`protocol-v5` §7.1). Its cursor is *exclusive*: the position last received.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::v6::{Action, WireRecord, replaced_in};
use crate::record::{Cursor, Fields, RecordData, RecordId, TableName};
use crate::redaction::excerpt;

/// The answer to `GET /sync/v5/central_records`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CentralBatch {
    /// The highest position in the server's central change log.
    pub max_cursor: u64,
    /// The records after the request's cursor, in ascending position.
    #[serde(default)]
    pub data: Vec<CentralRecord>,
}

/// A record with its position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CentralRecord {
    /// Its position in the server's central change log.
    #[serde(rename = "ID")]
    pub position: u64,
    /// The legacy table name.
    pub table_name: TableName,
    /// The record's id.
    pub record_id: RecordId,
    /// The action; the legacy server writes it in lower case.
    #[serde(serialize_with = "lower_case")]
    pub action: Action,
    /// Its data; missing on deletes.
    #[serde(default = "RecordData::empty")]
    pub record_data: RecordData,
}

impl From<CentralRecord> for WireRecord {
    fn from(record: CentralRecord) -> Self {
        let CentralRecord { table_name, record_id, action, record_data, .. } = record;
        Self { table_name, record_id, action, record_data }
    }
}

pub(super) fn lower_case<S: serde::Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match action {
        Action::Insert => "insert",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Merge => "merge",
    })
}

/// The answer as it is read: each record separately, so that one bad record does not stop the others (weak point B5).
#[derive(Debug, Clone)]
pub struct ReadCentralBatch {
    /// The highest position in the server's central change log.
    pub max_cursor: u64,
    /// The records, each readable or not.
    pub data: Vec<Result<CentralRecord, UnreadableRecord<u64>>>,
}

/// An element that is not a record, kept as it came.
#[derive(Debug, Clone)]
pub struct UnreadableRecord<K> {
    /// Its position or its `syncOutId`, if that could be read.
    pub key: Option<K>,
    /// Its table, if that could be read.
    pub table: Option<TableName>,
    /// Its id, if that could be read.
    pub id: Option<RecordId>,
    /// Why it cannot be read.
    pub reason: String,
    /// The element as it came.
    pub raw: RecordData,
}

impl<'de> Deserialize<'de> for ReadCentralBatch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RawCentralRecord {
            max_cursor: u64,
            #[serde(default)]
            data: Vec<Box<RawValue>>,
        }

        let raw = RawCentralRecord::deserialize(deserializer)?;
        Ok(Self { max_cursor: raw.max_cursor, data: raw.data.iter().map(|element| read_positioned(element)).collect() })
    }
}

/// A record whose position no server can have is as unreadable as one without a position, and stops no other.
fn read_positioned(raw: &RawValue) -> Result<CentralRecord, UnreadableRecord<u64>> {
    match read_element(raw, position)? {
        CentralRecord { position, .. } if !Cursor(position).is_possible() => {
            Err(unreadable(raw, "its position is out of range".to_owned(), |_| None))
        }
        record => Ok(record),
    }
}

impl ReadCentralBatch {
    /// The highest position of its records, readable or not. Positions beyond the end that the server states count only if
    /// there are no others: a single wrong one would skip everything after it for ever.
    pub fn last_position(&self) -> Option<u64> {
        let position = |element: &Result<CentralRecord, UnreadableRecord<u64>>| {
            element.as_ref().map_or_else(|bad| bad.key, |record| Some(record.position))
        };
        let all = || self.data.iter().filter_map(position);
        all().filter(|position| *position <= self.max_cursor).max().or(all().max())
    }
}

fn position(fields: &Fields<'_>) -> Option<u64> {
    fields.get("ID")?.get().parse().ok().filter(|position| Cursor(*position).is_possible())
}

/// Reads one element of a batch; `key` finds its position or its `syncOutId`.
pub(super) fn read_element<T: DeserializeOwned, K>(
    raw: &RawValue,
    key: impl FnOnce(&Fields<'_>) -> Option<K>,
) -> Result<T, UnreadableRecord<K>> {
    let reason = match (serde_json::from_str(raw.get()), replaced_in(raw.get())) {
        (Ok(record), None) => return Ok(record),
        (_, Some(replaced)) => replaced.to_owned(),
        (Err(error), None) => excerpt(error.to_string().as_bytes()),
    };
    Err(unreadable(raw, reason, key))
}

fn unreadable<K>(raw: &RawValue, reason: String, key: impl FnOnce(&Fields<'_>) -> Option<K>) -> UnreadableRecord<K> {
    let fields = Fields::parse(raw.get());
    let text = |name| fields.as_ref().and_then(|f| f.text(name)).map(std::borrow::Cow::into_owned);
    UnreadableRecord {
        key: fields.as_ref().and_then(key),
        table: text("tableName").map(TableName::new),
        id: text("recordId").map(RecordId::new),
        reason,
        raw: RecordData::of(&raw),
    }
}
