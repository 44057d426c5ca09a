//! Replays recorded exchanges, strictly in their order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{HttpRequest, HttpResponse, Method, Transport, TransportError};

/// One recorded exchange.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method that is expected.
    pub method: Method,
    /// How the address must end: path and query.
    pub path: String,
    /// The response to give, or the way to fail.
    pub response: Result<HttpResponse, &'static str>,
}

impl Exchange {
    /// An exchange that is answered.
    pub fn new(method: Method, path: impl Into<String>, response: HttpResponse) -> Self {
        Self { method, path: path.into(), response: Ok(response) }
    }

    /// An exchange whose connection breaks while the request is sent.
    pub fn broken(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), response: Err("broken pipe") }
    }
}

/// A transport that answers from a recording. A request that does not fit the next exchange, and one after the last,
/// gets status 599 with a text that says what was expected.
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

    /// How many exchanges were not asked for yet. A test ends with none.
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
