//! `decode`, `errors` and `compat`: what explains without a database.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::support::Desk;

/// What stands in the captured traffic and must not be repeated: the password hash and the hardware ids.
const SECRETS: [&str; 3] =
    ["d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1", "hardware-0001", "other-machine"];

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn decode(desk: &Desk, message: &str, status: i32) -> Value {
    let said = desk.feed(&["decode", "--json"], message).ends(status);
    let plain = desk.feed(&["decode", "-"], message).ends(status);
    for secret in SECRETS {
        assert!(!said.out.contains(secret) && !plain.out.contains(secret), "{secret} is repeated: {}", plain.out);
    }
    let document = said.json();
    assert_eq!(plain.out.lines().next(), document["message"].as_str());
    document
}

/// The problems of a message and of its records.
fn problems(decoded: &Value) -> Vec<String> {
    let of = |value: &Value| value["problems"].as_array().expect("a list").clone();
    let records = decoded["records"].as_array().expect("a list").iter().flat_map(of);
    of(decoded).into_iter().chain(records).map(|text| text.as_str().expect("text").to_owned()).collect()
}

#[test]
fn every_captured_message_is_understood_and_only_the_bad_ones_are_called_bad() {
    let desk = Desk::new();
    // What the prober sent wrongly on purpose.
    let bad: BTreeMap<&str, &str> = BTreeMap::from([
        ("pull-batch-size-zero", "0 rows are asked for"),
        ("pull-missing-key", "missing field"),
        ("pull-refused-version", "newer than any that is known"),
        ("push-data-is-an-array", "expected"),
        ("push-unknown-action", "unknown variant"),
        ("push-delete-without-data", ""),
        ("push-delete-null-data", ""),
    ]);
    let mut kinds = BTreeMap::new();
    for folder in ["traffic/v6", "traffic/v6-2.16", "traffic/v5"] {
        for path in fixtures(folder) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let capture: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
            for side in ["request", "response"] {
                let body = &capture[side]["body"]["json"];
                if body.is_null() || *body == json!({}) {
                    continue;
                }
                let is_bad = side == "request" && bad.contains_key(name.as_str());
                let message = body.to_string();
                let said = desk.feed(&["decode", "--json"], &message);
                let decoded = decode(&desk, &message, said.status.expect("a status"));
                let problems = problems(&decoded);
                assert_eq!(said.status, Some(i32::from(!problems.is_empty())), "{name}");
                assert_ne!(decoded["message"], "no message of V5 or V6", "{name} {side}");
                if is_bad && !bad[name.as_str()].is_empty() {
                    assert!(problems.iter().any(|text| text.contains(bad[name.as_str()])), "{name}: {problems:?}");
                } else if !is_bad {
                    assert_eq!(problems, [""; 0], "{name} {side}");
                }
                *kinds.entry(decoded["message"].as_str().expect("text").to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert!(kinds.len() >= 11, "{kinds:?}");
}

#[test]
fn the_examples_of_the_description_are_understood() {
    let desk = Desk::new();
    for path in fixtures("examples") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if name == "credentials" {
            continue; // A part of messages only.
        }
        let said = desk.run(&["decode", "--json", path.to_str().expect("a path")]);
        if name != "record-sync_file_reference" {
            assert_ne!(said.json()["message"], "no message of V5 or V6", "{name}: {said:?}");
        }
    }
}

#[test]
fn a_record_is_checked_by_the_rules_of_its_type() {
    let desk = Desk::new();
    let record = |table: &str, action: &str, id: &str, data: &str| {
        format!(r#"{{"tableName":"{table}","recordId":"{id}","action":"{action}","recordData":{data}}}"#)
    };
    for (message, says) in [
        (record("asset_class", "Update", "c", r#"{"id":"c","name":5}"#), "$.name: expected a string, found a number"),
        (record("asset_class", "Update", "c", r#"{"id":"c"}"#), "$.name: expected a value, found no such key"),
        (record("asset_class", "Update", "c", r#"{"id":"d","name":"n"}"#), "$.id is not the id of the record"),
        (record("asset_log", "Delete", "l", "null"), "not deleted by a Delete"),
        (record("pack_variant", "Update", "p", "{}"), "release 2.4.0 removed this type"),
        (r#"{"tableName":"asset","recordId":"a","action":"UPSERT"}"#.to_owned(), "unknown variant `UPSERT`"),
        (r#"{"recordId":"a","action":"Update"}"#.to_owned(), "missing field `tableName`"),
    ] {
        let found = problems(&decode(&desk, &message, 1));
        assert!(found.iter().any(|problem| problem.contains(says)), "{message}: {found:?}");
    }
    let good = decode(&desk, &record("asset_class", "Update", "c", r#"{"id":"c","name":"Cold","new":1}"#), 0);
    let line = &good["records"][0];
    assert_eq!((&line["action"], &line["table"], &line["id"]), (&json!("Update"), &json!("asset_class"), &json!("c")));
    assert_eq!(line["fields"], json!([["id", "c"], ["name", "Cold"], ["new", "1"]]));
    assert_eq!(line["notes"], json!(["keys that this version does not know: new"]));
    let legacy = decode(&desk, &record("item", "update", "i", r#"{"ID":"i"}"#), 0);
    assert!(legacy["records"][0]["notes"][0].as_str().expect("text").contains("legacy server"));
}

#[test]
fn batches_that_contradict_themselves() {
    let desk = Desk::new();
    let element = |cursor: u32| {
        format!(
            r#"{{"cursor":{cursor},"record":{{"tableName":"item","recordId":"a","action":"Update","recordData":{{}}}}}}"#
        )
    };
    let batch = |end: u32, cursors: &[u32]| {
        let records: Vec<String> = cursors.iter().map(|cursor| element(*cursor)).collect();
        let records = records.join(",");
        format!(r#"{{"data":{{"end_cursor":{end},"total_records":9,"records":[{records}],"is_last_batch":false}}}}"#)
    };
    decode(&desk, &batch(8, &[7, 8]), 0);
    assert!(problems(&decode(&desk, &batch(7, &[7, 8]), 1))[0].contains("beyond the end cursor"));
    assert!(problems(&decode(&desk, &batch(8, &[8, 7]), 1))[0].contains("not larger than the one before"));
}

#[test]
fn what_is_no_message_says_what_it_is() {
    let desk = Desk::new();
    for (input, says) in [
        ("", "empty"),
        ("<!DOCTYPE html><html>", "a web page"),
        (r#"{"data":{"records_pu"#, "cut off"),
        ("hello", "not JSON"),
    ] {
        let said = desk.feed(&["decode", "--json"], input).ends(2);
        assert_eq!(said.error().0, "bad_input");
        assert!(said.json()["error"]["message"].as_str().expect("text").contains(says), "{said:?}");
    }
    let other = desk.feed(&["decode", "--json"], r#"{"weather":"rain"}"#).ends(1).json();
    assert_eq!(other["message"], "no message of V5 or V6");
    assert_eq!(desk.run(&["decode", "none.json", "--json"]).ends(2).error().0, "bad_input");
}

#[test]
fn what_servers_refuse_with_is_put_into_words() {
    let desk = Desk::new();
    let said = |message: &str| desk.feed(&["decode"], message).ends(0).out;
    assert!(said(r#"{"error":{"syncVersionMismatch":[0,5,99]}}"#).contains("upgrade whichever end is older"));
    assert!(said(r#"{"error":"integrationInProgress"}"#).contains("try again"));
    let hidden = r#"{"error":{"otherServerError":"Internal error: Sync api error -> [\"code: 'SiteIncorrectHardwareId' message\"]"}}"#;
    assert!(said(hidden).contains("bound to another machine"));
    let v5 = said(r#"{"error":{"code":"api_version_incompatible","message":"no","data":{"major":8}}}"#);
    assert!(v5.starts_with("V5: the legacy server refuses") && v5.contains("api_version_incompatible"), "{v5}");
}

#[test]
fn a_code_is_explained_as_the_page_of_errors_has_it() {
    let desk = Desk::new();
    let page = include_str!("../../docs/errors.md");
    let all = desk.run(&["errors", "--json"]).ends(0).json_lines();
    assert!(all.len() > 40);
    for entry in &all {
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("no {key}: {entry}")).replace('|', "\\|");
        let row = format!("| `{}` | {} | {} | {} |", text("code"), text("message"), text("cause"), text("advice"));
        assert!(page.contains(&row), "the page has no such row: {row}");
        assert!(page.contains(text("who_must_act").as_str()) && entry["exit_status"].as_u64() >= Some(2));
    }
    let one = desk.run(&["errors", "incorrect_password"]).ends(0).out;
    for part in ["cause", "what to do", "exit status", "INCORRECT_PASSWORD", "oms-sync init"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    for spelled in ["[incorrect_password]", "INCORRECT_PASSWORD", "Incorrect_Password"] {
        assert_eq!(desk.run(&["errors", spelled]).ends(0).out, one);
    }
    assert_eq!(desk.run(&["errors", "CONNECTION_ERROR", "--json"]).ends(0).json()["code"], "unreachable");
    assert_eq!(desk.run(&["errors", "no_such", "--json"]).ends(2).error().0, "not_found");
    // Long messages go on in further lines.
    let listed = desk.run(&["errors"]).ends(0).out;
    assert_eq!(listed.lines().filter(|line| !line.starts_with(' ')).count(), all.len() + 1, "{listed}");
}

#[test]
fn releases_that_fit_that_do_not_and_that_lose_records() {
    let desk = Desk::new();
    let compat = |args: &str, status: i32| {
        let args: Vec<&str> = args.split(' ').collect();
        let said = desk.run(&[&["compat", "--json"], args.as_slice()].concat()).ends(status);
        (said.json(), desk.run(&[&["compat"], args.as_slice()].concat()).ends(status).out)
    };
    let (fits, plain) = compat("--legacy 8.06.00 --central 2.19.0 --site 2.19.0", 0);
    assert_eq!((&fits["fits"], &fits["upgrade_first"]), (&json!(true), &Value::Null));
    assert_eq!((fits["checks"].as_array().map(Vec::len), plain.lines().count()), (Some(3), 3));
    let (old, plain) = compat("--legacy 8.04.04 --central 2.8.0 --site 2.19.0", 5);
    assert_eq!((&old["fits"], &old["upgrade_first"]), (&json!(false), &json!("legacy")));
    assert!(plain.contains("do NOT fit") && plain.ends_with("Upgrade the legacy server first.\n"), "{plain}");
    let (central, _) = compat("--central 2.8.0", 5);
    assert_eq!(central["upgrade_first"], "central");
    let (losing, plain) = compat("--central 2.19.0 --site 2.16.03", 1);
    assert_eq!((&losing["fits"], &losing["upgrade_first"]), (&json!(true), &json!("site")));
    assert!(plain.contains("vaccinations and R&R forms are rejected"), "{plain}");
    desk.run(&["compat", "--site", "2.19.0"]).ends(2);
    desk.run(&["compat", "--central", "newest"]).ends(2);
}

#[test]
fn errors_are_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let texts = r#"{"not_set_up": {"message": "rien n'est configuré", "advice": "Lancez oms-sync init."},
        "not_found": {"message": "{what} {id} : introuvable"}, "words": {"error code": "code d'erreur"}}"#;
    std::fs::write(desk.path("fr.json"), texts).expect("a file");
    let said = desk.run(&["--texts", "fr.json", "status"]).ends(3);
    assert_eq!(said.err, "error [not_set_up]: rien n'est configuré. Lancez oms-sync init.\n");
    let document = desk.run_with(&[("OMS_SYNC_TEXTS", "fr.json")], &["errors", "no_such", "--json"]).ends(2).json();
    assert_eq!(document["error"]["message"], "code d'erreur no_such : introuvable");
    assert_eq!(document["error"]["code"], "not_found");
    let listed = desk.run(&["--texts", "fr.json", "errors", "not_set_up", "--json"]).ends(0).json();
    assert_eq!(
        (&listed["message"], &listed["template"]),
        (&json!("rien n'est configuré"), &json!("this database is not set up as a site yet"))
    );
    std::fs::write(desk.path("bad.json"), r#"{"no_such": {}}"#).expect("a file");
    for file in ["bad.json", "none.json"] {
        assert_eq!(desk.run(&["--texts", file, "errors", "--json"]).ends(2).error().0, "bad_input", "{file}");
    }
}

#[test]
fn colour_is_orange_beside_a_word_and_only_where_it_is_wanted() {
    let desk = Desk::new();
    let always = desk.run(&["status", "--color", "always"]).ends(3).err;
    assert!(always.contains("208m") && always.contains("error") && !always.contains("31m"), "{always:?}");
    let usage = desk.run(&["no-such-command", "--color", "always"]).ends(2).err;
    assert!(usage.contains("208m") && usage.contains("error:") && !usage.contains("[31m"), "{usage:?}");
    for args in [&["status"][..], &["status", "--color", "never"], &["no-such-command", "--color=never"]] {
        let said = desk.run_with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], args);
        assert!(!said.err.contains('\x1b') && said.err.contains("error"), "{said:?}");
    }
}
