//! The role of a database, and the warnings for its administrator.

use std::sync::{Arc, Mutex};

use sync_core::clock::SystemClock;
use sync_core::storage::MemoryStorage;
use sync_core::support::CentralAlarm;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Records, Replica, Role, Site, SyncOptions};
use sync_tests::world::{asset, get, settings};

/// A legacy server with given answers about a site, and with these stores.
struct Legacy {
    is_central: Mutex<bool>,
    url: Mutex<String>,
    mode: &'static str,
}

impl Transport for Legacy {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = if request.url.contains("/sync/v5/site_status") {
            r#"{"code":"idle","message":"idle","data":null}"#.to_owned()
        } else if request.url.contains("/sync/v5/site") {
            let (is_central, url) = (*self.is_central.lock().unwrap(), self.url.lock().unwrap().clone());
            format!(
                r#"{{"id":"U","siteId":2,"code":"a","name":"a","initialisationStatus":"completed","isOmSupplyCentralServer":{is_central},"omSupplyCentralServerUrl":"{url}","mSupplyCentralSiteId":1}}"#
            )
        } else if request.url.contains("cursor=0") {
            let store = |number: u64, id: &str, site: u64| {
                format!(
                    r#"{{"ID":{number},"tableName":"store","recordId":"{id}","action":"insert","recordData":{{"ID":"{id}","name_ID":"N","code":"{id}","sync_id_remote_site":{site},"store_mode":"{}"}}}}"#,
                    self.mode
                )
            };
            format!(r#"{{"maxCursor":2,"data":[{},{}]}}"#, store(1, "STORE_a", 2), store(2, "STORE_b", 3))
        } else {
            r#"{"maxCursor":2,"queueLength":0,"data":[],"integrationStarted":true}"#.to_owned()
        };
        Ok(HttpResponse::json(200, body.into_bytes()))
    }
}

fn site(legacy: &Arc<Legacy>) -> (Arc<MemoryStorage>, Site, Records) {
    let storage = Arc::new(MemoryStorage::new());
    let clock = Arc::new(SystemClock::new());
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let site = replica.site(legacy.clone());
    site.set_up(&settings("a"), &mut NoopObserver).unwrap();
    (storage.clone(), site, replica.records())
}

fn legacy(is_central: bool, url: &str, mode: &'static str) -> Arc<Legacy> {
    Arc::new(Legacy { is_central: Mutex::new(is_central), url: Mutex::new(url.to_owned()), mode })
}

#[test]
fn a_site_that_the_legacy_server_makes_central_keeps_its_data() {
    // As a remote site whose central server is away, it gets its store, and somebody writes there.
    let legacy = legacy(false, "", "dispensary");
    let (storage, site, records) = site(&legacy);
    let _ = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    records.put("asset", [asset("x", "STORE_a", "written as a remote site")]).unwrap();
    assert!(records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).is_err());

    *legacy.is_central.lock().unwrap() = true;
    *legacy.url.lock().unwrap() = "http://oms.example.org/".to_owned();
    let discovered = site.discover(&mut NoopObserver).unwrap();
    assert_eq!(discovered.role, Role::Central);
    assert!(discovered.changes.iter().any(|change| change.to_string().contains("role")), "{:?}", discovered.changes);
    assert!(get(&records, "asset", "x").unwrap().contains("written as a remote site"));
    records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    let status = Replica::with_storage(storage.clone()).status().unwrap();
    assert_eq!((status.role, status.alarms), (Some("central"), vec![]));
}

#[test]
fn a_central_that_sites_do_not_find_works_and_is_told() {
    for url in ["", "oms.example.org", "http://oms.example.org/oms"] {
        let legacy = legacy(true, url, "dispensary");
        let (storage, site, records) = site(&legacy);
        let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert!(report.error.is_none(), "{url}: {:?}", report.error);
        records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).unwrap();
        let alarms = Replica::with_storage(storage.clone()).status().unwrap().alarms;
        assert!(matches!(alarms.as_slice(), [CentralAlarm::OwnUrlUnusable { .. }]), "{url}: {alarms:?}");
    }
}

#[test]
fn every_store_on_central_must_be_in_dispensary_mode() {
    let legacy = legacy(true, "http://oms.example.org/", "store");
    let (storage, site, _) = site(&legacy);
    let _ = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    let alarms = Replica::with_storage(storage.clone()).status().unwrap().alarms;
    let [concern @ CentralAlarm::StoreNotInDispensaryMode { store_id, store, mode }] = alarms.as_slice() else {
        panic!("its own store and no other: {alarms:?}")
    };
    assert_eq!((store_id.as_str(), store.as_str(), mode.as_str()), ("STORE_a", "STORE_a", "store"));
    assert!(concern.to_string().contains("STORE_a") && concern.to_string().contains("dispensary"));
    let json = serde_json::to_value(concern).unwrap();
    assert_eq!(json["code"], "store_not_in_dispensary_mode");
    // A remote site's stores are none of this.
    *legacy.is_central.lock().unwrap() = false;
    site.discover(&mut NoopObserver).unwrap();
    assert_eq!(Replica::with_storage(storage.clone()).status().unwrap().alarms, []);
}
