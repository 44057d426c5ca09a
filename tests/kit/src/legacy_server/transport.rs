//! The server as a transport.

use std::sync::Arc;

use super::LegacyServer;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A whole response.
    Whole(HttpResponse),
    /// A response with only so many bytes of its body; its head announces the whole.
    Cut(HttpResponse, usize),
    /// Nothing: the client waits until its time is over.
    Nothing,
}

impl Transport for LegacyServer {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match self.reply(&as_received(request)) {
            Reply::Whole(response) => Ok(response),
            Reply::Cut(response, bytes) if bytes >= response.body.len() => Ok(response),
            Reply::Cut(..) => Err(TransportError::CutOff("planned fault".into())),
            Reply::Nothing => Err(TransportError::TimedOut("planned fault".into())),
        }
    }
}

/// The legacy server and another one behind one transport.
pub struct LegacyAnd {
    legacy: Arc<LegacyServer>,
    other: Arc<dyn Transport>,
}

impl LegacyAnd {
    /// Sends paths of the legacy server there, and all others to this transport.
    pub fn new(legacy: Arc<LegacyServer>, other: Arc<dyn Transport>) -> Self {
        Self { legacy, other }
    }
}

impl Transport for LegacyAnd {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let path = as_received(request).url;
        if path.starts_with("/sync/v5/") || path.starts_with("/api/v4/") {
            self.legacy.send(request)
        } else {
            self.other.send(request)
        }
    }

    fn is_concurrent(&self) -> bool {
        self.other.is_concurrent()
    }
}

/// The request with path and query as its address, as a server receives it.
fn as_received(request: &HttpRequest) -> HttpRequest {
    let mut received = request.clone();
    if let Ok(url) = url::Url::parse(&request.url) {
        received.url = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    }
    received
}
