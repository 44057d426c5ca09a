//! Shared parts of the benchmarks of first syncs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use sync_core::Records;
use sync_core::record::{RecordData, TableName};
use sync_core::storage::{SqliteStorage, Storage as _};

/// Mixed types: central data, assets of the site's store with their logs, R&R lines with many fields, file references.
fn record(n: usize, store: &str) -> (&'static str, Value) {
    let at = "2025-03-01T08:00:00.250";
    let asset = |n: usize| format!("asset-{:08x}-{n}", n.wrapping_mul(2_654_435_761));
    match n % 5 {
        0 => (
            "asset",
            json!({
                "id": asset(n), "asset_number": format!("A/{n}"), "store_id": store, "notes": "vaccine refrigerator",
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

/// Writes so many of them at a central server, for a store.
pub(crate) fn fill(records: &Records, count: usize, store: &str) {
    for start in (0..count).step_by(5000) {
        for kind in 0..5 {
            let chunk = (start..count.min(start + 5000)).filter(|n| n % 5 == kind);
            let data = chunk.map(|n| RecordData::of(&record(n, store).1));
            records.put(record(kind.max(start) / 5 * 5 + kind, store).0, data).expect("records");
        }
    }
}

/// The program as a central server; returns its address.
pub(crate) fn serve(db: &Path, listen: &str, more: &[&str]) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_oms-sync"))
        .args(["serve", "--json", "--listen", listen, "--db"])
        .arg(db)
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("its address");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    (server, format!("http://{}", said["listening"].as_str().expect("an address")))
}

/// Runs a part of this benchmark in its own process.
pub(crate) fn part(args: &[&str]) -> Value {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args(args).stderr(Stdio::inherit()).output().expect("a part runs");
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The same bytes into one table in one transaction: without and with a primary key.
pub(crate) fn raw(folder: &Path) -> Value {
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
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The peak of this process's memory; zero if the system does not report it.
pub(crate) fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
