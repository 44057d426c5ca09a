//! A storage that outlives its process still has its committed state when it is opened again.

use super::{Open, all_changes, change, data, deletion, put, read, write};
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::Action;
use sync_core::storage::{Incoming, Source, StagedKind};

fn staged(id: &str) -> Incoming {
    Incoming {
        source: Source::Central,
        table: "asset".into(),
        id: id.into(),
        action: Action::Update,
        data: data("{}"),
        cursor: None,
        known: Default::default(),
        quarantine: None,
    }
}

/// Committed data are there when the storage is opened again.
pub fn what_was_committed_is_there_after_reopening(open: Open<'_>) {
    let storage = open();
    write(&storage, |txn| {
        txn.put_record(&data("1"), &change("asset", "x")).unwrap();
        txn.append_change(&change("asset", "left"), None).unwrap();
        txn.stage(&staged("s"), Timestamp::from_unix_millis(0)).unwrap();
        txn.set_state("key", "value").unwrap();
    });
    let before = all_changes(&storage);
    drop(storage);
    let storage = open();
    assert_eq!(all_changes(&storage), before);
    read(&storage, |txn| {
        assert_eq!(txn.record(&"asset".into(), &"x".into()).unwrap(), Some(data("1")));
        assert_eq!(txn.staged_tables(Source::Central).unwrap().len(), 1);
        assert_eq!(txn.state("key").unwrap().as_deref(), Some("value"));
    });
}

/// Uncommitted data are not there, and the lock of the cycle is free.
pub fn what_was_not_committed_is_not(open: Open<'_>) {
    let storage = open();
    let lock = storage.lock_cycle().unwrap();
    let txn = storage.write().unwrap();
    txn.put_record(&data("{}"), &change("asset", "x")).unwrap();
    drop(txn);
    drop(lock);
    drop(storage);
    let storage = open();
    assert!(all_changes(&storage).is_empty());
    storage.lock_cycle().expect("nobody holds it");
}

/// Cursors and sequences continue, even if the newest rows are gone.
pub fn cursors_and_sequences_go_on_after_reopening(open: Open<'_>) {
    let storage = open();
    put(&storage, &change("asset", "x"));
    let newest = write(&storage, |txn| txn.remove_record(&deletion(&change("asset", "x"))).unwrap());
    let sequence = write(&storage, |txn| {
        txn.stage(&staged("s"), Timestamp::from_unix_millis(0)).unwrap();
        let rows = txn.staged(Source::Central, &"asset".into(), StagedKind::Upserts, 0, 1).unwrap();
        txn.settle(&[rows[0].sequence]).unwrap();
        rows[0].sequence
    });
    drop(storage);
    let storage = open();
    assert_eq!(read(&storage, |txn| txn.last_cursor().unwrap()), newest);
    assert!(put(&storage, &change("asset", "x")) > newest);
    write(&storage, |txn| txn.stage(&staged("s"), Timestamp::from_unix_millis(0)).unwrap());
    let rows = read(&storage, |txn| txn.staged(Source::Central, &"asset".into(), StagedKind::Upserts, 0, 1).unwrap());
    assert!(rows[0].sequence > sequence);
}
