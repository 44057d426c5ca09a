//! A normal stop.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::central;
use crate::client::{PUSH, Reply, connect, get, head, push};

#[test]
fn a_request_that_runs_is_finished_and_then_the_server_ends_well() {
    let (desk, server) = central(&[]);
    let body = push("x", "STORE", 100_000);
    let (first, rest) = body.as_bytes().split_at(body.len() / 2);
    let length = body.len().to_string();
    let mut stream = connect(&server.address);
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    stream.write_all(head("POST", PUSH, &headers).as_bytes()).expect("sent");
    stream.write_all(first).expect("sent");
    let silent = connect(&server.address);
    // Until it is certain that both are in work.
    while !get(&server.address, "/metrics").text().contains("\noms_sync_connections 3\n") {
        std::thread::sleep(Duration::from_millis(10));
    }
    server.terminate();
    let address = server.address.trim_start_matches("http://").to_owned();
    while TcpStream::connect(&address).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(rest).expect("still read");
    let reply = Reply::read(&mut stream).expect("an answer");
    assert_eq!(reply.json()["data"]["records_pushed"], 1);
    let said = server.ended().ends(0);
    assert_eq!(said.err, "");
    drop(silent);

    // An acknowledged push is not lost: the next start integrates it.
    let server = desk.serve("central.sqlite");
    let found = ["--db", "central.sqlite", "records", "get", "asset", "x", "--json"];
    while desk.run(&found).status != Some(0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stop().ends(0);
}

#[test]
fn a_push_whose_body_is_cut_off_leaves_nothing() {
    let (desk, server) = central(&[]);
    let body = push("half", "STORE", 1000);
    for cut in [1, body.len() / 2, body.len() - 1] {
        let length = body.len().to_string();
        let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
        let mut stream = connect(&server.address);
        stream.write_all(head("POST", PUSH, &headers).as_bytes()).expect("sent");
        stream.write_all(&body.as_bytes()[..cut]).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        // Any answer except success.
        assert!(Reply::read(&mut stream).is_none_or(|reply| reply.status == 400), "cut at {cut}");
    }
    server.stop().ends(0);
    let database = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a database");
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, (), |row| row.get(0)).expect("a count")
    };
    assert_eq!((rows("sync_buffer"), rows("sync_integration"), rows("asset")), (0, 0, 0));
}

#[cfg(unix)]
#[test]
fn a_database_that_is_removed_while_it_serves_ends_it() {
    let (desk, server) = central(&[]);
    std::fs::remove_file(desk.path("central.sqlite")).expect("removed");
    let said = server.ended().ends(6);
    assert!(said.err.contains("was replaced or removed") || said.out.contains("database_replaced"), "{said:?}");
    assert!(!desk.path("central.sqlite").exists(), "nothing is made in its place");
}

/// systemd starts what needs the server once that answers, and knows a stop that somebody wants.
#[cfg(target_os = "linux")]
#[test]
fn a_service_manager_is_told_when_the_server_answers_and_when_it_stops() {
    use std::os::unix::net::UnixDatagram;
    let desk = crate::support::Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let path = desk.path("notify");
    let told = UnixDatagram::bind(&path).expect("a socket");
    told.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let server = desk.serve_in(&[("NOTIFY_SOCKET", path.to_str().expect("text"))], "central.sqlite", &[]);
    let next = || {
        let mut message = [0; 256];
        let length = told.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!(get(&server.address, "/health").status, 200, "it answers by then");
    server.stop().ends(0);
    assert_eq!(next(), "STOPPING=1");
}
