//! Replays recorded exchanges, strictly in their order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{HttpRequest, HttpResponse, Method, Transport, TransportError};

/// One recorded exchange.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The expected method.
    pub method: Method,
    /// The expected end of the address: path and query.
    pub path: String,
    /// The response, or the failure.
    pub response: Result<HttpResponse, &'static str>,
}

impl Exchange {
    /// An exchange with a response.
    pub fn new(method: Method, path: impl Into<String>, response: HttpResponse) -> Self {
        Self { method, path: path.into(), response: Ok(response) }
    }

    /// An exchange whose connection breaks while the request is sent.
    pub fn broken(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), response: Err("broken pipe") }
    }
}

/// A transport that answers from a recording. An unexpected request, or one after the last, gets status 599 with a text
/// that describes the expected one.
#[derive(Debug, Default)]
pub struct Recorded {
    exchanges: Mutex<VecDeque<Exchange>>,
    sent: Mutex<Vec<HttpRequest>>,
}

impl Recorded {
    /// A transport that replays these exchanges.
    pub fn new(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        Self { exchanges: Mutex::new(exchanges.into_iter().collect()), sent: Mutex::default() }
    }

    /// The number of exchanges that are left. A test ends with none.
    pub fn left(&self) -> usize {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The requests so far.
    pub fn sent(&self) -> Vec<HttpRequest> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Transport for Recorded {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |next: &Exchange| next.method == request.method && request.url.ends_with(&next.path);
        let next = if exchanges.front().is_some_and(fits) { exchanges.pop_front() } else { None };
        match next {
            Some(exchange) => exchange.response.map_err(|what| TransportError::Broken(what.into())),
            None => {
                let expected = exchanges.front().map_or("nothing", |next| &next.path);
                Ok(HttpResponse::text(599, format!("recorded: expected {expected}, got {request:?}")))
            }
        }
    }
}
