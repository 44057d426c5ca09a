//! Clients that send too much, too slowly, or nothing: they are stopped, and everybody else is served.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::administrator::figure;
use crate::central;
use crate::client::{PULL, PUSH, Reply, ask, connect, get, head, pull, push};

const JSON: (&str, &str) = ("content-type", "application/json");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Waits until the server closes; returns its earlier answer, if any.
fn closed(stream: &mut TcpStream) -> Option<Reply> {
    let reply = Reply::read(stream);
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    reply
}

#[test]
fn bodies_beyond_the_limit_are_refused_and_gzip_goes_both_ways() {
    let (_desk, server) = central(&[]);
    let large = push("x", "STORE", 11 * 1024 * 1024);
    let refused = ask(&server.address, "POST", PUSH, &[], large.as_bytes());
    assert_eq!(refused.status, 413);
    let said = format!("JSON payload ({} bytes) is larger than allowed (limit: 10485760 bytes).", large.len());
    assert_eq!(refused.text(), said);

    let gzipped = [("content-encoding", "gzip")];
    let bomb = gzip(&vec![b' '; 100 * 1024 * 1024]);
    assert!(bomb.len() < 200_000, "it is small on its way");
    let refused = ask(&server.address, "POST", PUSH, &gzipped, &bomb);
    assert_eq!((refused.status, refused.text().as_str()), (413, "JSON payload has exceeded limit (10485760 bytes)."));

    let most = push("x", "STORE", 9_000_000);
    let taken = ask(&server.address, "POST", PUSH, &gzipped, &gzip(most.as_bytes()));
    assert_eq!(taken.json()["data"]["records_pushed"], 1);

    let headers = [("content-encoding", "gzip"), ("accept-encoding", "gzip")];
    while get(&server.address, "/metrics").text().contains("\noms_sync_integration_waiting_sites 1\n") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let zipped = ask(&server.address, "POST", PULL, &headers, &gzip(pull().as_bytes()));
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice()).read_to_string(&mut text).expect("gzip");
    assert!(text.starts_with(r#"{"data":{"#), "{text}");
    server.stop().ends(0);
}

#[test]
fn of_a_stranger_only_the_credentials_are_read() {
    let (_desk, server) = central(&[]);
    let stranger = push("x", "STORE", 1).replace("\"clinic\"", "\"nobody\"");
    let tiny = format!("[{}{{}}]", "{\"\":0},".repeat(1_250_000));
    for place in ["\"end_cursor\":1", "\"syncV6Version\":5"] {
        for key in ["lost_history", "pushChain", "looksOnly", "x"] {
            let body = gzip(stranger.replace(place, &format!("{place},\"{key}\":{tiny}")).as_bytes());
            let reply = ask(&server.address, "POST", PUSH, &[("content-encoding", "gzip")], &body);
            assert!(reply.text().contains("SiteNameNotFound"), "{key}: {reply:?}");
        }
    }
    std::thread::sleep(Duration::from_millis(2100));
    let memory = figure(&get(&server.address, "/metrics").text(), "process_resident_memory_bytes") / 1e6;
    assert!(memory < 150.0, "{memory} MB");
    server.stop().ends(0);
}

#[test]
fn a_chunked_body_that_never_ends_is_cut() {
    let (_desk, server) = central(&[]);
    let mut stream = connect(&server.address);
    stream.write_all(head("POST", PUSH, &[JSON, CHUNKED]).as_bytes()).expect("sent");
    let mut chunk = format!("{:x}\r\n", 1024 * 1024).into_bytes();
    chunk.extend(vec![b' '; 1024 * 1024]);
    chunk.extend(b"\r\n");
    // A part of it is read and dropped so that the sender reads the answer, up to a limit.
    let sent = (0..1000).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 100, "{sent} MiB were taken");
    if let Some(reply) = Reply::read(&mut stream) {
        assert_eq!(reply.status, 413);
    }
    assert_eq!(get(&server.address, "/health").status, 200);
}

#[test]
fn slow_clients_are_cut_off_at_the_head_at_the_body_and_between_requests() {
    let (_desk, server) = central(&["--patience", "3s"]);
    let mut idle = connect(&server.address);
    idle.write_all(head("GET", "/health", &[]).as_bytes()).expect("sent");
    assert_eq!(Reply::read(&mut idle).expect("an answer").status, 200);
    let mut slow_head = connect(&server.address);
    slow_head.write_all(b"POST /central/sync/push HTTP/1.1\r\nhost: loc").expect("sent");
    let mut slow_body = connect(&server.address);
    slow_body.write_all(head("POST", PUSH, &[JSON, ("content-length", "1000")]).as_bytes()).expect("sent");
    slow_body.write_all(b"{\"batch\":").expect("sent");
    let mut slow_chunk = connect(&server.address);
    slow_chunk.write_all(head("POST", PUSH, &[JSON, CHUNKED]).as_bytes()).expect("sent");
    slow_chunk.write_all(b"9\r\n{\"batch\":").expect("sent");

    assert!(closed(&mut idle).is_none(), "a connection that is kept open is not kept for ever");
    assert!(closed(&mut slow_head).is_none_or(|reply| reply.status == 408));
    for stream in [&mut slow_body, &mut slow_chunk] {
        assert_eq!(closed(stream).expect("an answer").status, 408);
    }
    let answer = ask(&server.address, "POST", PULL, &[], pull().as_bytes());
    assert!(answer.json()["data"]["records"].is_array(), "{answer:?}");
    server.stop().ends(0);
}

#[test]
fn five_hundred_connections_that_say_nothing_keep_nobody_waiting() {
    let (_desk, server) = central(&["--patience", "3s"]);
    let mut silent: Vec<TcpStream> = (0..500).map(|_| connect(&server.address)).collect();
    for _ in 0..20 {
        let answer = ask(&server.address, "POST", PULL, &[], pull().as_bytes());
        assert!(answer.json()["data"]["records"].is_array(), "{answer:?}");
    }
    for stream in &mut silent {
        assert!(closed(stream).is_none(), "it is closed without a word");
    }
    server.stop().ends(0);
}

#[test]
fn connections_beyond_the_bound_wait_and_are_served() {
    let (_desk, server) = central(&["--patience", "3s", "--max-connections", "4"]);
    let silent: Vec<TcpStream> = (0..12).map(|_| connect(&server.address)).collect();
    let answer = get(&server.address, "/metrics");
    let text = answer.text();
    let open = text.lines().find_map(|line| line.strip_prefix("oms_sync_connections ")).expect("the figure");
    assert!(open.parse::<u32>().expect("a number") <= 4, "{open}");
    assert_eq!(answer.header("connection"), Some("close"), "where they run out none is kept");
    drop(silent);
    server.stop().ends(0);
}

#[test]
fn requests_that_are_no_http_end_their_connection_only() {
    let (_desk, server) = central(&[]);
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(200_000));
    let many = "GET / HTTP/1.1\r\n".to_owned() + &"x: y\r\n".repeat(10_000);
    for bytes in ["\u{16}\u{3}\u{1}", "SSH-2.0-x\r\n", "GET\r\n\r\n", "\0\0\0\0\r\n\r\n", &endless, &many] {
        let mut stream = connect(&server.address);
        let _ = stream.write_all(bytes.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let reply = closed(&mut stream);
        assert!(reply.as_ref().is_none_or(|reply| (400..500).contains(&reply.status)), "{reply:?}");
    }
    assert_eq!(get(&server.address, "/health").status, 200);
    server.stop().ends(0);
}
