//! Puts a [`Central`] behind an HTTP server.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_core::{Central, Error};
use tokio::sync::oneshot;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::server_files;

/// Takes an address.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| Error::BadInput {
        detail: match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("{address} is in use by another program; choose another port"),
            _ => format!("{address} cannot be listened on: {error}"),
        },
    })
}

/// A running server: connections on an async runtime, the central server's own work on threads that may block.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Answers from then on.
    pub(crate) fn start(central: Arc<Central>, listener: TcpListener) -> Result<Self, Error> {
        let failed =
            |source: std::io::Error| Error::Io { what: "starting the server".to_owned(), source: source.into() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let router = Router::new()
            .fallback(answer)
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
            // Files are sent as they are: parts of them are asked for by their place.
            .merge(server_files::routes())
            .with_state(central.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = std::thread::spawn(move || {
            runtime.block_on(async {
                let until = async {
                    let _ = stopped.await;
                };
                // Serving ends only when it is told to.
                let _ = axum::serve(listener, router).with_graceful_shutdown(until).await;
            });
        });
        let stopping = Arc::new(AtomicBool::new(false));
        let integrating = {
            let stopping = stopping.clone();
            std::thread::spawn(move || integrate_until(&central, &stopping))
        };
        Ok(Self { address, stop: Some(stop), stopping, threads: vec![serving, integrating] })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new requests, finishes those that run, and returns.
    pub(crate) fn stop(mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn integrate_until(central: &Central, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) {
        // What fails stays queued and is tried again; sites see that it is not integrated yet. A panic is a fault of this
        // program, but no reason to let every site wait for a restart (weak point B3).
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| central.integrate_waiting()));
        let failure = match done {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("[{}]: {error}", error.code())),
            Err(_) => Some("by a fault of this program".to_owned()),
        };
        if let Some(failure) = failure {
            let _ = writeln!(std::io::stderr(), "integration failed {failure}; trying again");
            std::thread::sleep(Duration::from_secs(1));
        }
        central.wait_for_work(Duration::from_millis(500));
    }
}

async fn answer(State(central): State<Arc<Central>>, request: Request) -> Response<Body> {
    let method = match request.method().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        _ => return plain(HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() }),
    };
    let limit = central.config().json_bytes_max;
    let (head, body) = request.into_parts();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let url = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    // One byte more than the limit, so that central sees that it is passed and says so in its own words.
    let Ok(body) = to_bytes(body, limit + 1).await else {
        let length = head.headers.get("content-length").map(text);
        return plain(HttpResponse::text(
            413,
            match length {
                Some(bytes) => format!("JSON payload ({bytes} bytes) is larger than allowed (limit: {limit} bytes)."),
                None => format!("JSON payload has exceeded limit ({limit} bytes)."),
            },
        ));
    };
    let request = HttpRequest { method, url, headers, body: body.into() };
    match tokio::task::spawn_blocking(move || central.handle(&request)).await {
        Ok(response) => plain(response),
        Err(_) => plain(HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() }),
    }
}

pub(crate) fn plain(response: HttpResponse) -> Response<Body> {
    head(response.status, response.headers, Body::from(response.body))
}

/// A response with this head.
pub(crate) fn head(status: u16, headers: Vec<(String, String)>, body: Body) -> Response<Body> {
    let mut plain = Response::new(body);
    *plain.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            plain.headers_mut().append(name, value);
        }
    }
    plain
}
