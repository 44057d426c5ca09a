//! A site's queue, and what the server is doing for it (`protocol-v5` §5 to §8), as a server without a queue answers.

use serde::{Deserialize, Serialize};

/// What the server is doing for a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// `idle`, `sync_is_running`, `integration_in_progress` or `initialisation_in_progress`.
    pub code: String,
    /// The same in words.
    pub message: String,
    /// Anything.
    #[serde(default)]
    pub data: Option<String>,
}

impl SiteStatus {
    /// Nothing.
    pub fn idle() -> Self {
        Self { code: "idle".to_owned(), message: "idle".to_owned(), data: None }
    }
}

/// How many records are queued, as the answer to `initialise`; and of what a site brings, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueLength {
    /// The number, those of this batch included.
    pub queue_length: u64,
}

/// A site's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueBatch {
    /// The number of queued records, those of this batch included.
    pub queue_length: u64,
    /// The records of this batch.
    #[serde(default)]
    pub data: Vec<serde_json::Value>,
}

/// The answer to what a site brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushAnswer {
    /// Whether the server has begun to integrate, which it does when nothing is left to be brought.
    pub integration_started: bool,
}
