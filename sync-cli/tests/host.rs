//! A host app over the same file as the program: while thousands of records come in, it reads and writes between.
//!
//! No clock is asked. The cursor of a write says between which transactions of the program it went: cursors grow in the
//! order of commits, and all that one transaction of the program writes bears the same time.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sync_core::central::InProcess;
use sync_core::record::{Cursor, RecordData};
use sync_core::storage::{Selection, SqliteStorage, Storage};
use sync_core::transport::HttpTransport;
use sync_core::{NoopObserver, Records, Replica, SyncOptions};

use self::support::{Desk, Said, Server};

/// So many records of two kilobytes make several batches in either direction.
const COUNT: usize = 12_000;
const STORE: &str = "STORE_of_the_clinic";

/// A central that knows a site with a store, and the site.
fn world() -> (Desk, Server) {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", STORE];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    let server = desk.serve("central.sqlite");
    desk.run(&["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"]).ends(0);
    (desk, server)
}

fn open(desk: &Desk, db: &str) -> (Arc<SqliteStorage>, Records) {
    let storage = Arc::new(SqliteStorage::open_existing(desk.path(db)).expect("a database"));
    (storage.clone(), Replica::with_storage(storage).records())
}

fn fill(records: &Records) {
    let at = "2026-11-23T08:00:00";
    let asset = |n| {
        let text = format!("{n}").repeat(2000 / format!("{n}").len());
        serde_json::json!({
            "id": format!("asset-{n}"), "store_id": STORE, "notes": text, "created_datetime": at, "modified_datetime": at,
        })
    };
    records.put("asset", (0..COUNT).map(|n| RecordData::of(&asset(n)))).expect("records");
}

/// The place of a host's write: after everything that was there when it was called, and before everything with a higher
/// cursor.
struct ChangeHistory {
    called_after: Cursor,
    id: String,
}

/// Writes, and reads its writes back, while `runs` returns true.
fn host(storage: &SqliteStorage, records: &Records, mut runs: impl FnMut() -> bool) -> Vec<ChangeHistory> {
    let mut written = Vec::new();
    while runs() {
        let id = format!("said-{}", written.len());
        let called_after = storage.read().and_then(|txn| txn.last_cursor()).expect("reading");
        let content = serde_json::json!({
            "id": id, "type": "Migration", "sync_site_id": null, "datetime": "2026-11-23T08:00:00", "message": null,
            "is_error": false,
        });
        let put = records.put("system_log", [RecordData::of(&content)]);
        put.unwrap_or_else(|error| panic!("the host's write {id} failed [{}]: {error}", error.code()));
        let found = records.get("system_log", id.as_str()).expect("reading");
        assert_eq!(found, Some(RecordData::of(&content)), "it reads what it wrote");
        written.push(ChangeHistory { called_after, id });
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    written
}

/// The host's writes among the transactions in which the program wrote records.
#[derive(Debug)]
struct Between {
    transactions: usize,
    /// The gaps between two of them in which the host has written.
    used: usize,
    /// The most transactions for which a write of the host waited.
    overtaken: usize,
}

fn between(storage: &SqliteStorage, written: &[ChangeHistory]) -> Between {
    let rows =
        storage.read().and_then(|txn| txn.changes(&Selection::All, Cursor(0), usize::MAX)).expect("the changelog");
    let mut transactions: BTreeMap<i64, Range<Cursor>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.change.table.as_str() == "asset" && row.change.is_sync_update) {
        let range = transactions.entry(row.change.changed_at.unix_millis()).or_insert(row.cursor..row.cursor);
        range.end = row.cursor;
    }
    let host: BTreeMap<&str, Cursor> = rows
        .iter()
        .filter(|row| row.change.table.as_str() == "system_log")
        .map(|row| (row.change.id.as_str(), row.cursor))
        .collect();
    assert_eq!(host.len(), written.len(), "every write has its row");
    let ranges: Vec<_> = transactions.into_values().collect();
    for cursor in host.values() {
        assert!(ranges.iter().all(|range| !range.contains(cursor)), "a transaction is whole");
    }
    let used = ranges.windows(2).filter(|two| host.values().any(|c| two[0].end < *c && *c < two[1].start)).count();
    let overtaken = written.iter().map(|write| {
        let went = write.called_after..host[write.id.as_str()];
        ranges.iter().filter(|range| went.contains(&range.end)).count()
    });
    Between { transactions: ranges.len(), used, overtaken: overtaken.max().unwrap_or(0) }
}

/// Demands that the host has written in most of the gaps between transactions of the program.
fn assert_between(what: &str, between: &Between) {
    let Between { transactions, used, overtaken } = between;
    println!("{what}: {transactions} transactions, {used} places between them used, {overtaken} went before a write");
    assert!(*transactions >= 5, "{what}: {between:?}");
    // Not in all: the system may let the host sleep through one.
    assert!(2 * used >= transactions - 1, "{what}: {between:?}");
}

#[test]
fn a_host_in_another_process_writes_between_the_batches_of_a_pull() {
    let (desk, _server) = world();
    fill(&open(&desk, "central.sqlite").1);
    let (storage, records) = open(&desk, "oms-sync.sqlite");
    let mut child = desk.spawn(&["sync", "--json", "-q"]);
    let written = host(&storage, &records, || child.try_wait().expect("it is ours").is_none());
    Said::by(child).ends(0);
    assert_between("pull, host in another process", &between(&storage, &written));
}

#[test]
fn a_host_in_the_same_process_writes_between_the_batches_of_a_pull() {
    let (desk, _server) = world();
    fill(&open(&desk, "central.sqlite").1);
    let (storage, records) = open(&desk, "oms-sync.sqlite");
    let site = Replica::with_storage(storage.clone()).site(Arc::new(HttpTransport::default()));
    let cycle = std::thread::spawn(move || site.sync(&SyncOptions::default(), &mut NoopObserver));
    let written = host(&storage, &records, || !cycle.is_finished());
    let report = cycle.join().expect("it ends").expect("a cycle");
    assert!(report.error.is_none(), "{report:?}");
    assert_between("pull, host in the same process", &between(&storage, &written));
}

#[test]
fn a_host_writes_while_central_integrates_a_push() {
    let (desk, _server) = world();
    desk.run(&["sync", "-q"]).ends(0);
    fill(&open(&desk, "oms-sync.sqlite").1);
    let (storage, records) = open(&desk, "central.sqlite");
    let mut child = desk.spawn(&["sync", "--json", "-q"]);
    let written = host(&storage, &records, || child.try_wait().expect("it is ours").is_none());
    let report = Said::by(child).ends(0).json();
    assert_eq!(report["pushed"], COUNT, "{report}");
    assert_between("integration at central, host in another process", &between(&storage, &written));
}

#[test]
fn a_host_in_the_same_process_writes_while_central_integrates_a_push() {
    let (desk, server) = world();
    desk.run(&["sync", "-q"]).ends(0);
    fill(&open(&desk, "oms-sync.sqlite").1);
    server.stop().ends(0);
    let (storage, records) = open(&desk, "central.sqlite");
    let central = Arc::new(Replica::with_storage(storage.clone()).stand_alone_central());
    let (at_site, _) = open(&desk, "oms-sync.sqlite");
    let line = Arc::new(InProcess::new(central));
    let site = Replica::with_storage(at_site).site(line);
    let cycle = std::thread::spawn(move || site.sync(&SyncOptions::default(), &mut NoopObserver));
    let written = host(&storage, &records, || !cycle.is_finished());
    let report = cycle.join().expect("it ends").expect("a cycle");
    assert!(report.error.is_none() && report.pushed == COUNT as u64, "{report:?}");
    assert_between("integration at central, host in the same process", &between(&storage, &written));
}
