//! Pushes that central integrates as they arrive: in the transaction that takes them, as far as one transaction goes, and
//! through any fault.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sync_core::record::SiteId;
use sync_core::storage::{MemoryStorage, QuarantineCause, Source};
use sync_core::transport::{HttpRequest, Method};
use sync_testkit::FaultyStorage;
use sync_tests::world::{CentralEnd, count, get};

use super::central_door::{central, json, record, request};
use super::queue::{assert_in_progress, batch, is_integrating, one, taken};
use super::{PUSH, set_aside};

fn staged(end: &CentralEnd, site: i32) -> u64 {
    let tables = end.storage.read().unwrap().staged_tables(Source::Site(SiteId(site))).unwrap();
    tables.iter().map(|(_, counts)| counts.upserts + counts.deletes + counts.merges).sum()
}

/// A batch that begins with a log of this asset, which is named like the site.
fn with_log(site: &str, cursor: u64, asset: &str, batch: HttpRequest) -> HttpRequest {
    let id = format!("log of {site}");
    let data = format!(r#"{{"id":"{id}","asset_id":"{asset}","user_id":"u","log_datetime":"2025-01-01T00:00:00"}}"#);
    let log = format!(r#"{{"cursor":{cursor},"record":{}}}"#, record("asset_log", &id, &data));
    let text = String::from_utf8(batch.body).unwrap();
    let comma = if text.contains(r#""records":[]"#) { "" } else { "," };
    request(Method::Post, PUSH, text.replace(r#""records":["#, &format!(r#""records":[{log}{comma}"#)))
}

#[test]
fn a_push_is_integrated_in_the_request_that_brings_it() {
    let end = central();
    assert_eq!(taken(&end.central.handle(&batch("a", [(1, "x".into()), (2, "y".into())], false))), 2);
    assert_eq!(count(end.storage.as_ref(), "asset"), 2);
    assert!(!is_integrating(&end.central, "a"), "the site may go on");
    assert_eq!(taken(&end.central.handle(&batch("a", [(3, "z".into()), (4, "y".into())], true))), 2);
    assert!(!is_integrating(&end.central, "a"), "the site hears at once that it is done");
    taken(&end.central.handle(&one("a", 5, "more", true)));
    assert_eq!(count(end.storage.as_ref(), "asset"), 4);
    assert!(get(&end.records, "asset", "y").unwrap().contains(r#""notes":"4""#), "the newer version counts");
    let figures = end.central.integrations().unwrap();
    assert_eq!((figures.waiting, figures.integrated), (0, 5));
}

#[test]
fn a_child_that_came_in_an_earlier_batch_than_its_parent_is_there_with_it() {
    let end = central();
    taken(&end.central.handle(&with_log("a", 1, "x", batch("a", [], false))));
    let [(_, _, why)] = &set_aside(end.storage.as_ref())[..] else { panic!("it waits") };
    assert_eq!(why.cause, QuarantineCause::Waiting);
    // In the middle of the push: what is woken must not keep the site from sending the rest.
    taken(&end.central.handle(&one("a", 2, "x", false)));
    assert!(get(&end.records, "asset_log", "log of a").is_some() && set_aside(end.storage.as_ref()).is_empty());
    assert!(!is_integrating(&end.central, "a"));
    taken(&end.central.handle(&one("a", 3, "y", true)));
    assert!(!is_integrating(&end.central, "a"));
}

#[test]
fn what_a_push_wakes_of_another_site_has_its_turn() {
    let end = central();
    end.add_site("b");
    taken(&end.central.handle(&with_log("b", 1, "x", batch("b", [], true))));
    taken(&end.central.handle(&one("a", 1, "x", false)));
    assert!(is_integrating(&end.central, "b") && !is_integrating(&end.central, "a"));
    end.central.integrate_waiting().unwrap();
    assert!(!is_integrating(&end.central, "b"));
    assert_eq!(staged(&end, 3), 0);
}

#[test]
fn of_a_large_batch_as_much_is_integrated_as_fits_and_the_rest_in_turns() {
    let end = central().integrating_at_once(2);
    let some = |range: std::ops::Range<u64>| range.map(|n| (n, format!("x{n}")));
    taken(&end.central.handle(&batch("a", some(1..6), false)));
    assert_eq!((count(end.storage.as_ref(), "asset"), staged(&end, 2)), (2, 3));
    assert!(!is_integrating(&end.central, "a"), "the site may send the rest");
    // One of the rest comes in a newer version, and there is room for one more.
    taken(&end.central.handle(&one("a", 7, "x3", false)));
    assert_eq!((count(end.storage.as_ref(), "asset"), staged(&end, 2)), (4, 1));
    taken(&end.central.handle(&batch("a", some(8..12), true)));
    assert_eq!(staged(&end, 2), 3);
    assert!(is_integrating(&end.central, "a"));
    assert_in_progress(&end.central.handle(&one("a", 20, "more", true)));
    end.central.integrate_waiting().unwrap();
    assert!(!is_integrating(&end.central, "a"));
    assert_eq!((count(end.storage.as_ref(), "asset"), staged(&end, 2)), (9, 0));
    assert!(get(&end.records, "asset", "x3").unwrap().contains(r#""notes":"7""#));
    assert_eq!(end.central.integrations().unwrap().integrated, 9);
}

/// A central server that takes a push, over a storage that can fail.
fn ready() -> (CentralEnd, Arc<FaultyStorage>, HttpRequest) {
    let storage = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
    let end = CentralEnd::over_storage(storage.clone());
    end.add_site("a");
    end.central.integrate_waiting().unwrap();
    // The first request of a site costs more.
    assert!(!is_integrating(&end.central, "a"));
    let push = batch("a", (1..=3).map(|n| (n, format!("x{n}"))), true);
    (end, storage, with_log("a", 4, "x1", push))
}

fn operations() -> u64 {
    let (end, storage, push) = ready();
    let before = storage.operations();
    assert_eq!(taken(&end.central.handle(&push)), 4);
    storage.operations() - before
}

#[test]
fn a_fault_at_any_point_of_a_push_loses_nothing_and_refuses_it_only_outside_of_its_integration() {
    let fail: [fn() -> sync_core::Error; 2] =
        [|| sync_core::Error::DiskFull { source: "planned".into() }, || panic!("planned")];
    for (kind, fail) in fail.into_iter().enumerate() {
        let mut staged_whole = 0;
        for n in 1..=operations() {
            let (end, storage, push) = ready();
            storage.fail_at(n, move |_| fail());
            let answer = catch_unwind(AssertUnwindSafe(|| end.central.handle(&push)));
            storage.heal();
            let is_taken = answer.is_ok_and(|answer| json(&answer)["data"]["records_pushed"] == 4);
            assert_eq!(is_taken && is_integrating(&end.central, "a"), staged(&end, 2) > 0, "fault {kind} at {n}");
            if staged(&end, 2) > 0 {
                assert_eq!((staged(&end, 2), count(end.storage.as_ref(), "asset")), (4, 0), "all or nothing");
                staged_whole += 1;
            }
            end.central.integrate_waiting().unwrap();
            if !is_taken {
                // A site that got no answer sends it again.
                assert_eq!(taken(&end.central.handle(&push)), 4, "fault {kind} at {n}");
            }
            assert_eq!(count(end.storage.as_ref(), "asset"), 3, "fault {kind} at {n}");
            assert!(get(&end.records, "asset_log", "log of a").is_some(), "fault {kind} at {n}");
            assert!(!is_integrating(&end.central, "a") && set_aside(end.storage.as_ref()).is_empty());
            assert_eq!(staged(&end, 2), 0);
        }
        // A panic of this storage goes on until it is healed.
        assert!(kind == 1 || staged_whole > 10, "{staged_whole} of the faults were in the integration");
    }
}
