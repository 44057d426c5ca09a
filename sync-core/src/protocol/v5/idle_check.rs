//! An extension of this project, for a server that is the legacy server and central in one: `GET /sync/v5/site` also asks
//! whether anything is new, so that a cycle in which nothing is takes one request.

use serde::{Deserialize, Serialize};

/// The header of `GET /sync/v5/site` with the [`IdleCheck`]. Other servers ignore it.
pub const IDLE_CHECK: &str = "oms-sync-idle-check";

/// The requests that follow in a cycle in which the site has nothing to push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleCheck {
    /// The query of the request for central data.
    pub central_records: String,
    /// The query of the request for the queue.
    pub queued_records: String,
    /// The body of the V6 pull without the credentials, which the headers hold.
    pub pull: serde_json::Value,
}

/// The bodies of the answers to the [`IdleCheck`], if all of them have nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleAnswers {
    /// The central data.
    pub central_records: String,
    /// The queue.
    pub queued_records: String,
    /// The V6 pull.
    pub pull: String,
}
