//! Request bodies: decoded, and never larger than the limit, whatever their headers claim.

use std::borrow::Cow;
use std::io::Read as _;

use crate::text_input::{as_utf8, into_utf8};
use crate::transport::{HttpRequest, HttpResponse};

/// The JSON text of a request's body.
pub(crate) fn read_json(request: &HttpRequest, limit: usize) -> Result<Cow<'_, [u8]>, HttpResponse> {
    let kind = request.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !kind.ends_with("+json") {
        return Err(HttpResponse::text(400, "Content type error"));
    }
    decoded(request, limit)
}

/// The bytes of a request's body, with any content type: V5 has none.
pub(crate) fn decoded(request: &HttpRequest, limit: usize) -> Result<Cow<'_, [u8]>, HttpResponse> {
    let coding = request.header("content-encoding").map(|coding| coding.trim().to_ascii_lowercase());
    match coding.as_deref() {
        None | Some("" | "identity") if request.body.len() > limit => Err(HttpResponse::text(
            413,
            format!("JSON payload ({} bytes) is larger than allowed (limit: {limit} bytes).", request.body.len()),
        )),
        None | Some("" | "identity") => Ok(as_utf8(&request.body)),
        // The older name of gzip.
        Some("gzip" | "x-gzip") => {
            let mut json = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(request.body.as_slice()).take(limit as u64 + 1);
            match decoder.read_to_end(&mut json) {
                Ok(_) if json.len() > limit => {
                    Err(HttpResponse::text(413, format!("JSON payload has exceeded limit ({limit} bytes).")))
                }
                Ok(_) => Ok(Cow::Owned(into_utf8(json))),
                Err(_) => Err(HttpResponse::text(400, "Content encoding error")),
            }
        }
        Some(_) => Err(HttpResponse::text(415, "Content encoding not supported")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::transport::Method;

    fn request(headers: &[(&str, &str)], body: &[u8]) -> HttpRequest {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        HttpRequest { method: Method::Post, url: String::new(), headers, body: body.to_vec() }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_and_their_limits() {
        let json = ("content-type", "application/json; charset=utf-8");
        let zip = ("content-encoding", "gzip");
        let bomb = gzip(&vec![b' '; 5_000_000]);
        assert!(bomb.len() < 10_000);
        for (request, outcome) in [
            (request(&[json], b"{}"), Ok("{}")),
            (request(&[json, zip], &gzip(b"{}")), Ok("{}")),
            (request(&[json, ("content-encoding", "GZip")], &gzip(b"{}")), Ok("{}")),
            (request(&[json, ("content-encoding", "x-gzip")], &gzip(b"\xef\xbb\xbf{}")), Ok("{}")),
            (request(&[json], b"\xef\xbb\xbf{}"), Ok("{}")),
            (request(&[("content-type", "application/x+json")], b"{}"), Ok("{}")),
            (request(&[], b"{}"), Err(400)),
            (request(&[("content-type", "text/plain")], b"{}"), Err(400)),
            (request(&[json], &[b' '; 1001]), Err(413)),
            (request(&[json, zip], &bomb), Err(413)),
            (request(&[json, zip], b"not gzip"), Err(400)),
            (request(&[json, ("content-encoding", "br")], b"{}"), Err(415)),
        ] {
            let read = read_json(&request, 1000);
            let read = read.as_ref().map(|body| std::str::from_utf8(body).unwrap()).map_err(|response| response.status);
            assert_eq!(read, outcome, "{:?}", request.headers);
        }
    }
}
