//! Uploads to central.

use std::sync::Barrier;

use sync_core::central::{CentralConfig, Endpoint};
use sync_core::protocol::PasswordHash;
use sync_core::record::RecordId;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_tests::world::{CentralEnd, PASSWORD, asset, data};

use super::{content, reference};

const BOUNDARY: &str = "boundary0815";

fn credentials(site: &str) -> String {
    let hash = PasswordHash::of_password(PASSWORD);
    format!(
        r#"{{"serverUrl":"http://legacy.example.org","username":"{site}","passwordSha256":"{}","siteUuid":"machine-{site}","appVersion":"2.19.0","appName":"Open mSupply Desktop","syncVersion":"14"}}"#,
        hash.expose()
    )
}

fn json_part(site: &str, id: &str) -> String {
    format!(r#"{{"file_id":"{id}","sync_v5_settings":{},"sync_v6_version":5}}"#, credentials(site))
}

fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

const JSON: &str = "Content-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json";
const FILE: &str = "Content-Disposition: form-data; name=\"file_part\"; filename=\"n.txt\"";

fn upload(end: &CentralEnd, body: &[u8]) -> (u16, String) {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let response = end.central.upload_file(Some(&content_type), &mut &*body, None).response;
    (response.status, String::from_utf8(response.body).expect("UTF-8"))
}

fn upload_as(end: &CentralEnd, site: &str, id: &str, bytes: &[u8]) -> (u16, String) {
    upload(end, &body(&[(JSON, json_part(site, id).as_bytes()), (FILE, bytes)]))
}

fn download_with(end: &CentralEnd, site: &str, id: &str, headers: &[(&str, &str)]) -> HttpResponse {
    let body = format!(
        r#"{{"tableName":"asset","recordId":"x","id":"{id}","syncV5Settings":{},"syncV6Version":5}}"#,
        credentials(site)
    );
    let json = [("content-type", "application/json")];
    let headers = json.iter().chain(headers).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let url = "/central/sync/download_file".to_owned();
    end.central.handle(&HttpRequest { method: Method::Post, url, headers, body: body.into_bytes() })
}

fn stored(end: &CentralEnd, id: &str) -> Option<Vec<u8>> {
    end.files().path(&RecordId::from(id)).expect("a folder").map(|path| std::fs::read(path).expect("a file"))
}

/// Nothing that is not whole, and nothing unfinished.
fn unfinished(end: &CentralEnd) -> usize {
    std::fs::read_dir(end.files().store().folder().join("unfinished")).map_or(0, Iterator::count)
}

/// A central with the sites `a` and `b`, an asset of `a`, and a reference to a file of it.
fn world() -> CentralEnd {
    let end = CentralEnd::new();
    for site in ["a", "b"] {
        end.add_site(site);
    }
    end.records.put("asset", [asset("x", "STORE_a", "")]).expect("an asset");
    reference(&end.records, "f", "n.txt", r#","total_bytes":26"#);
    end
}

const DONE: (u16, &str) = (200, r#"{"data":null}"#);
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

fn said(answer: &(u16, String)) -> (u16, &str) {
    (answer.0, &answer.1)
}

#[test]
fn an_upload_cut_at_any_byte_leaves_nothing() {
    let end = world();
    let whole = body(&[(JSON, json_part("a", "f").as_bytes()), (FILE, ALPHABET)]);
    for cut in 0..whole.len() - 4 {
        let answer = upload(&end, &whole[..cut]);
        assert_eq!(said(&answer), (400, "Payload error"), "{cut}");
        assert_eq!((stored(&end, "f"), unfinished(&end)), (None, 0), "{cut}");
    }
    assert_eq!(said(&upload(&end, &whole)), DONE);
    assert_eq!(stored(&end, "f").as_deref(), Some(ALPHABET));
}

/// The parts come in any order, with others between; missing or wrong ones get Open mSupply's answers.
#[test]
fn parts_in_any_order_and_parts_that_are_missing() {
    let end = world();
    let json = json_part("a", "f");
    let (json, other) = ((JSON, json.as_bytes()), ("Content-Disposition: form-data; name=\"x\"", b"y".as_slice()));
    let no_name = ("Content-Disposition: form-data; name=\"file_part\"", ALPHABET);
    let no_type = ("Content-Disposition: form-data; name=\"json_part\"", json.1);
    for (parts, answer) in [
        (vec![json], (400, "Required field is missing: file_part")),
        (vec![(FILE, ALPHABET)], (400, "Required field is missing: json_part")),
        (vec![other], (400, "Required field is missing: json_part")),
        (vec![no_type, (FILE, ALPHABET)], (400, "An error occurred processing field: json_part")),
        (vec![(JSON, b"{}"), (FILE, ALPHABET)], (400, "An error occurred processing field: json_part")),
        (vec![json, no_name], (200, r#"{"error":{"otherServerError":"Filename not provided"}}"#)),
    ] {
        assert_eq!(said(&upload(&end, &body(&parts))), answer);
        assert_eq!((stored(&end, "f"), unfinished(&end)), (None, 0));
    }
    let backwards = body(&[other, (FILE, ALPHABET), json, (FILE, b"a second one is passed over")]);
    assert_eq!(said(&upload(&end, &backwards)), DONE);
    assert_eq!(stored(&end, "f").as_deref(), Some(ALPHABET));
    let answer = end.central.upload_file(Some("application/json"), &mut b"{}".as_slice(), None).response;
    assert_eq!((answer.status, answer.body.as_slice()), (415, b"ContentTypeIncompatible".as_slice()));
    assert_eq!(end.central.upload_file(None, &mut b"".as_slice(), None).response.status, 415);
}

#[test]
fn who_may_bring_and_fetch_what() {
    let end = world();
    let unknown = upload_as(&end, "a", "unknown-file", b"x");
    assert_eq!(said(&unknown), (200, r#"{"error":{"syncFileNotFound":"unknown-file"}}"#));
    assert_eq!(said(&upload_as(&end, "b", "f", ALPHABET)), (200, r#"{"error":{"syncFileNotFound":"f"}}"#));
    assert!(upload_as(&end, "nobody", "f", ALPHABET).1.contains("SiteNameNotFound"));
    let old = json_part("a", "f").replace(r#""sync_v6_version":5"#, r#""sync_v6_version":99"#);
    let answer = upload(&end, &body(&[(JSON, old.as_bytes()), (FILE, ALPHABET)]));
    assert_eq!(said(&answer), (200, r#"{"error":{"syncVersionMismatch":[0,5,99]}}"#));
    assert_eq!((stored(&end, "f"), unfinished(&end)), (None, 0));
    assert_eq!(said(&upload_as(&end, "a", "f", ALPHABET)), DONE);

    let not_found = "{\n  \"otherServerError\": \"File not found\"\n}";
    for (site, id) in [("b", "f"), ("a", "unknown-file"), ("a", "../../x")] {
        let response = download_with(&end, site, id, &[]);
        assert_eq!((response.status, std::str::from_utf8(&response.body)), (500, Ok(not_found)), "{site} {id}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(download_with(&end, "a", "f", &[]).body, ALPHABET);
    end.records.delete("sync_file_reference", "f").unwrap();
    assert_eq!(said(&upload_as(&end, "a", "f", b"")), DONE, "whoever brings what was deleted is let go on");
    assert_eq!(stored(&end, "f").as_deref(), Some(ALPHABET), "and nothing of it is kept");
}

#[test]
fn what_is_not_the_announced_file_is_not_kept() {
    let end = world();
    let hash = "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73";
    reference(&end.records, "h", "n.txt", &format!(r#","total_bytes":26,"sha256":"{hash}""#));
    let longer = [ALPHABET, b"!"].concat();
    let mut other = ALPHABET.to_vec();
    other[0] = b'A';
    for (id, bytes, words) in [
        ("f", longer.as_slice(), "longer"),
        ("f", &ALPHABET[1..], "shorter"),
        ("f", b"", "shorter"),
        ("h", &other, "hash"),
    ] {
        let (status, answer) = upload_as(&end, "a", id, bytes);
        assert!(status == 200 && answer.contains("otherServerError") && answer.contains(words), "{answer}");
        assert_eq!((stored(&end, id), unfinished(&end)), (None, 0), "{words}");
    }
    assert_eq!(said(&upload_as(&end, "a", "h", ALPHABET)), DONE);
    assert_eq!(said(&upload_as(&end, "a", "f", ALPHABET)), DONE);
    assert!(upload_as(&end, "a", "f", &other).1.contains("another one came"), "the first stays");
    assert_eq!(stored(&end, "f").as_deref(), Some(ALPHABET));
    // Damaged on central's disk: the right one heals it.
    std::fs::write(end.files().store().path(&"h".into()), b"damaged").unwrap();
    assert_eq!(said(&upload_as(&end, "a", "h", ALPHABET)), DONE);
    assert_eq!(stored(&end, "h").as_deref(), Some(ALPHABET));
}

/// Guesses of passwords are counted here as at every other request, by site and address.
#[test]
fn refused_attempts_count_for_files_too() {
    let end = world();
    let wrong = |text: &str| text.replace(PasswordHash::of_password(PASSWORD).expose(), &"0".repeat(64));
    let part = body(&[(JSON, wrong(&json_part("a", "f")).as_bytes()), (FILE, ALPHABET)]);
    let question = wrong(&format!(
        r#"{{"tableName":"asset","recordId":"x","id":"f","syncV5Settings":{},"syncV6Version":5}}"#,
        credentials("a")
    ));
    let here = Some(std::net::IpAddr::from([203, 0, 113, 9]));
    let bring = |body: &[u8], from| {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let answered = end.central.upload_file(Some(&content_type), &mut &*body, from);
        assert_eq!((answered.endpoint, answered.response.status), (Endpoint::UploadFile, 200));
        (answered.error, String::from_utf8(answered.response.body).expect("UTF-8"))
    };
    let fetch = || {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let url = "/central/sync/download_file".to_owned();
        let body = question.clone().into_bytes();
        let answered = end.central.download_file(&HttpRequest { method: Method::Post, url, headers, body }, here);
        assert_eq!((answered.endpoint, answered.response.status), (Endpoint::DownloadFile, 500));
        assert_eq!((answered.site, answered.error), (None, Some("other_server_error")));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut { answered.response.body }, &mut text).expect("text");
        text
    };
    for _ in 0..5 {
        let (error, text) = bring(&part, here);
        assert!(error.is_some() && !text.contains("Too many"), "{text}");
        assert!(!fetch().contains("Too many"));
    }
    assert!(bring(&part, here).1.contains("Too many refused attempts"));
    assert!(fetch().contains("Too many refused attempts"));
    let right = body(&[(JSON, json_part("a", "f").as_bytes()), (FILE, ALPHABET)]);
    assert!(bring(&right, here).1.contains("Too many refused attempts"), "nobody is asked any more");
    let elsewhere = Some(std::net::IpAddr::from([203, 0, 113, 10]));
    assert_eq!(bring(&right, elsewhere), (None, DONE.1.to_owned()));
    assert_eq!(unfinished(&end), 0);
}

#[test]
fn the_same_file_at_once_from_many_is_kept_once() {
    let end = world();
    let bytes = content(300_000);
    reference(&end.records, "g", "n.txt", r#","total_bytes":300000"#);
    assert_eq!(said(&upload_as(&end, "a", "f", ALPHABET)), DONE, "the site is known by its machine");
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                assert_eq!(said(&upload_as(&end, "a", "g", &bytes)), DONE);
            });
        }
    });
    assert_eq!((stored(&end, "g"), unfinished(&end)), (Some(bytes), 0));
}

#[test]
fn an_upload_above_the_limit_is_refused_whatever_its_order() {
    let end = world();
    let mut config = CentralConfig::default();
    config.upload_bytes_max = 5000;
    let central = end.restarted();
    let central = std::sync::Arc::into_inner(central).expect("nobody else has it").with_config(config);
    reference(&end.records, "g", "n.txt", "");
    let json = json_part("a", "g");
    let (json, large) = ((JSON, json.as_bytes()), content(4990));
    for parts in [[json, (FILE, &large)], [(FILE, &large), json]] {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let response = central.upload_file(Some(&content_type), &mut body(&parts).as_slice(), None).response;
        assert_eq!((response.status, response.body.as_slice()), (400, b"Payload error".as_slice()));
        assert_eq!((stored(&end, "g"), unfinished(&end)), (None, 0));
    }
}

#[test]
fn parts_of_a_file_and_conditions() {
    let end = world();
    upload_as(&end, "a", "f", ALPHABET);
    let get = |headers: &[(&str, &str)]| download_with(&end, "a", "f", headers);
    let whole = get(&[]);
    let etag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    assert_eq!(whole.header("content-disposition"), Some("inline; filename=\"n.txt\""));
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(whole.header("last-modified").is_some_and(|date| date.ends_with(" GMT") && date.len() == 29));
    let part = get(&[("range", "bytes=10-"), ("if-match", &etag)]);
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 10-25/26")));
    assert_eq!((part.body.as_slice(), part.header("etag")), (&ALPHABET[10..], Some(etag.as_str())));
    let beyond = get(&[("range", "bytes=26-"), ("if-match", &etag)]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */26")));
    assert_eq!(get(&[("range", "bytes=10-"), ("if-match", "\"other\"")]).status, 412);
    assert_eq!(get(&[("if-none-match", &etag)]).status, 304);
    let json = data(r#"{"not":"the message"}"#);
    let request = HttpRequest {
        method: Method::Post,
        url: "/central/sync/download_file".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: json.as_str().as_bytes().to_vec(),
    };
    assert_eq!(end.central.handle(&request).status, 400);
}
