//! The V5 questions of a site, answered by the same program.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use sync_core::Replica;
use sync_core::central::Central;
use sync_core::protocol::v5::SiteHeaders;
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::record::StoreId;
use sync_core::storage::MemoryStorage;
use sync_core::transport::{HttpRequest, Method};
use sync_testkit::FaultyStorage;
use sync_tests::capture::captures;
use sync_tests::world::{CentralEnd, Kind, asset, data};

use super::{PASSWORD, credentials, json as answered, pull_request};

/// Questions that a site asks before it has a role, of a server that says that the site is the central one.
const OF_THE_CENTRAL_SITE: [&str; 2] = ["site", "site-2"];

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn same_shape(ours: &Value, theirs: &Value, at: &str) {
    assert_eq!(kind_of(ours), kind_of(theirs), "{at}");
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: Vec<&String> = ours.keys().collect();
            assert_eq!(keys, theirs.keys().collect::<Vec<_>>(), "{at}");
            for (key, ours) in ours {
                if key != "recordData" {
                    same_shape(ours, &theirs[key], &format!("{at}.{key}"));
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.is_empty(), theirs.is_empty(), "{at}");
            ours.iter().for_each(|ours| same_shape(ours, &theirs[0], &format!("{at}[]")));
        }
        _ => {}
    }
}

fn end() -> CentralEnd {
    let end = CentralEnd::over(Kind::Memory);
    for site in ["oms_central", "site_a"] {
        end.sites.add(site, &PasswordHash::of_password("pass")).unwrap();
        let store = StoreId::new(format!("STORE_{site}"));
        end.sites.add_store(site, site, site, Some(store)).unwrap();
    }
    end
}

#[test]
fn what_a_real_site_asks_first_is_answered_in_the_same_shape() {
    let end = end();
    let captures = captures(&["v5"]);
    assert!(captures.len() >= 9);
    for capture in &captures {
        let ours = end.central.handle(&capture.http_request());
        let said = String::from_utf8_lossy(&ours.body).into_owned();
        assert_eq!(ours.status, capture.status, "{}: {said}", capture.name);
        let (ours, theirs): (Value, Value) =
            (serde_json::from_str(&said).unwrap(), serde_json::from_str(capture.response.json()).unwrap());
        same_shape(&ours, &theirs, &capture.name);
        if !OF_THE_CENTRAL_SITE.contains(&capture.stem()) && !capture.stem().starts_with("central-records") {
            assert_eq!(ours, theirs, "{}", capture.name);
        }
    }
}

/// Every key of a store and of its name that a real site demands, by what the real legacy data hold.
#[test]
fn stores_and_their_names_have_the_keys_that_a_real_site_reads() {
    let end = end();
    let capture = captures(&["v5"]).into_iter().find(|capture| capture.stem() == "central-records").unwrap();
    let ours: Value = serde_json::from_slice(&end.central.handle(&capture.http_request()).body).unwrap();
    let records = ours["data"].as_array().unwrap();
    let of = |table: &str| records.iter().find(|record| record["tableName"] == table).unwrap()["recordData"].clone();
    for key in ["ID", "name_ID", "code", "sync_id_remote_site", "logo", "store_mode", "created_date", "disabled"] {
        assert!(of("store").get(key).is_some(), "{key}");
    }
    assert_eq!(of("store")["store_mode"], "dispensary");
    let position = |table: &str| records.iter().position(|record| record["tableName"] == table).unwrap();
    assert!(position("name") < position("store"), "a store names its name");
    let name = of("name");
    for field in sync_core::record::record_type("name").unwrap().fields {
        assert!(field.default.is_some() || name.get(field.name).is_some(), "{}", field.name);
    }
    // A site without V6 stores: what else it may ask.
    let mut acknowledged = capture.http_request();
    (acknowledged.method, acknowledged.url) = (Method::Post, "/sync/v5/acknowledged_records".to_owned());
    acknowledged.body = br#"{"syncIDs":[]}"#.to_vec();
    let response = end.central.handle(&acknowledged);
    assert_eq!((response.status, response.body.len()), (204, 0));
    let mut unreadable = acknowledged;
    unreadable.url = "/sync/v5/queued_records".to_owned();
    let response = end.central.handle(&unreadable);
    assert_eq!(response.status, 400);
    let said: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(said["error"]["data"], Value::Null);
}

/// Ours, from nothing, against this one server.
#[test]
fn a_site_is_initialised_against_this_server_alone() {
    let end = CentralEnd::over(Kind::Memory);
    let site = end.new_site("a");
    site.sync();
    assert!(site.get("store", "STORE_a").is_some());
    let status = Replica::with_storage(site.storage.clone()).status().unwrap();
    assert!(status.initialised && status.role == Some("remote"));
    assert!(end.sites.list().unwrap()[0].last_pull_at.is_some());
}

/// All records of a table that a site of an older release is sent from a cursor on, and where its next question begins.
fn read_to_the_end(central: &Central, site: &str, mut cursor: u64, table: &str) -> (BTreeSet<String>, u64) {
    let mut ids = BTreeSet::new();
    loop {
        let batch = answered(&central.handle(&pull_request(&credentials(site), cursor, 500)));
        let batch = &batch["data"];
        let records = batch["records"].as_array().unwrap();
        let wanted = records.iter().filter(|element| element["record"]["tableName"] == table);
        ids.extend(wanted.map(|element| element["record"]["recordId"].as_str().unwrap().to_owned()));
        if records.is_empty() {
            return (ids, cursor);
        }
        cursor = batch["end_cursor"].as_u64().unwrap() + 1;
    }
}

/// A site of an older release does not read everything again when it gets a store.
#[test]
fn a_store_that_moves_brings_its_records_to_a_site_that_read_past_them() {
    const RECORDS: usize = 2300;
    let mut fault = 0;
    loop {
        let storage = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
        let end = CentralEnd::over_storage(storage.clone());
        let a = end.new_site("a");
        end.add_site("b");
        a.sync();
        a.records.put("asset", (0..RECORDS).map(|n| asset(&n.to_string(), "STORE_a", ""))).unwrap();
        a.sync();
        end.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
        let (before, from) = read_to_the_end(&end.central, "b", 0, "asset");
        assert!(before.is_empty());

        if fault > 0 {
            storage.crash_at(fault);
        }
        let operations = storage.operations();
        let moved = end.sites.add_store("a", "a", "b", Some(StoreId::from("STORE_a")));
        let operations = storage.operations() - operations;
        assert!(moved.is_ok(), "it was said once it held, and before its records were logged");
        storage.heal();
        // What was cut goes on where it was, without a word of the one who asked for it.
        end.restarted().integrate_waiting().unwrap();
        let (after, _) = read_to_the_end(&end.central, "b", from, "asset");
        assert_eq!(after.len(), RECORDS, "died at operation {fault} of {operations}");
        if fault > 0 {
            break;
        }
        assert!(operations > RECORDS as u64 / 2, "{operations}");
        fault = operations / 2;
    }
}

fn v5(end: &CentralEnd, site: &str, machine: &str, route: &str, body: Option<&Value>) -> (u16, Value) {
    let headers = SiteHeaders {
        site_name: site.to_owned(),
        password: PasswordHash::of_password(PASSWORD),
        hardware_id: machine.to_owned(),
        app: AppIdentity::default(),
        version: 14,
    };
    let request = HttpRequest {
        method: if body.is_some() { Method::Post } else { Method::Get },
        url: format!("/sync/v5/{route}"),
        headers: headers.to_headers(),
        body: body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default(),
    };
    let response = end.central.handle(&request);
    (response.status, serde_json::from_slice(&response.body).unwrap_or_default())
}

/// Stock and invoices are no part of V6. A site is told that they were taken: so they are kept, and come back to a machine
/// that begins anew in its place.
#[test]
fn what_a_site_brings_of_the_legacy_tables_is_kept_for_it_and_comes_back() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let end = CentralEnd::over(kind);
        end.add_site("a");
        end.add_site("b");
        let a = |route: &str, body: Option<Value>| v5(&end, "a", "machine", route, body.as_ref());
        let line = |n: usize, action: &str, data: Value| {
            json!({
                "syncOutId": n.to_string(), "tableName": "trans_line", "recordId": format!("line {n}"), "action": action,
                "recordData": data,
            })
        };
        let push = |left: usize, data: &[Value]| a("queued_records", Some(json!({"queueLength": left, "data": data})));
        let lines: Vec<Value> = (1..=5).map(|n| line(n, "Update", json!({"ID": n, "quantity": 40.0}))).collect();
        assert_eq!(push(7, &lines), (200, json!({"integrationStarted": false})));
        let later = [line(2, "Delete", Value::Null), line(1, "Update", json!({"ID": 1, "note": "ü"}))];
        assert_eq!(push(2, &later), (200, json!({"integrationStarted": false})));
        assert_eq!(push(0, &[]), (200, json!({"integrationStarted": true})));
        assert_eq!(a("queued_records?limit=2", None).1["data"], json!([]), "what it brought it has");
        assert_eq!(push(1, &[json!({"tableName": "trans_line"})]).0, 400);

        // The tablet is lost; another one takes its place.
        assert_eq!(a("initialise", Some(json!({}))), (200, json!({"queueLength": 4})));
        let mut given = Vec::new();
        for expected in [4, 2] {
            let (_, batch) = a("queued_records?limit=2", None);
            assert_eq!(batch["queueLength"], expected);
            assert_eq!(a("queued_records?limit=2", None).1, batch, "the same until it is acknowledged");
            let records = batch["data"].as_array().unwrap();
            let ids: Vec<&Value> = records.iter().map(|record| &record["syncOutId"]).collect();
            assert_eq!(a("acknowledged_records", Some(json!({"syncIDs": ids}))).0, 204);
            given.extend(records.iter().map(|r| (r["recordId"].clone(), r["action"].clone(), r["recordData"].clone())));
        }
        let whole = |n: usize| (json!(format!("line {n}")), json!("update"), json!({"ID": n, "quantity": 40.0}));
        let changed = (json!("line 1"), json!("update"), json!({"ID": 1, "note": "ü"}));
        assert_eq!(given, [whole(3), whole(4), whole(5), changed]);
        assert_eq!(a("queued_records?limit=2", None).1, json!({"queueLength": 0, "data": []}));
        assert_eq!(v5(&end, "b", "machine-b", "initialise", Some(&json!({}))).1, json!({"queueLength": 0}));
    }
}

/// Ours, with its stock, on a new machine.
#[test]
fn a_lost_machine_is_replaced_from_this_server_alone() {
    let end = CentralEnd::over(Kind::Memory);
    let old = end.new_site("a");
    old.sync();
    let clinician = r#"{"ID":"c","code":"c","last_name":"Sow","store_ID":"STORE_a"}"#;
    old.records.put("clinician", [data(clinician)]).unwrap();
    old.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    old.sync();

    let new = end.set_up_in("a2", "a", end.transport());
    new.sync();
    assert_eq!((new.get("clinician", "c"), new.get("asset", "x")), (old.get("clinician", "c"), old.get("asset", "x")));
    assert!(new.get("clinician", "c").is_some());
}
