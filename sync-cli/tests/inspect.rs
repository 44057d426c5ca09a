//! `inspect` on databases of real Open mSupply servers.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use sync_core::clock::{Clock as _, SystemClock};

use self::support::{Desk, IN_ADDRESS, Said};

const SITE: &str = include_str!("../../fixtures/databases/site.sql");
const CENTRAL: &str = include_str!("../../fixtures/databases/central.sql");
/// Secrets that no output may hold: the password hash of the fixtures, and the secret that signs their tokens.
const SECRETS: [&str; 2] = [HASH, "redacted"];
const HASH: &str = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";

/// A database as the server left it, with further changes.
fn database(desk: &Desk, name: &str, content: &str, then: &str) -> Connection {
    let connection = Connection::open(desk.path(name)).expect("a database");
    // The fixtures hold a part of the tables.
    let content = format!("PRAGMA foreign_keys = OFF; BEGIN; {content}; {then}; COMMIT;");
    connection.execute_batch(&content).expect("sound SQL");
    connection
}

/// Inspects a database; no secret may be in the output, and the file must be unchanged.
fn inspect(desk: &Desk, name: &str, status: i32) -> (Value, Said) {
    let state = |path: &Path| {
        let names = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder");
        let names = names.map(|entry| entry.expect("an entry").file_name());
        (std::fs::read(path).expect("a file"), names.collect::<std::collections::BTreeSet<_>>())
    };
    let before = state(&desk.path(name));
    let said = desk.run(&["inspect", name, "--json"]).ends(status);
    let plain = desk.run(&["inspect", name]).ends(status);
    assert!(state(&desk.path(name)) == before, "the database or its folder was changed");
    for secret in SECRETS {
        assert!(!said.out.contains(secret) && !plain.out.contains(secret) && !plain.err.contains(secret));
    }
    assert!(plain.out.lines().all(|line| line.chars().count() <= 80), "{}", plain.out);
    (said.json(), plain)
}

fn group<'v>(found: &'v Value, table: &str) -> &'v Value {
    let groups = found["buffer"]["stuck"].as_array().expect("a list");
    groups.iter().find(|group| group["table"] == table).unwrap_or_else(|| panic!("no {table}: {groups:?}"))
}

#[test]
fn a_site_whose_vaccine_courses_wait_for_an_item_and_a_program() {
    let desk = Desk::new();
    drop(database(&desk, "site.sqlite", SITE, ""));
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    assert_eq!((&found["role"], &found["site_id"], &found["version"]), (&json!("remote"), &json!(3), &json!("2.19.0")));
    assert_eq!((&found["site_name"], &found["legacy_site_id"]), (&json!("site_a"), &json!(1)));
    assert_eq!(found["initialisation"], "initialised");
    assert_eq!(found["stores"], json!([{ "store_id": "STORE_SITE_A", "code": "SITE_A" }]));
    assert_eq!(
        found["cursors"],
        json!({ "pull_central": 10, "pull_v6": 100315, "push": 306, "push_v6": 306, "changelog_end": 338, "doubts": [] })
    );
    assert_eq!(found["waiting_by_table"], json!([]), "rows written by sync are not pushed");

    let stuck = found["buffer"]["stuck"].as_array().expect("a list");
    assert_eq!(stuck.len(), 7);
    assert!(stuck.iter().all(|group| group["cause"] == "missing_parent" && group["records"] == 1), "{stuck:?}");
    let item = "7A1C4E2B9D034F7C8E5A61B2C3D4E5F6";
    let lacks =
        |table: &str, id: &str, state: &str| json!({ "table": table, "id": id, "needed_by": 1, "state": state });
    assert_eq!(group(&found, "item_variant")["missing_records"], json!([lacks("item", item, "never_arrived")]));
    assert_eq!(
        group(&found, "vaccine_course")["missing_records"],
        json!([lacks("program", "program_imm_01", "never_arrived")])
    );
    let course = lacks("vaccine_course", "01a695c8-2f65-7c73-9a1b-6e7d89fa6012", "stuck_itself");
    assert_eq!(group(&found, "vaccine_course_dose")["missing_records"], json!([course]));
    assert_eq!(
        group(&found, "ancillary_item")["missing_records"],
        json!([
            lacks("item", "1D2E3F405162738495A6B7C8D9E0F1A2", "never_arrived"),
            lacks("item", item, "never_arrived")
        ])
    );
    assert!(group(&found, "item_variant")["reason"].as_str().expect("text").starts_with("ForeignKeyViolation"));

    let roots = found["buffer"]["never_arrived"].as_array().expect("a list");
    assert_eq!((roots.len(), &roots[0]["id"], &roots[0]["needed_by"]), (3, &json!(item), &json!(3)));
    assert_eq!(found["last_success"], "2026-11-23T09:38:53.770Z");
    let cycle = &found["cycles"][0];
    assert_eq!((&cycle["outcome"], &cycle["seconds"], &cycle["error"]), (&json!("done"), &json!(2), &Value::Null));
    assert_eq!(found["file_counts"][0]["direction"], "download");
    assert_eq!((&found["file_counts"][0]["status"], &found["file_counts"][0]["files"]), (&json!("new"), &json!(2)));
    assert!(plain.out.contains("lacks program program_imm_01, which never arrived here"), "{}", plain.out);
    assert!(plain.out.contains("Nothing waits to be pushed."), "{}", plain.out);
}

#[test]
fn a_central_server_with_records_that_its_sites_pushed_and_it_could_not_take() {
    let desk = Desk::new();
    drop(database(&desk, "central.sqlite", CENTRAL, ""));
    let (found, plain) = inspect(&desk, "central.sqlite", 1);
    assert_eq!((&found["role"], &found["site_id"]), (&json!("central"), &json!(2)));
    assert_eq!(found["role_because"], "sites have pushed to it");
    assert_eq!((&found["cursors"]["pull_v6"], &found["cursors"]["push_v6"]), (&Value::Null, &Value::Null));
    for (table, cause) in [
        ("asset", "bad_data"),
        ("name_store_join", "ignored"),
        ("no_such_table", "unknown_table"),
        ("system_log", "duplicate"),
    ] {
        let group = group(&found, table);
        assert_eq!((&group["cause"], &group["from_site"], &group["records"]), (&json!(cause), &json!(4), &json!(1)));
    }
    assert_eq!(group(&found, "name_store_join")["reason"], "Ignored: Name store join references itself");
    assert!(plain.out.contains("integrations passed it over"), "{}", plain.out);
    // Vaccinations go on to the legacy server; what only V6 knows does not.
    let tables: Vec<&str> =
        found["waiting_by_table"].as_array().expect("a list").iter().filter_map(|w| w["table"].as_str()).collect();
    assert_eq!(tables, ["vaccination", "vaccine_course", "vaccine_course_dose", "vaccine_course_item"]);
    assert!(found["waiting_by_table"].as_array().expect("a list").iter().all(|w| w["to"] == "legacy"));
}

#[test]
fn what_waits_to_be_pushed_by_table_with_the_oldest() {
    let desk = Desk::new();
    let edit = |cursor: u32, table: &str, id: &str, action: &str, store: &str, by_sync: u8| {
        format!(
            "INSERT INTO changelog (cursor, table_name, record_id, row_action, store_id, is_sync_update) \
             VALUES ({cursor}, '{table}', '{id}', '{action}', {store}, {by_sync});"
        )
    };
    let edits = [
        edit(400, "asset", "01a207c2-3dff-7660-8ac3-96bfaf296fb0", "UPSERT", "'STORE_SITE_A'", 0),
        edit(401, "asset", "a2", "UPSERT", "'STORE_SITE_A'", 0),
        // The same record again, deleted now: one record.
        edit(402, "asset", "a2", "DELETE", "'STORE_SITE_A'", 0),
        edit(403, "invoice", "i1", "UPSERT", "'STORE_SITE_A'", 0),
        edit(404, "system_log", "s1", "UPSERT", "NULL", 0),
        // None of these is pushed: of another site's store, by sync, only configured on central.
        edit(405, "asset", "a3", "UPSERT", "'STORE_SITE_B'", 0),
        edit(406, "asset", "a4", "UPSERT", "'STORE_SITE_A'", 1),
        // Nor this one, which central has overwritten since: only the newest row of a record counts.
        edit(408, "asset", "a5", "UPSERT", "'STORE_SITE_A'", 0),
        edit(409, "asset", "a5", "UPSERT", "'STORE_SITE_A'", 1),
        edit(407, "asset_class", "c", "UPSERT", "NULL", 0),
    ];
    drop(database(&desk, "site.sqlite", SITE, &edits.concat()));
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    let line = |to: &str, table: &str, counts: (u64, u64), oldest: (u32, &str), made: Option<&str>| {
        json!({ "to": to, "table": table, "records": counts.0, "deletes": counts.1, "oldest_cursor": oldest.0,
                "oldest_id": oldest.1, "oldest_made_at": made })
    };
    let v7 = "01a207c2-3dff-7660-8ac3-96bfaf296fb0";
    assert_eq!(
        found["waiting_by_table"],
        json!([
            line("central", "asset", (2, 1), (400, v7), Some("2026-11-23T09:35:00.095Z")),
            line("central", "system_log", (1, 0), (404, "s1"), None),
            line("legacy", "invoice", (1, 0), (403, "i1"), None),
        ])
    );
    assert!(plain.out.contains("central  asset       2        1        400"), "{}", plain.out);
    assert!(plain.out.contains("Made at: when the oldest record was made, as its id tells."), "{}", plain.out);
}

#[test]
fn an_id_that_tells_of_a_time_that_has_not_come_tells_nothing() {
    let desk = Desk::new();
    let edit = "INSERT INTO changelog (cursor, table_name, record_id, row_action, is_sync_update) \
                VALUES (400, 'system_log', '03aee75c-a000-7000-8000-000000000000', 'UPSERT', 0);";
    let made_at = |found: &Value| found["waiting_by_table"][0]["oldest_made_at"].clone();
    drop(database(&desk, "early.sqlite", SITE, edit));
    let (found, plain) = inspect(&desk, "early.sqlite", 1);
    assert_eq!(made_at(&found), Value::Null);
    assert!(plain.out.contains("not known") && !plain.out.contains("Made at:"), "{}", plain.out);
    // The clock of the clinic may be ahead of the one here.
    let later = format!("{edit} INSERT INTO sync_log (id, started_datetime) VALUES ('l', '2099-01-01 00:00:00')");
    drop(database(&desk, "late.sqlite", SITE, &later));
    assert_eq!(made_at(&inspect(&desk, "late.sqlite", 1).0), "2098-05-01T00:00:00.000Z");
    // Some ids in the database of a real central server are made up so.
    drop(database(&desk, "central.sqlite", CENTRAL, ""));
    let (found, _) = inspect(&desk, "central.sqlite", 1);
    let now = SystemClock::new().now().to_string();
    let waiting = found["waiting_by_table"].as_array().expect("a list");
    let times: Vec<&str> = waiting.iter().filter_map(|of| of["oldest_made_at"].as_str()).collect();
    assert!(waiting.len() == 4 && times.iter().all(|at| *at <= now.as_str()), "{times:?}");
}

#[test]
fn cycles_that_failed_that_stopped_and_cursors_that_cannot_be() {
    let desk = Desk::new();
    let worse = "INSERT INTO sync_log (id, started_datetime, push_v6_started_datetime, error_code, error_message) \
                 VALUES ('f', '2026-11-24 08:00:00', '2026-11-24 08:00:01', 'V6_API_VERSION_INCOMPATIBLE', 'Too old\nat 0'); \
                 INSERT INTO sync_log (id, started_datetime, error_message) VALUES ('u', '2026-11-24 07:00:00', '<html>'); \
                 INSERT INTO sync_log (id, started_datetime, pull_v6_started_datetime, pull_v6_progress_done) \
                 VALUES ('n', '2026-11-24 06:00:00', '2026-11-24 06:00:09', 500); \
                 UPDATE key_value_store SET value_int = 9000 WHERE id = 'SYNC_PUSH_CURSOR_V6'; \
                 UPDATE sync_file_reference SET status = 'ERROR', direction = 'UPLOAD', retries = 9, error = 'no file'; \
                 DELETE FROM sync_buffer WHERE integration_error IS NOT NULL";
    drop(database(&desk, "site.sqlite", SITE, worse));
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    let [failed, unknown, stopped] = [0, 1, 2].map(|i| &found["cycles"][i]);
    assert_eq!((&failed["outcome"], &failed["step"]), (&json!("failed"), &json!("push_v6")));
    assert_eq!(failed["error"]["code"], "V6_API_VERSION_INCOMPATIBLE");
    assert_eq!(failed["error"]["message"], "Too old");
    assert!(failed["error"]["advice"].as_str().expect("advice").contains("central server first"));
    assert_eq!((&unknown["outcome"], &unknown["error"]["code"]), (&json!("failed"), &Value::Null));
    assert_eq!((&stopped["outcome"], &stopped["step"]), (&json!("not_finished"), &json!("pull_v6")));
    assert_eq!(stopped["records_by_step"], json!({ "pull_v6": 500 }));
    assert_eq!(found["cycle_errors"], json!({ "V6_API_VERSION_INCOMPATIBLE": 1, "unknown": 1 }));
    assert_eq!(found["last_success"], "2026-11-23T09:38:53.770Z");
    assert!(found["cursors"]["doubts"][0].as_str().expect("a doubt").contains("push V6 cursor is beyond the end"));
    assert_eq!(found["buffer"]["stuck"], json!([]));
    assert!(plain.out.contains("Unknown sync error"), "{}", plain.out);
    assert!(plain.out.contains("Files, upload error: 2") && plain.out.contains("9 tries at most: no file"));
}

#[test]
fn secrets_that_open_msupply_wrote_into_addresses_and_errors_are_not_repeated() {
    let desk = Desk::new();
    let secret = format!("no way to http://me:{IN_ADDRESS}@host/x with {HASH}");
    let planted = format!(
        "UPDATE key_value_store SET value_string = 'https://me:{IN_ADDRESS}@legacy' WHERE id = 'SETTINGS_SYNC_URL'; \
         INSERT INTO sync_log (id, started_datetime, error_message) VALUES ('f', '2026-11-24 08:00:00', '{secret}'); \
         UPDATE sync_buffer SET integration_error = '{secret}' WHERE integration_error IS NOT NULL; \
         UPDATE sync_file_reference SET status = 'ERROR', error = '{secret}';"
    );
    let database = database(&desk, "site.sqlite", SITE, &planted);
    let changed = |sql: &str| database.query_row(sql, (), |row| row.get::<_, i64>(0)).expect("SQL") > 0;
    assert!(changed("SELECT COUNT(*) FROM key_value_store WHERE value_string LIKE '%@legacy'"));
    drop(database);
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    assert_eq!(found["legacy_url"], "https://…@legacy");
    assert_eq!(found["cycles"][0]["error"]["message"], "no way to http://…@host/x with …");
    assert_eq!(found["file_counts"][0]["error_text"], "no way to http://…@host/x with …");
    assert!(plain.out.contains("http://…@host/x"), "{}", plain.out);
}

#[test]
fn records_that_wait_are_not_called_stuck() {
    let desk = Desk::new();
    let late = "INSERT INTO sync_buffer (record_id, received_datetime, table_name, action, data) \
                VALUES ('late', '2027-01-01 00:00:00', 'asset', 'UPSERT', '{}'); \
                UPDATE sync_buffer SET integration_error = NULL";
    drop(database(&desk, "site.sqlite", SITE, late));
    let (found, _) = inspect(&desk, "site.sqlite", 0);
    assert_eq!(found["buffer"]["stuck"], json!([]));
    let waits =
        json!({ "table": "asset", "from_site": null, "records": 1, "oldest_received_at": "2027-01-01T00:00:00.000Z" });
    assert_eq!(found["buffer"]["not_integrated"], json!([waits]));
}

#[test]
fn many_stuck_records_are_counted_and_some_of_them_listed() {
    let desk = Desk::new();
    // Each of 3000 records lacks an item of its own, and all lack one.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO sync_buffer \
                (record_id, received_datetime, integration_datetime, integration_error, table_name, action, data) \
                SELECT 'many' || i, '2026-11-24', '2026-11-24', 'FOREIGN KEY constraint failed', 'ancillary_item', \
                'UPSERT', json_object('id', 'many' || i, 'item_id', 'item' || i, 'ancillary_item_id', 'all') FROM n";
    drop(database(&desk, "site.sqlite", SITE, many));
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    let group = group(&found, "ancillary_item");
    assert_eq!((&group["records"], group["ids"].as_array().map(Vec::len)), (&json!(3001), Some(5)));
    let roots = found["buffer"]["never_arrived"].as_array().expect("a list");
    assert_eq!((roots.len(), &roots[0]["id"], &roots[0]["needed_by"]), (3004, &json!("all"), &json!(3000)));
    assert!(plain.out.lines().count() < 100 && plain.out.contains("and 2994 more"), "{}", plain.out);
}

#[test]
fn a_database_that_its_server_has_open_is_read_to_its_newest_state() {
    let desk = Desk::new();
    drop(database(&desk, "site.sqlite", SITE, ""));
    let server = Connection::open(desk.path("site.sqlite")).expect("a database");
    let edit =
        "INSERT INTO changelog (cursor, table_name, record_id, row_action) VALUES (500, 'system_log', 'x', 'UPSERT')";
    server.execute_batch(&format!("PRAGMA journal_mode = WAL; {edit}")).expect("sound SQL");
    let (found, plain) = inspect(&desk, "site.sqlite", 1);
    assert_eq!((&found["cursors"]["changelog_end"], &found["read_from_copy"]), (&json!(500), &json!(true)));
    assert!(plain.err.contains("a copy of it was read"), "{plain:?}");
}

#[test]
fn an_older_release_without_some_columns_and_tables() {
    let desk = Desk::new();
    let older = "ALTER TABLE changelog DROP COLUMN source_site_id; DROP INDEX IF EXISTS x; \
                 ALTER TABLE sync_buffer DROP COLUMN source_site_id; \
                 ALTER TABLE sync_log DROP COLUMN push_v6_started_datetime; \
                 ALTER TABLE sync_log DROP COLUMN duration_in_seconds; \
                 DROP TABLE system_log; DROP TABLE sync_file_reference";
    drop(database(&desk, "site.sqlite", SITE, older));
    let (found, _) = inspect(&desk, "site.sqlite", 1);
    assert_eq!((&found["role"], &found["file_counts"]), (&json!("remote"), &json!([])));
    assert_eq!(found["buffer"]["stuck"].as_array().map(Vec::len), Some(7));
    assert_eq!(found["cycles"][0]["seconds"], Value::Null);
}

#[test]
fn a_database_of_release_3_is_named_whatever_tables_it_has() {
    let desk = Desk::new();
    let upgraded = "UPDATE key_value_store SET value_string = '3.2.0' WHERE id = 'DATABASE_VERSION'";
    let other_columns = format!("{upgraded}; ALTER TABLE changelog RENAME COLUMN cursor TO position");
    let without_buffer = format!("{upgraded}; DROP TABLE sync_buffer");
    for (name, then) in [("columns.sqlite", &other_columns), ("buffer.sqlite", &without_buffer)] {
        drop(database(&desk, name, SITE, then));
        let found = desk.run(&["inspect", name, "--json"]).ends(0).json();
        assert_eq!((&found["version"], &found["speaks"]), (&json!("3.2.0"), &json!("v6")), "{found:#}");
        assert!(found["site_id"].is_number() && found["site_name"].is_string(), "{found:#}");
        assert!(found["cursors"]["pull_v6"].is_number() && found["cursors"]["push_v6"].is_number(), "{found:#}");
        assert_eq!(found["cursors"]["changelog_end"].is_number(), name != "columns.sqlite");
        assert!(found["advice"].as_str().is_some_and(|says| says.contains("push nothing over V6")), "{found:#}");
        let said = desk.run(&["inspect", name]).ends(0).out.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["Open mSupply 3.2.0", "synchronises by V5 and V6", "has read up to", "what to do"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    // One that has changed to V7, whose settings are secret, and one that never was of 2.x.
    let changed =
        format!("{upgraded}; INSERT INTO key_value_store (id, value_string) VALUES ('SYNC_V7_TOKEN', 'sesame')");
    let fresh = format!("{upgraded}; DELETE FROM key_value_store WHERE id LIKE '%CURSOR%'");
    for (name, then, settings) in
        [("changed.sqlite", &changed, json!(["SYNC_V7_TOKEN"])), ("fresh.sqlite", &fresh, json!([]))]
    {
        drop(database(&desk, name, SITE, then));
        let said = desk.run(&["inspect", name, "--json"]).ends(0);
        let found = said.json();
        assert_eq!((&found["speaks"], &found["v7_settings"]), (&json!("v7"), &settings), "{found:#}");
        assert!(
            found["advice"].as_str().is_some_and(|says| says.contains("needs a central server of Open mSupply 3.x"))
        );
        assert!(!said.out.contains("sesame"), "{said:?}");
    }
}

/// Somebody gives the database of the Open mSupply server itself to a command of a site.
#[test]
fn doctor_names_a_database_of_open_msupply_and_says_what_to_do() {
    let desk = Desk::new();
    drop(database(&desk, "two.sqlite", SITE, "SELECT 1"));
    let upgraded =
        "UPDATE key_value_store SET value_string = '3.2.0' WHERE id = 'DATABASE_VERSION'; DROP TABLE sync_buffer";
    drop(database(&desk, "three.sqlite", SITE, upgraded));
    for (name, version, cure) in [
        ("two.sqlite", "Open mSupply 2.19.0 itself", "`oms-sync inspect two.sqlite` reports"),
        ("three.sqlite", "Open mSupply 3.2.0 itself", "synchronises by V7, which this program does not speak"),
    ] {
        let before = std::fs::read(desk.path(name)).expect("a file");
        let found = desk.run(&["--db", name, "doctor", "--json"]).json();
        assert_eq!(
            (&found["party"], &found["finding"]["code"]),
            (&json!("device"), &json!("not_a_database")),
            "{found:#}"
        );
        assert!(found["says"].to_string().contains(version), "{found:#}");
        assert!(found["finding"]["advice"].to_string().contains(cure), "{found:#}");
        assert!(std::fs::read(desk.path(name)).expect("a file") == before, "the file was changed");
    }
}

#[test]
fn what_is_no_database_of_open_msupply_is_refused() {
    let desk = Desk::new();
    std::fs::write(desk.path("letter.txt"), "a letter").expect("a file");
    Connection::open(desk.path("other.sqlite"))
        .and_then(|c| c.execute_batch("CREATE TABLE t (x)"))
        .expect("a database");
    desk.run(&["--db", "ours.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    for (name, says) in [
        ("letter.txt", "is not an SQLite database"),
        ("other.sqlite", "is no database of Open mSupply: it has no table key_value_store"),
        ("ours.sqlite", "see oms-sync status"),
        ("none.sqlite", "cannot be read"),
    ] {
        let said = desk.run(&["inspect", name, "--json"]).ends(2);
        assert_eq!(said.error().0, "bad_input");
        assert!(said.json()["error"]["message"].as_str().expect("text").contains(says), "{said:?}");
    }
    assert!(!desk.path("none.sqlite").exists());
}
