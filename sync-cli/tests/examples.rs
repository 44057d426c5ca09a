//! The examples of the library, as they stand there, with a server that is the program.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/background.rs"]
mod background;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/embed.rs"]
mod embed;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/own_tables.rs"]
mod own_tables;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../../sync-core/examples/watch.rs"]
mod watch;

use std::time::Duration;

use self::support::Desk;

#[test]
fn the_examples_work_with_a_real_server() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", "STORE_1"];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    own_tables::run(&desk.path("central.sqlite").to_string_lossy()).expect("a table that follows records");
    let server = desk.serve("central.sqlite");
    let password = std::fs::read_to_string(desk.path("pw")).expect("the password");

    let database = desk.path("app.sqlite");
    let database = database.to_string_lossy();
    embed::run(&[&database, &server.address, "clinic", password.trim()]).expect("a synchronised record");
    let fridge = desk.run(&["--db", "central.sqlite", "records", "get", "asset", "fridge of STORE_1"]);
    assert!(fridge.ends(0).out.contains("vaccine fridge"), "central has it");
    assert_eq!(background::run(&database).expect("a cycle"), "done");

    let position = desk.path("app.position");
    let lines = || watch::changes(&database, &position.to_string_lossy(), Duration::from_millis(10)).expect("changes");
    let expected = ["asset_class class-1: Upsert by Central", "asset fridge of STORE_1: Upsert by Host"];
    assert_eq!(lines(), expected);
    assert!(lines().is_empty(), "they are told once");
}
