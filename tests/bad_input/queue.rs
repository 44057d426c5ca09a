//! Pushes that central still has to integrate, because nothing of them was integrated as they arrived: completely or not at
//! all, in turns, through any interruption.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use sync_core::Replica;
use sync_core::central::{Central, CentralConfig};
use sync_core::clock::{Clock, SystemClock, Timestamp};
use sync_core::record::SiteId;
use sync_core::storage::{MemoryStorage, Storage};
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_testkit::FaultyStorage;
use sync_tests::world::{CentralEnd, PASSWORD, asset, count, get};

use super::central_door::{credentials, json, pull_body, record, request};
use super::{PULL, PUSH, STATUS, set_aside};

/// A central server that knows site `a`, which is number 2, and integrates in turns alone.
fn central() -> CentralEnd {
    super::central_door::central().integrating_at_once(0)
}

/// A batch of records of a site that is named like its store, with its cursors.
pub(super) fn batch(site: &str, records: impl IntoIterator<Item = (u64, String)>, is_last: bool) -> HttpRequest {
    let records: Vec<String> = records
        .into_iter()
        .map(|(cursor, id)| {
            let record = record("asset", &id, asset(&id, &format!("STORE_{site}"), &format!("{cursor}")).as_str());
            format!(r#"{{"cursor":{cursor},"record":{record}}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"batch":{{"end_cursor":1,"total_records":{},"records":[{}],"is_last_batch":{is_last}}},"syncV5Settings":{},"syncV6Version":5}}"#,
        records.len(),
        records.join(","),
        credentials(site, PASSWORD, &format!("machine-{site}"))
    );
    request(Method::Post, PUSH, body)
}

pub(super) fn one(site: &str, cursor: u64, id: &str, is_last: bool) -> HttpRequest {
    batch(site, [(cursor, id.to_owned())], is_last)
}

#[track_caller]
pub(super) fn taken(response: &HttpResponse) -> u64 {
    let answer = json(response);
    answer["data"]["records_pushed"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

#[track_caller]
pub(super) fn assert_in_progress(response: &HttpResponse) {
    assert_eq!(json(response)["error"], "integrationInProgress");
}

pub(super) fn is_integrating(central: &Central, site: &str) -> bool {
    let credentials = credentials(site, PASSWORD, &format!("machine-{site}"));
    let body = format!(r#"{{"syncV5Settings":{credentials},"syncV6Version":5}}"#);
    let answer = json(&central.handle(&request(Method::Post, STATUS, body)));
    answer["data"]["is_integrating"].as_bool().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_push_without_its_last_batch_is_not_integrated_and_goes_on_later() {
    let end = central();
    assert_eq!(taken(&end.central.handle(&batch("a", [(1, "x".into()), (2, "y".into())], false))), 2);
    for central in [end.central.clone(), end.restarted()] {
        central.integrate_waiting().unwrap();
        assert_eq!(count(end.storage.as_ref(), "asset"), 0, "half of a push is no push");
        assert!(!is_integrating(&central, "a"), "the site may go on");
    }
    let restarted = end.restarted();
    taken(&restarted.handle(&one("a", 3, "z", true)));
    restarted.integrate_waiting().unwrap();
    assert_eq!(count(end.storage.as_ref(), "asset"), 3);
}

#[test]
fn half_a_push_is_not_integrated_when_something_else_of_the_site_is() {
    let end = central();
    let central = &end.central;
    let log = record(
        "asset_log",
        "waits",
        r#"{"id":"waits","asset_id":"x","user_id":"u","log_datetime":"2025-01-01T00:00:00"}"#,
    );
    let whole = String::from_utf8(one("a", 1, "first", true).body).unwrap();
    let with_log = whole.replace(r#""records":["#, &format!(r#""records":[{{"cursor":2,"record":{log}}},"#));
    assert_eq!(taken(&central.handle(&request(Method::Post, PUSH, with_log))), 2);
    central.integrate_waiting().unwrap();
    assert_eq!(set_aside(end.storage.as_ref()).len(), 1, "it waits for its asset");

    taken(&central.handle(&batch("a", [(3, "half".into()), (4, "x".into())], false)));
    // What wakes a record of the site requests its integration.
    let txn = end.storage.write().unwrap();
    assert_eq!(txn.wake_waiting(&"asset".into(), &"x".into()).unwrap(), 1);
    txn.commit().unwrap();
    for central in [end.central.clone(), end.restarted()] {
        central.integrate_waiting().unwrap();
        assert!(get(&end.records, "asset", "half").is_none(), "half of a push is no push");
        assert!(!is_integrating(&central, "a"), "the site may go on");
    }
    taken(&central.handle(&batch("a", [], true)));
    central.integrate_waiting().unwrap();
    for (table, id) in [("asset", "half"), ("asset", "x"), ("asset_log", "waits")] {
        assert!(get(&end.records, table, id).is_some(), "{table} {id}");
    }
    assert!(set_aside(end.storage.as_ref()).is_empty());
}

#[test]
fn batches_that_are_last_twice_empty_out_of_order_and_replayed() {
    let end = central();
    let central = &end.central;
    taken(&central.handle(&one("a", 5, "x", true)));
    assert_in_progress(&central.handle(&one("a", 6, "y", true)));
    assert_in_progress(&central.handle(&batch("a", [], true)));
    central.integrate_waiting().unwrap();
    assert!(get(&end.records, "asset", "y").is_none(), "it was refused, not kept");

    assert_eq!(taken(&central.handle(&one("a", 6, "y", true))), 1);
    central.integrate_waiting().unwrap();
    for is_last in [false, true] {
        assert_eq!(taken(&central.handle(&batch("a", [], is_last))), 0);
        central.integrate_waiting().unwrap();
    }
    // An older version of what came already, held up on its way.
    assert_in_progress(&central.handle(&one("a", 4, "x", true)));
    assert!(!is_integrating(central, "a"), "nothing of it was taken");
    let before = end.storage.read().unwrap().last_cursor().unwrap();
    for _ in 0..3 {
        assert_eq!(taken(&central.handle(&one("a", 6, "y", true))), 1, "a replay is answered as it was");
        central.integrate_waiting().unwrap();
    }
    assert_eq!(end.storage.read().unwrap().last_cursor().unwrap(), before, "and changes nothing");
    assert!(get(&end.records, "asset", "x").unwrap().contains(r#""notes":"5""#));
    assert!(set_aside(end.storage.as_ref()).is_empty());
}

/// Tells the time; calls a function in each pause of an integration, of which there is one after each full transaction.
struct Pauses {
    clock: SystemClock,
    pauses: AtomicU64,
    then: OnceLock<Box<dyn Fn(u64) + Send + Sync>>,
}

impl Clock for Pauses {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn sleep(&self, _: Duration) {
        let pause = self.pauses.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(then) = self.then.get() {
            then(pause);
        }
    }
}

#[test]
fn a_site_with_many_records_delays_another_by_one_turn() {
    let end = CentralEnd::new();
    for site in ["a", "b"] {
        end.add_site(site);
    }
    let pauses = Arc::new(Pauses { clock: SystemClock::new(), pauses: AtomicU64::new(0), then: OnceLock::new() });
    let central = Replica::builder().clock(pauses.clone()).with_storage(end.storage.clone()).stand_alone_central();
    let mut config = CentralConfig::default();
    config.push_integrated_max = 0;
    let central = Arc::new(central.with_config(config));
    taken(&central.handle(&batch("a", (1..=6500).map(|n| (n, format!("a{n}"))), true)));
    let seen: Arc<Mutex<Vec<(u64, bool, bool)>>> = Arc::default();
    let (storage, seen_here, inside) = (end.storage.clone(), seen.clone(), central.clone());
    let then = move |pause| {
        if pause == 1 {
            // The other comes while the first is being integrated.
            taken(&inside.handle(&one("b", 1, "b1", true)));
            assert_in_progress(&inside.handle(&one("a", 7000, "more", true)));
        }
        let has_other = storage.read().unwrap().has_record(&"asset".into(), &"b1".into()).unwrap();
        let both = (is_integrating(&inside, "a"), is_integrating(&inside, "b"));
        seen_here.lock().unwrap().push((count(storage.as_ref(), "asset"), has_other, both.1));
        assert!(both.0, "the first is not done yet");
    };
    assert!(pauses.then.set(Box::new(then)).is_ok());
    central.integrate_waiting().unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert_eq!((seen[0].1, seen[0].2), (false, true), "it waits");
    assert!(seen[2].1, "two turns later it is integrated: {seen:?}");
    assert_eq!(seen.last().map(|last| last.2), Some(false), "and the site is told so: {seen:?}");
    assert_eq!(count(end.storage.as_ref(), "asset"), 6501);
    assert!(!is_integrating(&central, "a") && !is_integrating(&central, "b"));
    assert_eq!(central.integrations().unwrap().integrated, 6501);
}

/// A central server with a push of two sites to integrate, over a storage that can fail.
fn pushed() -> (CentralEnd, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
    let end = CentralEnd::over_storage(storage.clone()).integrating_at_once(0);
    for site in ["a", "b"] {
        end.add_site(site);
    }
    // So that it is known that nothing is left from an older version.
    end.central.integrate_waiting().unwrap();
    for site in ["a", "b"] {
        taken(&end.central.handle(&batch(site, (1..=3).map(|n| (n, format!("{site}{n}"))), true)));
    }
    (end, storage)
}

/// The number of operations that integrating it takes.
fn operations() -> u64 {
    let (end, storage) = pushed();
    let before = storage.operations();
    end.central.integrate_waiting().unwrap();
    storage.operations() - before
}

#[track_caller]
fn assert_all_integrated_once(end: &CentralEnd, central: &Central, what: &str) {
    central.integrate_waiting().unwrap();
    assert_eq!(count(end.storage.as_ref(), "asset"), 6, "{what}");
    for site in ["a", "b"] {
        assert!(!is_integrating(central, site), "{what}: {site}");
    }
    assert!(end.storage.read().unwrap().staged_tables(sync_core::storage::Source::Site(SiteId(2))).unwrap().is_empty());
    assert!(set_aside(end.storage.as_ref()).is_empty(), "{what}");
}

#[test]
fn a_crash_at_any_point_of_an_integration_leaves_it_queued() {
    for n in 1..=operations() {
        let (end, storage) = pushed();
        storage.crash_at(n);
        end.central.integrate_waiting().expect_err("it died");
        storage.heal();
        let restarted = end.restarted();
        // One site may be done; the other gets "integrating", and cannot push over it.
        for site in ["a", "b"] {
            let done = (1..=3).all(|n| get(&end.records, "asset", &format!("{site}{n}")).is_some());
            assert!(done || is_integrating(&restarted, site), "crash at {n}: {site} would be told that it is done");
            if is_integrating(&restarted, site) {
                assert_in_progress(&restarted.handle(&one(site, 9, "more", true)));
            }
        }
        assert_all_integrated_once(&end, &restarted, &format!("crash at {n}"));
    }
}

#[test]
fn a_fault_at_one_site_keeps_no_other_waiting_and_is_tried_again() {
    for n in 1..=operations() {
        let (end, storage) = pushed();
        storage.fail_at(n, |_| sync_core::Error::DiskFull { source: "planned".into() });
        let failed = end.central.integrate_waiting();
        assert_eq!(failed.expect_err("it is told").code(), "disk_full");
        let done = ["a", "b"].into_iter().filter(|site| get(&end.records, "asset", &format!("{site}1")).is_some());
        // The first two read who waits: where that fails nobody's turn comes.
        assert!(done.count() >= 1 || n <= 2, "fault at {n}: the other is done");
        assert_all_integrated_once(&end, &end.central, &format!("fault at {n}"));
    }
}

#[test]
fn a_panic_in_the_middle_keeps_nobody_waiting() {
    for n in 1..=operations() {
        let (end, storage) = pushed();
        storage.fail_at(n, |_| panic!("planned"));
        catch_unwind(AssertUnwindSafe(|| end.central.integrate_waiting())).expect_err("it panics");
        storage.heal();
        assert_all_integrated_once(&end, &end.central, &format!("panic at {n}"));
    }
}

#[test]
fn what_breaks_the_rules_is_kept_with_its_reason_and_its_site() {
    let end = central();
    end.add_site("b");
    let theirs = String::from_utf8(one("a", 1, "theirs", true).body).unwrap().replace("STORE_a", "STORE_b");
    taken(&end.central.handle(&request(Method::Post, PUSH, theirs)));
    taken(&end.central.handle(&one("b", 1, "own", true)));
    end.central.integrate_waiting().unwrap();
    let rows = end.storage.read().unwrap().quarantined(0, 10).unwrap();
    let [(row, why)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.incoming.source, sync_core::storage::Source::Site(SiteId(2)));
    assert!(!why.reason.is_empty() && why.cause == sync_core::storage::QuarantineCause::Refused);
    let view = end.central.view().unwrap();
    let refused: Vec<(&str, u64)> = view.sites.iter().map(|site| (site.name.as_str(), site.refused)).collect();
    assert_eq!(refused, [("a", 1), ("b", 0)]);
    let figures = end.central.integrations().unwrap();
    assert_eq!((figures.waiting, figures.integrated, figures.refused, figures.quarantined), (0, 1, 1, 0));
}

#[test]
fn visits_are_seen_at_once_written_together_and_survive_a_restart() {
    let end = central();
    end.add_site("b");
    let visit = |central: &Central| {
        let view = central.view().unwrap();
        let site = view.sites.into_iter().find(|site| site.name == "a").expect("it is in the list");
        (site.seen_at, site.pulled_at, site.pushed_at, site.behind, site.app_version)
    };
    assert_eq!(visit(&end.central), (None, None, None, None, String::new()));
    let right = credentials("a", PASSWORD, "machine-a");
    let pull = |central: &Central, from| {
        let answer = json(&central.handle(&request(Method::Post, PULL, pull_body(from, 1, 5, &right))));
        assert!(answer["data"]["records"].is_array(), "{answer}");
        answer["data"]["end_cursor"].as_u64().unwrap() + 1
    };
    taken(&end.central.handle(&one("a", 1, "x", true)));
    end.central.integrate_waiting().unwrap();
    end.records
        .put("asset_class", ["c", "d"].map(|id| sync_tests::world::data(&format!(r#"{{"id":"{id}","name":"n"}}"#))))
        .unwrap();
    let next = pull(&end.central, 0);
    let (seen, pulled, pushed, behind, version) = visit(&end.central);
    assert!(seen.is_some() && pulled.is_some() && pushed.is_some(), "{seen:?} {pulled:?} {pushed:?}");
    assert_eq!((behind, version.as_str()), (Some(1), "2.19.0"));
    let commits = |storage: &dyn Storage| storage.read().unwrap().central().unwrap().activity().unwrap().len();
    assert_eq!(commits(end.storage.as_ref()), 0, "a pull writes nothing");

    end.central.flush_activity().unwrap();
    assert_eq!(commits(end.storage.as_ref()), 1);
    let restarted = end.restarted();
    assert_eq!(visit(&restarted), (seen, pulled, pushed, Some(1), version));
    pull(&restarted, next);
    let (_, later, pushed_then, behind, _) = visit(&restarted);
    assert!(later >= pulled && pushed_then == pushed && behind == Some(0), "{behind:?}");
    // A refused visit is none, and an unknown site is not remembered.
    let wrong: Value =
        json(&restarted.handle(&request(Method::Post, PULL, pull_body(0, 1, 5, &credentials("a", "no", "m")))));
    assert!(wrong["error"].is_object());
    restarted.flush_activity().unwrap();
    assert_eq!(commits(end.storage.as_ref()), 1);
}
