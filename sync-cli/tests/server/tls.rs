//! TLS from certificate files.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sync_core::protocol::PasswordHash;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Reply, connect, head};
use crate::support::{Desk, HARDWARE_ID, PASSWORD};

#[test]
fn sites_are_served_over_tls_and_told_an_address_of_that_kind() {
    let desk = Desk::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(desk.path("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(desk.path("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--patience", "3s"];
    let server = desk.serve_with("central.sqlite", &flags);

    let mut trusted = RootCertStore::empty();
    trusted.add(made.cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let ask = |path: &str, authorization: &str| {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::new(config.clone()), name).expect("a session");
        let mut stream = StreamOwned::new(session, connect(&server.address));
        let mut headers = vec![("host", "central.example.org:8000"), ("x-forwarded-proto", "gopher")];
        if !authorization.is_empty() {
            headers.extend([("authorization", authorization), ("msupply-site-uuid", HARDWARE_ID)]);
            headers.extend([("version", "14"), ("app-version", "2.19.0"), ("app-name", "Open mSupply Desktop")]);
        }
        stream.write_all(head("GET", path, &headers).as_bytes()).expect("sent");
        Reply::read(&mut stream).expect("an answer")
    };
    assert_eq!(ask("/health", "").json()["ok"], true);
    let login = STANDARD.encode(format!("clinic:{}", PasswordHash::of_password(PASSWORD).expose()));
    let site = ask("/sync/v5/site", &format!("Basic {login}")).json();
    assert_eq!(site["omSupplyCentralServerUrl"], "https://central.example.org:8000", "{site}");

    // Plain HTTP is not understood, and a silent client is not waited for.
    let mut plain = connect(&server.address);
    plain.write_all(head("GET", "/health", &[]).as_bytes()).expect("sent");
    let mut silent = connect(&server.address);
    for stream in [&mut plain, &mut silent] {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP"), "{said:?}");
    }
    assert_eq!(ask("/health", "").status, 200);
    server.stop().ends(0);
}
