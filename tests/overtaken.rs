//! A push is integrated after its last batch: what one site sent first may have its turn after what another sent later.

use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::{RecordData, SiteId, StoreId};
use sync_core::storage::{Incoming, QuarantineCause, Source, state};
use sync_tests::world::{CentralEnd, Kind, asset, data, document, get};

const NULL: &str = "null";

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_750_000_000_000 + second * 1000)
}

/// What a site pushed is staged, and not integrated yet.
fn stage(central: &CentralEnd, site: i32, action: Action, (table, id): (&str, &str), record_data: RecordData) {
    let record = WireRecord { table_name: table.into(), record_id: id.into(), action, record_data };
    let txn = central.storage.write().unwrap();
    txn.stage(&Incoming::new(Source::Site(SiteId(site)), record), at(0)).unwrap();
    txn.commit().unwrap();
}

/// The last batch of a site came: it has its turn.
fn integrate(central: &CentralEnd, site: i32) {
    let txn = central.storage.write().unwrap();
    txn.central().unwrap().request_integration(SiteId(site), at(1)).unwrap();
    txn.commit().unwrap();
    central.central.integrate_waiting().unwrap();
}

#[test]
fn a_deletion_of_a_patient_whom_another_site_sent_first_waits_for_a_join() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        central.add_site("b");
        let patient = document("name", &[("ID", "p"), ("type", "patient"), ("name", "of a")]);
        stage(&central, 2, Action::Update, ("name", "p"), patient);
        stage(&central, 3, Action::Delete, ("name", "p"), data(NULL));
        integrate(&central, 3);
        assert_eq!(central.causes(), [(QuarantineCause::Waiting, 1)], "b does not see the patient");
        integrate(&central, 2);
        let held = get(&central.records, "name", "p").unwrap();
        assert!(held.contains("of a") && !held.contains("deleted_datetime"), "{held}");
        assert_eq!(central.causes(), [(QuarantineCause::Waiting, 1)]);
    }
}

#[test]
fn a_deletion_of_what_was_staged_first_wins_and_the_older_edit_is_seen_to_give_way() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        central.add_site("b");
        let move_store = |site: &str| {
            central.sites.add_store("S", "S", site, Some(StoreId::from("S"))).unwrap();
            central.central.integrate_waiting().unwrap();
        };
        move_store("a");
        stage(&central, 2, Action::Update, ("asset", "x"), asset("x", "S", "of a"));
        move_store("b");
        stage(&central, 3, Action::Delete, ("asset", "x"), data(NULL));
        integrate(&central, 3);
        assert_eq!(central.causes(), [], "b may delete what is in its store");
        move_store("a");
        integrate(&central, 2);
        assert_eq!(get(&central.records, "asset", "x"), None, "it was deleted after it was sent");
        let superseded = central.causes().into_iter().find(|(cause, _)| *cause == QuarantineCause::Superseded);
        assert_eq!(superseded, Some((QuarantineCause::Superseded, 1)));
    }
}

/// The site began a push, of which a record waits for its patient, and lost its database before the last batch.
#[test]
fn a_record_of_a_push_without_an_end_is_woken_after_its_site_was_set_up_anew() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        let join = document("name_store_join", &[("ID", "j"), ("store_ID", "STORE_a"), ("name_ID", "p")]);
        a.records.put("name_store_join", [join]).unwrap();
        a.sync();
        assert_eq!(central.causes(), [(QuarantineCause::Waiting, 1)]);
        let txn = central.storage.write().unwrap();
        state::OPEN_PUSH_OF_SITE.of(SiteId(2)).set(txn.as_ref(), true).unwrap();
        txn.commit().unwrap();
        central.set_up_in("anew", "a", central.transport()).sync();
        b.records.put("name", [document("name", &[("ID", "p"), ("type", "patient")])]).unwrap();
        b.sync();
        central.central.integrate_waiting().unwrap();
        assert!(get(&central.records, "name_store_join", "j").is_some(), "{:?}", central.causes());
    }
}
