//! What a site that was restored from a backup does afterwards.

use sync_core::storage::key;
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, document, get};

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
    txn.set_state(key::PUSH_UNDER_WAY, "chosen before the backup").unwrap();
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
        let log = document("system_log", &[("id", "l"), ("message", text)]);
        site.records.put("system_log", [log]).unwrap();
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
