//! Files over HTTP: bodies go through in pieces, in both directions, and are never whole in memory. A file may take its
//! time as long as something moves.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::http::request::Parts;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpResponse, StreamedResponse};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::{App, Done, Ending, broken, not_taken};
use super::body::NotTaken;
use super::connections::Peer;

/// How many files may be on their way at once: each that comes in holds a thread for as long as its line needs.
const AT_ONCE: usize = 128;
/// How many pieces wait for whoever takes them.
const PIECES: usize = 4;
/// How much of a file is a piece.
const PIECE: usize = 64 * 1024;

/// The places for files on their way.
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Waits for a place, but not for long.
    async fn take(&self, patience: Duration) -> Result<OwnedSemaphorePermit, NotTaken> {
        match timeout(patience, self.0.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(NotTaken::Busy),
        }
    }
}

/// Whether a request brings a file.
pub(super) fn is_upload(head: &Parts) -> bool {
    head.method == "PUT" && head.uri.path().trim_start_matches('/') == path::UPLOAD_FILE
}

/// Whether a request asks for a file.
pub(super) fn is_download(head: &Parts) -> bool {
    head.method == "POST" && head.uri.path().trim_start_matches('/') == path::DOWNLOAD_FILE
}

/// Takes a file that a site brings.
pub(super) async fn upload(app: &App, peer: &Peer, head: &Parts, mut body: Body) -> Done {
    let patience = app.options.patience;
    let limit = app.central.config().json_bytes_max;
    let place = match app.places.take(patience).await {
        Ok(place) => place,
        Err(why) => return Done::of("upload_file", not_taken(&why, &head.headers, limit)),
    };
    let (pieces, waiting) = channel::<io::Result<Bytes>>(PIECES);
    let (central, from) = (app.central.clone(), app.client(peer, &head.headers));
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let taking = spawn_blocking(move || {
        // Given back when the thread is.
        let _place = place;
        let mut incoming = Incoming { pieces: waiting, piece: Bytes::new(), broke: false };
        central.upload_file(content_type.as_deref(), &mut incoming, Some(from))
    });
    let mut bytes_in = 0;
    let broke = loop {
        let (piece, broke) = match timeout(patience, body.frame()).await {
            Ok(None) => break None,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => (Ok(bytes), None),
                Err(_) => continue,
            },
            Ok(Some(Err(_))) => (Err(io::ErrorKind::UnexpectedEof.into()), Some(NotTaken::Cut)),
            Err(_) => (Err(io::ErrorKind::TimedOut.into()), Some(NotTaken::TooSlow)),
        };
        bytes_in += piece.as_ref().map_or(0, Bytes::len) as u64;
        // Nobody takes it once the answer is clear.
        if pieces.send(piece).await.is_err() || broke.is_some() {
            break broke;
        }
    };
    drop(pieces);
    let mut done = match taking.await {
        Ok(answered) => Done::by(answered, |response| response),
        Err(_) => Done::of("upload_file", broken()),
    };
    done.bytes_in = bytes_in;
    if let Some(why) = broke {
        done.response = not_taken(&why, &head.headers, limit);
    }
    done
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

/// Gives a file to a site that asks.
pub(super) async fn download(app: &App, peer: &Peer, head: &Parts, body: Body) -> Done {
    let patience = app.options.patience;
    let place = match app.places.take(patience).await {
        Ok(place) => place,
        Err(why) => {
            let limit = app.central.config().json_bytes_max;
            return Done::of("download_file", not_taken(&why, &head.headers, limit));
        }
    };
    let asked = match app.receive(peer, head, body).await {
        Ok(asked) => asked,
        Err(response) => return Done::of("download_file", response),
    };
    let (central, from, bytes_in) =
        (app.central.clone(), app.client(peer, &head.headers), asked.request().body.len() as u64);
    let answered = spawn_blocking(move || {
        let mut answered = central.download_file(asked.request(), Some(from));
        let is_file = matches!(answered.response.status, 200 | 206);
        // What is no file is short, and was in memory already.
        let read = if is_file { Ok(Vec::new()) } else { rest(&mut answered.response.body) };
        (answered, is_file, read)
    });
    let Ok((answered, is_file, Ok(short))) = answered.await else {
        return Done { bytes_in, ..Done::of("download_file", broken()) };
    };
    let mut file = None;
    let done = Done::by(answered, |response: StreamedResponse| {
        let length = response.header("content-length").and_then(|text| text.parse().ok());
        let StreamedResponse { status, headers, body } = response;
        file = is_file.then(|| File { reader: body, length, place });
        HttpResponse { status, headers, body: short }
    });
    Done { bytes_in, file, ..done }
}

fn rest(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map(|_| bytes)
}

/// A file that goes to a site.
pub(super) struct File {
    reader: Box<dyn Read + Send>,
    /// How many bytes it has, where that is known.
    length: Option<u64>,
    place: OwnedSemaphorePermit,
}

impl File {
    /// The file as a body, which is counted and logged when it ends.
    pub(super) fn body(self, ending: Ending) -> Body {
        let (pieces, waiting) = channel(PIECES);
        let left = self.length;
        tokio::spawn(read_into(pieces, self));
        Body::new(Outgoing { pieces: waiting, left, sent: 0, ending: Some(ending) })
    }
}

/// Reads a file as fast as the line takes it; a thread that may block is held only while a piece is read.
async fn read_into(pieces: Sender<io::Result<Bytes>>, file: File) {
    let File { mut reader, place: _place, .. } = file;
    loop {
        let read = spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let read = reader.read(&mut piece).map(|read| {
                piece.truncate(read);
                Bytes::from(piece)
            });
            (reader, read)
        });
        let Ok((back, read)) = read.await else { return };
        reader = back;
        let ends = read.as_ref().map_or(true, Bytes::is_empty);
        if read.as_ref().is_ok_and(Bytes::is_empty) {
            return;
        }
        // Nobody takes it once the line is broken.
        if pieces.send(read).await.is_err() || ends {
            return;
        }
    }
}

/// A body as the line takes it.
struct Outgoing {
    pieces: Receiver<io::Result<Bytes>>,
    /// How many bytes are to come, where that is known.
    left: Option<u64>,
    sent: u64,
    ending: Option<Ending>,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.pieces.poll_recv(context));
        let piece = match (piece, self.left) {
            (Some(Ok(bytes)), left) => {
                self.sent += bytes.len() as u64;
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

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.tell(self.sent, self.left.is_some_and(|left| left > 0).then_some("cut_off"));
        }
    }
}
