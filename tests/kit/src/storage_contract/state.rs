//! Settings and the sync log.

use super::{Make, read, write};
use sync_core::clock::Timestamp;
use sync_core::storage::{LogEntry, LoggedError};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn entry(n: i64) -> LogEntry {
    LogEntry {
        started_at: at(n),
        finished_at: at(n + 1),
        outcome: "done".to_owned(),
        error: None,
        report: serde_json::json!({ "pulled": n }),
    }
}

/// A setting reads back as it was written last; one that was never written is none.
pub fn settings_are_kept_by_key(make: Make<'_>) {
    let storage = make();
    let get = |key: &str| read(&storage, |txn| txn.state(key).unwrap());
    assert_eq!(get("key"), None);
    for value in ["one", "", "it's \"é\"\n"] {
        write(&storage, |txn| txn.set_state("key", value).unwrap());
        assert_eq!(get("key").as_deref(), Some(value));
    }
    assert_eq!((get("KEY"), get("other")), (None, None));
}

/// The log is read newest first and keeps a thousand entries.
pub fn the_log_is_newest_first_and_keeps_a_thousand(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| (0..1003).for_each(|n| txn.add_log(&entry(n)).unwrap()));
    // The clock of a clinic may go back: the order is that of writing.
    write(&storage, |txn| txn.add_log(&entry(5)).unwrap());
    read(&storage, |txn| {
        assert_eq!(txn.log(3).unwrap(), [entry(5), entry(1002), entry(1001)]);
        let all = txn.log(usize::MAX).unwrap();
        assert_eq!((all.len(), &all[999]), (1000, &entry(4)));
        assert!(txn.log(0).unwrap().is_empty());
    });
}

/// All that an entry of the log says reads back as it was written.
pub fn a_log_entry_reads_back_as_it_was_written(make: Make<'_>) {
    let storage = make();
    let text = str::to_owned;
    let full = LogEntry {
        outcome: text("failed"),
        error: Some(LoggedError {
            code: text("unreachable"),
            class: text("retry"),
            message: text("it's \"é\""),
            advice: text("wait"),
            causes: vec![text("a"), text("b")],
        }),
        report: serde_json::json!({ "steps": [{ "name": "push" }], "error": null }),
        ..entry(1_700_000_000_123)
    };
    write(&storage, |txn| txn.add_log(&full).unwrap());
    assert_eq!(read(&storage, |txn| txn.log(1).unwrap()), [full]);
}
