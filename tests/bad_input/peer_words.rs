//! The other end's error reaches the user in full, whatever its status.

use std::sync::Arc;

use sync_core::protocol::v5::{PatientQuery, V5Error, path as v5};
use sync_core::protocol::v6::{WireError, encode_error};
use sync_core::record::{NameId, StoreId};
use sync_core::storage::SqliteStorage;
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_core::{Error, NoopObserver, SyncOptions};
use sync_tests::raw_server::Reply;
use sync_tests::world::data;

use super::{Bench, PULL, PUSH, RECORDS, SITE, STATUS, assert_error};

/// An error as the legacy server states it, with a text longer than any excerpt.
fn stated() -> String {
    let mut error =
        V5Error::new("integration_error", &format!("Cannot insert record without FK {}to its end", "x".repeat(300)));
    error.error.data = serde_json::json!({"table_name": "item_line", "record_ID": "8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F"});
    serde_json::to_string(&error).unwrap()
}

#[track_caller]
fn assert_whole(what: &str, said: &str) {
    for word in ["integration_error", "without FK", "to its end", "item_line", "8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F"] {
        assert!(said.contains(word), "{what}: {word}: {said}");
    }
}

#[test]
fn the_legacy_servers_reason_is_shown_with_any_status_and_not_waited_for() {
    let bench = Bench::new();
    for path in [SITE, RECORDS] {
        for status in [200, 400, 409, 500, 502, 503] {
            let what = format!("{path} {status}");
            bench.server.always(path, Reply::json(status, stated()));
            let (report, retries) = bench.sync_counting_retries();
            let error = report.error.as_ref().unwrap();
            assert_error(&what, error, "refused", "peer_fault");
            assert_whole(&what, &error.to_string());
            assert_eq!(retries, 0, "{what}");
            bench.server.heal();
        }
    }
}

/// Every other request to the legacy server, of a cycle, of an initialisation, and of people.
#[test]
fn the_legacy_servers_reason_is_shown_at_each_of_its_endpoints() {
    for status in [400, 409, 500, 503] {
        let bench = Bench::new();
        let fails = |path| bench.server.always(path, Reply::json(status, stated()));
        let assert_refused = |what: &str, error: Option<&Error>| {
            let error = error.unwrap_or_else(|| panic!("{what} {status}: no error"));
            assert_error(what, error, "refused", "peer_fault");
            assert_whole(what, &error.to_string());
            bench.server.heal();
        };
        fails(v5::QUEUED_RECORDS);
        assert_refused("the queue", bench.sync().error.as_ref());
        for (what, path) in [("a push", v5::QUEUED_RECORDS), ("the state of a site", v5::SITE_STATUS)] {
            bench.records.put("item_line", [data(r#"{"ID":"line","store_ID":"STORE_a"}"#)]).unwrap();
            fails(path);
            assert_refused(what, bench.sync().error.as_ref());
            bench.sync_well();
        }
        let query = PatientQuery { last_name: Some("x".to_owned()), ..PatientQuery::default() };
        fails(v5::PATIENT);
        assert_refused("a search", bench.site.find_patients(&query, &mut NoopObserver).err().as_ref());
        fails(v5::NAME_STORE_JOIN);
        let link =
            || bench.site.link_patient(&NameId::from("p"), &StoreId::from("STORE_a"), &mut NoopObserver).unwrap();
        assert_refused("a join", link().error.as_ref());

        // The same machine begins anew: central has a record for it.
        let storage = Arc::new(SqliteStorage::open(bench.folder.path().join("anew.sqlite")).unwrap());
        let anew = super::site_over(&storage, &super::patient());
        anew.set_up(&super::settings(&bench.server.url()), &mut NoopObserver).unwrap();
        for (what, path) in [("initialisation", v5::INITIALISE), ("acknowledgement", v5::ACKNOWLEDGED_RECORDS)] {
            fails(path);
            assert_refused(what, anew.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().error.as_ref());
        }
        assert!(anew.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().error.is_none());
    }
}

/// What a central server passes on of the legacy server, at each of its endpoints but those of files.
#[test]
fn a_reason_of_the_legacy_server_is_shown_at_each_endpoint_of_central() {
    let passed_on: V5Error = serde_json::from_str(&stated()).unwrap();
    for status in [200, 400, 409, 500, 503] {
        let bench = Bench::new();
        let body = encode_error(&WireError::LegacyServerError(passed_on.error.clone()));
        let fails = |path: &str| bench.server.always(path, Reply::Whole(HttpResponse::json(status, body.clone())));
        let assert_refused = |what: &str, error: Option<&Error>| {
            let error = error.unwrap_or_else(|| panic!("{what} {status}: no error"));
            assert_error(what, error, "refused", "peer_fault");
            assert_whole(what, &error.to_string());
            bench.server.heal();
        };
        for (id, path) in [PULL, PUSH, STATUS].into_iter().enumerate() {
            bench.plant(&id.to_string());
            fails(path);
            assert_refused(path, bench.sync().error.as_ref());
            bench.sync_well();
        }
        fails("/central/sync/patient-pull");
        let patient = NameId::from("p");
        let asked = bench.site.pull_patient(&patient, &mut NoopObserver).unwrap();
        assert_refused("one patient", asked.error.as_ref());
        bench.server.always(v5::NAME_STORE_JOIN, Reply::json(200, r#"{"ID":"j","name_ID":"p","store_ID":"STORE_a"}"#));
        fails("/central/name-store-join");
        let linked = bench.site.link_patient(&patient, &StoreId::from("STORE_a"), &mut NoopObserver).unwrap();
        assert_refused("a join", linked.error.as_ref());
    }
}

/// A server that fails before it gets to its own form of errors writes text, or JSON of another form; some show the request too.
#[test]
fn words_in_another_form_are_shown_to_their_end_without_how_the_site_signed_in() {
    const ID: &str = "8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F";
    let bench = Bench::new();
    let text = |request: &HttpRequest| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let said = format!("Runtime error in method sync_in: {}record {ID} of item_line", "x ".repeat(100));
        format!("{said}; {:?} {body}", request.headers)
    };
    type Form = fn(String) -> String;
    let forms: [Form; 3] = [
        |text| text,
        |text| serde_json::json!({"error": {"code": "integration_error", "message": null, "data": text}}).to_string(),
        |text| serde_json::json!({"otherServerError": text}).to_string(),
    ];
    for form in forms {
        for (path, status) in [(RECORDS, 500), (RECORDS, 409), (PULL, 503), (PULL, 409)] {
            let made = move |request: &HttpRequest| HttpResponse::text(status, form(text(request)));
            bench.server.always(path, Reply::Made(Arc::new(made)));
            let report = bench.sync();
            let error = report.error.as_ref().unwrap();
            assert_error(path, error, error.code(), error.class().as_str());
            let said = format!("{error} {}", error.causes().join(" "));
            assert!(said.contains(ID) && said.contains("of item_line"), "{path} {status}: {said}");
            // As a header for "a:" and a hash begins.
            assert!(!said.contains("YTo") && !said.contains("YTp"), "{path} {status}: {said}");
            bench.server.heal();
        }
    }
}

#[test]
fn centrals_reason_is_shown_with_any_status() {
    let bench = Bench::new();
    let long = format!(
        "Cannot write: integration_error without FK {}to its end, item_line 8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F",
        "x ".repeat(200)
    );
    for error in [WireError::OtherServerError(long.clone()), WireError::ParsingSyncRecordError(long)] {
        for (number, (path, status)) in [(PULL, 200), (PULL, 500), (PULL, 503), (PUSH, 503)].into_iter().enumerate() {
            let what = format!("{path} {status} {error:?}");
            bench.plant(&number.to_string());
            bench.server.always(path, Reply::Whole(HttpResponse::json(status, encode_error(&error))));
            let report = bench.sync();
            let error = report.error.as_ref().unwrap();
            assert_error(&what, error, "peer_error", "peer_fault");
            assert_whole(&what, &error.to_string());
            bench.server.heal();
        }
    }
}

/// What central passes on of the legacy server.
#[test]
fn a_reason_that_central_passes_on_keeps_its_message() {
    let bench = Bench::new();
    let flattened =
        WireError::flatten_legacy("http://l/", 503, "Unavailable", "Other(\"integration_error\")", "without FK");
    bench.server.always(PULL, Reply::Whole(HttpResponse::json(200, encode_error(&flattened))));
    let said = bench.sync().error.clone().unwrap().to_string();
    assert!(said.contains("integration_error") && said.contains("without FK"), "{said}");
}

/// A page with a status of trouble is no reason, but it shows who made it.
#[test]
fn what_came_with_a_status_is_among_the_causes() {
    let bench = Bench::new();
    let headers =
        vec![("server".to_owned(), "nginx/1.24".to_owned()), ("content-type".to_owned(), "text/html".to_owned())];
    bench.server.always(SITE, Reply::Whole(HttpResponse { status: 502, headers, body: b"<html>".to_vec() }));
    let error = bench.sync().error.clone().unwrap();
    assert_error("502", &error, "server_trouble", "retry");
    assert_eq!(error.causes(), ["a web page was sent by nginx/1.24"]);
}

/// The machine's id is a secret, also where the server repeats it.
#[test]
fn what_is_repeated_of_the_machine_is_not_shown() {
    let bench = Bench::new();
    let stated = V5Error::new("strange_machine", "machine-a is not known");
    bench.server.always(SITE, Reply::json(409, serde_json::to_string(&stated).unwrap()));
    let error = bench.sync().error.clone().unwrap();
    assert_error("echo", &error, "refused", "peer_fault");
    assert!(error.to_string().contains("… is not known"), "{error}");
}

/// Marks and encodings that a proxy or a script brings are no part of an answer.
#[test]
fn answers_with_a_byte_order_mark_are_read() {
    let bench = Bench::new();
    let utf16 =
        |text: &str| [&[0xff, 0xfe][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat();
    let batch = r#"{"data":{"end_cursor":0,"total_records":0,"records":[],"is_last_batch":true}}"#;
    let central = r#"{"maxCursor":0,"data":[]}"#;
    for (path, text) in [(PULL, batch), (RECORDS, central)] {
        for body in [[b"\xef\xbb\xbf", text.as_bytes()].concat(), utf16(text)] {
            bench.server.once(path, Reply::Whole(HttpResponse::json(200, body)));
            bench.sync_well();
        }
    }
    // The same again at every question, as a script has it: what was the last batch stays the last.
    let record = r#"{"cursor":90,"record":{"tableName":"asset_class","recordId":"m","action":"Update","recordData":{"id":"m","name":"m"}}}"#;
    let batch =
        format!(r#"{{"data":{{"end_cursor":90,"total_records":1,"is_last_batch":true,"records":[{record}]}}}}"#);
    bench.server.always(PULL, Reply::Whole(HttpResponse::json(200, [b"\xef\xbb\xbf", batch.as_bytes()].concat())));
    bench.sync_well();
    assert!(bench.site_has("asset_class", "m"));
    bench.server.heal();
    let marked = Reply::html(200, "\u{feff}<html>Log in</html>");
    bench.server.always(PULL, marked);
    assert_error("a page", &bench.sync().error.clone().unwrap(), "not_an_msupply_server", "configure");
}
