//! One request: who asks, within the limits, handed to the central server, counted and logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_core::{Central, Clock as _, SystemClock};

use super::access_log::Line;
use super::body::{Memory, NotTaken};
use super::connections::Peer;
use super::metrics::{self, Metrics};
use super::{Options, admin, request_id};

const REQUEST_ID: &str = "x-request-id";

/// What all requests share.
pub(super) struct App {
    pub central: Arc<Central>,
    pub options: Options,
    /// Whether the keeper has a door of their own.
    pub has_admin_door: bool,
    pub metrics: Metrics,
    pub views: admin::Views,
    memory: Memory,
    clock: SystemClock,
}

/// An answer, and what is counted of it.
pub(super) struct Done {
    pub response: HttpResponse,
    pub question: &'static str,
    pub site: Option<sync_core::record::SiteId>,
    pub records: u64,
    pub error: Option<&'static str>,
    pub bytes_in: u64,
}

impl Done {
    pub(super) fn of(question: &'static str, response: HttpResponse) -> Self {
        Self { response, question, site: None, records: 0, error: None, bytes_in: 0 }
    }
}

pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let (started, at) = (Instant::now(), app.clock.now());
    let (head, body) = request.into_parts();
    let id = request_id::of(head.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()));
    let from = app.client(&peer, &head.headers);
    let done = app.route(&peer, &head, body).await;
    let bytes = (done.bytes_in, done.response.body.len() as u64);
    let (status, took) = (done.response.status, started.elapsed());
    let Done { question, site, records, error, .. } = done;
    app.metrics.count(&metrics::Request { question, status, error, records, bytes, took });
    if let Some(log) = &app.options.access_log {
        let (method, path) = (head.method.as_str(), head.uri.path());
        log.write(&Line { at, from, method, path, site, status, error, records, bytes, took, id: &id });
    }
    let mut response = plain(done.response);
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if peer.is_crowded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl App {
    pub(super) fn new(central: Arc<Central>, options: Options, has_admin_door: bool) -> Self {
        let (metrics, memory) = (Metrics::new(), Memory::new());
        Self {
            central,
            options,
            has_admin_door,
            metrics,
            views: admin::Views::default(),
            memory,
            clock: SystemClock::new(),
        }
    }

    /// The address of the client: the proxy's word for it only where there is a proxy of the keeper's.
    fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let said = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        // The last one is what the proxy itself saw; those before it are the client's own words.
        let last = said.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        last.filter(|_| self.options.behind_proxy && !peer.is_admin).unwrap_or_else(|| peer.address.ip())
    }

    async fn route(self: &Arc<Self>, peer: &Peer, head: &Parts, body: Body) -> Done {
        if let Some(done) = admin::answer(self, peer, head).await {
            return done;
        }
        if peer.is_admin {
            return Done::of("unknown", not_found());
        }
        self.ask_central(peer, head, body).await
    }

    async fn ask_central(self: &Arc<Self>, peer: &Peer, head: &Parts, body: Body) -> Done {
        let method = match head.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => return Done::of("unknown", not_found()),
        };
        let limit = self.central.config().json_bytes_max;
        let patience = self.options.patience;
        let taken = match self.memory.receive(body, limit, patience).await {
            Ok(taken) => taken,
            Err(why) => return Done::of("unknown", not_taken(&why, &head.headers, limit)),
        };
        // A gzipped body may become as large as any.
        let is_gzipped = head.headers.contains_key(header::CONTENT_ENCODING) && !taken.bytes.is_empty();
        let may_become = if is_gzipped { limit } else { taken.bytes.len() };
        let memory = match self.memory.for_work(may_become, patience).await {
            Ok(memory) => memory,
            Err(why) => return Done::of("unknown", not_taken(&why, &head.headers, limit)),
        };
        let bytes_in = taken.bytes.len() as u64;
        let url = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let request = HttpRequest { method, url, headers: self.headers(peer, &head.headers), body: taken.bytes };
        let central = self.central.clone();
        let from = self.client(peer, &head.headers);
        let answered = tokio::task::spawn_blocking(move || {
            let _memory = memory;
            central.answer_to(&request, Some(from))
        });
        match answered.await {
            Ok(answered) => Done {
                question: answered.question.as_str(),
                site: answered.site,
                records: answered.records,
                error: answered.error,
                bytes_in,
                response: answered.response,
            },
            Err(_) => Done::of("unknown", HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() }),
        }
    }

    /// Headers as the central server gets them. What a proxy says of the client's connection is taken from ours only.
    fn headers(&self, peer: &Peer, headers: &HeaderMap) -> Vec<(String, String)> {
        let is_forwarded = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || name == header::FORWARDED;
        let kept = headers.iter().filter(|(name, _)| self.options.behind_proxy || !is_forwarded(name));
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let mut kept: Vec<_> = kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        if peer.is_tls {
            kept.retain(|(name, _)| name != "x-forwarded-proto");
            kept.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
        }
        kept
    }
}

fn not_taken(why: &NotTaken, headers: &HeaderMap, limit: usize) -> HttpResponse {
    match why {
        NotTaken::TooLarge => {
            let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            HttpResponse::text(
                413,
                match length {
                    Some(bytes) => {
                        format!("JSON payload ({bytes} bytes) is larger than allowed (limit: {limit} bytes).")
                    }
                    None => format!("JSON payload has exceeded limit ({limit} bytes)."),
                },
            )
        }
        NotTaken::TooSlow => closing(HttpResponse::text(408, "The body came too slowly.")),
        NotTaken::Cut => closing(HttpResponse::text(400, "The body was cut off.")),
        NotTaken::Busy => {
            let mut response = HttpResponse::text(503, "Too much at once; try again.");
            response.headers.push(("retry-after".to_owned(), "30".to_owned()));
            closing(response)
        }
    }
}

/// Nothing more can be read after it.
fn closing(mut response: HttpResponse) -> HttpResponse {
    response.headers.push(("connection".to_owned(), "close".to_owned()));
    response
}

fn not_found() -> HttpResponse {
    HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() }
}

fn plain(response: HttpResponse) -> Response<Body> {
    let mut plain = Response::new(Body::from(response.body));
    *plain.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            plain.headers_mut().append(name, value);
        }
    }
    plain
}
