//! The cost of a selection in steps of SQLite's machine: the same with a million rows as with ten thousand. The cost of a record
//! in statements.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use tempfile::TempDir;

use super::SqliteStorage;
use crate::central::InProcess;
use crate::protocol::PasswordHash;
use crate::record::{Cursor, RecordData, SiteId, StoreId};
use crate::storage::{MemoryStorage, Selection, Storage};
use crate::{NoopObserver, Records, Replica, Settings, SyncOptions};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static STATEMENTS: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn note(steps: i32) {
    STEPS.set(STEPS.get() + u64::from(steps.unsigned_abs()));
    STATEMENTS.set(STATEMENTS.get() + 1);
}

/// A changelog of this many rows: two fifths for everyone, two fifths of the stores, a tenth about patients, a tenth for
/// nobody. Half of the rows of stores are those of `S0`, which is of site 2; the other stores share the rest. Rows come from
/// the sites of their stores. Of the patients, `S0` and `S1` see one in a hundred, `S2` sees ten.
fn changelog(rows: i64) -> (SqliteStorage, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("central.sqlite")).unwrap();
    {
        let connection = &storage.writer.lock().connection;
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let fill = "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < ?1),
            row AS (SELECT n, n % 10 AS kind, CASE WHEN n % 20 < 10 THEN 0 ELSE n / 20 % 1000 END AS store FROM n)
            INSERT INTO sync_record (table_name, record_id, data, cursor, store_id, name_id, source_site_id,
                                     is_sync_update, audience, changed_at)
            SELECT 'asset', printf('%012d', n), '{}', n, NULL,
                   CASE kind WHEN 8 THEN 'p' || (n / 10 % 100000) END,
                   CASE WHEN kind < 8 AND n % 3 > 0 THEN 2 + store END, 1,
                   CASE WHEN kind < 4 THEN 'everyone' WHEN kind < 8 THEN 'store S' || store
                        WHEN kind = 8 THEN 'patient' END, 0
            FROM row";
        connection.execute(fill, [rows]).unwrap();
        let joins = "WITH RECURSIVE n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < 1000),
            row AS (SELECT 'p' || (n * 100) AS name, 'S' || (n % 2) AS store FROM n
                    UNION ALL SELECT 'p' || (n * 10), 'S2' FROM n WHERE n < 10)
            INSERT INTO sync_record (table_name, record_id, data, cursor, is_sync_update, changed_at, join_name, join_store)
            SELECT 'name_store_join', store || name, json_object('name_ID', name, 'store_ID', store),
                   ?1 + row_number() OVER (), 1, 0, name, store FROM row";
        connection.execute(joins, [rows]).unwrap();
        let (_, backfill) = include_str!("0002.sql").split_once("INSERT INTO sync_seen").unwrap();
        connection.execute_batch(&format!("INSERT INTO sync_seen{backfill}")).unwrap();
        connection.execute("INSERT INTO sync_state SELECT 'newest_cursor', max(cursor) FROM sync_record", ()).unwrap();
    }
    (storage, folder)
}

/// The rows and the steps of the queries of a pull.
fn batch(storage: &SqliteStorage, selection: &Selection, from: i64) -> (usize, u64) {
    let txn = storage.read().unwrap();
    STEPS.set(0);
    let from = Cursor(from.unsigned_abs());
    let rows = txn.changed_records(selection, from, 500, usize::MAX).unwrap();
    let next = rows.last().map_or(from, |(last, _)| last.cursor.next());
    if !txn.changes(selection, next, 1).unwrap().is_empty() {
        assert!(txn.count_changes(selection, from).unwrap() > rows.len() as u64);
    }
    (rows.len(), STEPS.get())
}

fn for_site(stores: &[&str], except_from: Option<i32>) -> Selection {
    let stores = stores.iter().map(|store| StoreId::from(*store)).collect();
    Selection::ForSite { stores, except_from: except_from.map(SiteId) }
}

#[test]
fn a_batch_costs_the_same_at_ten_thousand_rows_and_at_a_million() {
    const SMALL: i64 = 10_000;
    const LARGE: i64 = 1_000_000;
    let (small, large) = (changelog(SMALL), changelog(LARGE));
    let sites = [
        ("no store", for_site(&[], Some(9))),
        ("one store, first pull", for_site(&["S0"], None)),
        ("one store, initialised", for_site(&["S0"], Some(2))),
        ("three stores, first pull", for_site(&["S0", "S1", "S2"], None)),
        ("three stores, initialised", for_site(&["S0", "S1", "S2"], Some(2))),
        ("a small store, initialised", for_site(&["S7"], Some(9))),
    ];
    for (site, selection) in &sites {
        let dearest = |(storage, _): &(SqliteStorage, TempDir), rows: i64| {
            let batches = [0, rows / 4, rows / 2, rows - 200].map(|from| batch(storage, selection, from).1);
            batches.into_iter().max().unwrap()
        };
        let (few, many) = (dearest(&small, SMALL), dearest(&large, LARGE));
        assert!(many < few * 3 / 2, "{site}: {few} steps, then {many}");
        let idle = [(&small, SMALL), (&large, LARGE)].map(|((storage, _), rows)| batch(storage, selection, rows + 1));
        assert_eq!(idle[0], idle[1], "{site}: an idle one");
        assert_eq!(idle[0].0, 0);
    }
}

const STORE: &str = "STORE_A";
const AT: &str = "2026-11-23T08:00:00";

/// Writes so many assets, each with a log.
fn put(records: &Records, range: Range<u32>) {
    let asset =
        |n| format!(r#"{{"id":"{n}","store_id":"{STORE}","created_datetime":"{AT}","modified_datetime":"{AT}"}}"#);
    let log = |n| format!(r#"{{"id":"{n}","asset_id":"{n}","user_id":"u","log_datetime":"{AT}"}}"#);
    records.put("asset", range.clone().map(|n| RecordData::parse(asset(n)).unwrap())).unwrap();
    records.put("asset_log", range.map(|n| RecordData::parse(log(n)).unwrap())).unwrap();
}

/// The statements for each asset with its log that these runs of so many take more than one another.
fn statements_each(run: impl Fn(u32) -> u64) -> f64 {
    (run(150) - run(50)) as f64 / 100.0
}

/// A central server and a site that has its store, on these storages; then what `work` costs, which gets the records of both and a
/// cycle of the site.
fn cost(central: Arc<dyn Storage>, site: Arc<dyn Storage>, work: impl FnOnce(&Records, &Records, &dyn Fn())) -> u64 {
    let central = Replica::with_storage(central);
    let list = central.site_registry().unwrap();
    let password = PasswordHash::of_password("a password");
    list.add("a", &password).unwrap();
    list.add_store("A", "A", "a", Some(StoreId::from(STORE))).unwrap();
    let replica = Replica::with_storage(site);
    let site = replica.site(Arc::new(InProcess::new(Arc::new(central.stand_alone_central()))));
    let settings = Settings::new("https://central.example.org", "a", password).hardware_id("a machine".to_owned());
    site.set_up(&settings, &mut NoopObserver).unwrap();
    let cycle = || {
        let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert!(report.error.is_none() && report.quarantined + report.refused == 0, "{report:?}");
    };
    cycle();
    STATEMENTS.set(0);
    work(&central.records(), &replica.records(), &cycle);
    STATEMENTS.get()
}

fn on_disk(folder: &TempDir) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open(folder.path().join("x.sqlite")).unwrap())
}

#[test]
fn a_written_record_costs_the_question_whether_it_is_here_and_its_row() {
    let each = statements_each(|count| {
        let folder = tempfile::tempdir().unwrap();
        cost(Arc::new(MemoryStorage::new()), on_disk(&folder), |_, records, _| put(records, 0..count))
    });
    // The log asks for its asset too.
    assert_eq!(each, 2.0 + 3.0);
}

#[test]
fn a_new_record_that_a_site_pulls_costs_its_row() {
    let each = statements_each(|count| {
        let folder = tempfile::tempdir().unwrap();
        cost(Arc::new(MemoryStorage::new()), on_disk(&folder), |central, _, cycle| {
            put(central, 0..count);
            cycle();
        })
    });
    // The log asks for its asset too.
    assert_eq!(each, 1.0 + 2.0);
}

#[test]
fn a_new_record_that_a_site_pushes_costs_central_its_note_one_question_and_its_row() {
    let each = statements_each(|count| {
        let folder = tempfile::tempdir().unwrap();
        cost(on_disk(&folder), Arc::new(MemoryStorage::new()), |_, records, cycle| {
            put(records, 0..count);
            cycle();
        })
    });
    // The log asks for its asset too.
    assert_eq!(each, 3.0 + 4.0);
}
