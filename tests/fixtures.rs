//! Traffic captured from real servers (`fixtures/traffic`), compared with our types and our central server.
//!
//! Each test goes through every file. A file that no arm covers fails the test: nothing is passed over in silence.

mod central_answers;
mod examples;
mod legacy_server;
mod records;
mod requests;
mod responses;
mod snapshots;

use sync_core::protocol::v6::{PatientPullRequest, PullRequest, PushRequest, SiteStatusRequest, path};
use sync_tests::capture::Capture;

/// The exchanges whose request the real remote site wrote; all other V6 requests are a small client's.
const BY_THE_REAL_REMOTE: &[&str] = &[
    "v6/pull-cursor-beyond-the-end",
    "v6/pull-later-nothing-new",
    "v6/push-one-record",
    "v6/site-status-idle",
    "v6-2.16/pull-later-nothing-new",
    "v6-2.16/push-one-record",
    "v6-2.16/site-status-idle",
];

/// Requests that are wrong on purpose: no type reads them.
const REFUSED_REQUESTS: &[&str] = &["v6/pull-missing-key", "v6/pull-not-json", "v6/push-unknown-action"];

/// Transfers of files: their bodies are no JSON as a whole, or their answers are none.
const FILE_TRANSFERS: &[&str] =
    &["v6/download-missing", "v6/download-range", "v6/download-whole", "v6/upload-ok", "v6/upload-unknown-reference"];

/// A V6 request as its type.
#[derive(Debug)]
enum Request {
    Pull(PullRequest),
    PatientPull(PatientPullRequest),
    Push(PushRequest),
    SiteStatus(SiteStatusRequest),
}

impl Request {
    /// Reads the JSON text of a request as the type that its path asks for.
    fn read(capture: &Capture, json: &str) -> Result<Self, serde_json::Error> {
        Ok(match capture.route() {
            path::PULL => Self::Pull(serde_json::from_str(json)?),
            path::PATIENT_PULL => Self::PatientPull(serde_json::from_str(json)?),
            path::PUSH => Self::Push(serde_json::from_str(json)?),
            path::SITE_STATUS => Self::SiteStatus(serde_json::from_str(json)?),
            other => panic!("{}: {other} is not covered", capture.name),
        })
    }

    fn write(&self) -> String {
        let written = match self {
            Self::Pull(request) => serde_json::to_string(request),
            Self::PatientPull(request) => serde_json::to_string(request),
            Self::Push(request) => serde_json::to_string(request),
            Self::SiteStatus(request) => serde_json::to_string(request),
        };
        written.expect("a request can be written")
    }
}

/// JSON text as a value, for comparing without the order of keys.
fn value(json: &str) -> serde_json::Value {
    serde_json::from_str(json).expect("JSON")
}
