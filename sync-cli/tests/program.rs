//! The program in real use: real processes, real sockets, real files.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sync_core::storage::{SqliteStorage, Storage as _};

use self::support::{Desk, HARDWARE_ID, PASSWORD, Said, Server};

const README: &str = include_str!("../../README.md");

/// A running central server, and a site that is set up and has synchronised; returns the id of its store.
fn clinic(desk: &Desk) -> (Server, String) {
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["--db", "central.sqlite", "--json", "store", "add", "Clinic", "--code", "C", "--site", "clinic"];
    let store = desk.run(&add).ends(0).json()["store_id"].as_str().expect("an id").to_owned();
    let server = desk.serve("central.sqlite");
    init(desk, &server.address, "pw").ends(0);
    desk.run(&["sync", "--json", "-q"]).ends(0);
    (server, store)
}

fn init(desk: &Desk, address: &str, password_file: &str) -> Said {
    let from = ["--site", "clinic", "--password-file", password_file, "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--json", "-v", "--legacy-url", address][..], &from].concat())
}

fn asset(id: &str, store: &str) -> String {
    let at = "2026-11-23T08:00:00";
    format!(r#"{{"id":"{id}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#)
}

#[test]
fn the_demonstration_converges() {
    let desk = Desk::new();
    let said = desk.run(&["demo", "--json", "--keep", "kept"]).ends(0);
    let document = said.json();
    assert_eq!(document["converged"], true, "{said:?}");
    assert!(document["records_by_table"]["asset"]["central"].as_u64() > Some(600), "{said:?}");
    let files = document["file_checks"].as_array().expect("files");
    assert!(files.len() == 2 && files.iter().all(|file| file["sha256"].is_string()), "{files:?}");

    // The kept databases are those that were judged.
    let kept = desk.run(&["--db", "kept/south.sqlite", "records", "get", "asset", "asset-of-south-0001", "--json"]);
    assert_eq!(kept.ends(0).json()["data"]["id"], "asset-of-south-0001");
    desk.run(&["demo", "--keep", "kept"]).ends(2);
}

#[test]
fn wrong_usage_names_the_missing_argument_in_json_too() {
    let said = Desk::new().run(&["--db", "central.sqlite", "serve", "--json"]).ends(2).json();
    let message = said["error"]["message"].as_str().expect("text");
    assert!(message.contains("--listen"), "{message}");
}

#[test]
fn the_lines_of_the_readme_work_as_they_stand() {
    let section = README.split("## A first sync of your own").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    let blocks: Vec<String> = blocks.map(|block| block.replace("\n  ", "")).collect();
    assert_eq!(blocks.len(), 3, "a server, a site, a record");
    let desk = Desk::new();
    let (mut server, mut store, mut said) = (None, String::new(), None);
    for line in blocks.iter().flat_map(|block| block.lines()) {
        if line.starts_with("printf ") {
            assert_eq!(line, "printf '%s\\n' 'a password' > pw", "the desk has its own password");
            continue;
        }
        let (input, line) = match line.strip_prefix("echo '").and_then(|rest| rest.split_once("' | ")) {
            Some((input, line)) => (input.replace("ID OF THE STORE", &store), line),
            None => (String::new(), line),
        };
        let line: Vec<&str> = line.strip_prefix("oms-sync ").expect("a line of the program").split(' ').collect();
        if line.contains(&"serve") {
            assert_eq!(line, ["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:8000"]);
            server = Some(desk.serve("central.sqlite"));
            continue;
        }
        // The port of the README may be in use; any free one will do.
        let address =
            |word: &str| server.as_ref().filter(|_| word == "http://127.0.0.1:8000").map(|s| s.address.clone());
        let line: Vec<String> = line.iter().map(|word| address(word).unwrap_or_else(|| (*word).to_owned())).collect();
        said = Some(desk.feed(&line.iter().map(String::as_str).collect::<Vec<_>>(), &input).ends(0));
        if store.is_empty() && line.contains(&"sync".to_owned()) {
            let stores = desk.run(&["records", "list", "store", "--json"]).ends(0).json_lines();
            assert_eq!(stores.len(), 1);
            store = stores[0]["id"].as_str().expect("an id").to_owned();
        }
    }
    let read = said.expect("the last line");
    assert!(read.out.contains("vaccine fridge"), "central has the record: {read:?}");
}

#[test]
fn the_rust_of_the_readme_is_the_rust_that_the_library_tests() {
    // The page of the library hides the frame of the program, which depends on its features.
    let rust = |text: &str| -> Vec<String> {
        let block = text.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        block.lines().filter(|line| !line.starts_with("# ")).map(str::to_owned).collect()
    };
    assert_eq!(rust(README), rust(include_str!("../../sync-core/README.md")));
}

#[test]
fn a_site_from_its_set_up_to_a_record_at_central() {
    let desk = Desk::new();
    let (server, store) = clinic(&desk);
    let discovered = desk.run(&["discover", "--json", "-v"]).ends(0).json();
    assert_eq!((&discovered["role"], &discovered["site_id"]), (&Value::from("remote"), &Value::from(2)));
    assert_eq!(discovered["central_answers"], true);

    let written = desk.feed(&["records", "put", "asset", "--json"], &(asset("a", &store) + "\n" + &asset("b", &store)));
    assert_eq!(written.ends(0).json_lines().len(), 2);
    let status = desk.run(&["status", "--json", "-v"]).ends(0).json();
    for key in ["role", "site_id", "central_url", "initialised", "pull_cursor_v6", "push_cursor_v6", "quarantined"] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!(status["waiting"]["records"], 2);
    assert!(status["waiting"]["bytes"].as_u64() > Some(100) && status["waiting"]["oldest_at"].is_string());
    assert_eq!(status["last_sync"]["outcome"], "done");
    assert!(status["last_sync"]["started_at"].is_string() && status["last_sync"]["finished_at"].is_string());

    let report = desk.run(&["sync", "--json", "-v"]).ends(0).json();
    assert_eq!((&report["outcome"], &report["pushed"]), (&Value::from("done"), &Value::from(2)));
    for key in ["pulled", "integrated", "quarantined", "refused", "requests", "bytes_sent", "bytes_received"] {
        assert!(report[key].is_u64(), "{key}: {report}");
    }
    for key in ["name", "done", "total", "seconds"] {
        assert!(!report["steps"][0][key].is_null(), "{key}: {report}");
    }
    let get = ["--db", "central.sqlite", "records", "get", "asset", "a", "--json"];
    let found = desk.run(&get).ends(0).json();
    assert_eq!((&found["table"], &found["id"]), (&Value::from("asset"), &Value::from("a")));
    assert_eq!(found["data"]["store_id"], store.as_str());

    desk.run(&["records", "delete", "asset", "b"]).ends(0);
    assert_eq!(desk.run(&["records", "list", "asset", "--json"]).ends(0).json_lines().len(), 2, "it is marked only");
    let changes = desk.run(&["changelog", "--json"]).ends(0).json_lines();
    assert_eq!(changes.last().expect("a row")["id"], "b");
    assert_eq!(desk.run(&["quarantine", "list", "--json"]).ends(0).out, "");
    let bar = desk.run(&["--db", "central.sqlite", "status"]).ends(0);
    assert!(bar.err.contains("Open mSupply central server"), "{bar:?}");
    server.stop().ends(0);
}

#[test]
fn a_wrong_password_is_refused_set_up() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    let said = init(&desk, &server.address, "wrong").ends(3);
    assert_eq!(said.error(), ("incorrect_password".to_owned(), "configure".to_owned()));
    assert!(!desk.path("oms-sync.sqlite").exists(), "no database is left behind");
    desk.run(&["init", "--legacy-url", &server.address, "--site", "nobody", "--password-file", "pw"]).ends(3);
}

#[test]
fn a_database_that_is_not_set_up_says_so() {
    let desk = Desk::new();
    for command in ["sync", "status", "discover", "changelog"] {
        assert_eq!(desk.run(&[command, "--json"]).ends(3).error().0, "no_database");
    }
    std::fs::write(desk.path("empty.sqlite"), "").expect("a file");
    for command in ["sync", "discover"] {
        assert_eq!(desk.run(&["--db", "empty.sqlite", command, "--json"]).ends(3).error().0, "no_database");
    }
    let plain = desk.run(&["sync"]).ends(3);
    assert!(plain.out.is_empty() && plain.err.contains("oms-sync init"), "{plain:?}");
}

#[test]
fn nothing_that_listens_is_worth_trying_again() {
    let desk = Desk::new();
    // A port that was free a moment ago; nobody else is given it at once.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let said = init(&desk, &format!("http://127.0.0.1:{port}"), "pw").ends(4);
    assert_eq!(said.error(), ("unreachable".to_owned(), "retry".to_owned()));
}

#[test]
fn what_only_central_configures_is_refused_on_a_site() {
    let desk = Desk::new();
    let (_server, _) = clinic(&desk);
    let said = desk.feed(&["records", "put", "asset_class", "--json"], r#"{"id":"c","name":"n"}"#).ends(2);
    assert_eq!(said.error(), ("only_allowed_on_central".to_owned(), "input".to_owned()));
    assert_eq!(desk.feed(&["records", "put", "asset", "--json"], "rubbish").ends(2).error().0, "bad_input");
    assert_eq!(desk.run(&["records", "get", "asset", "none", "--json"]).ends(2).error().0, "not_found");
    desk.run(&["sync", "--no-such-flag"]).ends(2);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let desk = Desk::new();
    let text = "this is a letter, not a database. ".repeat(100);
    std::fs::write(desk.path("letter.txt"), &text).expect("a file");
    assert_eq!(desk.run(&["--db", "letter.txt", "status", "--json"]).ends(6).error().0, "not_a_database");
    assert_eq!(std::fs::read_to_string(desk.path("letter.txt")).expect("a file"), text);
}

/// A disk that was full, or a tool that made the file before, leaves an empty one: it is no database, and no new one is made of it.
#[test]
fn an_empty_file_is_as_a_missing_one() {
    let desk = Desk::new();
    std::fs::write(desk.path("empty.sqlite"), "").expect("a file");
    std::fs::write(desk.path("empty.sqlite.watermark"), "").expect("a file");
    let db = ["--db", "empty.sqlite"];
    for command in [
        &["status"][..],
        &["sync"],
        &["site", "list"],
        &["quarantine", "list"],
        &["serve", "--check", "--listen", "127.0.0.1:0"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let said = desk.run(&[&db[..], command, &["--json"]].concat()).ends(3);
        assert_eq!(said.error().0, "no_database", "{command:?}");
        assert_eq!(std::fs::metadata(desk.path("empty.sqlite")).expect("the file").len(), 0, "{command:?}");
    }
    let doctor = desk.run(&[&db[..], &["doctor", "--json"]].concat()).ends(3).json();
    assert_eq!(doctor["finding"]["code"], "no_database", "{doctor:#}");
    std::fs::remove_file(desk.path("empty.sqlite.watermark")).expect("removed");
    let check = ["serve", "--check", "--create", "--listen", "127.0.0.1:0", "--json"];
    assert_eq!(desk.run(&[&db[..], &check].concat()).ends(0).json()["database_is_there"], false);
}

#[test]
fn one_cycle_at_a_time_also_across_processes() {
    let desk = Desk::new();
    let (_server, _) = clinic(&desk);
    let storage = SqliteStorage::open(desk.path("oms-sync.sqlite")).expect("the site's database");
    let lock = storage.lock_cycle().expect("nobody has it");
    let said = desk.run(&["sync", "--json"]).ends(7);
    assert_eq!(said.error(), ("cycle_running".to_owned(), "busy".to_owned()));
    desk.run(&["status", "--json"]).ends(0);
    drop(lock);
    desk.run(&["sync", "-q"]).ends(0);
}

#[test]
fn an_interrupt_ends_a_cycle_in_good_order() {
    let desk = Desk::new();
    let (server, _) = clinic(&desk);
    assert_eq!(server.stop().ends(0).err, "", "an interrupt is how a server is stopped");
    // Without a server the cycle waits between its tries; it is there that the interrupt meets it.
    let said = desk.interrupt(&["sync", "--json"], Duration::from_millis(1000)).ends(130);
    assert_eq!(said.json()["outcome"], "cancelled", "{said:?}");
    let status = desk.run(&["status", "--json"]).ends(0).json();
    assert_eq!(status["last_sync"]["outcome"], "cancelled");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_oms-sync"))
        .args(["records", "types", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let status = child.wait().expect("it ends");
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[test]
fn a_password_comes_from_a_file_from_input_or_from_the_environment_only() {
    let desk = Desk::new();
    desk.feed(&["--db", "c.sqlite", "site", "add", "one", "--password-stdin"], &format!("{PASSWORD}\n")).ends(0);
    let none = desk.run(&["--db", "c.sqlite", "site", "add", "two", "--json"]).ends(2);
    assert_eq!(none.error().0, "bad_input");
    // Which of several lines is meant, nobody can know.
    std::fs::write(desk.path("two"), "the password\nof the other site\n").expect("a file");
    let two = desk.run(&["--db", "c.sqlite", "site", "add", "two", "--json", "--password-file", "two"]).ends(2);
    assert!(two.json()["error"]["message"].to_string().contains("more than one line"), "{two:?}");
    std::fs::write(desk.path("two"), "the password\r\n\r\n").expect("a file");
    desk.run(&["--db", "c.sqlite", "site", "add", "two", "--password-file", "two"]).ends(0);
    // There is no flag that would put it into the list of processes.
    let flag = desk.run(&["--db", "c.sqlite", "site", "add", "two", "--password", "x"]).ends(2);
    assert!(flag.err.contains("--password"), "{flag:?}");
}

/// A wrong argument is repeated; it must not control the terminal, forge a line, or contain a password.
#[test]
fn wrong_usage_repeats_nothing_that_does_harm() {
    let desk = Desk::new();
    let hash = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";
    let typed = format!("x\u{1b}[31m\u{202e}\nerror: forged https://me:hunter22@oms.example.org/ {hash}");
    let flag = format!("--{typed}");
    for args in [
        &["sync", flag.as_str()] as &[&str],
        &["sync", typed.as_str()],
        &[typed.as_str()],
        &["sync", "--interval", typed.as_str()],
        &["run", "--interval", typed.as_str()],
        &["quarantine", "show", typed.as_str()],
        &["site", flag.as_str()],
    ] {
        for args in [args.to_vec(), [&["--json"], args].concat()] {
            let said = desk.run(&args).ends(2);
            let all = format!("{}{}", said.out, said.err);
            for harm in ["\u{1b}", "\u{202e}", "\nerror: forged", "hunter22", hash] {
                assert!(!all.contains(harm), "{harm:?} of {args:?} in {all:?}");
            }
        }
    }
}

#[test]
fn wrong_usage_is_a_document_too_where_json_is_asked_for() {
    let said = Desk::new().run(&["--json", "sync", "--sideways"]).ends(2);
    assert_eq!(said.json()["error"]["code"], "usage", "{said:?}");
    Desk::new().run(&["--json", "--version"]).ends(0);
}

/// A name in another encoding, as an old file system may hold it.
#[cfg(unix)]
#[test]
fn an_argument_that_is_no_utf_8_is_refused_in_words() {
    use std::os::unix::ffi::OsStrExt as _;
    let desk = Desk::new();
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let asked = |args: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oms-sync"));
        let ended = command.args(args).current_dir(desk.path("")).output().expect("it runs");
        (ended.status.code(), String::from_utf8(ended.stderr).expect("text"))
    };
    let text = std::ffi::OsStr::new;
    let (status, said) = asked(&[text("records"), text("get"), text("asset"), odd]);
    assert_eq!(status, Some(2));
    assert!(said.contains("UTF-8"), "{said}");
    // A file may have any name.
    let (status, said) = asked(&[text("--db"), odd, text("status")]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("no_database"), "{said}");
}
