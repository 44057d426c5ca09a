//! What is for the administrator of the server: the status page, the figures, and whether it is well.
//!
//! The page and the figures name sites, so they are not for everybody: they are given at the administrator's own door, or,
//! where there is none, to this machine only. Whether the server is well anybody may ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header;
use axum::http::request::Parts;
use serde_json::json;
use sync_core::Result;
use sync_core::central::CentralView;
use sync_core::transport::HttpResponse;

use super::answer::{App, Done};
use super::connections::Peer;
use super::page;

/// How old what a page shows may be: to look often costs little.
const VIEW_AGE: Duration = Duration::from_secs(2);

/// The newest view of the server.
#[derive(Default)]
pub(super) struct Views(Mutex<Option<(Instant, Arc<CentralView>)>>);

impl Views {
    fn get(&self, app: &App) -> Result<Arc<CentralView>> {
        // Held while it is made, so that many who ask at once have one made.
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, view)) = newest.as_ref()
            && at.elapsed() < VIEW_AGE
        {
            return Ok(view.clone());
        }
        let view = Arc::new(app.central.view()?);
        *newest = Some((Instant::now(), view.clone()));
        Ok(view)
    }
}

/// Answers what is for the administrator, if it is that and this is the administrator.
pub(super) async fn answer(app: &Arc<App>, peer: &Peer, head: &Parts) -> Option<Done> {
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (question, make): (_, fn(&App, &str) -> Result<HttpResponse>) = match head.uri.path() {
        "/health" => ("health", |app, _| Ok(health(app))),
        "/" if is_administrator(app, peer, head) => ("page", status_page),
        "/metrics" if is_administrator(app, peer, head) => ("metrics", |app, _| figures(app)),
        _ => return None,
    };
    let app = app.clone();
    let made = tokio::task::spawn_blocking(move || make(&app, &query)).await;
    let response = match made {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => HttpResponse::text(503, format!("The database failed: {}\n", error.code())),
        Err(_) => HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() },
    };
    Some(Done::of(question, response))
}

fn is_administrator(app: &App, peer: &Peer, head: &Parts) -> bool {
    let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    // Behind a proxy everybody comes from its machine.
    peer.is_admin || (!app.has_admin_door && !app.options.behind_proxy && is_of_this_machine(peer.address.ip(), host))
}

/// Whether a program on this machine asks for this machine: a page of somebody else that a browser here has open may
/// ask too, but under a name of its own.
fn is_of_this_machine(from: IpAddr, host: Option<&str>) -> bool {
    let here = |ip: IpAddr| ip.to_canonical().is_loopback();
    let Some(host) = host else { return here(from) };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let names_here = name.eq_ignore_ascii_case("localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| here(ip.into()))
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| here(ip.into()));
    here(from) && names_here
}

fn health(app: &App) -> HttpResponse {
    let check = app.central.check();
    let document = json!({
        "ok": check.is_ok(),
        "version": env!("CARGO_PKG_VERSION"),
        "database": check.as_ref().map_or_else(|error| error.code(), |()| "reachable"),
    });
    let mut response = HttpResponse::json(if check.is_ok() { 200 } else { 503 }, document.to_string().into_bytes());
    not_kept(&mut response);
    response
}

fn figures(app: &App) -> Result<HttpResponse> {
    let (view, integrations) = (app.views.get(app)?, app.central.integrations()?);
    let text = app.metrics.text(&view, &integrations, app.options.database.as_deref());
    let headers = vec![("content-type".to_owned(), "text/plain; version=0.0.4; charset=utf-8".to_owned())];
    let mut response = HttpResponse { status: 200, headers, body: text.into_bytes() };
    not_kept(&mut response);
    Ok(response)
}

fn status_page(app: &App, query: &str) -> Result<HttpResponse> {
    let (view, integrations) = (app.views.get(app)?, app.central.integrations()?);
    let text = page::html(&view, &integrations, &page::Asked::of(query));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        header("content-type", "text/html; charset=utf-8"),
        // Nothing but its own style, whatever were to slip into it.
        header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
        header("x-content-type-options", "nosniff"),
        header("referrer-policy", "no-referrer"),
    ];
    let mut response = HttpResponse { status: 200, headers, body: text.into_bytes() };
    not_kept(&mut response);
    Ok(response)
}

fn not_kept(response: &mut HttpResponse) {
    response.headers.push(("cache-control".to_owned(), "no-store".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_asking_for_this_machine_is_of_it() {
        for (from, host, is) in [
            ("127.0.0.1", Some("localhost:8000"), true),
            ("127.0.0.1", Some("127.0.0.1:8000"), true),
            ("127.0.0.1", Some("127.0.0.1"), true),
            ("127.0.0.1", None, true),
            ("::1", Some("[::1]:8000"), true),
            ("::1", Some("[::1]"), true),
            ("::ffff:127.0.0.1", Some("LOCALHOST"), true),
            ("127.0.0.1", Some("evil.example.org:8000"), false),
            ("127.0.0.1", Some("central.example.org"), false),
            ("127.0.0.1", Some("10.0.0.1:8000"), false),
            ("127.0.0.1", Some("localhost.example.org"), false),
            ("127.0.0.1", Some(""), false),
            ("10.0.0.1", Some("localhost:8000"), false),
            ("10.0.0.1", None, false),
        ] {
            assert_eq!(is_of_this_machine(from.parse().unwrap(), host), is, "{from} {host:?}");
        }
    }
}
