//! A first sync over loopback HTTP into SQLite, beside the raw insert of the same bytes, in the same run.
//!
//! `cargo bench -p sync-cli` prints the figures. The central server is the real program in a process of its own; each
//! measured part runs in a process of its own too, so that its peak of memory is its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sync_core::central::LocalSites;
use sync_core::protocol::PasswordHash;
use sync_core::record::{RecordData, StoreId, TableName};
use sync_core::storage::{SqliteStorage, Storage as _};
use sync_core::transport::HttpTransport;
use sync_core::{Clock, Records, Settings, Silent, Site, SyncOptions, SystemClock};

const SITE: &str = "bench";
const STORE: &str = "STORE_BENCH";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["part-sync", folder, url] => print_part(&sync(Path::new(folder), url)),
        ["part-raw", folder] => print_part(&raw(Path::new(folder))),
        _ => {
            let counts: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
            let counts = if counts.is_empty() { vec![10_000, 100_000] } else { counts };
            println!(
                "records   first sync      records/s   peak memory   raw insert   with a key   ratio   with a key"
            );
            counts.into_iter().for_each(compare);
        }
    }
}

fn compare(count: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fill_central(&path.join("central.sqlite"), count);
    let (mut server, url) = serve(&path.join("central.sqlite"));
    let synced = part(&["part-sync", &path.display().to_string(), &url]);
    server.kill().expect("stopping the server");
    server.wait().expect("the server ends");
    let raw = part(&["part-raw", &path.display().to_string()]);
    let number = |part: &Value, key: &str| part[key].as_f64().unwrap_or(f64::NAN);
    let seconds = number(&synced, "seconds");
    let (plain, keyed) = (number(&raw, "plain"), number(&raw, "keyed"));
    println!(
        "{count:>7}   {seconds:>8.2} s   {:>10.0}   {:>8.1} MB   {plain:>8.2} s   {keyed:>8.2} s   {:>5.1}   {:>10.1}",
        count as f64 / seconds,
        number(&synced, "peak_kb") / 1000.0,
        seconds / plain,
        seconds / keyed,
    );
}

/// Mixed types: central data, assets of the site's store with their logs, R&R lines with many fields, file references.
fn record(n: usize) -> (&'static str, Value) {
    let at = "2025-03-01T08:00:00.250";
    let asset = |n: usize| format!("asset-{:08x}-{n}", n.wrapping_mul(2_654_435_761));
    match n % 5 {
        0 => (
            "asset",
            json!({
                "id": asset(n), "asset_number": format!("A/{n}"), "store_id": STORE, "notes": "vaccine refrigerator",
                "serial_number": format!("SN-{n:08}"), "created_datetime": at, "modified_datetime": at,
                "properties": "{\"temperature_class\":\"2-8\"}", "deleted_datetime": null, "needs_replacement": false,
            }),
        ),
        1 => (
            "asset_log",
            json!({
                "id": format!("log-{n}"), "asset_id": asset(n - 1), "user_id": "0763E2E3053D4C478E1E6B6B03FEC207",
                "status": "FUNCTIONING", "comment": "checked in the morning round", "type": "STATUS_UPDATE",
                "reason_id": null, "log_datetime": at, "created_datetime": at,
            }),
        ),
        2 => (
            "sync_file_reference",
            json!({
                "id": format!("file-{n}"), "table_name": "asset", "record_id": asset(n - 2), "file_name": "photo.jpg",
                "mime_type": "image/jpeg", "total_bytes": 184_233, "created_datetime": at, "deleted_datetime": null,
            }),
        ),
        3 => ("name_oms_fields", json!({ "id": format!("name-{n}"), "properties": "{\"population\":24000}" })),
        _ => (
            "item_variant",
            json!({
                "id": format!("variant-{n}"), "name": "Vial of 10", "item_link_id": "7A1C4E2B9D034F7C8E5A61B2C3D4E5F6",
                "cold_storage_type_id": null, "deleted_datetime": null, "vvm_type": null, "created_datetime": at,
                "created_by": null, "manufacturer_id": null,
            }),
        ),
    }
}

fn fill_central(path: &Path, count: usize) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let storage = Arc::new(SqliteStorage::open(path).expect("a database"));
    let sites = LocalSites::open(storage.clone(), clock.clone()).expect("a central database");
    sites.add(SITE, &PasswordHash::of_password(SITE)).expect("a site");
    sites.add_store("Bench", "B", SITE, Some(StoreId::from(STORE))).expect("a store");
    let records = Records::new(storage, clock);
    for start in (0..count).step_by(5000) {
        for kind in 0..5 {
            let chunk = (start..count.min(start + 5000)).filter(|n| n % 5 == kind);
            let data = chunk.map(|n| RecordData::of(&record(n).1));
            records.put(record(kind.max(start) / 5 * 5 + kind).0, data).expect("records");
        }
    }
}

fn serve(db: &Path) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_oms-sync"))
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--db"])
        .arg(db)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("its address");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    (server, format!("http://{}", said["listening"].as_str().expect("an address")))
}

fn part(args: &[&str]) -> Value {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args(args).stderr(Stdio::inherit()).output().expect("a part runs");
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn print_part(figures: &Value) {
    println!("{figures}");
}

/// A first sync; set up beforehand, so that only the cycle is measured.
fn sync(folder: &Path, url: &str) -> Value {
    let storage = Arc::new(SqliteStorage::open(folder.join("site.sqlite")).expect("a database"));
    let site = Site::new(storage.clone(), Arc::new(HttpTransport::default()), Arc::new(SystemClock::new()));
    let settings = Settings {
        legacy_url: url.to_owned(),
        site_name: SITE.to_owned(),
        password: PasswordHash::of_password(SITE),
        hardware_id: None,
    };
    site.set_up(&settings, &mut Silent).expect("set up");
    let began = now();
    let report = site.sync(&SyncOptions::default(), &mut Silent).expect("a cycle");
    let seconds = began.elapsed().as_secs_f64();
    assert!(report.error.is_none() && report.quarantined == 0, "{report:?}");
    eprintln!("{}", serde_json::to_string(&report.steps).expect("JSON"));
    json!({ "seconds": seconds, "peak_kb": peak_kb() })
}

/// The same bytes into one table in one transaction: without and with a primary key.
fn raw(folder: &Path) -> Value {
    let storage = SqliteStorage::open_existing(folder.join("site.sqlite")).expect("the site's database");
    let txn = storage.read().expect("a transaction");
    let mut rows: Vec<(String, String, String)> = Vec::new();
    for (table, _) in txn.record_counts().expect("counts") {
        let table = TableName::from(table.as_str());
        for (id, data) in txn.records(&table, None, 10_000_000).expect("records") {
            rows.push((table.to_string(), id.to_string(), data.as_str().to_owned()));
        }
    }
    drop(txn);
    let insert = |name: &str, key: &str| {
        let mut connection = rusqlite::Connection::open(folder.join(name)).expect("a database");
        connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;").expect("pragmas");
        let sql =
            format!("CREATE TABLE raw (table_name TEXT NOT NULL, record_id TEXT NOT NULL, data TEXT NOT NULL {key})");
        connection.execute_batch(&sql).expect("a table");
        let began = now();
        let txn = connection.transaction().expect("a transaction");
        {
            let mut statement = txn.prepare("INSERT INTO raw VALUES (?1, ?2, ?3)").expect("a statement");
            for (table, id, data) in &rows {
                statement.execute((table, id, data)).expect("a row");
            }
        }
        txn.commit().expect("a commit");
        began.elapsed().as_secs_f64()
    };
    json!({ "plain": insert("plain.sqlite", ""), "keyed": insert("keyed.sqlite", ", PRIMARY KEY (table_name, record_id)") })
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// The peak of this process's memory; zero where the system does not tell.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
