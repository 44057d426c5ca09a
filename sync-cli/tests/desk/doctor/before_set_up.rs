//! `doctor` before there is a database: by the address, the name and the password that `init` would get.

use std::time::{Duration, Instant};

use super::super::front::{Answer, Front};
use super::super::support::HARDWARE_ID;
use super::super::{Clinic, fits, holds};

/// What is wrong, the arguments beside the password, the party, the exit status and the code.
type Case = (&'static str, fn(&mut Front, &mut Vec<String>), &'static str, i32, &'static str);

/// A database that is not there.
const NEW: [(&str, &str); 1] = [("OMS_SYNC_DB", "new.sqlite")];

const CASES: &[Case] = &[
    ("nothing is wrong", |_, _| {}, "nobody", 0, ""),
    ("the server is stopped", |front, _| front.shut(), "legacy_server", 4, "unreachable"),
    ("no such host", |_, args| args[1] = "https://legacy..invalid".to_owned(), "device", 4, "unreachable"),
    ("another server answers", |front, _| front.instead("/", Answer::page(200)), "device", 3, "not_an_msupply_server"),
    ("the name is misspelled", |_, args| args[3] = "klinic".to_owned(), "device", 3, "site_name_not_found"),
    ("TLS where there is none", |_, args| args[1] = args[1].replace("http:", "https:"), "device", 3, "wrong_scheme"),
];

#[test]
fn a_set_up_that_would_fail_is_diagnosed_and_leaves_no_database() {
    let clinic = Clinic::new();
    for (what, break_it, party, status, code) in CASES {
        let mut front = Front::before(&clinic.server.address);
        let address = format!("http://localhost:{}", front.port());
        front.doing().host = Some(address.trim_start_matches("http://").to_owned());
        let given = ["--legacy-url", &address, "--site", "clinic", "--password-file", "pw"];
        let mut args = given.map(str::to_owned).to_vec();
        break_it(&mut front, &mut args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let asked = |how: &[&str]| clinic.desk.run_with(&NEW, &[&["doctor"], &args[..], how].concat());
        let (found, said) = (asked(&["--json"]), asked(&[]));
        assert_eq!((found.status, said.status), (Some(*status), Some(*status)), "{what}: {found:?}");
        let found = found.json();
        let found_code = found["finding"]["code"].as_str().unwrap_or_default();
        assert_eq!((found["party"].as_str(), found_code), (Some(*party), *code), "{what}: {found:#}");
        fits(&said);
        assert!(!clinic.desk.path("new.sqlite").exists(), "{what}");
    }
}

/// `init` says at once that it asks, and which step of the way fails: name, port, TLS or path.
#[test]
fn a_set_up_names_the_step_that_fails_while_somebody_waits() {
    let clinic = Clinic::new();
    let mut front = Front::before(&clinic.server.address);
    let at = clinic.server.address.as_str();
    let page = format!("http://localhost:{}", front.port());
    front.instead("/", Answer::page(200));
    let mut closed = Front::before(&clinic.server.address);
    let port = format!("http://localhost:{}", closed.port());
    closed.shut();
    let tls = at.replace("http:", "https:");
    for (what, address, status, words) in [
        (
            "name",
            "https://legacy..invalid",
            4,
            &["legacy name lookup:", "the name legacy..invalid of the legacy server is not known"][..],
        ),
        ("port", &port, 4, &["legacy connection:", "nothing takes connections at"]),
        ("TLS", &tls, 3, &["legacy TLS:", "the server uses http://"]),
        ("path", &page, 3, &["legacy server:", "it sent a web page"]),
    ] {
        let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
        let began = Instant::now();
        let init = clinic.desk.run(&[&["--db", "new.sqlite", "init", "--legacy-url", address], &from[..]].concat());
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
        assert_eq!(init.status, Some(status), "{what}: {init:?}");
        assert!(init.err.starts_with("Asking "), "{what}: {}", init.err);
        holds(&init.err, words);
        assert!(!clinic.desk.path("new.sqlite").exists(), "{what}");
    }
    front.shut();
}

/// A server that takes the connection and never answers: a person learns after some seconds that the program waits, and the party after a
/// bounded time.
#[test]
fn a_set_up_at_a_server_that_never_answers_ends() {
    let clinic = Clinic::new();
    let front = Front::before(&clinic.server.address);
    front.instead("/", Answer::never());
    let address = format!("http://localhost:{}", front.port());
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    let init = [&["--db", "new.sqlite", "init", "--legacy-url", &address], &from[..]].concat();
    let stopped = clinic.desk.interrupt(&init, Duration::from_secs(6)).ends(130);
    holds(&stopped.err, &["No answer yet. After 12 s each step of the way is checked", "[cancelled]"]);
    assert!(!stopped.err.contains("Sync again"), "{}", stopped.err);
    let began = Instant::now();
    let ended = clinic.desk.run(&init);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert_eq!(ended.status, Some(4), "{ended:?}");
    holds(&ended.err, &["No answer yet", "legacy server:", "did not answer in time", "[timed_out]"]);
    assert!(!clinic.desk.path("new.sqlite").exists());
}

/// The caller on the phone does not know the password.
#[test]
fn without_a_password_the_way_and_the_name_are_checked() {
    let clinic = Clinic::new();
    let asked = |args: &[&str]| clinic.desk.run_with(&NEW, &[&["doctor"][..], args].concat());
    let address = clinic.server.address.as_str();
    let known = asked(&["--legacy-url", address, "--site", "clinic", "--json"]).ends(0).json();
    assert_eq!((&known["party"], &known["finding"]), (&"nobody".into(), &serde_json::Value::Null), "{known:#}");
    assert!(known["says"].to_string().contains("what needs the password was not checked"), "{known:#}");
    let said = fits(&asked(&["--legacy-url", address, "--site", "clinic", "-v"]).ends(0));
    holds(&said, &["no password was given; the server knows the site's name"]);
    let unknown = asked(&["--legacy-url", address, "--site", "klinic", "--json"]).ends(3).json();
    assert_eq!((&unknown["party"], &unknown["finding"]["code"]), (&"device".into(), &"site_name_not_found".into()));
    clinic.stop_central();
    let down = asked(&["--legacy-url", address, "--site", "clinic", "--json"]).ends(4).json();
    assert_eq!(down["finding"]["code"], "unreachable", "{down:#}");
    assert!(!clinic.desk.path("new.sqlite").exists());
}

/// The line is measured without a database, too, or where it cannot be read.
#[test]
fn net_needs_no_database() {
    let clinic = Clinic::new();
    clinic.put_at_central("asset_class", r#"{"id":"cold","name":"Cold chain"}"#);
    std::fs::write(clinic.desk.path("broken.sqlite"), "no database").expect("a file");
    let unread = clinic.desk.run(&["--db", "broken.sqlite", "net"]).ends(6);
    holds(&unread.err, &["Without this database: oms-sync net --legacy-url"]);
    let from = ["--legacy-url", &clinic.server.address, "--site", "clinic", "--password-file", "pw"];
    let more = ["--hardware-id", HARDWARE_ID, "--max-time", "2s", "--json"];
    let broken = [("OMS_SYNC_DB", "broken.sqlite")];
    let measured = clinic.desk.run_with(&broken, &[&["net"][..], &from, &more].concat()).ends(0);
    holds(&measured.err, &["broken.sqlite is not read"]);
    let found = measured.json();
    let servers: Vec<_> = found["servers"].as_array().expect("servers").iter().map(|line| &line["server"]).collect();
    assert_eq!(servers, ["legacy", "central"], "{found:#}");
    assert!(found["servers"][1]["total_records"].as_u64().is_some_and(|records| records >= 1), "{found:#}");
    assert!(found["first_sync"].is_object(), "{found:#}");
    std::fs::write(clinic.desk.path("wrong"), "wrong").expect("a file");
    let wrong = ["--legacy-url", &clinic.server.address, "--site", "clinic", "--password-file", "wrong", "--json"];
    let refused = clinic.desk.run_with(&NEW, &[&["net"][..], &wrong].concat()).ends(3).json();
    assert_eq!(refused["servers"][0]["error"]["code"], "incorrect_password", "{refused:#}");
    assert!(!clinic.desk.path("new.sqlite").exists());
}

/// Whoever names a database learns that it is not read.
#[test]
fn a_database_that_is_not_read_is_named() {
    let clinic = Clinic::new();
    let new = ["--legacy-url", &clinic.server.address, "--site", "clinic", "--password-file", "pw"];
    for database in [&["--db", "oms-sync.sqlite"][..], &[]] {
        let asked = [database, &["doctor", "--hardware-id", HARDWARE_ID], &new[..]].concat();
        holds(&clinic.desk.run(&asked).ends(0).err, &["oms-sync.sqlite is not read"]);
    }
    clinic.desk.run(&["--db", "oms-sync.sqlite", "errors"]).ends(0);
}
