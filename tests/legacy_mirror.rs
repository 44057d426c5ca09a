//! Without a legacy server: the queue of a site, the records that central stores for it, and the joins by which its stores see
//! patients. Raw requests, because a network may deliver any request late or twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sync_core::central::Central;
use sync_core::protocol::v5::SiteHeaders;
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::record::{RecordData, RecordId, SiteId, StoreId};
use sync_core::storage::QuarantineCause;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_core::{NoopObserver, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, PASSWORD, document, get};

const QUEUE: &str = "/sync/v5/queued_records";

/// How late no request may arrive any more.
const LATER: Duration = Duration::from_secs(16 * 60);

fn each_storage(test: impl Fn(CentralEnd)) {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let end = CentralEnd::over(kind);
        end.add_site("a");
        end.add_site("b");
        test(end);
    }
}

/// A request of a site to one of the servers on this database.
fn ask_of(central: &Central, site: &str, method: Method, path: &str, body: &Value) -> HttpResponse {
    let headers = SiteHeaders {
        site_name: site.to_owned(),
        password: PasswordHash::of_password(PASSWORD),
        hardware_id: format!("machine-{site}"),
        app: AppIdentity::default(),
        version: 14,
    };
    let (url, headers) = (path.to_owned(), headers.to_headers());
    central.handle(&HttpRequest { method, url, headers, body: body.to_string().into_bytes() })
}

fn ask(end: &CentralEnd, site: &str, method: Method, path: &str, body: &Value) -> HttpResponse {
    ask_of(&end.central, site, method, path, body)
}

fn json_of(response: &HttpResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// A push over V5: number, id and data of each record of `item_line`.
fn push(end: &CentralEnd, site: &str, number: usize, action: &str, id: &str, data: &Value) {
    let record = json!({
        "syncOutId": number.to_string(), "tableName": "item_line", "recordId": id, "action": action, "recordData": data
    });
    let answer = ask(end, site, Method::Post, QUEUE, &json!({ "queueLength": 0, "data": [record] }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The length of the queue, once the site has begun anew.
fn begin_anew(end: &CentralEnd, site: &str) -> Value {
    json_of(&ask(end, site, Method::Post, "/sync/v5/initialise", &Value::Null))["queueLength"].clone()
}

/// The next entries of the queue: acknowledgement, id of the record.
fn queue(end: &CentralEnd, site: &str, limit: usize) -> Vec<(String, String)> {
    let answer = json_of(&ask(end, site, Method::Get, &format!("{QUEUE}?limit={limit}"), &Value::Null));
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    answer["data"].as_array().unwrap().iter().map(|entry| (text(entry, "syncOutId"), text(entry, "recordId"))).collect()
}

fn ids(entries: &[(String, String)]) -> Vec<&str> {
    entries.iter().map(|(_, id)| id.as_str()).collect()
}

fn acknowledge(end: &CentralEnd, site: &str, entries: &[(String, String)]) {
    let stored: Vec<&String> = entries.iter().map(|(entry, _)| entry).collect();
    let answer = ask(end, site, Method::Post, "/sync/v5/acknowledged_records", &json!({ "syncIDs": stored }));
    assert_eq!(answer.status, 204);
}

fn quarantine(end: &CentralEnd) -> Vec<(String, String)> {
    let rows = end.storage.read().unwrap().quarantined(0, 99).unwrap();
    rows.into_iter().map(|(row, why)| (row.incoming.id.to_string(), why.reason)).collect()
}

fn credentials(site: &str) -> Value {
    json!({
        "serverUrl": "", "username": site, "passwordSha256": PasswordHash::of_password(PASSWORD).expose(),
        "siteUuid": format!("machine-{site}"), "appVersion": "2.19.0", "appName": "x", "syncVersion": "14"
    })
}

/// A push over V6 of a program that asks nobody: table, id and data of each record; a deletion has no data.
fn push_v6(end: &CentralEnd, site: &str, from: usize, records: &[(&str, &str, Option<RecordData>)]) {
    let element = |(at, (table, id, data)): (usize, &(&str, &str, Option<RecordData>))| {
        let action = if data.is_some() { "Update" } else { "Delete" };
        let data: Value = data.as_ref().map_or(Value::Null, |data| serde_json::from_str(data.as_str()).unwrap());
        json!({
            "cursor": from + at,
            "record": { "tableName": table, "recordId": id, "action": action, "recordData": data }
        })
    };
    let records: Vec<Value> = records.iter().enumerate().map(element).collect();
    let batch = json!({ "end_cursor": 1, "total_records": records.len(), "records": records, "is_last_batch": true });
    let body = json!({ "batch": batch, "syncV5Settings": credentials(site), "syncV6Version": 5 });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let url = "central/sync/push".to_owned();
    let answer =
        end.central.handle(&HttpRequest { method: Method::Post, url, headers, body: body.to_string().into_bytes() });
    let answer = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.contains("records_pushed"), "{answer}");
    end.central.integrate_waiting().unwrap();
}

fn patient(id: &'static str) -> (&'static str, &'static str, Option<RecordData>) {
    ("name", id, Some(document("name", &[("ID", id), ("type", "patient")])))
}

fn join<'a>(id: &'a str, name: &str, store: &str) -> (&'a str, &'a str, Option<RecordData>) {
    let data = json!({ "ID": id, "name_ID": name, "store_ID": store, "inactive": false });
    ("name_store_join", id, Some(RecordData::of(&data)))
}

/// `name-store-join`, at one of the servers on this database.
fn link_v6_at(central: &Central, site: &str, id: &str, name: &str, store: &str) -> HttpResponse {
    let body = json!({ "id": id, "nameId": name, "storeId": store, "syncV5Settings": credentials(site) });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let (url, body) = ("central/name-store-join".to_owned(), body.to_string().into_bytes());
    central.handle(&HttpRequest { method: Method::Post, url, headers, body })
}

fn link_v6(end: &CentralEnd, site: &str, id: &str, name: &str, store: &str) -> u16 {
    link_v6_at(&end.central, site, id, name, store).status
}

/// The link of the legacy server.
fn link_v4(end: &CentralEnd, site: &str, name: &str, store: &str) -> HttpResponse {
    link_v4_at(&end.central, site, name, store)
}

fn link_v4_at(central: &Central, site: &str, name: &str, store: &str) -> HttpResponse {
    ask_of(central, site, Method::Post, "/api/v4/name_store_join", &json!({ "name_ID": name, "store_ID": store }))
}

fn is_joined(end: &CentralEnd, name: &str, store: &str) -> bool {
    end.storage.read().unwrap().is_visible(&name.into(), &[StoreId::from(store)]).unwrap()
}

fn id_in(answer: &HttpResponse) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    json_of(answer)["ID"].as_str().unwrap().to_owned()
}

#[test]
fn a_late_acknowledgement_of_a_former_queue_takes_nothing_from_the_new_one() {
    each_storage(|end| {
        for number in 0..30 {
            push(&end, "a", number + 1, "update", &format!("T{number}"), &json!({ "ID": format!("T{number}") }));
        }
        assert_eq!(begin_anew(&end, "a"), 30);
        let first = queue(&end, "a", 20);
        assert_eq!(queue(&end, "a", 20), first, "the same until they are acknowledged");
        acknowledge(&end, "a", &first);
        acknowledge(&end, "a", &queue(&end, "a", 20));
        assert_eq!(ids(&queue(&end, "a", 20)), [""; 0]);
        // The machine is lost, and a new one begins. Then the acknowledgement of the old one comes again.
        assert_eq!(begin_anew(&end, "a"), 30);
        acknowledge(&end, "a", &first);
        assert_eq!(queue(&end, "a", 99).len(), 30);
        // The numbers alone, as an older version wrote them.
        let plain = |(entry, id): &(String, String)| (entry.rsplit('-').next().unwrap().to_owned(), id.clone());
        acknowledge(&end, "a", &first.iter().map(plain).collect::<Vec<_>>());
        assert_eq!(queue(&end, "a", 99).len(), 30);
        acknowledge(&end, "a", &queue(&end, "a", 99));
        assert_eq!(queue(&end, "a", 99).len(), 0);
    });
}

#[test]
fn the_entries_beside_the_queue_are_of_one_queue_too() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[patient("p"), join("ja", "p", "STORE_a")]);
        begin_anew(&end, "b");
        link_v4(&end, "b", "p", "STORE_b");
        let linked = queue(&end, "b", 9);
        assert_eq!(linked.len(), 2);
        acknowledge(&end, "b", &linked);
        begin_anew(&end, "b");
        acknowledge(&end, "b", &queue(&end, "b", 9));
        link_v4(&end, "b", "p", "STORE_b");
        acknowledge(&end, "b", &linked);
        assert_eq!(ids(&queue(&end, "b", 9)), ids(&linked), "linked once more, and not received yet");
    });
}

#[test]
fn a_newer_version_or_a_delete_ends_the_quarantine_of_a_version_that_could_not_be_stored() {
    each_storage(|end| {
        let bad = json!({ "ID": "T", "note": "a\0b" });
        push(&end, "a", 1, "update", "T", &bad);
        assert_eq!(quarantine(&end).len(), 1);
        push(&end, "b", 1, "update", "T", &json!({ "ID": "T" }));
        assert_eq!(quarantine(&end).len(), 1, "the record of another site");
        push(&end, "a", 2, "update", "T", &json!({ "ID": "T", "note": "good" }));
        assert_eq!(quarantine(&end), []);
        push(&end, "a", 3, "update", "T", &bad);
        assert_eq!(quarantine(&end).len(), 1);
        push(&end, "a", 4, "delete", "T", &Value::Null);
        assert_eq!(quarantine(&end), []);
        assert_eq!(begin_anew(&end, "a"), 0);
    });
}

/// Patients come over V5 and over V6: what V6 brought waits for its own reasons.
#[test]
fn what_waits_over_v6_stays_whatever_comes_over_v5() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[join("j", "later", "STORE_a")]);
        let waits = |end: &CentralEnd| assert_eq!(end.causes(), [(QuarantineCause::Waiting, 1)]);
        waits(&end);
        for (number, data) in [json!({ "ID": "j" }), json!({ "ID": "j", "note": "\0" })].into_iter().enumerate() {
            let record = json!({
                "syncOutId": (number + 10).to_string(), "tableName": "name_store_join", "recordId": "j", "action": "update",
                "recordData": data
            });
            assert_eq!(ask(&end, "a", Method::Post, QUEUE, &json!({ "queueLength": 0, "data": [record] })).status, 200);
            waits(&end);
        }
        push_v6(&end, "a", 20, &[patient("later")]);
        assert!(is_joined(&end, "later", "STORE_a"));
    });
}

#[test]
fn what_is_no_record_is_set_aside_and_not_returned() {
    each_storage(|end| {
        let long = "x".repeat(5000);
        for (number, (action, id, data, says)) in [
            ("update", "null", Value::Null, "$: expected an object, found null"),
            ("insert", "list", json!([]), "$: expected an object, found an array"),
            ("update", "text", json!("text"), "$: expected an object, found a string"),
            ("update", "nothing", json!({}), "$: expected the data of the record, found none"),
            ("merge", "merged", json!({ "ID": "merged" }), "only the legacy server merges records"),
            ("update", "", json!({ "ID": "" }), "recordId has 0 bytes; 1 to"),
            ("update", long.as_str(), json!({ "ID": "y" }), "recordId has 5000 bytes; 1 to"),
        ]
        .into_iter()
        .enumerate()
        {
            push(&end, "a", number + 1, action, id, &data);
            let (of, reason) = quarantine(&end).pop().unwrap();
            assert!(of == id && reason.starts_with(says), "{id} {reason}");
        }
        assert_eq!(begin_anew(&end, "a"), 0);
    });
}

#[test]
fn a_site_that_begins_anew_again_and_again_has_nothing_stored_again() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[patient("p"), join("ja", "p", "STORE_a"), patient("q"), join("jq", "q", "STORE_a")]);
        let site = end.sites.list().unwrap().iter().find(|site| site.name == "a").unwrap().id;
        let stored = |site: SiteId| {
            let txn = end.storage.read().unwrap();
            let all = txn.central().unwrap().legacy_mirror(site, 0, 99).unwrap();
            all.into_iter().map(|stored| (stored.number, stored.id.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(begin_anew(&end, "a"), 4);
        let before = stored(site);
        assert_eq!(begin_anew(&end, "a"), 4);
        assert_eq!(stored(site), before);
        // A newer version is stored, and only that.
        let newer = document("name", &[("ID", "p"), ("type", "patient"), ("last", "newer")]);
        push_v6(&end, "a", 10, &[("name", "p", Some(newer))]);
        assert_eq!(begin_anew(&end, "a"), 4);
        let after = stored(site);
        assert_eq!(after[..3], before.iter().filter(|(_, id)| id != "p").cloned().collect::<Vec<_>>());
        assert_eq!(after[3].1, "p");
    });
}

#[test]
fn a_link_is_the_join_that_is_there_whoever_made_it() {
    each_storage(|end| {
        let b = end.set_up_in("b", "b", end.transport());
        b.sync();
        push_v6(&end, "a", 1, &[patient("p"), join("of a", "p", "STORE_a")]);
        end.sites.add_store("STORE_a", "a", "b", Some(StoreId::from("STORE_a"))).unwrap();
        end.central.integrate_waiting().unwrap();
        b.sync();
        assert!(b.get("name_store_join", "of a").is_none());
        let report = b.site.link_patient(&"p".into(), &"STORE_a".into(), &mut NoopObserver).unwrap();
        assert_eq!(report.outcome, SyncOutcome::Done, "{report:?}");
        assert!(b.get("name", "p").is_some() && b.get("name_store_join", "of a").is_some());
        assert!(b.storage.read().unwrap().is_visible(&"p".into(), &["STORE_a".into()]).unwrap());
    });
}

#[test]
fn nobody_keeps_another_site_from_its_link_by_taking_the_id_of_the_join() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[patient("p"), join("ja", "p", "STORE_a"), patient("q"), patient("r")]);
        begin_anew(&end, "b");
        // The ids that central would choose, from a database of its own.
        let ids_of = |name: &str| {
            let other = CentralEnd::over(Kind::Memory);
            other.add_site("b");
            push_v6(&other, "b", 1, &[("name", name, Some(document("name", &[("ID", name), ("type", "patient")])))]);
            id_in(&link_v4(&other, "b", name, "STORE_b"))
        };
        // One is taken by a join, one by a join that waits, one by a deleted join.
        push_v6(&end, "a", 10, &[join(&ids_of("p"), "p", "STORE_a"), join(&ids_of("q"), "later", "STORE_a")]);
        push_v6(&end, "a", 20, &[join(&ids_of("r"), "r", "STORE_a")]);
        push_v6(&end, "a", 30, &[("name_store_join", &ids_of("r"), None)]);
        for name in ["p", "q", "r"] {
            let id = id_in(&link_v4(&end, "b", name, "STORE_b"));
            assert_ne!(id, ids_of(name));
            assert!(is_joined(&end, name, "STORE_b"), "{name}");
            assert_eq!(id_in(&link_v4(&end, "b", name, "STORE_b")), id, "the same for a request that is sent again");
            assert_eq!(link_v6(&end, "b", &id, name, "STORE_b"), 200);
        }
        // The site whose join waited gets what it pushed.
        push_v6(&end, "a", 40, &[patient("later")]);
        assert!(is_joined(&end, "later", "STORE_a"));
        assert_eq!(end.causes(), []);
    });
}

#[test]
fn the_id_of_a_waiting_or_deleted_join_stays_reserved_for_its_store() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[patient("p"), join("deleted", "p", "STORE_a")]);
        push_v6(&end, "a", 20, &[("name_store_join", "deleted", None), join("waits", "later", "STORE_a")]);
        for id in ["deleted", "waits"] {
            assert_eq!(link_v6(&end, "b", id, "p", "STORE_b"), 500, "{id}");
        }
        // Its own join that waits for another patient is no more free.
        assert_eq!(link_v6(&end, "a", "waits", "p", "STORE_a"), 500);
        assert!(!is_joined(&end, "p", "STORE_b") && !is_joined(&end, "p", "STORE_a"));
        push_v6(&end, "a", 30, &[patient("later")]);
        assert!(is_joined(&end, "later", "STORE_a"));
    });
}

#[test]
fn a_late_copy_of_a_link_does_not_bring_a_deleted_join_back() {
    each_storage(|end| {
        push_v6(&end, "a", 1, &[patient("p"), join("ja", "p", "STORE_a")]);
        assert_eq!(link_v6(&end, "b", "jb", "p", "STORE_b"), 200);
        push_v6(&end, "b", 50, &[("name_store_join", "jb", None)]);
        let of_v4 = id_in(&link_v4(&end, "b", "p", "STORE_b"));
        push_v6(&end, "b", 60, &[("name_store_join", &of_v4, None)]);
        assert_eq!(link_v6(&end, "b", "jb", "p", "STORE_b"), 503);
        assert_eq!(link_v4(&end, "b", "p", "STORE_b").status, 503);
        assert!(!is_joined(&end, "p", "STORE_b"));
        // Later it can only be a new one.
        let later: Arc<Central> = end.restarted_and_run_for(LATER);
        assert_eq!(link_v4_at(&later, "b", "p", "STORE_b").status, 200);
        assert!(is_joined(&end, "p", "STORE_b"));
        assert_eq!(link_v6_at(&later, "b", "jb", "p", "STORE_b").status, 200);
        assert!(get(&end.records, "name_store_join", "jb").is_none(), "the store sees the patient already");
    });
}

/// A site that links patients and never reads its queue costs no more with each.
#[test]
fn links_that_a_site_does_not_read_have_a_limit() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("b");
    let names: Vec<String> = (0..501).map(|number| format!("n{number}")).collect();
    for (at, name) in names.iter().enumerate() {
        let data = document("name", &[("ID", name), ("type", "patient")]);
        push_v6(&end, "b", at + 1, &[("name", name, Some(data))]);
    }
    for name in &names[..500] {
        assert_eq!(link_v4(&end, "b", name, "STORE_b").status, 200);
    }
    let refused = link_v4(&end, "b", &names[500], "STORE_b");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(!is_joined(&end, &names[500], "STORE_b"), "nothing is half done");
    acknowledge(&end, "b", &queue(&end, "b", 10));
    assert_eq!(link_v4(&end, "b", &names[500], "STORE_b").status, 200);
    let mut read = Vec::new();
    loop {
        let some = queue(&end, "b", 300);
        if some.is_empty() {
            break;
        }
        acknowledge(&end, "b", &some);
        read.extend(some.into_iter().map(|(_, id)| id));
    }
    assert_eq!(read.len(), 2 * 501 - 10);
    assert!(read.contains(&names[500]));
    assert!(end.records.get("name", RecordId::from(names[500].as_str())).unwrap().is_some());
}

/// The request to be initialised may come late, after the site took away its join and wrote the patient once more.
#[test]
fn the_writer_of_a_patient_gets_its_own_newest_version_although_it_sees_the_patient_no_more() {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    a.sync();
    let patient = |last: &str| document("name", &[("ID", "p"), ("type", "patient"), ("last", last)]);
    a.records.put("name", [patient("first")]).unwrap();
    let join = json!({ "ID": "j", "name_ID": "p", "store_ID": "STORE_a", "inactive": false });
    a.records.put("name_store_join", [RecordData::of(&join)]).unwrap();
    a.sync();
    assert_eq!(ask(&central, "a", Method::Post, "/sync/v5/initialise", &json!({})).status, 200);
    a.records.delete("name_store_join", "j").unwrap();
    a.records.put("name", [patient("second")]).unwrap();
    a.sync();
    a.sync();
    for records in [&a.records, &central.records] {
        assert!(get(records, "name", "p").unwrap().contains("second"));
    }
}
