//! The end of a request: it is counted and logged once its response is sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use sync_core::clock::Timestamp;
use sync_core::record::SiteId;

use crate::access_log::Line;
use crate::app::App;
use crate::metrics::CountedRequest;

/// The data for the log when the answer has ended.
pub(super) struct ResponseLog {
    pub app: Arc<App>,
    pub started: Instant,
    pub at: Timestamp,
    pub from: IpAddr,
    pub method: axum::http::Method,
    pub uri: axum::http::Uri,
    pub id: String,
    pub question: &'static str,
    pub site: Option<SiteId>,
    pub status: u16,
    pub error: Option<&'static str>,
    pub records: u64,
    pub bytes_in: u64,
}

impl ResponseLog {
    /// Counts and logs it, with the bytes sent, and with the error of sending unless there was one before.
    pub(super) fn tell(self, bytes_out: u64, fault: Option<&'static str>) {
        let Self { app, at, from, id, question, site, status, records, .. } = self;
        let (error, bytes, took) = (self.error.or(fault), (self.bytes_in, bytes_out), self.started.elapsed());
        app.metrics.count(&CountedRequest { question, status, error, records, bytes, took });
        if let Some(log) = &app.options.access_log {
            let (method, path) = (self.method.as_str(), self.uri.path());
            log.write(&Line { at, from, method, path, site, status, error, records, bytes, took, id: &id });
        }
    }
}
