//! Error answers of the legacy server (`protocol-v5` §9).

use serde::{Deserialize, Serialize};

/// The body of every answer that is not 2xx, if the server sends its preferred one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V5Error {
    /// What went wrong.
    pub error: V5ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V5ErrorBody {
    /// A code such as `site_incorrect_password`; unknown codes are kept.
    pub code: String,
    /// The server's own words.
    pub message: String,
    /// Anything.
    #[serde(default)]
    pub data: serde_json::Value,
}

impl V5Error {
    /// An error without data.
    pub fn new(code: &str, message: &str) -> Self {
        Self {
            error: V5ErrorBody { code: code.to_owned(), message: message.to_owned(), data: serde_json::Value::Null },
        }
    }
}
