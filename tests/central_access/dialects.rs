//! Answers to sites of older releases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sync_core::Replica;
use sync_core::record::SiteId;
use sync_tests::capture::captures;
use sync_tests::world::{CentralEnd, Kind, PASSWORD, data};

use super::local::Interfered;
use super::{credentials_of, json, pull_request, push_request, status_request};

fn central() -> CentralEnd {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    end
}

fn put(end: &CentralEnd, table: &str, id: &str, value_type: &str) {
    let more = if value_type.is_empty() {
        String::new()
    } else {
        format!(r#","key":"k","value_type":"{value_type}","allowed_values":null"#)
    };
    end.records.put(table, [data(&format!(r#"{{"id":"{id}","name":"{id}"{more}}}"#))]).unwrap();
}

/// One pull as a real site makes it: gives the ids, and the cursor that the site stores.
fn pull(end: &CentralEnd, release: &str, cursor: u64, batch_size: u64) -> (Vec<String>, u64, bool) {
    let credentials = credentials_of("a", PASSWORD, "machine-a", release);
    let answer = json(&end.central.handle(&pull_request(&credentials, cursor, batch_size)));
    let batch = &answer["data"];
    let records = batch["records"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let ids = records.iter().map(|element| element["record"]["recordId"].as_str().unwrap().to_owned()).collect();
    (ids, batch["end_cursor"].as_u64().unwrap() + 1, batch["is_last_batch"] == true)
}

/// Pulls to the end; each of the answers that `lost` names does not arrive, once.
fn pull_all(end: &CentralEnd, release: &str, cursor: &mut u64, batch_size: u64, lost: &[usize]) -> Vec<String> {
    let mut all = Vec::new();
    for number in 0..100 {
        let (ids, next, is_last) = pull(end, release, *cursor, batch_size);
        if lost.contains(&number) {
            continue;
        }
        assert!(next >= *cursor, "no answer takes a site back");
        assert!(ids.is_empty() || next > *cursor, "an answer with records leads on");
        all.extend(ids);
        *cursor = next;
        if is_last {
            return all;
        }
    }
    panic!("it never ends")
}

#[test]
fn what_a_release_cannot_read_is_held_back_counted_and_comes_with_the_upgrade() {
    for batch_size in [1, 2, 3, 500] {
        for lost in [vec![], vec![0], vec![0, 2], vec![1]] {
            let end = central();
            put(&end, "asset_class", "one", "");
            put(&end, "property", "dated", "DATE");
            put(&end, "asset_class", "two", "");
            put(&end, "property", "plain", "STRING");
            put(&end, "property", "dated2", "DATE");
            let mut cursor = 0;
            let what = format!("{batch_size} a batch, lost {lost:?}");
            let got = pull_all(&end, "2.16.3", &mut cursor, batch_size, &[]);
            assert_eq!(got, ["one", "two", "plain"], "{what}");
            assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 2, "{what}");
            // As long as the release stays, nothing is read again, and nothing counted twice.
            assert_eq!(pull_all(&end, "2.16.3", &mut cursor, batch_size, &[]), [""; 0], "{what}");
            put(&end, "asset_class", "three", "");
            assert_eq!(pull_all(&end, "2.17.0", &mut cursor, batch_size, &[]).last().unwrap(), "three", "{what}");
            assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 2, "{what}");

            let got: BTreeSet<String> = pull_all(&end, "2.18.0", &mut cursor, batch_size, &lost).into_iter().collect();
            assert!(got.contains("dated") && got.contains("dated2"), "{what}: {got:?}");
            // One row may come twice; then it is quiet.
            pull_all(&end, "2.18.0", &mut cursor, batch_size, &[]);
            assert_eq!(pull_all(&end, "2.18.0", &mut cursor, batch_size, &[]), [""; 0], "{what}");
            assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 0, "{what}");
        }
    }
}

/// Two requests of a site leave out a record each, and note that at the same time: neither note is lost.
#[test]
fn what_two_answers_hold_back_at_once_comes_with_the_upgrade() {
    let end = central();
    put(&end, "property", "first", "DATE");
    put(&end, "property", "second", "DATE");
    let credentials = credentials_of("a", PASSWORD, "machine-a", "2.16.3");
    let signs_in = json(&end.central.handle(&status_request(&credentials)));
    assert!(signs_in.get("data").is_some(), "{signs_in}");
    let end_of_all = end.records.position().unwrap().0;
    let storage = Arc::new(Interfered { inner: end.storage.clone(), before_write: Mutex::default() });
    let at_once = Replica::with_storage(storage.clone()).stand_alone_central();
    let (other, request) = (end.central.clone(), pull_request(&credentials, 0, 1));
    *storage.before_write.lock().unwrap() = Some(Box::new(move || {
        let answer = json(&other.handle(&request));
        assert_eq!(answer["data"]["records"].as_array().map(Vec::len), Some(0), "{answer}");
    }));
    let answer = json(&at_once.handle(&pull_request(&credentials, end_of_all - 1, 1)));
    assert_eq!(answer["data"]["records"].as_array().map(Vec::len), Some(0), "{answer}");
    assert!(storage.before_write.lock().unwrap().is_none(), "the other request came between");
    let got = pull_all(&end, "2.18.0", &mut end_of_all.clone(), 500, &[]);
    assert!(["first", "second"].iter().all(|id| got.iter().any(|came| came == id)), "{got:?}");
}

/// A site notes that central has what it pushed before the end of an answer without records. If that ended at the row that was
/// left out, a restored central would be taken to have what it has lost.
#[test]
fn an_answer_whose_records_are_all_left_out_ends_at_the_newest_row() {
    let end = central();
    put(&end, "property", "dated", "DATE");
    let of = |release: &str| credentials_of("a", PASSWORD, "machine-a", release);
    let pushed = push_request(&of("2.16.3"), &[("name_oms_fields", "n", r#"{"id":"n","properties":null}"#)]);
    assert_eq!(json(&end.central.handle(&pushed))["data"]["records_pushed"], 1);
    end.central.integrate_waiting().unwrap();
    let newest = end.storage.read().unwrap().last_cursor().unwrap().0;
    let batch = &json(&end.central.handle(&pull_request(&of("2.16.3"), 0, 500)))["data"];
    assert_eq!((&batch["records"], &batch["is_last_batch"]), (&serde_json::json!([]), &true.into()), "{batch}");
    assert_eq!(batch["end_cursor"], newest, "{batch}");
    assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 1);
}

/// A site that began anew reads its own records too, so they may be among what its old release could not read.
#[test]
fn its_own_record_that_was_held_back_comes_with_the_upgrade_too() {
    let end = central();
    let of = |release: &str| credentials_of("a", PASSWORD, "machine-a", release);
    let pushed = end
        .central
        .handle(&push_request(&of("2.19.0"), &[("name_oms_fields", "n", r#"{"id":"n","properties":null}"#)]));
    assert_eq!(json(&pushed)["data"]["records_pushed"], 1);
    end.central.integrate_waiting().unwrap();
    let anew = |cursor: u64| {
        let mut request = pull_request(&of("2.0.5"), cursor, 500);
        request.body = String::from_utf8(request.body)
            .unwrap()
            .replace(r#""isInitialised":true"#, r#""isInitialised":false"#)
            .into_bytes();
        json(&end.central.handle(&request))
    };
    let first = anew(0);
    assert_eq!(first["data"]["records"], serde_json::json!([]), "its release does not know the table");
    assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 1);
    let mut cursor = first["data"]["end_cursor"].as_u64().unwrap() + 1;
    let beyond = pull(&end, "2.19.0", cursor + 1_000_000, 500);
    assert!(beyond.0.is_empty() && beyond.2, "no row brings it there: {beyond:?}");
    assert_eq!(pull_all(&end, "2.19.0", &mut cursor, 500, &[]), ["n"]);
    assert_eq!(pull_all(&end, "2.19.0", &mut cursor, 500, &[]), [""; 0]);
}

#[test]
fn every_release_gets_what_it_can_read_and_no_batch_breaks() {
    let end = central();
    let first = captures(&["v6"]).into_iter().find(|capture| capture.stem() == "pull-first-all-record-types").unwrap();
    let theirs: Value = serde_json::from_str(first.response.json()).unwrap();
    for element in theirs["data"]["records"].as_array().unwrap() {
        let table = element["record"]["tableName"].as_str().unwrap();
        let kind = sync_core::record::record_type(table).unwrap();
        if kind.style == sync_core::record::SyncStyle::Central {
            end.records.put(table, [data(&element["record"]["recordData"].to_string())]).unwrap();
        }
    }
    let mut before = 0;
    for minor in 0..=19 {
        let release = format!("2.{minor}.0");
        let credentials = credentials_of("a", PASSWORD, "machine-a", &release);
        let answer = json(&end.central.handle(&pull_request(&credentials, 0, 10_000)));
        let records = answer["data"]["records"].as_array().unwrap_or_else(|| panic!("{release}: {answer}"));
        for element in records {
            let kind = sync_core::record::record_type(element["record"]["tableName"].as_str().unwrap()).unwrap();
            let since = sync_core::protocol::v6::release(kind.since).unwrap();
            assert!(since <= (2, minor, 0), "{} for {release}", kind.table);
        }
        assert!(records.len() >= before, "{release} gets no less than those before it");
        assert_eq!(answer["data"]["is_last_batch"], true, "{release}");
        before = records.len();
    }
    assert!(before > 20, "{before}");
}

/// The keys of each table, as the central server of that release wrote them for its site.
#[test]
fn a_2_16_site_gets_the_keys_that_a_2_16_central_writes() {
    let theirs = captures(&["v6-2.16"]);
    let theirs = theirs.iter().find(|capture| capture.stem() == "pull-first-all-record-types").unwrap();
    let theirs: Value = serde_json::from_str(theirs.response.json()).unwrap();
    let keys = |data: &Value| data.as_object().map(|data| data.keys().cloned().collect::<BTreeSet<_>>());
    let mut expected = BTreeMap::new();
    for element in theirs["data"]["records"].as_array().unwrap() {
        let record = &element["record"];
        if let Some(keys) = keys(&record["recordData"]) {
            expected.insert(record["tableName"].as_str().unwrap().to_owned(), (record.clone(), keys));
        }
    }
    let renamed = ["item_variant", "vaccination", "rnr_form"];
    let dialect = sync_core::protocol::v6::Dialect::of("2.16.3");
    for table in renamed {
        let (record, keys_of_theirs) = expected.get(table).unwrap_or_else(|| panic!("{table} was captured"));
        let kind = sync_core::record::record_type(table).unwrap();
        let read = data(&record["recordData"].to_string());
        let now = kind.in_current_spelling(&read).expect("it has older keys");
        assert_ne!(keys(&serde_json::from_str(now.as_str()).unwrap()).as_ref(), Some(keys_of_theirs), "{table}");
        let mut record: sync_core::protocol::v6::WireRecord = serde_json::from_value(record.clone()).unwrap();
        record.record_data = now;
        let element = sync_core::protocol::v6::BatchElement {
            cursor: sync_core::record::Cursor(1),
            record,
            sent_since: None,
            is_own: false,
        };
        let written = dialect.write(element).expect("readable").record.record_data;
        assert_eq!(keys(&serde_json::from_str(written.as_str()).unwrap()).as_ref(), Some(keys_of_theirs), "{table}");
    }
}
