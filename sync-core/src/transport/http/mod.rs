//! Real HTTP and HTTPS.

mod absolute;
mod apart;
mod body;
mod options;
mod proxy;
#[cfg(test)]
mod tests;
mod wire;

use std::io::Read as _;
use std::time::Duration;

use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, RustlsConnector};
use ureq::{Agent, SendBody, Timeout};

use self::absolute::{HiddenHeader, ProxyConnector};
pub(super) use self::apart::{NotConnected, connect, look_up};
use self::body::Body;
pub use self::options::HttpOptions;
use self::proxy::{Proxies, Proxy};
use self::wire::{Limits, NameResolver, Wire};
use super::certificate;
use super::{
    ANSWERED_BY_PROXY, HttpRequest, HttpResponse, Method, Reach, Stop, StreamedBody, StreamedResponse, ThroughProxy,
    Transport, TransportError,
};

/// The most bytes of a decoded answer, by default.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Time limits of an exchange. The limits of sending and receiving count from the last byte that moved: an exchange
/// that makes progress may take any time (weak points B10, B11). Fewer than 50 bytes a second in the long run are no
/// progress. An exchange that [can be broken off](Transport::stoppable) need not reach its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name look-up, and the same again for connection and TLS.
    pub connect: Duration,
    /// Sending, since the system last accepted a byte.
    pub send: Duration,
    /// From the end of the request to the end of the head of the response: the time in which the server works. Bytes
    /// that the system has accepted but not sent yet leave in this time.
    pub response: Duration,
    /// Receiving the body, since the last byte came.
    pub receive: Duration,
}

impl Timeouts {
    /// The same limit for each part of an exchange.
    pub fn all(limit: Duration) -> Self {
        Self { connect: limit, send: limit, response: limit, receive: limit }
    }

    /// Another limit for the name look-up, and for connection and TLS.
    #[must_use]
    pub fn connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// Another limit for the time in which the server works.
    #[must_use]
    pub fn response(self, response: Duration) -> Self {
        Self { response, ..self }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self { connect: Duration::from_secs(45), send: minutes(3), response: minutes(10), receive: minutes(3) }
    }
}

/// A transport over HTTP(S): it keeps and reuses one connection, accepts gzip, and checks certificates against the
/// roots that this machine trusts. It uses the proxies in the environment at its creation: `http_proxy`, `https_proxy`,
/// `all_proxy` and `no_proxy`, in small letters or capital ones.
///
/// Name look-ups and connections run on their own thread. If that takes too long, or is broken off, the thread is
/// abandoned: it ends when the system lets it, at the latest after the time for connecting or after the resolver's own
/// limit.
#[derive(Debug)]
pub struct HttpTransport {
    limits: Limits,
    response_bytes_max: u64,
    proxies: Proxies,
    direct: Agent,
    /// For `http://` through a proxy.
    forwarded: Option<Agent>,
    /// For `https://` through a proxy.
    tunnelled: Option<Agent>,
}

/// A response whose head has come.
struct OpenResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl HttpTransport {
    /// Creates a transport with these time limits, and the defaults for all else.
    pub fn new(timeouts: &Timeouts) -> Self {
        Self::with_options(&HttpOptions::default().timeouts(timeouts.clone()))
    }

    /// Creates a transport with these settings.
    pub fn with_options(options: &HttpOptions) -> Self {
        let (timeouts, proxies) = (&options.timeouts, options.proxies.clone());
        let limits = Limits { connect: timeouts.connect, send: timeouts.send, receive: timeouts.receive };
        let names = || NameResolver { limits, proxy: None };
        let direct = ().chain(Wire(limits)).chain(RustlsConnector::default());
        let forwarded = proxies.http().map(|proxy| {
            let authorization = proxy.authorization.clone().map(HiddenHeader);
            let names = NameResolver { limits, proxy: Some((proxy.host.clone(), proxy.port)) };
            Agent::with_parts(
                config(options, None),
                ().chain(Wire(limits)).chain(ProxyConnector { authorization }),
                names,
            )
        });
        let tunnelled = proxies.https().map(|proxy| {
            let tunnel =
                ().chain(ConnectProxyConnector::default()).chain(Wire(limits)).chain(RustlsConnector::default());
            Agent::with_parts(config(options, Some(proxy.tunnel.clone())), tunnel, names())
        });
        Self {
            limits,
            response_bytes_max: options.answer_bytes_max,
            direct: Agent::with_parts(config(options, None), direct, names()),
            forwarded,
            tunnelled,
            proxies,
        }
    }

    /// The agent for an address, with its proxy.
    fn way(&self, url: &str) -> Result<(&Agent, Option<&Proxy>), TransportError> {
        let Some(proxy) = self.proxies.to(url)? else { return Ok((&self.direct, None)) };
        let agent = if is_tls(url) { &self.tunnelled } else { &self.forwarded };
        Ok((agent.as_ref().unwrap_or(&self.direct), Some(proxy)))
    }

    /// Sends a request, and returns its response once the head has come.
    fn exchange(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
        stop: &Stop,
    ) -> Result<OpenResponse, TransportError> {
        let (agent, proxy) = self.way(&request.url)?;
        let builder = builder(request);
        let sent = apart::during(stop, || match (request.method, body) {
            (_, Some(StreamedBody { length, reader })) => {
                let builder = builder.header("content-length", length);
                builder.body(SendBody::from_reader(reader)).map_err(not_http).map(|request| agent.run(request))
            }
            (Method::Get, None) => builder.body(()).map_err(not_http).map(|request| agent.run(request)),
            (Method::Post | Method::Put, None) => {
                builder.body(request.body.as_slice()).map_err(not_http).map(|request| agent.run(request))
            }
        })?;
        let response = sent.map_err(|error| match stop.is_asked() {
            true => TransportError::Stopped,
            false => through(proxy, before_response(error)),
        })?;
        let (status, mut headers) = head(&response);
        // Headers of the proxy itself; through a tunnel none of them arrive here.
        headers.retain(|(name, _)| name != ANSWERED_BY_PROXY);
        if let Some(proxy) = proxy.filter(|_| !is_tls(&request.url)) {
            if status == 407 {
                // Only a proxy says that, and this is the one.
                return Err(TransportError::ProxyRefused { proxy: proxy.shown(), status });
            }
            headers.push((ANSWERED_BY_PROXY.to_owned(), proxy.shown()));
        }
        let body = match Body::of(response.into_body(), &mut headers, stop.clone()) {
            Err(TransportError::Undecodable(_)) if !is_success(status) => Body::none(stop.clone()),
            body => body?,
        };
        Ok(OpenResponse { status, headers, body })
    }

    fn send_until(&self, request: &HttpRequest, stop: &Stop) -> Result<HttpResponse, TransportError> {
        let OpenResponse { status, headers, body } = self.exchange(request, None, stop)?;
        let mut received = Vec::new();
        let read = body.take(self.response_bytes_max.saturating_add(1)).read_to_end(&mut received);
        match read.map_err(TransportError::of_body) {
            // The status says enough.
            Err(TransportError::Undecodable(_)) if !is_success(status) => received.clear(),
            read => _ = read?,
        }
        if received.len() as u64 > self.response_bytes_max {
            return Err(TransportError::TooLarge(self.response_bytes_max));
        }
        Ok(HttpResponse { status, headers, body: received })
    }

    fn stream_until(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
        stop: &Stop,
    ) -> Result<StreamedResponse, TransportError> {
        let OpenResponse { status, headers, body } = self.exchange(request, body, stop)?;
        Ok(StreamedResponse { status, headers, body: Box::new(body) })
    }

    fn reach_until(&self, url: &str, stop: &Stop) -> Option<Reach> {
        match self.proxies.to(url) {
            Ok(Some(proxy)) => Some(Reach::ThroughProxy(proxy.shown())),
            // The request will show the reason.
            Err(TransportError::ProxyUnusable { variable, .. }) => Some(Reach::ThroughProxy(variable.to_owned())),
            _ => apart::during(stop, || super::reach::reach(url, self.limits.connect)),
        }
    }
}

fn is_tls(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

fn config(options: &HttpOptions, tunnel: Option<ureq::Proxy>) -> ureq::config::Config {
    let HttpOptions { timeouts, roots, client_certificate, .. } = options;
    let tls = TlsConfig::builder().root_certs(roots.clone()).client_cert(client_certificate.clone()).build();
    // Without limits for sending and receiving a body: the line itself checks for progress.
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("")
        .accept_encoding("gzip")
        .proxy(tunnel)
        .tls_config(tls)
        .timeout_connect(Some(timeouts.connect))
        .timeout_resolve(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.response))
        .build()
}

impl Default for HttpTransport {
    fn default() -> Self {
        Self::new(&Timeouts::default())
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.send_until(request, &Stop::new())
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        self.stream_until(request, body, &Stop::new())
    }

    fn reach(&self, url: &str) -> Option<Reach> {
        self.reach_until(url, &Stop::new())
    }

    fn stoppable(&self, stop: &Stop) -> Option<Box<dyn Transport + '_>> {
        Some(Box::new(Stoppable { transport: self, stop: stop.clone() }))
    }
}

/// The transport for exchanges that can be stopped.
struct Stoppable<'t> {
    transport: &'t HttpTransport,
    stop: Stop,
}

impl Transport for Stoppable<'_> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.transport.send_until(request, &self.stop)
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        self.transport.stream_until(request, body, &self.stop)
    }

    fn reach(&self, url: &str) -> Option<Reach> {
        self.transport.reach_until(url, &self.stop)
    }
}

fn builder(request: &HttpRequest) -> ureq::http::request::Builder {
    let mut builder = ureq::http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder
}

fn is_success(status: u16) -> bool {
    (200..=299).contains(&status)
}

fn not_http(error: ureq::http::Error) -> TransportError {
    TransportError::NotHttp(error.into())
}

fn head(response: &ureq::http::Response<ureq::Body>) -> (u16, Vec<(String, String)>) {
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    (response.status().as_u16(), headers)
}

/// Adds the proxy to an error on the way through it.
fn through(proxy: Option<&Proxy>, error: TransportError) -> TransportError {
    let Some(proxy) = proxy else { return error };
    let named = |source| ThroughProxy { proxy: proxy.shown(), source }.into();
    match error {
        TransportError::Unreachable(source) => TransportError::Unreachable(named(source)),
        TransportError::TimedOut(source) => TransportError::TimedOut(named(source)),
        TransportError::Broken(source) => TransportError::Broken(named(source)),
        TransportError::NotHttp(source) => TransportError::NotHttp(named(source)),
        TransportError::ProxyRefused { status, .. } => TransportError::ProxyRefused { proxy: proxy.shown(), status },
        other => other,
    }
}

/// The error before the head of the response came.
fn before_response(error: ureq::Error) -> TransportError {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => TransportError::Unreachable(error.into()),
        ureq::Error::Timeout(_) => TransportError::TimedOut(error.into()),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => TransportError::Unreachable(error.into()),
        ureq::Error::ConnectProxyFailed(said) => refused_by_proxy(&said),
        ureq::Error::Other(other) if other.is::<NotConnected>() => TransportError::Unreachable(other),
        ureq::Error::Rustls(tls) if !certificate::is_refused(&tls) => TransportError::NotHttp(tls.into()),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => TransportError::Certificate(error.into()),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::InvalidData if certificate::is_refused(&io) => TransportError::Certificate(io.into()),
            // TLS was expected, and other bytes came.
            ErrorKind::InvalidData => TransportError::NotHttp(io.into()),
            ErrorKind::ConnectionRefused
            | ErrorKind::NotFound
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => TransportError::Unreachable(io.into()),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => TransportError::TimedOut(io.into()),
            _ => TransportError::Broken(io.into()),
        },
        other => TransportError::NotHttp(other.into()),
    }
}

/// A proxy's refusal of a tunnel; ureq reports it only as text.
fn refused_by_proxy(said: &str) -> TransportError {
    let digits: String = said.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match digits.parse() {
        // The proxy is willing, but does not reach the server.
        Ok(502..=504) => TransportError::Unreachable(said.to_owned().into()),
        Ok(status) => TransportError::ProxyRefused { proxy: String::new(), status },
        Err(_) => TransportError::Broken(said.to_owned().into()),
    }
}
