//! The later life of a site that was restored from a backup.

use std::sync::Arc;

use sync_core::record::Cursor;
use sync_core::storage::{QuarantineCause, state};
use sync_core::{Replica, SyncConfig};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, document, get, put_unchecked};

fn write(site: &SiteEnd, id: &str, notes: &str) {
    site.records.put("asset", [asset(id, "STORE_a", notes)]).unwrap();
}

fn world() -> (CentralEnd, SiteEnd) {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    a.sync();
    (central, a)
}

#[test]
fn a_push_whose_id_a_backup_holds_is_another_one_after_each_restore() {
    let (central, a) = world();
    let storage = central.memory("a");
    write(&a, "x", "1");
    let txn = a.storage.write().unwrap();
    state::PUSH_UNDER_WAY.set(txn.as_ref(), "chosen before the backup").unwrap();
    txn.commit().unwrap();
    let backup = storage.backup();
    for notes in ["second", "third", "fourth"] {
        a.sync();
        write(&a, "x", notes);
        a.sync();
        assert!(get(&central.records, "asset", "x").unwrap().contains(notes));
        storage.restore(&backup);
    }
}

#[test]
fn a_restored_site_goes_on_editing_what_it_wrote_and_what_is_of_no_store() {
    let (central, a) = world();
    let b = central.new_site("b");
    b.sync();
    let storage = central.memory("a");
    let put = |site: &SiteEnd, text: &str| {
        // A host may not change a log; an older version of this library let it, and Open mSupply's central may meet one.
        let log = document("system_log", &[("id", "l"), ("message", text)]);
        put_unchecked(site.storage.as_ref(), "system_log", "l", &log);
        let file = document("sync_file_reference", &[("id", "f"), ("file_name", text)]);
        site.records.put("sync_file_reference", [file]).unwrap();
    };
    put(&a, "first");
    a.sync();
    put(&a, "of the backup");
    let backup = storage.backup();
    write(&a, "lost", "1");
    a.sync();
    storage.restore(&backup);
    a.sync();
    put(&a, "since");
    a.sync();
    for (table, id) in [("system_log", "l"), ("sync_file_reference", "f")] {
        assert!(get(&central.records, table, id).unwrap().contains("since"), "{table}");
    }
    put(&b, "of another");
    b.sync();
    for (table, id) in [("system_log", "l"), ("sync_file_reference", "f")] {
        assert!(
            get(&central.records, table, id).unwrap().contains("since"),
            "{table}: of another site, since it is known"
        );
    }
}

/// A snapshot of central's whole folder includes its watermark, so central does not know that it was restored, and if
/// others have written past a site's cursor, the changelog does not show it either. The number of the site's last push
/// does.
#[test]
fn what_a_central_server_lost_that_was_put_back_from_a_snapshot_is_sent_again() {
    for (is_first, writes_since) in [(false, false), (false, true), (true, true)] {
        let (central, a) = world();
        let b = central.new_site("b");
        b.sync();
        if !is_first {
            write(&a, "before", "1");
            a.sync();
        }
        let snapshot = CentralEnd::over_storage(Arc::new(central.memory("central").duplicate()));
        write(&a, "before", "2");
        write(&a, "lost", "1");
        a.sync();
        a.sync();
        let put_back = |site: SiteEnd| {
            let mut quick = SyncConfig::default();
            quick.integration_poll = std::time::Duration::from_millis(1);
            let moved = Replica::with_storage(site.storage.clone()).site(snapshot.transport());
            SiteEnd { site: moved.with_config(quick), ..site }
        };
        let (a, b) = (put_back(a), put_back(b));
        for n in 0..30 {
            b.records.put("asset", [asset(&format!("b{n}"), "STORE_b", "")]).unwrap();
            let log = document("system_log", &[("id", &format!("l{n}")), ("message", "since")]);
            b.records.put("system_log", [log]).unwrap();
        }
        b.sync();
        if writes_since {
            write(&a, "since", "1");
        }
        for _ in 0..3 {
            a.sync();
            b.sync();
        }
        let case = format!("first {is_first}, writes since {writes_since}");
        for (id, notes) in [("before", "\"2\""), ("lost", "\"1\"")] {
            for records in [&snapshot.records, &a.records] {
                assert!(get(records, "asset", id).is_some_and(|record| record.contains(notes)), "{case}: {id}");
            }
        }
        assert!(a.storage.read().unwrap().quarantined(0, 10).unwrap().is_empty(), "{case}");
        let again = a.sync();
        assert_eq!((again.pushed, again.pulled, again.warnings.len()), (0, 0, 0), "{case}");
    }
}

/// Central gives the record as it left its store, and gives nothing of what it was since, because that is in no store. The site
/// knows better: it keeps its newest edit, and does not send the older version over it.
#[test]
fn what_left_its_store_replaces_no_later_edit_when_a_restored_central_server_is_read_again() {
    let (central, a) = world();
    write(&a, "x", "first");
    a.sync();
    let write_in_no_store = |notes: &str| {
        let text = asset("x", "STORE_a", notes).as_str().replace("\"STORE_a\"", "null");
        a.records.put("asset", [data(&text)]).unwrap();
    };
    write_in_no_store("moved");
    a.sync();
    let storage = central.memory("central");
    let backup = storage.backup();
    write(&a, "lost", "1");
    a.sync();
    storage.restore(&backup);
    write_in_no_store("since");
    for _ in 0..3 {
        a.sync();
    }
    assert!(get(&central.records, "asset", "lost").is_some(), "what was lost is sent again");
    for records in [&central.records, &a.records] {
        assert!(get(records, "asset", "x").unwrap().contains("since"));
    }
}

/// The site moved the record within its stores, which leaves a row of its edit behind. Then central moved it on, and lost that.
#[test]
fn a_version_of_central_over_an_edit_of_the_site_is_not_sent_to_a_restored_central_server_as_an_edit() {
    let (central, a) = world();
    for store in ["SECOND", "THIRD"] {
        central.sites.add_store(store, store, "a", Some(store.into())).unwrap();
    }
    a.sync();
    central.records.put("asset", [asset("x", "STORE_a", "first")]).unwrap();
    a.sync();
    let storage = central.memory("central");
    let backup = storage.backup();
    a.records.put("asset", [asset("x", "SECOND", "moved by the site")]).unwrap();
    a.sync();
    central.records.put("asset", [asset("x", "THIRD", "moved on by central")]).unwrap();
    a.sync();
    storage.restore(&backup);
    for _ in 0..3 {
        a.sync();
    }
    assert!(central.storage.read().unwrap().quarantined(0, 10).unwrap().is_empty());
    for records in [&central.records, &a.records] {
        assert!(get(records, "asset", "x").unwrap().contains("first"), "what central lost of its own is lost");
    }
}

/// The site's second edit waits at central for a patient whom the site does not see. While it waits, the site reads everything again,
/// and so its own first edit. If central then loses that too, nobody else would send it.
#[test]
fn an_edit_of_its_own_that_the_site_read_again_is_sent_to_a_restored_central_server() {
    let (central, a) = world();
    let b = central.new_site("b");
    b.sync();
    let properties = |text: &str| document("name_oms_fields", &[("id", "p"), ("properties", text)]);
    let first = || get(&central.records, "name_oms_fields", "p").is_some_and(|text| text.contains("first"));
    let storage = central.memory("central");
    let backup = storage.backup();
    a.records.put("name_oms_fields", [properties("first")]).unwrap();
    a.sync();
    b.records.put("name", [document("name", &[("ID", "p")])]).unwrap();
    b.sync();
    a.records.put("name_oms_fields", [properties("second")]).unwrap();
    a.sync();
    assert_eq!(central.causes(), [(QuarantineCause::Waiting, 1)]);
    let txn = a.storage.write().unwrap();
    state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(0)).unwrap();
    state::PULL_OWN.set(txn.as_ref(), true).unwrap();
    txn.commit().unwrap();
    a.sync();
    assert!(a.get("name_oms_fields", "p").unwrap().contains("first"));
    storage.restore(&backup);
    assert!(!first());
    for _ in 0..3 {
        a.sync();
    }
    assert!(first());
}
