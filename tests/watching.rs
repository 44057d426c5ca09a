//! A host hears which records changed, and who changed them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sync_core::changelog::ChangeAction;
use sync_core::record::{AssetClass, Cursor, Query};
use sync_core::storage::MemoryStorage;
use sync_core::support::ResendFilter;
use sync_core::watch::{ChangeSource, Watch};
use sync_core::{Error, Replica};
use sync_testkit::legacy_server::{MergeBy, rows};
use sync_tests::world::{CentralEnd, Kind, asset, data};

use crate::legacy_half::Country;

const LONG: Duration = Duration::from_secs(20);

fn class(id: &str, name: &str) -> AssetClass {
    AssetClass { id: id.into(), name: name.into(), ..AssetClass::default() }
}

/// The ids of the next batch.
fn ids(watch: &mut Watch) -> Vec<String> {
    let batch = watch.changes().expect("reads");
    batch.map_or(Vec::new(), |batch| batch.records.into_iter().map(|record| record.id.to_string()).collect())
}

/// Table, id, action and source of the next batch.
fn changes(watch: &mut Watch) -> Vec<(String, String, ChangeAction, ChangeSource)> {
    let batch = watch.changes().expect("reads");
    let records = batch.map_or(Vec::new(), |batch| batch.records);
    records.into_iter().map(|one| (one.table.to_string(), one.id.to_string(), one.action, one.by)).collect()
}

#[test]
fn changes_of_any_writer_come_once_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("central.sqlite");
    let here = Replica::open(&path).expect("opens");
    here.site_registry().expect("a central database");
    // As another process has it.
    let there = Replica::open(&path).expect("opens");
    let mut watch = here.watch().expect("reads").only(["asset_class"]);
    assert!(ids(&mut watch).is_empty());
    for name in ["first", "second", "third"] {
        there.records().of().put(&class("a", name)).expect("stored");
    }
    here.records().of().put(&class("b", "of this one")).expect("stored");
    there.write(|txn| txn.local_only().of().put(&class("draft", "of the host too"))).expect("stored");
    let stored = watch.position();
    let host = |id: &str| ("asset_class".to_owned(), id.to_owned(), ChangeAction::Upsert, ChangeSource::Host);
    assert_eq!(changes(&mut watch), [host("a"), host("b"), host("draft")]);
    assert!(ids(&mut watch).is_empty());
    assert_eq!(ids(&mut there.watch_from(stored)), ["a", "b", "draft"]);
    let everything = ids(&mut there.watch_from(Cursor(0)));
    assert_eq!(everything, ["a", "b", "draft"]);
    assert!(ids(&mut there.watch_from(Cursor(0)).only(["asset"])).is_empty());
}

#[test]
fn a_commit_elsewhere_wakes_who_waits_and_silence_ends_in_time() {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    replica.site_registry().expect("a central database");
    let mut watch = replica.watch().expect("reads").every(Duration::from_millis(5));
    assert_eq!(watch.wait(Duration::from_millis(30)).expect("reads"), None);
    let before = Instant::now();
    let batch = std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            replica.records().of().put(&class("a", "late")).expect("stored");
        });
        watch.wait(LONG).expect("reads").expect("a change")
    });
    assert!(before.elapsed() < LONG && batch.records.len() == 1, "{batch:?}");
}

#[test]
fn a_change_names_who_made_it() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let site = central.new_site("north");
        let at_site = Replica::with_storage(site.storage.clone());
        let at_central = Replica::with_storage(central.storage.clone());
        let mut here = at_site.watch().expect("reads");
        site.sync();
        let first = changes(&mut here);
        let store = first.iter().find(|(table, ..)| table == "store").expect("the store came");
        assert_eq!(store.3, ChangeSource::Legacy);

        let mut there = at_central.watch().expect("reads");
        site.records.put("asset", [asset("a", "STORE_north", "of the site")]).expect("stored");
        central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).expect("stored");
        site.sync();
        let at = |table: &str, id: &str, by| (table.to_owned(), id.to_owned(), ChangeAction::Upsert, by);
        let number = central.sites.list().expect("reads")[0].id;
        let expected = [at("asset_class", "c", ChangeSource::Host), at("asset", "a", ChangeSource::Site(Some(number)))];
        assert_eq!(changes(&mut there), expected);
        let expected = [at("asset", "a", ChangeSource::Host), at("asset_class", "c", ChangeSource::Central)];
        assert_eq!(changes(&mut here), expected);
    }
}

#[test]
fn a_merge_is_told_from_what_the_legacy_server_sends() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    let [first, second] = [&own.patients[0], &own.patients[1]];
    let invoice = format!(r#"{{"ID":"t","name_ID":"{first}","store_ID":"{}"}}"#, own.store_id);
    a.records.put("transact", [data(&invoice)]).expect("stored");
    a.sync();
    let mut watch = Replica::with_storage(a.storage.clone()).watch().expect("reads");
    country.legacy.put_row("transact", "late", rows::transact("late", &own.store_id, second, 7));
    country.legacy.merge(MergeBy::CentralLog, "name", second, first);
    a.sync();
    let found = changes(&mut watch);
    let of = |table: &str, id: &str| found.iter().find(|one| one.0 == table && one.1 == id).map(|one| (one.2, one.3));
    assert_eq!(of("name", first), Some((ChangeAction::Delete, ChangeSource::Merge)), "{found:?}");
    assert_eq!(of("transact", "t"), Some((ChangeAction::Upsert, ChangeSource::Merge)), "{found:?}");
    assert_eq!(of("transact", "late"), Some((ChangeAction::Upsert, ChangeSource::Legacy)), "{found:?}");
    a.records.put("transact", [data(&invoice.replace('{', r#"{"comment":"mine","#))]).expect("stored");
    assert_eq!(changes(&mut watch)[0].3, ChangeSource::Host, "an edit after it is no merge");
}

#[test]
fn a_row_that_is_only_logged_again_is_no_change_and_a_removal_is_one() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let site = central.new_site("north");
        site.sync();
        let replica = Replica::with_storage(site.storage.clone());
        site.records.put("asset", [asset("a", "STORE_north", "of the site")]).expect("stored");
        site.sync();
        let mut watch = replica.watch().expect("reads");
        let again = replica.support().resend(&ResendFilter::default(), "a test").expect("sent again");
        assert_eq!((again.records, ids(&mut watch).len()), (1, 0));

        let location = data(r#"{"ID":"d","code":"shelf"}"#);
        replica.write(|txn| txn.local_only().put("Location", [location])).expect("stored");
        assert_eq!(ids(&mut watch), ["d"]);
        replica.records().delete("Location", "d").expect("deleted");
        let removed = ("Location".to_owned(), "d".to_owned(), ChangeAction::Delete, ChangeSource::Host);
        assert_eq!(changes(&mut watch), [removed]);
    }
}

#[test]
fn a_restored_backup_is_reported_to_whom_it_undoes_something() {
    let storage = Arc::new(MemoryStorage::new());
    let replica = Replica::with_storage(storage.clone());
    replica.site_registry().expect("a central database");
    replica.records().of().put(&class("a", "before")).expect("stored");
    let (mut early, backup) = (replica.watch().expect("reads"), storage.backup());
    replica.records().of().put(&class("b", "lost")).expect("stored");
    let mut late = replica.watch().expect("reads");
    storage.restore(&backup);
    replica.records().of().put(&class("c", "after")).expect("stored");
    assert_eq!(ids(&mut early), ["c"], "it has seen nothing that is lost");
    assert!(late.changes().expect("reads").expect("news").restored);
    replica.records().of().put(&class("d", "later")).expect("stored");
    assert_eq!(ids(&mut late), ["d"]);
}

#[test]
fn the_answer_to_a_query_is_reported_at_once_and_whenever_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Replica::open(folder.path().join("a.sqlite")).unwrap();
    let (replica, other) = (open(), open());
    replica.site_registry().unwrap();
    let names = |answer: Option<Vec<AssetClass>>| answer.map(|all| all.into_iter().map(|class| class.name).collect());
    let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let query = Query::new().contains("name", "c").order_by("name").limit(2);
    let mut documents = replica.watch_documents("asset_class", query.clone()).unwrap();
    let mut watch = replica.watch_query::<AssetClass>(query).unwrap();
    assert_eq!(names(watch.changes().unwrap()), some(&[]));
    assert_eq!(names(watch.changes().unwrap()), None);
    other.records().of().put(&class("1", "cold")).unwrap();
    assert_eq!(names(watch.wait(Duration::from_secs(30)).unwrap()), some(&["cold"]), "by another writer of the file");
    // What is not in the answer, of this type and of others, is no news.
    replica.records().of().put(&class("2", "warm")).unwrap();
    replica.records().of().put(&class("3", "freezer")).unwrap();
    replica.records().put("asset_category", [data(r#"{"id":"c","name":"cc","class_id":"1"}"#)]).unwrap();
    assert_eq!(names(watch.changes().unwrap()), None);
    replica.records().of().put(&class("3", "ice")).unwrap();
    replica.records().of().put(&class("4", "cool")).unwrap();
    assert_eq!(names(watch.changes().unwrap()), some(&["cold", "cool"]), "both changes at once, and the page is full");
    other.records().of().put(&class("1", "dry")).unwrap();
    assert_eq!(names(watch.changes().unwrap()), some(&["cool", "ice"]));
    assert_eq!(names(watch.wait(Duration::from_millis(20)).unwrap()), None);
    let of_documents = documents.changes().unwrap().unwrap();
    let ids: Vec<_> = of_documents.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!((ids, of_documents[1].1.as_str().contains("ice")), (vec!["4", "3"], true));
    assert!(documents.changes().unwrap().is_none());
    let mut unknown = replica.watch_query::<AssetClass>(Query::new().is("colour", "red")).unwrap();
    for _ in 0..2 {
        assert_eq!(unknown.changes().unwrap_err().code(), "bad_input");
    }
}

#[test]
fn a_misspelled_table_is_refused_instead_of_waiting_for_ever() {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    replica.site_registry().expect("a central database");
    let mut watch = replica.watch().expect("reads").only(["asset", "asset_clas"]);
    for found in [watch.changes(), watch.wait(Duration::from_millis(10))] {
        assert!(matches!(&found, Err(Error::UnknownTable { table, .. }) if table == "asset_clas"), "{found:?}");
    }
    let mut documents = replica.watch_documents("asset_clas", Query::new()).expect("nothing is asked yet");
    assert!(matches!(documents.changes(), Err(Error::UnknownTable { .. })));
    // What the legacy server sends has no record type, and is watched all the same.
    assert_eq!(replica.watch().expect("reads").only(["item", "Location", "store"]).changes().expect("known"), None);
}
