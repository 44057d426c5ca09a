//! Connections: how many there may be, how long they may be silent, and how they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};

use super::answer::{App, AsItIs, answer};
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

/// Who asks, by what the connection says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
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
    let free = Arc::new(Semaphore::new(door.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            // Beyond the bound connections wait in the queue of the system, and cost nothing here.
            let permit = free.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (Ok(permit), Ok((stream, address))) = accepted else {
            // Out of open files, most likely: some come free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let is_crowded = free.available_permits() < door.connections / 4;
        let peer = Peer { address, is_tls: door.tls.is_some(), is_admin: door.is_admin, is_crowded };
        app.metrics.connected();
        let service = router.clone().layer(Extension(peer));
        tokio::spawn(converse(stream, service, door.clone(), (graceful.watcher(), permit, app.clone())));
    }
    drop(listener);
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

fn is_not_a_file(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<AsItIs>().is_none()
}

/// One connection until its end.
async fn converse(
    stream: TcpStream,
    router: Router,
    door: Door,
    (watcher, _permit, app): (Watcher, OwnedSemaphorePermit, Arc<App>),
) {
    // Answers are written at once; to wait for more would only be slower.
    let _ = stream.set_nodelay(true);
    match door.tls {
        None => speak(stream, router, door.patience, watcher).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(door.patience, tls.accept(stream)).await {
                speak(stream, router, door.patience, watcher).await;
            }
        }
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
