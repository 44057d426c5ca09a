//! Files over HTTP: bodies go through in pieces, in both directions, and are never whole in memory.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::routing::{post, put};
use http_body::{Frame, SizeHint};
use sync_core::Central;
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse, Method, StreamedResponse};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::server::{head, plain};

/// How many files may be on their way at once: each holds a thread for as long as its line needs.
const AT_ONCE: usize = 128;
/// How many pieces wait for whoever takes them.
const PIECES: usize = 4;
/// How much of a file is a piece.
const PIECE: usize = 64 * 1024;
/// After this time without a single byte a line counts as broken.
const SILENCE: Duration = Duration::from_secs(120);

static TRANSFERS: Semaphore = Semaphore::const_new(AT_ONCE);

/// The two addresses of files.
pub(crate) fn routes() -> Router<Arc<Central>> {
    let at = |path: &str| format!("/{path}");
    Router::new()
        .route(&at(path::UPLOAD_FILE), put(upload).fallback(no_such_page))
        .route(&at(path::DOWNLOAD_FILE), post(download).fallback(no_such_page))
}

/// For another method, 405 would mean that this is no central server.
async fn no_such_page() -> Response<Body> {
    plain(HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() })
}

fn busy() -> Response<Body> {
    plain(HttpResponse::text(503, "Too many files are on their way; try again later."))
}

fn broken() -> Response<Body> {
    plain(HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() })
}

async fn upload(State(central): State<Arc<Central>>, request: Request) -> Response<Body> {
    let Ok(_permit) = TRANSFERS.try_acquire() else { return busy() };
    let (parts, mut body) = request.into_parts();
    let (pieces, waiting) = channel::<io::Result<Bytes>>(PIECES);
    let taking = tokio::task::spawn_blocking(move || {
        let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
        let mut incoming = Incoming { pieces: waiting, piece: Bytes::new(), broke: false };
        central.upload_file(content_type, &mut incoming)
    });
    let mut cut_off = false;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let piece = match tokio::time::timeout(SILENCE, next).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Ok(bytes),
                Err(_) => continue,
            },
            Ok(Some(Err(_))) | Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        cut_off = piece.is_err();
        // Nobody takes it once the answer is clear.
        if pieces.send(piece).await.is_err() || cut_off {
            break;
        }
    }
    drop(pieces);
    match taking.await {
        Ok(response) if !cut_off => plain(response),
        _ => broken(),
    }
}

/// A body as central reads it, on a thread that may block.
struct Incoming {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
    broke: bool,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.broke {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.broke = true;
                    return Err(error);
                }
            }
        }
        if self.broke {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let some = self.piece.split_to(self.piece.len().min(into.len()));
        into[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

async fn download(State(central): State<Arc<Central>>, request: Request) -> Response<Body> {
    let Ok(permit) = TRANSFERS.try_acquire() else { return busy() };
    let limit = central.config().json_bytes_max;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, limit + 1).await else {
        return plain(HttpResponse::text(413, format!("JSON payload has exceeded limit ({limit} bytes).")));
    };
    let headers = headers(&parts.headers);
    let url = parts.uri.path().to_owned();
    let request = HttpRequest { method: Method::Post, url, headers, body: body.into() };
    match tokio::task::spawn_blocking(move || central.download_file(&request)).await {
        Ok(response) => give(response, permit),
        Err(_) => broken(),
    }
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
    };
    headers.iter().map(text).collect()
}

/// Reads the file on a thread that may block, as fast as the line takes it.
fn give(response: StreamedResponse, permit: SemaphorePermit<'static>) -> Response<Body> {
    let length = response.header("content-length").and_then(|text| text.parse().ok());
    let StreamedResponse { status, headers, body: mut reader } = response;
    let (pieces, waiting) = channel::<io::Result<Bytes>>(PIECES);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    Ok(Bytes::from(piece))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            // Nobody takes it any more, or not in time.
            if runtime.block_on(pieces.send_timeout(read, SILENCE)).is_err() || failed {
                return;
            }
        }
    });
    head(status, headers, Body::new(Outgoing { pieces: waiting, left: length }))
}

/// A body as the line takes it.
struct Outgoing {
    pieces: Receiver<io::Result<Bytes>>,
    /// How many bytes are to come, where that is known.
    left: Option<u64>,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.pieces.poll_recv(context));
        let piece = match (piece, self.left) {
            (Some(Ok(bytes)), left) => {
                self.left = left.map(|left| left.saturating_sub(bytes.len() as u64));
                Some(Ok(Frame::data(bytes)))
            }
            // The file became shorter: a cut line, not an end.
            (None, Some(1..)) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            (Some(Err(error)), _) => Some(Err(error)),
            (None, _) => None,
        };
        Poll::Ready(piece)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
