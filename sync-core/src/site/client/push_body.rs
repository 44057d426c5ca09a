//! The body of a push that is made while the push before it is under way.

use std::io::Write as _;

use flate2::write::GzEncoder;

use super::{packing_failed, to_json};
use crate::error::Result;
use crate::protocol::v6::{PushChain, PushRequest};

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
        let (after, id) = ("the one before".to_owned(), "this".to_owned());
        for chain in [None, Some(PushChain { after, id, number: 3, loss_handled: Cursor(2) })] {
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
