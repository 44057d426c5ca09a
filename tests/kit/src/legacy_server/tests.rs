//! Each endpoint, as a client sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use sync_core::clock::Timestamp;
use sync_core::protocol::v5::{InitialisationStatus, SiteHeaders, V5_VERSION};
use sync_core::protocol::v6::Action;
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::transport::{Method, Transport};

/// A clock that a test moves.
#[derive(Default)]
pub(super) struct Hands(AtomicU64);

impl Hands {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Relaxed))
    }

    fn sleep(&self, _: Duration) {}
}

/// A world of two sites, and what it takes to speak for one of them.
pub(super) struct Test {
    pub(super) server: LegacyServer,
    pub(super) world: SmallWorld,
    clock: Arc<Hands>,
}

pub(super) const A: &str = "district_a";
pub(super) const B: &str = "district_b";

impl Test {
    pub(super) fn new() -> Self {
        let clock = Arc::new(Hands::default());
        let server = LegacyServer::new(clock.clone());
        let world = small_world(&server, 2, "http://oms.example.org");
        Self { server, world, clock }
    }

    pub(super) fn request(&self, site: &str, endpoint: Endpoint, query: &str, body: Option<&Value>) -> HttpRequest {
        let (method, path) = endpoint.address();
        let headers = SiteHeaders {
            site_name: site.to_owned(),
            password: PasswordHash::of_password(PASSWORD),
            hardware_id: format!("machine of {site}"),
            app: AppIdentity::default(),
            version: V5_VERSION,
        };
        let url = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        HttpRequest { method, url, headers: headers.to_headers(), body }
    }

    fn ask(&self, site: &str, endpoint: Endpoint, query: &str, body: Option<&Value>) -> HttpResponse {
        self.server.handle(&self.request(site, endpoint, query, body))
    }

    /// The answer to a request that goes well.
    pub(super) fn get(&self, site: &str, endpoint: Endpoint, query: &str) -> Value {
        ok(&self.ask(site, endpoint, query, None))
    }

    pub(super) fn post(&self, site: &str, endpoint: Endpoint, body: &Value) -> Value {
        ok(&self.ask(site, endpoint, "", Some(body)))
    }

    pub(super) fn status(&self, site: &str) -> String {
        self.get(site, Endpoint::SiteStatus, "")["code"].as_str().unwrap().to_owned()
    }

    pub(super) fn initialise(&self, site: &str) -> u64 {
        self.post(site, Endpoint::Initialise, &json!({}))["queueLength"].as_u64().unwrap()
    }

    pub(super) fn acknowledge(&self, site: &str, batch: &Value) {
        let ids: Vec<&Value> = elements(batch).iter().map(|record| &record["syncOutId"]).collect();
        let response = self.ask(site, Endpoint::Acknowledge, "", Some(&json!({ "syncIDs": ids })));
        assert_eq!((response.status, response.body.len()), (204, 0));
    }

    /// Pulls and acknowledges a site's queue by batches; gives the tables and ids.
    pub(super) fn drain(&self, site: &str, limit: u64) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for _ in 0..100 {
            let batch = self.get(site, Endpoint::PullQueue, &format!("limit={limit}"));
            if elements(&batch).is_empty() {
                return all;
            }
            assert!(elements(&batch).len() as u64 <= limit);
            all.extend(elements(&batch).iter().map(table_and_id));
            self.acknowledge(site, &batch);
        }
        panic!("the queue of {site} does not empty");
    }

    pub(super) fn push(&self, site: &str, queue_length: u64, records: &[(&str, &str, Value)]) -> Value {
        let element = |(at, (table, id, data)): (usize, &(&str, &str, Value))| {
            let action = if data.is_null() { "Delete" } else { "Update" };
            json!({
                "syncOutId": at.to_string(), "tableName": table, "recordId": id, "action": action, "recordData": data,
            })
        };
        let data: Vec<Value> = records.iter().enumerate().map(element).collect();
        self.post(site, Endpoint::PushQueue, &json!({ "queueLength": queue_length, "data": data }))
    }
}

pub(super) fn ok(response: &HttpResponse) -> Value {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    serde_json::from_slice(&response.body).expect("JSON")
}

pub(super) fn elements(batch: &Value) -> &[Value] {
    batch["data"].as_array().expect("a list")
}

pub(super) fn table_and_id(record: &Value) -> (String, String) {
    (record["tableName"].as_str().unwrap().to_owned(), record["recordId"].as_str().unwrap().to_owned())
}

#[test]
fn site_info_follows_the_initialisation() {
    let test = Test::new();
    let info = test.get(A, Endpoint::Site, "");
    assert_eq!(
        info,
        json!({
            "id": legacy_id("site", "3"), "siteId": 3, "code": A, "name": A, "initialisationStatus": "new",
            "isOmSupplyCentralServer": false, "omSupplyCentralServerUrl": "http://oms.example.org",
            "mSupplyCentralSiteId": 1,
        })
    );
    let central = test.get("oms_central", Endpoint::Site, "");
    assert_eq!((&central["siteId"], &central["isOmSupplyCentralServer"]), (&json!(2), &json!(true)));
    test.initialise(A);
    assert_eq!(test.get(A, Endpoint::Site, "")["initialisationStatus"], "completed");
    test.server.change_site(A, |site| site.oms_central_url.clear());
    assert_eq!(test.get(A, Endpoint::Site, "")["omSupplyCentralServerUrl"], "");
    assert_eq!(test.server.count(Endpoint::Site), 4);
}

#[test]
fn who_is_let_in() {
    let test = Test::new();
    let asked = |change: &dyn Fn(&mut HttpRequest)| {
        let mut request = test.request(A, Endpoint::Site, "", None);
        change(&mut request);
        let response = test.server.handle(&request);
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        (response.status, body["error"]["code"].as_str().unwrap_or_default().to_owned(), body)
    };
    let set = |name: &'static str, value: String| {
        move |request: &mut HttpRequest| {
            request.headers.retain(|(header, _)| header != name);
            request.headers.push((name.to_owned(), value.clone()));
        }
    };
    let login = |site: &str, password: &str| {
        let request = test.request(A, Endpoint::Site, "", None);
        let mut headers = SiteHeaders::from_headers(|name| request.header(name)).unwrap();
        headers.site_name = site.to_owned();
        headers.password = PasswordHash::of_password(password);
        headers.to_headers().remove(0).1
    };
    let code = |answer: (u16, String, Value)| (answer.0, answer.1);
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(code(asked(&set("authorization", login("nobody", PASSWORD)))), refused(401, "site_name_not_found"));
    assert_eq!(code(asked(&set("authorization", login(A, "wrong")))), refused(401, "site_incorrect_password"));
    assert_eq!(code(asked(&|request| request.headers.clear())), refused(401, "site_name_not_found"));
    for name in ["msupply-site-uuid", "app-version", "app-name", "version"] {
        let without = |request: &mut HttpRequest| request.headers.retain(|(header, _)| header != name);
        assert_eq!(code(asked(&without)), refused(400, "invalid_request"), "{name}");
    }
    let (status, refusal, body) = asked(&set("version", "15".to_owned()));
    assert_eq!((status, refusal.as_str()), (409, "api_version_incompatible"));
    assert_eq!(body["error"]["data"], json!({ "major": 8, "minor": 4 }));
    assert_eq!(test.server.hardware_id(A), None, "nobody was let in yet");

    assert_eq!(asked(&|_| {}).0, 200);
    assert_eq!(test.server.hardware_id(A).as_deref(), Some("machine of district_a"));
    let other = set("msupply-site-uuid", "another machine".to_owned());
    assert_eq!(code(asked(&other)), refused(401, "site_incorrect_hardware_id"));
    test.server.reset_hardware_id(A);
    assert_eq!(asked(&other).0, 200);
    assert_eq!(code(asked(&|_| {})), refused(401, "site_incorrect_hardware_id"), "the other one is bound now");
}

#[test]
fn an_unknown_address() {
    let test = Test::new();
    let mut request = test.request(A, Endpoint::Site, "", None);
    request.url = "/sync/v5/auth".to_owned();
    assert_eq!(test.server.handle(&request).status, 404);
    request.url = "/sync/v5/site".to_owned();
    request.method = Method::Post;
    assert_eq!(test.server.handle(&request).status, 404);
    assert_eq!((test.server.unknown_requests(), test.server.count(Endpoint::Site)), (2, 0));
}

#[test]
fn initialising_queues_what_belongs_to_the_site() {
    let test = Test::new();
    let length = test.initialise(A);
    let site = &test.world.sites[0];
    let drained = test.drain(A, 3);
    assert_eq!(drained.len() as u64, length);
    let of = |table: &str| drained.iter().filter(|(of, _)| of == table).map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let mut patients = site.patients.clone();
    patients.extend(test.world.shared_patient.clone());
    assert_eq!(of("name"), patients);
    assert_eq!(of("transact"), std::slice::from_ref(&site.transact_id));
    assert_eq!((of("trans_line").len(), of("clinician").len(), of("name_store_join").len()), (2, 1, 5));
    let ids = |records: Vec<LegacyRecord>| records.into_iter().map(|r| (r.table, r.id)).collect::<Vec<_>>();
    assert_eq!(drained, ids(test.server.rows_of_site(site.site_id)));
    assert!(!drained.contains(&("transact".to_owned(), test.world.sites[1].transact_id.clone())));
    // It may be asked for again, which queues all of it again.
    assert_eq!((test.initialise(A), test.initialise(A)), (length, length));
    assert_eq!(test.server.queued(A).len() as u64, length);
}

#[test]
fn initialising_takes_questions() {
    let test = Test::new();
    test.server.set_initialise_takes(Takes::Polls(2));
    let request = test.request(A, Endpoint::Initialise, "", Some(&json!({})));
    assert_eq!(test.server.reply(&request), Reply::Nothing);
    assert_eq!(test.get(A, Endpoint::Site, "")["initialisationStatus"], "started");
    assert_eq!(test.get(A, Endpoint::PullQueue, "limit=500"), json!({ "queueLength": 0, "data": [] }));
    let again = test.server.handle(&request);
    let body: Value = serde_json::from_slice(&again.body).unwrap();
    assert_eq!((again.status, &body["error"]["code"]), (503, &json!("initialisation_in_progress")));
    let answers = [(); 3].map(|()| test.status(A));
    assert_eq!(answers, ["initialisation_in_progress", "initialisation_in_progress", "idle"]);
    assert_eq!(test.get(A, Endpoint::Site, "")["initialisationStatus"], "completed");
    assert_eq!(test.drain(A, 500).len(), test.server.rows_of_site(SiteId(3)).len());
}

#[test]
fn initialising_takes_time() {
    let test = Test::new();
    test.server.set_initialise_takes(Takes::Time(Duration::from_secs(600)));
    let request = test.request(A, Endpoint::Initialise, "", Some(&json!({})));
    assert_eq!(test.server.handle(&request).status, 504);
    test.clock.pass(599);
    assert_eq!(test.status(A), "initialisation_in_progress");
    test.clock.pass(1);
    assert_eq!(test.server.initialisation_status(A), Some(InitialisationStatus::Completed));
    assert_eq!(test.status(A), "idle");
}

#[test]
fn central_records_come_by_an_exclusive_cursor() {
    let test = Test::new();
    let last = test.server.last_position();
    let mut cursor = 0;
    let mut seen = Vec::new();
    loop {
        let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={cursor}&limit=4"));
        assert_eq!(batch["maxCursor"], last);
        let positions: Vec<u64> = elements(&batch).iter().map(|record| record["ID"].as_u64().unwrap()).collect();
        assert!(positions.len() <= 4 && positions.iter().all(|position| *position > cursor) && positions.is_sorted());
        let Some(end) = positions.last() else { break };
        cursor = *end;
        seen.extend(elements(&batch).iter().map(table_and_id));
    }
    assert_eq!(cursor, last);
    assert_eq!(seen.len(), test.server.central_log().len());

    // A later change moves a record to the end and leaves a gap where it was.
    let (item, unit) = (&test.world.items[0], &test.world.units[0]);
    test.server.put_central("item", item, rows::item(item, "AMX", "Amoxicillin", unit));
    test.server.delete_central("unit", unit);
    let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={last}&limit=500"));
    assert_eq!(elements(&batch).len(), 2);
    let (changed, deleted) = (&elements(&batch)[0], &elements(&batch)[1]);
    assert_eq!((&changed["ID"], &changed["action"]), (&json!(last + 1), &json!("update")));
    assert_eq!(changed["recordData"]["item_name"], "Amoxicillin");
    assert_eq!(*deleted, json!({ "ID": last + 2, "tableName": "unit", "recordId": unit, "action": "delete" }));
    assert_eq!(test.server.central_log().len(), seen.len());

    // A gap at the end: nothing comes, but the last position is larger.
    test.server.skip_positions(3);
    let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={}&limit=500", last + 2));
    assert_eq!(batch, json!({ "maxCursor": last + 5, "data": [] }));
}

#[test]
fn the_queue_stays_until_it_is_acknowledged() {
    let test = Test::new();
    let length = test.initialise(A);
    let first = test.get(A, Endpoint::PullQueue, "limit=4");
    assert_eq!((elements(&first).len(), &first["queueLength"]), (4, &json!(length)));
    assert_eq!(elements(&first)[0]["action"], "insert");
    assert_eq!(elements(&first)[0]["syncOutId"].as_str().unwrap().len(), 32);
    assert_eq!(test.get(A, Endpoint::PullQueue, "limit=4"), first, "nothing was acknowledged");
    test.acknowledge(A, &first);
    test.acknowledge(A, &first);
    let second = test.get(A, Endpoint::PullQueue, "limit=4");
    assert_eq!(second["queueLength"], length - 4);
    assert!(!elements(&first).contains(&elements(&second)[0]));
    test.acknowledge(A, &json!({ "data": [] }));
    assert_eq!(test.server.queued(A).len() as u64, length - 4);
}

#[test]
fn what_is_pushed_is_integrated_when_nothing_is_left() {
    let test = Test::new();
    test.initialise(A);
    test.drain(A, 500);
    let site = &test.world.sites[0];
    let line = test.server.rows_of_site(site.site_id).into_iter().find(|row| row.table == "trans_line").unwrap().id;
    test.server.set_integration_takes(Takes::Polls(1));
    let invoice = rows::transact("pushed", &site.store_id, &test.world.supplier, 7);
    assert_eq!(
        test.push(A, 2, &[("transact", "pushed", invoice.clone()), ("trans_line", &line, Value::Null)]),
        json!({ "integrationStarted": false })
    );
    assert_eq!(test.status(A), "idle");
    assert_eq!(test.server.row("transact", "pushed"), None);
    assert_eq!(test.push(A, 0, &[]), json!({ "integrationStarted": true }));
    assert_eq!(test.server.row("transact", "pushed"), None, "not before it is idle");
    assert_eq!((test.status(A), test.status(A)), ("integration_in_progress".to_owned(), "idle".to_owned()));
    assert_eq!(test.server.row("transact", "pushed"), Some(invoice));
    assert_eq!(test.server.row("trans_line", &line), None);
    assert_eq!(test.server.push_lengths(A), [2, 0]);
    let pushed = test.server.pushed(A);
    assert_eq!((pushed.len(), pushed[1].record.action, &pushed[1].record.data), (2, Action::Delete, &None));
    assert_eq!(test.server.queued(A), [], "what a site pushed is not sent back to it");
    // A new initialisation brings it.
    test.initialise(A);
    assert!(test.drain(A, 500).contains(&("transact".to_owned(), "pushed".to_owned())));
}

#[test]
fn a_push_that_is_no_message_is_refused() {
    let test = Test::new();
    let bodies = [
        json!({ "data": [] }),
        json!({ "queueLength": 0 }),
        json!({ "queueLength": 0, "data": [{ "tableName": "item", "recordId": "1", "action": "Update" }] }),
        json!({ "queueLength": 0, "data": [{ "syncOutId": "1", "tableName": "a", "recordId": "1", "action": "Upsert", "recordData": {} }] }),
    ];
    for body in bodies {
        assert_eq!(test.ask(A, Endpoint::PushQueue, "", Some(&body)).status, 400, "{body}");
    }
    assert_eq!(test.ask(A, Endpoint::Acknowledge, "", Some(&json!({ "syncIds": [] }))).status, 400);
    assert_eq!(test.ask(A, Endpoint::Initialise, "", None).status, 400);
    assert_eq!(test.server.pushed(A), []);
}

#[test]
fn a_patient_of_two_sites_goes_to_the_other_one() {
    let test = Test::new();
    let patient = test.world.shared_patient.clone().unwrap();
    for site in [A, B] {
        test.initialise(site);
        test.drain(site, 500);
    }
    let data = rows::patient(&patient, "P-SHARED", "Ines", "Costa-Lima", "1975-01-02");
    test.push(A, 1, &[("name", &patient, data)]);
    test.push(A, 0, &[]);
    assert_eq!(test.drain(B, 500), [("name".to_owned(), patient.clone())]);
    assert_eq!(test.server.queued(A), []);
    assert_eq!(test.server.row("name", &patient).unwrap()["last"], "Costa-Lima");
}

#[test]
fn a_patient_is_linked_to_a_store() {
    let test = Test::new();
    test.initialise(B);
    test.drain(B, 500);
    let (patient, store) = (&test.world.sites[0].patients[0], &test.world.sites[1].store_id);
    let body = json!({ "name_ID": patient, "store_ID": store });
    let join = test.post(B, Endpoint::NameStoreJoin, &body);
    assert_eq!(
        (&join["name_ID"], &join["store_ID"], &join["inactive"]),
        (&json!(patient), &json!(store), &json!(false))
    );
    let id = join["ID"].as_str().unwrap().to_owned();
    assert_eq!(test.post(B, Endpoint::NameStoreJoin, &body), join, "it is there already");
    let queued = test.drain(B, 500);
    assert_eq!(queued, [("name".to_owned(), patient.clone()), ("name_store_join".to_owned(), id)]);
    let refused = |name: &str, store: &str| {
        test.ask(B, Endpoint::NameStoreJoin, "", Some(&json!({ "name_ID": name, "store_ID": store }))).status
    };
    assert_eq!((refused("nobody", store), refused(patient, &test.world.sites[0].store_id)), (404, 400));
}

#[test]
fn a_merge_repoints_what_the_server_holds() {
    let test = Test::new();
    for site in [A, B] {
        test.initialise(site);
        test.drain(site, 500);
    }
    let (keep, delete) = (&test.world.items[1], &test.world.items[0]);
    let lines = |item: &str| {
        let rows = test.server.rows_of_site(SiteId(3)).into_iter().filter(|row| row.table == "trans_line");
        rows.filter(|row| row.text("item_ID").as_deref() == Some(item)).count()
    };
    assert_eq!((lines(keep), lines(delete)), (1, 1));
    let last = test.server.last_position();
    test.server.merge(MergeBy::CentralLog, "item", keep, delete);
    assert_eq!((lines(keep), lines(delete), test.server.central("item", delete)), (2, 0, None));
    let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={last}&limit=500"));
    let data = json!({ "mergeIdToKeep": keep, "mergeIdToDelete": delete });
    assert_eq!(
        elements(&batch),
        [json!({ "ID": last + 1, "tableName": "item", "recordId": delete, "action": "merge", "recordData": data })]
    );

    let (keep, delete) = (&test.world.sites[0].patients[0], &test.world.sites[1].patients[0]);
    test.server.merge(MergeBy::Queues, "name", keep, delete);
    for site in [A, B] {
        assert_eq!(test.drain(site, 500), [("name".to_owned(), delete.clone())], "{site}");
    }
    let of_b = test.server.rows_of_site(SiteId(4));
    assert!(of_b.iter().any(|row| row.table == "name" && row.id == *keep), "the links went along");
    assert!(!of_b.iter().any(|row| row.id == *delete));
}

#[test]
fn a_store_moves() {
    let test = Test::new();
    for site in [A, B] {
        test.initialise(site);
        test.drain(site, 500);
    }
    let site = &test.world.sites[0];
    test.server.move_store(&site.store_id, SiteId(4));
    assert_eq!(test.server.central("store", &site.store_id).unwrap()["sync_id_remote_site"], 4);
    assert_eq!(test.server.rows_of_site(site.site_id), []);
    assert_eq!(test.server.queued(B), []);
    test.server.queue_store(&site.store_id);
    let queued = test.drain(B, 500);
    assert!(queued.contains(&("transact".to_owned(), site.transact_id.clone())));
    assert_eq!(queued.iter().filter(|(table, _)| table == "trans_line").count(), 2);
    test.server.put_row("transact", "later", rows::transact("later", &site.store_id, &test.world.supplier, 8));
    assert_eq!((test.server.queued(A).len(), test.server.queued(B).len()), (0, 1));
    test.server.delete_row("transact", "later");
    let delete = test.get(B, Endpoint::PullQueue, "limit=500")["data"][0].clone();
    assert_eq!((&delete["action"], delete.get("recordData")), (&json!("delete"), None));
}

#[test]
fn values_are_spelled_as_asked_for() {
    let test = Test::new();
    let last = test.server.last_position();
    test.server.put_central("note", "N", json!({ "ID": "N", "text": null, "date": null, "size": 1.5, "on": true }));
    let data = || {
        let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={last}&limit=500"));
        elements(&batch)[0]["recordData"].clone()
    };
    assert_eq!(data()["text"], Value::Null);
    test.server.set_spelling(Spelling { null_as_empty: true, numbers_as_text: true });
    assert_eq!(data(), json!({ "ID": "N", "text": "", "date": "0000-00-00", "size": "1.5", "on": true }));
}

#[test]
fn over_a_transport_beside_another_server() {
    let test = Test::new();
    let mut request = test.request(A, Endpoint::Site, "", None);
    let server = Arc::new(test.server);
    let other = sync_core::transport::Recorded::new([sync_core::transport::Exchange::new(
        Method::Get,
        "/central/sync/pull",
        HttpResponse::text(200, "other"),
    )]);
    let both = LegacyAnd::new(server.clone(), Arc::new(other));
    request.url = "http://legacy.example.org:2048/sync/v5/site".to_owned();
    assert_eq!(ok(&both.send(&request).unwrap())["siteId"], 3);
    request.url = "http://oms.example.org/central/sync/pull".to_owned();
    assert_eq!(both.send(&request).unwrap().body, b"other");
    assert_eq!(server.count(Endpoint::Site), 1);
}

#[test]
fn the_same_calls_give_the_same_server() {
    let (one, two) = (Test::new(), Test::new());
    assert_eq!(one.world, two.world);
    assert_eq!(one.server.central_log(), two.server.central_log());
    assert_eq!((one.initialise(A), one.server.queued(A)), (two.initialise(A), two.server.queued(A)));
}
