//! The state of files.

use super::{Make, read, write};
use sync_core::clock::Timestamp;
use sync_core::record::RecordId;
use sync_core::storage::{FileDirection, FileEntry, FileState};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn file(id: &str, next_at: Option<i64>) -> FileEntry {
    FileEntry {
        id: id.into(),
        table: "asset".into(),
        record_id: "a".into(),
        direction: FileDirection::Download,
        state: FileState::Waiting,
        bytes: None,
        sha256: None,
        etag: None,
        attempts: 0,
        next_at: next_at.map(at),
        reason: None,
        changed_at: at(0),
    }
}

fn ids(files: Vec<FileEntry>) -> Vec<String> {
    files.into_iter().map(|file| file.id.to_string()).collect()
}

/// All facts about a file are read as they were last written, in every state; and they go when it is removed.
pub fn a_file_reads_back_as_it_was_written_last(make: Make<'_>) {
    let storage = make();
    let id = RecordId::from("it's \"é\"");
    assert_eq!(read(&storage, |txn| txn.file(&id).unwrap()), None);
    for (n, state) in FileState::ALL.into_iter().enumerate() {
        let full = FileEntry {
            direction: if n % 2 == 0 { FileDirection::Upload } else { FileDirection::Download },
            state,
            bytes: Some(n as u64 + (1 << 40)),
            sha256: Some("ab".repeat(32)),
            etag: Some("\"x:1\"".to_owned()),
            attempts: u32::MAX,
            reason: Some("it's \"é\"\n".to_owned()),
            changed_at: at(1_700_000_000_123),
            ..file(id.as_str(), Some(-5))
        };
        write(&storage, |txn| txn.put_file(&full).unwrap());
        assert_eq!(read(&storage, |txn| txn.file(&id).unwrap()), Some(full));
    }
    let bare = file(id.as_str(), None);
    write(&storage, |txn| txn.put_file(&bare).unwrap());
    assert_eq!(read(&storage, |txn| txn.files(None, usize::MAX).unwrap()), [bare]);
    write(&storage, |txn| {
        assert!(txn.remove_file(&id).unwrap());
        assert!(!txn.remove_file(&id).unwrap(), "it was not there");
    });
    assert_eq!(read(&storage, |txn| txn.files(None, 9).unwrap()), []);
}

/// Files are paged by the bytes of their ids, and found by their record.
pub fn files_are_paged_by_id_and_found_by_their_record(make: Make<'_>) {
    let storage = make();
    let of_another = FileEntry { record_id: "b".into(), ..file("f", None) };
    let of_a_namesake = FileEntry { table: "asset_log".into(), ..file("g", None) };
    write(&storage, |txn| {
        for file in [&file("b", None), &of_another, &file("a", None), &file("B", None), &of_a_namesake] {
            txn.put_file(file).unwrap();
        }
    });
    read(&storage, |txn| {
        let page = |after: Option<&str>, limit| ids(txn.files(after.map(RecordId::from).as_ref(), limit).unwrap());
        assert_eq!(page(None, 3), ["B", "a", "b"]);
        assert_eq!(page(Some("b"), 3), ["f", "g"]);
        assert_eq!((page(Some("g"), 3), page(None, 0)), (vec![], vec![]));
        assert_eq!(ids(txn.files_of(&"asset".into(), &"a".into()).unwrap()), ["B", "a", "b"]);
        assert_eq!(ids(txn.files_of(&"asset".into(), &"b".into()).unwrap()), ["f"]);
        assert!(txn.files_of(&"asset".into(), &"A".into()).unwrap().is_empty());
    });
}

/// Files are counted by state; empty states are left out.
pub fn files_are_counted_by_state(make: Make<'_>) {
    let storage = make();
    assert_eq!(read(&storage, |txn| txn.file_counts().unwrap()), []);
    let states = [FileState::Done, FileState::Waiting, FileState::Done, FileState::Elsewhere];
    for (n, state) in states.into_iter().enumerate() {
        write(&storage, |txn| txn.put_file(&FileEntry { state, ..file(&n.to_string(), None) }).unwrap());
    }
    let expected = [(FileState::Waiting, 1), (FileState::Done, 2), (FileState::Elsewhere, 1)];
    assert_eq!(read(&storage, |txn| txn.file_counts().unwrap()), expected);
    write(&storage, |txn| txn.put_file(&FileEntry { state: FileState::Done, ..file("1", None) }).unwrap());
    assert_eq!(read(&storage, |txn| txn.file_counts().unwrap()), [(FileState::Done, 3), (FileState::Elsewhere, 1)]);
}

/// Due files come longest due first, without any that are not due or not to be tried.
pub fn files_that_are_due_come_longest_due_first(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| {
        for (id, next) in [("late", Some(30)), ("c", Some(20)), ("b", Some(20)), ("first", Some(-1)), ("never", None)] {
            txn.put_file(&file(id, next)).unwrap();
        }
    });
    let due = |millis, limit| read(&storage, |txn| ids(txn.files_due(at(millis), limit).unwrap()));
    assert_eq!(due(20, 9), ["first", "b", "c"]);
    assert_eq!(due(19, 9), ["first"]);
    assert_eq!(due(i64::MAX, 2), ["first", "b"]);
    assert!(due(i64::MAX, 0).is_empty());
    write(&storage, |txn| txn.put_file(&file("first", None)).unwrap());
    assert_eq!(due(i64::MAX, 9), ["b", "c", "late"]);
}
