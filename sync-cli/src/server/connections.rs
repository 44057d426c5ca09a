//! Connections: how many there may be, how long they may be silent, and how they end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use sync_core::record::SiteId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};

use super::answer::{App, AsItIs, answer};
use super::budget::{Addresses, Budget, Owner, Share, Standing};
use super::moving::Moving;

/// The most connections of sites at once, if the administrator says nothing else and the machine allows as many.
const CONNECTIONS: usize = 4096;
/// The open files that are kept for the database and the like.
const OTHER_FILES: usize = 64;
/// How long a stop waits for requests that run.
const GRACE: Duration = Duration::from_secs(30);
/// How many times the patience a client may take nothing of an answer: a slow line takes some only now and then.
const TAKING: u32 = 4;
/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;

/// Where requests come in.
#[derive(Clone)]
pub(super) struct Door {
    /// Whether it is for the administrator instead of sites.
    pub is_admin: bool,
    pub tls: Option<TlsAcceptor>,
    pub connections: usize,
    pub patience: Duration,
}

/// An open connection.
pub(super) struct Connection {
    share: Share,
    /// Told when it has to be closed, because others need its place or the memory of an answer that it does not take.
    pub close: Arc<Notify>,
    /// The site that signed in over it.
    site: OnceLock<SiteId>,
}

impl Connection {
    /// The site that signed in over it.
    pub(super) fn site(&self) -> Option<SiteId> {
        self.site.get().copied()
    }

    /// Notes that a site signed in over it.
    pub(super) fn signed_in(&self, site: SiteId) {
        if self.site.set(site).is_ok() {
            self.share.signed_in(site);
        }
    }

    /// Notes whether a request of it is worked at.
    pub(super) fn hold(&self, is_held: bool) {
        self.share.hold(is_held);
    }
}

/// Who asks, by what the connection says.
#[derive(Clone)]
pub(super) struct Peer {
    pub connection: Arc<Connection>,
    pub address: SocketAddr,
    pub is_tls: bool,
    pub is_admin: bool,
    /// Whether connections are running out, so that this one is better closed after the answer.
    pub is_crowded: bool,
}

/// The most connections at once: what is asked for, as far as this process may have open files.
pub(crate) fn connections_max(wanted: Option<usize>) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files = files.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    wanted.unwrap_or(CONNECTIONS).min(files.saturating_sub(OTHER_FILES)).max(1)
}

/// Answers until it is told to stop; then finishes the requests that run.
pub(super) async fn serve(listener: TcpListener, door: Door, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let router = Router::new().fallback(answer).with_state(app.clone()).layer(
        CompressionLayer::new()
            .quality(CompressionLevel::Fastest)
            .compress_when(DefaultPredicate::new().and(is_not_a_file)),
    );
    let places = Budget::new(door.connections, (door.connections / 8).max(1), None);
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let (stream, address) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, address, place(&places, address, &app.addresses).await))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, address, connection)) = accepted else {
            // Out of open files, most likely: some come free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let is_crowded = places.free() < door.connections / 4;
        let is_tls = door.tls.is_some();
        let peer = Peer { connection: connection.clone(), address, is_tls, is_admin: door.is_admin, is_crowded };
        app.metrics.connected();
        let service = router.clone().layer(Extension(peer));
        tokio::spawn(converse(stream, service, door.clone(), (graceful.watcher(), connection, app.clone())));
    }
    drop(listener);
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

/// Waits for a place for a connection. When there is none, the slowest that has not signed in is closed; where all have,
/// further ones wait in the queue of the system, and cost nothing here.
async fn place(places: &Arc<Budget>, address: SocketAddr, addresses: &Addresses) -> Arc<Connection> {
    let close = Arc::new(Notify::new());
    let (owner, standing): (Owner, Standing) = addresses.standing(address.ip());
    let share = places.enter((owner, standing), close.clone());
    while share.grow(1, GRACE).await.is_err() {}
    Arc::new(Connection { share, close, site: OnceLock::new() })
}

fn is_not_a_file(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<AsItIs>().is_none()
}

/// One connection until its end, or until others need its place.
async fn converse(
    stream: TcpStream,
    router: Router,
    door: Door,
    (watcher, connection, app): (Watcher, Arc<Connection>, Arc<App>),
) {
    // Answers are written at once; to wait for more would only be slower.
    let _ = stream.set_nodelay(true);
    let conversation = async {
        match door.tls {
            None => speak(stream, router, door.patience, watcher).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(door.patience, tls.accept(stream)).await {
                    speak(stream, router, door.patience, watcher).await;
                }
            }
        }
    };
    tokio::select! {
        () = conversation => {}
        () = connection.close.notified() => {}
    }
    app.metrics.disconnected();
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    patience: Duration,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Moving::new(stream, patience * TAKING)), service);
    // What a client does wrong ends its connection and concerns nobody else.
    let _ = watcher.watch(connection).await;
}
