//! Requests and responses at the level of HTTP, and the contract of a transport.

mod certificate;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod other_scheme;
#[cfg(feature = "http")]
mod reach;
mod recorded;
mod stop;

use std::fmt;
use std::io::{Cursor, Read};
use std::time::Duration;

pub(crate) use certificate::{CertificateFault, certificate_fault, own_certificate_fault, unreadable_trust};
#[cfg(feature = "http")]
pub use http::{HttpOptions, HttpTransport, Timeouts};
#[cfg(feature = "http")]
pub(crate) use other_scheme::{OtherScheme, other_scheme};
pub use recorded::{Exchange, Recorded};
pub use stop::Stop;

use crate::error::Cause;
use crate::text::Detail;

/// A request method that this protocol uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Method {
    Get,
    Post,
    Put,
}

impl Method {
    /// The method in capital letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// A request. As a client sends it, `url` is absolute; as a server receives it, path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl fmt::Debug for HttpRequest {
    /// Shows method and address only: headers and bodies hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.url)
    }
}

/// The header that a transport adds to a response from a proxy that could read and answer the request itself: the
/// address of the proxy and its variable, without a password. The server's own header of this name is removed.
pub const ANSWERED_BY_PROXY: &str = "x-answered-by-proxy";

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// A response with a JSON body.
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
    }

    /// A response with a text body.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.into().into_bytes() }
    }

    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request's body that is read while it is sent.
pub struct StreamedBody<'b> {
    /// Its length in bytes.
    pub length: u64,
    /// Returns exactly so many bytes, or fails.
    pub reader: &'b mut dyn Read,
}

impl fmt::Debug for StreamedBody<'_> {
    /// Shows the length only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedBody").field("length", &self.length).finish_non_exhaustive()
    }
}

/// A response whose body is read while it arrives.
pub struct StreamedResponse {
    /// The status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body. A body that is cut off is an error, not an end.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for StreamedResponse {
    /// Shows everything except the body, which can be read only once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl StreamedResponse {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl From<HttpResponse> for StreamedResponse {
    fn from(response: HttpResponse) -> Self {
        let HttpResponse { status, headers, body } = response;
        Self { status, headers, body: Box::new(Cursor::new(body)) }
    }
}

/// Why no whole response came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum TransportError {
    #[error("no connection")]
    Unreachable(#[source] Cause),
    #[error("the certificate is refused")]
    Certificate(#[source] Cause),
    #[error("no answer in time")]
    TimedOut(#[source] Cause),
    #[error("the connection broke while the request was sent or the answer was awaited")]
    Broken(#[source] Cause),
    #[error("the answer was cut off")]
    CutOff(#[source] Cause),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the answer is not HTTP")]
    NotHttp(#[source] Cause),
    #[error("the answer cannot be unpacked")]
    Undecodable(#[source] Cause),
    #[error("the proxy {proxy} answered with status {status}")]
    ProxyRefused { proxy: String, status: u16 },
    #[error("the proxy {url} of {variable} cannot be used: {reason}")]
    ProxyUnusable { variable: &'static str, url: String, reason: Detail },
    #[error("it was stopped")]
    Stopped,
}

impl TransportError {
    /// Interprets an error while the body of a [`StreamedResponse`] was read.
    pub fn of_body(error: std::io::Error) -> Self {
        let is_timeout = error.kind() == std::io::ErrorKind::TimedOut;
        match error.downcast() {
            Ok(error) => error,
            Err(error) if is_timeout => Self::TimedOut(error.into()),
            Err(error) => Self::CutOff(error.into()),
        }
    }
}

/// A cause on the way through a proxy, which may be at fault.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}")]
pub struct ThroughProxy {
    /// The proxy, and its environment variable.
    pub proxy: String,
    /// The cause.
    pub source: Cause,
}

/// How far a connection to an address gets, before any request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reach {
    /// Its host name is not known.
    NoName(Cause),
    /// The name is known, but no connection is accepted.
    NoConnection {
        /// True if it was refused: the machine is there, but no program listens at the port.
        refused: bool,
        /// The cause.
        source: Cause,
    },
    /// A connection was made.
    Connected {
        /// How many addresses the name has.
        addresses: usize,
        /// How long the connection took.
        took: Duration,
    },
    /// Everything goes through a proxy, which looks names up and connects.
    ThroughProxy(String),
}

/// Carries a request and returns its response. It does not retry or follow redirects: its callers decide about both.
pub trait Transport: Send + Sync {
    /// Sends a request and receives the whole response.
    ///
    /// # Errors
    /// No whole response came; a response with any status is not an error.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError>;

    /// Sends a request whose body, if given here, is read while it is sent, and returns the response once its head has
    /// come. For files: memory does not grow with their length. A transport without it holds them whole.
    ///
    /// # Errors
    /// No head of a response came, or the body could not be read.
    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        let mut whole = request.clone();
        if let Some(StreamedBody { reader, .. }) = body {
            reader.read_to_end(&mut whole.body).map_err(|error| TransportError::Broken(error.into()))?;
        }
        self.send(&whole).map(Into::into)
    }

    /// Looks up the host of an address and connects to it, without a request. `None` if there are no such steps.
    fn reach(&self, url: &str) -> Option<Reach> {
        let _ = url;
        None
    }

    /// The transport for one exchange that ends with [`TransportError::Stopped`] soon after `stop` is requested, in any
    /// state, including the reading of a streamed body. `None` if exchanges cannot be stopped; they then run to their
    /// end.
    ///
    /// A stoppable exchange runs on a second thread, so that its caller can check meanwhile whether to continue; the
    /// thread ends with the exchange.
    fn stoppable(&self, stop: &Stop) -> Option<Box<dyn Transport + '_>> {
        let _ = stop;
        None
    }

    /// True if a request may run in one thread while its caller works in another. If not, as in a simulator, the
    /// request comes first and the work after it.
    fn is_concurrent(&self) -> bool {
        true
    }
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        (**self).send(request)
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        (**self).stream(request, body)
    }

    fn reach(&self, url: &str) -> Option<Reach> {
        (**self).reach(url)
    }

    fn stoppable(&self, stop: &Stop) -> Option<Box<dyn Transport + '_>> {
        (**self).stoppable(stop)
    }

    fn is_concurrent(&self) -> bool {
        (**self).is_concurrent()
    }
}
