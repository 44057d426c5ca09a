//! A central server beside a legacy server: the program over real HTTP, the legacy server a small stand-in.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::protocol::v5::SiteHeaders;
use sync_testkit::PostgresServer;

use self::support::{Desk, HARDWARE_ID, PASSWORD, Said};

/// Answers site info, and has one store for each site: that of the central server in store mode.
struct Legacy {
    address: String,
    central_url: Arc<Mutex<String>>,
    /// How often the central server asked for central data.
    asked: Arc<AtomicUsize>,
}

impl Legacy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let central_url = Arc::<Mutex<String>>::default();
        let (url, asked) = (central_url.clone(), Arc::<AtomicUsize>::default());
        let counted = asked.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let url = url.lock().expect("nobody panicked").clone();
                let counted = counted.clone();
                std::thread::spawn(move || answer(stream, &url, &counted));
            }
        });
        Self { address, central_url, asked }
    }

    fn tell(&self, central_url: &str) {
        *self.central_url.lock().expect("nobody panicked") = central_url.to_owned();
    }
}

/// Answers what comes over one connection.
fn answer(mut stream: TcpStream, central_url: &str, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let mut lines = reader.by_ref().lines();
    let Some(Ok(request)) = lines.next() else { return };
    let mut headers = Vec::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let find = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    let length = find("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    // Unread bytes would break the line before the answer arrives.
    let _ = reader.read_exact(&mut vec![0; length]);
    let site = SiteHeaders::from_headers(find).filter(|site| site.password == PasswordHash::of_password(PASSWORD));
    let number = match site.as_ref().map(|site| site.site_name.as_str()) {
        Some("central") => 2,
        Some("clinic") => 3,
        _ => 0,
    };
    if number == 2 && request.contains("/sync/v5/central_records?") {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let (status, body) = match number {
        0 => {
            ("401 Unauthorized", r#"{"error":{"code":"site_incorrect_password","message":"x","data":null}}"#.to_owned())
        }
        _ if request.contains("/sync/v5/site ") => {
            let is_central = number == 2;
            (
                "200 OK",
                format!(
                    r#"{{"id":"UUID{number}","siteId":{number},"code":"c","name":"n","initialisationStatus":"completed","isOmSupplyCentralServer":{is_central},"omSupplyCentralServerUrl":"{central_url}","mSupplyCentralSiteId":1}}"#
                ),
            )
        }
        _ if request.contains("cursor=0&") => {
            let store = |id: u64, site: u64, mode: &str| {
                format!(
                    r#"{{"ID":{id},"tableName":"store","recordId":"S{site}","action":"insert","recordData":{{"ID":"S{site}","name_ID":"N","code":"S{site}","sync_id_remote_site":{site},"store_mode":"{mode}"}}}}"#
                )
            };
            let data = [store(1, 2, "store"), store(2, 3, "store")].join(",");
            ("200 OK", format!(r#"{{"maxCursor":2,"data":[{data}]}}"#))
        }
        _ if request.contains("/sync/v5/central_records?") => ("200 OK", r#"{"maxCursor":2,"data":[]}"#.to_owned()),
        _ if request.contains("/sync/v5/site_status") => {
            ("200 OK", r#"{"code":"idle","message":"Idle","data":null}"#.to_owned())
        }
        _ => ("200 OK", r#"{"queueLength":0,"data":[]}"#.to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn init(desk: &Desk, db: &str, legacy: &Legacy, site: &str, password: &str) -> Said {
    let from = ["--site", site, "--password-file", password, "--hardware-id", HARDWARE_ID];
    desk.run(&[&["--db", db, "init", "--json", "--legacy-url", &legacy.address][..], &from].concat())
}

#[test]
fn a_central_server_beside_a_legacy_server() {
    let (desk, legacy) = (Desk::new(), Legacy::start());
    init(&desk, "central.sqlite", &legacy, "central", "pw").ends(0);
    desk.run(&["--db", "central.sqlite", "sync", "--json", "-q"]).ends(0);

    // Sites get no address, and its own store is in the wrong mode: both are reported, and it works.
    let status = desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json();
    assert_eq!(status["role"], "central");
    let codes: Vec<&str> = status["alarms"].as_array().unwrap().iter().filter_map(|c| c["code"].as_str()).collect();
    assert_eq!(codes, ["own_url_unusable", "store_not_in_dispensary_mode"]);
    let said = desk.run(&["--db", "central.sqlite", "status"]).ends(0);
    assert!(said.out.contains("store S2 (S2) on the central server is in store mode"), "{said:?}");
    let found = desk.run(&["--db", "central.sqlite", "doctor", "--json"]).ends(0).json();
    assert_eq!((&found["party"], &found["check"]), (&"legacy_server".into(), &"central address".into()), "{found}");
    let checks = found["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "warning");
    let codes: Vec<&str> = checks.filter_map(|check| check["finding"]["code"].as_str()).collect();
    assert_eq!(codes, ["own_url_unusable", "store_not_in_dispensary_mode"], "{found:#}");

    // The legacy server numbers the sites: a list of its own would give out a number that is taken.
    for command in [
        &["site", "add", "new", "--password-file", "pw"][..],
        &["site", "set-password", "clinic", "--password-file", "pw"],
        &["store", "add", "New", "--code", "N", "--site", "clinic"],
        &["serve", "--listen", "127.0.0.1:0", "--auth", "local"],
        &["serve", "--listen", "127.0.0.1:0", "--auth", "local", "--check"],
    ] {
        let refused = desk.run(&[&["--db", "central.sqlite", "--json"][..], command].concat());
        assert_eq!(refused.ends(3).error().0, "legacy_keeps_sites", "{command:?}");
    }
    assert!(desk.run(&["--db", "central.sqlite", "store", "list"]).ends(0).out.contains("S2"));
    // Nobody came yet.
    assert_eq!(desk.run(&["--db", "central.sqlite", "site", "list", "--json"]).ends(0).out, "");

    // It serves as its database was set up, with and without the flag.
    let server = desk.serve_with("central.sqlite", &[]);
    legacy.tell(&server.address);
    init(&desk, "site.sqlite", &legacy, "clinic", "wrong").ends(3);
    init(&desk, "site.sqlite", &legacy, "clinic", "pw").ends(0);
    desk.run(&["--db", "site.sqlite", "sync", "--json", "-q"]).ends(0);
    let at = "2026-11-23T08:00:00";
    let asset = format!(r#"{{"id":"x","store_id":"S3","created_datetime":"{at}","modified_datetime":"{at}"}}"#);
    desk.feed(&["--db", "site.sqlite", "records", "put", "asset"], &asset).ends(0);
    desk.run(&["--db", "site.sqlite", "sync", "--json", "-q"]).ends(0);
    let said = server.stop();
    assert!(said.err.contains("warning: store S2 (S2)"), "{said:?}");
    let sites = desk.run(&["--db", "central.sqlite", "site", "list", "--json"]).ends(0).json_lines();
    assert_eq!(
        (sites.len(), &sites[0]["site_name"]),
        (1, &"clinic".into()),
        "central is no site of its own: {sites:?}"
    );
    desk.run(&["--db", "central.sqlite", "records", "get", "asset", "x"]).ends(0);

    let refused = desk.run(&["--db", "site.sqlite", "serve", "--json", "--listen", "127.0.0.1:0", "--auth", "legacy"]);
    assert_eq!(refused.ends(3).error().0, "wrong_role");
    let args = ["--db", "central.sqlite", "serve", "--json", "--listen", "127.0.0.1:0", "--auth", "legacy"];
    let refused = desk.run(&[&args[..], &["--public-url", "http://x/"]].concat());
    assert_eq!(refused.ends(2).error().0, "bad_input");
}

/// Of servers on one database one asks the legacy server; another one takes over when it is killed, and when it hangs.
#[test]
fn of_two_servers_one_leads_and_the_other_takes_over() {
    let Some(postgres) = PostgresServer::of_this_process() else { return };
    let (desk, legacy, database) = (Desk::new(), Legacy::start(), postgres.new_database());
    let db = database.address();
    init(&desk, &db, &legacy, "central", "pw").ends(0);
    let leaders = || {
        let found = database.sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        );
        assert!(found == "0" || found == "1", "{found} lead");
    };
    let someone_asks_after = |before: usize| {
        while legacy.asked.load(Ordering::SeqCst) == before {
            leaders();
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let before = legacy.asked.load(Ordering::SeqCst);
    let first = desk.serve(&db);
    someone_asks_after(before);
    let second = desk.serve(&db);
    let before = legacy.asked.load(Ordering::SeqCst);
    assert!(first.kill());
    someone_asks_after(before);
    let third = desk.serve(&db);
    let before = legacy.asked.load(Ordering::SeqCst);
    second.signal("-STOP");
    someone_asks_after(before);
    second.signal("-CONT");
    leaders();
    second.stop().ends(0);
    third.stop().ends(0);
}

/// Changes the legacy server's address in the central server's database.
fn moved_to(desk: &Desk, address: std::net::SocketAddr) {
    let storage = sync_core::storage::SqliteStorage::open(desk.path("central.sqlite")).expect("a database");
    let txn = sync_core::storage::Storage::write(&storage).expect("a transaction");
    sync_core::storage::state::LEGACY_URL.set(txn.as_ref(), format!("http://{address}")).expect("written");
    txn.commit().expect("committed");
}

/// The sites of a country do not wait for a server that accepts connections and does not answer.
#[test]
fn a_central_server_starts_while_the_legacy_server_says_nothing() {
    let (desk, legacy) = (Desk::new(), Legacy::start());
    init(&desk, "central.sqlite", &legacy, "central", "pw").ends(0);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    moved_to(&desk, silent.local_addr().expect("an address"));
    let said = desk.serve_with("central.sqlite", &["--auth", "legacy"]).stop();
    assert!(said.err.contains("continuing with the stored answer of the legacy server"), "{said:?}");
}

#[test]
fn a_central_server_starts_and_works_while_the_legacy_server_is_away() {
    let (desk, legacy) = (Desk::new(), Legacy::start());
    init(&desk, "central.sqlite", &legacy, "central", "pw").ends(0);
    // Nobody listens there from now on.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    moved_to(&desk, gone);
    let server = desk.serve_with("central.sqlite", &["--auth", "legacy"]);
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let hash = PasswordHash::of_password(PASSWORD);
    let body = format!(
        r#"{{"syncV5Settings":{{"serverUrl":"","username":"clinic","passwordSha256":"{}","siteUuid":"m","appVersion":"2.19.0","appName":"x","syncVersion":"14"}},"syncV6Version":5}}"#,
        hash.expose()
    );
    let head = format!(
        "POST /central/sync/site_status HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
    let said: Vec<String> = BufReader::new(stream).lines().map_while(Result::ok).collect();
    assert!(said.join("\n").contains("Connection problem"), "{said:?}");
    let said = server.stop();
    assert!(said.err.contains("continuing with the stored answer of the legacy server"), "{said:?}");
}

#[test]
fn a_new_host_of_central_gets_nothing_until_discover_accepts_it() {
    let (desk, legacy) = (Desk::new(), Legacy::start());
    init(&desk, "central.sqlite", &legacy, "central", "pw").ends(0);
    desk.run(&["--db", "central.sqlite", "sync", "--json", "-q"]).ends(0);
    let server = desk.serve_with("central.sqlite", &[]);
    legacy.tell(&server.address);
    init(&desk, "site.sqlite", &legacy, "clinic", "pw").ends(0);
    let on_site = |args: &[&str]| desk.run(&[&["--db", "site.sqlite"][..], args].concat());
    on_site(&["sync", "--json", "-q"]).ends(0);

    // As if it had been elsewhere until now: every name of this machine is one host.
    let storage = sync_core::storage::SqliteStorage::open(desk.path("site.sqlite")).expect("a database");
    let txn = sync_core::storage::Storage::write(&storage).expect("a transaction");
    sync_core::storage::state::CENTRAL_CONFIRMED.set(txn.as_ref(), "https://central.example.org").expect("written");
    txn.commit().expect("committed");
    drop(storage);
    let moved = server.address.clone();
    let refused = on_site(&["sync", "-q"]).ends(3);
    assert!(refused.err.contains("central_url_unconfirmed"), "{refused:?}");
    assert!(refused.err.contains("discover --accept"), "{refused:?}");
    let found = on_site(&["discover", "--json"]).ends(3).json();
    assert_eq!((&found["central_unconfirmed"], &found["central_answers"]), (&true.into(), &false.into()), "{found}");
    assert_eq!(found["error"]["code"], "central_url_unconfirmed");
    let doctor = on_site(&["doctor", "--json"]).ends(3).json();
    assert_eq!((&doctor["party"], &doctor["finding"]["code"]), (&"device".into(), &"central_url_unconfirmed".into()));

    let mut running = desk.spawn(&["--db", "site.sqlite", "run", "--json", "-q"]);
    let mut lines = BufReader::new(running.stdout.take().expect("a pipe")).lines();
    let mut line =
        || -> serde_json::Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let waits = line();
    let waited = (&waits["error"]["code"], &waits["next_in_seconds"]);
    assert_eq!(waited, (&"central_url_unconfirmed".into(), &3600.into()), "{waits}");

    // Without a terminal nobody has seen the address.
    let unseen = on_site(&["discover", "--accept", "--json"]).ends(2);
    assert!(unseen.out.contains(&format!("discover --accept {moved}")), "{unseen:?}");
    let other = on_site(&["discover", "--accept", "https://central.example.com", "--json"]).ends(2);
    assert!(other.out.contains(&format!("now it names {moved}")), "{other:?}");
    on_site(&["sync", "-q"]).ends(3);
    let accepted = on_site(&["discover", "--accept", &moved]).ends(0);
    assert!(accepted.err.contains(&format!("to {moved} from now on")), "{accepted:?}");
    assert_eq!(line()["outcome"], "done", "it does not wait for the hour");
    support::signal(&running, "-TERM");
    assert!(running.wait().expect("it ends").success());
    on_site(&["sync", "--json", "-q"]).ends(0);
    let found = on_site(&["discover", "--json", "--accept"]).ends(0).json();
    assert_eq!((&found["central_unconfirmed"], &found["central_answers"]), (&false.into(), &true.into()), "{found}");
    // Whoever names an address learns that it is not the one, also if nothing waits.
    let other = on_site(&["discover", "--accept", "https://central.example.com", "--json"]).ends(2);
    assert!(other.out.contains(&format!("now it names {moved}")), "{other:?}");
    on_site(&["discover", "--accept", &moved, "--json"]).ends(0);
}

#[test]
fn a_new_site_is_set_up_over_http_only_if_that_is_said() {
    let desk = Desk::new();
    let init = |more: &[&str]| {
        let from = ["init", "--legacy-url", "http://no-such-host.invalid", "--site", "clinic", "--password-file", "pw"];
        desk.run(&[&["--db", "a.sqlite"][..], &from, &["--hardware-id", HARDWARE_ID], more].concat())
    };
    let refused = init(&[]).ends(3);
    assert!(refused.err.contains("https_required") && refused.err.contains("--allow-http"), "{refused:?}");
    let warnings = |err: &str| err.matches("everybody on the way can read").count();
    assert_eq!(warnings(&refused.err), 0, "{refused:?}");
    init(&["--https-only"]).ends(3);
    let allowed = init(&["--allow-http"]).ends(4);
    assert!(allowed.err.contains("unreachable"), "{allowed:?}");
    assert_eq!(warnings(&allowed.err), 1, "{allowed:?}");
    let doctor = ["doctor", "--json", "--legacy-url", "http://no-such-host.invalid", "--site", "clinic"];
    let doctor = [&doctor[..], &["--password-file", "pw", "--hardware-id", HARDWARE_ID]].concat();
    assert_eq!(desk.run(&doctor).ends(3).error().0, "https_required");
    desk.run(&[&doctor[..], &["--allow-http"]].concat()).ends(4);
}
