//! Site status: the current work of the legacy server for a site (`protocol-v5` §5).

use serde::{Deserialize, Serialize};

/// The answer to `GET /sync/v5/site_status`; unused keys may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyStatus {
    /// Its current work.
    pub code: StatusCode,
    /// The server's text.
    #[serde(default)]
    pub message: String,
    /// Further data of any kind.
    #[serde(default)]
    pub data: serde_json::Value,
}

impl LegacyStatus {
    /// Nothing.
    pub fn idle() -> Self {
        Self { code: StatusCode::Idle, message: "idle".to_owned(), data: serde_json::Value::Null }
    }
}

/// The current work of the legacy server for a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is its spelling on the wire")]
pub enum StatusCode {
    SyncIsRunning,
    IntegrationInProgress,
    InitialisationInProgress,
    Idle,
    /// A state unknown to this version; counts as busy.
    #[serde(untagged)]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let read = |json: &str| serde_json::from_str::<LegacyStatus>(json).unwrap().code;
        assert_eq!(read(r#"{"code":"idle","message":"Idle","data":null}"#), StatusCode::Idle);
        assert_eq!(read(r#"{"code":"integration_in_progress","message":""}"#), StatusCode::IntegrationInProgress);
        assert_eq!(read(r#"{"code":"asleep"}"#), StatusCode::Unknown("asleep".to_owned()));
    }
}
