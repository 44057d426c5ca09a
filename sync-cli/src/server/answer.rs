//! One request: who asks, within the limits, handed to the central server, counted and logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use sync_core::central::{Answered, Caller, Handled};
use sync_core::protocol::v5::path as v5;
use sync_core::protocol::v6::path as v6;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_core::{Central, Clock as _, SystemClock, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::access_log::Line;
use super::body::{Held, Memory, NotTaken};
use super::budget::{Addresses, Budget, Owner, Share, Standing};
use super::checks::Checks;
use super::connections::{Connection, Peer};
use super::metrics::{self, Metrics};
use super::visit::{self, Errand, Turns, Visit};
use super::{Options, admin, files, request_id, sending};

const REQUEST_ID: &str = "x-request-id";

/// What all requests share.
pub(super) struct App {
    pub central: Arc<Central>,
    pub options: Options,
    /// Whether the administrator has a door of their own.
    pub has_admin_door: bool,
    pub metrics: Metrics,
    pub views: admin::Views,
    /// The places for files on their way.
    pub places: Arc<Budget>,
    /// The memory for answers until they are sent.
    pub answers: Arc<Budget>,
    pub turns: Turns,
    pub addresses: Addresses,
    pub checks: Arc<Checks>,
    pub memory: Memory,
    /// The large requests of clients of whom nothing is known that are read at once.
    strangers: Semaphore,
    /// Makes large answers.
    large: Handle,
    clock: SystemClock,
}

/// The bytes of answers that are being made and sent, and what one site may have of them and keep its standing.
const ANSWERS: usize = 128 * 1024 * 1024;
const ANSWERS_FAIR: usize = 16 * 1024 * 1024;
/// How long a site may take an answer before it gives way to others, if memory runs out and it is the slowest.
const ANSWER_KEPT: Duration = Duration::from_secs(5);
/// A request that is larger than this is read in turn, if nothing is known of its sender.
const LARGE: usize = 64 * 1024;

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
    /// The memory that counts for the response's body until it is sent.
    pub memory: Option<Share>,
}

impl Done {
    pub(super) fn of(question: &'static str, response: HttpResponse) -> Self {
        Self { response, question, site: None, records: 0, error: None, bytes_in: 0, file: None, memory: None }
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
    peer.connection.hold(false);
    let Done { response, question, site, records, error, bytes_in, file, memory } = done;
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
    let mut response = plain(response, memory);
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
    pub(super) fn new(central: Arc<Central>, options: Options, has_admin_door: bool, large: Handle) -> Self {
        let (metrics, memory, checks) = (Metrics::new(), Memory::new(), Checks::new(central.clone()));
        Self {
            central,
            options,
            has_admin_door,
            metrics,
            views: admin::Views::default(),
            places: files::places(),
            answers: Budget::new(ANSWERS / visit::UNIT, ANSWERS_FAIR / visit::UNIT, Some(ANSWER_KEPT)),
            turns: Turns::default(),
            addresses: Addresses::default(),
            checks,
            memory,
            strangers: Semaphore::new(half_of_the_cores()),
            large,
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
        let bytes_in = asked.request.body.len() as u64;
        let errand = if may_be_large(head) { Errand::Large } else { Errand::Short };
        let visit = Visit::new(self, &peer.connection, self.client(peer, &head.headers), errand);
        let work = |central: &Central, request: &HttpRequest, caller| central.handle_for(request, caller);
        match self.work(peer, head, (asked, &visit), work).await {
            Ok(answered) => {
                let memory = visit.ends(answered.response.body.len());
                Done { bytes_in, memory, ..Done::by(answered, |response| response) }
            }
            Err(response) => Done { bytes_in, ..Done::of("unknown", response) },
        }
    }

    /// Has a request worked at, by threads that never wait for a check of credentials: where one is needed, or it is not the
    /// site's turn, the request is put aside and begun again.
    pub(super) async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        peer: &Peer,
        head: &Parts,
        (asked, visit): (Asked, &Arc<Visit>),
        work: impl Fn(&Central, &HttpRequest, Caller) -> Handled<R> + Copy + Send + 'static,
    ) -> Result<Answered<R>, HttpResponse> {
        let (patience, limit) = (self.options.patience, self.central.config().json_bytes_max);
        let busy = |why: NotTaken| not_taken(&why, &head.headers, limit);
        let Asked { request, is_gzipped, held } = asked;
        let from = self.client(peer, &head.headers);
        let mut checked = None;
        let request = Arc::new(request);
        loop {
            let size = request.body.len();
            let is_strange = size > LARGE && self.who(peer, from).1 == Standing::Unknown;
            let in_turn = match is_strange {
                true => held.unless_needed(self.strangers.acquire()).await.map_err(busy)?.ok(),
                false => None,
            };
            let memory = self.memory.for_work((size, is_gzipped), limit, patience).await.map_err(busy)?;
            let caller = Caller { from: Some(from), checked: checked.clone(), gate: Some(visit.clone()) };
            let (central, worked_at) = (self.central.clone(), request.clone());
            let run = move || {
                let _memory = memory;
                work(&central, &worked_at, caller)
            };
            let running = match visit.errand() {
                Errand::Large => self.large.spawn_blocking(run),
                Errand::Short | Errand::File => tokio::task::spawn_blocking(run),
            };
            let handled = running.await;
            // A check may take long: others have their turn meanwhile.
            drop(in_turn);
            match handled {
                Ok(Handled::Answered(answered)) => return Ok(answered),
                Ok(Handled::Unchecked(check)) => {
                    checked = Some(held.unless_needed(self.checks.ask(check, patience)).await.map_err(busy)?);
                }
                Ok(Handled::OutOfTurn(site)) => visit.wait(site, patience).await.map_err(busy)?,
                Err(_) => return Err(broken()),
            }
        }
    }

    /// What is known of who asks: the site that signed in over this connection, or only the address. A proxy has the requests
    /// of many over one connection.
    pub(super) fn who(&self, peer: &Peer, from: IpAddr) -> (Owner, Standing) {
        match peer.connection.site().filter(|_| !self.options.behind_proxy) {
            Some(site) => (Owner::Site(site), Standing::SignedIn),
            None => self.addresses.standing(from),
        }
    }

    /// Notes that a site signed in.
    pub(super) fn signed_in(&self, connection: &Connection, from: IpAddr, site: sync_core::record::SiteId) {
        self.addresses.note(from);
        if !self.options.behind_proxy {
            connection.signed_in(site);
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
        let who = self.who(peer, self.client(peer, &head.headers));
        let taken = self.memory.receive(who, body, limit, self.options.patience).await;
        let taken = taken.map_err(|why| not_taken(&why, &head.headers, limit))?;
        // From here on it waits for this server.
        peer.connection.hold(true);
        let is_gzipped = head.headers.contains_key(header::CONTENT_ENCODING) && !taken.bytes.is_empty();
        let url = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let request = HttpRequest { method, url, headers: self.headers(peer, &head.headers), body: taken.bytes };
        Ok(Asked { request, is_gzipped, held: taken.held })
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

/// A request that was received, and the memory that counts for it.
pub(super) struct Asked {
    pub request: HttpRequest,
    is_gzipped: bool,
    held: Held,
}

/// Whether the answer to a request may be large.
fn may_be_large(head: &Parts) -> bool {
    let path = head.uri.path().trim_start_matches('/');
    let is = |known: &str| path == known.trim_start_matches('/');
    match head.method.as_str() {
        "POST" => is(v6::PULL) || is(v6::PATIENT_PULL),
        "GET" => is(v5::QUEUED_RECORDS) || is(v5::CENTRAL_RECORDS),
        _ => false,
    }
}

fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
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

fn plain(response: HttpResponse, memory: Option<Share>) -> Response<Body> {
    let mut plain = Response::new(sending::body(response.body, memory));
    *plain.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            plain.headers_mut().append(name, value);
        }
    }
    plain
}
