//! The administrator's view of a server: health, metrics, the access log, and who else may see them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sync_core::protocol::PasswordHash;

use crate::central;
use crate::client::{PULL, PUSH, Reply, ask, get, pull, push};
use crate::support::{Desk, HARDWARE_ID, PASSWORD};

/// The value of a metric.
#[track_caller]
pub(crate) fn figure(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().expect("a number")
}

#[test]
fn health_is_told_to_everybody() {
    let (_desk, server) = central(&["--behind-proxy", "--admin-listen", "127.0.0.1:0"]);
    for address in [&server.address, server.admin.as_ref().expect("a door")] {
        let reply = ask(address, "GET", "/health", &[("host", "central.example.org")], b"");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        let health = reply.json();
        assert_eq!((&health["ok"], &health["database"]), (&true.into(), &"reachable".into()));
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert!(["ok", "nearly_full"].contains(&health["disk"].as_str().expect("a word")), "{health}");
        let rest = (&health["certificate"], &health["backup"], &health["queue"], &health["clock"]);
        assert_eq!(rest, (&"none".into(), &"none".into(), &0.into(), &"ok".into()), "{health}");
        assert_eq!(health["certificate_renewal"], "none", "{health}");
        assert!(health["time"].is_string(), "{health}");
        assert_eq!(health.as_object().expect("an object").len(), 10, "and nothing more: {health}");
    }
}

#[test]
fn the_figures_follow_what_happens() {
    let (desk, server) = central(&[]);
    let others = push("y", "ANOTHER", 10);
    for body in [push("x", "STORE", 10), others] {
        while ask(&server.address, "POST", PUSH, &[], body.as_bytes()).json()["error"] == "integrationInProgress" {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let text = loop {
        let text = get(&server.address, "/metrics").text();
        if figure(&text, r#"oms_sync_integrated_total{outcome="refused"}"#) == 1.0 {
            break text;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(figure(&text, r#"oms_sync_integrated_total{outcome="integrated"}"#), 1.0);
    while ask(&server.address, "POST", PULL, &[], pull().as_bytes()).json()["error"] == "integrationInProgress" {}
    let wrong = pull().replace(PasswordHash::of_password(PASSWORD).expose(), "wrong");
    assert!(ask(&server.address, "POST", PULL, &[], wrong.as_bytes()).json()["error"].is_object());
    // The view behind some metrics may be two seconds old.
    std::thread::sleep(Duration::from_millis(2100));
    let reply = get(&server.address, "/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    assert_eq!(figure(&text, r#"oms_sync_records_total{question="push"}"#), 2.0);
    assert!(figure(&text, r#"oms_sync_requests_total{question="pull",status="200"}"#) >= 2.0);
    assert_eq!(figure(&text, r#"oms_sync_request_errors_total{question="pull",error="other_server_error"}"#), 1.0);
    assert_eq!(figure(&text, r#"oms_sync_quarantine_records{cause="refused"}"#), 1.0);
    assert_eq!(figure(&text, r#"oms_sync_sites{state="known"}"#), 1.0);
    assert_eq!(figure(&text, r#"oms_sync_sites{state="seen"}"#), 1.0);
    assert_eq!(figure(&text, "oms_sync_integration_waiting_sites"), 0.0);
    for name in ["oms_sync_database_bytes", "oms_sync_uptime_seconds", "oms_sync_changelog_newest"] {
        assert!(figure(&text, name) > 0.0, "{name}");
    }
    if cfg!(target_os = "linux") {
        assert!(figure(&text, "process_resident_memory_bytes") > 1e6);
    }
    let aside = desk.run(&["--db", "central.sqlite", "quarantine", "list", "--json"]).ends(0).json();
    assert_eq!((&aside["from"], &aside["id"], &aside["cause"]), (&"site 2".into(), &"y".into(), &"refused".into()));
    assert!(aside["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{aside}");
    assert_histogram(&text, "pull");
    assert_well_formed(&text);
    server.stop().ends(0);
}

/// Sites of Open mSupply 2.x count the positions of the changelog in 32 bits.
#[test]
fn a_changelog_alarms_from_half_of_what_sites_can_count() {
    for (newest, alarms) in [((1_i64 << 30) - 1, false), (1 << 30, true)] {
        let desk = Desk::new();
        let in_central = |args: &[&str]| desk.run(&[&["--db", "central.sqlite"], args].concat()).ends(0);
        in_central(&["site", "add", "clinic", "--password-file", "pw"]);
        let file = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a database");
        let sql = "INSERT OR REPLACE INTO sync_state (key, value) VALUES ('newest_cursor', ?1)";
        assert_eq!(file.execute(sql, [newest]), Ok(1));
        drop(file);
        let status = in_central(&["status", "--json"]).json();
        let codes: Vec<&str> =
            status["alarms"].as_array().expect("a list").iter().filter_map(|c| c["code"].as_str()).collect();
        assert_eq!(codes.contains(&"changelog_nears_its_end"), alarms, "{codes:?}");
        let found = in_central(&["doctor", "--json"]).json();
        let warned = found["checks"].as_array().expect("checks").iter();
        let mut warned = warned.filter(|check| check["finding"]["code"] == "changelog_nears_its_end");
        assert_eq!(warned.next().is_some(), alarms, "{found:#}");

        let server = desk.serve_with("central.sqlite", &[]);
        let page = get(&server.address, "/").text();
        assert!(page.contains("id=\"newest\""), "{page}");
        assert_eq!(page.contains("<div class=\"alert\" id=\"newest\">"), alarms, "{newest}");
        let used = figure(&get(&server.address, "/metrics").text(), "oms_sync_changelog_used_ratio");
        assert_eq!(used >= 0.5, alarms, "{used}");
        server.stop().ends(0);
    }
}

/// The buckets of a histogram rise up to the count.
fn assert_histogram(text: &str, question: &str) {
    let of = format!(r#"oms_sync_request_seconds_bucket{{question="{question}",le=""#);
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with(&of))
        .map(|line| line.rsplit(' ').next().expect("a value").parse().expect("a number"))
        .collect();
    assert!(buckets.len() > 5 && buckets.is_sorted(), "{buckets:?}");
    let count = figure(text, &format!(r#"oms_sync_request_seconds_count{{question="{question}"}}"#));
    assert_eq!(buckets.last(), Some(&count));
}

/// Each line is a comment or a name, labels and a number; each family is announced once, before its values.
fn assert_well_formed(text: &str) {
    let mut families: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let name = family.split(' ').next().expect("a name");
            assert!(!families.contains(&name), "{name} twice");
            families.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let family = families.last().expect("announced");
            assert!(name.starts_with(family), "{line} is not of {family}");
            assert_eq!(name.contains('{'), name.ends_with("\"}"), "{line}");
        }
    }
    assert!(families.len() > 10);
}

/// Whether an answer is the status page, the metrics, or neither.
fn seen(reply: &Reply) -> bool {
    let is_page = reply.text().contains("central-bar") || reply.text().contains("oms_sync_info");
    assert_eq!(is_page, reply.status == 200, "{reply:?}");
    // Others learn at most what kind of server this is.
    assert!(is_page || !reply.text().contains("clinic"), "{reply:?}");
    is_page
}

#[test]
fn the_page_and_the_figures_are_for_the_administrator_only() {
    let (_desk, server) = central(&[]);
    for path in ["/", "/metrics"] {
        assert!(seen(&get(&server.address, path)), "{path}: from this machine");
        let elsewhere = [("host", "central.example.org")];
        assert!(!seen(&ask(&server.address, "GET", path, &elsewhere, b"")), "{path}: under another name");
        assert!(!seen(&ask(&server.address, "POST", path, &[], b"{}")), "{path}: nothing is sent to it");
    }
    server.stop().ends(0);

    let (_desk, server) = central(&["--behind-proxy"]);
    for path in ["/", "/metrics"] {
        assert!(!seen(&get(&server.address, path)), "{path}: behind a proxy everybody comes from this machine");
    }
    server.stop().ends(0);

    let (_desk, server) = central(&["--admin-listen", "127.0.0.1:0", "--admin-host", "central.example.org"]);
    let admin = server.admin.clone().expect("a door");
    for path in ["/", "/metrics"] {
        assert!(!seen(&get(&server.address, path)), "{path}: there is a door for it");
        for host in ["localhost:8001", "10.0.0.7:8001", "[fd00::1]:8001", "Central.Example.org:8001"] {
            assert!(seen(&ask(&admin, "GET", path, &[("host", host)], b"")), "{path}: at its door, as {host}");
        }
        // A foreign page that points its own name here (DNS rebinding).
        for host in ["any.example.org", "10.0.0.7.example.org", "localhost.example.org"] {
            let refused = ask(&admin, "GET", path, &[("host", host)], b"");
            assert_eq!(refused.status, 421, "{path}: {host}");
            assert!(refused.text().starts_with("Ask under an IP address"), "{path}: {host}");
        }
    }
    assert_eq!(ask(&admin, "POST", PULL, &[], pull().as_bytes()).status, 404, "sites have no business there");
    server.stop().ends(0);
}

#[test]
fn a_request_keeps_its_name_and_gets_one_if_it_has_none() {
    let (_desk, server) = central(&[]);
    let named = ask(&server.address, "GET", "/health", &[("x-request-id", "proxy-7.a_b")], b"");
    assert_eq!(named.header("x-request-id"), Some("proxy-7.a_b"));
    let (first, second) = (get(&server.address, "/health"), get(&server.address, "/nothing"));
    let made = first.header("x-request-id").expect("a name");
    assert!(!made.is_empty() && Some(made) != second.header("x-request-id"));
    let bad = ask(&server.address, "GET", "/health", &[("x-request-id", "a b\"c")], b"");
    assert!(bad.header("x-request-id").is_some_and(|id| !id.contains(['"', ' '])), "{bad:?}");
}

#[test]
fn the_access_log_tells_who_asked_what_and_no_secret() {
    let (desk, server) = central(&["--access-log", "access.log", "--behind-proxy"]);
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    let through = [("x-forwarded-for", "1.2.3.4, 203.0.113.9"), ("x-request-id", "from-the-proxy")];
    ask(&server.address, "POST", &format!("{PULL}?secret=in-the-query"), &through, pull().as_bytes());
    ask(&server.address, "GET", "/a%22b%0Ac", &[("x-forwarded-for", "not an address")], b"");
    server.stop().ends(0);

    let log = std::fs::read_to_string(desk.path("access.log")).expect("a log");
    let hash = PasswordHash::of_password(PASSWORD);
    for secret in [PASSWORD, hash.expose(), HARDWARE_ID, "in-the-query", "Basic ", "cursor="] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
    let line = log.lines().find(|line| line.contains("id=from-the-proxy")).expect("the line");
    for part in
        ["from=203.0.113.9", "method=POST", "path=/central/sync/pull ", "status=200", "site=2", "records=", "ms="]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(log.contains("path=/sync/v5/site "), "{log}");
    let odd = log.lines().find(|line| line.contains("%22")).expect("the line");
    assert!(odd.contains("from=127.0.0.1 ") && odd.contains("status=404"), "{odd}");
}

/// What `logrotate` does: rename, then SIGHUP.
#[test]
fn after_sighup_the_access_log_is_written_under_its_name_again() {
    let (desk, server) = central(&["--access-log", "access.log"]);
    get(&server.address, "/health");
    std::fs::rename(desk.path("access.log"), desk.path("access.log.1")).expect("renamed");
    server.signal("-HUP");
    while !desk.path("access.log").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    get(&server.address, "/metrics");
    server.stop().ends(0);
    let log = |name: &str| std::fs::read_to_string(desk.path(name)).expect("a log");
    assert!(log("access.log.1").contains("path=/health "), "{}", log("access.log.1"));
    assert!(log("access.log").contains("path=/metrics "), "{}", log("access.log"));
}

#[test]
fn a_client_cannot_say_where_it_comes_from_where_no_proxy_stands() {
    let (desk, server) = central(&["--access-log", "access.log"]);
    ask(&server.address, "GET", "/health", &[("x-forwarded-for", "203.0.113.9")], b"");
    server.stop().ends(0);
    let log = std::fs::read_to_string(desk.path("access.log")).expect("a log");
    assert!(log.contains("from=127.0.0.1 ") && !log.contains("203.0.113.9"), "{log}");
}

#[test]
fn sites_are_told_the_kind_of_address_that_a_proxy_says_only_where_there_is_one() {
    let hash = PasswordHash::of_password(PASSWORD);
    let login = format!("Basic {}", STANDARD.encode(format!("clinic:{}", hash.expose())));
    let headers = [
        ("host", "c.example.org"),
        ("authorization", login.as_str()),
        ("x-forwarded-proto", "https"),
        ("msupply-site-uuid", HARDWARE_ID),
        ("version", "14"),
        ("app-version", "2.19.0"),
        ("app-name", "Open mSupply Desktop"),
    ];
    for (flags, address) in [(&["--behind-proxy"][..], "https://c.example.org"), (&[], "http://c.example.org")] {
        let (_desk, server) = central(flags);
        let told = ask(&server.address, "GET", "/sync/v5/site", &headers, b"").json();
        assert_eq!(told["omSupplyCentralServerUrl"], address, "{told}");
    }
}

#[test]
fn when_sites_came_outlives_a_restart() {
    let (desk, server) = central(&[]);
    ask(&server.address, "POST", PULL, &[], pull().as_bytes());
    server.stop().ends(0);
    let server = desk.serve("central.sqlite");
    let page = get(&server.address, "/").text();
    let row =
        page.split("data-site=\"2\"").nth(1).expect("the site").split("</tr>").next().unwrap_or_default().to_owned();
    assert_eq!(row.matches("<time datetime=").count(), 2, "seen and pulled: {row}");
    assert!(row.contains("2.19.0") && row.contains("up to date"), "{row}");
    server.stop().ends(0);
}

#[test]
fn flags_that_do_not_fit_are_told_before_anything_is_made() {
    let desk = crate::support::Desk::new();
    let serve = |flags: &[&str]| {
        desk.run(&[&["--db", "new.sqlite", "serve", "--json", "--listen", "127.0.0.1:0"], flags].concat()).ends(2)
    };
    serve(&["--tls-cert", "pw"]);
    serve(&["--max-connections", "0"]);
    assert_eq!(serve(&["--patience", "0s"]).error().0, "usage");
    let not_pem = serve(&["--tls-cert", "pw", "--tls-key", "pw"]);
    assert!(not_pem.out.contains("cannot be used for TLS"), "{not_pem:?}");
    serve(&["--access-log", "no/such/folder/log"]);
    assert!(!desk.path("new.sqlite").exists(), "no database is left behind");
}
