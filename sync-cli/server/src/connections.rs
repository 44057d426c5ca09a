//! Accepts connections: their number, their silence, and their end.

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
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};

use crate::addresses::Addresses;
use crate::app::App;
use crate::budget::{Budget, Owner, Trust};
use crate::connection::{Connection, Peer};
use crate::reply::NoCompression;
use crate::router::answer;
use crate::stall_timeout::StallTimeout;
use crate::tls::Tls;

/// How long a stop waits for requests that run.
const GRACE: Duration = Duration::from_secs(30);
/// How many times the patience a client may read nothing of an answer: a slow line reads only now and then.
const TAKING: u32 = 4;
/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;

/// The settings of one listener.
#[derive(Clone)]
pub(super) struct ListenerOptions {
    /// True if it is for the administrator instead of sites.
    pub is_admin: bool,
    pub tls: Option<Tls>,
    pub connections: usize,
    pub patience: Duration,
}

/// Answers until it is told to stop; then finishes the running requests.
pub(super) async fn serve(
    listener: TcpListener,
    options: ListenerOptions,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    let router = Router::new().fallback(answer).with_state(app.clone()).layer(
        CompressionLayer::new()
            .quality(CompressionLevel::Fastest)
            .compress_when(DefaultPredicate::new().and(is_not_a_file)),
    );
    let places = Budget::new(options.connections, (options.connections / 8).max(1), None);
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
            // Probably out of open files: some become free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let is_crowded = places.free() < options.connections / 4;
        let is_tls = options.tls.is_some();
        let peer = Peer { connection: connection.clone(), address, is_tls, is_admin: options.is_admin, is_crowded };
        app.metrics.connected();
        let service = router.clone().layer(Extension(peer));
        tokio::spawn(converse(stream, service, options.clone(), (graceful.watcher(), connection, app.clone())));
    }
    drop(listener);
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

/// Waits for a place for a connection. If there is none, the slowest that has not signed in is closed; if all have,
/// further ones wait in the queue of the system, without cost here.
async fn place(places: &Arc<Budget>, address: SocketAddr, addresses: &Addresses) -> Arc<Connection> {
    let close = Arc::new(Notify::new());
    let (owner, trust): (Owner, Trust) = addresses.trust(address.ip());
    let share = places.enter((owner, trust), close.clone());
    while share.grow(1, GRACE).await.is_err() {}
    Arc::new(Connection::new(share, close))
}

fn is_not_a_file(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<NoCompression>().is_none()
}

/// Serves one connection until its end, or until others need its place.
async fn converse(
    stream: TcpStream,
    router: Router,
    options: ListenerOptions,
    (watcher, connection, app): (Watcher, Arc<Connection>, Arc<App>),
) {
    // Answers are written at once; waiting for more would only be slower.
    let _ = stream.set_nodelay(true);
    let conversation = async {
        match options.tls {
            None => speak(stream, router, options.patience, watcher).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(options.patience, tls.acceptor().accept(stream)).await {
                    speak(stream, router, options.patience, watcher).await;
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
        .serve_connection(TokioIo::new(StallTimeout::new(stream, patience * TAKING)), service);
    // An error of a client ends only its own connection.
    let _ = watcher.watch(connection).await;
}
