//! The examples of the library, as they stand there, with a server that is the program.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/background.rs"]
mod background;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/central_in_axum.rs"]
mod central_in_axum;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/embed.rs"]
mod embed;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/own_tables.rs"]
mod own_tables;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/watch.rs"]
mod watch;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use sync_core::transport::{HttpRequest, Method, Transport as _};

use self::support::{Desk, Server};

#[test]
fn the_examples_work_with_a_real_server() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", "STORE_1"];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    own_tables::run(&desk.path("tables.sqlite").to_string_lossy()).expect("a table that follows records");
    let class = r#"{"id":"class-1","name":"Cold chain"}"#;
    desk.feed(&["--db", "central.sqlite", "records", "put", "asset_class", "-q"], class).ends(0);
    let server = desk.serve("central.sqlite");
    let password = std::fs::read_to_string(desk.path("pw")).expect("the password");

    let database = desk.path("app.sqlite");
    let database = database.to_string_lossy();
    embed::run(&[&database, &server.address, "clinic", password.trim()]).expect("a synchronised record");
    let fridge = desk.run(&["--db", "central.sqlite", "records", "get", "asset", "fridge of STORE_1"]);
    assert!(fridge.ends(0).out.contains("vaccine fridge"), "central has it");
    in_the_background(&database, &server);

    let position = desk.path("app.position");
    let lines = || watch::changes(&database, &position.to_string_lossy(), Duration::from_millis(10)).expect("changes");
    let expected = ["asset_class class-1: Upsert by Central", "asset fridge of STORE_1: Upsert by Host"];
    assert_eq!(lines(), expected);
    assert!(lines().is_empty(), "they are told once");

    // What another process writes wakes the one that waits.
    let found = std::thread::scope(|threads| {
        let waits = threads.spawn(|| {
            watch::changes(&database, &position.to_string_lossy(), Duration::from_secs(60))
                .map_err(|error| error.to_string())
        });
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waits.is_finished(), "nothing changed yet");
        let other = r#"{"id":"other","store_id":"STORE_1","created_datetime":"2026-11-23T08:00:00","modified_datetime":"2026-11-23T08:00:00"}"#;
        desk.feed(&["--db", "app.sqlite", "records", "put", "asset"], other).ends(0);
        waits.join().expect("no panic")
    });
    assert_eq!(found.expect("changes"), ["asset other: Upsert by Host"]);
}

/// The driver synchronises, is cancelled while the server is silent, and goes on.
fn in_the_background(database: &str, server: &Server) {
    let (shown, lines) = mpsc::channel();
    let up_to = |expected: &str| {
        let mut seen = Vec::new();
        loop {
            let line: String =
                lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("no {expected}: {seen:?}"));
            seen.push(line);
            if seen.last().is_some_and(|line| line.starts_with(expected)) {
                return seen;
            }
        }
    };
    std::thread::scope(|threads| {
        // Dropped at the latest when this fails, so that the driver ends.
        let (wish, wishes) = mpsc::channel();
        let driver = threads.spawn(move || {
            let show = move |line| drop(shown.send(line));
            background::run(database, wishes, show).map_err(|error| error.to_string())
        });
        let first = up_to("done");
        assert!(first.iter().any(|line| line.contains(" of ")), "it shows progress: {first:?}");
        server.signal("-STOP");
        wish.send(background::Wish::SyncNow).expect("it runs");
        up_to("Prepare");
        std::thread::sleep(Duration::from_millis(100));
        let asked = Instant::now();
        wish.send(background::Wish::Cancel).expect("it runs");
        up_to("stopped by the user");
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        server.signal("-CONT");
        wish.send(background::Wish::SyncNow).expect("it runs");
        up_to("done");
        wish.send(background::Wish::Quit).expect("it runs");
        driver.join().expect("no panic").expect("it ends in good order");
    });
}

#[test]
fn the_program_synchronises_with_a_central_server_in_an_app() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", "STORE_1"];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    let database = desk.path("central.sqlite");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = runtime.spawn(async move {
        let database = database.to_string_lossy().into_owned();
        central_in_axum::run(&database, listener, async { drop(ended.await) }).await.map_err(|error| error.to_string())
    });

    desk.run(&["init", "--legacy-url", &address, "--site", "clinic", "--password-file", "pw"]).ends(0);
    desk.run(&["sync"]).ends(0);
    let fridge = r#"{"id":"fridge","store_id":"STORE_1","notes":"in axum","created_datetime":"2026-11-23T08:00:00","modified_datetime":"2026-11-23T08:00:00"}"#;
    desk.feed(&["records", "put", "asset"], fridge).ends(0);
    desk.run(&["sync"]).ends(0);
    let page = sync_core::transport::HttpTransport::default();
    let page = page.send(&HttpRequest {
        method: Method::Get,
        url: format!("{address}/"),
        headers: Vec::new(),
        body: Vec::new(),
    });
    let page = String::from_utf8_lossy(&page.expect("a page").body).into_owned();
    assert_eq!(page, "fridge: in axum\n", "the app reads what came");
    end.send(()).expect("it serves");
    runtime.block_on(serving).expect("it ends").expect("in good order");
    let there = desk.run(&["--db", "central.sqlite", "records", "get", "asset", "fridge"]);
    assert!(there.ends(0).out.contains("in axum"), "central has it");
}
