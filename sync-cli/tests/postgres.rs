//! A central server whose database is on a PostgreSQL server: real processes, and a site that does not notice.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::time::Duration;

use serde_json::Value;
use sync_testkit::{PostgresServer, TestDatabase};

use self::support::{Desk, HARDWARE_ID, IN_ADDRESS, Said};

/// A database with a site in its list; `None` where there is no PostgreSQL.
fn central(desk: &Desk) -> Option<TestDatabase> {
    let database = PostgresServer::of_this_process()?.new_database();
    let db = database.address();
    desk.run(&["--db", &db, "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    Some(database)
}

fn asset(id: &str, store: &str) -> String {
    let at = "2026-11-28T08:00:00";
    format!(r#"{{"id":"{id}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#)
}

#[test]
fn a_site_pushes_and_pulls_and_survives_the_end_of_both_servers() {
    let desk = Desk::new();
    let Some(database) = central(&desk) else { return };
    let db = database.address();
    let db = db.as_str();
    let add = ["--db", db, "store", "add", "Clinic", "--code", "C", "--site", "clinic", "--json"];
    let store = desk.run(&add).ends(0).json()["store_id"].as_str().expect("an id").to_owned();
    let server = desk.serve(db);
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    desk.run(&["sync"]).ends(0);
    desk.feed(&["records", "put", "asset"], &asset("a", &store)).ends(0);
    let report = desk.run(&["sync", "--json"]).ends(0).json();
    assert_eq!(report["pushed"], 1, "{report}");
    let found = ["--db", db, "records", "get", "asset", "a", "--json"];
    while desk.run(&found).status != Some(0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // What PostgreSQL cuts is connected again, also that of the lock.
    database.server().sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'", database.name()),
    );
    // Until the server has its lock again, a migration could begin.
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4 AND granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.sql(locks) != "1" {
        std::thread::sleep(Duration::from_millis(20));
    }
    desk.feed(&["--db", db, "records", "put", "asset_class"], r#"{"id":"c","name":"Cold chain"}"#).ends(0);
    desk.run(&["sync"]).ends(0);
    assert_eq!(
        desk.run(&["records", "get", "asset_class", "c", "--json"]).ends(0).json()["data"]["name"],
        "Cold chain"
    );
    let second = desk.serve(db);
    assert_eq!(database.sql(locks), "2", "a second one serves beside it");
    second.stop().ends(0);
    let status = desk.run(&["--db", db, "status", "--json"]).ends(0).json();
    assert_eq!(status["role"], "central", "{status}");
    assert!(server.kill(), "it runs still");
    // What it held ended with it.
    let server = desk.serve(db);
    let sites = desk.run(&["--db", db, "site", "list", "--json"]).ends(0);
    assert!(sites.out.contains("clinic"), "{sites:?}");
    server.stop().ends(0);
}

/// Waits until the central database says so in SQL.
fn wait_until(database: &TestDatabase, sql: &str, answer: &str) {
    while database.sql(sql) != answer {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One server stops in the middle of a transaction, with the lock of all writers: the other one goes on serving, no request of a
/// site fails, and what the first one was told arrives once it wakes up.
#[test]
fn a_server_that_hangs_in_a_transaction_does_not_keep_the_other_one_waiting() {
    const MANY: usize = 4000;
    let desk = Desk::new();
    let Some(database) = central(&desk) else { return };
    let db = database.address();
    desk.run(&["--db", &db, "site", "add", "other", "--password-file", "pw"]).ends(0);
    for site in ["clinic", "other"] {
        desk.run(&["--db", &db, "store", "add", site, "--code", site, "--site", site, "--id", site]).ends(0);
    }
    let (hangs, serves) = (desk.serve(&db), desk.serve(&db));
    for (site, server) in [("clinic", &serves), ("other", &hangs)] {
        let init = ["--db", site, "init", "--legacy-url", &server.address, "--site", site, "--password-file", "pw"];
        desk.run(&init).ends(0);
        desk.run(&["--db", site, "sync", "-q"]).ends(0);
    }
    let many: Vec<String> = (0..MANY).map(|n| asset(&format!("other {n}"), "other")).collect();
    desk.feed(&["--db", "other", "records", "put", "asset"], &many.join("\n")).ends(0);
    let pushes = desk.spawn(&["--db", "other", "sync", "-q"]);
    // In the middle of its work: it has written some hundred rows that nobody else sees.
    wait_until(
        &database,
        "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' \
         AND l.objid = 1 AND l.granted AND a.xact_start < clock_timestamp() - interval '300 ms' \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        "t",
    );
    hangs.signal("-STOP");
    desk.feed(&["--db", "clinic", "records", "put", "asset"], &asset("x", "clinic")).ends(0);
    let report = desk.run(&["--db", "clinic", "sync", "--json"]).ends(0).json();
    assert_eq!(report["pushed"], 1, "{report}");
    desk.run(&["--db", &db, "records", "get", "asset", "x"]).ends(0);
    hangs.signal("-CONT");
    let said = Said::by(pushes);
    if said.status != Some(0) {
        desk.run(&["--db", "other", "sync", "-q"]).ends(0);
    }
    wait_until(&database, "SELECT count(*) FROM sync_integration", "0");
    let found = database.sql("SELECT count(*), count(DISTINCT cursor) FROM sync_record WHERE table_name = 'asset'");
    assert_eq!(found, format!("{0}|{0}", MANY + 1));
    hangs.stop().ends(0);
    serves.stop().ends(0);
}

#[test]
fn what_does_not_work_on_a_server_says_why() {
    let desk = Desk::new();
    let Some(database) = central(&desk) else { return };
    let db = database.address();
    for (command, why) in [
        (&["backup", "to"][..], "pg_dump"),
        (&["serve", "--listen", "127.0.0.1:0", "--backup-to", "to"], "pg_dump"),
        (&["cursor", "rewind", "pull"], "pg_dump"),
    ] {
        let said = desk.run(&[&["--db", &db], command].concat()).ends(2);
        assert!(said.err.contains(why), "{command:?}: {said:?}");
    }
    let found = desk.run(&["--db", &db, "doctor", "--json"]).ends(0).json();
    assert_eq!(found["outcome"], "ok", "{found}");
    assert!(found["checks"].as_array().is_some_and(|checks| checks.iter().any(|check| check["name"] == "quarantine")));
    let parts = desk.run(&["--db", &db, "bundle", "all.tar.gz", "--json"]).ends(0).json();
    let parts = parts["parts"].as_array().expect("parts");
    assert!(parts.len() > 10 && parts.iter().all(|part| part["error"].is_null()), "{parts:?}");
    let offline = desk.run(&["--db", &db, "bundle", "offline.tar.gz", "--offline", "--json"]).ends(0).json();
    assert!(offline["bytes"].as_u64() > Some(0), "{offline}");
    // Without a legacy server there is no line that could be measured, as with a file.
    assert_eq!(desk.run(&["--db", &db, "net", "--json"]).ends(3).error().0, "wrong_role");
    let said = desk.run(&["--db", "postgres://oms@127.0.0.1:9/central", "doctor", "--json"]).ends(6);
    assert_eq!(said.error().0, "database_unreachable");
    let said = desk.run(&["--db", "postgres://oms@127.0.0.1:9/central", "status", "--json"]).ends(6);
    assert_eq!(said.error().0, "database_unreachable");
    let empty = PostgresServer::of_this_process().expect("it runs").new_database();
    assert_eq!(desk.run(&["--db", &empty.address(), "status", "--json"]).ends(3).error().0, "no_database");
}

/// Also where there is no PostgreSQL. The desk fails if an output has the password.
#[test]
fn a_password_in_an_address_is_refused_on_the_command_line_and_shown_nowhere() {
    let desk = Desk::new();
    let address = format!("postgres://oms:{IN_ADDRESS}@127.0.0.1:9/central");
    let said = desk.run(&["--db", &address, "status", "--json"]).ends(2);
    assert!(said.json()["error"]["message"].as_str().is_some_and(|message| message.contains("PGPASSWORD")), "{said:?}");
    let env = [("OMS_SYNC_DB", address.as_str())];
    for args in
        [&["status", "-v"][..], &["status", "--json"], &["--help"], &["doctor"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let said = desk.run_with(&env, args);
        assert!(args == ["--help"] || said.status != Some(0), "{said:?}");
    }
    for broken in
        [format!("postgres://oms:{IN_ADDRESS}@h/c?sslmode=prefer"), format!("postgres://oms:{IN_ADDRESS}@@/c")]
    {
        let said = desk.run_with(&[("OMS_SYNC_DB", &broken)], &["status", "--json"]).ends(2);
        assert_eq!(said.json()["error"]["code"], Value::from("bad_input"));
    }
}
