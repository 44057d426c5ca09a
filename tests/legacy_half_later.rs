//! The legacy half, long after the first cycle: records that nobody edited are not pushed, and visible records stay
//! visible.

use std::sync::Arc;
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::storage::{MemoryStorage, QuarantineCause, Storage as _, state};
use sync_core::support::RetrySelection;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, Settings, SyncConfig, SyncOptions};
use sync_testkit::legacy_server::{Endpoint, PASSWORD, Takes, add_invoices, rows};
use sync_tests::world::{data, get};

use crate::legacy_half::{Country, End, transact};

fn asset(id: &str, store: &str, donor: &str, notes: &str) -> sync_core::record::RecordData {
    data(&format!(
        r#"{{"id":"{id}","store_id":"{store}","donor_name_id":"{donor}","notes":"{notes}","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}}"#
    ))
}

/// A proxy before the legacy server that answers for it when it is slow.
struct Proxy(Arc<dyn Transport>);

impl Transport for Proxy {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match self.0.send(request) {
            Err(TransportError::TimedOut(_)) => Ok(HttpResponse::text(504, "gateway timeout")),
            answer => answer,
        }
    }
}

#[test]
fn an_initialisation_longer_than_a_proxy_waits_is_asked_for_once() {
    let country = Country::new();
    country.legacy.set_initialise_takes(Takes::Time(Duration::from_millis(20)));
    let a = End::over(Arc::new(MemoryStorage::new()), Arc::new(Proxy(country.line.clone())));
    a.set_up("district_a").unwrap();
    let before = country.legacy.count(Endpoint::Initialise);
    for _ in 0..5 {
        if a.cycle().error.is_none() {
            break;
        }
        // Until the next cycle the server is done.
        std::thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(country.legacy.count(Endpoint::Initialise) - before, 1);
    assert!(a.get("transact", &country.world.sites[0].transact_id).is_some());
}

#[test]
fn edits_for_the_other_server_are_not_looked_through_in_each_cycle() {
    let country = Country::new();
    let own = country.world.sites[0].store_id.clone();
    let a = country.site("district_a");
    let assets = (0..1500).map(|n| asset(&format!("a{n}"), &own, "", ""));
    a.records.put("asset", assets).unwrap();
    a.sync();
    a.sync();
    let txn = a.storage.read().unwrap();
    let end = txn.last_cursor().unwrap().next();
    assert_eq!(state::PUSH_CURSOR_LEGACY.get(txn.as_ref()).unwrap(), end);
    drop(txn);
    a.records.put("transact", [data(&format!(r#"{{"ID":"t","store_ID":"{own}"}}"#))]).unwrap();
    assert_eq!(a.sync().pushed, 1);
    assert!(country.legacy.row("transact", "t").is_some());
}

/// A legacy server that sends at most two records at once.
struct Sparing(Arc<dyn Transport>);

impl Transport for Sparing {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.0.send(&HttpRequest { url: request.url.replace("limit=500", "limit=2"), ..request.clone() })
    }
}

#[test]
fn a_queue_that_is_given_in_small_batches_is_read_to_its_end() {
    let country = Country::new();
    let (own, world) = (country.world.sites[0].store_id.clone(), &country.world);
    add_invoices(&country.legacy, &own, &world.supplier, &world.items[0], 40);
    let a = End::over(Arc::new(MemoryStorage::new()), Arc::new(Sparing(country.line.clone())));
    a.set_up("district_a").unwrap();
    let report = a.sync();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(country.legacy.queued("district_a"), [], "an initialised site has everything");
    assert_eq!(a.records.list("transact", None, 100).unwrap().len(), 41);
}

/// Only central lost something. What the legacy server was sent before would undo what was written there since.
#[test]
fn a_restore_of_central_sends_the_legacy_server_nothing_again() {
    let country = Country::new();
    let own = country.world.sites[0].store_id.clone();
    let a = country.site("district_a");
    let backup = country.central.storage.backup();
    // Before the other: what is logged again ends at the last edit that central was sent.
    a.records.put("transact", [transact("t", &own, "of the site")]).unwrap();
    a.records.put("asset", [asset("lost", &own, "", "of the site")]).unwrap();
    assert_eq!(a.sync().pushed, 2);
    country.central.storage.restore(&backup);
    assert_eq!(country.central.get("asset", "lost"), None);

    let pushed: u64 = (0..4).map(|_| a.sync().pushed).sum();
    assert!(country.central.get("asset", "lost").is_some(), "central has again what it lost");
    assert_eq!(pushed, 1, "and the legacy server, which lost nothing, was sent nothing");
}

/// The database fails at a record of the queue and at one of the central data, each time that it is to be written.
#[test]
fn a_record_at_which_the_database_fails_stops_no_other_of_the_legacy_server() {
    let country = Country::new();
    let own = country.world.sites[0].store_id.clone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.sqlite");
    let replica = Replica::open(&path).unwrap();
    let mut quick = SyncConfig::default();
    quick.integration_poll = Duration::from_millis(1);
    let site = replica.site(country.line.clone()).with_config(quick);
    let settings =
        Settings::new("http://legacy.example.org", "district_a", PasswordHash::of_password(PASSWORD)).https_only(false);
    site.set_up(&settings.hardware_id("machine of district_a".to_owned()), &mut NoopObserver).unwrap();
    let cycle = || site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().into_result();
    cycle().unwrap();
    let damage = rusqlite::Connection::open(&path).unwrap();
    for what in ["INSERT", "UPDATE"] {
        let sql = format!(
            "CREATE TRIGGER fails_at_{what} BEFORE {what} ON sync_record WHEN new.record_id LIKE 'bad%' \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        );
        damage.execute(&sql, ()).unwrap();
    }
    for id in ["before", "bad", "later"] {
        country.legacy.put_row("transact", id, rows::transact(id, &own, "N", 1));
        country.legacy.put_central("unit", id, rows::unit(id, "each"));
    }
    // The first time it may be chance; each source has its own.
    let failures = (0..4).filter(|_| cycle().is_err()).count();
    assert!((1..=2).contains(&failures), "{failures}");
    let has = |table: &str, id: &str| get(&replica.records(), table, id).is_some();
    for table in ["transact", "unit"] {
        assert!(has(table, "before") && has(table, "later") && !has(table, "bad"), "{table}");
    }
    assert!(country.legacy.queued("district_a").is_empty(), "what is kept is acknowledged");
    let aside = replica.storage().read().unwrap().quarantine_counts().unwrap();
    assert_eq!(aside, [(QuarantineCause::Failed, 2)]);
    for what in ["INSERT", "UPDATE"] {
        damage.execute(&format!("DROP TRIGGER fails_at_{what}"), ()).unwrap();
    }
    replica.support().retry(RetrySelection::All).unwrap();
    assert!(has("transact", "bad") && has("unit", "bad"));
}
