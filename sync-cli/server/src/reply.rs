//! The reply to a request: its response, its counts, and the refusals of the server itself.

use axum::http::{HeaderMap, header};
use sync_core::central::HandledRequest;
use sync_core::record::SiteId;
use sync_core::transport::HttpResponse;

use crate::body::BodyRefusal;
use crate::budget::Share;
use crate::file_body::OutgoingFile;

/// An answer, with its counts.
pub(super) struct Reply {
    pub response: HttpResponse,
    pub question: &'static str,
    pub site: Option<SiteId>,
    pub records: u64,
    pub error: Option<&'static str>,
    pub bytes_in: u64,
    /// Replaces the response's own body.
    pub file: Option<OutgoingFile>,
    /// The memory for the response's body until it is sent.
    pub memory: Option<Share>,
}

impl Reply {
    pub(super) fn of(question: &'static str, response: HttpResponse) -> Self {
        Self { response, question, site: None, records: 0, error: None, bytes_in: 0, file: None, memory: None }
    }

    /// The answer of the central server, as a plain response.
    pub(super) fn by<R>(answered: HandledRequest<R>, plain: impl FnOnce(R) -> HttpResponse) -> Self {
        let (question, site, records, error) =
            (answered.endpoint.as_str(), answered.site, answered.records, answered.error);
        Self { site, records, error, ..Self::of(question, plain(answered.response)) }
    }
}

/// Marks a response that must not be compressed: parts of a file are requested by their position.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoCompression;

pub(super) fn not_taken(why: &BodyRefusal, headers: &HeaderMap, limit: usize) -> HttpResponse {
    match why {
        BodyRefusal::TooLarge => {
            let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            HttpResponse::text(
                413,
                match length {
                    Some(bytes) => {
                        format!("JSON payload ({bytes} bytes) is larger than allowed (limit: {limit} bytes).")
                    }
                    None => format!("JSON payload has exceeded limit ({limit} bytes)."),
                },
            )
        }
        BodyRefusal::TooSlow => closing(HttpResponse::text(408, "The body came too slowly.")),
        BodyRefusal::Cut => closing(HttpResponse::text(400, "The body was cut off.")),
        BodyRefusal::Busy => {
            let mut response = HttpResponse::text(503, "Too much at once; try again.");
            response.headers.push(("retry-after".to_owned(), "30".to_owned()));
            closing(response)
        }
    }
}

/// Nothing more can be read after it.
fn closing(mut response: HttpResponse) -> HttpResponse {
    response.headers.push(("connection".to_owned(), "close".to_owned()));
    response
}

/// A fault of this program.
pub(super) fn broken() -> HttpResponse {
    HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() }
}

pub(super) fn not_found() -> HttpResponse {
    HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() }
}
