//! A central server of Open mSupply 3.x, as a site of V6 sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_core::protocol::v6::{WireError, encode_error};
use sync_core::record::RecordData;
use sync_core::storage::QuarantineCause;
use sync_core::transport::HttpResponse;
use sync_core::{ErrorClass, SyncOutcome};
use sync_tests::raw_server::Reply;

use super::{Bench, PULL, PUSH, STATUS};

fn refuses(error: &WireError) -> Reply {
    Reply::Whole(HttpResponse::json(200, encode_error(error)))
}

#[test]
fn a_pause_is_no_alarm_and_the_next_cycle_goes_on() {
    let bench = Bench::new();
    for (number, (path, error)) in [
        (PUSH, WireError::SyncApiPaused),
        (PULL, WireError::SyncApiPaused),
        (PUSH, WireError::paused_for("2.19.0")),
        (PULL, WireError::paused_for("2.19.0")),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("paused-{number}");
        let before = bench.cursors();
        bench.plant(&id);
        bench.server.always(path, refuses(&error));
        let (report, retries) = bench.sync_counting_retries();
        let error = report.error.as_ref().expect("an error");
        assert_eq!((error.code(), error.class(), retries), ("sync_paused", ErrorClass::Retry, 0), "{id}");
        bench.assert_nothing_passed(&id, &id, before);
        bench.assert_heals(&id, &id);
    }
}

#[test]
fn a_pause_while_central_integrates_is_told_by_its_status() {
    let bench = Bench::new();
    let status = br#"{"data":{"is_integrating":true,"is_sync_api_paused":true}}"#;
    bench.plant("x");
    bench.server.always(STATUS, Reply::Whole(HttpResponse::json(200, status.to_vec())));
    assert_eq!(bench.sync().error.as_ref().expect("an error").code(), "sync_paused");
    bench.assert_heals("a pause", "x");
}

#[test]
fn records_of_a_table_that_sites_may_not_write_hold_up_no_other() {
    let bench = Bench::new();
    let log = |id: &str| {
        let json = format!(
            r#"{{"id":"{id}","type":"ServerStatus","sync_site_id":null,"datetime":"2026-01-02T03:04:05","message":"m","is_error":false}}"#
        );
        RecordData::parse(json).expect("JSON")
    };
    bench.records.put("system_log", [log("l1")]).expect("an edit");
    bench.plant("x");
    bench.records.put("system_log", [log("l2")]).expect("an edit");
    let refused = Arc::new(AtomicBool::new(false));
    let (seen, central) = (refused.clone(), bench.central.central.clone());
    bench.server.always(
        PUSH,
        Reply::Made(Arc::new(move |request| {
            if String::from_utf8_lossy(&request.body).contains("system_log") {
                seen.store(true, Ordering::Relaxed);
                let error = WireError::TableNotAuthoredBySite("system_log".to_owned());
                return HttpResponse::json(200, encode_error(&error));
            }
            let answer = central.handle(request);
            central.integrate_waiting().expect("an integration");
            answer
        })),
    );
    let report = bench.sync();
    assert!(refused.load(Ordering::Relaxed));
    assert_eq!((report.outcome, report.refused), (SyncOutcome::LeftBehind, 2), "{:?}", report.error);
    assert!(bench.central_has("asset", "x") && bench.site_has("asset_class", "x"));
    let aside = bench.quarantined();
    assert_eq!(aside.len(), 2, "{aside:?}");
    for (table, _, quarantine) in aside {
        assert_eq!((table.as_str(), quarantine.cause), ("system_log", QuarantineCause::Refused));
        assert!(quarantine.reason.contains("takes no record of system_log"), "{}", quarantine.reason);
    }
    refused.store(false, Ordering::Relaxed);
    assert!(bench.sync().error.is_none());
    assert!(!refused.load(Ordering::Relaxed), "they are not sent again by themselves");
}
