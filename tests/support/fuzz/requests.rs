//! Requests as central reads them.
//!
//! An input is a list of requests with a line `%%` between them, each as HTTP writes it: method and path in the first
//! line, headers, an empty line, the body. Where no content type stands, it is JSON. After each request, what was pushed
//! is integrated.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_core::protocol::v5::{CentralBatch, SiteInfo, V5Error};
use sync_core::protocol::v6::{Answer, Batch, PushResult, SiteStatus, WireError, decode_answer, path};
use sync_core::record::{RecordData, RecordId, record_type};
use sync_core::storage::{QuarantineCause, Source, Storage, state};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::answers::{first_line, parts};
use super::promises::{as_it_travels, assert_refusal, assert_text};
use super::seeds::examples;
use super::small_world::{B, C, SECRET, SmallWorld, good_cycle};
use crate::world::{SiteEnd, asset, data};

/// How long central takes a row with a lower cursor than before for a late one.
const LATE: Duration = Duration::from_secs(15 * 60);

/// Records by table and id.
type Held = BTreeMap<(String, String), String>;

/// Reads a request; any bytes are one.
fn read_request(part: &[u8]) -> HttpRequest {
    let (first, mut rest) = first_line(part);
    let mut words = first.split(' ');
    let method = match words.next() {
        Some("GET") => Method::Get,
        Some("PUT") => Method::Put,
        _ => Method::Post,
    };
    let url = words.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (line, after) = first_line(rest);
        rest = after;
        match line.split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    if headers.iter().all(|(name, _)| name != "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    HttpRequest { method, url, headers, body: rest.to_vec() }
}

pub(super) fn run(input: &[u8]) {
    let world = SmallWorld::new();
    plant(&world);
    let (before, state) = (held(world.storage.as_ref()), identity(world.storage.as_ref()));
    for part in parts(input).into_iter().take(8) {
        let request = read_request(part);
        let response = world.central.handle(&request);
        assert_in_shape(&request, &response);
        let integrated = world.central.integrate_waiting();
        integrated.unwrap_or_else(|error| panic!("integration fails: {error} {:?}", error.causes()));
    }
    assert_eq!(identity(world.storage.as_ref()), state, "who central is, and its list of sites");
    let after = held(world.storage.as_ref());
    assert_only_allowed_changes(&before, &after);
    assert_serves_good_sites(&world);
}

/// Records of central, of the other site and of the legacy server, which the sending site may not change.
fn plant(world: &SmallWorld) {
    world.put_class("class");
    world
        .records
        .put("asset", [asset("of_b", B.2, ""), asset("of_c", C.2, ""), asset("of_nobody", "", "")])
        .expect("assets");
    let preference = format!(r#"{{"id":"p","key":"k","value":"true","store_id":"{}"}}"#, B.2);
    world.records.put("preference", [data(&preference)]).expect("a preference");
}

fn held(storage: &dyn Storage) -> Held {
    let txn = storage.read().expect("a transaction");
    let mut held = Held::new();
    for (table, _) in txn.record_counts().expect("counts") {
        for (id, data) in txn.records(&table, None, usize::MAX).expect("records") {
            held.insert((table.to_string(), id.to_string()), data.as_str().to_owned());
        }
    }
    held
}

/// Central's identity, its losses, and its sites without the time of their last pull.
fn identity(storage: &dyn Storage) -> String {
    let txn = storage.read().expect("a transaction");
    let state = [
        state::ROLE.name(),
        state::SITE_ID.name(),
        state::SITE_UUID.name(),
        state::LOST.name(),
        state::RECOVERED.name(),
    ]
    .map(|name| txn.state(name).expect("a state"));
    let mut sites = txn.central().expect("central's part").sites().expect("sites");
    for site in &mut sites {
        site.last_pull_at = None;
    }
    // Shown whole: a site's own `Debug` leaves out secrets.
    let sites = sites.iter().map(|site| (site.id, &site.uuid, &site.name, &site.secret, &site.hardware_id));
    format!("{state:?} {:?}", sites.collect::<Vec<_>>())
}

/// A response of the protocol: one of its statuses, a body of the right format, and no secret.
fn assert_in_shape(request: &HttpRequest, response: &HttpResponse) {
    let what = format!("{request:?} is answered with {}", response.status);
    let body = String::from_utf8(response.body.clone()).unwrap_or_else(|_| panic!("{what}, not UTF-8"));
    // A site's own input may be quoted to it, but not that of another site, nor its stored data.
    assert!(![SECRET, C.1].iter().any(|secret| body.contains(secret)), "{what}: a secret is told");
    let route = request.url.split('?').next().unwrap_or_default();
    if route.starts_with("/sync/v5/") {
        match response.status {
            200 if route == "/sync/v5/site" => {
                serde_json::from_str::<SiteInfo>(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            200 if route == "/sync/v5/central_records" => {
                serde_json::from_str::<CentralBatch>(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            200 => {
                let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                let keys: Vec<&String> = answer.as_object().map(|answer| answer.keys().collect()).unwrap_or_default();
                let shapes = [vec!["code", "data", "message"], vec!["queueLength"], vec!["data", "queueLength"]];
                let is_one =
                    shapes.contains(&keys.iter().map(|key| key.as_str()).collect()) || keys == ["integrationStarted"];
                assert!(is_one, "{what}: {body:.300}");
            }
            204 => assert!(body.is_empty(), "{what}: {body:.300}"),
            400 | 401 | 404 | 429 => {
                let error: V5Error = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_text(&error.error.message);
            }
            _ => panic!("{what}: {body:.300}"),
        }
        return;
    }
    match response.status {
        200 if route.trim_start_matches('/') == path::NAME_STORE_JOIN => {
            assert!(body.is_empty(), "{what}: {body:.300}")
        }
        500 if route.trim_start_matches('/') == path::NAME_STORE_JOIN => assert_text(&body),
        404 => assert!(body.is_empty(), "{what}: {body:.300}"),
        400 | 413 | 415 => assert_refusal(response.status, &body),
        // Errors of downloads have no envelope; no file is here.
        500 if route.ends_with(path::DOWNLOAD_FILE) => {
            serde_json::from_str::<WireError>(&body).unwrap_or_else(|error| panic!("{what}: {error}: {body:.300}"));
            assert_text(&body);
        }
        200 => assert_envelope(route.trim_start_matches('/'), &what, &body),
        _ => panic!("{what}: {body:.300}"),
    }
}

fn assert_envelope(route: &str, what: &str, body: &str) {
    match decode_answer(body.as_bytes()) {
        Ok(Answer::Data(data)) => {
            let read = match route {
                path::PULL | path::PATIENT_PULL => {
                    serde_json::from_str(data.get()).map(|batch: Batch| batch.lost_history)
                }
                path::PUSH => serde_json::from_str(data.get()).map(|result: PushResult| result.lost_history),
                path::SITE_STATUS => serde_json::from_str(data.get()).map(|_: SiteStatus| Vec::new()),
                path::UPLOAD_FILE => serde_json::from_str(data.get()).map(|(): ()| Vec::new()),
                _ => panic!("{what}: there is no such route"),
            };
            let lost = read.unwrap_or_else(|error| panic!("{what}: {error} in {body:.300}"));
            // Whatever a site says that it lost itself.
            assert!(lost.is_empty(), "{what}: central has lost nothing, and says {lost:?}");
        }
        Ok(Answer::Error(error)) => {
            assert_text(body.trim());
            let internal = matches!(&error, WireError::OtherServerError(text) if text.ends_with("_failed") || text.contains("damaged"));
            assert!(!internal, "{what}: a request makes central fail: {body:.300}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// The tables that a site may write, and the field that names the store, or the parent that has it.
const WRITTEN_BY_SITES: &[(&str, &str, &str)] = &[
    ("asset", "store_id", ""),
    ("asset_internal_location", "asset_id", "asset"),
    ("asset_log", "asset_id", "asset"),
    ("contact_form", "store_id", ""),
    ("name", "", ""),
    ("name_oms_fields", "", ""),
    ("name_store_join", "store_ID", ""),
    ("om_sync_message", "to_store_id", ""),
    ("plugin_data", "store_id", ""),
    ("rnr_form", "store_id", ""),
    ("rnr_form_line", "rnr_form_id", "rnr_form"),
    ("sync_file_reference", "", ""),
    ("system_log", "", ""),
    ("vaccination", "", ""),
];

/// Only records that site B may write have changed: of tables that sites write, of its own store or of none.
fn assert_only_allowed_changes(before: &Held, after: &Held) {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys.filter(|key| before.get(*key) != after.get(*key)) {
        let (table, id) = key;
        let Some((_, field, parent)) = WRITTEN_BY_SITES.iter().find(|(name, ..)| name == table) else {
            panic!("a site changed {table} {id}");
        };
        for (held, json) in [(before, before.get(key)), (after, after.get(key))] {
            let Some(json) = json else { continue };
            let record: serde_json::Value = serde_json::from_str(json).expect("JSON");
            let kind = record_type(table).expect("a record type");
            assert_eq!(record[kind.key], id.as_str(), "{table} is held under another id");
            assert!(table != "name" || record["type"] == "patient", "a site changed a name that is no patient");
            let owner = match *parent {
                "" => record[*field].as_str().map(str::to_owned),
                parent => {
                    let of_parent =
                        record[*field].as_str().and_then(|id| held.get(&(parent.to_owned(), id.to_owned())));
                    let parent: Option<serde_json::Value> = of_parent.and_then(|json| serde_json::from_str(json).ok());
                    parent.and_then(|parent| parent["store_id"].as_str().map(str::to_owned))
                }
            };
            // A message is of the store that sent it, too.
            let sent_it = table == "om_sync_message" && record["from_store_id"] == B.2;
            let own = sent_it || owner.is_none_or(|store| store.is_empty() || store == B.2);
            assert!(own, "site_b changed {table} {id} of another store: {json}");
        }
    }
}

/// After any input, a site's whole cycle succeeds, and it can read all its records.
fn assert_serves_good_sites(world: &SmallWorld) {
    // A site that is set up again counts its edits anew: for so long they may seem late.
    world.clock.sleep(LATE);
    for who in [C, B] {
        let site = world.set_up(who);
        let what = format!("a cycle of {}", who.0);
        good_cycle(&site, &what);
        site.records.put("asset", [asset("good", who.2, &what)]).expect("an edit");
        let report = good_cycle(&site, &what);
        assert_eq!(report.pushed, 1, "{what}");
        let id = RecordId::from("good");
        let at_central = world.records.get("asset", &id).expect("a record");
        assert!(at_central.is_some_and(|data| data.as_str().contains(&what)), "{what}: its edit is at central");
        let planted = if who == C { "of_c" } else { "of_b" };
        let there = world.records.get("asset", planted).expect("a record");
        let here = site.records.get("asset", planted).expect("a record");
        let [there, here] = [there, here].map(|data| data.map(|data| as_it_travels(data.as_str())));
        assert_eq!(here, there, "{what}: what is here and what central has");
        for (row, why) in site.storage.read().and_then(|txn| txn.quarantined(0, usize::MAX)).expect("a quarantine") {
            let incoming = row.incoming;
            let readable = why.cause == QuarantineCause::Waiting || incoming.source == Source::Local;
            assert!(readable, "{what}: central sent {} {}: {}", incoming.table, incoming.id, why.reason);
        }
        if who == B {
            assert_takes_edits_of_what_was_pushed(world, &site);
        }
        site.records.delete("asset", &id).expect("a delete");
        good_cycle(&site, &what);
        // The store of the next site is another one; no site gets it automatically.
        world.records.put("asset", [asset("good", B.2, "given to the next")]).expect("an edit");
    }
}

/// With any cursors of the pushes and any reported losses, later edits of the same records are accepted, of a type that
/// a site gets back and of one that it does not.
fn assert_takes_edits_of_what_was_pushed(world: &SmallWorld, site: &SiteEnd) {
    let (_, form) = examples().iter().find(|(table, _)| table == "contact_form").expect("an example");
    let edited = data(&form.as_str().replace("The stocktake screen is slow.", "It is fast again."));
    assert_ne!(edited.as_str(), form.as_str());
    let mut edits: Vec<(&str, RecordData)> = vec![("contact_form", edited)];
    if site.get("asset", "of_b").is_some() {
        edits.push(("asset", asset("of_b", B.2, "edited later")));
    }
    for (table, edited) in edits {
        let ids = site.records.put(table, [edited.clone()]).expect("an edit");
        good_cycle(site, "a cycle with later edits");
        let there = world.records.get(table, &ids[0]).expect("a record");
        assert_eq!(
            there.as_ref().map(RecordData::as_str),
            Some(edited.as_str()),
            "a later edit of {table} is at central"
        );
    }
}
