//! The outside of answers: status, kind and date, whatever their content.

use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::clock::{Clock, Timestamp};
use crate::transport::{HttpRequest, HttpResponse, Method, Stop, Transport, TransportError};

/// Sends requests and examines the answers.
pub(crate) struct ObservedTransport<'a> {
    inner: &'a dyn Transport,
    clock: &'a dyn Clock,
    seen: Mutex<ObservedResponse>,
}

/// The properties of the last answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObservedResponse {
    /// Its status; `None` if no HTTP answer came.
    pub status: Option<u16>,
    /// True if it was a web page.
    pub is_page: bool,
    /// The target of a redirection.
    pub location: Option<String>,
    /// The time in it, and the time of the clock here at that moment.
    pub date: Option<(Timestamp, Timestamp)>,
}

impl<'a> ObservedTransport<'a> {
    pub(crate) fn new(inner: &'a dyn Transport, clock: &'a dyn Clock) -> Self {
        Self { inner, clock, seen: Mutex::default() }
    }

    /// Returns the properties of the last answer and forgets them.
    pub(crate) fn take(&self) -> ObservedResponse {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Examines an answer.
    fn note(&self, result: &Result<HttpResponse, TransportError>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = match result {
            Err(_) => ObservedResponse::default(),
            Ok(response) => {
                let html = response.header("content-type").is_some_and(|kind| kind.contains("html"));
                let start = response.body.iter().find(|byte| !byte.is_ascii_whitespace());
                ObservedResponse {
                    status: Some(response.status),
                    is_page: html || start == Some(&b'<'),
                    location: response.header("location").map(str::to_owned),
                    date: response
                        .header("date")
                        .and_then(Timestamp::of_http_date)
                        .map(|date| (date, self.clock.now())),
                }
            }
        };
    }
}

/// For exchanges that can be broken off.
struct ObservedStoppable<'w> {
    inner: Box<dyn Transport + 'w>,
    watched: &'w ObservedTransport<'w>,
}

impl Transport for ObservedStoppable<'_> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let result = self.inner.send(request);
        self.watched.note(&result);
        result
    }
}

impl ObservedTransport<'_> {
    /// True if the port of an address speaks the other one of HTTP and HTTPS. The request reveals nothing about its
    /// sender.
    pub(crate) fn speaks_other_scheme(transport: &dyn Transport, url: &Url) -> bool {
        let mut other = url.clone();
        let (scheme, port) = (if url.scheme() == "http" { "https" } else { "http" }, url.port_or_known_default());
        if other.set_scheme(scheme).is_err() || other.set_port(port).is_err() {
            return false;
        }
        other.set_path("/");
        other.set_query(None);
        let request = HttpRequest { method: Method::Get, url: other.into(), headers: Vec::new(), body: Vec::new() };
        match transport.send(&request) {
            // A server that speaks TLS may say so in HTTP.
            Ok(response) => scheme == "https" || response.status != 400 || !says_https(&response),
            Err(TransportError::Certificate(_)) => scheme == "https",
            Err(_) => false,
        }
    }
}

fn says_https(response: &HttpResponse) -> bool {
    String::from_utf8_lossy(&response.body).to_ascii_lowercase().contains("https")
}

impl Transport for ObservedTransport<'_> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let result = self.inner.send(request);
        self.note(&result);
        result
    }

    fn stoppable(&self, stop: &Stop) -> Option<Box<dyn Transport + '_>> {
        let inner = self.inner.stoppable(stop)?;
        Some(Box::new(ObservedStoppable { inner, watched: self }))
    }
}
