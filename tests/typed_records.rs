//! Records as values of Rust types, and edits that nothing comes between; over both storages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sync_core::record::{Asset, AssetClass, RecordData, RecordId, TableName};
use sync_core::storage::MemoryStorage;
use sync_core::{Error, Replica};

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
