//! A message with its HTTP head, as in a capture.

use sync_core::Result;
use sync_core::protocol::v5;

use super::body::body;
use super::decoded::{Decoded, unknown};
use crate::sentences::{decoded_kind as kinds, decoded_wrong as wrong};

/// The most headers that are read.
const HEADERS_MAX: usize = 100;

/// The needed parts of a head.
struct Head {
    /// `POST /path` or `status 200`; never a header with a credential.
    first_line: String,
    request: Option<(String, String)>,
    length: Option<usize>,
    is_chunked: bool,
    bytes: usize,
}

/// Reads a message that begins with a head; `None` if it does not.
pub(super) fn with_head(bytes: &[u8]) -> Option<Result<Decoded>> {
    let head = Head::parse(bytes)?;
    Some(head.decode(&bytes[head.bytes..]))
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        if bytes.starts_with(b"HTTP/") {
            let mut response = httparse::Response::new(&mut headers);
            let Ok(httparse::Status::Complete(end)) = response.parse(bytes) else { return None };
            return Some(Self::of(format!("status {}", response.code?), None, response.headers, end));
        }
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(end)) = request.parse(bytes) else { return None };
        let (method, path) = (request.method?.to_owned(), request.path?.to_owned());
        let path = path.split('?').next().unwrap_or_default().to_owned();
        Some(Self::of(format!("{method} {path}"), Some((method, path)), request.headers, end))
    }

    fn of(
        first_line: String,
        request: Option<(String, String)>,
        headers: &[httparse::Header<'_>],
        bytes: usize,
    ) -> Self {
        let value = |name: &str| {
            let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok().map(str::trim)
        };
        Self {
            first_line,
            request,
            length: value("content-length").and_then(|length| length.parse().ok()),
            is_chunked: value("transfer-encoding").is_some_and(|coding| coding.to_lowercase().contains("chunked")),
            bytes,
        }
    }

    fn decode(&self, rest: &[u8]) -> Result<Decoded> {
        let joined = self.is_chunked.then(|| joined_chunks(rest));
        let content = joined.as_deref().unwrap_or(rest);
        let is_cut_off = self.length.is_some_and(|length| content.len() < length);
        let mut decoded = match (content.trim_ascii().is_empty(), is_cut_off) {
            (true, _) => self.without_body(),
            // The fault is that too much came.
            (false, true) => body(content).unwrap_or_else(|_| Decoded::new(kinds::none())),
            (false, false) => body(content)?,
        };
        decoded.facts.insert(0, ("on the line", self.first_line.as_str().into()));
        if let Some(length) = self.length.filter(|_| is_cut_off) {
            decoded.wrong(wrong::body_cut_off(content.len(), length));
        }
        Ok(decoded)
    }

    /// Describes a message without a body: a request of V5, or an answer with only a status.
    fn without_body(&self) -> Decoded {
        let Some((method, path)) = &self.request else { return Decoded::new(kinds::empty_answer()) };
        match (method.as_str(), path.as_str()) {
            ("GET", v5::path::SITE) => Decoded::new(kinds::asks_who_it_is()),
            ("GET", v5::path::SITE_STATUS) => Decoded::new(kinds::asks_legacy_status()),
            ("GET", v5::path::CENTRAL_RECORDS) => Decoded::new(kinds::asks_for_central_data()),
            ("GET", v5::path::QUEUED_RECORDS) => Decoded::new(kinds::asks_for_queue()),
            ("POST", v5::path::INITIALISE) => Decoded::new(kinds::asks_to_initialise()),
            _ => unknown(wrong::no_known_question()),
        }
    }
}

/// The content of a chunked body, as far as it came.
fn joined_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(httparse::Status::Complete((head, length))) = httparse::parse_chunk_size(rest) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let chunk = &rest[head..];
        let came = chunk.len().min(length);
        all.extend_from_slice(&chunk[..came]);
        if length == 0 || came < length {
            break;
        }
        rest = chunk[came..].strip_prefix(b"\r\n").unwrap_or(&chunk[came..]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_as_far_as_they_came() {
        assert_eq!(joined_chunks(b"4\r\nab\r\n\r\n2;x=y\r\ncd\r\n0\r\n\r\n"), b"ab\r\ncd");
        assert_eq!(joined_chunks(b"4\r\nab"), b"ab");
        assert_eq!(joined_chunks(b"ffffffffffffffff\r\nab"), b"ab");
        assert_eq!(joined_chunks(b"nonsense"), b"");
    }
}
