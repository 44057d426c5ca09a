//! Routes a request: to the pages of the administrator, to files, or to the central server; then counts and logs it.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use sync_core::central::Central;
use sync_core::clock::Clock as _;
use sync_core::protocol::v5::path as v5;
use sync_core::protocol::v6::path as v6;
use sync_core::transport::{HttpRequest, HttpResponse};

use crate::app::App;
use crate::budget::Share;
use crate::connection::Peer;
use crate::reply::{NoCompression, Reply, not_found, not_taken};
use crate::response_log::ResponseLog;
use crate::visit::{RequestPurpose, Visit};
use crate::{admin, files, request_id, sending};

/// The answer to a person who opens the address of the sites.
const WHAT_THIS_IS: &str = "This is an Open mSupply central server (oms-sync). It works, and sites synchronise with it at this address.\n\
    The status page is open to this server's administrator only.\n";

const REQUEST_ID: &str = "x-request-id";

pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let (started, at) = (Instant::now(), app.clock.now());
    let (head, body) = request.into_parts();
    let id = request_id::of(head.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()));
    let from = app.client(&peer, &head.headers);
    let reply = route(&app, &peer, &head, body).await;
    peer.connection.hold(false);
    let Reply { response, question, site, records, error, bytes_in, file, memory } = reply;
    let (status, bytes_out) = (response.status, response.body.len() as u64);
    let log = ResponseLog {
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
        None => log.tell(bytes_out, None),
        Some(file) => {
            *response.body_mut() = file.body(log);
            response.extensions_mut().insert(NoCompression);
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

async fn route(app: &Arc<App>, peer: &Peer, head: &Parts, body: Body) -> Reply {
    if let Some(reply) = admin::answer(app, peer, head).await {
        return reply;
    }
    if peer.is_admin {
        return Reply::of("unknown", not_found());
    }
    // For a person with a browser; sites never ask it.
    if head.uri.path() == "/" && matches!(head.method.as_str(), "GET" | "HEAD") {
        return Reply::of("unknown", HttpResponse::text(404, WHAT_THIS_IS));
    }
    if files::is_upload(head) {
        return files::upload(app, peer, head, body).await;
    }
    if files::is_download(head) {
        return files::download(app, peer, head, body).await;
    }
    ask_central(app, peer, head, body).await
}

async fn ask_central(app: &Arc<App>, peer: &Peer, head: &Parts, body: Body) -> Reply {
    let asked = match app.receive(peer, head, body).await {
        Ok(asked) => asked,
        Err(response) => return Reply::of("unknown", response),
    };
    let bytes_in = asked.request.body.len() as u64;
    let errand = if may_be_large(head) { RequestPurpose::Large } else { RequestPurpose::Short };
    let visit = Visit::new(app, &peer.connection, app.client(peer, &head.headers), errand);
    let work = |central: &Central, request: &HttpRequest, caller| central.handle_for(request, caller);
    match app.work(peer, head, (asked, &visit), work).await {
        Ok(answered) => match visit.ends(answered.response.body.len()) {
            Ok(memory) => Reply { bytes_in, memory, ..Reply::by(answered, |response| response) },
            Err(why) => {
                let refused = not_taken(&why, &head.headers, app.central.config().json_bytes_max);
                Reply { bytes_in, ..Reply::by(answered, |_| refused) }
            }
        },
        Err(response) => Reply { bytes_in, ..Reply::of("unknown", response) },
    }
}

/// True if the answer to a request may be large.
fn may_be_large(head: &Parts) -> bool {
    let path = head.uri.path().trim_start_matches('/');
    let is = |known: &str| path == known.trim_start_matches('/');
    match head.method.as_str() {
        "POST" => is(v6::PULL) || is(v6::PATIENT_PULL),
        "GET" => is(v5::QUEUED_RECORDS) || is(v5::CENTRAL_RECORDS),
        _ => false,
    }
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
