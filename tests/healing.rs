//! Records that were stuck, or are before the cursor, and continue without any help.

use sync_core::clock::Timestamp;
use sync_core::record::StoreId;
use sync_core::storage::{Incoming, Quarantine, QuarantineCause, Source, Storage, state};
use sync_core::{NoopObserver, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, document, get};

/// The causes of quarantine, with the ids.
fn set_aside(storage: &dyn Storage) -> Vec<(QuarantineCause, String)> {
    let rows = storage.read().unwrap().quarantined(0, 100).unwrap();
    rows.into_iter().map(|(row, why)| (why.cause, row.incoming.id.to_string())).collect()
}

/// A central server with two sites.
fn world() -> (CentralEnd, SiteEnd, SiteEnd) {
    let central = CentralEnd::over(Kind::Memory);
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    (central, a, b)
}

fn move_store(central: &CentralEnd, store: &str, to: &str) {
    central.sites.add_store(store, store, to, Some(StoreId::from(store))).unwrap();
}

#[test]
fn a_store_that_moves_brings_its_records_and_comes_back_with_them() {
    let (central, a, b) = world();
    a.records.put("asset", [asset("x", "STORE_a", "of a")]).unwrap();
    a.sync();
    // So that what belongs to the store lies behind what the other site has read.
    central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    b.sync();
    assert_eq!(b.get("asset", "x"), None);

    move_store(&central, "STORE_a", "b");
    let report = b.sync();
    assert!(report.warnings[0].to_string().contains("active here: STORE_a"), "{:?}", report.warnings);
    assert!(b.get("asset", "x").unwrap().contains("of a"));
    b.records.put("asset", [asset("x", "STORE_a", "of b")]).unwrap();
    b.sync();

    move_store(&central, "STORE_a", "a");
    a.sync();
    assert!(a.get("asset", "x").unwrap().contains("of b"));
    let warnings = b.sync().warnings.clone();
    assert!(
        warnings.iter().all(|warning| !warning.to_string().contains("read again")),
        "a store that leaves is no reason to: {warnings:?}"
    );
    assert!(warnings[0].to_string().contains("no longer active here: STORE_a"), "{warnings:?}");
}

#[test]
fn what_belongs_to_an_asset_moves_with_it_to_another_store() {
    let (central, a, b) = world();
    a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    a.records.put("asset_log", [document("asset_log", &[("id", "l"), ("asset_id", "x")])]).unwrap();
    a.sync();
    b.sync();
    central.records.put("asset", [asset("x", "STORE_b", "")]).unwrap();
    b.sync();
    assert!(b.get("asset_log", "l").is_some(), "what was logged before comes along");
    let orphan = [document("asset_log", &[("id", "m"), ("asset_id", "nowhere")])];
    let error = central.records.put("asset_log", orphan).unwrap_err();
    assert_eq!(error.code(), "invalid_record", "whose it is could never be said: {error}");
}

#[test]
fn a_record_that_was_deleted_in_one_store_and_written_again_in_another_of_the_same_site_stays() {
    let (central, a, _) = world();
    central.sites.add_store("two", "two", "a", Some(StoreId::from("STORE_2"))).unwrap();
    a.sync();
    let location = |asset| document("asset_internal_location", &[("id", "l"), ("asset_id", asset)]);
    a.records.put("asset", [asset("x", "STORE_a", ""), asset("y", "STORE_2", "")]).unwrap();
    a.records.put("asset_internal_location", [location("x")]).unwrap();
    a.sync();
    central.records.delete("asset_internal_location", "l").unwrap();
    // Not knowing that it was deleted, the site moves it.
    a.records.put("asset_internal_location", [location("y")]).unwrap();
    a.sync();
    a.sync();
    assert!(a.get("asset_internal_location", "l").is_some());
    assert!(get(&central.records, "asset_internal_location", "l").is_some());
}

#[test]
fn an_edit_whose_store_moved_away_before_the_push_is_not_lost() {
    let (central, a, b) = world();
    a.records.put("asset", [asset("x", "STORE_a", "too late")]).unwrap();
    move_store(&central, "STORE_a", "b");
    // The site learns that the store moved, and has its edit still to push.
    let push_nothing = SyncOptions::default().pull_only();
    let _ = a.site.sync(&push_nothing, &mut NoopObserver).unwrap();
    a.sync();
    b.sync();
    assert!(b.get("asset", "x").is_some(), "the store is on b, with all that was written there");
    assert_eq!(set_aside(central.storage.as_ref()), []);
}

#[test]
fn a_patient_who_becomes_visible_brings_older_vaccinations() {
    let (central, a, b) = world();
    for table in ["vaccine_course", "vaccine_course_dose"] {
        central.records.put(table, [document(table, &[])]).unwrap();
    }
    let join = |id, store| document("name_store_join", &[("ID", id), ("store_ID", store), ("name_ID", "p")]);
    for site in [&a, &b] {
        site.sync();
        site.records.put("name", [document("name", &[("ID", "p")])]).unwrap();
    }
    a.records.put("name_store_join", [join("join_a", "STORE_a")]).unwrap();
    a.records.put("vaccination", [document("vaccination", &[("id", "old"), ("patient_id", "p")])]).unwrap();
    a.sync();
    // So that the vaccination lies behind what the other site has read.
    central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    b.sync();
    assert_eq!(b.get("vaccination", "old"), None, "the patient is not visible here");
    b.records.put("name_store_join", [join("join_b", "STORE_b")]).unwrap();
    b.sync();
    assert!(b.get("vaccination", "old").is_some());
    a.sync();
    assert_eq!(a.sync().pulled, 0);
}

#[test]
fn what_an_older_version_could_not_read_is_tried_again_after_an_upgrade() {
    let (central, a, _) = world();
    let unread = |source, id: &str, data_of: &str, cause| Incoming {
        source,
        table: "asset_class".into(),
        id: id.into(),
        action: sync_core::protocol::v6::Action::Update,
        data: data(data_of),
        cursor: None,
        known: Default::default(),
        quarantine: Some(Quarantine { cause, reason: "by an older version".to_owned(), waits_for: None }),
    };
    let element = r#"{"cursor":7,"record":{"tableName":"asset_class","recordId":"whole","action":"Update",
        "recordData":{"id":"whole","name":"n"}}}"#;
    let txn = a.storage.write().unwrap();
    for (id, data_of, cause) in [
        ("known_now", r#"{"id":"known_now","name":"n"}"#, QuarantineCause::Unsupported),
        ("fingerprint", element, QuarantineCause::Malformed),
        ("still_bad", r#"{"id":"still_bad"}"#, QuarantineCause::Malformed),
        ("by_a_rule", r#"{"id":"by_a_rule","name":"n"}"#, QuarantineCause::Refused),
    ] {
        txn.stage(&unread(Source::Central, id, data_of, cause), Timestamp::from_unix_millis(0)).unwrap();
    }
    txn.commit().unwrap();
    assert_eq!(a.sync().integrated, 0, "the same version tries nothing again");

    let upgrade = |storage: &dyn Storage| {
        let txn = storage.write().unwrap();
        state::LIBRARY_VERSION.set(txn.as_ref(), "0.0.1").unwrap();
        txn.commit().unwrap();
    };
    upgrade(a.storage.as_ref());
    assert_eq!(a.sync().integrated, 2);
    for id in ["known_now", "whole"] {
        assert!(a.get("asset_class", id).is_some(), "{id}");
    }
    let left =
        [(QuarantineCause::Malformed, "still_bad".to_owned()), (QuarantineCause::Refused, "by_a_rule".to_owned())];
    assert_eq!(set_aside(a.storage.as_ref()), left);

    // The same at central, whose sites' records wait for it.
    let location = Incoming {
        table: "asset".into(),
        data: asset("y", "STORE_a", "known now"),
        ..unread(Source::Site(sync_core::record::SiteId(2)), "y", "{}", QuarantineCause::Unsupported)
    };
    let txn = central.storage.write().unwrap();
    txn.stage(&location, Timestamp::from_unix_millis(0)).unwrap();
    txn.commit().unwrap();
    upgrade(central.storage.as_ref());
    central.restarted().integrate_waiting().unwrap();
    assert!(get(&central.records, "asset", "y").is_some());
}

#[test]
fn a_delete_and_an_edit_of_two_sites_end_the_same_whoever_comes_first() {
    for delete_first in [true, false] {
        let (central, a, b) = world();
        central.records.put("preference", [data(r#"{"id":"p","key":"k","value":"1"}"#)]).unwrap();
        central.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
        let location = data(r#"{"id":"l","asset_id":"x","location_id":"shelf"}"#);
        a.sync();
        a.records.put("asset_internal_location", [location.clone()]).unwrap();
        a.sync();
        // The site deletes what central changes at the same time.
        let at_central = data(r#"{"id":"l","asset_id":"x","location_id":"other"}"#);
        let delete = || a.records.delete("asset_internal_location", "l").unwrap();
        let change = || central.records.put("asset_internal_location", [at_central.clone()]).map(|_| ()).unwrap();
        if delete_first {
            delete();
            a.sync();
            change();
        } else {
            change();
            delete();
        }
        for _ in 0..2 {
            a.sync();
            b.sync();
        }
        let ends = [get(&central.records, "asset_internal_location", "l"), a.get("asset_internal_location", "l")];
        assert_eq!(ends[0], ends[1], "{delete_first}");
        assert_eq!(ends[0].is_some(), delete_first, "the later word counts");
    }
}

/// A user deletes a form, and its lines afterwards.
#[test]
fn what_hangs_on_a_deleted_record_can_still_be_deleted() {
    let central = CentralEnd::over(Kind::Memory);
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    let form = document("rnr_form", &[("id", "f"), ("store_id", "STORE_a")]);
    let line = |id: &str| document("rnr_form_line", &[("id", id), ("rnr_form_id", "f")]);
    a.records.put("rnr_form", [form]).unwrap();
    a.records.put("rnr_form_line", [line("l"), line("m")]).unwrap();
    a.sync();
    b.sync();
    a.records.delete("rnr_form", "f").unwrap();
    a.sync();
    a.records.delete("rnr_form_line", "l").unwrap();
    let report = a.sync();
    assert_eq!((report.pushed, report.quarantined), (1, 0));
    assert!(get(&central.records, "rnr_form_line", "l").is_none());
    assert!(get(&central.records, "rnr_form_line", "m").is_some(), "it was not asked for");
    let aside = central.storage.read().unwrap().quarantined(0, 10).unwrap();
    assert!(aside.is_empty(), "{aside:?}");
}
