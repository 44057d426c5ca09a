//! A request on its way to the central server: received within the limits, and handled in its turn.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use sync_core::central::{Caller, Central, Handled, HandledRequest};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use crate::app::App;
use crate::body::{BodyMemory, BodyRefusal, GZIP_RATIO};
use crate::connection::Peer;
use crate::reply::{broken, not_found, not_taken};
use crate::visit::{RequestPurpose, Visit};

/// A larger request of a sender that has not signed in is read in turn.
pub(super) const LARGE: usize = 64 * 1024;

/// A received request with its memory.
pub(super) struct ReceivedRequest {
    pub request: HttpRequest,
    is_gzipped: bool,
    held: BodyMemory,
}

impl App {
    /// Handles a request on threads that never wait for a check of credentials: if one is needed, or it is not the
    /// site's turn, the request is put aside and started again.
    pub(super) async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        peer: &Peer,
        head: &Parts,
        (asked, visit): (ReceivedRequest, &Arc<Visit>),
        work: impl Fn(&Central, &HttpRequest, Caller) -> Handled<R> + Copy + Send + 'static,
    ) -> Result<HandledRequest<R>, HttpResponse> {
        let (patience, limit) = (self.options.patience, self.central.config().json_bytes_max);
        let busy = |why: BodyRefusal| not_taken(&why, &head.headers, limit);
        let ReceivedRequest { request, is_gzipped, held } = asked;
        let from = self.client(peer, &head.headers);
        let mut checked = None;
        let request = Arc::new(request);
        loop {
            let size = request.body.len();
            let unpacked = if is_gzipped { size.saturating_mul(GZIP_RATIO) } else { size };
            let turns = if unpacked > LARGE { self.turns_before_sign_in(self.who(peer, from)) } else { None };
            let in_turn = match turns {
                Some(turns) => held.unless_needed(turns.acquire_owned()).await.map_err(busy)?.ok(),
                None => None,
            };
            let memory = self.memory.for_work((size, is_gzipped), limit, patience).await.map_err(busy)?;
            let caller = Caller { from: Some(from), checked: checked.clone(), gate: Some(visit.clone()) };
            let (central, worked_at) = (self.central.clone(), request.clone());
            let run = move || {
                let _memory = memory;
                work(&central, &worked_at, caller)
            };
            let running = match visit.errand() {
                RequestPurpose::Large => self.large.spawn_blocking(run),
                RequestPurpose::Short | RequestPurpose::File => tokio::task::spawn_blocking(run),
            };
            let handled = running.await;
            // A check may be slow: others get their turn meanwhile.
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

    /// Receives a whole request, or returns the refusal.
    pub(super) async fn receive(&self, peer: &Peer, head: &Parts, body: Body) -> Result<ReceivedRequest, HttpResponse> {
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
        Ok(ReceivedRequest { request, is_gzipped, held: taken.held })
    }

    /// Headers for the central server. A proxy's information about the client's connection is only taken from a trusted
    /// proxy.
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
