//! The cost of a batch of 500 rows at central, by the length of its changelog and the number of its sites, in one run;
//! beside it the same batch of a site that has 2,000 of the stores, and with Open mSupply's GROUP BY over the changelog.
//!
//! `cargo bench -p sync-cli --bench selection` prints the figures for 10 thousand, 1 million and 5 million rows at 10 and
//! at 40,000 sites, which takes minutes and some gigabytes. Sizes of one's own: `-- 10000 100000`; sites too:
//! `-- 10000 100000 --sites 10 1000`.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{Selection, SqliteStorage, Storage as _};

const BATCH: usize = 500;
const ROWS_OF_A_TRANSACTION: u64 = 50_000;
/// The number of repetitions of each query; the median is printed.
const TURNS: usize = 31;
/// The stores of the site that has many; all stores where there are fewer.
const STORES: u64 = 2000;
/// The site that asks.
const SITE: SiteId = SiteId(2);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (sizes, sites) = match args.iter().position(|word| word == "--sites") {
        Some(at) => (numbers(&args[..at]), numbers(&args[at + 1..])),
        None => (numbers(&args), Vec::new()),
    };
    let sizes = if sizes.is_empty() { vec![10_000, 1_000_000, 5_000_000] } else { sizes };
    let sites = if sites.is_empty() { vec![10, 40_000] } else { sites };
    println!("A batch of {BATCH} rows, with what is left; medians in milliseconds.\n");
    println!(
        "     sites        rows      first     middle       tail       idle    steady   of {STORES} stores: middle       idle   GROUP BY: first       idle"
    );
    for sites in sites {
        let mut smallest = None;
        for rows in &sizes {
            let figures = measure(*rows, sites);
            let smallest = *smallest.get_or_insert(figures);
            print!("{sites:>10}  {rows:>10}");
            figures.ours.iter().for_each(|time| print!("  {:>9.2}", millis(*time)));
            // The ratio of the most expensive batch to that with the smallest changelog, by the quickest turn of each:
            // other work on the machine only makes turns slower.
            let dearest = |figures: &Figures| millis(figures.least.iter().copied().max().unwrap_or_default());
            print!("  {:>7.2}x", dearest(&figures) / dearest(&smallest));
            print!("  {:>22.2}  {:>9.2}", millis(figures.of_many[0]), millis(figures.of_many[1]));
            println!("  {:>16.1}  {:>9.1}", millis(figures.theirs[0]), millis(figures.theirs[1]));
        }
    }
}

fn numbers(words: &[String]) -> Vec<u64> {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[derive(Clone, Copy)]
struct Figures {
    /// First, middle and last full batch, and the answer to an idle site: the median of each.
    ours: [Duration; 4],
    /// The quickest of the three batches.
    least: [Duration; 3],
    /// The middle batch and the idle answer of a site with many stores.
    of_many: [Duration; 2],
    /// Upstream's first batch and idle answer.
    theirs: [Duration; 2],
}

fn measure(rows: u64, sites: u64) -> Figures {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("central.sqlite");
    let storage = SqliteStorage::open(&path).expect("a database");
    fill(&storage, rows, sites);
    let newest = storage.read().and_then(|txn| txn.last_cursor()).expect("a cursor").0;
    let near_the_end = last_full_batch(&storage, newest);
    let pull = |from: u64, is_initialised| turns(|| batch(&storage, from, &for_site(is_initialised)));
    let batches = [pull(0, false), pull(newest / 2, false), pull(near_the_end, true)];
    let [first, middle, tail] = batches.map(|times| times[TURNS / 2]);
    let ours = [first, middle, tail, pull(newest + 1, true)[TURNS / 2]];
    let least = batches.map(|times| times[0]);
    let stores = (0..STORES.min(sites)).map(store).collect();
    let many = Selection::ForSite { stores, except_from: Some(SITE) };
    let of_many = [newest / 2, newest + 1].map(|from| turns(|| batch(&storage, from, &many))[TURNS / 2]);
    let log = upstream(&folder.path().join("upstream.sqlite"), &path);
    let theirs = [0, newest + 1].map(|from| grouped(&log, from));
    Figures { ours, least, of_many, theirs }
}

fn for_site(is_initialised: bool) -> Selection {
    Selection::ForSite { stores: vec![store(0)], except_from: is_initialised.then_some(SITE) }
}

/// The queries of central for a pull.
fn batch(storage: &SqliteStorage, from: u64, selection: &Selection) -> usize {
    let txn = storage.read().expect("a transaction");
    let stores = txn.stores_of_site(SITE).expect("stores");
    assert_eq!(stores, [store(0)]);
    let rows = txn.changed_records(selection, Cursor(from), BATCH + 1, usize::MAX).expect("rows").len();
    if rows > BATCH {
        assert!(txn.count_changes(selection, Cursor(from)).expect("a number") >= rows as u64);
    }
    rows
}

/// The cursor from which a site that is nearly done still gets a full batch.
fn last_full_batch(storage: &SqliteStorage, newest: u64) -> u64 {
    let txn = storage.read().expect("a transaction");
    let mut back = BATCH as u64;
    loop {
        let from = newest.saturating_sub(back);
        let rows = txn.changes(&for_site(true), Cursor(from), BATCH).expect("rows").len();
        if rows == BATCH || from == 0 {
            return from;
        }
        back += back / 4;
    }
}

/// The time of each turn, the quickest first.
fn turns<T>(mut work: impl FnMut() -> T) -> [Duration; TURNS] {
    let mut times = [Duration::ZERO; TURNS];
    for time in &mut times {
        let began = now();
        std::hint::black_box(work());
        *time = began.elapsed();
    }
    times.sort_unstable();
    times
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

fn store(n: u64) -> StoreId {
    StoreId::new(format!("STORE{n:027}"))
}

fn patient(n: u64) -> NameId {
    NameId::new(format!("PATIENT{n:025}"))
}

/// Of twenty rows three are for everyone, two of them pushed by sites; twelve are of stores and pushed by their sites;
/// three are about patients; two are for nobody. Each site has a store and a hundred patients.
fn fill(storage: &SqliteStorage, rows: u64, sites: u64) {
    let mut txn = storage.write().expect("a transaction");
    for n in 0..sites.min(rows) {
        let json = format!(r#"{{"ID":"{0}","sync_id_remote_site":{1}}}"#, store(n), n + 2);
        put(txn.as_ref(), "store", store(n).as_str(), &json, Audience::Legacy, None, None);
    }
    for n in 0..100 {
        let json = format!(r#"{{"ID":"join {n}","name_ID":"{}","store_ID":"{}"}}"#, patient(n), store(0));
        put(txn.as_ref(), "name_store_join", &format!("join {n}"), &json, Audience::Nobody, None, None);
    }
    for n in 0..rows {
        if n % ROWS_OF_A_TRANSACTION == ROWS_OF_A_TRANSACTION - 1 {
            txn.commit().expect("a commit");
            txn = storage.write().expect("a transaction");
        }
        // Sites alternate, so that the rows of each are spread over the changelog.
        let at = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % sites;
        let site = SiteId(i32::try_from(at + 2).expect("not so many"));
        let id = format!("{n:08x}-0000-7000-8000-{:012x}", n.wrapping_mul(0x9e37_79b9));
        let (table, audience, name, from) = match n % 20 {
            0 => ("asset_catalogue_item", Audience::Everyone, None, None),
            7 | 14 => ("sync_file_reference", Audience::Everyone, None, Some(site)),
            3 | 9 | 17 => ("vaccination", Audience::Patient, Some(patient(at * 100 + n % 100)), Some(site)),
            5 | 11 => ("system_log", Audience::Nobody, None, Some(site)),
            _ => ("asset", Audience::Store(store(at)), None, Some(site)),
        };
        let json = format!(
            r#"{{"id":"{id}","asset_number":"A/{n}","store_id":"{}","notes":"vaccine refrigerator","serial_number":"SN-{n:08}","created_datetime":"2025-03-01T08:00:00.250","modified_datetime":"2025-03-01T08:00:00.250","properties":"{{\"temperature_class\":\"2-8\"}}","deleted_datetime":null,"needs_replacement":false}}"#,
            store(at)
        );
        put(txn.as_ref(), table, &id, &json, audience, name, from);
    }
    txn.commit().expect("a commit");
}

fn put(
    txn: &dyn sync_core::storage::WriteTxn,
    table: &str,
    id: &str,
    json: &str,
    audience: Audience,
    name: Option<NameId>,
    source_site: Option<SiteId>,
) {
    let change = NewChange {
        table: TableName::from(table),
        id: RecordId::from(id),
        action: ChangeAction::Upsert,
        store: match &audience {
            Audience::Store(store) => Some(store.clone()),
            _ => None,
        },
        name,
        source_site,
        is_sync_update: source_site.is_some(),
        audience,
        changed_at: Timestamp::from_unix_millis(1_740_816_000_000),
    };
    txn.put_record(&RecordData::parse(json).expect("JSON"), &change).expect("a record");
}

/// The same changelog as Open mSupply keeps it, with the index that its view can use.
fn upstream(path: &Path, central: &Path) -> Connection {
    let log = Connection::open(path).expect("a database");
    log.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;")
        .expect("pragmas");
    log.execute("ATTACH ?1 AS central", [central.display().to_string()]).expect("central's database");
    log.execute_batch(
        "CREATE TABLE changelog (cursor INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL,
             record_id TEXT NOT NULL, row_action TEXT NOT NULL, name_id TEXT, store_id TEXT,
             is_sync_update BOOLEAN NOT NULL, source_site_id INTEGER);
         INSERT INTO changelog SELECT cursor, table_name, record_id, 'UPSERT', name_id, store_id, is_sync_update,
             source_site_id FROM central.sync_record ORDER BY cursor;
         CREATE INDEX changelog_record ON changelog (record_id, store_id);
         CREATE TABLE name_store_join AS SELECT json_extract(data, '$.name_ID') AS name_id,
             json_extract(data, '$.store_ID') AS store_id FROM central.sync_record WHERE table_name = 'name_store_join';
         CREATE VIEW changelog_deduped AS SELECT c.* FROM changelog c
             JOIN (SELECT max(cursor) AS newest FROM changelog GROUP BY record_id, store_id) d ON d.newest = c.cursor;
         ANALYZE main;",
    )
    .expect("a changelog");
    log
}

/// Rows and count of a batch, each by its own query over the view, once: it takes seconds.
fn grouped(log: &Connection, from: u64) -> Duration {
    let condition =
        "FROM changelog_deduped WHERE cursor >= ?1 AND (source_site_id IS NULL OR source_site_id <> ?2) AND (
             table_name IN ('asset_catalogue_item', 'sync_file_reference')
             OR (table_name = 'asset' AND store_id = ?3)
             OR (table_name = 'vaccination' AND name_id IN (SELECT name_id FROM name_store_join WHERE store_id = ?3)))";
    let began = now();
    let mut rows = log.prepare(&format!("SELECT * {condition} ORDER BY cursor LIMIT {BATCH}")).expect("a query");
    let params = (i64::try_from(from).expect("a cursor"), SITE.0, store(0).as_str().to_owned());
    let found = rows.query_map(params.clone(), |row| row.get::<_, i64>(0)).expect("rows").count();
    let total: i64 =
        log.query_row(&format!("SELECT count(*) {condition}"), params, |row| row.get(0)).expect("a number");
    let time = began.elapsed();
    assert!(found as i64 <= total);
    time
}
