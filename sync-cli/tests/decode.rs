//! `decode`: explains any message of either protocol, with its faults.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::support::{Desk, PASSWORD, assert_no_secret};

/// Secrets in the captured traffic that must not be repeated: the password hash and the hardware ids.
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
    assert!(plain.out.lines().all(|line| line.chars().count() <= 80), "{}", plain.out);
    document
}

/// The faults of a message and of its records.
fn problems(decoded: &Value) -> Vec<String> {
    let of = |value: &Value| value["problems"].as_array().expect("a list").clone();
    let records = decoded["record_lines"].as_array().expect("a list").iter().flat_map(of);
    of(decoded).into_iter().chain(records).map(|text| text.as_str().expect("text").to_owned()).collect()
}

#[test]
fn every_captured_message_is_understood_and_only_the_bad_ones_are_called_bad() {
    let desk = Desk::new();
    // Faults that the prober sent on purpose.
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
        let plain = desk.run(&["decode", path.to_str().expect("a path")]);
        assert!(plain.out.lines().all(|line| line.chars().count() <= 80), "{name}: {}", plain.out);
        if name != "record-sync_file_reference" {
            assert_ne!(said.json()["message"], "no message of V5 or V6", "{name}: {said:?}");
        }
    }
}

/// The credentials of a request, with an address that holds a password.
fn credentials() -> String {
    let hash = sync_core::protocol::PasswordHash::of_password(PASSWORD);
    format!(
        r#"{{"serverUrl":"http://me:open-sesame@a","username":"clinic","passwordSha256":"{}","siteUuid":"hardware-0001","appVersion":"2.19.0","appName":"a","syncVersion":"14"}}"#,
        hash.expose()
    )
}

/// Each message of `protocol-v5` §1, §11 and `protocol-v6` §1, §8, in either direction, is distinguished from all
/// others.
#[test]
fn every_message_of_both_protocols_is_understood() {
    let desk = Desk::new();
    let batch = r#"{"end_cursor":7,"total_records":1,"records":[{"cursor":7,"record":{"tableName":"asset_class","recordId":"c","action":"Update","recordData":{"id":"c","name":"n"}}}],"is_last_batch":true}"#;
    let merge = r#"{"mergeIdToKeep":"k","mergeIdToDelete":"aa31"}"#;
    let of_site = format!(r#""syncV5Settings":{},"syncV6Version":5"#, credentials());
    let upload = format!(r#"{{"file_id":"f","sync_v5_settings":{},"sync_v6_version":5}}"#, credentials());
    let parts = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{upload}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\r\nbytes\r\n--b--\r\n"
    );
    let central = "V6: central reports an error";
    for (message, kind) in [
        (format!(r#"{{"cursor":1,"batchSize":5,"isInitialised":true,{of_site}}}"#), "V6: a site pulls"),
        (format!(r#"{{"data":{batch}}}"#), "V6: records"),
        (
            format!(r#"{{"cursor":1,"batchSize":5,"fetchPatientId":"p",{of_site}}}"#),
            "V6: a site asks for one patient",
        ),
        (format!(r#"{{"batch":{batch},{of_site}}}"#), "V6: a site pushes records"),
        (r#"{"data":{"records_pushed":2}}"#.to_owned(), "V6: central has taken pushed records"),
        (format!("{{{of_site}}}"), "V6: a site asks whether central is done integrating"),
        (r#"{"data":{"is_integrating":true}}"#.to_owned(), "V6: whether central is done integrating"),
        (upload.clone(), "V6: a site brings a file"),
        (parts, "V6: a site brings a file"),
        (r#"{"data":null}"#.to_owned(), "V6: central has taken it"),
        (format!(r#"{{"tableName":"asset","recordId":"a","id":"f",{of_site}}}"#), "V6: a site asks for a file"),
        (
            format!(r#"{{"id":"j","nameId":"p","storeId":"s","syncV5Settings":{}}}"#, credentials()),
            "V6: a site asks that a patient be visible in its store",
        ),
        (r#"{"otherServerError":"File not found"}"#.to_owned(), central),
        (r#""notACentralServer""#.to_owned(), central),
        ("Internal error: Error adding patient visibility".to_owned(), central),
        ("Method only allowed on central server.".to_owned(), central),
        ("JSON payload (99 bytes) is larger than allowed (limit: 10 bytes).".to_owned(), central),
        ("Json deserialize error: missing field `batch` at line 1 column 2".to_owned(), central),
        ("Required field is missing: file_part".to_owned(), central),
        (r#"{"id":"S","siteId":7,"name":"n","initialisationStatus":"new","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"https://me:open-sesame@b","mSupplyCentralSiteId":1}"#.to_owned(), "V5: who a site is"),
        (r#"{"code":"idle","message":"Idle","data":null}"#.to_owned(), "V5: what the legacy server is doing for this site"),
        ("{}".to_owned(), "V5: a site asks for all of its records to be queued"),
        (r#"{"queueLength":18344}"#.to_owned(), "V5: records of a site's queue"),
        (r#"{"maxCursor":5,"data":[{"ID":5,"tableName":"item","recordId":"i","action":"delete"}]}"#.to_owned(), "V5: central data of the legacy server"),
        (format!(r#"{{"queueLength":1,"data":[{{"syncOutId":"E0","tableName":"name","recordId":"aa31","action":"merge","recordData":{merge}}}]}}"#), "V5: records of a site's queue"),
        (r#"{"queueLength":1,"data":[{"syncOutId":"5","tableName":"name","recordId":"n","action":"Delete","recordData":null}]}"#.to_owned(), "V5: records of a site's queue"),
        (r#"{"syncIDs":["E0","F1"]}"#.to_owned(), "V5: records are acknowledged"),
        (r#"{"integrationStarted":true}"#.to_owned(), "V5: the legacy server's answer to pushed records"),
        (r#"{"error":{"code":"site_incorrect_password","message":"no","data":null}}"#.to_owned(), "V5: the legacy server refuses"),
        (r#"{"name_ID":"p","store_ID":"s"}"#.to_owned(), "legacy server: a patient is made visible in a store"),
        (r#"{"ID":"j","name_ID":"p","store_ID":"s","inactive":false}"#.to_owned(), "legacy server: a patient is made visible in a store"),
    ] {
        let decoded = decode(&desk, &message, 0);
        assert_eq!((decoded["message"].as_str(), problems(&decoded)), (Some(kind), Vec::new()), "{message}");
        let told = decoded.to_string();
        assert_no_secret(&told);
        assert!(!told.contains("open-sesame"), "{told}");
        // The same with its HTTP head, and packed.
        let head = format!("POST /x HTTP/1.1\r\nAuthorization: Basic secret\r\nContent-Length: {}\r\n\r\n", message.len());
        let on_the_line = decode(&desk, &format!("{head}{message}"), 0);
        assert_eq!((&on_the_line["message"], &on_the_line["facts"][0]), (&decoded["message"], &json!(["on the line", "POST /x"])));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, message.as_bytes()).expect("memory");
        std::fs::write(desk.path("packed"), packed.finish().expect("memory")).expect("a file");
        assert_eq!(desk.run(&["decode", "packed", "--json"]).ends(0).json(), decoded);
    }
}

#[test]
fn messages_without_a_body_are_told_by_their_heads() {
    let desk = Desk::new();
    for (head, kind) in [
        ("GET /sync/v5/site HTTP/1.1\r\nAuthorization: Basic secret\r\n\r\n", "V5: a site asks who it is"),
        ("GET /sync/v5/site_status HTTP/1.1\r\n\r\n", "V5: a site asks what the legacy server is doing for it"),
        ("GET /sync/v5/central_records?cursor=1&limit=5 HTTP/1.1\r\n\r\n", "V5: a site asks for central data"),
        ("GET /sync/v5/queued_records?limit=5 HTTP/1.1\r\n\r\n", "V5: a site asks for the records of its queue"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "an answer without content"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"da\r\n8\r\nta\":null\r\n1\r\n}\r\n0\r\n\r\n",
            "V6: central has taken it",
        ),
    ] {
        let decoded = decode(&desk, head, 0);
        assert_eq!(decoded["message"], kind);
        assert!(!decoded.to_string().contains("secret"), "{decoded}");
    }
    let cut = decode(&desk, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":", 1);
    assert!(problems(&cut)[0].contains("8 of 99 bytes came"), "{cut}");
    assert_eq!(decode(&desk, "GET /favicon.ico HTTP/1.1\r\n\r\n", 1)["message"], "no message of V5 or V6");
}

#[test]
fn merges_and_positions_of_the_legacy_server_are_checked() {
    let desk = Desk::new();
    let central = |elements: &str| format!(r#"{{"maxCursor":9,"data":[{elements}]}}"#);
    let item = |position: u32, id: &str| {
        format!(
            r#"{{"ID":{position},"tableName":"item","recordId":"i","action":"update","recordData":{{"ID":"{id}"}}}}"#
        )
    };
    for (message, says) in [
        (central(&format!("{},{}", item(5, "i"), item(4, "i"))), "position is not larger than the one before"),
        (central(&item(5, "other")), "$.ID is not the id of the record"),
        (
            central(r#"{"ID":5,"tableName":"item","recordId":"i","action":"merge","recordData":{"mergeIdToKeep":"k"}}"#),
            "the merge has no mergeIdToDelete",
        ),
        (
            r#"{"data":{"end_cursor":7,"total_records":1,"is_last_batch":true,"records":[{"cursor":7,"record":{"tableName":"name","recordId":"n","action":"Merge","recordData":{"mergeIdToKeep":"k","mergeIdToDelete":"n"}}}]}}"#
                .to_owned(),
            "merges come from the legacy server only",
        ),
    ] {
        assert_eq!(problems(&decode(&desk, &message, 1)).len(), 1, "{message}");
        assert!(problems(&decode(&desk, &message, 1))[0].contains(says), "{message}");
    }
    decode(&desk, &central(&format!("{},{}", item(5, "i"), item(6, "i"))), 0);
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
    let line = &good["record_lines"][0];
    assert_eq!((&line["action"], &line["table"], &line["id"]), (&json!("Update"), &json!("asset_class"), &json!("c")));
    assert_eq!(line["fields"], json!([["id", "c"], ["name", "Cold"], ["new", "1"]]));
    assert_eq!(line["notes"], json!(["keys that this version does not know: new"]));
    let legacy = decode(&desk, &record("item", "update", "i", r#"{"ID":"i"}"#), 0);
    assert!(legacy["record_lines"][0]["notes"][0].as_str().expect("text").contains("legacy server"));
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
        ("POST /x HTTP/1.1\r\n\r\nhello", "not JSON"),
    ] {
        let said = desk.feed(&["decode", "--json"], input).ends(2);
        assert_eq!(said.error().0, "bad_input");
        assert!(said.json()["error"]["message"].as_str().expect("text").contains(says), "{said:?}");
    }
    std::fs::write(desk.path("packed"), [0x1f, 0x8b, 8, 0]).expect("a file");
    let said = desk.run(&["decode", "packed", "--json"]).ends(2);
    assert!(said.json()["error"]["message"].as_str().expect("text").contains("cannot be unpacked"), "{said:?}");
    // Something packed in itself would never end.
    let pack = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, bytes).expect("memory");
        packed.finish().expect("memory")
    };
    std::fs::write(desk.path("twice"), pack(&pack(b"{}"))).expect("a file");
    assert_eq!(desk.run(&["decode", "twice", "--json"]).ends(2).error().0, "bad_input");
    let other = desk.feed(&["decode", "--json"], r#"{"weather":"rain"}"#).ends(1).json();
    assert_eq!(other["message"], "no message of V5 or V6");
    assert_eq!(desk.run(&["decode", "none.json", "--json"]).ends(2).error().0, "bad_input");
}

/// Sites of 3.x speak V7: what a support person reads in a trace of one is named, and its token is not repeated.
#[test]
fn messages_of_release_3_are_named() {
    let desk = Desk::new();
    let token = "eyJhbGciOiJIUzI1NiJ9";
    for (message, means) in [
        (json!({ "Err": { "Other": "no such site" } }), "an error of V7"),
        (json!({ "Ok": { "token": token, "siteId": 3 } }), "speak V7"),
        (json!({ "siteId": 3, "lastCursorInBatch": 70, "remaining": 5, "records": [] }), "speak V7"),
        (json!({ "name": "clinic", "passwordSha256": SECRETS[0], "hardwareId": SECRETS[1] }), "speak V7"),
    ] {
        let decoded = decode(&desk, &message.to_string(), 0);
        let facts = decoded["facts"].to_string();
        assert_eq!(decoded["message"], "V7: a message of Open mSupply 3.x, which this program does not speak");
        assert!(facts.contains(means) && !facts.contains(token), "{decoded}");
    }
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

/// What a server refuses with, in words of its own or of a later version, is shown and never a fault of this program.
#[test]
fn errors_that_no_version_knows() {
    let desk = Desk::new();
    for message in
        [r#"{"error":"x"}"#, r#"{"error":{"laterVersion":[1,2]}}"#, r#"{"error":{"code":"x"}}"#, r#"{"error":null}"#]
    {
        let said = desk.feed(&["decode", "-"], message);
        let is_known = matches!(said.status, Some(0..=2)) && !said.err.contains("panicked");
        assert!(is_known, "{message}: {said:?}");
    }
}
