//! `run` as a service: lines while it works, and real signals.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::Value;

use self::support::{Desk, HARDWARE_ID, Said, Server, signal};

/// A central server that runs, and a site that is set up in `oms-sync.sqlite`.
fn clinic(desk: &Desk) -> Server {
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    server
}

/// A running program with its output, line by line.
struct Running {
    child: Child,
    out: Box<dyn Iterator<Item = String>>,
    err: Box<dyn Iterator<Item = String>>,
}

impl Running {
    fn start(desk: &Desk, args: &[&str]) -> Self {
        let mut child = desk.spawn(args);
        let out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let err = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let text = |line: std::io::Result<String>| line.expect("text");
        Self { child, out: Box::new(out.map(text)), err: Box::new(err.map(text)) }
    }

    fn line(&mut self) -> Value {
        let line = self.out.next().expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends a signal and waits for the end; returns the lines that came meanwhile.
    fn end(mut self, which: &str, status: i32) -> (Vec<String>, Vec<String>) {
        signal(&self.child, which);
        let (out, err) = (self.out.collect(), self.err.collect());
        assert_eq!(self.child.wait().expect("it ends").code(), Some(status), "{out:?} {err:?}");
        (out, err)
    }
}

#[test]
fn a_line_a_cycle_until_a_signal_comes() {
    let desk = Desk::new();
    let server = clinic(&desk);
    for which in ["-TERM", "-INT"] {
        let mut running = Running::start(&desk, &["run", "--interval", "1s", "--json"]);
        for number in 1..=2 {
            let line = running.line();
            assert_eq!((&line["cycle"], &line["outcome"]), (&number.into(), &"done".into()), "{line}");
            assert_eq!((&line["next_in_seconds"], &line["needs_person"]), (&1.into(), &false.into()), "{line}");
            for key in ["pushed", "pulled", "quarantined", "refused", "still_quarantined", "failures"] {
                assert!(line[key].is_u64(), "{key}: {line}");
            }
            assert!(line["seconds"].is_f64() && line["started_at"].is_string() && line["error"].is_null(), "{line}");
        }
        running.end(which, 0);
    }
    server.stop().ends(0);
}

#[test]
fn new_settings_begin_a_cycle_now() {
    let desk = Desk::new();
    let server = clinic(&desk);
    std::fs::write(desk.path("new"), "another password\n").expect("a file");
    desk.run(&["--db", "central.sqlite", "site", "set-password", "clinic", "--password-file", "new"]).ends(0);
    let mut running = Running::start(&desk, &["run", "--json"]);
    let refused = running.line();
    assert_eq!((&refused["needs_person"], &refused["next_in_seconds"]), (&true.into(), &3600.into()), "{refused}");
    let from = ["--site", "clinic", "--password-file", "new", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    assert_eq!(running.line()["outcome"], "done");
    running.end("-TERM", 0);
    server.stop().ends(0);
}

#[test]
fn figures_are_written_after_each_cycle() {
    let desk = Desk::new();
    let server = clinic(&desk);
    let figure = |name: &str| -> f64 {
        let text = std::fs::read_to_string(desk.path("site.prom")).expect("a file");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().expect("a number")
    };
    let mut running = Running::start(&desk, &["run", "--interval", "1h", "--json", "--metrics-file", "site.prom"]);
    running.line();
    // They are written after the line.
    while !desk.path("site.prom").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(figure("oms_sync_site_last_cycle_failed"), 0.0);
    assert!(figure("oms_sync_site_last_success_timestamp_seconds") > 1.7e9);
    server.stop().ends(0);
    signal(&running.child, "-HUP");
    assert_eq!(running.line()["outcome"], "failed");
    while figure("oms_sync_site_last_cycle_failed") == 0.0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(figure("oms_sync_site_failures_in_a_row"), 1.0);
    running.end("-TERM", 0);
}

#[test]
fn sighup_begins_a_cycle_now_and_ends_nothing() {
    let desk = Desk::new();
    let server = clinic(&desk);
    let mut running = Running::start(&desk, &["run", "--interval", "1h", "--json"]);
    for number in 1..=3 {
        let line = running.line();
        assert_eq!((&line["cycle"], &line["outcome"]), (&number.into(), &"done".into()), "{line}");
        signal(&running.child, "-HUP");
    }
    assert_eq!(running.line()["cycle"], 4);
    running.end("-TERM", 0);
    server.stop().ends(0);
}

#[test]
fn a_signal_ends_the_cycle_that_runs_in_good_order() {
    let desk = Desk::new();
    let _nobody = clinic(&desk).stop_for_good();
    let mut running = Running::start(&desk, &["run", "--json"]);
    // Without a server the cycle waits between its tries; it is there that the signal meets it.
    assert!(running.err.any(|line| line.contains("trying again")));
    let (lines, _) = running.end("-TERM", 0);
    assert_eq!(lines.len(), 1);
    let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!((&line["outcome"], &line["error"]["code"]), (&"cancelled".into(), &"cancelled".into()));
    assert!(line["next_in_seconds"].is_null(), "{line}");
    let status = desk.run(&["status", "--json"]).ends(0).json();
    assert_eq!(status["last_sync"]["outcome"], "cancelled");
}

/// A program that accepts connections in place of the server, and never answers.
fn silence(address: &str) -> std::thread::JoinHandle<()> {
    let listener = std::net::TcpListener::bind(address.trim_start_matches("http://")).expect("the server's port");
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().flatten().collect();
        drop(held);
    })
}

#[test]
fn a_request_that_nobody_answers_is_broken_off_by_signals_and_by_the_time() {
    use std::time::{Duration, Instant};
    let desk = Desk::new();
    let server = clinic(&desk);
    let address = server.address.clone();
    server.stop().ends(0);
    silence(&address);
    let soon = Duration::from_secs(1) + Duration::from_secs(2);
    for args in [&["sync"][..], &["run"], &["doctor"], &["discover"], &["audit"], &["net"]] {
        let began = Instant::now();
        let said = desk.interrupt(args, Duration::from_secs(1));
        assert!(began.elapsed() < soon, "{args:?}: {:?} {said:?}", began.elapsed());
        assert_eq!(said.status, Some(if args[0] == "run" { 0 } else { 130 }), "{args:?}: {said:?}");
    }
    let began = Instant::now();
    let said = desk.run(&["sync", "--max-time", "1s", "--json"]).ends(0).json();
    assert_eq!(said["outcome"], "partial", "{said}");
    assert!(began.elapsed() < soon, "{:?}", began.elapsed());
}

#[test]
fn what_only_a_person_can_mend_is_said_and_left_alone_for_an_hour() {
    let desk = Desk::new();
    let server = clinic(&desk);
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    let mut running = Running::start(&desk, &["run", "--json", "--interval", "1s"]);
    let line = running.line();
    assert_eq!((&line["outcome"], &line["error"]["code"]), (&"failed".into(), &"incorrect_password".into()));
    assert_eq!((&line["needs_person"], &line["next_in_seconds"]), (&true.into(), &3600.into()), "{line}");
    let (_, hints) = running.end("-TERM", 0);
    assert!(
        hints.iter().any(|hint| hint.contains("oms-sync init") && hint.contains("not go away by itself")),
        "{hints:?}"
    );
    server.stop().ends(0);
}

#[test]
fn people_read_the_same() {
    let desk = Desk::new();
    let _server = clinic(&desk);
    let mut running = Running::start(&desk, &["run", "--interval", "10m"]);
    let line = running.out.next().expect("a line");
    assert!(line.contains(" done: pushed 0, pulled ") && line.ends_with(" s; next in 10 min"), "{line}");
    assert!(running.end("-TERM", 0).0.is_empty());
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let desk = Desk::new();
    let _server = clinic(&desk);
    let mut running = Running::start(&desk, &["run", "--interval", "1s"]);
    drop(running.out);
    assert_eq!(running.child.wait().expect("it ends").code(), Some(0));
}

/// Its later writes would be lost, or would go into a file that nobody finds any more.
#[cfg(unix)]
#[test]
fn a_database_that_is_replaced_or_removed_while_it_runs_ends_it() {
    for removed in [false, true] {
        let desk = Desk::new();
        let server = clinic(&desk);
        let running = ["run", "--interval", "1s", "--json"];
        let mut running = Running::start(&desk, &running);
        assert_eq!(running.line()["outcome"], "done");
        let (path, copy) = (desk.path("oms-sync.sqlite"), desk.path("copy.sqlite"));
        if removed {
            std::fs::remove_file(&path).expect("removed");
        } else {
            std::fs::copy(&path, &copy).and_then(|_| std::fs::rename(&copy, &path)).expect("replaced");
        }
        let (lines, hints): (Vec<String>, Vec<String>) = (running.out.collect(), running.err.collect());
        assert_eq!(running.child.wait().expect("it ends").code(), Some(6), "{lines:?} {hints:?}");
        assert!(lines.iter().any(|line| line.contains("database_replaced")), "{lines:?} {hints:?}");
        assert_eq!(path.exists(), !removed, "nothing is made in its place");
        server.stop().ends(0);
    }
}

#[test]
fn where_there_is_nobody_to_ask_it_does_not_begin() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["run", "--json"]).ends(3).error().0, "no_database");
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let said: Said = desk.run(&["--db", "central.sqlite", "run", "--json"]).ends(3);
    assert_eq!(said.error().0, "wrong_role");
    desk.run(&["run", "--interval", "soon"]).ends(2);
}

/// It moves files, unless it is told not to.
#[test]
fn files_go_with_the_cycles_unless_they_are_to_stay() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["--db", "central.sqlite", "store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", "STORE"];
    desk.run(&add).ends(0);
    let server = desk.serve("central.sqlite");
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    let at = "2026-11-23T08:00:00";
    let asset = format!(r#"{{"id":"a","store_id":"STORE","created_datetime":"{at}","modified_datetime":"{at}"}}"#);
    desk.feed(&["records", "put", "asset"], &asset).ends(0);
    std::fs::write(desk.path("photo"), "bytes").expect("a file");
    desk.run(&["files", "attach", "asset", "a", "photo"]).ends(0);
    let waiting = || desk.run(&["status", "--json"]).ends(0).json()["files_by_state"].clone();
    let before = waiting();

    let mut without = Running::start(&desk, &["run", "--interval", "1s", "--json", "--no-files"]);
    for _ in 0..3 {
        assert_eq!(without.line()["outcome"], "done");
    }
    without.end("-TERM", 0);
    assert_eq!(waiting(), before, "the record went, the file did not");

    let mut with = Running::start(&desk, &["run", "--interval", "1s", "--json"]);
    while waiting() == before {
        with.line();
    }
    with.end("-TERM", 0);
    assert_eq!(waiting()["done"], 1, "{}", waiting());
    let both = desk.run(&["run", "--with-files", "--no-files", "--json"]).ends(2);
    assert_eq!(both.error().0, "usage");
    server.stop().ends(0);
}

/// Another program holds the database, and the cycle waits for it for up to a minute: nothing there sees a signal.
#[test]
fn a_signal_ends_run_while_another_program_holds_the_database() {
    let desk = Desk::new();
    let server = clinic(&desk);
    let held = rusqlite::Connection::open(desk.path("oms-sync.sqlite")).expect("the database");
    held.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    for which in ["-TERM", "-INT"] {
        let child = desk.spawn(&["run", "--json"]);
        // The lock of the cycle is held: it has begun, and its next write waits.
        for _ in 0..1200 {
            let holder = std::fs::read_to_string(desk.path("oms-sync.sqlite.lock")).unwrap_or_default();
            if holder == child.id().to_string() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        signal(&child, which);
        let said = Said::by(child).ends(0);
        // The cycle that waits would end with an error of its own once it gives up.
        assert!(said.out.is_empty(), "{which}: it ended before that: {said:?}");
    }
    held.execute_batch("ROLLBACK").expect("it is let go");
    desk.run(&["sync", "-q"]).ends(0);
    server.stop().ends(0);
}
