//! Real HTTP and HTTPS.

use std::io::Read as _;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody, Timeout};

use super::{HttpRequest, HttpResponse, Method, Reach, StreamedBody, StreamedResponse, Transport, TransportError};

/// How long each part of an exchange may take, from the beginning of the part on, whether something moves or not. No limit
/// is put on the whole. The defaults are long enough for a slow line (weak points B10, B11); shorter ones end a cycle that is
/// stopped sooner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up, and as long again for connection and TLS.
    pub connect: Duration,
    /// Sending the whole body; for a file a second more for each 1000 bytes.
    pub send: Duration,
    /// From the end of the request to the head of the response: the server's thinking.
    pub response: Duration,
    /// Receiving the whole body.
    pub receive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self { connect: Duration::from_secs(45), send: minutes(30), response: minutes(10), receive: minutes(30) }
    }
}

/// A transport over HTTP(S): one connection is kept and reused, answers come gzipped, certificates are checked against
/// the roots this machine trusts.
#[derive(Debug)]
pub struct HttpTransport {
    agent: Agent,
    connect_time: Duration,
    send_time: Duration,
    response_bytes_max: u64,
}

impl HttpTransport {
    /// A transport with these time limits.
    pub fn new(timeouts: &Timeouts) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("")
            .tls_config(tls)
            .timeout_connect(Some(timeouts.connect))
            .timeout_resolve(Some(timeouts.connect))
            .timeout_send_body(Some(timeouts.send))
            .timeout_recv_response(Some(timeouts.response))
            .timeout_recv_body(Some(timeouts.receive))
            .build()
            .new_agent();
        Self { agent, connect_time: timeouts.connect, send_time: timeouts.send, response_bytes_max: 256 * 1024 * 1024 }
    }
}

impl Default for HttpTransport {
    fn default() -> Self {
        Self::new(&Timeouts::default())
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let builder = builder(request);
        let body = match request.method {
            Method::Get => Vec::new(),
            Method::Post | Method::Put => request.body.clone(),
        };
        let sent = match request.method {
            Method::Get => self.agent.run(builder.body(()).map_err(not_http)?),
            Method::Post | Method::Put => self.agent.run(builder.body(body).map_err(not_http)?),
        };
        let response = sent.map_err(before_response)?;
        let (status, headers) = head(&response);
        let mut received = Vec::new();
        let mut reader = response.into_body().into_reader().take(self.response_bytes_max + 1);
        reader.read_to_end(&mut received).map_err(in_body)?;
        if received.len() as u64 > self.response_bytes_max {
            return Err(TransportError::TooLarge(self.response_bytes_max));
        }
        Ok(HttpResponse { status, headers, body: received })
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        let builder = builder(request);
        let sent = match body {
            None => self.agent.run(builder.body(request.body.as_slice()).map_err(not_http)?),
            Some(StreamedBody { length, reader }) => {
                let builder = builder.header("content-length", length);
                let request = builder.body(SendBody::from_reader(reader)).map_err(not_http)?;
                // A file takes its time over a weak line.
                let time = self.send_time + Duration::from_secs(length / SLOWEST_LINE);
                let config = self.agent.configure_request(request);
                self.agent.run(config.timeout_send_body(Some(time)).build())
            }
        };
        let response = sent.map_err(before_response)?;
        let (status, headers) = head(&response);
        Ok(StreamedResponse { status, headers, body: Box::new(response.into_body().into_reader()) })
    }

    fn reach(&self, url: &str) -> Option<Reach> {
        super::reach::reach(&self.agent, url, self.connect_time)
    }
}

/// The slowest line that a file may be sent over, in bytes a second.
const SLOWEST_LINE: u64 = 1000;

fn builder(request: &HttpRequest) -> ureq::http::request::Builder {
    let mut builder = ureq::http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder
}

fn not_http(error: ureq::http::Error) -> TransportError {
    TransportError::NotHttp(error.into())
}

fn head(response: &ureq::http::Response<ureq::Body>) -> (u16, Vec<(String, String)>) {
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    (response.status().as_u16(), headers)
}

/// What failed before the head of the response was there.
fn before_response(error: ureq::Error) -> TransportError {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => TransportError::Unreachable(error.into()),
        ureq::Error::Timeout(_) => TransportError::TimedOut(error.into()),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => TransportError::Unreachable(error.into()),
        ureq::Error::Rustls(tls) if !mentions_certificate(&tls) => TransportError::NotHttp(tls.into()),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => TransportError::Certificate(error.into()),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::InvalidData if mentions_certificate(&io) => TransportError::Certificate(io.into()),
            // TLS was asked for, and what came is none.
            ErrorKind::InvalidData => TransportError::NotHttp(io.into()),
            ErrorKind::ConnectionRefused
            | ErrorKind::NotFound
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable => TransportError::Unreachable(io.into()),
            _ if is_name_lookup(&io) => TransportError::Unreachable(io.into()),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => TransportError::TimedOut(io.into()),
            _ => TransportError::Broken(io.into()),
        },
        other => TransportError::NotHttp(other.into()),
    }
}

/// Whether a name is not known. The standard library has no kind for it, only words: its own, and those of Windows.
fn is_name_lookup(error: &std::io::Error) -> bool {
    let said = error.to_string();
    ["lookup address", "No such host"].iter().any(|words| said.contains(words))
}

fn mentions_certificate(error: &dyn std::error::Error) -> bool {
    error.to_string().contains("certificate")
}

/// What failed while the body was read.
fn in_body(error: std::io::Error) -> TransportError {
    if error.kind() == std::io::ErrorKind::TimedOut {
        TransportError::TimedOut(error.into())
    } else {
        TransportError::CutOff(error.into())
    }
}
