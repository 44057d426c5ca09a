//! Wrong content from a central server in valid HTTP bodies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::SyncOutcome;
use sync_core::protocol::v6::{WireError, encode_error};
use sync_core::storage::{QuarantineCause, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_tests::raw_server::Reply;

use super::{Bench, PULL, PUSH, STATUS, assert_error};

pub(super) fn element(cursor: u64, record: &str) -> String {
    format!(r#"{{"cursor":{cursor},"record":{record}}}"#)
}

fn record(table: &str, id: &str, data: &str) -> String {
    format!(r#"{{"tableName":"{table}","recordId":"{id}","action":"Update","recordData":{data}}}"#)
}

pub(super) fn class(id: &str) -> String {
    record("asset_class", id, &format!(r#"{{"id":"{id}","name":"of {id}"}}"#))
}

pub(super) fn batch(end: impl std::fmt::Display, elements: &[String], last: bool) -> String {
    let (total, records) = (elements.len(), elements.join(","));
    format!(r#"{{"data":{{"end_cursor":{end},"total_records":{total},"records":[{records}],"is_last_batch":{last}}}}}"#)
}

/// The cursor that a pull asks from.
fn asked_from(request: &HttpRequest) -> u64 {
    serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()["cursor"].as_u64().unwrap()
}

/// Answers pulls with what is made of the cursor that they ask from.
pub(super) fn made(make: impl Fn(u64) -> String + Send + Sync + 'static) -> Reply {
    Reply::Made(Arc::new(move |request| HttpResponse::json(200, make(asked_from(request)).into_bytes())))
}

/// A pulled bad record, and its expected fate, when all else is good.
struct Bad {
    what: &'static str,
    /// The record's JSON; bytes, as they need not be UTF-8.
    json: Vec<u8>,
    /// The table of its quarantine entry.
    table: &'static str,
    cause: QuarantineCause,
    /// A part of the reason.
    says: &'static str,
}

fn bad_records() -> Vec<Bad> {
    use QuarantineCause::{Malformed, Unsupported};
    let bad = |what, json: String, table, cause, says| Bad { what, json: json.into_bytes(), table, cause, says };
    let of = |data: &str| record("asset_class", "bad", data);
    let mut not_utf8 = of(r#"{"id":"bad","name":"caf#"}"#).into_bytes();
    let place = not_utf8.iter().position(|byte| *byte == b'#').unwrap();
    not_utf8[place] = 0xe9;
    let long = "x".repeat(10_000);
    vec![
        bad("an unknown table", record("hologram", "bad", "{}"), "hologram", Unsupported, "\"hologram\""),
        bad(
            "an unknown action",
            of(r#"{"id":"bad","name":"n"}"#).replace("Update", "UPSERT"),
            "asset_class",
            Malformed,
            "unknown variant `UPSERT`",
        ),
        bad("data that is an array", of("[]"), "asset_class", Malformed, "$: expected an object"),
        bad("data that is text", of("\"x\""), "asset_class", Malformed, "$: expected an object"),
        bad("no data", of("null"), "asset_class", Malformed, "$: expected an object"),
        bad("a missing field", of(r#"{"id":"bad"}"#), "asset_class", Malformed, "$.name"),
        bad("a misspelt field", of(r#"{"id":"bad","naem":"n"}"#), "asset_class", Malformed, "$.name"),
        bad("a number for text", of(r#"{"id":"bad","name":5}"#), "asset_class", Malformed, "$.name"),
        bad("another id inside", of(r#"{"id":"other","name":"n"}"#), "asset_class", Malformed, "$.id"),
        bad(
            "an id of 10 kB",
            record("asset_class", &long, &format!(r#"{{"id":"{long}","name":"n"}}"#)),
            "asset_class",
            Malformed,
            "recordId has 10000 bytes",
        ),
        bad("no id", record("asset_class", "", r#"{"id":"","name":"n"}"#), "asset_class", Malformed, "recordId has 0"),
        bad(
            "an id that is a number",
            class("5").replace("\"recordId\":\"5\"", "\"recordId\":5"),
            "asset_class",
            Malformed,
            "expected a string",
        ),
        bad(
            "no table",
            of(r#"{"id":"bad","name":"n"}"#).replace("\"tableName\":\"asset_class\",", ""),
            "(unreadable)",
            Malformed,
            "missing field `tableName`",
        ),
        bad("no record", "null".to_owned(), "(unreadable)", Malformed, "invalid type: null"),
        Bad { what: "not UTF-8", json: not_utf8, table: "asset_class", cause: Malformed, says: "not UTF-8" },
    ]
}

/// An answer with a good record, the bad one and another good one, from this cursor on.
fn around(bad: &[u8], from: u64, number: usize) -> Vec<u8> {
    let elements = [
        element(from, &class(&format!("b{number}"))),
        "#".to_owned(),
        element(from + 2, &class(&format!("a{number}"))),
    ];
    let text = batch(from + 2, &elements, true);
    let (head, tail) = text.split_once('#').unwrap();
    let middle = format!(r#"{{"cursor":{},"record":"#, from + 1);
    [head.as_bytes(), middle.as_bytes(), bad, b"}", tail.as_bytes()].concat()
}

#[test]
fn a_bad_record_is_set_aside_and_stops_no_other() {
    let bench = Bench::new();
    for (number, bad) in bad_records().into_iter().enumerate() {
        let what = bad.what;
        let from = bench.pull_cursor().0;
        let before = bench.quarantined().len();
        bench.server.once(PULL, Reply::Whole(HttpResponse::json(200, around(&bad.json, from, number))));
        let report = bench.sync_well();
        assert_eq!(report.outcome, SyncOutcome::LeftBehind, "{what}");
        assert_eq!((report.pulled, report.integrated, report.quarantined), (3, 2, 1), "{what}");
        assert!(bench.site_has("asset_class", &format!("b{number}")), "{what}: the one before is here");
        assert!(bench.site_has("asset_class", &format!("a{number}")), "{what}: the one after is here");
        let set_aside = bench.quarantined();
        assert_eq!(set_aside.len(), before + 1, "{what}");
        let (table, id, why) = set_aside.last().unwrap();
        assert_eq!((table.as_str(), why.cause), (bad.table, bad.cause), "{what}: {}", why.reason);
        assert!(why.reason.contains(bad.says), "{what}: {}", why.reason);
        assert_eq!(bench.pull_cursor().0, from + 3, "{what}: it is kept, so the cursor may pass it");

        // Central sends the record again, and well this time.
        if bad.table == "asset_class" && id.as_str() == "bad" {
            let good = batch(from + 3, &[element(from + 3, &class("bad"))], true);
            bench.server.once(PULL, Reply::json(200, good));
            let report = bench.sync_well();
            assert_eq!(report.integrated, 1, "{what}");
            assert!(bench.site_has("asset_class", "bad"), "{what}");
            let left = bench.quarantined();
            assert_eq!(left.len(), before, "{what}: it is no longer set aside");
            // The others are left behind until somebody acts.
            let waits_for_somebody = left.iter().filter(|(_, _, why)| why.cause.needs_somebody()).count();
            let outcome = if waits_for_somebody > 0 { SyncOutcome::LeftBehind } else { SyncOutcome::Done };
            assert_eq!((report.outcome, report.still_quarantined), (outcome, waits_for_somebody as u64), "{what}");
        }
    }
}

#[test]
fn a_record_of_9_mb_is_integrated() {
    let bench = Bench::new();
    let from = bench.pull_cursor().0;
    let text = "n".repeat(9_000_000);
    let large = record("asset_class", "large", &format!(r#"{{"id":"large","name":"{text}"}}"#));
    let elements = [element(from, &class("b")), element(from + 1, &large), element(from + 2, &class("a"))];
    bench.server.once(PULL, Reply::json(200, batch(from + 2, &elements, true)));
    let report = bench.sync_well();
    assert_eq!((report.outcome, report.integrated), (SyncOutcome::Done, 3));
    assert_eq!(bench.count("asset_class"), 3);
}

#[test]
fn of_a_record_sent_twice_the_last_counts() {
    let bench = Bench::new();
    let from = bench.pull_cursor().0;
    let newer = record("asset_class", "twice", r#"{"id":"twice","name":"newer"}"#);
    let elements = [element(from, &class("twice")), element(from, &class("other")), element(from + 1, &newer)];
    bench.server.once(PULL, Reply::json(200, batch(from + 1, &elements, true)));
    assert_eq!(bench.sync_well().outcome, SyncOutcome::Done);
    let held = sync_tests::world::get(&bench.records, "asset_class", "twice").unwrap();
    assert!(held.contains("newer"), "{held}");
    assert!(bench.site_has("asset_class", "other"), "two records may share a cursor");
    // The same batch again changes nothing.
    bench.server.once(PULL, Reply::json(200, batch(bench.pull_cursor(), &elements, true)));
    bench.sync_well();
    assert_eq!(bench.count("asset_class"), 2);
}

#[test]
fn batches_that_cannot_be_read_as_a_whole() {
    let bench = Bench::new();
    for (number, (what, answer)) in [
        ("no records", r#"{"data":{"end_cursor":1,"total_records":0,"is_last_batch":true}}"#.to_owned()),
        ("no end", r#"{"data":{"total_records":0,"records":[],"is_last_batch":true}}"#.to_owned()),
        ("records that are none", batch(1, &[], true).replace("[]", "{}")),
        ("a negative end", batch(-1, &[], true)),
        ("an end beyond 64 bits", batch("18446744073709551616", &[], true)),
        ("an end that is text", batch("\"7\"", &[], true)),
        ("both data and error", r#"{"data":{},"error":"notACentralServer"}"#.to_owned()),
        ("depth without end", format!(r#"{{"data":{}"#, "[".repeat(100_000))),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("{number}");
        bench.plant(&id);
        let before = bench.cursors();
        bench.server.always(PULL, Reply::json(200, answer));
        let report = bench.sync();
        let error = report.error.as_ref().unwrap_or_else(|| panic!("{what}: no error"));
        if what == "depth without end" {
            assert!(["cut_off", "unreadable_answer"].contains(&error.code()), "{what}: {error}");
        } else {
            assert_error(what, error, "unreadable_answer", "peer_fault");
        }
        assert_eq!(bench.cursors().0, before.0, "{what}");
        bench.assert_heals(what, &id);
    }
}

#[test]
fn a_changelog_that_went_back_is_read_again_once() {
    let bench = Bench::new();
    bench.plant("x");
    bench.sync_well();
    bench.plant("y");
    bench.server.always(PULL, made(|_| batch(0, &[], true)));
    let report = bench.sync_well();
    assert!(report.warnings.iter().any(|warning| warning.to_string().contains("went back")), "{:?}", report.warnings);
    assert_eq!(bench.pull_cursor().0, 0, "everything is read again");
    bench.assert_heals("went back", "y");
}

/// Central answers from further back than was asked, as it does once a newer release of a site reads what was held back from an
/// older one: the site goes back with it.
#[test]
fn an_answer_from_further_back_is_taken_and_read_on_from() {
    for is_last in [false, true] {
        let bench = Bench::new();
        for n in 0..5 {
            bench.plant(&format!("{n}"));
        }
        bench.sync_well();
        let asked = bench.pull_cursor().0;
        bench.server.once(PULL, made(move |_| batch(2, &[element(2, &class("held_back"))], is_last)));
        bench.sync_well();
        assert!(bench.site_has("asset_class", "held_back"), "last: {is_last}");
        assert_eq!(bench.pull_cursor().0, asked, "and everything behind it was read again");

        // Also where it ends just before the cursor.
        let end = asked - 1;
        bench.server.once(PULL, made(move |_| batch(end, &[element(end, &class("held_back_too"))], is_last)));
        bench.sync_well();
        assert!(bench.site_has("asset_class", "held_back_too"), "last: {is_last}");
        assert_eq!(bench.pull_cursor().0, asked);

        // A server that always answers so does not move.
        bench.server.always(PULL, made(|_| batch(2, &[element(2, &class("held_back"))], false)));
        let report = bench.sync();
        assert_error("always", report.error.as_ref().unwrap(), "no_progress", "peer_fault");
        bench.assert_heals("always", "4");
    }
}

/// An upstream central server whose newest row was deleted has not been restored.
#[test]
fn a_newest_row_that_is_gone_is_no_restore_until_its_number_is_given_out_again() {
    let went_back = |report: &sync_core::SyncReport| {
        report.warnings.iter().any(|warning| warning.to_string().contains("went back"))
    };
    for is_restore in [false, true] {
        let bench = Bench::new();
        // Nothing of this site's: what it pushed stands in central's changelog too, and is not sent back.
        let classes = (0..5).map(|n| sync_tests::world::data(&format!(r#"{{"id":"c{n}","name":"n"}}"#)));
        bench.central.records.put("asset_class", classes).unwrap();
        bench.sync_well();
        let next = bench.pull_cursor().0;
        bench.server.always(PULL, made(move |_| batch(next - 2, &[], true)));
        for _ in 0..3 {
            let report = bench.sync_well();
            assert!(!went_back(&report), "{:?}", report.warnings);
            assert_eq!(bench.pull_cursor().0, next - 1, "where the number would be given out again");
        }
        bench.server.heal();
        let at = if is_restore { next - 1 } else { next };
        let once = std::sync::atomic::AtomicBool::new(true);
        let reply = made(move |from| match once.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => batch(at, &[element(at, &class("new"))], true),
            false if from == 0 => batch(at, &[element(1, &class("old")), element(at, &class("new"))], true),
            false => batch(at, &[], true),
        });
        bench.server.always(PULL, reply);
        let report = bench.sync_well();
        assert_eq!(went_back(&report), is_restore, "{:?}", report.warnings);
        assert!(bench.site_has("asset_class", "new"));
        assert_eq!(bench.site_has("asset_class", "old"), is_restore, "everything is read again");
    }
}

#[test]
fn a_cursor_out_of_range_moves_nothing() {
    let bench = Bench::new();
    for (number, far) in [u64::MAX, i64::MAX as u64].into_iter().enumerate() {
        for last in [true, false] {
            for (end, of_record) in [(far, 1), (1, far)] {
                let what = format!("end {end}, record {of_record}, last {last}");
                let id = format!("{number}{last}{of_record}");
                bench.plant(&id);
                let before = bench.cursors();
                bench.server.always(PULL, Reply::json(200, batch(end, &[element(of_record, &class("x"))], last)));
                let report = bench.sync();
                assert_error(&what, report.error.as_ref().unwrap(), "unreadable_answer", "peer_fault");
                bench.assert_nothing_passed(&what, &id, before);
                bench.server.heal();
                bench.assert_heals(&what, &id);
            }
        }
    }
}

#[test]
fn errors_in_the_envelope() {
    let bench = Bench::new();
    let coded = |error: &WireError| Reply::Whole(HttpResponse::json(200, encode_error(error)));
    for path in [PULL, PUSH, STATUS] {
        for (number, (what, reply, code, class)) in [
            ("other versions", coded(&WireError::SyncVersionMismatch(6, 9, 5)), "v6_version_incompatible", "upgrade"),
            ("integrating", coded(&WireError::IntegrationInProgress), "integration_in_progress", "retry"),
            ("two databases", coded(&WireError::copy_undecided("2026-11-23T08:00:00.000Z")), "copy_undecided", "retry"),
            ("an unknown word", Reply::json(200, r#"{"error":"teapot"}"#), "peer_error", "peer_fault"),
            ("an unknown object", Reply::json(200, r#"{"error":{"teapot":[1]}}"#), "peer_error", "peer_fault"),
            ("null", Reply::json(200, r#"{"error":null}"#), "peer_error", "peer_fault"),
            ("words", coded(&WireError::OtherServerError("Internal error".into())), "peer_error", "peer_fault"),
            ("a buffer", coded(&WireError::ParsingSyncRecordError("no".into())), "peer_error", "peer_fault"),
        ]
        .into_iter()
        .enumerate()
        {
            let (what, id) = (format!("{path}: {what}"), format!("{path}{number}"));
            bench.plant(&id);
            let before = bench.cursors();
            bench.server.always(path, reply);
            let (report, retries) = bench.sync_counting_retries();
            assert_error(&what, report.error.as_ref().unwrap(), code, class);
            assert_eq!(retries > 0, class == "retry", "{what}");
            bench.assert_nothing_passed(&what, &id, before);
            bench.assert_heals(&what, &id);
        }
    }
}

#[test]
fn integration_that_ends_while_it_is_waited_for_is_no_error() {
    let bench = Bench::new();
    let busy = || Reply::Whole(HttpResponse::json(200, encode_error(&WireError::IntegrationInProgress)));
    for path in [PULL, PUSH] {
        bench.plant(path);
        bench.server.once(path, busy());
        let (report, retries) = bench.sync_counting_retries();
        assert_eq!((report.outcome, retries), (SyncOutcome::Done, 1), "{path}");
        bench.assert_heals(path, path);
    }
    bench.plant("x");
    bench.server.once(STATUS, Reply::json(200, r#"{"data":{"is_integrating":true}}"#));
    assert_eq!(bench.sync_well().outcome, SyncOutcome::Done);
}

#[test]
fn integration_without_end_is_given_up_and_asked_again_by_the_next_cycle() {
    let bench = Bench::new();
    bench.plant("x");
    bench.server.always(STATUS, Reply::json(200, r#"{"data":{"is_integrating":true}}"#));
    let report = bench.sync();
    assert_error("integrating", report.error.as_ref().unwrap(), "integration_timeout", "retry");
    assert!(bench.central_has("asset", "x"), "the records are there");
    let unconfirmed = || state::PUSH_UNCONFIRMED.as_text().find(bench.storage.read().unwrap().as_ref()).unwrap();
    assert_eq!(unconfirmed().as_deref(), Some("1"));
    bench.assert_heals("integrating", "x");
    assert_eq!(unconfirmed().as_deref(), Some("0"));
}

#[test]
fn a_count_of_pushed_records_that_differs_keeps_the_cursor() {
    let bench = Bench::new();
    for accepted in ["0", "1", "3", "18446744073709551615"] {
        let (one, other) = (format!("{accepted}-1"), format!("{accepted}-2"));
        bench.plant(&one);
        bench.plant(&other);
        let before = bench.cursors();
        bench.server.always(PUSH, Reply::json(200, format!(r#"{{"data":{{"records_pushed":{accepted}}}}}"#)));
        let report = bench.sync();
        assert_error(accepted, report.error.as_ref().unwrap(), "partly_accepted", "peer_fault");
        assert_eq!((bench.cursors().1, report.pushed), (before.1, 0), "{accepted}");
        assert!(bench.site_has("asset_class", &one), "pulling goes on");
        bench.assert_heals(accepted, &one);
        assert!(bench.central_has("asset", &other));
    }
}

/// Central may stage a batch and its answer may still be lost: sending it again is harmless.
#[test]
fn a_push_that_was_taken_though_its_answer_was_lost_is_sent_again() {
    let bench = Bench::new();
    bench.plant("x");
    let (central, pushes) = (bench.central.central.clone(), Arc::new(AtomicU64::new(0)));
    let (count, kept) = (pushes.clone(), Arc::new(Mutex::new(Vec::new())));
    let bodies = kept.clone();
    bench.server.always(
        PUSH,
        Reply::Made(Arc::new(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            bodies.lock().unwrap().push(request.body.clone());
            let taken = central.handle(request);
            assert_eq!(taken.status, 200);
            HttpResponse::text(502, "")
        })),
    );
    let before = bench.cursors();
    let report = bench.sync();
    assert_eq!(report.error.as_ref().unwrap().class().as_str(), "retry");
    assert_eq!((pushes.load(Ordering::SeqCst), bench.cursors().1), (2, before.1));
    let bodies = kept.lock().unwrap().clone();
    assert_eq!(bodies[0], bodies[1], "the very same request");
    bench.central.central.integrate_waiting().unwrap();
    bench.assert_heals("a lost answer", "x");
    assert_eq!(bench.sync_well().pushed, 0);
}
