//! A central server within an app that serves its own pages with axum: the handler of central is mounted beside them. It answers
//! the V5 requests of sites too, because no legacy server is needed. The page of the app reads records as futures.
//!
//! `cargo run -p sync-core --features tokio --example central_in_axum -- central.sqlite 127.0.0.1:8000`, for a database with a site in its list
//!
//! What is missing here and in `oms-sync-server`: limits for slow clients, TLS, files in pieces, figures, a status page.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method as HttpMethod, Response, StatusCode, Uri};
use axum::routing::get;
use axum::{Router, serve};
use sync_core::Replica;
use sync_core::asynchronous::AsyncReplica;
use sync_core::central::Central;
use sync_core::files::{FileStore, Files};
use sync_core::record::{Asset, Query};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, address] = arguments.as_slice() else {
        return Err("usage: central_in_axum DATABASE ADDRESS".into());
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    run(database, listener, async { drop(tokio::signal::ctrl_c().await) }).await
}

/// Serves until `ended`, and then ends in good order.
pub(crate) async fn run(
    database: &str,
    listener: tokio::net::TcpListener,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn std::error::Error>> {
    let replica = Replica::open(database)?;
    let files = FileStore::new(Files::folder_of(database.as_ref()));
    let central = Arc::new(replica.stand_alone_central().with_files(files));

    // Pushes are integrated on a thread of their own, which also stores when sites came.
    let (worker, stop) = (central.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let integrator = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            worker.wait_for_work(Duration::from_secs(1));
            if let Err(error) = worker.integrate_waiting().and_then(|()| worker.flush_activity()) {
                eprintln!("{error}. {}", error.advice());
            }
        }
    });

    let app = Router::new()
        .route("/", get(move || page(replica.asynchronous())))
        .fallback(answer)
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(central.clone());
    let served = serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    served.with_graceful_shutdown(ended).await?;
    stop.store(true, Ordering::Relaxed);
    integrator.join().map_err(|_| "the integrator panicked")?;
    Ok(())
}

/// The page of the app: what stands in the clinics. The database is read on a thread of tokio for such work.
async fn page(replica: AsyncReplica) -> (StatusCode, String) {
    let here = Query::new().is_null("deleted_datetime").order_by("serial_number").limit(50);
    match replica.find::<Asset>(here).await {
        Ok(assets) => {
            let line = |asset: &Asset| format!("{}: {}\n", asset.id, asset.notes.as_deref().unwrap_or("-"));
            (StatusCode::OK, assets.iter().map(line).collect())
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}. {}", error.advice())),
    }
}

/// Every other request is one of a site. Central blocks, so it works on a thread for that.
async fn answer(
    State(central): State<Arc<Central>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: HttpMethod,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let method = match method {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        HttpMethod::PUT => Method::Put,
        _ => return reply(HttpResponse::text(405, "no such method")),
    };
    let named = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = headers.iter().filter_map(named).collect();
    let request = HttpRequest { method, url: uri.to_string(), headers, body: body.into() };
    let work = move || central.answer_to(&request, Some(peer.ip())).response;
    let response = tokio::task::spawn_blocking(work).await;
    reply(response.unwrap_or_else(|_| HttpResponse::text(500, "the server failed")))
}

fn reply(response: HttpResponse) -> Response<Body> {
    let mut reply = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        reply = reply.header(name, value);
    }
    reply.body(Body::from(response.body)).unwrap_or_else(|_| {
        let mut failed = Response::new(Body::empty());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}
