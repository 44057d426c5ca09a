//! The health check of a server with TLS.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use oms_sync_server::{Pem, Server, ServerOptions, Tls, listen};
use sync_core::Replica;
use sync_core::storage::MemoryStorage;

/// TLS with a certificate that ends on the second day of a year.
fn tls(year: i32) -> Tls {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 2);
    let key = rcgen::KeyPair::generate().unwrap();
    let (chain, secret) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let pem = |text| Pem { path: Path::new("test.pem"), text };
    Tls::from_pem(pem(&chain), pem(&secret)).unwrap()
}

fn health(at: SocketAddr) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_certificate_that_ended_while_the_server_runs_fails_the_health_check() {
    let local = || listen(([127, 0, 0, 1], 0).into()).unwrap();
    let replica = Replica::builder().with_storage(Arc::new(MemoryStorage::new()));
    replica.site_registry().unwrap();
    let used = tls(2900);
    let options = ServerOptions { tls: Some(used.clone()), admin: Some(local()), ..ServerOptions::default() };
    let server = Server::start(Arc::new(replica.stand_alone_central()), local(), options).unwrap();
    let at = server.admin_address().unwrap();
    let well = health(at);
    assert!(well.starts_with("HTTP/1.1 200 ") && well.contains(r#""certificate":"ok""#), "{well}");
    used.replace(&tls(2025));
    let ended = health(at);
    assert!(ended.starts_with("HTTP/1.1 503 "), "{ended}");
    assert!(ended.contains(r#""ok":false"#) && ended.contains(r#""certificate":"ended""#), "{ended}");
    server.stop();
}
