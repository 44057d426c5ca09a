//! The data that travel with a file's bytes (`protocol-v6` §8.5, §8.6).

use serde::{Deserialize, Serialize};

use super::Credentials;
use crate::record::{RecordId, TableName};

/// The JSON part of an upload: its keys are snake_case, those of the credentials are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPart {
    /// The id of the file's reference.
    pub file_id: RecordId,
    /// The table of its record. Open mSupply reads it since 2.20.0, to make the reference if it is missing.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub table_name: Option<TableName>,
    /// The id of its record; with the table.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub record_id: Option<RecordId>,
    /// The sender.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
}

/// Requests a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRequest {
    /// The table of its record.
    pub table_name: TableName,
    /// The id of its record.
    pub record_id: RecordId,
    /// The id of the file's reference.
    pub id: RecordId,
    /// The caller.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
}
