//! The queue holds no data: rows are read when they are sent.

use serde_json::{Value, json};

use super::tests::{A, Test, elements};
use super::*;
use sync_core::protocol::v6::Action;

fn pulled(test: &Test) -> Value {
    test.get(A, Endpoint::PullQueue, "limit=500")
}

fn initialised() -> (Test, String) {
    let test = Test::new();
    test.initialise(A);
    test.drain(A, 500);
    let store = test.world.sites[0].store_id.clone();
    (test, store)
}

fn put(test: &Test, store: &str, number: u64) {
    test.server.put_row("transact", "t", rows::transact("t", store, &test.world.supplier, number));
}

#[test]
fn a_row_waits_once_and_is_sent_as_it_is_then() {
    let (test, store) = initialised();
    put(&test, &store, 1);
    let first = pulled(&test);
    put(&test, &store, 2);
    let second = pulled(&test);
    assert_eq!((elements(&first).len(), elements(&second).len()), (1, 1));
    let id = |batch: &Value| elements(batch)[0]["syncOutId"].clone();
    assert_eq!(id(&first), id(&second), "the same entry");
    assert_ne!(elements(&first)[0]["recordData"], elements(&second)[0]["recordData"]);
    test.server.delete_row("transact", "t");
    let gone = &pulled(&test)["data"][0];
    assert_eq!((&gone["action"], gone.get("recordData")), (&json!("delete"), None));
    put(&test, &store, 3);
    assert_eq!(pulled(&test)["data"][0]["action"], "insert");
}

#[test]
fn a_row_that_changed_after_it_was_sent_stays_whatever_is_acknowledged() {
    let (test, store) = initialised();
    put(&test, &store, 1);
    let first = pulled(&test);
    put(&test, &store, 2);
    test.acknowledge(A, &first);
    assert_eq!(test.server.sent(A).len(), 1);
    let second = pulled(&test);
    assert_eq!(elements(&second)[0]["syncOutId"], elements(&first)[0]["syncOutId"]);
    test.acknowledge(A, &second);
    assert_eq!(test.server.queued(A), []);
}

#[test]
fn a_row_that_was_merged_is_not_told_of_as_deleted() {
    let (test, _) = initialised();
    let [keep, gone] = [&test.world.sites[0].patients[0], &test.world.sites[0].patients[1]];
    let patient = rows::patient(gone, "P", "Ana", "Silva", "1987-04-12");
    test.server.put_row("name", gone, patient);
    test.server.merge(MergeBy::Queues, "name", keep, gone);
    let actions: Vec<Value> = elements(&pulled(&test)).iter().map(|record| record["action"].clone()).collect();
    assert_eq!(actions, [json!("merge")]);
    test.server.queue(A, Action::Insert, "name", gone, Some(json!({ "ID": gone })));
    assert_eq!(elements(&pulled(&test)).len(), 2, "what a test puts there is sent as it is");
}
