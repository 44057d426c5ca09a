//! Input that a site may send to central, and central's reaction.

use sync_core::Replica;
use sync_core::protocol::PasswordHash;
use sync_core::record::SiteId;
use sync_core::storage::{QuarantineCause, Source};
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_tests::world::{CentralEnd, PASSWORD, asset, count, data, get};

use super::{PULL, PUSH, STATUS, set_aside};

pub(super) fn credentials(name: &str, password: &str, machine: &str) -> String {
    let hash = PasswordHash::of_password(password);
    format!(
        r#"{{"serverUrl":"","username":"{name}","passwordSha256":"{}","siteUuid":"{machine}","appVersion":"2.19.0","appName":"Open mSupply Desktop","syncVersion":"14"}}"#,
        hash.expose()
    )
}

pub(super) fn right() -> String {
    credentials("a", PASSWORD, "machine-a")
}

pub(super) fn request(method: Method, path: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    HttpRequest { method, url: path.to_owned(), headers, body: body.into() }
}

fn push_body(records: &[String]) -> String {
    let records: Vec<String> = records.iter().map(|record| format!(r#"{{"cursor":1,"record":{record}}}"#)).collect();
    format!(
        r#"{{"batch":{{"end_cursor":1,"total_records":{},"records":[{}],"is_last_batch":true}},"syncV5Settings":{},"syncV6Version":5}}"#,
        records.len(),
        records.join(","),
        right()
    )
}

pub(super) fn pull_body(cursor: u64, batch_size: u64, version: u32, credentials: &str) -> String {
    format!(
        r#"{{"cursor":{cursor},"batchSize":{batch_size},"syncV5Settings":{credentials},"isInitialised":true,"syncV6Version":{version}}}"#
    )
}

pub(super) fn record(table: &str, id: &str, data: &str) -> String {
    format!(r#"{{"tableName":"{table}","recordId":"{id}","action":"Update","recordData":{data}}}"#)
}

pub(super) fn good(id: &str) -> String {
    record("asset", id, asset(id, "STORE_a", "").as_str())
}

pub(super) fn text(response: &HttpResponse) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

pub(super) fn json(response: &HttpResponse) -> serde_json::Value {
    assert_eq!(response.status, 200, "{}", text(response));
    serde_json::from_slice(&response.body).expect("JSON")
}

/// A central that knows site `a`, which is number 2.
pub(super) fn central() -> CentralEnd {
    let central = CentralEnd::new();
    central.add_site("a");
    central
}

fn push(central: &CentralEnd, body: impl Into<Vec<u8>>) -> HttpResponse {
    central.central.handle(&request(Method::Post, PUSH, body))
}

fn staged(central: &CentralEnd) -> usize {
    central.storage.read().unwrap().staged_tables(Source::Site(SiteId(2))).unwrap().len()
}

#[test]
fn bad_records_are_taken_and_set_aside_and_stop_no_other() {
    use QuarantineCause::{Malformed, Refused, Unsupported, Waiting};
    let of = |data: &str| record("asset", "bad", data);
    let dates = r#""created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00""#;
    let long = "x".repeat(10_000);
    for (what, bad, cause, says) in [
        ("an unknown table", record("hologram", "bad", "{}"), Unsupported, "\"hologram\""),
        ("data that is an array", of("[1]"), Malformed, "$: expected an object"),
        ("no data", of("null"), Malformed, "$: expected an object"),
        ("no data at all", of("{}").replace(r#","recordData":{}"#, ""), Malformed, "$.id"),
        ("a missing field", of(r#"{"id":"bad"}"#), Malformed, "$.created_datetime"),
        ("a misspelt field", of(&format!(r#"{{"ID":"bad",{dates}}}"#)), Malformed, "$.id"),
        ("a number for text", of(&format!(r#"{{"id":"bad","notes":5,{dates}}}"#)), Malformed, "$.notes"),
        ("another id inside", of(&format!(r#"{{"id":"x",{dates}}}"#)), Malformed, "$.id"),
        ("an id of 10 kB", record("asset", &long, asset(&long, "STORE_a", "").as_str()), Malformed, "10000 bytes"),
        ("another site's store", record("asset", "bad", asset("bad", "STORE_b", "").as_str()), Refused, "asset"),
        (
            "central data",
            record("asset_class", "bad", r#"{"id":"bad","name":"n"}"#),
            Refused,
            "only allowed on central",
        ),
        (
            "a record without its parent",
            record(
                "asset_log",
                "bad",
                r#"{"id":"bad","asset_id":"z","user_id":"u","log_datetime":"2025-01-01T00:00:00"}"#,
            ),
            Waiting,
            "asset z",
        ),
        ("a merge", of("{}").replace("Update", "Merge"), Unsupported, "merges"),
    ] {
        let central = central();
        let response = push(&central, push_body(&[good("before"), bad, good("after")]));
        assert_eq!(json(&response)["data"]["records_pushed"], 3, "{what}");
        assert_eq!(count(central.storage.as_ref(), "asset"), 2, "{what}: the others are here");
        let aside = set_aside(central.storage.as_ref());
        let [(_, _, why)] = aside.as_slice() else { panic!("{what}: {aside:?}") };
        assert_eq!(why.cause, cause, "{what}: {}", why.reason);
        assert!(why.reason.contains(says), "{what}: {}", why.reason);
    }
}

#[test]
fn a_bad_record_that_comes_again_and_well_heals() {
    let central = central();
    push(&central, push_body(&[record("asset", "x", r#"{"id":"x"}"#)]));
    central.central.integrate_waiting().unwrap();
    assert_eq!(set_aside(central.storage.as_ref()).len(), 1);
    push(&central, push_body(&[good("x")]));
    central.central.integrate_waiting().unwrap();
    assert!(set_aside(central.storage.as_ref()).is_empty());
    assert!(get(&central.records, "asset", "x").is_some());
}

#[test]
fn requests_that_are_no_message_store_nothing() {
    let central = central();
    let whole = push_body(&[good("x")]);
    let mut not_utf8 = push_body(&[record("asset", "x", asset("x", "STORE_a", "caf#").as_str())]).into_bytes();
    let place = not_utf8.iter().position(|byte| *byte == b'#').unwrap();
    not_utf8[place] = 0xe9;
    for (what, body, says) in [
        (
            "an unknown action",
            push_body(&[good("y"), good("x").replace("Update", "UPSERT")]).into_bytes(),
            "Json deserialize error: unknown variant `UPSERT`, expected one of `Insert`, `insert`, `Update`, `update`",
        ),
        ("no table", whole.replace("tableName", "table").into_bytes(), "missing field `tableName`"),
        ("no id", whole.replace("recordId", "id").into_bytes(), "missing field `recordId`"),
        ("no records", whole.replace("\"records\"", "\"rows\"").into_bytes(), "missing field `records`"),
        ("no last mark", whole.replace("is_last_batch", "isLastBatch").into_bytes(), "missing field `is_last_batch`"),
        ("no credentials", whole.replace("syncV5Settings", "settings").into_bytes(), "missing field `syncV5Settings`"),
        ("no password", whole.replace("passwordSha256", "x").into_bytes(), "missing field `passwordSha256`"),
        ("a cursor below zero", whole.replace("\"cursor\":1", "\"cursor\":-1").into_bytes(), "invalid value"),
        ("an id that is a number", whole.replace("\"recordId\":\"x\"", "\"recordId\":5").into_bytes(), "invalid type"),
        ("not JSON", b"records=1".to_vec(), "expected value"),
        ("JSON and more", format!("{whole} x").into_bytes(), "trailing characters"),
        ("half of it", whole.as_bytes()[..whole.len() / 2].to_vec(), "EOF"),
        ("nothing", Vec::new(), "EOF"),
        ("not UTF-8", not_utf8, "invalid unicode"),
        ("depth without end", "[".repeat(1_000_000).into_bytes(), "Json deserialize error"),
    ] {
        let response = push(&central, body);
        assert_eq!(response.status, 400, "{what}");
        let said = text(&response);
        assert!(said.starts_with("Json deserialize error: ") && said.contains(says), "{what}: {said}");
        assert_eq!(staged(&central), 0, "{what}");
    }
    assert_eq!(push(&central, whole).status, 200);
    central.central.integrate_waiting().unwrap();
    assert!(get(&central.records, "asset", "x").is_some() && set_aside(central.storage.as_ref()).is_empty());
}

#[test]
fn of_a_stranger_nothing_but_the_credentials_is_read() {
    let central = central();
    let unreadable = push_body(&[good("x")]).replace("\"records\"", "\"rows\"");
    assert!(text(&push(&central, unreadable.clone())).contains("missing field `records`"));
    let refused = json(&push(&central, unreadable.replace(&right(), &credentials("a", "guess", "machine-a"))));
    assert!(refused["error"].to_string().contains("SiteIncorrectPassword"), "{refused}");
}

#[test]
fn credentials_larger_than_anybodys_are_refused_unchecked() {
    let central = central();
    let huge = "x".repeat(2000);
    for (what, sent, code) in [
        ("name", credentials(&huge, PASSWORD, "machine-a"), "SiteNameNotFound"),
        ("machine", credentials("a", PASSWORD, &huge), "SiteIncorrectPassword"),
        ("release", right().replace("2.19.0", &huge), "SiteIncorrectPassword"),
        ("address", right().replace(r#""serverUrl":"""#, &format!(r#""serverUrl":"{huge}""#)), "SiteIncorrectPassword"),
    ] {
        // More often than a site may guess: none of them counts as a guess.
        for _ in 0..20 {
            let refused = json(&push(&central, push_body(&[good("x")]).replace(&right(), &sent)));
            assert!(refused["error"].to_string().contains(code), "{what}: {refused}");
        }
    }
    assert_eq!(json(&push(&central, push_body(&[good("x")])))["data"]["records_pushed"], 1);
}

#[test]
fn keys_of_our_own_with_another_meaning_stop_nothing() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for value in ["null", "5", "{}", "[[]]", deep.as_str()] {
        let central = central();
        let body = push_body(&[good("x").replace("\"recordData\"", &format!("\"sent_since\":{value},\"recordData\""))]);
        let body = body.replace("\"end_cursor\"", &format!("\"lost_history\":{value},\"end_cursor\""));
        let body = body.replace("\"syncV6Version\"", &format!("\"pushChain\":{value},\"syncV6Version\""));
        assert_eq!(json(&push(&central, body))["data"]["records_pushed"], 1, "{value:.20}");
        central.central.integrate_waiting().unwrap();
        let looks = pull_body(0, 10, 5, &right());
        let looks = looks.replace("\"isInitialised\"", &format!("\"looksOnly\":{value},\"isInitialised\""));
        let answer = central.central.handle(&request(Method::Post, PULL, looks));
        assert!(json(&answer)["data"]["records"].is_array(), "{value:.20}: {}", text(&answer));
    }
}

#[test]
fn bodies_up_to_the_limit_are_taken_and_larger_ones_are_not() {
    let central = central();
    let large = push_body(&[record("asset", "x", asset("x", "STORE_a", &"n".repeat(9_000_000)).as_str())]);
    assert_eq!(json(&push(&central, large))["data"]["records_pushed"], 1);
    central.central.integrate_waiting().unwrap();
    assert!(get(&central.records, "asset", "x").unwrap().len() > 9_000_000);

    let body = push_body(&[record("asset", "y", asset("y", "STORE_a", &"n".repeat(11 * 1024 * 1024)).as_str())]);
    let (length, response) = (body.len(), push(&central, body));
    assert_eq!(response.status, 413);
    let expected = format!("JSON payload ({length} bytes) is larger than allowed (limit: 10485760 bytes).");
    assert_eq!(text(&response), expected);
    assert_eq!(staged(&central), 0);
}

#[test]
fn wrong_methods_paths_and_types() {
    let central = central();
    for (method, path) in [
        (Method::Get, PULL),
        (Method::Put, PULL),
        (Method::Get, PUSH),
        (Method::Get, STATUS),
        (Method::Post, "/central/sync/nothing"),
        (Method::Post, "/"),
        (Method::Get, ""),
    ] {
        let response = central.central.handle(&request(method, path, push_body(&[good("x")])));
        assert_eq!((response.status, response.body.len()), (404, 0), "{} {path}", method.as_str());
    }
    for kind in [None, Some("text/plain"), Some("multipart/form-data; boundary=x")] {
        let mut untyped = request(Method::Post, PUSH, push_body(&[good("x")]));
        untyped.headers = kind.map(|kind| ("content-type".to_owned(), kind.to_owned())).into_iter().collect();
        assert_eq!(central.central.handle(&untyped).status, 400, "{kind:?}");
    }
    assert_eq!(staged(&central), 0);
}

#[test]
fn wrong_credentials_and_versions() {
    let central = central();
    let ask = |path: &str, body: String| json(&central.central.handle(&request(Method::Post, path, body)));
    assert!(ask(PULL, pull_body(0, 10, 5, &right())).get("data").is_some(), "binds the machine");
    for (name, password, machine, code) in [
        ("a", "wrong", "machine-a", "SiteIncorrectPassword"),
        ("a", "", "machine-a", "SiteIncorrectPassword"),
        ("A", PASSWORD, "machine-a", "SiteNameNotFound"),
        ("", PASSWORD, "machine-a", "SiteNameNotFound"),
        ("a", PASSWORD, "machine-b", "SiteIncorrectHardwareId"),
    ] {
        let wrong = credentials(name, password, machine);
        let body = push_body(&[good("x")]).replace(&right(), &wrong);
        for (path, body) in [(PULL, pull_body(0, 10, 5, &wrong)), (PUSH, body)] {
            let answer = ask(path, body);
            let said = answer["error"]["otherServerError"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(said.contains(&format!("code: '{code}'")) && said.contains("401 Unauthorized"), "{said}");
            let hash = PasswordHash::of_password(password);
            assert!(!said.contains(hash.expose()) && !said.contains(machine), "{said}");
        }
    }
    assert_eq!(staged(&central), 0);
    // The version is checked first, so that a site learns the range without credentials.
    for version in [6, 99, u32::MAX] {
        let answer = ask(PULL, pull_body(0, 10, version, &credentials("nobody", "wrong", "")));
        assert_eq!(answer["error"]["syncVersionMismatch"], serde_json::json!([0, 5, version]));
    }
}

#[test]
fn sizes_and_cursors_at_the_ends_of_their_ranges() {
    let central = central();
    central
        .records
        .put("asset_class", ["c", "d"].map(|id| data(&format!(r#"{{"id":"{id}","name":"{id}"}}"#))))
        .unwrap();
    let newest = central.storage.read().unwrap().last_cursor().unwrap().0;
    let (max32, max64) = (u64::from(u32::MAX), u64::MAX);
    for (cursor, batch_size, records, last) in [
        (0, 0, 0, false),
        (0, 1, 1, false),
        (0, max32, 2, true),
        (newest, max32, 1, true),
        (newest + 1, 500, 0, true),
        (i64::MAX as u64, 500, 0, true),
        (i64::MAX as u64 + 1, 500, 0, true),
        (max64, 500, 0, true),
        (max64, 0, 0, true),
        (max64, max32, 0, true),
    ] {
        let what = format!("{batch_size} from {cursor}");
        let body = pull_body(cursor, batch_size, 5, &right());
        let answer = json(&central.central.handle(&request(Method::Post, PULL, body)));
        let batch = &answer["data"];
        assert_eq!(batch["records"].as_array().map(Vec::len), Some(records), "{what}: {answer}");
        assert_eq!(batch["is_last_batch"], last, "{what}");
        assert!(batch["end_cursor"].as_u64().unwrap() <= newest, "{what}: {answer}");
    }
    let beyond = central.central.handle(&request(Method::Post, PULL, pull_body(0, max32 + 1, 5, &right())));
    assert_eq!(beyond.status, 400);
}

/// A push that counts beyond every database's numbers would leave a state that nothing later could follow.
#[test]
fn a_push_with_a_cursor_beyond_all_numbers_is_refused_and_leaves_nothing() {
    let body =
        |cursor: &str, id: &str| push_body(&[good(id)]).replacen(r#""cursor":1"#, &format!(r#""cursor":{cursor}"#), 1);
    for cursor in ["9223372036854775807", "9223372036854775806", "18446744073709551615"] {
        let central = central();
        let answer = json(&push(&central, body(cursor, "x")));
        assert!(answer["error"]["parsingSyncRecordError"].as_str().unwrap().contains("out of range"), "{answer}");
        let end = push_body(&[good("x")]).replacen(r#""end_cursor":1"#, &format!(r#""end_cursor":{cursor}"#), 1);
        assert!(json(&push(&central, end))["error"].is_object());
        assert_eq!(staged(&central), 0);
        assert_eq!(json(&push(&central, body("7", "x")))["data"]["records_pushed"], 1, "the next is taken");
        central.central.integrate_waiting().unwrap();
        assert_eq!(count(central.storage.as_ref(), "asset"), 1);
    }
    // The stored traces of such a push by an older version stop nothing either.
    let central = central();
    let txn = central.storage.write().unwrap();
    txn.set_state("highest_push_of_site_2", "9223372036854775807").unwrap();
    txn.commit().unwrap();
    assert_eq!(json(&push(&central, body("7", "x")))["data"]["records_pushed"], 1);
    assert_eq!(central.storage.read().unwrap().state("highest_push_of_site_2").unwrap().as_deref(), Some("7"));
}

/// Sites of Open mSupply 2.x store their place as a signed number of 32 bits.
#[test]
fn a_site_that_asks_with_a_negative_number_is_understood() {
    let central = central();
    let end = 1_u64 << 31;
    let txn = central.storage.write().unwrap();
    txn.set_state("newest_cursor", &(end + 4000).to_string()).unwrap();
    txn.commit().unwrap();
    central.records.put("asset", [asset("x", "STORE_a", "one")]).unwrap();
    let ask = |cursor: &str| {
        let body = pull_body(0, 10, 5, &right()).replacen(r#""cursor":0"#, &format!(r#""cursor":{cursor}"#), 1);
        json(&central.central.handle(&request(Method::Post, PULL, body)))["data"].take()
    };
    let kept = |position: u64| i64::from(position as u32 as i32);
    for cursor in ["18446744071562068041".to_owned(), kept(end + 73).to_string(), kept(end + 4001).to_string()] {
        let batch = ask(&cursor);
        assert_eq!(batch["records"][0]["record"]["recordId"], "x", "{cursor}: {batch}");
        assert_eq!(batch["end_cursor"], end + 4001);
    }
    let last = ask(&kept(end + 4002).to_string());
    assert_eq!((last["records"].as_array().unwrap().len(), &last["end_cursor"]), (0, &(end + 4001).into()));
    assert_eq!(ask("-1")["records"].as_array().unwrap().len(), 0, "what it can have been told never");
    // Halfway there, the administrator of the server is warned.
    let alarms = Replica::with_storage(central.storage.clone()).status().unwrap().alarms;
    assert!(alarms.iter().any(|concern| concern.to_string().contains("100 %")), "{alarms:?}");
}
