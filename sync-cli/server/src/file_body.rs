//! A file as the body of a response, read piece by piece.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use crate::budget::Share;
use crate::response_log::ResponseLog;

/// How many pieces wait to be sent.
pub(super) const PIECES: usize = 4;
/// The size of a piece.
const PIECE: usize = 64 * 1024;

/// A file that goes to a site.
pub(super) struct OutgoingFile {
    pub reader: Box<dyn Read + Send>,
    /// Its length, if known.
    pub length: Option<u64>,
    pub place: Share,
}

impl OutgoingFile {
    /// The file as a body, which is counted and logged when it ends.
    pub(super) fn body(self, log: ResponseLog) -> Body {
        let (pieces, waiting) = channel(PIECES);
        let left = self.length;
        tokio::spawn(read_into(pieces, self));
        Body::new(Outgoing { pieces: waiting, left, sent: 0, log: Some(log) })
    }
}

/// Reads a file as fast as the line takes it; a blocking thread is held only while a piece is read.
async fn read_into(pieces: Sender<io::Result<Bytes>>, file: OutgoingFile) {
    let OutgoingFile { mut reader, place, .. } = file;
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
        place.moved(read.as_ref().map_or(0, Bytes::len));
        let ends = read.as_ref().map_or(true, Bytes::is_empty);
        if read.as_ref().is_ok_and(Bytes::is_empty) {
            return;
        }
        // The line is broken.
        if pieces.send(read).await.is_err() || ends {
            return;
        }
    }
}

/// A body for the line.
struct Outgoing {
    pieces: Receiver<io::Result<Bytes>>,
    /// The number of bytes to come, if known.
    left: Option<u64>,
    sent: u64,
    log: Option<ResponseLog>,
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
            // The file became shorter: a broken download, not an end.
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
        if let Some(log) = self.log.take() {
            log.tell(self.sent, self.left.is_some_and(|left| left > 0).then_some("cut_off"));
        }
    }
}
