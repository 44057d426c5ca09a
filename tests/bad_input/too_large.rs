//! Bodies that central refuses for their size, also if the refusal looks like a broken pipe.

use std::sync::{Arc, Mutex};

use sync_core::clock::Timestamp;
use sync_core::storage::{QuarantineCause, Source, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Replica, SyncOutcome};
use sync_tests::raw_server::Reply;
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, get};

use super::{Bench, PUSH, assert_error, fast};

const MIB: usize = 1024 * 1024;

/// The ways in which a refusal of the size is seen.
fn refusals() -> [(&'static str, Reply); 3] {
    let refusal =
        || HttpResponse::text(413, "JSON payload (1572864 bytes) is larger than allowed (limit: 1048576 bytes).");
    [
        ("a refusal", Reply::Whole(refusal())),
        ("a refusal while the body is sent", Reply::Early(1000, Some(refusal()))),
        ("a pipe that breaks", Reply::Early(1000, None)),
    ]
}

/// A bench whose site sends bodies as they are: a gzipped one would be small.
fn plain_bench() -> Bench {
    bench_that_knows(fast().push_body_limit)
}

/// The same, which knows another limit of central.
fn bench_that_knows(limit: usize) -> Bench {
    let mut bench = Bench::new();
    let mut config = fast();
    config.gzip_from = usize::MAX;
    config.push_body_limit = limit;
    bench.site = bench.site.with_config(config);
    bench
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    for (what, reply) in refusals() {
        let bench = plain_bench();
        let ids: Vec<String> = (0..8).map(|n| format!("{n}")).collect();
        let notes = "n".repeat(400 * 1024);
        bench.records.put("asset", ids.iter().map(|id| asset(id, "STORE_a", &notes))).unwrap();
        bench.server.above(MIB + 200 * 1024, reply);
        bench.server.seen();
        let report = bench.sync_well();
        assert_eq!((report.outcome, report.pushed, report.refused), (SyncOutcome::Done, 8, 0), "{what}");
        let largest = bench.server.seen().iter().filter(|seen| seen.path == PUSH).map(|seen| seen.length).max();
        assert!(largest.unwrap() > 3 * MIB, "{what}: the whole was tried first");
        assert!(ids.iter().all(|id| bench.central_has("asset", id)), "{what}");
        assert!(bench.quarantined().is_empty(), "{what}");
    }
}

#[test]
fn one_record_that_is_too_large_is_set_aside_and_holds_up_no_other() {
    for (what, reply) in refusals() {
        // A pipe that breaks says so only of what is larger than a central server is known to take.
        let bench = bench_that_knows(2 * MIB);
        let huge = "n".repeat(3 * MIB);
        let records = [asset("before", "STORE_a", ""), asset("huge", "STORE_a", &huge), asset("after", "STORE_a", "")];
        bench.records.put("asset", records).unwrap();
        bench.server.above(2 * MIB, reply);
        let report = bench.sync_well();
        assert_eq!((report.outcome, report.pushed, report.refused), (SyncOutcome::LeftBehind, 2, 1), "{what}");
        assert!(bench.central_has("asset", "before") && bench.central_has("asset", "after"), "{what}");
        assert!(bench.site_has("asset", "huge") && !bench.central_has("asset", "huge"), "{what}: it stays here");
        let set_aside = bench.storage.read().unwrap().quarantined(0, 10).unwrap();
        let [(row, why)] = set_aside.as_slice() else { panic!("{what}: {set_aside:?}") };
        assert_eq!((row.incoming.source, why.cause), (Source::Local, QuarantineCause::Refused), "{what}");
        assert!(why.reason.contains("asset huge alone is too large for the central server"), "{}", why.reason);

        // Made smaller, it goes.
        bench.records.put("asset", [asset("huge", "STORE_a", "small now")]).unwrap();
        bench.sync_well();
        assert!(bench.central_has("asset", "huge"), "{what}");
    }
}

/// The limit may have been one of a proxy that is mended meanwhile.
#[test]
fn a_record_that_was_too_large_is_pushed_once_more_after_a_day() {
    let bench = bench_that_knows(2 * MIB);
    let refusal = || HttpResponse::text(413, "<html>Request Entity Too Large</html>");
    bench.records.put("asset", [asset("huge", "STORE_a", &"n".repeat(3 * MIB))]).unwrap();
    bench.server.above(2 * MIB, Reply::Whole(refusal()));
    let again_at = || state::TOO_LARGE_AGAIN_AT.get(bench.storage.read().unwrap().as_ref()).unwrap();
    let let_a_day_pass = || {
        let txn = bench.storage.write().unwrap();
        state::TOO_LARGE_AGAIN_AT.set(txn.as_ref(), Some(Timestamp::from_unix_millis(0))).unwrap();
        txn.commit().unwrap();
    };
    assert_eq!(bench.sync_well().refused, 1);
    let first = again_at().unwrap();
    bench.server.seen();
    let same_day = bench.sync_well();
    assert_eq!((same_day.outcome, same_day.refused), (SyncOutcome::LeftBehind, 0), "it is told of until it is out");
    assert_eq!(again_at(), Some(first), "not on the same day");
    let_a_day_pass();
    assert_eq!(bench.sync_well().refused, 1, "it is still too large");
    assert!(again_at().is_some_and(|again| again >= first));
    bench.server.heal();
    assert_eq!(bench.sync_well().pushed, 0, "not on the same day");
    let_a_day_pass();
    assert_eq!(bench.sync_well().pushed, 1);
    assert!(bench.central_has("asset", "huge") && bench.quarantined().is_empty());
    assert_eq!(again_at(), None);
}

/// A filter on the way refuses whatever is pushed. That says nothing of a record.
#[test]
fn a_server_that_refuses_every_push_makes_no_record_too_large() {
    for (notes, says) in [("small".to_owned(), "less than 16 kB"), ("n".repeat(20_000), "even a push without records")]
    {
        let bench = plain_bench();
        let ids = ["1", "2", "3"];
        bench.records.put("asset", ids.map(|id| asset(id, "STORE_a", &notes))).unwrap();
        bench.server.always(PUSH, Reply::Whole(HttpResponse::text(413, "<html>Request Entity Too Large</html>")));
        let report = bench.sync();
        let error = report.error.as_ref().unwrap();
        assert_eq!((error.code(), report.refused), ("refused", 0));
        assert!(error.to_string().contains(says), "{error}");
        assert!(bench.quarantined().is_empty());
        bench.server.heal();
        assert_eq!(bench.sync_well().pushed, 3);
        assert!(ids.iter().all(|id| bench.central_has("asset", id)));
    }
}

/// A line that breaks is not a server that refuses: the record stays to be pushed.
#[test]
fn a_large_record_whose_answer_is_cut_is_not_set_aside() {
    let bench = plain_bench();
    bench.records.put("asset", [asset("huge", "STORE_a", &"n".repeat(2 * MIB))]).unwrap();
    let before = bench.cursors();
    let answer = HttpResponse::json(200, br#"{"data":{"records_pushed":1}}"#.to_vec());
    bench.server.always(PUSH, Reply::Cut(answer, 9));
    let report = bench.sync();
    assert_error("a cut answer", report.error.as_ref().unwrap(), "cut_off", "retry");
    assert_eq!(bench.cursors().1, before.1);
    assert!(bench.quarantined().is_empty(), "{:?}", bench.quarantined());
    bench.server.heal();
    assert_eq!(bench.sync_well().outcome, SyncOutcome::Done);
    assert!(bench.central_has("asset", "huge"));
}

/// However often it breaks: only what is larger than a central server is known to take may be too large.
#[test]
fn a_large_record_on_a_line_that_always_breaks_is_not_set_aside() {
    let bench = plain_bench();
    let huge = "n".repeat(3 * MIB);
    let records = [asset("before", "STORE_a", ""), asset("huge", "STORE_a", &huge), asset("after", "STORE_a", "")];
    bench.records.put("asset", records).unwrap();
    bench.server.above(2 * MIB, Reply::Early(1000, None));
    for _ in 0..3 {
        let report = bench.sync();
        assert_error("the line breaks", report.error.as_ref().unwrap(), "cut_off", "retry");
        assert_eq!(report.refused, 0);
        assert!(bench.central_has("asset", "before") && bench.central_has("asset", "after"), "others go on");
        assert!(bench.quarantined().is_empty(), "{:?}", bench.quarantined());
    }
    bench.server.heal();
    assert_eq!(bench.sync_well().pushed, 1);
    assert!(bench.central_has("asset", "huge"));
}

/// One pipe that breaks is the line's fault: only one that breaks each time may be the size.
#[test]
fn a_large_record_on_a_line_that_breaks_once_is_not_set_aside() {
    let bench = plain_bench();
    bench.records.put("asset", [asset("huge", "STORE_a", &"n".repeat(2 * MIB))]).unwrap();
    bench.server.once(PUSH, Reply::Early(1000, None));
    let report = bench.sync_well();
    assert_eq!((report.outcome, report.pushed, report.refused), (SyncOutcome::Done, 1, 0));
    assert!(bench.central_has("asset", "huge"));
}

/// A line on which a proxy takes no body with a certain word.
struct SmallBodiesOnly(Arc<dyn Transport>);

impl Transport for SmallBodiesOnly {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if String::from_utf8_lossy(&request.body).contains("enormous") {
            return Ok(HttpResponse::text(413, "too large"));
        }
        self.0.send(request)
    }
}

/// A text that some server may refuse for its size.
fn enormous() -> String {
    "enormous ".repeat(3000)
}

/// The site, which sends bodies as they are.
fn sending_plainly(mut site: SiteEnd) -> SiteEnd {
    let mut config = fast();
    config.gzip_from = usize::MAX;
    site.site = site.site.with_config(config);
    site
}

#[test]
fn what_was_sent_is_integrated_though_the_last_record_is_too_large() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let a = sending_plainly(central.set_up_in("a", "a", Arc::new(SmallBodiesOnly(central.transport()))));
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "small"), asset("y", "STORE_a", &enormous())]).unwrap();
    let report = a.sync();
    assert_eq!((report.pushed, report.refused), (1, 1));
    assert!(get(&central.records, "asset", "x").is_some(), "central was told that nothing more comes");
    assert!(a.get("asset", "y").is_some(), "what is too large stays here");
}

/// A line on which the host writes once, in the moment in which a record alone is refused for its size.
struct WritesMeanwhile(SmallBodiesOnly, Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Transport for WritesMeanwhile {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let response = self.0.send(request)?;
        if response.status == 413
            && !String::from_utf8_lossy(&request.body).contains("small")
            && let Some(write) = self.1.lock().unwrap().take()
        {
            write();
        }
        Ok(response)
    }
}

#[test]
fn what_is_written_again_while_it_is_found_too_large_is_no_other_record() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Arc::new(WritesMeanwhile(SmallBodiesOnly(central.transport()), Mutex::default()));
    let a = sending_plainly(central.set_up_in("a", "a", line.clone()));
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", &enormous()), asset("y", "STORE_a", "small")]).unwrap();
    let storage = a.storage.clone();
    *line.1.lock().unwrap() = Some(Box::new(move || {
        Replica::with_storage(storage).records().put("asset", [asset("x", "STORE_a", "small now")]).unwrap();
    }));
    let first = a.sync();
    let second = a.sync();
    assert_eq!((first.refused, first.pushed + second.pushed), (0, 2));
    assert!(get(&central.records, "asset", "x").unwrap().contains("small now"));
    assert!(get(&central.records, "asset", "y").is_some(), "nothing is wrong with it");
    assert!(a.storage.read().unwrap().quarantined(0, 10).unwrap().is_empty());
}
