//! Records as values of Rust types, and edits that nothing comes between; over both storages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sync_core::record::{Asset, AssetClass, RecordData, RecordId, TableName};
use sync_core::storage::MemoryStorage;
use sync_core::{Error, NoopObserver, Replica, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, asset, put_unchecked};

const STORED: &str = r#"{"id":"a","notes":"0","created_datetime":"2026-11-23T08:00:00",
    "modified_datetime":"2026-11-23T08:00:00","of a later version":{"kept":[1]}}"#;

/// Central databases that hold one asset, one for each storage.
fn each(check: impl Fn(&Replica, &RecordId)) {
    let folder = tempfile::tempdir().expect("a folder");
    let replicas = [
        Replica::with_storage(Arc::new(MemoryStorage::new())),
        Replica::open(folder.path().join("central.sqlite")).expect("opens"),
    ];
    for replica in replicas {
        replica.site_registry().expect("a central database");
        replica.records().put("asset", [RecordData::parse(STORED).expect("JSON")]).expect("stored");
        check(&replica, &RecordId::new("a"));
    }
}

fn notes(replica: &Replica, id: &RecordId) -> String {
    let asset = replica.records().of::<Asset>().get(id).expect("reads").expect("is here");
    asset.notes.expect("notes")
}

fn stored(replica: &Replica, id: &RecordId) -> serde_json::Value {
    let data = replica.records().get(TableName::from("asset"), id).expect("reads").expect("is here");
    serde_json::from_str(data.as_str()).expect("JSON")
}

#[test]
fn a_typed_edit_keeps_the_keys_that_this_version_does_not_know() {
    each(|replica, id| {
        let records = replica.records();
        let mut asset = records.of::<Asset>().get(id).expect("reads").expect("is here");
        asset.notes = Some("by put".to_owned());
        records.of().put(&asset).expect("stored");
        assert_eq!(stored(replica, id)["notes"], "by put");
        assert_eq!(stored(replica, id)["of a later version"]["kept"][0], 1);

        let edit = |asset: &mut Asset| {
            asset.notes = Some("by update".to_owned());
            Ok(())
        };
        records.of().update(id, edit).expect("stored");
        assert_eq!(stored(replica, id)["notes"], "by update");
        assert_eq!(stored(replica, id)["of a later version"]["kept"][0], 1);
    });
}

#[test]
fn typed_records_are_listed_and_deleted() {
    each(|replica, id| {
        let records = replica.records();
        assert_eq!(records.of::<Asset>().list(None, 10).expect("reads").len(), 1);
        assert!(records.of::<AssetClass>().list(None, 10).expect("reads").is_empty());
        assert!(records.of::<AssetClass>().get(id).expect("reads").is_none());
        records.of::<Asset>().delete(id).expect("deleted");
        let marked = records.of::<Asset>().get(id).expect("reads").expect("an asset is marked, not removed");
        assert!(marked.deleted_datetime.is_some());
    });
}

#[test]
fn an_edit_that_fails_or_panics_writes_nothing() {
    each(|replica, id| {
        let records = replica.records();
        let failed = records.of().update(id, |asset: &mut Asset| {
            asset.notes = Some("lost".to_owned());
            Err(Error::bad_input("not today"))
        });
        assert_eq!(failed.expect_err("fails").code(), "bad_input");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            records.of().update(id, |_: &mut Asset| std::panic::resume_unwind(Box::new("the host's own fault")))
        }));
        assert!(panicked.is_err());
        let moved = records.of().update(id, |asset: &mut Asset| {
            asset.id = "b".into();
            Ok(())
        });
        assert!(matches!(moved, Err(Error::InvalidRecord { .. })), "{moved:?}");
        assert!(records.of::<Asset>().get("b").expect("reads").is_none());
        let missing = records.of().update("b", |_: &mut Asset| Ok(()));
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        assert_eq!(notes(replica, id), "0");
        // The database is as usable as before.
        records.of().update(id, |_: &mut Asset| Ok(())).expect("stored");
    });
}

#[test]
fn no_edit_is_lost_to_another_at_the_same_time() {
    each(|replica, id| {
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..10 {
                        let count = |asset: &mut Asset| {
                            let so_far: u32 = asset.notes.as_deref().and_then(|n| n.parse().ok()).expect("a number");
                            asset.notes = Some((so_far + 1).to_string());
                            Ok(())
                        };
                        replica.records().of().update(id, count).expect("stored");
                    }
                });
            }
        });
        assert_eq!(notes(replica, id), "40");
    });
}

/// A pull that begins while the app edits a record comes after the edit, as a whole: it meets the edit, and names the conflict. Between
/// reading and writing it would be overwritten unseen.
#[test]
fn no_pull_comes_between_the_reading_and_the_writing_of_an_edit() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let north = central.new_site("north");
        north.sync();
        north.records.put("asset", [asset("a", "STORE_north", "first")]).expect("stored");
        north.sync();
        central.records.put("asset", [asset("a", "STORE_north", "of central")]).expect("stored");
        let replica = Replica::with_storage(north.storage.clone());
        let assets = replica.records().of::<Asset>();
        let report = std::thread::scope(|threads| {
            let mut pull = None;
            let edit = |asset: &mut Asset| {
                let begun = threads.spawn(|| north.site.sync(&SyncOptions::default().pull_only(), &mut NoopObserver));
                std::thread::sleep(Duration::from_millis(300));
                assert!(!begun.is_finished(), "it waits for the edit");
                let here = assets.get("a")?.and_then(|asset| asset.notes);
                assert_eq!((here.as_deref(), asset.notes.as_deref()), (Some("first"), Some("first")));
                asset.notes = Some("edited".to_owned());
                pull = Some(begun);
                Ok(())
            };
            assets.update("a", edit).expect("stored");
            pull.expect("it began").join().expect("no panic").expect("a cycle")
        });
        assert_eq!((report.error.as_ref().map(Error::code), report.kept_local), (None, 1), "{report:?}");
        assert_eq!(assets.get("a").expect("reads").and_then(|asset| asset.notes).as_deref(), Some("edited"));
        let conflicts = replica.conflicts().expect("reads");
        let theirs: Option<Asset> = conflicts[0].received_as();
        assert_eq!(theirs.and_then(|asset| asset.notes).as_deref(), Some("of central"), "nothing of it is lost");
    }
}

#[test]
fn a_record_that_cannot_be_read_as_its_type_is_told_with_what_helps_a_reader() {
    each(|replica, id| {
        let damaged = RecordData::parse(r#"{"id":"a","notes":5}"#).expect("JSON");
        put_unchecked(replica.storage().as_ref(), "asset", "a", &damaged);
        let error = replica.records().of::<Asset>().get("a").expect_err("a number");
        assert_eq!(error.code(), "invalid_record");
        assert!(error.advice().contains("If it was read:"), "{}", error.advice());
        // As the advice says.
        assert_eq!(replica.records().get("asset", id).expect("a document"), Some(damaged));
        replica.records().put("asset", [RecordData::parse(STORED).expect("JSON")]).expect("stored");
        assert!(replica.records().of::<Asset>().get("a").expect("reads").is_some());
    });
}
