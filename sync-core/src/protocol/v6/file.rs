//! The data that travel with a file's bytes (`protocol-v6` §8.5, §8.6).

use serde::{Deserialize, Serialize};

use super::Credentials;
use crate::record::{RecordId, TableName};

/// The JSON part of an upload: its keys are snake_case, those of the credentials are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPart {
    /// The id of the file's reference.
    pub file_id: RecordId,
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
