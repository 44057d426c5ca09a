//! The V5 questions of a site, answered by the same program.

use serde_json::{Value, json};
use sync_core::protocol::PasswordHash;
use sync_core::record::StoreId;
use sync_core::transport::Method;
use sync_tests::capture::captures;
use sync_tests::world::{CentralEnd, Kind};

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
    assert_eq!(said["error"]["data"], json!(null));
}

/// Ours, from nothing, against this one server.
#[test]
fn a_site_is_initialised_against_this_server_alone() {
    let end = CentralEnd::over(Kind::Memory);
    let site = end.new_site("a");
    site.sync();
    assert!(site.get("store", "STORE_a").is_some());
    let status = sync_core::status(site.storage.as_ref()).unwrap();
    assert!(status.initialised && status.role == Some("remote"));
    assert!(end.sites.list().unwrap()[0].last_pull_at.is_some());
}
