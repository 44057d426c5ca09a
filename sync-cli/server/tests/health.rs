//! The health check of a server with TLS.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oms_sync_server::{Pem, Server, ServerOptions, Tls, listen};
use sync_core::Replica;
use sync_core::storage::MemoryStorage;

/// TLS with a certificate that ends on the second day of a year.
fn tls(year: i32) -> Tls {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 2);
    tls_of(&params)
}

fn tls_of(params: &rcgen::CertificateParams) -> Tls {
    let key = rcgen::KeyPair::generate().unwrap();
    let (chain, secret) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let pem = |text| Pem { path: Path::new("test.pem"), text };
    Tls::from_pem(pem(&chain), pem(&secret)).unwrap()
}

fn health(at: SocketAddr) -> String {
    answer(at, "/health")
}

fn answer(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
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

#[test]
fn in_its_last_days_a_certificate_whose_renewal_cannot_be_used_shows_both() {
    let local = || listen(([127, 0, 0, 1], 0).into()).unwrap();
    let replica = Replica::builder().with_storage(Arc::new(MemoryStorage::new()));
    replica.site_registry().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + Duration::from_secs(5 * 24 * 3600)).into();
    let used = tls_of(&params);
    let options = ServerOptions { tls: Some(used.clone()), admin: Some(local()), ..ServerOptions::default() };
    let server = Server::start(Arc::new(replica.stand_alone_central()), local(), options).unwrap();
    let at = server.admin_address().unwrap();
    let states = || {
        let health = health(at);
        (health.contains(r#""certificate":"ends_soon""#), health.contains(r#""certificate_renewal":"failed""#))
    };
    assert_eq!(states(), (true, false));
    used.keep_former();
    assert_eq!(states(), (true, true));
    let (metrics, status, page) = (answer(at, "/metrics"), answer(at, "/status.json"), answer(at, "/"));
    for code in ["certificate_ends_soon", "certificate_not_renewed"] {
        assert!(metrics.contains(&format!("oms_sync_alarms{{code=\"{code}\"}} 1")), "{code}: {metrics}");
        assert!(status.contains(&format!("{{\"code\":\"{code}\"}}")), "{code}: {status}");
    }
    assert!(page.contains("ends within two weeks") && page.contains("is not used, because it has a fault"), "{page}");
    used.replace(&tls(2900));
    assert_eq!(states(), (false, false));
    server.stop();
}
