//! Translations of commands without a running site: messages, releases, foreign databases, wrong input.

use rusqlite::Connection;
use serde_json::Value;

use super::support::Desk;
use super::translated::{marked, unmarked};
use super::{Clinic, holds};

/// All of it is between marks.
#[track_caller]
fn is_marked(text: &Value) {
    let said = text.as_str().unwrap_or_else(|| panic!("no text: {text}"));
    assert!(!said.is_empty() && unmarked(said).trim().is_empty(), "said in English: {said}");
}

/// Each of several texts is between marks.
#[track_caller]
fn are_marked(texts: &Value) -> usize {
    let texts = texts.as_array().unwrap_or_else(|| panic!("no list: {texts}"));
    texts.iter().for_each(is_marked);
    texts.len()
}

#[test]
fn what_is_wrong_with_an_input_is_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let file = marked(&desk);
    std::fs::write(desk.path("record.json"), r#"{"id": 5}"#).expect("a file");
    desk.run(&["site", "add", "clinic", "--password-file", "pw"]).ends(0);
    for (args, code, status, says) in [
        (&["compat"][..], "bad_input", 2, "‹‹give --legacy or --central, or both: "),
        (&["decode", "none"], "bad_input", 2, "‹‹none cannot be read: "),
        (&["inspect", "pw"], "bad_input", 2, "‹‹pw is not an SQLite database››"),
        (&["site", "add", "a:b", "--password-file", "pw"], "bad_input", 2, "‹‹\"a:b\" is no name of a site: "),
        (&["site", "add", "", "--password-file", "pw"], "bad_input", 2, "‹‹a site's name has 1 to 255 bytes "),
        (&["quarantine", "ignore", "1", "--reason", " "], "bad_input", 2, "‹‹a reason is needed, "),
        (&["records", "put", "asset_class", "record.json"], "invalid_record", 2, "‹$.id: expected a string, found "),
        (
            &["--db", "new", "init", "--legacy-url", "ftp://x", "--site", "x", "--password-file", "pw"],
            "invalid_url",
            3,
            "‹it must begin with http:// or https://›",
        ),
    ] {
        let found = desk.run(&[&["--texts", file, "--json"], args].concat()).ends(status).json();
        let error = &found["error"];
        assert_eq!(error["code"], code, "codes stay");
        is_marked(&error["message"]);
        is_marked(&error["advice"]);
        holds(error["message"].as_str().expect("a text"), &[says]);
        let said = desk.run(&[&["--texts", file], args].concat()).ends(status).err;
        assert_eq!(unmarked(said.lines().last().expect("a line")), "", "{said}");
    }
}

#[test]
fn whether_releases_fit_is_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let file = marked(&desk);
    let ends = |legacy, central, site| ["compat", "--legacy", legacy, "--central", central, "--site", site];
    for (ends, status) in [
        (ends("8.6.0", "2.19.0", "2.19.0"), 0),
        (ends("8.6.0", "2.19.0", "2.3.0"), 1),
        (ends("8.5.1", "2.8.0", "2.19.0"), 5),
        (ends("8.4.3", "1.4.0", "0.9.0"), 5),
        (ends("8.4.3", "2.3.0", "2.9.1"), 5),
    ] {
        let found = desk.run(&[&["--texts", file, "--json"], &ends[..]].concat()).ends(status).json();
        for check in found["checks"].as_array().expect("checks") {
            is_marked(&check["says"]);
            assert_eq!(are_marked(&check["losses"]) > 0, status == 1 && check["between"] == "site and central");
        }
        let said = desk.run(&[&["--texts", file], &ends[..]].concat()).ends(status).out;
        assert_eq!(unmarked(&said).trim(), "", "{said}");
    }
}

#[test]
fn what_a_message_says_is_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let file = marked(&desk);
    let record = |table: &str, action: &str, data: &str| {
        format!(r#"{{"tableName":"{table}","recordId":"c","action":"{action}","recordData":{data}}}"#)
    };
    let element = |cursor: u32, record: &str| format!(r#"{{"cursor":{cursor},"record":{record}}}"#);
    let records = [
        element(8, &record("asset_class", "Update", r#"{"id":"d","name":"n","new":1}"#)),
        element(7, &record("asset_class", "Update", r#"{"id":"c","name":5}"#)),
        element(9, &record("asset_log", "Delete", "null")),
        element(10, &record("item", "Update", "{}")),
    ]
    .join(",");
    let batch =
        format!(r#"{{"data":{{"end_cursor":7,"total_records":9,"records":[{records}],"is_last_batch":false}}}}"#);
    let found = desk.feed(&["--texts", file, "decode", "--json"], &batch).ends(1).json();
    is_marked(&found["message"]);
    assert_eq!(are_marked(&found["problems"]), 1);
    let records = found["record_lines"].as_array().expect("records");
    let remarks = |key| records.iter().map(|record| are_marked(&record[key])).collect::<Vec<_>>();
    assert_eq!((remarks("problems"), remarks("notes")), (vec![1, 2, 1, 0], vec![1, 0, 0, 1]));
    assert_eq!(found["facts"][3], serde_json::json!(["last batch", "‹no›"]), "names stay");

    let said = desk.feed(&["--texts", file, "decode", "--brief"], &batch).ends(1).out;
    for line in said.lines().filter(|line| line.contains("wrong") || line.contains("note")) {
        assert_eq!(unmarked(line).trim(), "", "{line}");
    }
    holds(&said, &["‹V6: records›", "‹wrong: ‹$.id is not the id of the record››", "‹3 of 4 records have something"]);

    let error = r#"{"error":{"syncVersionMismatch":[0,4,5]}}"#;
    let found = desk.feed(&["--texts", file, "decode", "--json"], error).ends(0).json();
    assert_eq!(found["facts"][0][0], "means");
    is_marked(&found["facts"][0][1]);
}

#[test]
fn what_a_foreign_database_tells_is_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let file = marked(&desk);
    let content = include_str!("../../../fixtures/databases/central.sql");
    let failed = "INSERT INTO sync_log (id, started_datetime, error_message, error_code) VALUES \
        ('x', '2030-01-01 00:00:00', 'no way', 'CONNECTION_ERROR')";
    let database = Connection::open(desk.path("central.sqlite")).expect("a database");
    let content = format!("PRAGMA foreign_keys = OFF; BEGIN; {content}; {failed}; COMMIT;");
    database.execute_batch(&content).expect("sound SQL");
    drop(database);

    let found = desk.run(&["--texts", file, "inspect", "central.sqlite", "--json"]).ends(1).json();
    assert_eq!((&found["role"], &found["initialisation"]), (&"central".into(), &"initialised".into()), "codes stay");
    is_marked(&found["role_because"]);
    is_marked(&found["cycles"][0]["error"]["advice"]);
    let stuck = found["buffer"]["stuck"].as_array().expect("a list");
    stuck.iter().for_each(|group| is_marked(&group["advice"]));
    let passed_over = stuck.iter().find(|group| group["cause"] == "unknown_table").expect("a group");
    is_marked(&passed_over["reason"]);

    let said = desk.run(&["--texts", file, "inspect", "central.sqlite"]).ends(1).out;
    for heading in ["Waiting to be", "Received records", "Stuck:", "Last cycles"] {
        assert!(said.contains(&format!("‹{heading}")) && !said.contains(&format!("\n{heading}")), "{heading}: {said}");
    }
    holds(&said, &["‹Stuck: ‹cannot be read››", "‹Check the network of this machine, "]);
}

#[test]
fn what_was_done_is_said_in_the_words_of_a_file() {
    let clinic = Clinic::new();
    let file = marked(&clinic.desk);
    clinic.put_asset("a1", "cold");
    std::fs::write(clinic.desk.path("photo"), "bytes").expect("a file");
    clinic.desk.run(&["files", "attach", "asset", "a1", "photo"]).ends(0);
    for args in [
        &["--db", "central.sqlite", "-q", "site", "add", "other", "--password-file", "pw"][..],
        &["--db", "central.sqlite", "-q", "site", "remove", "other"],
        &["--db", "central.sqlite", "-q", "store", "add", "X", "--code", "X", "--site", "clinic"],
        &["files", "list"],
        &["files", "verify"],
        &["files", "sync"],
        &["records", "delete", "asset", "a1"],
        &["man", "--dir", "pages"],
    ] {
        let said = clinic.desk.run(&[&["--texts", file], args].concat()).ends(0).out;
        assert!(!said.is_empty() && unmarked(&said).trim().is_empty(), "{args:?}: {said}");
    }
    clinic.damage("UPDATE sync_state SET value = '99' WHERE key = 'legacy_site_id'");
    let found = clinic.desk.run(&["--texts", file, "discover", "--json"]).ends(0).json();
    assert_eq!(are_marked(&found["differences"]), 1);
}

#[test]
fn what_a_server_tells_its_administrator_is_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let file = marked(&desk);
    let said = desk.serve_with("central.sqlite", &["--create", "--texts", file, "--public-url", "nowhere"]).stop().err;
    holds(&said, &["‹warning: ‹the address that sites get for"]);
    assert_eq!(unmarked(&said).trim(), "");
}
