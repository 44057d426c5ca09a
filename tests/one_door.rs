//! Records that not every peer can read come in nowhere and go out nowhere: local writes, pushes, pulls, legacy
//! records, and records that an older version had accepted.

use std::sync::Arc;

use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::protocol::PasswordHash;
use sync_core::record::RecordData;
use sync_core::storage::{Quarantine, QuarantineCause, Source, Storage};
use sync_core::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};
use sync_core::{Error, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, PASSWORD, asset, data, document, get};

/// The quarantine: table, id and reason.
fn set_aside(storage: &dyn Storage) -> Vec<(String, String, Quarantine)> {
    let rows = storage.read().unwrap().quarantined(0, 99).unwrap();
    rows.into_iter().map(|(row, why)| (row.incoming.table.to_string(), row.incoming.id.to_string(), why)).collect()
}

/// Values of a key that not every peer can read, and the text for each.
fn bad_values() -> Vec<(String, &'static str)> {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    vec![
        (r#""a","more":"b""#.to_owned(), "$.more: expected a value that every peer can read, found one key twice"),
        (r#"{"x":1,"x":2}"#.to_owned(), "$.more: expected a value that every peer can read, found one key twice"),
        (deep(128), "found too deep a nesting"),
        (deep(2000), "found too deep a nesting"),
        ("1e999".to_owned(), "found a number out of range"),
        (r#""\ud800""#.to_owned(), "found half a character"),
        (r#""a\u0000b""#.to_owned(), "$.more: expected a value that every peer can read, found the character U+0000"),
    ]
}

/// The data of an asset with another key, whose value is this JSON.
fn with_more(id: &str, store: &str, more: &str) -> RecordData {
    let plain = asset(id, store, "");
    data(&plain.as_str().replacen('{', &format!("{{\"more\":{more},"), 1))
}

fn each_storage(test: impl Fn(CentralEnd)) {
    for kind in [Kind::Sqlite, Kind::Memory] {
        test(CentralEnd::over(kind));
    }
}

#[test]
fn nobody_here_writes_what_a_peer_cannot_read() {
    each_storage(|central| {
        let a = central.new_site("a");
        a.sync();
        for (value, says) in bad_values() {
            let error = a.records.put("asset", [with_more("x", "STORE_a", &value)]).unwrap_err();
            assert_eq!(error.code(), "invalid_record", "{value}");
            let Error::InvalidRecord { source, .. } = &error else { panic!("{error}") };
            assert!(source.to_string().contains(says), "{source}");
            let document = format!(r#"{{"ID":"t","store_ID":"STORE_a","more":{value}}}"#);
            let error = a.records.put("transact", [data(&document)]).unwrap_err();
            assert_eq!(error.code(), "invalid_record", "{value} in a document");
        }
        let error = a.records.put("asset", [asset("n\\u0000", "STORE_a", "")]).unwrap_err();
        assert!(matches!(&error, Error::InvalidRecord { id, .. } if !id.as_str().contains('\0')), "{error:?}");
        // 122 levels fit into every message, and count only the record's own.
        let levels = format!("{}{}", "[".repeat(121), "]".repeat(121));
        a.records.put("asset", [with_more("deep", "STORE_a", &levels)]).unwrap();
        a.sync();
        assert!(get(&central.records, "asset", "deep").is_some());
    });
}

/// As site `a` says who it is.
fn credentials() -> String {
    format!(
        r#"{{"serverUrl":"","username":"a","passwordSha256":"{}","siteUuid":"machine-a","appVersion":"2.19.0","appName":"x","syncVersion":"14"}}"#,
        PasswordHash::of_password(PASSWORD).expose()
    )
}

/// A site whose program asks nobody.
fn push(central: &CentralEnd, record: &str) {
    let credentials = credentials();
    let body = format!(
        r#"{{"batch":{{"end_cursor":1,"total_records":1,"records":[{{"cursor":0,"record":{record}}}],"is_last_batch":true}},"syncV5Settings":{credentials},"syncV6Version":5}}"#
    );
    let request = HttpRequest {
        method: Method::Post,
        url: "central/sync/push".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into(),
    };
    let response = central.central.handle(&request);
    let answer = String::from_utf8_lossy(&response.body).into_owned();
    assert!(answer.contains("records_pushed"), "{answer}");
    central.central.integrate_waiting().unwrap();
}

#[test]
fn what_a_site_pushes_is_set_aside_and_reaches_no_other() {
    each_storage(|central| {
        central.add_site("a");
        let b = central.new_site("b");
        b.sync();
        let everyones = r#""table_name":"asset","record_id":"x","file_name":"f","mime_type":null,"total_bytes":1,"created_datetime":"2026-01-01T00:00:00","deleted_datetime":null"#;
        for (n, (value, says)) in bad_values().into_iter().enumerate() {
            // Hidden before the value that the checks read, and in unchecked places.
            for (m, first) in
                [format!(r#""id":{value},"id":"r{n}""#), format!(r#""id":"r{n}","more":{value}"#)].iter().enumerate()
            {
                let record = format!(
                    r#"{{"tableName":"sync_file_reference","recordId":"r{n}","action":"Update","recordData":{{{first},{everyones}}}}}"#
                );
                push(&central, &record);
                let aside = set_aside(central.storage.as_ref());
                let (_, _, why) = aside.last().unwrap();
                assert_eq!((aside.len(), why.cause), (n + 1, QuarantineCause::Malformed), "{value}");
                assert!(m == 0 || why.reason.contains(says), "{}", why.reason);
            }
        }
        for (table, id) in [("asset", "n\\u0000"), ("as\\u0000set", "n"), ("as\\u0000set", "n"), ("", "n")] {
            push(
                &central,
                &format!(r#"{{"tableName":"{table}","recordId":"{id}","action":"Delete","recordData":null}}"#),
            );
            let (_, _, why) = set_aside(central.storage.as_ref()).pop().unwrap();
            assert_eq!(why.cause, QuarantineCause::Malformed, "{table} {id}: {}", why.reason);
        }
        central.records.put("asset", [asset("good", "STORE_b", "")]).unwrap();
        assert_eq!(b.sync().outcome, SyncOutcome::Done);
        assert!(b.get("asset", "good").is_some());
        assert_eq!(b.get("sync_file_reference", "r0"), None);
    });
}

/// A join is made from a site's request, and is a record.
#[test]
fn a_join_that_a_site_asks_for_goes_through_the_same_door() {
    each_storage(|central| {
        central.add_site("a");
        let patient = document("name", &[("ID", "p"), ("type", "patient")]);
        push(
            &central,
            &format!(r#"{{"tableName":"name","recordId":"p","action":"Update","recordData":{}}}"#, patient.as_str()),
        );
        let ask = |id: &str| {
            let body =
                format!(r#"{{"id":"{id}","nameId":"p","storeId":"STORE_a","syncV5Settings":{}}}"#, credentials());
            let request = HttpRequest {
                method: Method::Post,
                url: "central/name-store-join".to_owned(),
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: body.into(),
            };
            central.central.handle(&request).status
        };
        assert_eq!(ask("j\\u0000"), 500);
        assert_eq!(get(&central.records, "name_store_join", "j\0"), None);
        assert_eq!(ask("j"), 200);
        assert!(get(&central.records, "name_store_join", "j").is_some());
    });
}

/// A line that rewrites a server's answers.
struct Rewritten {
    line: Arc<dyn Transport>,
    from: &'static str,
    to: &'static str,
}

impl Transport for Rewritten {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut response = self.line.send(request)?;
        if let Ok(text) = std::str::from_utf8(&response.body) {
            response.body = text.replace(self.from, self.to).into_bytes();
        }
        Ok(response)
    }
}

#[test]
fn what_is_pulled_is_read_as_every_other_site_reads_it_or_set_aside() {
    for (to, stored, cause) in [
        (r#""one","notes":"two""#, Some("two"), None),
        // No other site reads this: it would refuse the whole batch.
        (r#"[1e999],"notes":"two""#, None, Some(QuarantineCause::Malformed)),
        (r#""a\u0000b""#, None, Some(QuarantineCause::Malformed)),
        (r#""one","more":1e999"#, None, Some(QuarantineCause::Malformed)),
    ] {
        each_storage(|central| {
            central.add_site("a");
            central.records.put("asset", [asset("x", "STORE_a", "one"), asset("y", "STORE_a", "")]).unwrap();
            let line = Arc::new(Rewritten { line: central.transport(), from: "\"one\"", to });
            let a = central.set_up_in("a", "a", line);
            a.sync();
            assert!(a.get("asset", "y").is_some(), "{to}: the others go on");
            let notes = a.get("asset", "x").map(|text| {
                assert_eq!(text.matches("\"notes\"").count(), 1, "{text}");
                serde_json::from_str::<serde_json::Value>(&text).unwrap()["notes"].as_str().unwrap().to_owned()
            });
            assert_eq!(notes.as_deref(), stored, "{to}");
            let aside: Vec<_> = set_aside(a.storage.as_ref()).into_iter().map(|(_, _, why)| why.cause).collect();
            assert_eq!(aside, Vec::from_iter(cause), "{to}");
        });
    }
}

#[test]
fn what_an_older_version_took_stops_no_other_and_stays() {
    each_storage(|central| {
        let b = central.new_site("b");
        for (id, more) in [("nul", r#""a\u0000b""#), ("half", r#""\ud800""#), ("good", "1")] {
            let change = NewChange {
                table: "asset".into(),
                id: id.into(),
                action: ChangeAction::Upsert,
                store: Some("STORE_b".into()),
                name: None,
                source_site: None,
                is_sync_update: true,
                audience: Audience::Store("STORE_b".into()),
                changed_at: Timestamp::from_unix_millis(0),
            };
            let txn = central.storage.write().unwrap();
            txn.put_record(&with_more(id, "STORE_b", more), &change).unwrap();
            txn.commit().unwrap();
        }
        assert_eq!(b.sync().outcome, SyncOutcome::Done);
        assert!(b.get("asset", "good").is_some());
        assert_eq!((b.get("asset", "nul"), b.get("asset", "half")), (None, None), "not as deleted either");
        assert!(set_aside(b.storage.as_ref()).is_empty(), "it is not sent at all");
        assert!(get(&central.records, "asset", "nul").is_some());
        // Written again without it, it goes out.
        central.records.put("asset", [asset("nul", "STORE_b", "mended")]).unwrap();
        b.sync();
        assert!(b.get("asset", "nul").unwrap().contains("mended"));
    });
}

#[test]
fn what_is_kept_for_a_site_goes_through_the_same_door() {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Arc::new(Rewritten { line: central.transport(), from: "nothing", to: "nothing" });
    let a = central.set_up_in("a", "a", line);
    a.sync();
    a.records.put("transact", [data(r#"{"ID":"good","store_ID":"STORE_a"}"#)]).unwrap();
    let change = NewChange {
        table: "transact".into(),
        id: "bad".into(),
        action: ChangeAction::Upsert,
        store: None,
        name: None,
        source_site: None,
        is_sync_update: false,
        audience: Audience::Legacy,
        changed_at: Timestamp::from_unix_millis(0),
    };
    let txn = a.storage.write().unwrap();
    txn.put_record(&data(r#"{"ID":"bad","ID":"bad","store_ID":"STORE_a"}"#), &change).unwrap();
    txn.commit().unwrap();
    a.sync();
    let site = central.sites.list().unwrap()[0].id;
    let txn = central.storage.read().unwrap();
    let kept: Vec<String> =
        txn.central().unwrap().legacy_mirror(site, 0, 9).unwrap().into_iter().map(|kept| kept.id.to_string()).collect();
    assert_eq!(kept, ["good"]);
    let (row, why) = txn.quarantined(0, 9).unwrap().remove(0);
    assert_eq!((row.incoming.source, why.cause), (Source::Site(site), QuarantineCause::Malformed));
    assert!(row.incoming.data.as_str().contains(r#""ID":"bad","ID""#), "as it came");
}

/// Servers may send a day of one digit, and it is read. Nobody here or at a site writes one: SQL and most readers take it for no
/// date at all.
#[test]
fn what_is_written_is_a_date_for_every_reader() {
    each_storage(|central| {
        let a = central.new_site("a");
        a.sync();
        let dated = |day: &str, at: &str| {
            asset("x", "STORE_a", "").as_str().replace("2025-01-01T00:00:00.120", at).replacen(
                '{',
                &format!("{{\"installation_date\":{day},"),
                1,
            )
        };
        let good = "2025-01-01T00:00:00";
        for (day, at, says) in [
            ("\"2026-1-1\"", good, "$.installation_date: expected a date YYYY-MM-DD, found a spelling"),
            ("\"2026-01-1\"", good, "$.installation_date"),
            ("null", "2026-1-01T00:00:00", "$.modified_datetime"),
            ("null", "2026-01-01T00:00:60", "$.modified_datetime"),
        ] {
            let error = a.records.put("asset", [data(&dated(day, at))]).unwrap_err();
            let Error::InvalidRecord { source, .. } = error else { panic!("{error}") };
            assert!(source.to_string().starts_with(says), "{source}");
            let record =
                format!(r#"{{"tableName":"asset","recordId":"x","action":"Update","recordData":{}}}"#, dated(day, at));
            push(&central, &record);
            let (_, _, why) = set_aside(central.storage.as_ref()).pop().unwrap();
            assert!(why.cause == QuarantineCause::Malformed && why.reason.starts_with(says), "{}", why.reason);
        }
        a.records.put("asset", [data(&dated("\"2026-01-01\"", good))]).unwrap();
    });
}

/// The dates of a patient may be empty or with a blank in place of the `T`, as the legacy server writes them; a day of one digit is as
/// wrong as in any other record.
#[test]
fn the_dates_of_a_patient_are_dates_for_every_reader_too() {
    each_storage(|central| {
        let a = central.new_site("a");
        a.sync();
        for field in ["date_of_birth", "created_date", "om_created_datetime", "om_date_of_death"] {
            let dated = |id: &str, at: &str| document("name", &[("ID", id), ("type", "patient"), (field, at)]);
            for bad in ["2026-1-1", "2026-01-1", "2026-1-01T00:00:00", "2026-1-1 00:00:00", "2026-01-01T00:00:60"] {
                let error = a.records.put("name", [dated("bad", bad)]).unwrap_err();
                let Error::InvalidRecord { source, .. } = error else { panic!("{error}") };
                let says = format!("$.{field}: expected a date or date-time, found a spelling");
                assert!(source.to_string().starts_with(&says), "{bad} {source}");
                let pushed = dated("bad", bad);
                push(
                    &central,
                    &format!(
                        r#"{{"tableName":"name","recordId":"bad","action":"Update","recordData":{}}}"#,
                        pushed.as_str()
                    ),
                );
                let (_, _, why) = set_aside(central.storage.as_ref()).pop().unwrap();
                assert!(why.cause == QuarantineCause::Malformed && why.reason.starts_with(&says), "{}", why.reason);
                // The same in a document of the legacy server.
                let invoice = format!(r#"{{"ID":"t","store_ID":"STORE_a","entry_date":"{bad}"}}"#);
                let error = a.records.put("transact", [data(&invoice)]).unwrap_err();
                assert_eq!(error.code(), "invalid_record", "{bad}");
            }
            for (number, good) in
                ["", "0000-00-00", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00"].into_iter().enumerate()
            {
                let id = format!("{field}{number}");
                a.records.put("name", [dated(&id, good)]).unwrap();
                a.sync();
                assert!(get(&central.records, "name", &id).is_some(), "{good}");
            }
        }
    });
}
