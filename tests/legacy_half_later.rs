//! The legacy half, long after the first cycle: what nobody edited is not pushed, and what somebody sees stays seen.

use std::sync::Arc;
use std::time::Duration;

use sync_core::storage::{MemoryStorage, Storage as _, key};
use sync_core::testing::legacy_server::{Endpoint, MergeBy, Takes, rows};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_tests::world::data;

use crate::legacy_half::{Country, End};

fn asset(id: &str, store: &str, donor: &str, notes: &str) -> sync_core::record::RecordData {
    data(&format!(
        r#"{{"id":"{id}","store_id":"{store}","donor_name_id":"{donor}","notes":"{notes}","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}}"#
    ))
}

#[test]
fn what_a_merge_rewrites_is_no_edit_of_the_site_and_overwrites_none_of_central() {
    let country = Country::new();
    let own = country.world.sites[0].store_id.clone();
    let facility = |id: &str| country.legacy.put_central("name", id, rows::name(id, id, id, "facility"));
    (facility("DONOR"), facility("DOUBLE"));
    country.central.sync();
    let a = country.site("district_a");
    // One goes to central only, the other to the legacy server only, and both long ago.
    a.records.put("asset", [asset("fridge", &own, "DOUBLE", "of the site")]).unwrap();
    a.records.put("transact", [data(&format!(r#"{{"ID":"t","store_ID":"{own}","name_ID":"DOUBLE"}}"#))]).unwrap();
    assert_eq!(a.sync().pushed, 2);
    assert_eq!(a.sync().pushed, 0);

    country.legacy.merge(MergeBy::CentralLog, "name", "DONOR", "DOUBLE");
    a.sync();
    assert!(a.get("asset", "fridge").unwrap().contains("DONOR"));
    assert!(a.get("transact", "t").unwrap().contains("DONOR"));
    country.central.sync();
    country.central.records.put("asset", [asset("fridge", &own, "DONOR", "of central")]).unwrap();
    country.legacy.put_row(
        "transact",
        "t",
        serde_json::json!({"ID": "t", "store_ID": own, "name_ID": "DONOR", "comment": "of the server"}),
    );
    assert_eq!(a.sync().pushed, 0, "nobody edited anything here");
    assert!(country.central.get("asset", "fridge").unwrap().contains("of central"));
    assert!(a.get("asset", "fridge").unwrap().contains("of central"));
    assert!(a.get("transact", "t").unwrap().contains("of the server"));
}

#[test]
fn of_two_joins_of_a_merged_patient_the_one_in_use_stays() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    // Whichever comes first by its id: one of the two is not in use.
    for (table_of, inactive_first) in [("P", true), ("Q", false)] {
        let a = country.fresh("district_a");
        let (id_a, id_b) = (format!("0{table_of}"), format!("1{table_of}"));
        let join = |id: &str, name: &str, inactive: bool| serde_json::json!({"ID": id, "name_ID": name, "store_ID": own.store_id, "inactive": inactive});
        let (n1, n2) = (format!("{table_of}-1"), format!("{table_of}-2"));
        for name in [&n1, &n2] {
            country.legacy.put_row("name", name, rows::patient(name, name, "A", "B", "1990-01-01"));
        }
        country.legacy.put_row("name_store_join", &id_a, join(&id_a, &n1, inactive_first));
        country.legacy.put_row("name_store_join", &id_b, join(&id_b, &n2, !inactive_first));
        a.sync();
        country.legacy.merge(MergeBy::CentralLog, "name", &n2, &n1);
        a.sync();
        let joins = a.records.list(&"name_store_join".into(), None, 100).unwrap();
        let left: Vec<_> = joins.iter().filter(|(_, join)| join.as_str().contains(n2.as_str())).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].1.as_str().contains(r#""inactive":false"#), "{left:?}");
    }
}

/// A proxy before the legacy server that answers for it when it takes long.
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
    assert_eq!(txn.state(key::PUSH_CURSOR_LEGACY).unwrap(), Some(end.to_string()));
    drop(txn);
    a.records.put("transact", [data(&format!(r#"{{"ID":"t","store_ID":"{own}"}}"#))]).unwrap();
    assert_eq!(a.sync().pushed, 1);
    assert!(country.legacy.row("transact", "t").is_some());
}
