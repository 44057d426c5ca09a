//! Pushed records that central integrates late: the site, which got another version meanwhile, gets them back.

use sync_core::record::{RecordData, StoreId};
use sync_core::storage::QuarantineCause;
use sync_tests::world::{CentralEnd, Kind, SiteEnd, data, get};

fn properties(text: &str) -> RecordData {
    data(&format!(r#"{{"id":"p","properties":"{text}"}}"#))
}

/// A central server with patient `p`, whom sites `a` and `b` do not see.
fn world(kind: Kind) -> (CentralEnd, SiteEnd, SiteEnd) {
    let central = CentralEnd::over(kind);
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    let names = central.storage.read().unwrap().records(&"name".into(), None, 1).unwrap();
    let mut patient: serde_json::Value = serde_json::from_str(names[0].1.as_str()).unwrap();
    patient["ID"] = "p".into();
    patient["type"] = "patient".into();
    central.records.put("name", [data(&patient.to_string())]).unwrap();
    a.sync();
    b.sync();
    (central, a, b)
}

fn write(site: &SiteEnd, text: &str) {
    site.records.put("name_oms_fields", [properties(text)]).unwrap();
}

fn join(site: &SiteEnd, store: &str) {
    let join = format!(r#"{{"ID":"j","store_ID":"{store}","name_ID":"p","inactive":false}}"#);
    site.records.put("name_store_join", [data(&join)]).unwrap();
}

fn set_aside(central: &CentralEnd) -> Vec<(QuarantineCause, u64)> {
    central.storage.read().unwrap().quarantine_counts().unwrap()
}

#[track_caller]
fn all_hold(text: &str, central: &CentralEnd, sites: [&SiteEnd; 2]) {
    let found = [
        get(&central.records, "name_oms_fields", "p"),
        sites[0].get("name_oms_fields", "p"),
        sites[1].get("name_oms_fields", "p"),
    ];
    assert_eq!(found, std::array::from_fn(|_| Some(properties(text).as_str().to_owned())));
}

#[test]
fn what_waited_while_its_site_took_another_version_goes_back_to_it() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = world(kind);
        central.records.put("name_oms_fields", [properties("of central")]).unwrap();
        write(&a, "of a");
        a.sync();
        assert_eq!(set_aside(&central), [(QuarantineCause::Waiting, 1)]);
        assert_eq!(a.get("name_oms_fields", "p").as_deref(), Some(properties("of central").as_str()));
        join(&a, "STORE_a");
        a.sync();
        b.sync();
        assert_eq!(set_aside(&central), []);
        all_hold("of a", &central, [&a, &b]);
    }
}

#[test]
fn what_waited_while_its_site_read_everything_again_goes_back_to_it() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = world(kind);
        central.records.put("name_oms_fields", [properties("of central")]).unwrap();
        a.sync();
        write(&a, "of a, on top");
        a.sync();
        assert_eq!(a.get("name_oms_fields", "p").as_deref(), Some(properties("of a, on top").as_str()));
        central.sites.add_store("S", "S", "a", Some(StoreId::from("S"))).unwrap();
        central.central.integrate_waiting().unwrap();
        a.sync();
        assert_eq!(set_aside(&central), [(QuarantineCause::Waiting, 1)], "nobody joined the patient to any store");
        join(&a, "S");
        a.sync();
        b.sync();
        all_hold("of a, on top", &central, [&a, &b]);
    }
}

#[test]
fn what_waited_and_stands_alone_is_not_sent_back() {
    let (central, a, _) = world(Kind::Memory);
    write(&a, "of a");
    a.sync();
    assert_eq!(set_aside(&central), [(QuarantineCause::Waiting, 1)]);
    join(&a, "STORE_a");
    let report = a.sync();
    assert_eq!(get(&central.records, "name_oms_fields", "p").as_deref(), Some(properties("of a").as_str()));
    let newest = central.storage.read().unwrap().newest_change(&"name_oms_fields".into(), &"p".into()).unwrap();
    let from = newest.unwrap().source_site;
    assert!(from.is_some(), "it is known as the site's: {report:?}");
}
