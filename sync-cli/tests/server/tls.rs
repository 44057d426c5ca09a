//! TLS from certificate files.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sync_core::protocol::PasswordHash;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Reply, connect, get, head};
use crate::support::{Desk, HARDWARE_ID, PASSWORD, Server};

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

/// A certificate for `localhost` that ends on the second day of a year.
fn write_certificate(desk: &Desk, year: i32) -> rcgen::Certificate {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(year, 1, 2);
    write_certificate_of(desk, &params)
}

fn write_certificate_of(desk: &Desk, params: &rcgen::CertificateParams) -> rcgen::Certificate {
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    std::fs::write(desk.path("key.pem"), key.serialize_pem()).expect("a file");
    std::fs::write(desk.path("cert.pem"), made.pem()).expect("a file");
    made
}

/// Whether a client that trusts this certificate only gets an answer.
fn answers_with(made: &rcgen::Certificate, address: &str) -> bool {
    let mut trusted = RootCertStore::empty();
    trusted.add(made.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = StreamOwned::new(session, connect(address));
    stream.write_all(head("GET", "/health", &[]).as_bytes()).is_ok()
        && Reply::read(&mut stream).is_some_and(|reply| reply.status == 200)
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_an_ended_one_never() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    write_certificate(&desk, 2025);
    let serve = ["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"];
    let refused = desk.run(&[&serve[..], &flags].concat()).ends(2).json();
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.contains("2025-01-02")), "{refused}");

    let first = write_certificate(&desk, 2040);
    let server = desk.serve_with("central.sqlite", &flags);
    assert!(answers_with(&first, &server.address));
    let second = write_certificate(&desk, 2041);
    let began = std::time::Instant::now();
    while !answers_with(&second, &server.address) {
        assert!(began.elapsed().as_secs() < 120, "the new certificate is not used");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    // One that has ended does not take the place of one that works.
    write_certificate(&desk, 2025);
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert!(answers_with(&second, &server.address));
    let said = server.stop().ends(0);
    assert!(said.err.contains("certificate_") || said.err.contains("ended at"), "{}", said.err);
}

#[test]
fn the_health_check_warns_before_the_certificate_ends() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let certificate_of = |server: &Server| {
        let reply = get(server.admin.as_ref().expect("its own address"), "/health");
        assert_eq!(reply.status, 200, "it has not ended: {reply:?}");
        reply.json()["certificate"].as_str().expect("a word").to_owned()
    };
    let (flags, admin) = (["--tls-cert", "cert.pem", "--tls-key", "key.pem"], ["--admin-listen", "127.0.0.1:0"]);
    write_certificate(&desk, 2900);
    let server = desk.serve_with("central.sqlite", &[&flags[..], &admin].concat());
    assert_eq!(certificate_of(&server), "ok");
    server.stop().ends(0);

    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = (SystemTime::now() + Duration::from_secs(5 * 24 * 3600)).into();
    write_certificate_of(&desk, &params);
    std::fs::write(desk.path("oms-sync.toml"), "[serve]\ntls-cert = \"cert.pem\"\ntls-key = \"key.pem\"\n")
        .expect("a file");
    let server = desk.serve_with("central.sqlite", &admin);
    assert_eq!(certificate_of(&server), "ends_soon", "also with settings from a file");
    // The answer follows the certificate that is in use.
    write_certificate(&desk, 2900);
    server.signal("-HUP");
    let began = Instant::now();
    while certificate_of(&server) != "ok" {
        assert!(began.elapsed() < Duration::from_secs(120), "the renewed certificate is not seen");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop().ends(0);
}

/// The second fault leaves the times of the files as they are, as a copy with its times does.
#[test]
fn each_fault_of_a_renewed_certificate_is_told_once_and_that_it_is_well_again() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    write_certificate(&desk, 2040);
    let server = desk.serve_with("central.sqlite", &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let files = ["cert.pem", "key.pem"].map(|name| desk.path(name));
    std::fs::write(&files[0], "no certificate").expect("a file");
    let times = files.clone().map(|file| file.metadata().and_then(|found| found.modified()).expect("a time"));
    let keep_times = || {
        for (file, time) in files.iter().zip(times) {
            std::fs::File::options().write(true).open(file).and_then(|file| file.set_modified(time)).expect("its time");
        }
    };
    // The files are looked at every five seconds.
    std::thread::sleep(Duration::from_secs(17));
    write_certificate(&desk, 2025);
    keep_times();
    std::thread::sleep(Duration::from_secs(17));
    let renewed = write_certificate(&desk, 2041);
    keep_times();
    let began = Instant::now();
    while !answers_with(&renewed, &server.address) {
        assert!(began.elapsed() < Duration::from_secs(120), "the renewed certificate is not used");
        std::thread::sleep(Duration::from_millis(200));
    }
    let said = server.stop().ends(0).err;
    let kept: Vec<&str> = said.lines().filter(|line| line.contains("the former one stays in use")).collect();
    let [first, second] = kept[..] else { panic!("each once: {said}") };
    assert!(first.contains("there is no certificate in it") && second.contains("ended at 2025-01-02"), "{said}");
    assert_eq!(said.matches("new connections use the new certificate").count(), 1, "{said}");
}

#[test]
fn a_certificate_that_sites_refuse_is_warned_of_before_a_site_comes() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let check = ["--db", "central.sqlite", "serve", "--check", "--listen", "127.0.0.1:0"];
    let warns = |said: &str| said.contains("own certificate of an authority (CA:TRUE)");
    write_certificate(&desk, 2040);
    assert!(!warns(&desk.run(&[&check[..], &flags].concat()).ends(0).err));
    for (url, is_warned) in [("https://localhost:8000/", false), ("https://central.example.org/", true)] {
        let said = desk.run(&[&check[..], &flags, &["--public-url", url]].concat()).ends(0).err;
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.contains("is not for central.example.org"), is_warned, "{url}: {said}");
    }
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write_certificate_of(&desk, &params);
    assert!(warns(&desk.run(&[&check[..], &flags].concat()).ends(0).err));
    // It starts all the same: browsers and other programs may take the certificate.
    assert!(warns(&desk.serve_with("central.sqlite", &flags).stop().ends(0).err));
}

/// A certificate that sites do not accept never replaces one that they accept, and nobody is told that all is well.
#[test]
fn a_certificate_that_sites_do_not_accept_never_takes_the_place_of_a_good_one() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let later = || {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2090, 1, 2), rcgen::date_time_ymd(2091, 1, 2));
        params
    };
    write_certificate_of(&desk, &later());
    let serve = ["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"];
    for more in [&["--check"][..], &[]] {
        let refused = desk.run(&[&serve[..], &flags, more].concat()).ends(2).json();
        let said = refused["error"]["message"].to_string();
        assert!(said.contains("valid only from 2090-01-02"), "{more:?}: {refused}");
    }
    let good = write_certificate(&desk, 2040);
    let server = desk.serve_with("central.sqlite", &[&flags[..], &["--admin-listen", "127.0.0.1:0"]].concat());
    let health = || get(server.admin.as_ref().expect("its own address"), "/health").json()["certificate"].clone();
    let mut of_authority = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    of_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let of_other_host = rcgen::CertificateParams::new(vec!["other.example.org".to_owned()]).expect("a name");
    for params in [later(), of_authority, of_other_host] {
        write_certificate_of(&desk, &params);
        // The files are looked at every five seconds.
        std::thread::sleep(Duration::from_secs(17));
        assert_eq!(health(), "not_renewed");
        assert!(answers_with(&good, &server.address));
    }
    let renewed = write_certificate(&desk, 2041);
    let began = Instant::now();
    while !answers_with(&renewed, &server.address) {
        assert!(began.elapsed() < Duration::from_secs(120), "the good one is not used");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(health(), "ok");
    let said = server.stop().ends(0).err;
    let kept: Vec<&str> = said.lines().filter(|line| line.contains("the former one stays in use")).collect();
    let [first, second, third] = kept[..] else { panic!("each once: {said}") };
    assert!(first.contains("valid only from 2090-01-02") && second.contains("(CA:TRUE)"), "{said}");
    assert!(third.contains("none of the names of the one in use"), "{said}");
}

#[test]
fn a_check_warns_of_the_near_end_and_names_a_key_of_another_certificate() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let check = ["--db", "central.sqlite", "serve", "--check", "--listen", "127.0.0.1:0"];
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = (SystemTime::now() + Duration::from_secs(5 * 24 * 3600)).into();
    write_certificate_of(&desk, &params);
    let said = desk.run(&[&check[..], &flags].concat()).ends(0);
    assert!(said.err.contains("the certificate in cert.pem ends at"), "{said:?}");
    let other = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(desk.path("other.pem"), other.serialize_pem()).expect("a file");
    let said = desk.run(&[&check[..], &["--tls-cert", "cert.pem", "--tls-key", "other.pem"]].concat()).ends(2);
    let words = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the key in other.pem does not belong to the certificate in cert.pem"), "{said:?}");
}

#[test]
fn a_server_whose_certificate_sites_refuse_says_so_to_its_monitoring() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write_certificate_of(&desk, &params);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--admin-listen", "127.0.0.1:0"];
    let server = desk.serve_with("central.sqlite", &flags);
    let health = get(server.admin.as_ref().expect("its own address"), "/health").json();
    assert_eq!(health["certificate"], "refused_by_sites", "{health}");
    // What keeps sites away today is told before what will do so in some days.
    params.not_after = (SystemTime::now() + Duration::from_secs(5 * 24 * 3600)).into();
    write_certificate_of(&desk, &params);
    server.stop().ends(0);
    let server = desk.serve_with("central.sqlite", &flags);
    let health = get(server.admin.as_ref().expect("its own address"), "/health").json();
    assert_eq!(health["certificate"], "refused_by_sites", "{health}");
    // A run that was killed leaves what it told, which says nothing of a run without TLS.
    let told = desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json();
    assert_eq!(told["alarms"][0]["code"], "certificate_refused_by_sites", "{told:#}");
    server.kill();
    let server = desk.serve("central.sqlite");
    let told = desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json();
    assert!(told["alarms"].as_array().is_some_and(Vec::is_empty), "{told:#}");
    let said = server.stop().ends(0);
    assert!(!said.err.contains("certificate"), "{said:?}");
}
