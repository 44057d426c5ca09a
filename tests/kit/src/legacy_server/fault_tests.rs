//! Each fault, as a client sees it.

use serde_json::{Value, json};

use super::tests::{A, B, Test, elements, ok, table_and_id};
use super::*;
use sync_core::transport::{Transport, TransportError};

fn code(response: &HttpResponse) -> String {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(body["error"]["message"].is_string());
    body["error"]["code"].as_str().expect("a code").to_owned()
}

#[test]
fn each_refusal_has_its_code_and_status() {
    let test = Test::new();
    for refusal in Refusal::ALL {
        test.server.fail_times(Endpoint::Site, Fault::Refuse(refusal), 1);
        let response = test.server.handle(&test.request(A, Endpoint::Site, "", None));
        assert_eq!((response.status, code(&response).as_str()), (refusal.status(), refusal.code()));
        assert!((400..600).contains(&response.status));
    }
    test.get(A, Endpoint::Site, "");
    assert_eq!(test.server.count(Endpoint::Site), Refusal::ALL.len() as u64 + 1);
}

#[test]
fn answers_that_are_no_answers() {
    let test = Test::new();
    test.server.fail_times(Endpoint::Initialise, Fault::Status(502), 1);
    test.server.fail_times(Endpoint::Initialise, Fault::WebPage(200), 1);
    test.server.fail_times(Endpoint::Initialise, Fault::NotJson, 1);
    test.server.fail_times(Endpoint::Initialise, Fault::Unheard, 1);
    let request = test.request(A, Endpoint::Initialise, "", Some(&json!({})));
    let is_json = |response: &HttpResponse| serde_json::from_slice::<Value>(&response.body).is_ok();
    let status = test.server.handle(&request);
    assert_eq!((status.status, is_json(&status)), (502, false));
    let page = test.server.handle(&request);
    assert_eq!((page.status, is_json(&page)), (200, false));
    assert!(page.header("content-type").unwrap().starts_with("text/html") && page.body.starts_with(b"<!DOCTYPE html>"));
    let text = test.server.handle(&request);
    assert_eq!((text.status, is_json(&text), text.header("content-type")), (200, false, Some("application/json")));
    assert_eq!(test.server.reply(&request), Reply::Nothing);
    assert_eq!(test.server.queued(A), [], "none of them did anything");
    assert!(test.initialise(A) > 0);
}

#[test]
fn a_lost_answer_has_its_effect() {
    let test = Test::new();
    test.server.fail_times(Endpoint::Initialise, Fault::AnswerLost, 1);
    let request = test.request(A, Endpoint::Initialise, "", Some(&json!({})));
    assert!(matches!(test.server.send(&request), Err(TransportError::TimedOut(_))));
    assert_eq!(test.get(A, Endpoint::Site, "")["initialisationStatus"], "completed");
    assert_eq!(test.server.queued(A).len(), test.server.rows_of_site(SiteId(3)).len());
}

#[test]
fn a_cut_answer_ends_where_it_is_told_to() {
    let test = Test::new();
    let request = test.request(A, Endpoint::CentralRecords, "cursor=0&limit=500", None);
    let whole = test.server.handle(&request);
    test.server.fail(Endpoint::CentralRecords, Fault::Cut(100));
    assert_eq!(test.server.reply(&request), Reply::Cut(whole.clone(), 100));
    assert_eq!(test.server.handle(&request).body, whole.body[..100]);
    assert!(matches!(test.server.send(&request), Err(TransportError::CutOff(_))));
    test.server.heal();
    assert_eq!(test.server.send(&request).unwrap(), whole);
    test.server.fail(Endpoint::CentralRecords, Fault::Cut(whole.body.len()));
    assert_eq!(test.server.send(&request).unwrap(), whole, "nothing is missing");
}

#[test]
fn acknowledgements_are_lost() {
    let test = Test::new();
    let length = test.initialise(A);
    test.server.fail_times(Endpoint::Acknowledge, Fault::AcknowledgementsLost, 1);
    let batch = test.get(A, Endpoint::PullQueue, "limit=4");
    test.acknowledge(A, &batch);
    assert_eq!(test.get(A, Endpoint::PullQueue, "limit=4"), batch);
    test.acknowledge(A, &batch);
    assert_eq!(test.server.queued(A).len() as u64, length - 4);
}

#[test]
fn a_queue_never_empties() {
    let test = Test::new();
    let length = test.initialise(A);
    test.server.fail(Endpoint::Acknowledge, Fault::QueueNeverEmpties);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let batch = test.get(A, Endpoint::PullQueue, "limit=500");
        assert_eq!(batch["queueLength"], length);
        assert!(
            elements(&batch).iter().all(|record| ids.insert(record["syncOutId"].to_string())),
            "each under a new id"
        );
        test.acknowledge(A, &batch);
    }
    test.server.heal();
    assert_eq!(test.drain(A, 500).len() as u64, length);
}

#[test]
fn an_initialisation_outlives_its_client() {
    let test = Test::new();
    test.server.set_initialise_takes(Takes::Polls(1));
    let request = test.request(A, Endpoint::Initialise, "", Some(&json!({})));
    assert!(matches!(test.server.send(&request), Err(TransportError::TimedOut(_))));
    let refused = test.server.handle(&request);
    assert_eq!(code(&refused), "initialisation_in_progress");
    assert_eq!(test.status(A), "initialisation_in_progress");
    assert_eq!(test.status(B), "idle", "the other sites do not wait");
    assert_eq!(test.status(A), "idle");
}

#[test]
fn gaps_in_the_central_log() {
    let test = Test::new();
    let all = test.server.central_log();
    test.server.fail_times(Endpoint::CentralRecords, Fault::EmptyBatch(9), 1);
    assert_eq!(test.get(A, Endpoint::CentralRecords, "cursor=5&limit=500"), json!({ "maxCursor": 14, "data": [] }));

    // A server that searches two positions at a time, over a gap of three: a client that steps by one gets everything.
    test.server.skip_positions(3);
    test.server.put_central("unit", "U", rows::unit("U", "Box"));
    test.server.fail(Endpoint::CentralRecords, Fault::Window(2));
    let (mut cursor, mut seen, mut empty) = (0, Vec::new(), 0);
    while cursor < test.server.last_position() {
        let batch = test.get(A, Endpoint::CentralRecords, &format!("cursor={cursor}&limit=500"));
        assert!(elements(&batch).len() <= 2);
        empty += u32::from(elements(&batch).is_empty());
        cursor = elements(&batch).last().map_or(cursor + 1, |record| record["ID"].as_u64().unwrap());
        seen.extend(elements(&batch).iter().map(table_and_id));
    }
    assert_eq!((seen.len(), empty), (all.len() + 1, 2));
    assert_eq!(seen.last().unwrap().1, "U");
}

#[test]
fn records_are_out_of_order() {
    let test = Test::new();
    test.initialise(A);
    for (endpoint, query) in [(Endpoint::CentralRecords, "cursor=0&limit=500"), (Endpoint::PullQueue, "limit=500")] {
        let mut right = elements(&test.get(A, endpoint, query)).to_vec();
        test.server.fail_times(endpoint, Fault::OutOfOrder, 1);
        right.reverse();
        assert_eq!(elements(&test.get(A, endpoint, query)), right);
    }
}

#[test]
fn integration_does_not_start() {
    let test = Test::new();
    let store = &test.world.sites[0].store_id;
    test.server.fail_times(Endpoint::PushQueue, Fault::IntegrationNotStarted, 1);
    let invoice = rows::transact("pushed", store, &test.world.supplier, 7);
    assert_eq!(test.push(A, 0, &[("transact", "pushed", invoice)]), json!({ "integrationStarted": false }));
    assert_eq!(test.server.row("transact", "pushed"), None);
    assert_eq!(test.push(A, 0, &[]), json!({ "integrationStarted": true }));
    assert!(test.server.row("transact", "pushed").is_some());
}

#[test]
fn a_fault_meets_the_requests_it_is_planned_for() {
    let test = Test::new();
    let plan = PlannedFault::new(Endpoint::SiteStatus, Fault::Status(500)).of_site(A).after(1).times(2);
    test.server.plan(plan);
    let statuses = |site: &str| {
        let request = test.request(site, Endpoint::SiteStatus, "", None);
        [(); 4].map(|()| test.server.handle(&request).status)
    };
    assert_eq!(statuses(B), [200; 4]);
    assert_eq!(statuses(A), [200, 500, 500, 200]);
    ok(&test.server.handle(&test.request(A, Endpoint::Site, "", None)));
}
