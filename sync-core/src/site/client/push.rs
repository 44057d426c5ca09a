//! Pushes to central. The body of a push is made while the push before it is on its way.

use std::borrow::Cow;
use std::io::{Read as _, Write as _};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::super::answer::{central_answer, unreadable};
use super::{Client, EarlyAnswer, PushFault, RetryLimits, json_request, packing_failed, to_json};
use crate::address::shown;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{PushChain, PushRequest, path};
use crate::site::identity::Identity;
use crate::site::sizing::may_be_the_size;
use crate::transport::HttpRequest;

/// The body of a push without its end. The end is the chain, which names the push before; that push may not be answered yet.
pub(crate) enum OpenPush {
    Plain(Vec<u8>),
    /// The compressed body, and the number of bytes of its JSON.
    Gzipped(GzEncoder<Vec<u8>>, usize),
}

/// A body in the form in which it is sent. The JSON of a compressed body is not kept, because two bodies are in memory at once.
pub(crate) struct PushBody {
    bytes: Vec<u8>,
    is_gzipped: bool,
    /// The number of bytes of its JSON.
    json_bytes: usize,
}

impl OpenPush {
    /// The body of a request without a chain; compressed if it has `gzip_from` bytes or more.
    pub(crate) fn of(request: &PushRequest, gzip_from: Option<usize>) -> Result<Self> {
        debug_assert!(request.push_chain.is_none(), "the chain comes last");
        let mut json = to_json(request)?;
        json.pop();
        match gzip_from {
            Some(from) if json.len() >= from => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&json).map_err(packing_failed)?;
                Ok(Self::Gzipped(encoder, json.len()))
            }
            _ => Ok(Self::Plain(json)),
        }
    }

    /// The whole body with this chain.
    pub(crate) fn with_chain(self, chain: Option<&PushChain>) -> Result<PushBody> {
        let mut end = Vec::new();
        if let Some(chain) = chain {
            end.extend_from_slice(br#","pushChain":"#);
            end.extend(to_json(chain)?);
        }
        end.push(b'}');
        Ok(match self {
            Self::Plain(mut bytes) => {
                bytes.extend_from_slice(&end);
                PushBody { json_bytes: bytes.len(), bytes, is_gzipped: false }
            }
            Self::Gzipped(mut encoder, json_bytes) => {
                encoder.write_all(&end).map_err(packing_failed)?;
                let bytes = encoder.finish().map_err(packing_failed)?;
                PushBody { bytes, is_gzipped: true, json_bytes: json_bytes + end.len() }
            }
        })
    }
}

impl PushBody {
    /// Its JSON.
    fn json(&self) -> Result<Cow<'_, [u8]>> {
        if !self.is_gzipped {
            return Ok(Cow::Borrowed(&self.bytes));
        }
        let mut json = Vec::with_capacity(self.json_bytes);
        GzDecoder::new(self.bytes.as_slice()).read_to_end(&mut json).map_err(packing_failed)?;
        Ok(Cow::Owned(json))
    }
}

impl Client<'_> {
    /// Pushes to central. If the server refuses the body for its size, that is returned and not retried. A server that answers 413
    /// and closes before it has read the body may look like a broken connection. So a broken connection counts as a refusal for
    /// size too, if every try breaks and the body is larger than central servers accept.
    ///
    /// `meanwhile` is called once: during the first request if the transport is concurrent, else before it.
    pub(crate) fn push<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        central: &Url,
        body: &PushBody,
        retry: RetryLimits,
        meanwhile: Option<&mut dyn FnMut()>,
    ) -> Result<T, PushFault> {
        match meanwhile {
            Some(work) if self.transport.is_concurrent() => {
                self.send_beside(self.push_request(central, body)?, EarlyAnswer::whole, || {
                    work();
                    Ok(())
                })?;
            }
            Some(work) => work(),
            None => {}
        }
        let outcome =
            self.with_retries_of(Server::Central, retry, |client| match client.push_once(identity, central, body) {
                Err(Error::Refused { status: 413, .. }) => Ok(None),
                Err(error) => Err(error),
                Ok(raw) => Ok(Some(raw)),
            });
        let limit = if planted!(BrokenLineIsTooLarge) { 1024 } else { self.config.push_body_limit };
        let raw = match outcome {
            Err(Error::CutOff { .. }) if self.broke && body.json_bytes > limit => return Err(PushFault::TooLarge),
            Err(error) if may_be_the_size(&error) => return Err(PushFault::Broke(error)),
            outcome => outcome?.ok_or(PushFault::TooLarge)?,
        };
        Ok(serde_json::from_str(raw.get()).map_err(|error| unreadable(Server::Central, central, &error.to_string()))?)
    }

    fn push_once(&mut self, identity: &Identity, central: &Url, body: &PushBody) -> Result<Box<RawValue>> {
        let shown = shown(central);
        let request = self.push_request(central, body)?;
        let response = self.send(Server::Central, &shown, &request)?;
        if is_gzipped(&request) && matches!(response.status, 400 | 415) {
            self.plain_only = true;
            return self.push_once(identity, central, body);
        }
        central_answer(&response, &shown, identity)
    }

    fn push_request(&self, central: &Url, body: &PushBody) -> Result<HttpRequest> {
        Ok(match body.is_gzipped && !self.plain_only {
            true => json_request(central, path::PUSH, body.bytes.clone(), true),
            false => json_request(central, path::PUSH, body.json()?.into_owned(), false),
        })
    }
}

fn is_gzipped(request: &HttpRequest) -> bool {
    request.header("content-encoding") == Some("gzip")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::{Batch, Credentials, V6_VERSION};
    use crate::record::Cursor;

    #[test]
    fn a_body_completed_later_equals_the_body_made_in_one_step() {
        let request = PushRequest {
            batch: Batch::empty(Cursor(7)),
            sync_v5_settings: Credentials {
                server_url: String::new(),
                username: "clinic".to_owned(),
                password_sha256: String::new(),
                site_uuid: "machine".to_owned(),
                app_version: "2.19.0".to_owned(),
                app_name: String::new(),
                sync_version: "9".to_owned(),
            },
            sync_v6_version: V6_VERSION,
            read_to: None,
            push_chain: None,
        };
        let (after, id, first) = ("the one before".to_owned(), "this".to_owned(), "the first".to_owned());
        for chain in [None, Some(PushChain { after, id, number: 3, loss_handled: Cursor(2), first })] {
            let whole = to_json(&PushRequest { push_chain: chain.clone(), ..request.clone() }).unwrap();
            for gzip_from in [None, Some(1), Some(10_000)] {
                let body = OpenPush::of(&request, gzip_from).unwrap().with_chain(chain.as_ref()).unwrap();
                assert_eq!(body.json().unwrap(), whole);
                assert_eq!((body.is_gzipped, body.json_bytes), (gzip_from == Some(1), whole.len()));
                assert_eq!(body.bytes == whole, !body.is_gzipped);
            }
        }
    }
}
