//! What a host's app meets at the front: reports, preconditions, queries, ids, words about what was forgotten.

use std::sync::Arc;
use std::time::Duration;

use sync_core::central::InProcess;
use sync_core::record::{
    Asset, AssetClass, AssetLog, AssetLogStatus, ContactForm, Cursor, DateTime, NameId, Query, RecordId, StoreId,
};
use sync_core::site::SkipReason;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, asset, each_central};

/// A line that is down.
struct Down;

impl Transport for Down {
    fn send(&self, _: &HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::Unreachable("no network".into()))
    }
}

#[test]
fn a_failed_cycle_becomes_an_error_and_an_app_sees_that_it_is_offline() {
    let central = CentralEnd::over(Kind::Memory);
    let site = central.new_site("north");
    site.sync();
    let replica = Replica::with_storage(site.storage.clone());
    let mut config = sync_core::SyncConfig::default();
    config.attempts = 1;
    let broken = replica.site(Arc::new(Down)).with_config(config);
    let report = broken.sync(&SyncOptions::default(), &mut NoopObserver).expect("it has a report");
    assert_eq!(report.outcome, SyncOutcome::Failed);
    let error = report.into_result().expect_err("it failed");
    assert!(error.is_offline(), "{error}");
    assert!(!Error::NotSetUp.is_offline());
    let well = replica.site(Arc::new(InProcess::new(central.central.clone())));
    well.sync(&SyncOptions::default(), &mut NoopObserver).expect("begins").into_result().expect("it went well");
}

fn class(id: &str, name: &str) -> AssetClass {
    AssetClass { id: id.into(), name: name.into(), ..AssetClass::default() }
}

#[test]
fn a_typed_edit_of_an_outdated_version_is_refused_and_everything_else_goes_on() {
    each_central(|replica| {
        let classes = replica.records().of::<AssetClass>();
        let (none, before) = classes.get_with_position("cold").expect("reads");
        assert!(none.is_none());
        let put = |position: Cursor, name: &str| {
            replica.records().of().if_unchanged_since(position).put(&class("cold", name))
        };
        put(before, "Cold").expect("nobody made it");
        let refused = put(before, "Mine").expect_err("somebody made it");
        assert!(
            matches!(&refused, Error::ChangedMeanwhile { table, id } if *table == *"asset_class" && *id == *"cold")
        );
        let (_, position) = classes.get_with_position("cold").expect("reads");
        classes.put(&class("other", "Another record")).expect("stored");
        replica
            .write(|txn| {
                assert!(txn.of::<AssetClass>().get_with_position("other")?.0.is_some());
                txn.of().if_unchanged_since(position).put(&class("cold", "Cold chain"))
            })
            .expect("nobody changed it");
        let rename = |class: &mut AssetClass| {
            class.name.push('!');
            Ok(())
        };
        let stale = |result: Result<(), Error>| assert_eq!(result.expect_err("stale").code(), "changed_meanwhile");
        stale(replica.records().of().if_unchanged_since(position).update("cold", rename));
        stale(replica.records().of::<AssetClass>().if_unchanged_since(position).delete("cold"));
        assert_eq!(classes.get("cold").expect("reads").map(|class| class.name).as_deref(), Some("Cold chain"));
        let (document, at) = replica.records().get_with_position("asset_class", "cold").expect("reads");
        assert!(document.is_some() && at > position);
    });
}

#[test]
fn a_query_is_counted_without_its_page_and_takes_ids_as_values() {
    each_central(|replica| {
        let (store, at) = (StoreId::from("S"), DateTime::from(replica.clock().now()));
        for number in 0..7 {
            let store_id = (number % 2 == 0).then(|| store.clone());
            let (id, created) = (RecordId::generate().into(), at);
            let asset = Asset { id, store_id, created_datetime: created, modified_datetime: at, ..Asset::default() };
            replica.records().of().put(&asset).expect("stored");
        }
        let of_store = Query::new().is("store_id", &store);
        let assets = replica.records().of::<Asset>();
        assert_eq!(assets.count(&of_store.clone().skip(1).limit(2)).expect("counted"), 4);
        assert_eq!(assets.count(&Query::new().is("id", RecordId::from("none"))).expect("counted"), 0);
        assert_eq!(replica.write(|txn| txn.of::<Asset>().count(&of_store)).expect("counted"), 4);
        let wrong = assets.count(&Query::new().is("stor_id", NameId::from("S"))).expect_err("no such field");
        assert_eq!(wrong.to_string(), "records of asset have no field \"stor_id\"; did you mean store_id?");
    });
}

#[test]
fn a_forgotten_date_and_an_unknown_spelling_are_named_with_what_was_expected() {
    each_central(|replica| {
        let put = |log: &AssetLog| replica.records().of().put(log).expect_err("not valid").to_string();
        let now = DateTime::from(replica.clock().now());
        let log = AssetLog { id: "log".into(), asset_id: "a".into(), user_id: "u".into(), ..AssetLog::default() };
        let forgotten = put(&log);
        assert!(forgotten.contains("$.log_datetime: expected a date-time"), "{forgotten}");
        assert!(forgotten.contains("found nothing, because it was not set"), "{forgotten}");
        let status = Some(AssetLogStatus::Other("BROKEN".to_owned()));
        let unknown = put(&AssetLog { status, log_datetime: now, created_datetime: now, ..log });
        assert!(unknown.contains("expected one of NOT_IN_USE, FUNCTIONING, "), "{unknown}");
        assert!(unknown.ends_with("found \"BROKEN\""), "{unknown}");
    });
}

#[test]
fn a_record_that_is_written_once_is_not_changed_but_may_be_written_again() {
    each_central(|replica| {
        let at = DateTime::from(replica.clock().now());
        replica.records().put("asset", [asset("a", "S", "")]).expect("stored");
        let log = AssetLog {
            id: "log".into(),
            asset_id: "a".into(),
            user_id: "u".into(),
            log_datetime: at,
            created_datetime: at,
            ..AssetLog::default()
        };
        let logs = replica.records().of::<AssetLog>();
        let comment = |log: &mut AssetLog| {
            log.comment = Some("on second thoughts".to_owned());
            Ok(())
        };
        replica.write(|txn| txn.local_only().of().put(&log)).expect("a draft");
        replica.write(|txn| txn.local_only().of::<AssetLog>().update("log", comment)).expect("a draft may change");
        let draft = logs.get("log").expect("reads").expect("is here");
        logs.put(&draft).expect("published");
        logs.put(&draft).expect("the same again changes nothing");
        for refused in [
            logs.put(&log),
            logs.update("log", |log| {
                log.comment = None;
                Ok(())
            }),
        ] {
            let refused = refused.expect_err("it is a history");
            assert_eq!(refused.code(), "written_once", "{refused}");
        }
        let form = ContactForm { id: "f".into(), ..ContactForm::default() };
        assert_ne!(replica.records().of().put(&form).expect_err("dates are missing").code(), "written_once");
    });
}

#[test]
fn a_cycle_without_time_asks_nobody_and_the_next_one_does_its_work() {
    let central = CentralEnd::over(Kind::Memory);
    let site = central.new_site("north");
    site.sync();
    site.records.put("asset", [asset("a", "STORE_north", "")]).expect("stored");
    let options = SyncOptions::default().max_time(Duration::ZERO);
    let report = site.site.sync(&options, &mut NoopObserver).expect("begins").into_result().expect("no failure");
    assert_eq!((report.outcome, report.requests, report.steps.len()), (SyncOutcome::Partial, 0, 0));
    assert!(report.skipped.iter().all(|step| step.reason == SkipReason::OutOfTime), "{:?}", report.skipped);
    let report = site.sync();
    assert_eq!((report.outcome, report.pushed), (SyncOutcome::Done, 1));
}

#[test]
fn ids_are_made_and_become_text() {
    let (one, other) = (RecordId::generate(), RecordId::generate());
    assert_ne!(one, other);
    let text: String = (&one).into();
    assert_eq!((text.len(), text.as_str(), one.as_ref()), (36, one.as_str(), one.as_str()));
}

#[test]
fn the_example_of_a_storage_of_a_hosts_own_writes_through_it() {
    assert!(crate::own_storage::run().expect("it runs") > 0);
}
