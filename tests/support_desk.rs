//! The support desk with a legacy server.

use std::sync::Arc;
use std::time::Duration;

use sync_core::clock::SystemClock;
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::Action;
use sync_core::record::{Cursor, TableName};
use sync_core::storage::{MemoryStorage, Selection, Storage, state};
use sync_core::support::{DeliveryState, ResendFilter, Support, SyncRoute, Verdict};
use sync_core::{NoopObserver, Records, Replica, Settings, Site, SyncConfig, SyncOptions};
use sync_testkit::legacy_server::{Endpoint, Fault, LegacyServer, PASSWORD, SmallWorld, rows, small_world};
use sync_tests::world::data;

/// The Open mSupply central server as a site of a legacy server: all its exchanges use V5.
struct Beside {
    legacy: Arc<LegacyServer>,
    world: SmallWorld,
    storage: Arc<MemoryStorage>,
    site: Site,
    records: Records,
    support: Support,
}

impl Beside {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let legacy = Arc::new(LegacyServer::new(clock.clone()));
        let world = small_world(&legacy, 1, "http://oms.example.org");
        let storage = Arc::new(MemoryStorage::new());
        let mut quick = SyncConfig::default();
        quick.integration_poll = Duration::from_millis(1);
        quick.retry_wait = Duration::from_millis(1);
        let replica = Replica::builder().clock(clock).with_storage(storage.clone());
        let site = replica.site(legacy.clone()).with_config(quick);
        let settings =
            Settings::new("http://legacy.example.org", world.central.clone(), PasswordHash::of_password(PASSWORD))
                .https_only(false)
                .hardware_id("machine of the desk".to_owned());
        site.set_up(&settings, &mut NoopObserver).unwrap();
        let (records, support) = (replica.records(), replica.support());
        let all = Self { legacy, world, storage, site, records, support };
        all.sync();
        all
    }

    fn sync(&self) {
        let report = self.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert!(report.error.is_none(), "{:?}", report.error);
    }

    fn state(&self) -> (Option<String>, Cursor, Vec<(sync_core::record::TableName, u64)>, usize) {
        let txn = self.storage.read().unwrap();
        let position = state::PULL_CURSOR_CENTRAL.as_text().find(txn.as_ref()).unwrap();
        let (last, counts) = (txn.last_cursor().unwrap(), txn.record_counts().unwrap());
        (position, last, counts, self.legacy.queued(&self.world.central).len())
    }
}

#[test]
fn a_pull_over_v5_is_foreseen_and_nothing_is_acknowledged() {
    let beside = Beside::new();
    let unit = sync_testkit::legacy_server::legacy_id("unit", "box");
    beside.legacy.put_central("unit", &unit, rows::unit(&unit, "box"));
    beside.legacy.queue(
        &beside.world.central,
        Action::Update,
        "message",
        "m1",
        Some(serde_json::json!({ "ID": "m1" })),
    );
    let before = beside.state();
    let found = beside.site.support().preview_pull(10_000, &mut NoopObserver).unwrap();
    let counts: Vec<(&str, u64, bool)> =
        found.from.iter().map(|from| (from.source, from.records, from.is_complete)).collect();
    assert_eq!(counts, [("legacy_central", 1, true), ("legacy_queue", 1, true)], "{found:?}");
    assert_eq!((found.from[0].by_type[0].table.as_str(), found.integrated, found.set_aside_records), ("unit", 2, 0));
    assert_eq!(beside.state(), before, "nothing moves, here or there");
    beside.sync();
    assert!(beside.storage.read().unwrap().has_record(&"unit".into(), &unit.as_str().into()).unwrap());
    let found = beside.site.support().preview_pull(10_000, &mut NoopObserver).unwrap();
    assert!(found.from.iter().all(|from| from.records == 0), "{found:?}");
}

#[test]
fn a_source_that_fails_is_told_beside_those_that_answer_and_no_answer_at_all_is_an_error() {
    let beside = Beside::new();
    beside.legacy.fail(Endpoint::PullQueue, Fault::WebPage(200));
    let found = beside.site.support().preview_pull(10_000, &mut NoopObserver).unwrap();
    assert!(found.from[0].error.is_none());
    assert_eq!(found.from[1].error.as_ref().unwrap().code, "not_an_msupply_server");
    beside.legacy.fail(Endpoint::CentralRecords, Fault::WebPage(200));
    let error = beside.site.support().preview_pull(10_000, &mut NoopObserver).unwrap_err();
    assert_eq!(error.code(), "not_an_msupply_server");
}

#[test]
fn a_limit_ends_a_preview_early_and_says_so() {
    let beside = Beside::new();
    for number in 0..600 {
        let id = sync_testkit::legacy_server::legacy_id("unit", &number.to_string());
        beside.legacy.put_central("unit", &id, rows::unit(&id, "box"));
    }
    let looked_at = |limit: u64| {
        let from = beside.site.support().preview_pull(limit, &mut NoopObserver).unwrap().from.remove(0);
        (from.records, from.is_complete)
    };
    assert_eq!((looked_at(100), looked_at(10_000)), ((500, false), (600, true)), "whole batches are read");
}

#[test]
fn an_edit_for_the_legacy_server_is_explained_previewed_and_taken() {
    let beside = Beside::new();
    let storage = beside.storage.as_ref();
    let message = data(r#"{"ID":"mine","type":"x"}"#);
    beside.records.put("message", [message]).unwrap();
    let found = beside.support.preview_push().unwrap();
    assert_eq!((found.to_central.len(), found.to_legacy[0].table.as_str()), (0, "message"));
    assert_eq!(found.held_up, None);
    let life = beside.support.explain("message", "mine").unwrap();
    assert_eq!(life.travels, SyncRoute::V5BothWays);
    assert_eq!((life.verdict, life.changes[0].sent[0].to), (Verdict::WaitsForPush, "legacy"));
    beside.sync();
    assert_eq!(beside.legacy.pushed(&beside.world.central).len(), 1);
    let life = beside.support.explain("message", "mine").unwrap();
    assert_eq!((life.verdict, life.changes[0].sent[0].state), (Verdict::Taken, DeliveryState::Taken));
    assert!(life.changes[0].sent[0].by_cycle.is_some());
    let at = |name: &str| beside.support.cursors().unwrap().into_iter().find(|cursor| cursor.name == name).unwrap();
    let push = at(state::PUSH_CURSOR_LEGACY.name());
    assert_eq!(Some(push.position), push.end, "nothing waits");
    assert_eq!(storage.read().unwrap().changes(&Selection::Local, push.position, 9).unwrap().len(), 0);
}

#[test]
fn a_central_server_beside_a_legacy_server_sends_again_what_that_lost() {
    let beside = Beside::new();
    let _storage = beside.storage.as_ref();
    beside.records.put("message", [data(r#"{"ID":"mine","type":"x"}"#)]).unwrap();
    beside.sync();
    let lost = ResendFilter::default().table(TableName::from("message"));
    assert_eq!(beside.support.plan_resend(&lost).unwrap().records, 1);
    beside.support.resend(&lost, "the legacy server was restored").unwrap();
    assert_eq!(beside.support.plan_resend(&lost).unwrap().waiting_already, 1);
    beside.sync();
    assert_eq!(beside.legacy.pushed(&beside.world.central).len(), 2);
    let assets = ResendFilter::default().table(TableName::from("asset"));
    assert_eq!(beside.support.plan_resend(&assets).unwrap().records, 0, "nothing goes over V6 from central");
}

#[test]
fn the_log_says_how_often_a_request_was_tried_again() {
    let beside = Beside::new();
    beside.legacy.fail_times(Endpoint::CentralRecords, Fault::Status(500), 2);
    beside.sync();
    let log = beside.storage.read().unwrap().log(2).unwrap();
    assert_eq!((&log[0].report["retries"], &log[1].report["retries"]), (&2.into(), &0.into()));
}
