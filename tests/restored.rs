//! Databases restored from a backup: a site's, central's, and the file itself.

use std::path::Path;
use std::sync::{Arc, Mutex};

use sync_core::central::InProcess;
use sync_core::record::{Cursor, RecordData, StoreId};
use sync_core::storage::{MemoryStorage, QuarantineCause, SqliteStorage, Storage, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, SyncConfig, SyncOptions, SyncReport};
use sync_testkit::FaultyStorage;
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, document, get, put_class};

fn world() -> (CentralEnd, SiteEnd) {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    a.sync();
    (central, a)
}

fn write(site: &SiteEnd, id: &str, notes: &str) {
    site.records.put("asset", [asset(id, "STORE_a", notes)]).unwrap();
}

fn notes(text: Option<String>) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(&text?).unwrap();
    Some(value["notes"].as_str().unwrap().to_owned())
}

fn at_central(central: &CentralEnd, id: &str) -> Option<String> {
    notes(get(&central.records, "asset", id))
}

fn at_site(site: &SiteEnd, id: &str) -> Option<String> {
    notes(site.get("asset", id))
}

fn warned(report: &SyncReport, of: &str) -> bool {
    report.warnings.iter().any(|warning| warning.to_string().contains(of))
}

#[test]
fn a_site_that_went_back_gets_again_what_it_had_sent() {
    let (central, a) = world();
    let storage = central.memory("a");
    write(&a, "edited", "1");
    a.sync();
    write(&a, "waiting", "1");
    let backup = storage.backup();
    a.sync();
    write(&a, "edited", "2");
    write(&a, "new", "1");
    write(&a, "waiting", "2");
    a.sync();
    storage.restore(&backup);
    assert_eq!((at_site(&a, "edited").as_deref(), at_site(&a, "new")), (Some("1"), None), "it is the backup");
    write(&a, "since", "1");

    let report = a.sync();
    assert!(warned(&report, "this database was restored from a backup"), "{:?}", report.warnings);
    for (id, expected) in [("edited", "2"), ("new", "1"), ("waiting", "2"), ("since", "1")] {
        assert_eq!(at_site(&a, id).as_deref(), Some(expected), "{id} at the site");
        assert_eq!(at_central(&central, id).as_deref(), Some(expected), "{id} at central");
    }
    let again = a.sync();
    assert!(again.warnings.is_empty(), "{:?}", again.warnings);
    assert_eq!((again.pushed, again.pulled), (0, 0));
}

#[test]
fn a_site_that_is_set_up_anew_gets_what_its_cut_push_had_brought() {
    // What came of the push is staged, or integrated.
    for (at_once, came) in [(0, None), (100, Some("1"))] {
        let central = CentralEnd::over(Kind::Memory).integrating_at_once(at_once);
        let a = central.new_site("a");
        a.sync();
        write(&a, "x", "1");
        write(&a, "y", "1");
        let one_record = SyncOptions::default().max_bytes(1);
        let mut config = SyncConfig::default();
        config.push_records_max = 1;
        let _ = a.site.clone().with_config(config).sync(&one_record, &mut NoopObserver).unwrap();
        assert_eq!(at_central(&central, "x").as_deref(), came);
        let anew = central.set_up_over(Arc::new(MemoryStorage::new()), "a", central.transport());
        let mut patient = SyncConfig::default();
        patient.retry_wait = std::time::Duration::from_millis(1);
        let _ = anew.site.clone().with_config(patient).sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert_eq!(at_site(&anew, "x").as_deref(), Some("1"));
        assert_eq!(at_central(&central, "x").as_deref(), Some("1"));
    }
}

#[test]
fn what_is_never_sent_back_is_not_undone_by_a_backup() {
    let (central, a) = world();
    let storage = central.memory("a");
    let patient = |first: &str| document("name", &[("ID", "p"), ("first", first)]);
    a.records.put("name", [patient("of the backup")]).unwrap();
    let backup = storage.backup();
    a.sync();
    a.records.put("name", [patient("later")]).unwrap();
    a.sync();
    storage.restore(&backup);
    a.sync();
    assert!(get(&central.records, "name", "p").unwrap().contains("later"));
    a.records.put("name", [patient("since")]).unwrap();
    a.sync();
    assert!(get(&central.records, "name", "p").unwrap().contains("since"));
}

#[test]
fn an_edit_made_after_the_restore_wins_and_one_of_the_backup_that_lost_is_set_aside() {
    let (central, a) = world();
    let storage = central.memory("a");
    write(&a, "one", "1");
    write(&a, "two", "1");
    a.sync();
    write(&a, "two", "of the backup");
    let backup = storage.backup();
    write(&a, "one", "2");
    a.sync();
    central.records.put("asset", [asset("two", "STORE_a", "of central")]).unwrap();
    storage.restore(&backup);
    write(&a, "one", "3");

    a.sync();
    assert_eq!(at_central(&central, "one").as_deref(), Some("3"));
    assert_eq!(at_site(&a, "two").as_deref(), Some("of central"));
    assert_eq!(at_central(&central, "two").as_deref(), Some("of central"));
    let aside = a.storage.read().unwrap().quarantined(0, 10).unwrap();
    assert_eq!(aside.len(), 1);
    let (row, why) = &aside[0];
    assert_eq!((row.incoming.id.as_str(), why.cause), ("two", QuarantineCause::Refused));
    assert!(row.incoming.data.as_str().contains("of the backup"), "nothing is lost: {:?}", row.incoming.data);
}

/// The data of a vaccination that gives the demonstration's dose to a patient.
fn vaccination(id: &str, comment: &str) -> RecordData {
    document("vaccination", &[("id", id), ("patient_id", "p"), ("comment", comment)])
}

#[test]
fn what_a_restored_site_could_not_see_at_once_comes_when_it_can() {
    let (central, a) = world();
    let storage = central.memory("a");
    let join = document("name_store_join", &[("ID", "j"), ("store_ID", "STORE_a"), ("name_ID", "p")]);
    a.records.put("name", [document("name", &[("ID", "p")])]).unwrap();
    central.records.put("vaccine_course", [document("vaccine_course", &[])]).unwrap();
    a.sync();
    let backup = storage.backup();
    // One waits at central for its dose, the other for a patient who is visible at the site.
    a.records.put("vaccination", [vaccination("waits", "")]).unwrap();
    a.sync();
    central.records.put("vaccine_course_dose", [document("vaccine_course_dose", &[])]).unwrap();
    a.records.put("vaccination", [vaccination("unseen", "")]).unwrap();
    a.sync();
    storage.restore(&backup);
    a.sync();
    assert_eq!((a.get("vaccination", "waits"), a.get("vaccination", "unseen")), (None, None));

    a.records.put("vaccination", [vaccination("since", "")]).unwrap();
    a.records.put("name_store_join", [join]).unwrap();
    a.sync();
    a.sync();
    for id in ["waits", "unseen", "since"] {
        assert!(a.get("vaccination", id).is_some(), "{id}");
    }
    assert_eq!(a.sync().pulled, 0, "once");
}

#[test]
fn a_version_of_a_backup_that_left_the_site_in_the_meantime_is_seen_to_be_out_of_date() {
    let (central, a) = world();
    let storage = central.memory("a");
    write(&a, "x", "of the backup");
    let backup = storage.backup();
    // Central never knew that it was in the store.
    a.records.put("asset", [document("asset", &[("id", "x"), ("notes", "later"), ("store_id", "")])]).unwrap();
    a.sync();
    storage.restore(&backup);
    a.sync();
    a.sync();
    assert_eq!(at_central(&central, "x").as_deref(), Some("later"));
    assert_eq!(at_site(&a, "x").as_deref(), Some("later"));
}

/// A central server with two sites, and the first of them, whose backup was put back. The backup has an unsent edit, over which the
/// site wrote and pushed another one.
fn put_back_after_a_push() -> (CentralEnd, SiteEnd) {
    let (central, a) = world();
    central.add_site("b");
    let storage = central.memory("a");
    write(&a, "x", "of the backup");
    let backup = storage.backup();
    write(&a, "x", "later");
    a.sync();
    storage.restore(&backup);
    (central, a)
}

#[test]
fn a_version_of_a_backup_is_seen_to_be_out_of_date_though_its_store_was_away() {
    let (central, a) = put_back_after_a_push();
    for to in ["b", "a"] {
        central.sites.add_store("a", "a", to, Some(StoreId::from("STORE_a"))).unwrap();
        a.sync();
        assert_eq!(at_central(&central, "x").as_deref(), Some("later"), "the store is on {to}");
    }
    assert_eq!(at_site(&a, "x").as_deref(), Some("later"));
}

/// Why nothing would be pushed now.
fn held_up_now(site: &SiteEnd) -> Option<String> {
    let support = Replica::with_storage(site.storage.clone()).support();
    support.preview_push().unwrap().held_up.map(|why| why.to_string())
}

/// What a backup had waiting yields once more when a store comes; but nobody restored anything since.
#[test]
fn a_store_that_comes_after_a_recovery_is_no_news_of_a_restore() {
    let (central, a) = put_back_after_a_push();
    assert!(warned(&a.sync(), "restored from a backup"));
    assert_eq!(held_up_now(&a), None);
    central.sites.add_store("b", "b", "a", Some(StoreId::from("STORE_b"))).unwrap();
    let mut held_up = Vec::new();
    for _ in 0..3 {
        let report = a.sync();
        assert!(!warned(&report, "restored from a backup"), "{:?}", report.warnings);
        held_up.extend(held_up_now(&a));
    }
    assert!(held_up.len() == 1 && held_up[0].starts_with("a store came to this site"), "{held_up:?}");
    // Another restore is one again.
    let storage = central.memory("a");
    let backup = storage.backup();
    write(&a, "y", "lost");
    a.sync();
    storage.restore(&backup);
    assert!(warned(&a.sync(), "restored from a backup"));
}

/// Central never had the record: it was deleted before its first push.
#[test]
fn a_deletion_that_was_the_first_that_central_heard_of_a_record_counts_against_a_backup() {
    let (central, a) = world();
    let form = document("rnr_form", &[("id", "f"), ("store_id", "STORE_a")]);
    a.records.put("rnr_form", [form]).unwrap();
    let backup = central.memory("a").backup();
    a.records.delete("rnr_form", "f").unwrap();
    a.sync();
    central.memory("a").restore(&backup);
    assert!(a.get("rnr_form", "f").is_some(), "it is the backup");
    a.sync();
    a.sync();
    assert_eq!((a.get("rnr_form", "f"), get(&central.records, "rnr_form", "f")), (None, None));
}

#[test]
fn a_database_that_counts_anew_is_not_measured_by_the_one_before() {
    let (central, old) = world();
    for n in 0..30 {
        write(&old, "x", &n.to_string());
    }
    old.sync();
    let storage = Arc::new(MemoryStorage::new());
    // No earlier push can still be on its way.
    let later = central.restarted_and_run_for(std::time::Duration::from_secs(3600));
    let new = central.set_up_over(storage.clone(), "a", Arc::new(InProcess::new(later)));
    new.sync();
    write(&new, "y", "1");
    new.sync();
    write(&new, "x", "of the backup");
    let backup = storage.backup();
    for n in 0..60 {
        write(&new, "z", &n.to_string());
    }
    storage.restore(&backup);
    new.sync();
    assert_eq!(at_central(&central, "x").as_deref(), Some("of the backup"));
}

/// A restored site continues at high numbers. The machine that replaces it later counts from 1.
#[test]
fn what_a_database_that_counts_anew_pushes_is_not_sent_back_to_it() {
    let (central, old) = world();
    write(&old, "x", "1");
    let backup = central.memory("a").backup();
    write(&old, "x", "2");
    old.sync();
    central.memory("a").restore(&backup);
    old.sync();
    write(&old, "x", "3");
    old.sync();
    let later = central.restarted_and_run_for(std::time::Duration::from_secs(3600));
    let new = central.set_up_over(Arc::new(MemoryStorage::new()), "a", Arc::new(InProcess::new(later)));
    new.sync();
    write(&new, "y", "1");
    assert_eq!((new.sync().pushed, new.sync().pulled), (1, 0));
    write(&new, "y", "2");
    let reports = [new.sync(), new.sync()];
    assert_eq!(reports.map(|report| report.pulled), [0, 0], "its own");
}

#[test]
fn what_a_restored_central_took_is_not_sent_again_wherever_the_cycle_died() {
    let patient = |first: &str| document("name", &[("ID", "p"), ("first", first)]);
    for operation in 1.. {
        let central = CentralEnd::over(Kind::Memory);
        central.add_site("a");
        let storage = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
        let mut a = central.set_up_over(storage.clone(), "a", central.transport());
        a.sync();
        let mut quick = SyncConfig::default();
        (quick.attempts, quick.integration_poll) = (1, std::time::Duration::from_millis(1));
        a.site = a.site.clone().with_config(quick);
        let backup = central.memory("central").backup();
        write(&a, "x", "1");
        a.sync();
        central.memory("central").restore(&backup);
        a.records.put("name", [patient("of the site")]).unwrap();
        storage.crash_at(operation);
        let died = a.site.sync(&SyncOptions::default(), &mut NoopObserver).is_err();
        storage.heal();
        if get(&central.records, "name", "p").is_some() {
            central.records.put("name", [patient("of central")]).unwrap();
            a.sync();
            a.sync();
            let held = get(&central.records, "name", "p").unwrap();
            assert!(held.contains("of central"), "died at operation {operation}: {held}");
        }
        if !died {
            assert!(operation > 50, "{operation}");
            break;
        }
    }
}

#[test]
fn where_a_restored_central_holds_another_version_the_sites_own_is_set_aside() {
    let (central, a) = world();
    let storage = central.memory("central");
    write(&a, "x", "1");
    a.sync();
    let backup = storage.backup();
    write(&a, "x", "2");
    a.sync();
    storage.restore(&backup);
    central.records.put("asset", [asset("x", "STORE_a", "since")]).unwrap();
    a.sync();
    a.sync();
    assert_eq!(at_site(&a, "x").as_deref(), Some("since"));
    let aside = a.storage.read().unwrap().quarantined(0, 10).unwrap();
    assert!(aside[0].0.incoming.data.as_str().contains(r#""notes":"2""#), "nothing is lost: {aside:?}");
}

#[test]
fn what_central_lost_is_sent_again_and_what_it_wrote_since_arrives() {
    for grown in [0, 40] {
        let (central, a) = world();
        let b = central.new_site("b");
        b.sync();
        write(&a, "before", "1");
        a.sync();
        let storage = central.memory("central");
        let backup = storage.backup();
        write(&a, "before", "2");
        write(&a, "lost", "1");
        a.sync();
        central.records.put("asset_class", [data(r#"{"id":"c","name":"lost"}"#)]).unwrap();
        a.sync();
        b.sync();
        storage.restore(&backup);
        assert_eq!((at_central(&central, "before").as_deref(), at_central(&central, "lost")), (Some("1"), None));
        // They notice it whether or not its changelog has grown past their cursors.
        for n in 0..=grown {
            let class = data(&format!(r#"{{"id":"d{n}","name":"since"}}"#));
            central.records.put("asset_class", [class]).unwrap();
        }

        let report = a.sync();
        assert!(warned(&report, "central went back to"), "{:?}", report.warnings);
        assert!(report.pulled > grown, "what central wrote since");
        a.sync();
        b.sync();
        for (id, expected) in [("before", "2"), ("lost", "1")] {
            assert_eq!(at_central(&central, id).as_deref(), Some(expected), "{id}");
            assert_eq!(at_site(&a, id).as_deref(), Some(expected), "{id}");
        }
        for site in [&a, &b] {
            assert!(site.get("asset_class", "d0").is_some());
            // Stores and names, which here come from the same server, are read again by the cycle after.
            site.sync();
            let again = site.sync();
            assert_eq!((again.pushed, again.pulled, again.warnings.len()), (0, 0, 0), "{grown}");
        }
    }
}

#[test]
fn only_what_central_may_have_lost_is_sent_again() {
    let (central, a) = world();
    for n in 0..20 {
        write(&a, &format!("old{n}"), "1");
        a.sync();
    }
    let storage = central.memory("central");
    let backup = storage.backup();
    write(&a, "lost", "1");
    a.sync();
    storage.restore(&backup);
    a.sync();
    let report = a.sync();
    assert_eq!(at_central(&central, "lost").as_deref(), Some("1"));
    assert_eq!(report.pushed, 1);
}

fn lost(storage: &dyn Storage) -> Vec<(u64, u64)> {
    let parts = state::changelog_gaps(storage.read().unwrap().as_ref()).unwrap();
    parts.iter().map(|part| (part.after.0, part.before.0)).collect()
}

#[test]
fn a_file_that_was_put_back_is_recognised_and_gives_out_no_cursor_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let open = |path: &Path| SqliteStorage::open(path).unwrap();
    let (file, backup) = (at("site.sqlite"), at("backup"));
    let kept = put_class(&open(&file), "kept");
    assert!(lost(&open(&file)).is_empty(), "opened again, but not restored");
    std::fs::copy(&file, &backup).unwrap();
    let gone = put_class(&open(&file), "gone");
    std::fs::copy(&backup, &file).unwrap();
    {
        let storage = open(&file);
        assert_eq!(lost(&storage), [(kept.0, gone.0 + 1)]);
        assert!(put_class(&storage, "new") > gone);
    }
    assert_eq!(lost(&open(&file)).len(), 1, "said once");

    // Settings alone show it too: a restored site's cursors are old, even if it wrote nothing.
    std::fs::copy(&file, &backup).unwrap();
    {
        let storage = open(&file);
        let txn = storage.write().unwrap();
        state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(7)).unwrap();
        txn.commit().unwrap();
    }
    std::fs::copy(&backup, &file).unwrap();
    assert_eq!(lost(&open(&file)).len(), 2);

    // A file that came without its watermark may be a backup.
    std::fs::remove_file(at("site.sqlite.watermark")).unwrap();
    let storage = open(&file);
    assert_eq!(lost(&storage).len(), 3);
    assert!(put_class(&storage, "newer") > Cursor(1_000_000));
}

#[test]
fn a_memory_that_was_put_back_gives_out_no_cursor_again() {
    let storage = MemoryStorage::new();
    let kept = put_class(&storage, "kept");
    let backup = storage.backup();
    let gone = put_class(&storage, "gone");
    storage.restore(&backup);
    assert_eq!(lost(&storage), [(kept.0, gone.0 + 1)]);
    assert!(put_class(&storage, "new") > gone);
    assert!(storage.read().unwrap().record(&"asset_class".into(), &"gone".into()).unwrap().is_none());
}

/// A line whose legacy server has these records of the table `item`, by position.
struct Legacy {
    to_central: Arc<dyn Transport>,
    items: Mutex<Vec<(u64, &'static str)>>,
}

impl Transport for Legacy {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let Some((_, query)) = request.url.split_once("/central_records?cursor=") else {
            return self.to_central.send(request);
        };
        let cursor: u64 = query.split('&').next().unwrap().parse().unwrap();
        let items = self.items.lock().unwrap();
        let data = items.iter().filter(|(position, _)| *position > cursor).map(|(position, name)| {
            serde_json::json!({"ID": position, "tableName": "item", "recordId": format!("i{position}"),
                "action": if *name == "unreadable" { "upsert" } else { "update" }, "recordData": {"ID": format!("i{position}"), "item_name": name}})
        });
        let body = serde_json::json!({"maxCursor": items.last().unwrap().0, "data": data.collect::<Vec<_>>()});
        Ok(HttpResponse::json(200, body.to_string().into_bytes()))
    }
}

#[test]
fn a_legacy_server_that_went_back_is_read_again() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let items = Mutex::new(vec![(1, "one"), (2, "two"), (3, "three")]);
    let line = Arc::new(Legacy { to_central: central.step_by_step(), items });
    let a = central.set_up_in("a", "a", line.clone());
    a.sync();
    assert!(a.sync().warnings.is_empty());
    *line.items.lock().unwrap() = vec![(1, "one"), (2, "two, written again")];
    let report = a.sync();
    // One server is both, and people there know it as the central server.
    assert!(warned(&report, "the central server went back to position 2"), "{:?}", report.warnings);
    assert!(a.get("item", "i2").unwrap().contains("written again"));
    assert!(a.sync().warnings.is_empty(), "said once");
    line.items.lock().unwrap().push((3, "another"));
    a.sync();
    assert!(a.get("item", "i3").unwrap().contains("another"));
}

#[test]
fn a_record_of_the_legacy_server_that_cannot_be_read_stops_no_other() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let items = Mutex::new(vec![(1, "one"), (2, "unreadable"), (3, "three")]);
    let a = central.set_up_in("a", "a", Arc::new(Legacy { to_central: central.step_by_step(), items }));
    let report = a.sync();
    assert_eq!(report.quarantined, 1);
    assert!(a.get("item", "i1").is_some() && a.get("item", "i3").is_some());
    let aside = a.storage.read().unwrap().quarantined(0, 10).unwrap();
    assert_eq!((aside[0].0.incoming.id.as_str(), aside[0].1.cause), ("i2", QuarantineCause::Malformed));
    assert!(aside[0].1.reason.contains("unknown variant `upsert`"), "{}", aside[0].1.reason);
}
