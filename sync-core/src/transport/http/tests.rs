//! Exchanges over real sockets: broken off wherever they are, limited by the last byte that moved, and through proxies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, SystemClock};

/// A server that does this with each connection.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads the head of a request; its first line and the others.
fn read_head(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn hang(_: &TcpStream) {
    thread::sleep(Duration::from_secs(60));
}

fn seconds(count: u64) -> Timeouts {
    let limit = Duration::from_secs(count);
    Timeouts { connect: limit, send: limit, response: limit, receive: limit }
}

fn environment(variables: &[(&str, String)]) -> Proxies {
    let value = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
    Proxies::of(value)
}

fn with_proxies(timeouts: &Timeouts, proxies: Proxies) -> HttpTransport {
    HttpTransport::with_options(&HttpOptions { proxies, ..HttpOptions::default().timeouts(timeouts.clone()) })
}

fn transport(timeouts: &Timeouts) -> HttpTransport {
    with_proxies(timeouts, environment(&[]))
}

fn request(method: Method, url: String, body: Vec<u8>) -> HttpRequest {
    HttpRequest { method, url, headers: Vec::new(), body }
}

fn get(address: SocketAddr) -> HttpRequest {
    request(Method::Get, format!("http://{address}/x"), Vec::new())
}

/// Asks for the end a moment after the beginning; the exchange must have ended soon after.
#[track_caller]
fn assert_stops(what: &str, transport: &HttpTransport, request: &HttpRequest) {
    let stop = Stop::new();
    let asking = stop.clone();
    let clock = SystemClock::new();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        asking.ask();
    });
    let stoppable = transport.stoppable(&stop).unwrap();
    let outcome = stoppable.send(request);
    assert!(matches!(outcome, Err(TransportError::Stopped)), "{what}: {outcome:?}");
    let took = clock.monotonic();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(2), "{what}: {took:?}");
}

#[test]
fn an_exchange_is_broken_off_wherever_it_is() {
    let patient = transport(&seconds(60));
    let silent = server(|stream| hang(&stream));
    assert_stops("while the answer is awaited", &patient, &get(silent));
    let url = format!("https://{silent}/");
    assert_stops("in the middle of TLS", &patient, &request(Method::Get, url, Vec::new()));
    let large = request(Method::Post, format!("http://{silent}/"), vec![0; 64 * 1024 * 1024]);
    assert_stops("while a body is sent that nobody reads", &patient, &large);
    for beginning in ["HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let begins = server(move |mut stream| {
            read_head(&stream);
            let _ = stream.write_all(beginning.as_bytes());
            hang(&stream);
        });
        assert_stops("in the answer", &patient, &get(begins));
    }
    // An endless answer is broken off too.
    let drips = server(|mut stream| {
        read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n");
        while stream.write_all(b"....................").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_stops("in an answer without an end", &patient, &get(drips));
    // The queue of a listener that takes nobody is full: a connection is begun and never made.
    let full = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = full.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        held.push(stream);
        if held.len() > 8192 {
            return; // This system queues without an end.
        }
    }
    assert_stops("while it connects", &patient, &get(address));
    let proxies = environment(&[("https_proxy", format!("http://{silent}"))]);
    let tunnel = with_proxies(&seconds(60), proxies);
    let url = "https://oms.example.org/".to_owned();
    assert_stops("while a proxy is awaited", &tunnel, &request(Method::Get, url, Vec::new()));
}

#[test]
fn a_streamed_body_is_broken_off_while_it_is_read() {
    let begins = server(|mut stream| {
        read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        hang(&stream);
    });
    let (transport, stop) = (transport(&seconds(60)), Stop::new());
    let response = transport.stoppable(&stop).unwrap().stream(&get(begins), None).unwrap();
    let asking = stop.clone();
    let reading = thread::spawn(move || {
        let mut body = response.body;
        body.read_to_end(&mut Vec::new()).map_err(TransportError::of_body)
    });
    thread::sleep(Duration::from_millis(300));
    asking.ask();
    let clock = SystemClock::new();
    assert!(matches!(reading.join().unwrap(), Err(TransportError::Stopped)));
    assert!(clock.monotonic() < Duration::from_secs(2));
}

#[test]
fn limits_count_from_the_last_byte() {
    // In all longer than the limit, and never still for so long.
    let slow = server(|mut stream| {
        read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n");
        for _ in 0..30 {
            let _ = stream.write_all(&[b'x'; 100]);
            thread::sleep(Duration::from_millis(100));
        }
    });
    let impatient = transport(&seconds(2));
    assert_eq!(impatient.send(&get(slow)).unwrap().body.len(), 3000);
    let still = server(|mut stream| {
        read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\nxxx");
        hang(&stream);
    });
    let clock = SystemClock::new();
    let outcome = impatient.send(&get(still));
    assert!(matches!(outcome, Err(TransportError::TimedOut(_))), "{outcome:?}");
    let outcome = impatient.send(&request(Method::Post, get(server(|s| hang(&s))).url, vec![0; 64 * 1024 * 1024]));
    assert!(matches!(outcome, Err(TransportError::TimedOut(_))), "{outcome:?}");
    assert!(clock.monotonic() < Duration::from_secs(20));
}

/// A proxy that answers every request with this, and tells the head of each.
fn proxy(answer: &'static str) -> (SocketAddr, Receiver<Vec<String>>) {
    let (told, heads) = channel();
    let told = std::sync::Mutex::new(told);
    let address = server(move |mut stream| {
        let head = read_head(&stream);
        let _ = told.lock().unwrap().send(head);
        let _ = stream.write_all(answer.as_bytes());
    });
    (address, heads)
}

const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn plain_http_goes_to_its_proxy_with_the_whole_address() {
    let (at, heads) = proxy(WELL);
    let named = environment(&[("http_proxy", format!("http://me:secret@{at}")), ("no_proxy", "127.0.0.2".to_owned())]);
    let transport = with_proxies(&seconds(10), named);
    // A name that only the proxy could know.
    let url = "http://oms.example.org:8000/central/sync/pull?x=1".to_owned();
    let response = transport.send(&request(Method::Post, url.clone(), b"{}".to_vec())).unwrap();
    assert_eq!(response.body, b"ok");
    let head = heads.recv().unwrap();
    assert_eq!(head[0], "POST http://oms.example.org:8000/central/sync/pull?x=1 HTTP/1.1");
    assert!(head.contains(&"proxy-authorization: Basic bWU6c2VjcmV0".to_owned()), "{head:?}");
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("host: oms.example.org:8000")), "{head:?}");
    assert!(matches!(transport.reach(&url), Some(Reach::ThroughProxy(name)) if name.ends_with("(http_proxy)")));
    // An https:// address has no proxy here.
    let (elsewhere, seen) = proxy(WELL);
    let _ = transport.send(&request(Method::Get, format!("https://{elsewhere}/"), Vec::new()));
    assert!(heads.try_recv().is_err() && seen.recv().is_ok());
}

#[test]
fn a_proxy_that_wants_a_password_is_named() {
    let (at, _) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let named = environment(&[("HTTP_PROXY", at.to_string())]);
    let transport = with_proxies(&seconds(10), named);
    match transport.send(&request(Method::Get, "http://oms.example.org/x".to_owned(), Vec::new())) {
        Err(TransportError::ProxyRefused { proxy, status: 407 }) => assert_eq!(proxy, format!("{at} (HTTP_PROXY)")),
        other => panic!("{other:?}"),
    }
}

/// What a proxy says in the place of a server that it does not reach looks like the server's own trouble.
#[test]
fn an_answer_that_may_be_a_proxys_names_it() {
    for status in ["403 Forbidden", "502 Bad Gateway", "504 Gateway Timeout"] {
        let answer = format!("HTTP/1.1 {status}\r\nx-answered-by-proxy: forged\r\ncontent-length: 0\r\n\r\n");
        let (at, _) = proxy(Box::leak(answer.into_boxed_str()));
        let asked = request(Method::Get, "http://oms.example.org/x".to_owned(), Vec::new());
        let named = environment(&[("http_proxy", format!("http://me:secret@{at}"))]);
        let response = with_proxies(&seconds(10), named).send(&asked).unwrap();
        let by: Vec<_> = response.headers.iter().filter(|(name, _)| name == ANSWERED_BY_PROXY).collect();
        assert_eq!(by.len(), 1, "{by:?}");
        assert!(by[0].1.contains(&at.to_string()) && !by[0].1.contains("secret"), "{by:?}");
        let direct = transport(&seconds(10)).send(&get(at)).unwrap();
        assert_eq!(direct.header(ANSWERED_BY_PROXY), None, "nobody claims to be one");
    }
}

#[test]
fn https_asks_its_proxy_for_a_tunnel_and_refusals_are_the_proxys() {
    for (answer, status) in [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Some(403)),
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", Some(407)),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", None),
    ] {
        let (at, heads) = proxy(answer);
        let transport = with_proxies(&seconds(10), environment(&[("https_proxy", format!("me:secret@{at}"))]));
        let outcome = transport.send(&request(Method::Get, "https://oms.example.org/x".to_owned(), Vec::new()));
        assert_eq!(heads.recv().unwrap()[0], "CONNECT oms.example.org:443 HTTP/1.1");
        let error = outcome.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("secret") && said.contains(&at.to_string()), "{said}");
        match (error, status) {
            (TransportError::ProxyRefused { proxy, status }, Some(expected)) => {
                assert_eq!((status, proxy), (expected, format!("{at} (https_proxy)")));
            }
            (TransportError::Unreachable(cause), None) => assert!(cause.is::<ThroughProxy>(), "{cause:?}"),
            (error, _) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_proxy_of_another_kind_is_refused_and_nobody_is_asked_past_it() {
    let (at, heads) = proxy(WELL);
    let named = environment(&[("all_proxy", "socks5://me:secret@127.0.0.1:1080".to_owned())]);
    let error = with_proxies(&seconds(10), named).send(&get(at)).unwrap_err();
    assert!(matches!(error, TransportError::ProxyUnusable { variable: "all_proxy", .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret") && heads.try_recv().is_err());
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The result of a body that is sent with this coding, with a head that announces so many bytes more than come.
fn received(coding: &'static str, body: Vec<u8>, missing: usize) -> Result<HttpResponse, TransportError> {
    received_with("200 OK", coding, body, missing)
}

fn received_with(
    status: &'static str,
    coding: &'static str,
    body: Vec<u8>,
    missing: usize,
) -> Result<HttpResponse, TransportError> {
    let address = server(move |mut stream| {
        read_head(&stream);
        let length = body.len() + missing;
        let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    });
    transport(&seconds(10)).send(&get(address))
}

/// The limit is of the decoded bytes: a small packed body may be a large answer.
#[test]
fn an_answer_above_the_limit_of_a_host_is_not_held_in_memory() {
    let body = vec![b' '; 100_000];
    for (coding, sent) in [("identity", body.clone()), ("gzip", gzip(&body))] {
        let address = server(move |mut stream| {
            read_head(&stream);
            let length = sent.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &sent].concat());
        });
        let with_limit = |bytes| {
            let options = HttpOptions { proxies: environment(&[]), ..HttpOptions::default().timeouts(seconds(10)) };
            HttpTransport::with_options(&options.answer_max(bytes))
        };
        let refused = with_limit(99_999).send(&get(address));
        assert!(matches!(refused, Err(TransportError::TooLarge(99_999))), "{coding}: {refused:?}");
        assert_eq!(with_limit(100_000).send(&get(address)).unwrap().body.len(), 100_000, "{coding}");
        // The body of a file is read as it comes, and is not held.
        let mut file = with_limit(99_999).stream(&get(address), None).unwrap();
        let mut read = Vec::new();
        file.body.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), 100_000, "{coding}");
    }
}

#[test]
fn packed_bodies_are_unpacked_and_damage_is_told_from_a_cut() {
    let packed = gzip(b"{\"data\":null}");
    for coding in ["gzip", "GZIP", "x-gzip", "Gzip, identity"] {
        let response = received(coding, packed.clone(), 0).unwrap();
        assert_eq!(response.body, b"{\"data\":null}", "{coding}");
        assert!(response.header("content-encoding").is_none() && response.header("content-length").is_none());
    }
    assert_eq!(received("gzip", Vec::new(), 0).unwrap().body, b"", "nothing is packed in nothing");
    for behind in [b"\n".to_vec(), b"1234567".to_vec(), vec![b' '; 16], vec![0; 512]] {
        let body = received("gzip", [packed.clone(), behind].concat(), 0).unwrap().body;
        assert_eq!(body, b"{\"data\":null}", "what follows a whole member means nothing");
    }
    let members = [gzip(b"{\"data\":"), gzip(b"null}")].concat();
    assert_eq!(received("gzip", members, 0).unwrap().body, b"{\"data\":null}");
    let damaged: Vec<u8> = packed.iter().rev().copied().collect();
    // Shorter than the head of gzip, too.
    let short = [&b"{}"[..], b"null", b"x", &[0x1f, b'x']].map(|body| ("gzip", body.to_vec()));
    let long = [("gzip", b"{\"data\":null}".to_vec()), ("gzip", damaged), ("br", packed.clone())];
    for (coding, body) in short.into_iter().chain(long) {
        let outcome = received(coding, body, 0);
        assert!(matches!(outcome, Err(TransportError::Undecodable(_))), "{coding}: {outcome:?}");
    }
    for (coding, body) in [("gzip", b"<html>not packed</html>".to_vec()), ("br", packed.clone())] {
        let page = received_with("502 Bad Gateway", coding, body, 0).unwrap();
        assert_eq!((page.status, page.body.as_slice()), (502, &b""[..]), "{coding}: the status says enough");
    }
    for keep in [0, 5, packed.len() - 6] {
        let outcome = received("gzip", packed[..keep].to_vec(), packed.len() - keep);
        assert!(matches!(outcome, Err(TransportError::CutOff(_))), "{keep}: {outcome:?}");
    }
    // A proxy that got only a part announces no more than that.
    for keep in [5, packed.len() - 6] {
        let outcome = received("gzip", packed[..keep].to_vec(), 0);
        assert!(matches!(outcome, Err(TransportError::CutOff(_))), "{keep} of {keep}: {outcome:?}");
    }
}

/// The proxy of a host counts instead of those of the environment, and a host may do without any.
#[test]
fn a_host_chooses_its_proxy() {
    let seen = |url: &str, options: HttpOptions| {
        let transport = HttpTransport::with_options(&options);
        transport.proxies.to(url).map(|proxy| proxy.map(Proxy::shown))
    };
    let of_environment =
        HttpOptions { proxies: environment(&[("http_proxy", "elsewhere".into())]), ..Default::default() };
    let chosen = of_environment.clone().proxy("http://me:secret@proxy.example:3128");
    for url in ["http://central.example", "https://central.example"] {
        assert_eq!(seen(url, chosen.clone()).unwrap().as_deref(), Some("proxy.example:3128 (HttpOptions::proxy)"));
        assert_eq!(seen(url, of_environment.clone().no_proxy()).unwrap(), None);
    }
    let unusable = seen("http://central.example", of_environment.proxy("socks5://proxy.example")).unwrap_err();
    assert!(matches!(unusable, TransportError::ProxyUnusable { variable: "HttpOptions::proxy", .. }), "{unusable:?}");
}
