//! Faults of networks, proxies and addresses, over real sockets.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::{WireError, encode_error};
use sync_core::storage::{Storage as _, state};
use sync_core::transport::HttpResponse;
use sync_core::{NoopObserver, Settings, SyncOptions};
use sync_tests::raw_server::{RawServer, Reply};

use super::{Bench, PULL, PUSH, RECORDS, SITE, assert_error, patient, settings, site_over};

const PAGE: &str = "<!doctype html><html><title>Log in to the network</title></html>";

fn v5_refusal(code: &str) -> Reply {
    Reply::json(401, format!(r#"{{"error":{{"code":"{code}","message":"No","data":null}}}}"#))
}

/// The same in the encoding of an old Windows server.
fn v5_refusal_in_latin_1(code: &str) -> Reply {
    let body = [br#"{"error":{"code":""#, code.as_bytes(), b"\",\"message\":\"refus\xe9\",\"data\":null}}"].concat();
    Reply::Whole(HttpResponse::json(401, body))
}

fn v6_refusal(error: &WireError) -> Reply {
    Reply::Whole(HttpResponse::json(200, encode_error(error)))
}

/// A refusal of the legacy server as central tells it.
fn flattened(code: &str) -> Reply {
    v6_refusal(&WireError::flatten_legacy("http://legacy.example.org/", 401, "Unauthorized", code, "No"))
}

fn cut_answer() -> Reply {
    let whole = r#"{"data":{"end_cursor":7,"total_records":0,"records":[],"is_last_batch":true}}"#;
    Reply::Cut(HttpResponse::json(200, whole.into()), 20)
}

type Fault = (&'static str, Reply, &'static str, &'static str);

/// Faults that mean the same whichever server's address they stand at.
fn common_faults() -> Vec<Fault> {
    vec![
        ("a web page", Reply::html(200, PAGE), "not_an_msupply_server", "configure"),
        ("a page without a type", Reply::text(200, PAGE), "not_an_msupply_server", "configure"),
        ("no such page", Reply::html(404, PAGE), "not_an_msupply_server", "configure"),
        ("a redirection", Reply::redirect(301, "https://elsewhere.example.org/"), "not_an_msupply_server", "configure"),
        ("a redirection that keeps the body", Reply::redirect(308, "/x"), "not_an_msupply_server", "configure"),
        ("not HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "not_an_msupply_server", "configure"),
        ("a body cut in the middle", cut_answer(), "cut_off", "retry"),
        ("JSON cut in the middle", Reply::json(200, r#"{"da"#), "cut_off", "retry"),
        ("a head cut in the middle", Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()), "cut_off", "retry"),
        ("a connection closed without a word", Reply::Early(0, None), "cut_off", "retry"),
        ("408", Reply::text(408, ""), "timed_out", "retry"),
        ("429", Reply::text(429, "slow down"), "server_trouble", "retry"),
        ("500", Reply::text(500, "oops"), "server_trouble", "retry"),
        ("502 of a proxy", Reply::html(502, PAGE), "server_trouble", "retry"),
        ("503 of a proxy", Reply::html(503, PAGE), "server_trouble", "retry"),
        ("407 of a proxy", Reply::html(407, PAGE), "not_an_msupply_server", "configure"),
        ("511 of a network", Reply::html(511, PAGE), "not_an_msupply_server", "configure"),
        ("401 of a proxy", Reply::html(401, PAGE), "refused", "peer_fault"),
        ("JSON of something else", Reply::json(200, r#"{"hello":"world"}"#), "unreadable_answer", "peer_fault"),
    ]
}

fn legacy_faults() -> Vec<Fault> {
    let mut faults = common_faults();
    faults.extend([
        ("a wrong password", v5_refusal("site_incorrect_password"), "incorrect_password", "configure"),
        ("the same in Latin-1", v5_refusal_in_latin_1("site_incorrect_password"), "incorrect_password", "configure"),
        ("an unknown site", v5_refusal("site_name_not_found"), "site_name_not_found", "configure"),
        ("another machine", v5_refusal("site_incorrect_hardware_id"), "hardware_id_mismatch", "configure"),
        ("a site without a store", v5_refusal("site_has_no_store"), "site_has_no_store", "configure"),
        ("a check that timed out", v5_refusal("site_auth_timeout"), "site_auth_timeout", "retry"),
        ("an old server", v5_refusal("api_version_incompatible"), "api_version_incompatible", "upgrade"),
        ("a code that is not known", v5_refusal("moon_phase"), "refused", "peer_fault"),
        ("an empty answer", Reply::text(200, ""), "not_an_msupply_server", "configure"),
        ("413", Reply::text(413, "too large"), "refused", "peer_fault"),
    ]);
    faults
}

fn central_faults() -> Vec<Fault> {
    let not_central = Reply::text(405, "Method only allowed on central server.");
    let offline =
        WireError::OtherServerError("Internal error: Sync api error -> [\n \"Connection problem\",\n]".into());
    let mut faults = common_faults();
    faults.extend([
        ("not central", not_central, "not_a_central_server", "configure"),
        ("not central, in a race", v6_refusal(&WireError::NotACentralServer), "not_a_central_server", "configure"),
        ("an empty answer", Reply::text(200, ""), "unreadable_answer", "peer_fault"),
        ("no data", Reply::json(200, r#"{"data":null}"#), "unreadable_answer", "peer_fault"),
        ("a wrong password", flattened("SiteIncorrectPassword"), "incorrect_password", "configure"),
        ("an unknown site", flattened("SiteNameNotFound"), "site_name_not_found", "configure"),
        ("another machine", flattened("SiteIncorrectHardwareId"), "hardware_id_mismatch", "configure"),
        ("a code that is not known", flattened("Other(\"moon_phase\")"), "peer_error", "peer_fault"),
        ("central without the legacy server", v6_refusal(&offline), "central_cannot_reach_legacy", "retry"),
    ]);
    faults
}

/// Each fault at one path: the error, nothing passed, healed by the next cycle.
fn assert_each(path: &str, faults: Vec<Fault>) {
    let bench = Bench::new();
    for (number, (what, reply, code, class)) in faults.into_iter().enumerate() {
        let (what, id) = (format!("{path}: {what}"), format!("{number}"));
        bench.plant(&id);
        let before = bench.cursors();
        bench.server.always(path, reply);
        let (report, retries) = bench.sync_counting_retries();
        let error = report.error.as_ref().unwrap_or_else(|| panic!("{what}: no error"));
        assert_error(&what, error, code, class);
        assert_eq!(retries > 0, class == "retry", "{what}: tried again {retries} times");
        bench.assert_nothing_passed(&what, &id, before);
        let after = bench.cursors();
        match path {
            PULL => assert_eq!(after.0, before.0, "{what}"),
            PUSH => assert_eq!(after.1, before.1, "{what}"),
            _ => {}
        }
        bench.assert_heals(&what, &id);
    }
}

#[test]
fn faults_of_the_legacy_server() {
    assert_each(SITE, legacy_faults());
}

#[test]
fn faults_while_central_data_is_pulled() {
    assert_each(RECORDS, legacy_faults());
}

#[test]
fn faults_while_pulling() {
    let mut faults = central_faults();
    faults.push(("413", Reply::text(413, "too large"), "refused", "peer_fault"));
    assert_each(PULL, faults);
}

#[test]
fn faults_while_pushing() {
    assert_each(PUSH, central_faults());
}

#[test]
fn a_set_up_that_fails_stores_nothing() {
    let bench = Bench::before_set_up();
    for (what, reply, code, class) in legacy_faults() {
        bench.server.always(SITE, reply);
        let error = bench.site.set_up(&settings(&bench.server.url()), &mut NoopObserver).unwrap_err();
        assert_error(what, &error, code, class);
        assert_eq!(state::SITE_NAME.find(bench.storage.read().unwrap().as_ref()).unwrap(), None, "{what}");
        let not_yet = bench.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap_err();
        assert_error(what, &not_yet, "not_set_up", "configure");
        bench.server.heal();
    }
    bench.site.set_up(&settings(&bench.server.url()), &mut NoopObserver).unwrap();
}

#[test]
fn credentials_that_our_own_central_refuses() {
    let bench = Bench::new();
    let right = settings(&bench.server.url());
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = right.clone();
        change(&mut settings);
        settings
    };
    for (what, settings, code) in [
        ("password", with(&|settings| settings.password = PasswordHash::of_password("x")), "incorrect_password"),
        ("name", with(&|settings| settings.site_name = "A".to_owned()), "site_name_not_found"),
        ("machine", right.clone().hardware_id("other".to_owned()), "hardware_id_mismatch"),
    ] {
        let error = bench.site.set_up(&settings, &mut NoopObserver).unwrap_err();
        assert_error(what, &error, code, "configure");
    }
    bench.plant("x");
    bench.assert_heals("what was stored before stays", "x");

    // A database that another program changed: the same refusals, but of the cycle.
    for (what, name, wrong, code) in [
        ("password", state::PASSWORD_HASH.name(), "00", "incorrect_password"),
        ("name", state::SITE_NAME.name(), "A", "site_name_not_found"),
        ("machine", state::HARDWARE_ID.name(), "other", "hardware_id_mismatch"),
    ] {
        let set = |value: &str| {
            let txn = bench.storage.write().unwrap();
            txn.set_state(name, value).unwrap();
            txn.commit().unwrap();
        };
        let right = bench.storage.read().unwrap().state(name).unwrap().unwrap();
        set(wrong);
        assert_error(what, &bench.sync().error.clone().unwrap(), code, "configure");
        set(&right);
    }
    bench.plant("y");
    bench.assert_heals("the right ones again", "y");
}

#[test]
fn addresses_of_central_that_lead_nowhere() {
    let bench = Bench::new();
    let (uuid, number) = {
        let txn = bench.storage.read().unwrap();
        (
            state::SITE_UUID.find(txn.as_ref()).unwrap().unwrap(),
            state::SITE_ID.as_text().find(txn.as_ref()).unwrap().unwrap(),
        )
    };
    // A port that was free a moment ago.
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let elsewhere = RawServer::alone();
    elsewhere.always(PULL, Reply::html(200, PAGE));
    elsewhere.always(PUSH, Reply::html(200, PAGE));
    for (id, url, code, class) in [
        ("nothing_listens", format!("http://{closed}"), "unreachable", "retry"),
        ("empty", String::new(), "central_url_missing", "configure"),
        ("no_address", "oms.example.org".to_owned(), "invalid_url", "configure"),
        ("with_password", "https://me:secret@oms.example.org".to_owned(), "invalid_url", "configure"),
        ("web_page", elsewhere.url(), "not_an_msupply_server", "configure"),
    ] {
        bench.plant(id);
        let before = bench.cursors();
        let info = format!(
            r#"{{"id":"{uuid}","siteId":{number},"initialisationStatus":"completed","omSupplyCentralServerUrl":"{url}"}}"#
        );
        bench.server.always(SITE, Reply::json(200, info));
        let report = bench.sync();
        let error = report.error.as_ref().unwrap();
        assert_error(id, error, code, class);
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(
            report.warnings.iter().any(|warning| warning.to_string().contains("central URL")),
            "{:?}",
            report.warnings
        );
        assert_eq!(bench.cursors(), before, "{id}");
        bench.assert_heals(id, id);
    }
}

#[test]
fn addresses_of_the_legacy_server_that_lead_nowhere() {
    let bench = Bench::before_set_up();
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    for (url, code, class) in [
        (format!("http://{closed}"), "unreachable", "retry"),
        (String::new(), "invalid_url", "configure"),
        ("http://".to_owned(), "invalid_url", "configure"),
        ("legacy.example.org:2048".to_owned(), "invalid_url", "configure"),
    ] {
        let error = bench.site.set_up(&settings(&url), &mut NoopObserver).unwrap_err();
        assert_error(&url, &error, code, class);
    }
}

#[test]
fn a_fault_that_passes_is_not_even_an_error() {
    let bench = Bench::new();
    for (number, path) in [SITE, RECORDS, PULL, PUSH, super::STATUS].into_iter().enumerate() {
        for (what, reply) in [
            ("408", Reply::text(408, "")),
            ("502", Reply::html(502, PAGE)),
            ("closed", Reply::Early(0, None)),
            ("cut", cut_answer()),
        ] {
            let id = format!("{number}-{what}");
            bench.plant(&id);
            bench.server.once(path, reply);
            let (report, retries) = bench.sync_counting_retries();
            assert!(report.error.is_none() && retries == 1, "{path} {what}: {retries} {:?}", report.error);
            bench.assert_heals(what, &id);
        }
    }
}

#[test]
fn a_server_that_thinks_too_long() {
    let bench = Bench::new();
    let hasty = patient().response(Duration::from_millis(150));
    let site = site_over(&bench.storage, &hasty);
    for path in [PULL, PUSH] {
        bench.plant(path);
        let before = bench.cursors();
        bench.server.always(path, Reply::Late(Duration::from_millis(400), HttpResponse::text(200, "late")));
        let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert_error(path, report.error.as_ref().unwrap(), "timed_out", "retry");
        bench.assert_nothing_passed(path, path, before);
        bench.assert_heals(path, path);
    }
}

#[test]
fn credentials_do_not_follow_a_redirection() {
    let bench = Bench::new();
    let elsewhere = RawServer::alone();
    for path in [SITE, RECORDS, PULL, PUSH] {
        for status in [301, 302, 303, 307, 308] {
            bench.plant(&format!("{status}"));
            bench.server.always(path, Reply::redirect(status, &format!("{}{path}", elsewhere.url())));
            let report = bench.sync();
            let error = report.error.clone().unwrap();
            assert_error(path, &error, "not_an_msupply_server", "configure");
            assert!(error.to_string().contains("a redirection to http://127.0.0.1"), "{error}");
            bench.server.heal();
        }
    }
    assert!(elsewhere.seen().is_empty(), "nothing was asked there");
    bench.assert_heals("redirections", "308");
}

/// A TLS server on loopback whose certificate nobody vouches for.
fn self_signed() -> u16 {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            // The client ends the handshake with an alert.
            let _ = connection.complete_io(&mut stream);
        }
    });
    port
}

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let bench = Bench::before_set_up();
    let port = self_signed();
    for host in ["localhost", "127.0.0.1"] {
        let error = bench.site.set_up(&settings(&format!("https://{host}:{port}")), &mut NoopObserver).unwrap_err();
        assert_error(host, &error, "certificate_refused", "configure");
    }
}

#[test]
fn https_asked_of_a_server_that_speaks_http() {
    let bench = Bench::before_set_up();
    let url = bench.server.url().replace("http:", "https:");
    let error = bench.site.set_up(&settings(&url), &mut NoopObserver).unwrap_err();
    assert_error("https", &error, "not_an_msupply_server", "configure");
}
