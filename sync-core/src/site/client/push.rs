//! Pushes to central. The body of one is made while the push before it is under way.

use std::io::Write as _;

use flate2::write::GzEncoder;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::super::answer::{central_answer, unreadable};
use super::{Client, PushFault, PushRetry, json_request, packing_failed, to_json};
use crate::address::shown;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{PushChain, PushRequest};
use crate::site::identity::Identity;
use crate::site::sizing::may_be_the_size;
use crate::transport::HttpRequest;

/// The body of a push without its end: the chain names the push before it, which may not be answered yet.
pub(crate) struct OpenPush {
    json: Vec<u8>,
    /// The same, as far as it is compressed.
    packed: Option<GzEncoder<Vec<u8>>>,
}

/// A body, plain and compressed.
pub(crate) struct PushBody {
    pub json: Vec<u8>,
    /// `None` if it is sent plain.
    pub gzipped: Option<Vec<u8>>,
}

impl OpenPush {
    /// The body of a request without a chain; compressed if it has so many bytes.
    pub(crate) fn of(request: &PushRequest, gzip_from: Option<usize>) -> Result<Self> {
        debug_assert!(request.push_chain.is_none(), "the chain comes last");
        let mut json = to_json(request)?;
        json.pop();
        let packed = match gzip_from {
            Some(from) if json.len() >= from => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&json).map_err(packing_failed)?;
                Some(encoder)
            }
            _ => None,
        };
        Ok(Self { json, packed })
    }

    /// The whole body with this chain.
    pub(crate) fn with_chain(mut self, chain: Option<&PushChain>) -> Result<PushBody> {
        let mut end = Vec::new();
        if let Some(chain) = chain {
            end.extend_from_slice(br#","pushChain":"#);
            end.extend(to_json(chain)?);
        }
        end.push(b'}');
        self.json.extend_from_slice(&end);
        let gzipped = self.packed.map(|mut encoder| encoder.write_all(&end).and_then(|()| encoder.finish()));
        Ok(PushBody { json: self.json, gzipped: gzipped.transpose().map_err(packing_failed)? })
    }
}

impl Client<'_> {
    /// Pushes to central. A refusal for its size is returned, not retried. A server that answers 413 and closes before
    /// it has read the body may look like a broken pipe, so a broken pipe counts as such a refusal too, but only if it
    /// breaks at each try and the body is larger than central servers accept.
    ///
    /// `meanwhile` is done once, while the first request is under way if the transport can do that.
    pub(crate) fn push<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        (central, path): (&Url, &str),
        body: &PushBody,
        parcel: PushRetry,
        meanwhile: Option<&mut dyn FnMut()>,
    ) -> Result<T, PushFault> {
        match meanwhile {
            Some(work) if self.transport.is_concurrent() => {
                self.send_beside(self.push_request(central, path, body), || {
                    work();
                    Ok(())
                })?;
            }
            Some(work) => work(),
            None => {}
        }
        let json = &body.json;
        let outcome = self.with_retries_of(Server::Central, parcel, |client| {
            match client.push_once(identity, (central, path), body) {
                Err(Error::Refused { status: 413, .. }) => Ok(None),
                Err(error) => Err(error),
                Ok(raw) => Ok(Some(raw)),
            }
        });
        let limit = if planted!(BrokenLineIsTooLarge) { 1024 } else { self.config.push_body_limit };
        let raw = match outcome {
            Err(Error::CutOff { .. }) if self.broke && json.len() > limit => return Err(PushFault::TooLarge),
            Err(error) if may_be_the_size(&error) => return Err(PushFault::Broke(error)),
            outcome => outcome?.ok_or(PushFault::TooLarge)?,
        };
        Ok(serde_json::from_str(raw.get()).map_err(|error| unreadable(Server::Central, central, &error.to_string()))?)
    }

    fn push_once(
        &mut self,
        identity: &Identity,
        (central, path): (&Url, &str),
        body: &PushBody,
    ) -> Result<Box<RawValue>> {
        let shown = shown(central);
        let request = self.push_request(central, path, body);
        let response = self.send(Server::Central, &shown, &request)?;
        if is_gzipped(&request) && matches!(response.status, 400 | 415) {
            self.plain_only = true;
            return self.push_once(identity, (central, path), body);
        }
        central_answer(&response, &shown, identity)
    }

    fn push_request(&self, central: &Url, path: &str, body: &PushBody) -> HttpRequest {
        match body.gzipped.as_ref().filter(|_| !self.plain_only) {
            Some(gzipped) => json_request(central, path, (gzipped.clone(), true)),
            None => json_request(central, path, (body.json.clone(), false)),
        }
    }
}

fn is_gzipped(request: &HttpRequest) -> bool {
    request.header("content-encoding") == Some("gzip")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::protocol::v6::{Batch, Credentials, V6_VERSION};
    use crate::record::Cursor;

    #[test]
    fn it_is_the_body_that_is_made_at_once() {
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
            push_chain: None,
        };
        let (after, id, first) = ("the one before".to_owned(), "this".to_owned(), "the first".to_owned());
        for chain in [None, Some(PushChain { after, id, number: 3, loss_handled: Cursor(2), first })] {
            let whole = to_json(&PushRequest { push_chain: chain.clone(), ..request.clone() }).unwrap();
            for gzip_from in [None, Some(1), Some(10_000)] {
                let body = OpenPush::of(&request, gzip_from).unwrap().with_chain(chain.as_ref()).unwrap();
                assert_eq!(body.json, whole);
                assert_eq!(body.gzipped.is_some(), gzip_from == Some(1));
                let unpacked = body.gzipped.map(|gzipped| {
                    let mut json = Vec::new();
                    flate2::read::GzDecoder::new(gzipped.as_slice()).read_to_end(&mut json).map(|_| json).unwrap()
                });
                assert!(unpacked.is_none_or(|json| json == whole));
            }
        }
    }
}
