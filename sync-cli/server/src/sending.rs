//! An answer that is being sent: it counts against the memory for answers until the line has taken it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use crate::budget::Share;

/// The size of a piece of an answer.
const PIECE: usize = 64 * 1024;
/// Answers up to this size do not count.
const UNCOUNTED: usize = 16 * 1024;

/// A body with its memory.
pub(super) fn body(bytes: Vec<u8>, share: Option<Share>) -> Body {
    match share {
        Some(share) if bytes.len() > UNCOUNTED => Body::new(Sending { bytes, sent: 0, share }),
        _ => Body::from(bytes),
    }
}

struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    share: Share,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let end = self.bytes.len().min(self.sent + PIECE);
        // A copy: a piece that waits to be written must not keep the whole answer in memory uncounted.
        let piece = Bytes::copy_from_slice(&self.bytes[self.sent..end]);
        self.share.moved(piece.len());
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.bytes.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.bytes.len() - self.sent) as u64)
    }
}
