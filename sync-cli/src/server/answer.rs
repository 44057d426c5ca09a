//! One request: who asks, within the limits, handed to the central server, counted and logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use sync_core::central::Answered;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_core::{Central, Clock as _, SystemClock, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

use super::access_log::Line;
use super::body::{Memory, NotTaken};
use super::connections::Peer;
use super::metrics::{self, Metrics};
use super::{Options, admin, files, request_id};

const REQUEST_ID: &str = "x-request-id";

/// What all requests share.
pub(super) struct App {
    pub central: Arc<Central>,
    pub options: Options,
    /// Whether the administrator has a door of their own.
    pub has_admin_door: bool,
    pub metrics: Metrics,
    pub views: admin::Views,
    pub places: files::Places,
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
    /// What goes back instead of the response's own body.
    pub file: Option<files::File>,
}

impl Done {
    pub(super) fn of(question: &'static str, response: HttpResponse) -> Self {
        Self { response, question, site: None, records: 0, error: None, bytes_in: 0, file: None }
    }

    /// What the central server answered, its response made a plain one.
    pub(super) fn by<R>(answered: Answered<R>, plain: impl FnOnce(R) -> HttpResponse) -> Self {
        let (question, site, records, error) =
            (answered.question.as_str(), answered.site, answered.records, answered.error);
        Self { site, records, error, ..Self::of(question, plain(answered.response)) }
    }
}

/// What is still to be told of a request when its answer has ended.
pub(super) struct Ending {
    app: Arc<App>,
    started: Instant,
    at: Timestamp,
    from: IpAddr,
    method: axum::http::Method,
    uri: axum::http::Uri,
    id: String,
    question: &'static str,
    site: Option<sync_core::record::SiteId>,
    status: u16,
    error: Option<&'static str>,
    records: u64,
    bytes_in: u64,
}

impl Ending {
    /// Counts and logs it, with the bytes that went out, and with what is wrong with them if nothing was before.
    pub(super) fn tell(self, bytes_out: u64, fault: Option<&'static str>) {
        let Self { app, at, from, id, question, site, status, records, .. } = self;
        let (error, bytes, took) = (self.error.or(fault), (self.bytes_in, bytes_out), self.started.elapsed());
        app.metrics.count(&metrics::Request { question, status, error, records, bytes, took });
        if let Some(log) = &app.options.access_log {
            let (method, path) = (self.method.as_str(), self.uri.path());
            log.write(&Line { at, from, method, path, site, status, error, records, bytes, took, id: &id });
        }
    }
}

/// Marks a response that is not compressed: parts of a file are asked for by their place.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsItIs;

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
    let Done { response, question, site, records, error, bytes_in, file } = done;
    let (status, bytes_out) = (response.status, response.body.len() as u64);
    let ending = Ending {
        app,
        started,
        at,
        from,
        method: head.method,
        uri: head.uri,
        id: id.clone(),
        question,
        site,
        status,
        error,
        records,
        bytes_in,
    };
    let mut response = plain(response);
    match file {
        None => ending.tell(bytes_out, None),
        Some(file) => {
            *response.body_mut() = file.body(ending);
            response.extensions_mut().insert(AsItIs);
        }
    }
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
            places: files::Places::new(),
            memory,
            clock: SystemClock::new(),
        }
    }

    /// The address of the client: the proxy's word for it only where there is a proxy of the administrator's.
    pub(super) fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
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
        if files::is_upload(head) {
            return files::upload(self, peer, head, body).await;
        }
        if files::is_download(head) {
            return files::download(self, peer, head, body).await;
        }
        self.ask_central(peer, head, body).await
    }

    async fn ask_central(self: &Arc<Self>, peer: &Peer, head: &Parts, body: Body) -> Done {
        let asked = match self.receive(peer, head, body).await {
            Ok(asked) => asked,
            Err(response) => return Done::of("unknown", response),
        };
        let (central, from) = (self.central.clone(), self.client(peer, &head.headers));
        let bytes_in = asked.request().body.len() as u64;
        let answered = tokio::task::spawn_blocking(move || central.answer_to(asked.request(), Some(from)));
        match answered.await {
            Ok(answered) => Done { bytes_in, ..Done::by(answered, |response| response) },
            Err(_) => Done::of("unknown", broken()),
        }
    }

    /// Receives a whole request, or says why not.
    pub(super) async fn receive(&self, peer: &Peer, head: &Parts, body: Body) -> Result<Asked, HttpResponse> {
        let method = match head.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => return Err(not_found()),
        };
        let limit = self.central.config().json_bytes_max;
        let patience = self.options.patience;
        let refused = |why: NotTaken| not_taken(&why, &head.headers, limit);
        let taken = self.memory.receive(body, limit, patience).await.map_err(refused)?;
        // A gzipped body may become as large as any.
        let is_gzipped = head.headers.contains_key(header::CONTENT_ENCODING) && !taken.bytes.is_empty();
        let may_become = if is_gzipped { limit } else { taken.bytes.len() };
        let memory = self.memory.for_work(may_become, patience).await.map_err(refused)?;
        let url = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let request = HttpRequest { method, url, headers: self.headers(peer, &head.headers), body: taken.bytes };
        Ok(Asked { request, _memory: memory })
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

/// A request that was received, and the memory that counts for it while it is worked at.
pub(super) struct Asked {
    request: HttpRequest,
    _memory: OwnedSemaphorePermit,
}

impl Asked {
    pub(super) fn request(&self) -> &HttpRequest {
        &self.request
    }
}

pub(super) fn not_taken(why: &NotTaken, headers: &HeaderMap, limit: usize) -> HttpResponse {
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

/// A fault of this program.
pub(super) fn broken() -> HttpResponse {
    HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() }
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
