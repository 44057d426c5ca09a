//! Request bodies that are gzipped, well or not.
//!
//! An input is a recipe in the first line, and what is compressed in the rest. The recipe's words: `raw` (the rest is the
//! body itself), `twice` (compressed twice over), and with a number each `members=`, `fill=` (so many KiB of blanks are
//! added before compressing), `cut=` (bytes off the end), `tail=` (bytes of garbage after it), `flip=` (this byte is
//! changed), `coding=` a content encoding.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use sync_core::Replica;
use sync_core::central::CentralConfig;
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::answers::first_line;
use super::promises::assert_refusal;
use super::small_world::SmallWorld;

/// The most bytes of a decoded body that this central takes.
const LIMIT: usize = 64 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressed")
}

/// The body that the recipe makes of the rest, and the content encoding.
fn cook(recipe: &str, rest: &[u8]) -> (Vec<u8>, String) {
    let number = |name: &str| {
        let value = recipe.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|text| text.parse::<usize>().ok())
    };
    let words: Vec<&str> = recipe.split(' ').collect();
    let mut body = rest.to_vec();
    if !words.contains(&"raw") {
        body.resize(body.len() + number("fill").unwrap_or(0).min(2000) * 1024, b' ');
        let members = number("members").unwrap_or(1).clamp(1, 1000);
        let size = body.len().div_ceil(members).max(1);
        body = body.chunks(size).flat_map(gzip).collect();
        if rest.is_empty() && body.is_empty() {
            body = gzip(b"");
        }
        if words.contains(&"twice") {
            body = gzip(&body);
        }
        body.truncate(body.len() - number("cut").unwrap_or(0).min(body.len()));
        body.resize(body.len() + number("tail").unwrap_or(0).min(10_000), b'x');
        if let Some(byte) = number("flip").and_then(|at| body.get_mut(at)) {
            *byte ^= 0x55;
        }
    }
    let coding = recipe.split(' ').find_map(|word| word.strip_prefix("coding="));
    (body, coding.unwrap_or("gzip").to_owned())
}

/// A reader's result for a gzipped body: the whole, too much, or nothing. It reads no more than a byte beyond the
/// limit.
fn unzip(body: &[u8]) -> Result<Vec<u8>, u16> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(body);
    let (mut decoded, mut buffer) = (Vec::new(), [0; 997]);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(decoded),
            Ok(read) => decoded.extend_from_slice(&buffer[..read]),
            Err(_) => return Err(400),
        }
        if decoded.len() > LIMIT {
            return Err(413);
        }
    }
}

fn ask(body: Vec<u8>, coding: Option<&str>) -> HttpResponse {
    let world = SmallWorld::new();
    let mut config = CentralConfig::default();
    config.json_bytes_max = LIMIT;
    let central = Arc::new(
        Replica::builder()
            .clock(world.clock.clone())
            .with_storage(world.storage.clone())
            .stand_alone_central()
            .with_config(config),
    );
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(coding.map(|coding| ("content-encoding".to_owned(), coding.to_owned())));
    let response =
        central.handle(&HttpRequest { method: Method::Post, url: format!("/{}", path::PUSH), headers, body });
    central.integrate_waiting().expect("integration");
    response
}

pub(super) fn run(input: &[u8]) {
    let (recipe, rest) = first_line(input);
    let (body, coding) = cook(&recipe, rest);
    let response = ask(body.clone(), Some(&coding));
    let said = String::from_utf8(response.body.clone()).expect("UTF-8");
    match coding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => match unzip(&body) {
            // The coding makes no difference to the answer.
            Ok(plain) => assert_eq!(response, ask(plain, None), "gzipped and plain"),
            Err(status) => {
                assert_eq!(response.status, status, "{said}");
                let expected =
                    if status == 413 { "has exceeded limit (65536 bytes)" } else { "Content encoding error" };
                assert!(said.contains(expected), "{said}");
            }
        },
        "" | "identity" => assert!([200, 400, 413].contains(&response.status), "{}", response.status),
        _ => assert_eq!((response.status, said.as_str()), (415, "Content encoding not supported")),
    }
    if response.status != 200 {
        assert_refusal(response.status, &said);
    }
}
