//! Merges of items, names and clinicians, and the references to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::RecordData;
use sync_core::storage::{Incoming, MemoryStorage, Quarantine, QuarantineCause, Source, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_testkit::legacy_server::{MergeBy, rows};
use sync_tests::world::data;

use crate::legacy_half::{Country, End};

fn asset(id: &str, store: &str, donor: &str, notes: &str) -> RecordData {
    data(&format!(
        r#"{{"id":"{id}","store_id":"{store}","donor_name_id":"{donor}","notes":"{notes}","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}}"#
    ))
}

#[test]
fn merges_lead_everything_to_the_record_that_was_kept() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    let [first, second, third] = [&own.patients[0], &own.patients[1], &own.patients[2]];
    for by in [MergeBy::CentralLog, MergeBy::Queues] {
        // Never seen here, and before any other record of them.
        country.legacy.merge(by, "item", "KEPT", "GONE");
    }
    let line = format!(r#"{{"ID":"l","item_ID":"{}","store_ID":"{}"}}"#, country.world.items[0], own.store_id);
    a.records.put("item_line", [data(&line)]).unwrap();
    let invoice = format!(r#"{{"ID":"t","name_ID":"{first}","store_ID":"{}"}}"#, own.store_id);
    a.records.put("transact", [data(&invoice)]).unwrap();
    a.sync();
    country.legacy.merge(MergeBy::CentralLog, "name", second, first);
    country.legacy.merge(MergeBy::CentralLog, "name", third, second);
    country.legacy.merge(MergeBy::CentralLog, "item", &country.world.items[1], &country.world.items[0]);
    a.sync();
    assert!(a.get("transact", "t").unwrap().contains(third.as_str()), "a merge of a merge");
    assert!(a.get("item_line", "l").unwrap().contains(country.world.items[1].as_str()));
    assert_eq!((a.get("name", first), a.get("name", second)), (None, None));
    let joins = a.records.list("name_store_join", None, 100).unwrap();
    let of_third = joins.iter().filter(|(_, join)| join.as_str().contains(third.as_str())).count();
    assert_eq!(of_third, 1, "one join of a store with a name is enough: {joins:?}");

    // What comes later, under any of the ids.
    let late = rows::transact("late", &own.store_id, first, 7);
    country.legacy.put_row("transact", "late", late);
    a.sync();
    let late = a.get("transact", "late").unwrap();
    assert!(late.contains(third.as_str()) && !late.contains(first.as_str()), "{late}");
    assert_eq!(a.causes(), []);
    assert_eq!(a.sync().pushed, 0, "what was rewritten here is no edit of this site");
}

#[test]
fn a_merge_round_and_round_ends() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    let [first, second, third] = [&own.patients[0], &own.patients[1], &own.patients[2]];
    for (keep, delete) in [(second, first), (first, second), (third, second), (first, third), (first, first)] {
        country.legacy.merge(MergeBy::CentralLog, "name", keep, delete);
        a.sync();
    }
    let late = rows::transact("late", &own.store_id, second, 7);
    country.legacy.put_row("transact", "late", late);
    a.sync();
    assert!(a.get("transact", "late").unwrap().contains(third.as_str()));
}

#[test]
fn what_a_host_writes_may_name_what_was_merged() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    country.legacy.merge(MergeBy::CentralLog, "item", &country.world.items[1], &country.world.items[0]);
    a.sync();
    let line = format!(r#"{{"ID":"l","item_ID":"{}","store_ID":"{}"}}"#, country.world.items[0], own.store_id);
    a.records.put("item_line", [data(&line)]).unwrap();
    assert!(a.get("item_line", "l").unwrap().contains(country.world.items[1].as_str()));
}

#[test]
fn what_waits_for_a_patient_who_was_merged_waits_no_longer() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    let record = WireRecord {
        table_name: "encounter".into(),
        record_id: "e".into(),
        action: Action::Update,
        record_data: data(&format!(r#"{{"ID":"e","patient_ID":"{}"}}"#, own.patients[0])),
    };
    let waits_for = Some(("name_store_join".into(), own.patients[0].as_str().into()));
    let quarantine = Quarantine { cause: QuarantineCause::Waiting, reason: String::new(), waits_for };
    let txn = a.storage.write().unwrap();
    let waiting = Incoming { quarantine: Some(quarantine), ..Incoming::new(Source::Legacy, record) };
    txn.stage(&waiting, Timestamp::from_unix_millis(0)).unwrap();
    txn.commit().unwrap();
    a.sync();
    assert_eq!(a.causes(), [(QuarantineCause::Waiting, "e".to_owned())]);
    country.legacy.merge(MergeBy::CentralLog, "name", &own.patients[1], &own.patients[0]);
    a.sync();
    assert_eq!(a.causes(), []);
    assert!(a.get("encounter", "e").unwrap().contains(own.patients[1].as_str()));
}

#[test]
fn what_a_merge_rewrites_is_no_edit_of_the_site_and_overwrites_none_of_central() {
    let country = Country::new();
    let own = country.world.sites[0].store_id.clone();
    let facility = |id: &str| country.legacy.put_central("name", id, rows::name(id, id, id, "facility"));
    facility("DONOR");
    facility("DOUBLE");
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

/// A line that loses the answers to one request of central while it is told to.
struct LosesAnswers {
    line: Arc<dyn Transport>,
    path: &'static str,
    loses: AtomicBool,
}

impl Transport for LosesAnswers {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = self.line.send(request);
        if request.url.ends_with(self.path) && self.loses.load(Ordering::Relaxed) {
            return Err(TransportError::TimedOut("planned".into()));
        }
        answer
    }
}

/// A country with two names of one facility, and a site with an edit that names one of them. It synchronises once while the
/// answers to this request are lost.
struct EditBeforeMerge {
    country: Country,
    line: Arc<LosesAnswers>,
    a: End,
    own: String,
}

impl EditBeforeMerge {
    fn new(path: &'static str) -> Self {
        let country = Country::new();
        let own = country.world.sites[0].store_id.clone();
        for id in ["DONOR", "DOUBLE"] {
            country.legacy.put_central("name", id, rows::name(id, id, id, "facility"));
        }
        country.central.sync();
        let line = Arc::new(LosesAnswers { line: country.line.clone(), path, loses: AtomicBool::new(false) });
        let a = End::over(Arc::new(MemoryStorage::new()), line.clone());
        a.set_up("district_a").unwrap();
        a.sync();
        a.records.put("asset", [asset("fridge", &own, "DOUBLE", "of the site")]).unwrap();
        Self { country, line, a, own }
    }

    fn merge(&self) {
        self.country.legacy.merge(MergeBy::CentralLog, "name", "DONOR", "DOUBLE");
    }

    /// Central learns of the merge and edits the record.
    fn central_edits(&self) {
        self.country.central.sync();
        self.country.central.records.put("asset", [asset("fridge", &self.own, "DONOR", "of central")]).unwrap();
    }

    fn all_have_the_edit_of_central(&self) {
        for end in [&self.a, &self.country.central] {
            let fridge = end.get("asset", "fridge").unwrap();
            assert!(fridge.contains("DONOR") && fridge.contains("of central"), "{fridge}");
        }
    }
}

/// A pushed edit is not sent again because of a merge: by then somebody may have written on top of it.
#[test]
fn what_was_sent_and_not_confirmed_is_rewritten_once_it_has_arrived() {
    let world = EditBeforeMerge::new("/central/sync/site_status");
    let a = &world.a;
    world.merge();
    world.line.loses.store(true, Ordering::Relaxed);
    let report = a.cycle();
    assert_eq!((report.pushed, report.error.is_some()), (1, true));
    world.central_edits();

    world.line.loses.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(a.sync().pushed, 0, "nobody edited anything here");
    }
    world.all_have_the_edit_of_central();
    assert_eq!(state::named("merges_pending").find(a.storage.read().unwrap().as_ref()).unwrap().as_deref(), Some(""));
}

/// The site cannot know that central has the edit. If the merge gave the edit a new cursor, central would take it for a new
/// one, and it would replace what was written on top.
#[test]
fn an_edit_whose_push_was_cut_is_rewritten_once_it_has_arrived() {
    let world = EditBeforeMerge::new("/central/sync/push");
    let a = &world.a;
    world.line.loses.store(true, Ordering::Relaxed);
    assert!(a.cycle().error.is_some());
    assert!(world.country.central.get("asset", "fridge").is_some(), "it arrived");
    world.merge();
    world.central_edits();

    // The site learns of the merge, and cannot push.
    assert!(a.cycle().error.is_some());
    world.line.loses.store(false, Ordering::Relaxed);
    a.sync();
    a.sync();
    world.all_have_the_edit_of_central();
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
        let joins = a.records.list("name_store_join", None, 100).unwrap();
        let left: Vec<_> = joins.iter().filter(|(_, join)| join.as_str().contains(n2.as_str())).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].1.as_str().contains(r#""inactive":false"#), "{left:?}");
    }
}
