//! What a host chooses about TLS, against real servers: whom it trusts, and the certificate that it shows.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, CertifiedKey, DnType, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sync_core::storage::MemoryStorage;
use sync_core::transport::{HttpOptions, HttpRequest, HttpResponse, HttpTransport, Method, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, SyncOptions};
use sync_tests::world::{CentralEnd, settings};

fn certified() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A server with this certificate that answers each request; with `client`, only a client that shows that certificate.
fn server(of: &CertifiedKey<KeyPair>, client: Option<CertificateDer<'static>>) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match client {
        Some(client) => {
            let mut trusted = RootCertStore::empty();
            trusted.add(client).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(of.signing_key.serialize_der());
    let config = Arc::new(builder.with_single_cert(vec![of.cert.der().clone()], key.into()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut head = [0; 4096];
            if stream.read(&mut head).is_ok_and(|read| read > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    url
}

fn ask(url: &str, options: &HttpOptions) -> Result<u16, TransportError> {
    let request = HttpRequest { method: Method::Get, url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
    Ok(HttpTransport::with_options(options).send(&request)?.status)
}

/// The line to a server that names an address without TLS for central. It counts the requests without TLS.
struct NamesHttp {
    line: Arc<dyn Transport>,
    readable: AtomicUsize,
}

impl Transport for NamesHttp {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.readable.fetch_add(usize::from(request.url.starts_with("http:")), Ordering::Relaxed);
        let mut response = self.line.send(request)?;
        if request.url.ends_with("/sync/v5/site") {
            let mut site: Value = serde_json::from_slice(&response.body).unwrap();
            site["omSupplyCentralServerUrl"] = "http://central.example.org".into();
            response.body = site.to_string().into_bytes();
        }
        Ok(response)
    }
}

/// Neither where a person typed such an address, nor where the legacy server names it for central.
#[test]
fn a_site_that_uses_https_alone_sends_nothing_without_tls() {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Arc::new(NamesHttp { line: central.transport(), readable: AtomicUsize::new(0) });
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    let site = replica.site(line.clone());
    let at = |url: &str| {
        let mut settings = settings("a");
        settings.legacy_url = url.to_owned();
        settings
    };
    let careful = |url: &str| at(url).https_only(true);
    let refused = site.set_up(&careful("http://central.example.org"), &mut NoopObserver).unwrap_err();
    assert_eq!(refused.code(), "https_required");
    site.set_up(&careful("https://central.example.org"), &mut NoopObserver).unwrap();
    assert_eq!(replica.settings().unwrap().unwrap().https_only, Some(true), "it is kept");
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(report.error.map(|error| error.code()), Some("https_required"));
    assert_eq!(line.readable.load(Ordering::Relaxed), 0);

    site.set_up(&at("https://central.example.org"), &mut NoopObserver).unwrap();
    let allowed = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert!(allowed.error.is_none(), "{:?}", allowed.error);
    assert!(line.readable.load(Ordering::Relaxed) > 0);
}

fn direct() -> HttpOptions {
    HttpOptions::default().no_proxy()
}

#[test]
fn a_host_trusts_only_the_certificates_that_it_names() {
    let (ours, other) = (certified(), certified());
    let url = server(&ours, None);
    let only = |of: &CertifiedKey<KeyPair>| direct().trust_only(&of.cert.pem()).unwrap();
    assert_eq!(ask(&url, &only(&ours)).unwrap(), 200);
    for refused in [only(&other), direct(), direct().trust_bundled()] {
        let error = ask(&url, &refused).unwrap_err();
        assert!(matches!(error, TransportError::Certificate(_)), "{error:?}");
    }
}

#[test]
fn a_host_shows_its_certificate_to_a_server_that_asks() {
    let (server_has, client_has) = (certified(), certified());
    let url = server(&server_has, Some(client_has.cert.der().clone()));
    let trusting = direct().trust_only(&server_has.cert.pem()).unwrap();
    let key = client_has.signing_key.serialize_pem();
    let shown = trusting.clone().client_certificate(&client_has.cert.pem(), &key).unwrap();
    assert_eq!(ask(&url, &shown).unwrap(), 200);
    let mut names = CertificateParams::new(["localhost".to_owned()]).unwrap();
    names.distinguished_name.push(DnType::CommonName, "an authority that the server does not know");
    let signing_key = KeyPair::generate().unwrap();
    let stranger = CertifiedKey { cert: names.self_signed(&signing_key).unwrap(), signing_key };
    // An authority of the same name with another key.
    let other = certified();
    let showing = |of: &CertifiedKey<KeyPair>| {
        trusting.clone().client_certificate(&of.cert.pem(), &of.signing_key.serialize_pem()).unwrap()
    };
    let (stranger, other) = (showing(&stranger), showing(&other));
    for (options, says) in [(trusting, "none was shown"), (stranger, "does not trust"), (other, "does not accept")] {
        let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
        let site = replica.site(Arc::new(HttpTransport::with_options(&options)));
        let mut settings = settings("a");
        settings.legacy_url = url.trim_end_matches('/').to_owned();
        let refused = site.set_up(&settings, &mut NoopObserver).unwrap_err();
        assert_eq!(refused.code(), "client_certificate_refused", "{refused} {:?}", refused.causes());
        assert!(refused.to_string().contains(says) && refused.advice().contains("certificate"), "{refused}");
    }
}

#[test]
fn what_is_no_certificate_or_no_key_is_refused_before_it_is_used() {
    let (one, other) = (certified(), certified());
    let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (what, outcome) in [
        ("no certificate", direct().trust_only("").err()),
        ("no certificate", direct().trust_only(&key).err()),
        ("cannot be used", direct().trust_only(broken).err()),
        ("no certificate", direct().client_certificate(&key, &key).err()),
        ("no private key", direct().client_certificate(&chain, &chain).err()),
        ("cannot be used", direct().client_certificate(&chain, &other.signing_key.serialize_pem()).err()),
        ("cannot be used", direct().client_certificate(broken, &key).err()),
    ] {
        let error: Error = outcome.expect(what);
        assert_eq!(error.code(), "bad_input");
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(!error.to_string().contains(key.lines().nth(1).unwrap()), "{error}");
    }
}
