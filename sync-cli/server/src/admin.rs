//! The endpoints for the administrator: the status page, the metrics, and the health check.
//!
//! The page and the metrics name sites, so they are not public: they are served at the administrator's own listener,
//! or, without one, to this machine only. Everybody may use the health check.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use axum::http::request::Parts;
use serde_json::json;
use sync_core::Result;
use sync_core::central::CentralView;
use sync_core::clock::{Clock as _, SystemClock, Timestamp};
use sync_core::support::{CentralAlarm, ServerAlarm};
use sync_core::transport::HttpResponse;

use crate::app::App;
use crate::connection::Peer;
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::page;
use crate::reply::Reply;

/// Answers a request for the administrator, if it is one and the caller may send it.
pub(super) async fn answer(app: &Arc<App>, peer: &Peer, head: &Parts) -> Option<Reply> {
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (question, make): (_, fn(&App, &str) -> Result<HttpResponse>) = match head.uri.path() {
        "/health" => ("health", |app, _| Ok(health(app))),
        "/" | "/metrics" | "/metrics/sites" | "/status.json" if peer.is_admin && !is_asked_by_name(app, head) => {
            return Some(Reply::of("unknown", misdirected()));
        }
        "/" if is_administrator(app, peer, head) => ("page", status_page),
        "/metrics" if is_administrator(app, peer, head) => ("metrics", |app, _| figures(app)),
        "/metrics/sites" if is_administrator(app, peer, head) => ("metrics", |app, _| figures_of_sites(app)),
        "/status.json" if is_administrator(app, peer, head) => ("status", |app, _| status_document(app)),
        _ => return None,
    };
    let app = app.clone();
    let made = tokio::task::spawn_blocking(move || make(&app, &query)).await;
    let response = match made {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => HttpResponse::text(503, format!("The database failed: {}\n", error.code())),
        Err(_) => HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() },
    };
    Some(Reply::of(question, response))
}

fn is_administrator(app: &App, peer: &Peer, head: &Parts) -> bool {
    // Behind a proxy all requests come from its machine.
    let is_here = || is_of_this_machine(peer.address.ip(), host(head));
    peer.is_admin || (!app.has_admin_listener && !app.options.behind_proxy && is_here())
}

fn host(head: &Parts) -> Option<&str> {
    head.headers.get(header::HOST).and_then(|value| value.to_str().ok())
}

/// True if a program on this machine asks under the name of this machine. A foreign page in a browser here may ask too,
/// but under its own name.
fn is_of_this_machine(from: IpAddr, host: Option<&str>) -> bool {
    let here = |ip: IpAddr| ip.to_canonical().is_loopback();
    here(from) && host.is_none_or(|host| is_localhost(name(host)) || address(name(host)).is_some_and(here))
}

/// True if a request at the administrator's own listener uses an address, or a name that the administrator gave. A
/// foreign page may point its own name to this listener (DNS rebinding).
fn is_asked_by_name(app: &App, head: &Parts) -> bool {
    let is_given = |name: &str| app.options.admin_hosts.iter().any(|given| given.eq_ignore_ascii_case(name));
    let is_known = |name: &str| is_localhost(name) || address(name).is_some() || is_given(name);
    host(head).is_none_or(|host| is_known(name(host)))
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

fn address(name: &str) -> Option<IpAddr> {
    let v6 = || name.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    name.parse::<Ipv4Addr>().ok().map(IpAddr::V4).or_else(v6)
}

fn misdirected() -> HttpResponse {
    HttpResponse::text(421, "Ask under an IP address, localhost, or a name that was given with --admin-host.\n")
}

fn health(app: &App) -> HttpResponse {
    let (check, disk) = (app.central.check(), disk(app));
    // Of a database that does not answer nothing more is asked.
    let seen =
        check.as_ref().ok().and_then(|()| Some((app.views.get(&app.central).ok()?, app.central.integrations().ok()?)));
    let now = SystemClock::new().now();
    let certificate = certificate_in_use(app, now);
    let is_well = check.is_ok() && disk != Disk::Full && !matches!(certificate, "ended" | "not_yet_valid");
    let document = json!({
        "ok": is_well,
        "version": env!("CARGO_PKG_VERSION"),
        "database": check.as_ref().map_or_else(|error| error.code(), |()| "reachable"),
        "disk": disk.as_str(),
        "certificate": certificate,
        "certificate_renewal": renewal(app),
        "backup": backup(app),
        "queue": seen.as_ref().map(|(_, integrations)| integrations.waiting),
        "clock": seen.as_ref().map(|(view, _)| clock(view.sites.iter().filter_map(|site| site.seen_at).max(), now)),
        "time": now,
    });
    let mut response = HttpResponse::json(if is_well { 200 } else { 503 }, document.to_string().into_bytes());
    not_kept(&mut response);
    response
}

/// How the backups stand that the host takes. A failed one is no reason to answer no sites, so it does not fail the health check.
fn backup(app: &App) -> &'static str {
    app.options.backups.as_ref().map_or("none", |backups| backups.now().as_str())
}

/// How the certificate of this server stands.
fn certificate_in_use(app: &App, now: Timestamp) -> &'static str {
    app.options.tls.as_ref().map_or("none", |tls| match certificate(tls.begins_at(), tls.ends_at(), now) {
        // What keeps sites away now is told before what will do so later.
        "ok" | "ends_soon" if tls.is_of_authority() => "refused_by_sites",
        "ok" if tls.is_not_renewed() => "not_renewed",
        other => other,
    })
}

/// Whether the files hold a certificate that cannot be used. `certificate` shows that only while the one in use is well.
fn renewal(app: &App) -> &'static str {
    app.options.tls.as_ref().map_or("none", |tls| if tls.is_not_renewed() { "failed" } else { "ok" })
}

/// What this server tells of itself.
pub(super) fn of_server(app: &App) -> Vec<ServerAlarm> {
    let certificate = match certificate_in_use(app, SystemClock::new().now()) {
        "ended" => Some(ServerAlarm::CertificateEnded),
        "not_yet_valid" => Some(ServerAlarm::CertificateNotYetValid),
        "ends_soon" => Some(ServerAlarm::CertificateEndsSoon),
        "refused_by_sites" => Some(ServerAlarm::CertificateRefusedBySites),
        _ => None,
    };
    // Beside the near end it says why the renewal does not help.
    let renewal = (renewal(app) == "failed").then_some(ServerAlarm::CertificateNotRenewed);
    let backup = match backup(app) {
        "failed" => Some(ServerAlarm::BackupFailed),
        "none_yet" => Some(ServerAlarm::NoBackupYet),
        _ => None,
    };
    let disk = match disk(app) {
        Disk::Full => Some(ServerAlarm::DiskFull),
        Disk::NearlyFull => Some(ServerAlarm::DiskNearlyFull),
        Disk::Well | Disk::Unknown => None,
    };
    [disk, certificate, renewal, backup].into_iter().flatten().collect()
}

/// The alarms of the server and of its sites. A pause is newer than the view may be.
fn alarms(app: &App, view: &CentralView) -> Result<Vec<CentralAlarm>> {
    let of_server = of_server(app).into_iter().map(CentralAlarm::of_server);
    let of_sites = view.alarms.iter().filter(|alarm| **alarm != CentralAlarm::Paused).cloned();
    let pause = app.central.is_paused()?.then_some(CentralAlarm::Paused);
    Ok(of_sites.chain(pause).chain(of_server).collect())
}

/// How a certificate stands.
fn certificate(begins_at: Option<Timestamp>, ends_at: Option<Timestamp>, now: Timestamp) -> &'static str {
    match ends_at {
        _ if begins_at.is_some_and(|begin| begin > now) => "not_yet_valid",
        None => "unknown",
        Some(end) if end <= now => "ended",
        Some(end) if end.since(now) < END_IS_NEAR => "ends_soon",
        Some(_) => "ok",
    }
}

/// The time before the end of a certificate in which the server warns of it.
const END_IS_NEAR: Duration = Duration::from_secs(14 * 24 * 3600);

/// Whether the clock went back since the newest visit of a site.
fn clock(newest_visit: Option<Timestamp>, now: Timestamp) -> &'static str {
    if newest_visit.is_some_and(|at| at.since(now) > CLOCK_MAY_STEP) { "behind" } else { "ok" }
}

/// By how much a clock may be set back without an alarm.
const CLOCK_MAY_STEP: Duration = Duration::from_secs(3600);

/// With less free space than this the next push may fail.
const FREE_LITTLE: u64 = 200 * 1024 * 1024;
/// With less free space than this it will fail.
const FREE_NONE: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Well,
    NearlyFull,
    Full,
    Unknown,
}

impl Disk {
    fn of(free: Option<u64>) -> Self {
        match free {
            None => Self::Unknown,
            Some(free) if free < FREE_NONE => Self::Full,
            Some(free) if free < FREE_LITTLE => Self::NearlyFull,
            Some(_) => Self::Well,
        }
    }

    /// The worse of two.
    fn and(self, other: Self) -> Self {
        let badness = |disk| match disk {
            Self::Unknown => 0,
            Self::Well => 1,
            Self::NearlyFull => 2,
            Self::Full => 3,
        };
        if badness(other) > badness(self) { other } else { self }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::NearlyFull => "nearly_full",
            Self::Full => "full",
            Self::Unknown => "unknown",
        }
    }
}

/// The free space for the database and for files.
fn disk(app: &App) -> Disk {
    let free = |path: &Path| {
        // The folder of files is created with the first of them: until then its parent counts.
        let there = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
        Disk::of(fs4::available_space(there.unwrap_or(Path::new("."))).ok())
    };
    let ServerOptions { database, files, .. } = &app.options;
    [database, files].into_iter().flatten().fold(Disk::Unknown, |worst, path| worst.and(free(path)))
}

fn figures(app: &App) -> Result<HttpResponse> {
    let (view, integrations) = (app.views.get(&app.central)?, app.central.integrations()?);
    let text = app.metrics.text(&view, &integrations, &alarms(app, &view)?, &app.options);
    Ok(for_prometheus(text))
}

fn figures_of_sites(app: &App) -> Result<HttpResponse> {
    Ok(for_prometheus(Metrics::text_of_sites(app.views.get(&app.central)?.as_ref())))
}

fn for_prometheus(text: String) -> HttpResponse {
    let headers = vec![("content-type".to_owned(), "text/plain; version=0.0.4; charset=utf-8".to_owned())];
    let mut response = HttpResponse { status: 200, headers, body: text.into_bytes() };
    not_kept(&mut response);
    response
}

/// The state of the server and its sites, for scripts.
fn status_document(app: &App) -> Result<HttpResponse> {
    let (view, integrations) = (app.views.get(&app.central)?, app.central.integrations()?);
    let quarantined: BTreeMap<&str, u64> =
        view.quarantined.iter().map(|(cause, count)| (cause.as_str(), *count)).collect();
    let document = json!({
        "at": view.at,
        "version": env!("CARGO_PKG_VERSION"),
        "disk": disk(app).as_str(),
        "backup": backup(app),
        "newest_position": view.newest,
        "waiting_integrations": integrations.waiting,
        "quarantined": quarantined,
        "alarms": alarms(app, &view)?,
        "sites": view.sites,
    });
    let mut response = HttpResponse::json(200, document.to_string().into_bytes());
    not_kept(&mut response);
    Ok(response)
}

fn status_page(app: &App, query: &str) -> Result<HttpResponse> {
    let (view, integrations) = (app.views.get(&app.central)?, app.central.integrations()?);
    let alarms = alarms(app, &view)?;
    let last_day = app.metrics.last_day();
    let text = page::html(&view, &integrations, &last_day, &alarms, &page::PageQuery::of(query));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        header("content-type", "text/html; charset=utf-8"),
        // Only its own style, in case anything else slips in.
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
    fn a_certificate_near_its_end_and_a_clock_that_went_back_are_told() {
        let day = |n: i64| Timestamp::from_unix_millis(n * 24 * 3_600_000);
        let ends = [None, Some(day(99)), Some(day(100)), Some(day(113)), Some(day(115))];
        let expected = ["unknown", "ended", "ended", "ends_soon", "ok"];
        assert_eq!(ends.map(|end| certificate(Some(day(99)), end, day(100))), expected);
        assert_eq!(certificate(Some(day(101)), Some(day(115)), day(100)), "not_yet_valid");
        assert_eq!([None, Some(day(99)), Some(day(101))].map(|at| clock(at, day(100))), ["ok", "ok", "behind"]);
    }

    #[test]
    fn the_disk_is_as_bad_as_the_worst_place() {
        let mib = |n: u64| Disk::of(Some(n * 1024 * 1024));
        assert_eq!([mib(3), mib(4), mib(199), mib(200)], [Disk::Full, Disk::NearlyFull, Disk::NearlyFull, Disk::Well]);
        assert_eq!(Disk::Unknown.and(mib(300)).and(mib(100)).and(Disk::of(None)), Disk::NearlyFull);
    }

    #[test]
    fn hosts_with_and_without_ports() {
        for (host, bare, is_address) in [
            ("central", "central", false),
            ("central:80", "central", false),
            ("10.0.0.1:80", "10.0.0.1", true),
            ("[::1]:80", "[::1]", true),
            ("[fd00::1]", "[fd00::1]", true),
            ("10.0.0.1.example.org", "10.0.0.1.example.org", false),
        ] {
            assert_eq!((name(host), address(name(host)).is_some()), (bare, is_address), "{host}");
        }
    }

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
