//! Isolation, atomicity, and who waits for whom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::{Make, change, data, put, read, write};
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::Action;
use sync_core::record::{Cursor, Query, SiteId};
use sync_core::storage::{Incoming, Source, Storage, WriteTxn};
use sync_core::{Error, Replica};

/// How long a clause waits for something that must not happen.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

fn write_of_everything(txn: &dyn WriteTxn) {
    txn.put_record(&data("{}"), &change("asset", "x")).unwrap();
    txn.append_change(&change("asset", "left"), None).unwrap();
    txn.set_state("key", "value").unwrap();
    let now = Timestamp::from_unix_millis(0);
    let incoming = Incoming {
        source: Source::Central,
        table: "asset".into(),
        id: "staged".into(),
        action: Action::Update,
        data: data("{}"),
        cursor: None,
        known: Default::default(),
        quarantine: None,
    };
    txn.stage(&incoming, now).unwrap();
    txn.note_pushed(SiteId(2), &"asset".into(), &"x".into(), Cursor(3)).unwrap();
}

/// A query of a storage reads the records by [`RecordReads::records`](sync_core::storage::RecordReads::records), and finds dates in every spelling
/// that a server may send.
pub fn a_query_compares_dates_by_their_moment(make: Make<'_>) {
    let storage = make();
    for (id, at) in [("a", "2026-01-01T00:00:00"), ("b", "2026-1-1T00:00:00.000"), ("c", "2026-01-01T00:00:00.25")] {
        let asset = data(&format!(r#"{{"id":"{id}","created_datetime":"{at}"}}"#));
        write(&storage, |txn| txn.put_record(&asset, &change("asset", id)).unwrap());
    }
    let records = Replica::with_storage(storage).records();
    let found = |query: Query| {
        let found = records.find("asset", &query).unwrap();
        found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(Query::new().is("created_datetime", "2026-01-01")), ["a", "b"]);
    assert_eq!(found(Query::new().at_least("created_datetime", "2026-01-01T00:00:00.250")), ["c"]);
    assert_eq!(found(Query::new().order_by("created_datetime")), ["a", "b", "c"]);
    assert_eq!(records.find("asset", &Query::new().is("created_datetime", "soon")).unwrap_err().code(), "bad_input");
}

/// How much of [`write_of_everything`] is there, as a number for each kind.
fn seen(storage: &dyn Storage) -> [usize; 5] {
    let txn = storage.read().unwrap();
    [
        txn.record_counts().unwrap().len(),
        usize::try_from(txn.last_cursor().unwrap().0).unwrap(),
        txn.state("key").unwrap().iter().count(),
        txn.staged_tables(Source::Central).unwrap().len(),
        txn.pushed_at(SiteId(2), &"asset".into(), &"x".into()).unwrap().iter().count(),
    ]
}

/// A write that is dropped leaves nothing, and is seen by nobody while it is open; readers do not wait for it.
pub fn a_dropped_write_leaves_nothing(make: Make<'_>) {
    let storage = make();
    let txn = storage.write().unwrap();
    write_of_everything(txn.as_ref());
    assert_eq!(seen(storage.as_ref()), [0; 5], "while it is open");
    drop(txn);
    assert_eq!(seen(storage.as_ref()), [0; 5], "after it was dropped");
    write(&storage, write_of_everything);
    assert_eq!(seen(storage.as_ref()), [1, 2, 1, 1, 1], "the next one is not hindered");
}

/// A commit takes effect as a whole: no reader sees a part of it.
pub fn a_commit_takes_effect_as_a_whole(make: Make<'_>) {
    let storage = make();
    let ended = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 1..=30 {
                write(&storage, |txn| {
                    txn.set_state("first", &n.to_string()).unwrap();
                    txn.put_record(&data(&n.to_string()), &change("asset", "x")).unwrap();
                    txn.set_state("last", &n.to_string()).unwrap();
                });
            }
            ended.store(true, Ordering::SeqCst);
        });
        loop {
            let is_last_look = ended.load(Ordering::SeqCst);
            let txn = storage.read().unwrap();
            let first = txn.state("first").unwrap();
            let record = txn.record(&"asset".into(), &"x".into()).unwrap();
            assert_eq!(record.map(|data| data.as_str().to_owned()), first);
            assert_eq!(txn.state("last").unwrap(), first);
            if is_last_look {
                assert_eq!(first.as_deref(), Some("30"));
                break;
            }
        }
    });
}

/// A reader sees one state from its first look on, whatever is committed meanwhile; the next reader sees the new one.
pub fn a_reader_sees_one_state_while_a_writer_commits(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| txn.set_state("key", "old").unwrap());
    let reader = storage.read().unwrap();
    assert_eq!(reader.state("key").unwrap().as_deref(), Some("old"));
    write(&storage, |txn| {
        txn.set_state("key", "new").unwrap();
        write_of_everything(txn);
    });
    assert_eq!(reader.state("key").unwrap().as_deref(), Some("old"));
    assert!(reader.record_counts().unwrap().is_empty(), "what it had not looked at is of the same state");
    assert_eq!(reader.last_cursor().unwrap(), Cursor(0));
    assert!(read(&storage, |txn| txn.has_record(&"asset".into(), &"x".into()).unwrap()), "a second reader");
    drop(reader);
    assert_eq!(read(&storage, |txn| txn.state("key").unwrap()).as_deref(), Some("value"));
}

/// A write sees what it wrote itself.
pub fn a_write_sees_its_own_writes(make: Make<'_>) {
    let storage = make();
    let txn = storage.write().unwrap();
    let cursor = txn.put_record(&data("1"), &change("asset", "x")).unwrap();
    assert_eq!(txn.record(&"asset".into(), &"x".into()).unwrap(), Some(data("1")));
    assert_eq!(txn.last_cursor().unwrap(), cursor);
    txn.remove_record(&change("asset", "x")).unwrap();
    assert!(!txn.has_record(&"asset".into(), &"x".into()).unwrap());
    txn.set_state("key", "1").unwrap();
    txn.set_state("key", "2").unwrap();
    assert_eq!(txn.state("key").unwrap().as_deref(), Some("2"));
}

/// Writers come one after the other: a second one waits until the first ends, and sees what it committed.
pub fn writers_come_one_after_the_other(make: Make<'_>) {
    let storage = make();
    let first = storage.write().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let second = storage.write().unwrap();
            tell.send(second.state("key").unwrap()).unwrap();
        });
        assert!(told.recv_timeout(LONG_ENOUGH).is_err(), "the second waits");
        first.set_state("key", "of the first").unwrap();
        first.commit().unwrap();
        assert_eq!(told.recv().unwrap().as_deref(), Some("of the first"));
    });
    let add_to_counter = || {
        for _ in 0..10 {
            write(&storage, |txn| {
                let count: u32 = txn.state("counter").unwrap().map_or(0, |text| text.parse().unwrap());
                txn.set_state("counter", &(count + 1).to_string()).unwrap();
            });
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(add_to_counter);
        }
    });
    let counter = read(&storage, |txn| txn.state("counter").unwrap());
    assert_eq!(counter.as_deref(), Some("30"), "no update is lost");
}

/// A thread that has a writer is refused a second one at once, instead of waiting for itself; other storages do not concern
/// it, and after the first it writes again.
pub fn a_thread_that_writes_gets_no_second_writer(make: Make<'_>) {
    let storage = make();
    for end in [|txn: Box<dyn WriteTxn + '_>| drop(txn), |txn: Box<dyn WriteTxn + '_>| txn.commit().unwrap()] {
        let first = storage.write().unwrap();
        let refused = storage.write().err().expect("the thread writes already");
        assert_eq!(refused.code(), "bad_input");
        assert!(storage.read().is_ok() && make().write().is_ok());
        first.set_state("key", "of the first").unwrap();
        end(first);
        drop(storage.write().unwrap());
    }
    assert_eq!(read(&storage, |txn| txn.state("key").unwrap()).as_deref(), Some("of the first"));
}

/// The lock of the cycle is held once, is refused to a second at once, and is given back when it is dropped. It hinders
/// no transaction.
pub fn the_cycle_lock_is_held_once_and_given_back(make: Make<'_>) {
    let storage = make();
    for _ in 0..2 {
        let lock = storage.lock_cycle().unwrap();
        let refused = storage.lock_cycle().expect_err("it is held");
        assert!(matches!(refused, Error::CycleRunning { .. }), "{refused}");
        put(&storage, &change("asset", "x"));
        drop(lock);
    }
    let other = make();
    let _lock = storage.lock_cycle().unwrap();
    other.lock_cycle().expect("another storage has a lock of its own");
}
