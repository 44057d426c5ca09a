//! Shared parts of the benchmarks of syncs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use sync_core::record::TableName;
use sync_core::storage::{SqliteStorage, Storage as _};

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
