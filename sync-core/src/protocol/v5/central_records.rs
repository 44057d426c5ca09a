//! Central data of the legacy server (`protocol-v5` §7.1). Its cursor is *exclusive*: the position last received.

use serde::{Deserialize, Serialize};

use crate::protocol::v6::Action;
use crate::record::{RecordData, RecordId, TableName};

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
    /// What is done to it; the legacy server writes it in lower case.
    #[serde(serialize_with = "lower_case")]
    pub action: Action,
    /// Its data; missing on deletes.
    #[serde(default = "RecordData::empty")]
    pub record_data: RecordData,
}

fn lower_case<S: serde::Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match action {
        Action::Insert => "insert",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Merge => "merge",
    })
}
