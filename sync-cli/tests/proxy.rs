//! Proxies from the environment: used by scheme, named in errors, and refused if unusable.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use self::support::{Desk, HARDWARE_ID, IN_ADDRESS};

#[test]
fn a_proxy_is_named_where_it_fails_and_its_password_nowhere() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    // A port that was free a moment ago.
    let closed = TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("an address");
    let dead = format!("http://me:{IN_ADDRESS}@{closed}");
    let named = format!("{closed} (http_proxy)");
    for args in [&["sync", "--max-time", "1s", "-v"][..], &["doctor", "-v"]] {
        let said = desk.run_with(&[("http_proxy", &dead)], args);
        assert!(
            said.status != Some(0) && format!("{}{}", said.out, said.err).contains(&closed.to_string()),
            "{said:?}"
        );
    }
    let said = desk.run_with(&[("http_proxy", &dead)], &["discover", "--json"]);
    assert!(said.error().0 == "unreachable" && said.out.contains(&named), "{said:?}");
    for (status, code) in [
        ("403 Forbidden", "not_an_msupply_server"),
        ("502 Bad Gateway", "server_trouble"),
        ("504 Gateway Timeout", "server_trouble"),
    ] {
        let living = proxy_that_says(status);
        let said =
            desk.run_with(&[("http_proxy", &format!("http://me:{IN_ADDRESS}@{living}"))], &["discover", "--json"]);
        let named = said.out.contains(&format!("{living} (http_proxy)"));
        assert!(said.error().0 == code && named, "{status}: {said:?}");
    }
    // For another scheme, or for other servers: it has no effect.
    for environment in
        [[("https_proxy", dead.as_str()), ("no_proxy", "")], [("http_proxy", &dead), ("NO_PROXY", "127.0.0.0/8")]]
    {
        desk.run_with(&environment, &["sync"]).ends(0);
    }
    let socks = format!("socks5://me:{IN_ADDRESS}@127.0.0.1:1080");
    let said = desk.run_with(&[("ALL_PROXY", &socks)], &["sync", "--json"]).ends(3);
    assert!(said.out.contains("proxy_unusable") && said.out.contains("ALL_PROXY"), "{said:?}");
    let said = desk.run_with(&[("ALL_PROXY", &socks)], &["doctor"]).ends(3);
    assert!(said.out.contains("ALL_PROXY"), "{said:?}");
    server.stop().ends(0);
}

/// A proxy that reaches nobody, and answers each request itself.
fn proxy_that_says(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let _ = head.count();
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}
