//! Answers to requests that were sent ahead, while the batch before is integrated. The next batch is read in that time too, so
//! that only the integration itself holds up a pull.

use serde_json::value::RawValue;

use crate::protocol::v6::{ReadBatch, data_in, marked_text};
use crate::site::sizing::SizedBatch;
use crate::text_input::into_utf8;
use crate::transport::{HttpRequest, HttpResponse, TransportError};

/// Central's answer to a request for a batch.
pub(crate) enum BatchAnswer {
    /// Its data, not yet read.
    Raw(Box<RawValue>),
    Read(SizedBatch),
}

/// How the answer to a request that is sent ahead is kept.
pub(super) type KeepAnswer = fn(HttpRequest, Result<HttpResponse, TransportError>) -> EarlyAnswer;

/// A request that was sent ahead, with its answer.
pub(super) struct EarlyAnswer {
    pub request: HttpRequest,
    /// Without its body, if the batch in it was read.
    pub response: Result<HttpResponse, TransportError>,
    pub batch: Option<ReadAhead>,
}

/// The batch in an answer.
pub(super) struct ReadAhead {
    pub batch: SizedBatch,
    /// The bytes of the body.
    pub body_bytes: u64,
}

impl EarlyAnswer {
    /// Keeps an answer as it came.
    pub(super) fn whole(request: HttpRequest, response: Result<HttpResponse, TransportError>) -> Self {
        Self { request, response, batch: None }
    }

    /// Reads the batch of an answer. An answer without a batch is kept as it came: whoever takes it says what is wrong.
    pub(super) fn with_batch(request: HttpRequest, response: Result<HttpResponse, TransportError>) -> Self {
        match response {
            Ok(mut response) if response.status == 200 => {
                let body_bytes = response.body.len() as u64;
                response.body = into_utf8(std::mem::take(&mut response.body));
                let batch = read_batch(&response.body).map(|batch| ReadAhead { batch, body_bytes });
                if batch.is_some() {
                    response.body = Vec::new();
                }
                Self { request, response: Ok(response), batch }
            }
            response => Self::whole(request, response),
        }
    }
}

fn read_batch(body: &[u8]) -> Option<SizedBatch> {
    let text = marked_text(body);
    let data = data_in(&text)?;
    let batch = ReadBatch::parse(data.get()).ok()?;
    Some(SizedBatch { batch, bytes: data.get().len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::{Batch, WireError, encode_data, encode_error};
    use crate::record::Cursor;
    use crate::transport::Method;

    fn kept(status: u16, body: &[u8]) -> EarlyAnswer {
        let request = HttpRequest { method: Method::Post, url: String::new(), headers: Vec::new(), body: Vec::new() };
        EarlyAnswer::with_batch(request, Ok(HttpResponse::json(status, body.to_vec())))
    }

    #[test]
    fn the_batch_of_an_answer_is_read_and_its_body_is_not_kept() {
        let body = encode_data(&Batch::empty(Cursor(7)));
        let marked = [b"\xef\xbb\xbf".as_slice(), &body].concat();
        for body in [body, marked] {
            let EarlyAnswer { response, batch, .. } = kept(200, &body);
            let ReadAhead { batch, body_bytes } = batch.unwrap();
            assert_eq!((batch.batch.end_cursor, body_bytes), (Cursor(7), body.len() as u64));
            assert!(response.unwrap().body.is_empty());
        }
    }

    #[test]
    fn an_answer_without_a_batch_is_kept_as_it_came() {
        let batch = encode_data(&Batch::empty(Cursor(7)));
        let both = [b"{\"error\":\"x\",".as_slice(), &batch[1..]].concat();
        for (status, body) in [
            (500, batch.clone()),
            (200, batch[..batch.len() - 1].to_vec()),
            (200, both),
            (200, encode_error(&WireError::IntegrationInProgress)),
            (200, b"{\"data\":null}".to_vec()),
            (200, b"<html>".to_vec()),
            (200, Vec::new()),
        ] {
            let EarlyAnswer { response, batch, .. } = kept(status, &body);
            assert!(batch.is_none());
            assert_eq!(response.unwrap().body, body);
        }
    }
}
