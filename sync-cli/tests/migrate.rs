//! `migrate`: a central server's database goes to PostgreSQL and back, with real processes, and its site does not notice.

#[path = "kill/random.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod random;
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use sync_testkit::{PostgresServer, TestDatabase};

use self::random::Random;
use self::support::{Desk, Said, kill, signal};

/// A new, empty database; `None` where there is no PostgreSQL.
fn database() -> Option<TestDatabase> {
    Some(PostgresServer::of_this_process()?.new_database())
}

fn asset(id: &str, store: &str) -> String {
    let at = "2026-11-28T08:00:00";
    format!(r#"{{"id":"{id}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#)
}

/// A site that is set up at a central server in a file, and has synchronised; the server is stopped.
struct Clinic {
    desk: Desk,
    store: String,
    /// Where the server listens, whatever its database.
    address: String,
}

/// A central server that runs at the clinic's address, until it is dropped.
struct Serving(Child);

impl Serving {
    fn stop(mut self) {
        signal(&self.0, "-INT");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Clinic {
    fn new() -> Self {
        let desk = Desk::new();
        let (server, store) = desk.serve_a_clinic();
        desk.run(&["sync"]).ends(0);
        desk.feed(&["records", "put", "asset"], &asset("kept", &store)).ends(0);
        let class = r#"{"id":"c","name":"C\u00f4te"}"#;
        desk.feed(&["--db", "central.sqlite", "records", "put", "asset_class"], class).ends(0);
        desk.run(&["sync"]).ends(0);
        let add = ["--db", "central.sqlite", "--json", "store", "add", "Depot", "--code", "D", "--site", "clinic"];
        let gone = desk.run(&add).ends(0).json()["store_id"].as_str().expect("an id").to_owned();
        desk.run(&["--db", "central.sqlite", "store", "remove", &gone]).ends(0);
        // What is integrated in the background is not sent back, but is read over.
        let began = Instant::now();
        while desk.run(&["--db", "central.sqlite", "records", "get", "asset", "kept"]).status != Some(0) {
            assert!(began.elapsed() < Duration::from_secs(60), "it was not integrated");
            std::thread::sleep(Duration::from_millis(20));
        }
        desk.run(&["sync"]).ends(0);
        let address = server.address.trim_start_matches("http://").to_owned();
        server.stop().ends(0);
        Self { desk, store, address }
    }

    fn serve(&self, db: &str) -> Serving {
        let serving = Serving(self.desk.spawn(&["--db", db, "--files", "files", "serve", "--listen", &self.address]));
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        serving
    }

    /// The site reads nothing again and pushes nothing again, and the next edits of both ends arrive.
    fn goes_on(&self, db: &str, id: &str) {
        let server = self.serve(db);
        let idle = self.desk.run(&["sync", "--json"]).ends(0).json();
        for nothing in ["pulled", "pushed", "integrated"] {
            assert_eq!(idle[nothing], 0, "{idle}");
        }
        assert_eq!(idle["requests"], 1, "{idle}");
        assert_eq!(idle["warnings"].as_array().map(Vec::len), Some(0), "{idle}");
        self.desk.feed(&["records", "put", "asset"], &asset(id, &self.store)).ends(0);
        let class = format!(r#"{{"id":"class-{id}","name":"of central"}}"#);
        self.desk.feed(&["--db", db, "--files", "files", "records", "put", "asset_class"], &class).ends(0);
        self.desk.run(&["sync"]).ends(0);
        self.desk.run(&["records", "get", "asset_class", &format!("class-{id}")]).ends(0);
        let began = Instant::now();
        while self.desk.run(&["--db", db, "--files", "files", "records", "get", "asset", id]).status != Some(0) {
            assert!(began.elapsed() < Duration::from_secs(60), "it was not integrated");
            std::thread::sleep(Duration::from_millis(20));
        }
        server.stop();
    }

    fn migrate(&self, from: &str, to: &str) -> Said {
        migrate(&self.desk, from, to)
    }
}

fn migrate(desk: &Desk, from: &str, to: &str) -> Said {
    desk.run(&["--files", "files", "--json", "migrate", from, to])
}

/// The tables of a report, each with its rows and their digest.
fn tables(said: Said) -> Value {
    said.ends(0).json()["tables"].take()
}

fn rows(tables: &Value, table: &str) -> u64 {
    let found = tables.as_array().expect("a list").iter().find(|found| found["table"] == table);
    found.and_then(|found| found["rows"].as_u64()).expect("a number")
}

#[test]
fn a_site_goes_on_after_a_migration_and_after_the_way_back_without_reading_anything_again() {
    let Some(database) = database() else { return };
    let clinic = Clinic::new();
    let (db, desk) = (database.address(), &clinic.desk);
    let there = tables(clinic.migrate("central.sqlite", &db));
    assert!(rows(&there, "sync_record") > 2 && rows(&there, "sync_change") > 0, "{there}");
    assert_eq!(rows(&there, "sync_site"), 1, "{there}");
    assert!(rows(&there, "sync_pushed") > 0 && rows(&there, "sync_log") > 0, "{there}");

    // The original says where it is now, can be read, and is served by nobody.
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["site", "add", "other", "--password-file", "pw"]] {
        let said = desk.run(&[&["--db", "central.sqlite", "--json"], command].concat()).ends(3);
        assert_eq!(said.error(), ("database_moved".to_owned(), "configure".to_owned()), "{said:?}");
        assert!(said.out.contains(database.name()), "{said:?}");
    }
    assert_eq!(desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json()["role"], "central");
    assert_eq!(clinic.migrate("central.sqlite", &db).ends(3).error().0, "database_moved");

    clinic.goes_on(&db, "there");
    let back = clinic.migrate(&db, "back.sqlite").ends(0).json();
    assert_eq!(back["resumed"], false, "{back}");
    assert!(rows(&back["tables"], "sync_record") > rows(&there, "sync_record"), "{back}");
    let said = desk.run(&["--db", &db, "--files", "files", "serve", "--json", "--listen", "127.0.0.1:0"]).ends(3);
    assert_eq!(said.error().0, "database_moved");
    desk.run(&["--db", &db, "status", "--json"]).ends(0);
    clinic.goes_on("back.sqlite", "back");
    // Nothing takes it for a restored database, or for a copy.
    let file = rusqlite::Connection::open(desk.path("back.sqlite")).expect("a file");
    let sql = "SELECT count(*) FROM sync_state WHERE key IN ('lost', 'file_came_here')";
    assert_eq!(file.query_row(sql, (), |row| row.get::<_, i64>(0)).expect("a number"), 0);
}

#[test]
fn what_went_there_and_back_is_the_same() {
    let (Some(database), Some(again)) = (database(), database()) else { return };
    let clinic = Clinic::new();
    // Quarantine and staged work, with characters that PostgreSQL cannot store as they are.
    let file = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("a file");
    for (id, state, reason) in
        [("a\0b", "staged", None), ("a\u{1}", "refused", Some("\u{1}\u{2}\0")), ("\u{10ffff}", "failed", None)]
    {
        let sql = "INSERT INTO sync_buffer (source, table_name, record_id, action, data, received_at, cursor, state, reason, known_here) \
                   VALUES ('site 1', 'asset', ?1, 'upsert', '{\"a\": 1.50}', '2026-11-28T08:00:00.000Z', 7, ?2, ?3, 0)";
        file.execute(sql, (id, state, reason)).expect("a row");
    }
    drop(file);
    let there = tables(clinic.migrate("central.sqlite", &database.address()));
    assert_eq!(rows(&there, "sync_buffer"), 3, "{there}");
    assert_eq!(tables(clinic.migrate(&database.address(), "back.sqlite")), there);
    assert_eq!(tables(clinic.migrate("back.sqlite", &again.address())), there);
    let class = ["--db", &again.address(), "--json", "records", "get", "asset_class", "c"];
    assert_eq!(clinic.desk.run(&class).ends(0).json()["data"]["name"], "C\u{f4}te");
    // Numbers go on where they were, and counts are those of the rows.
    assert_eq!(again.sql("SELECT nextval(pg_get_serial_sequence('sync_buffer', 'sequence')) > (SELECT max(sequence) FROM sync_buffer)"), "t");
    let counted = "SELECT sum(rows) FROM sync_count WHERE audience NOT LIKE 'patients of %'";
    let here = "SELECT count(*) FROM (SELECT audience FROM sync_record UNION ALL SELECT audience FROM sync_change) a \
                WHERE audience IS NOT NULL AND audience <> 'patient'";
    assert_eq!(again.sql(counted), again.sql(here));
    let file = rusqlite::Connection::open(clinic.desk.path("back.sqlite")).expect("a file");
    let number = |sql: &str| file.query_row(sql, (), |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(number(counted), number(here));
    let given = "SELECT seq FROM sqlite_sequence WHERE name = 'sync_buffer'";
    assert!(number(given) >= number("SELECT max(sequence) FROM sync_buffer"));
}

#[test]
fn what_cannot_be_migrated_is_refused_and_changed_in_nothing() {
    let Some(database) = database() else { return };
    let clinic = Clinic::new();
    let (db, desk) = (database.address(), &clinic.desk);
    let code = |from: &str, to: &str, status| migrate(desk, from, to).ends(status).error().0;
    assert_eq!(code("central.sqlite", "other.sqlite", 2), "bad_input");
    assert_eq!(code(&db, &db, 2), "bad_input");
    assert_eq!(code("oms-sync.sqlite", &db, 3), "wrong_role");
    assert_eq!(code("none.sqlite", &db, 3), "no_database");
    assert_eq!(code(&db, "other.sqlite", 3), "no_database");
    assert!(!desk.path("other.sqlite").exists() && !desk.path("none.sqlite").exists());
    assert_eq!(database.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'sync_%'"), "0");

    // Served, as a file and on a server.
    let server = clinic.serve("central.sqlite");
    assert_eq!(code("central.sqlite", &db, 7), "served_already");
    server.stop();
    let other = database.server().new_database();
    desk.run(&["--db", &other.address(), "site", "add", "other", "--password-file", "pw"]).ends(0);
    let server = desk.serve(&other.address());
    assert_eq!(code(&other.address(), "other.sqlite", 7), "served_already");
    server.stop().ends(0);

    // In use, and of another program.
    assert_eq!(code("central.sqlite", &other.address(), 2), "migration_target_used");
    assert_eq!(code(&other.address(), "central.sqlite", 2), "migration_target_used");
    let foreign = database.server().new_database();
    foreign.sql("CREATE TABLE item (id text)");
    assert_eq!(code("central.sqlite", &foreign.address(), 6), "not_a_database");

    // Other schemas.
    database.sql("CREATE TABLE sync_schema (version bigint); INSERT INTO sync_schema VALUES (1000)");
    assert_eq!(code("central.sqlite", &db, 5), "database_too_new");
    let file = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a file");
    file.pragma_update(None, "user_version", 8).expect("written");
    drop(file);
    let said = migrate(desk, "central.sqlite", &foreign.address()).ends(2);
    assert!(said.out.contains("schema 8"), "{said:?}");
    let file = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a file");
    file.pragma_update(None, "user_version", 9).expect("written");
    file.execute_batch("CREATE TABLE notes (id TEXT)").expect("written");
    drop(file);
    let empty = database.server().new_database();
    assert!(migrate(desk, "central.sqlite", &empty.address()).ends(2).out.contains("tables of an app"));
    let file = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a file");
    file.execute_batch("DROP TABLE notes").expect("written");
    drop(file);
    clinic.goes_on("central.sqlite", "unchanged");
}

#[test]
fn a_copy_that_was_changed_is_noticed_and_its_original_stays_in_use() {
    let Some(database) = database() else { return };
    let clinic = Clinic::new();
    let db = database.address();
    clinic.migrate("central.sqlite", &db).ends(0);
    clinic.desk.run(&["migrate", "--undo", "central.sqlite", &db]).ends(0);
    database.sql("UPDATE sync_record SET data = '{}' WHERE table_name = 'asset_class'; DELETE FROM sync_site");
    // As if the original was not used since.
    let file = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("a file");
    let commits = "SELECT CAST(value AS INTEGER) FROM sync_state WHERE key = 'commits'";
    let commits: i64 = file.query_row(commits, (), |row| row.get(0)).expect("a number");
    database.sql(&format!(
        "UPDATE sync_state SET value = jsonb_set(value::jsonb, '{{commits}}', '{commits}')::text WHERE key = 'copied_from'"
    ));
    drop(file);
    // The site's row is copied again, and the changed record is found.
    let said = clinic.migrate("central.sqlite", &db).ends(6);
    assert_eq!(said.error().0, "migration_differs");
    assert!(said.out.contains("sync_record: 1 row, ") && !said.out.contains("sync_site"), "{said:?}");
    let unfinished = clinic.desk.run(&["--db", &db, "status", "--json"]).ends(3);
    assert_eq!(unfinished.error().0, "migration_unfinished");
    clinic.goes_on("central.sqlite", "unchanged");
    // It was used since, so the copy begins anew.
    assert_eq!(clinic.migrate("central.sqlite", &db).ends(0).json()["resumed"], false);
    clinic.goes_on(&db, "there");
}

#[test]
fn a_migration_is_undone_until_the_copy_is_used_and_after_that_counts_as_a_restore() {
    let Some(database) = database() else { return };
    let clinic = Clinic::new();
    let (db, desk) = (database.address(), &clinic.desk);
    assert_eq!(desk.run(&["migrate", "--undo", "central.sqlite", &db, "--json"]).ends(2).error().0, "bad_input");
    clinic.migrate("central.sqlite", &db).ends(0);
    desk.run(&["migrate", "--undo", "central.sqlite", &db]).ends(0);
    assert_eq!(desk.run(&["--db", &db, "status", "--json"]).ends(3).error().0, "migration_unfinished");
    clinic.goes_on("central.sqlite", "undone");
    clinic.migrate("central.sqlite", &db).ends(0);
    clinic.goes_on(&db, "there");
    let said = desk.run(&["migrate", "--undo", "central.sqlite", &db, "--json"]).ends(2);
    assert!(said.out.contains("was used since"), "{said:?}");
    // The server's database is lost: the site sends what went there again.
    desk.run(&["migrate", "--undo", "central.sqlite"]).ends(0);
    let server = clinic.serve("central.sqlite");
    let healed = || desk.run(&["--db", "central.sqlite", "records", "get", "asset", "there"]).status == Some(0);
    let began = Instant::now();
    while !healed() {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not sent again");
        desk.run(&["sync"]);
    }
    server.stop();
}

/// A backup from before the migration would give out the numbers that the copy has given out.
#[test]
fn a_backup_from_before_the_migration_is_recognised_where_it_is_put_back() {
    let Some(database) = database() else { return };
    let clinic = Clinic::new();
    let (db, desk) = (database.address(), &clinic.desk);
    let (path, backup) = (desk.path("central.sqlite"), desk.path("backup.sqlite"));
    std::fs::copy(&path, &backup).expect("a copy");
    clinic.migrate("central.sqlite", &db).ends(0);
    clinic.goes_on(&db, "there");
    std::fs::rename(&backup, &path).expect("put back");
    desk.run(&["--db", "central.sqlite", "status"]).ends(0);
    let file = rusqlite::Connection::open(&path).expect("a file");
    let lost = "SELECT value FROM sync_state WHERE key = 'lost'";
    let lost: String = file.query_row(lost, (), |row| row.get(0)).expect("it counts as restored");
    let (after, before) = lost.trim().split_once(' ').expect("a gap");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    assert!(number(before) > number(after) + 10_000, "{lost}");
}

#[test]
fn a_migration_that_was_killed_at_any_moment_goes_on() {
    const ROUNDS: usize = 4;
    const RECORDS: usize = 12_000;
    if PostgresServer::of_this_process().is_none() {
        return;
    }
    let mut random = Random::new(19);
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let classes: String = (0..RECORDS)
        .map(|n| format!("{{\"id\":\"class-{n:05}\",\"name\":\"Class {n} {}\"}}\n", "x".repeat(200)))
        .collect();
    desk.feed(&["--db", "central.sqlite", "records", "put", "asset_class"], &classes).ends(0);
    let began = Instant::now();
    let first = database().expect("a server");
    let expected = tables(migrate(&desk, "central.sqlite", &first.address()));
    let whole = began.elapsed();
    assert!(rows(&expected, "sync_record") >= RECORDS as u64, "{expected}");

    let (mut from, mut kills, mut resumed) = (first.address(), 0, 0);
    let mut used = Vec::new();
    for round in 0..2 * ROUNDS {
        let to = if round % 2 == 0 {
            format!("back-{round}.sqlite")
        } else {
            let database = database().expect("a server");
            let address = database.address();
            used.push(database);
            address
        };
        loop {
            let mut child = desk.spawn(&["--files", "files", "--json", "-q", "migrate", &from, &to]);
            std::thread::sleep(random.part_of(whole));
            if kill(&mut child) {
                kills += 1;
                continue;
            }
            let said = Said::by(child);
            // It was killed between its last commit and its last word.
            if said.status == Some(3) {
                assert_eq!(said.error().0, "database_moved", "{said:?}");
                break;
            }
            let report = said.ends(0).json();
            assert_eq!(report["tables"], expected, "round {round}");
            resumed += usize::from(report["resumed"] == true);
            break;
        }
        desk.run(&["--db", &to, "--files", "files", "status", "--json"]).ends(0);
        from = to;
    }
    println!("{kills} kills, {resumed} of {} migrations were continued", 2 * ROUNDS);
    assert!(kills > ROUNDS && resumed > 0, "{kills} kills, {resumed} continued");
    assert_eq!(tables(migrate(&desk, &from, "last.sqlite")), expected);
}
