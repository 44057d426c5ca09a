//! A transport to a central server in the same process.

use std::sync::Arc;

use crate::central::Central;
use crate::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// A transport to a [`Central`] in this process. Pushed records are integrated before the response is returned.
#[derive(Debug, Clone)]
pub struct InProcess {
    central: Arc<Central>,
}

impl InProcess {
    /// A transport to this central server, for every address.
    pub fn new(central: Arc<Central>) -> Self {
        Self { central }
    }
}

impl Transport for InProcess {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut received = request.clone();
        if let Ok(url) = url::Url::parse(&request.url) {
            let host = url.authority().to_owned();
            received.url = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
            received.headers.push(("host".to_owned(), host));
            if url.scheme() == "https" {
                // As the server does that takes the TLS off.
                received.headers.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
            }
        }
        let response = self.central.handle(&received);
        // After a failure the push stays queued; the next status request shows it.
        let _ = self.central.integrate_waiting();
        Ok(response)
    }
}
