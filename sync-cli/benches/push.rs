//! A push over loopback HTTP into central's SQLite, until central has integrated it, beside the raw insert of the same bytes, in
//! the same run; and what came before it, the writing of the records at the site.
//!
//! `cargo bench -p sync-cli --bench push` prints the figures; `-- 100000 525` those of so many records of so many bytes.

mod support;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sync_core::clock::{Clock, SystemClock};
use sync_core::protocol::PasswordHash;
use sync_core::record::{RecordData, StoreId};
use sync_core::storage::SqliteStorage;
use sync_core::transport::HttpTransport;
use sync_core::{NoopObserver, Records, Replica, Settings, SyncOptions};

use self::support::{now, part, peak_kb, raw, serve};

const SITE: &str = "bench";
const STORE: &str = "STORE_BENCH";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["part-push", folder, url, count, bytes] => {
            let number = |word: &str| word.parse().expect("a number");
            println!("{}", push(Path::new(folder), url, number(count), number(bytes)));
        }
        ["part-raw", folder] => println!("{}", raw(Path::new(folder))),
        _ => {
            let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
            println!(
                "records   bytes   written   pushed and integrated   records/s   peak memory   raw insert   written/raw   pushed/raw"
            );
            match numbers.as_slice() {
                [count, bytes] => compare(*count, *bytes),
                _ => [(100_000, 200), (100_000, 525), (20_000, 5_000), (2_000, 50_000)]
                    .map(|(n, b)| compare(n, b))
                    .into_iter()
                    .collect(),
            }
        }
    }
}

fn compare(count: usize, bytes: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    make_central(&path.join("central.sqlite"));
    let (mut server, url) = serve(&path.join("central.sqlite"), "127.0.0.1:0", &[]);
    let text = |n: usize| n.to_string();
    let pushed = part(&["part-push", &path.display().to_string(), &url, &text(count), &text(bytes)]);
    server.kill().expect("stopping the server");
    server.wait().expect("the server ends");
    let raw = part(&["part-raw", &path.display().to_string()]);
    let number = |part: &Value, key: &str| part[key].as_f64().unwrap_or(f64::NAN);
    let (written, seconds, plain) = (number(&pushed, "written"), number(&pushed, "seconds"), number(&raw, "plain"));
    println!(
        "{count:>7}   {bytes:>5}   {written:>5.2} s   {seconds:>19.2} s   {:>9.0}   {:>8.1} MB   {plain:>8.2} s   {:>11.1}   {:>10.1}",
        count as f64 / seconds,
        number(&pushed, "peak_kb") / 1000.0,
        written / plain,
        seconds / plain,
    );
}

fn make_central(path: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let storage = Arc::new(SqliteStorage::open(path).expect("a database"));
    let sites = Replica::builder().clock(clock).with_storage(storage).site_registry().expect("a central database");
    sites.add(SITE, &PasswordHash::of_password(SITE)).expect("a site");
    sites.add_store("Bench", "B", SITE, Some(StoreId::from(STORE))).expect("a store");
}

/// Half assets, half logs of them, of so many bytes each.
fn write(records: &Records, count: usize, bytes: usize) {
    let at = "2025-03-01T08:00:00.250";
    let asset = |n: usize| format!("asset-{:08x}-{n}", n.wrapping_mul(2_654_435_761));
    let filled = |mut record: Value, field: &str| {
        let room = bytes.saturating_sub(record.to_string().len());
        record[field] = "x".repeat(room).into();
        RecordData::of(&record)
    };
    for start in (0..count / 2).step_by(5000) {
        let some = start..(count / 2).min(start + 5000);
        let assets = some.clone().map(|n| {
            let record = json!({
                "id": asset(n), "asset_number": format!("A/{n}"), "store_id": STORE, "notes": "",
                "created_datetime": at, "modified_datetime": at, "deleted_datetime": null,
            });
            filled(record, "notes")
        });
        records.put("asset", assets).expect("assets");
        let logs = some.map(|n| {
            let record = json!({
                "id": format!("log-{n}"), "asset_id": asset(n), "user_id": "user", "status": "FUNCTIONING",
                "comment": "", "type": "STATUS_UPDATE", "reason_id": null, "log_datetime": at,
            });
            filled(record, "comment")
        });
        records.put("asset_log", logs).expect("logs");
    }
}

/// A push; the site is set up and has its store beforehand, so that the measured cycle is the push.
fn push(folder: &Path, url: &str, count: usize, bytes: usize) -> Value {
    let storage = Arc::new(SqliteStorage::open(folder.join("site.sqlite")).expect("a database"));
    let replica = Replica::with_storage(storage);
    let site = replica.site(Arc::new(HttpTransport::default()));
    let settings =
        Settings::new(url, SITE, PasswordHash::of_password(SITE)).hardware_id("machine of the bench".to_owned());
    site.set_up(&settings, &mut NoopObserver).expect("set up");
    let cycle = || {
        let report = site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
        assert!(report.error.is_none() && report.quarantined == 0, "{report:?}");
        report
    };
    let _first = cycle();
    let began = now();
    write(&replica.records(), count, bytes);
    let written = began.elapsed().as_secs_f64();
    let began = now();
    let report = cycle();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(report.pushed, (count / 2 * 2) as u64, "{report:?}");
    eprintln!("{}", serde_json::to_string(&report.steps).expect("JSON"));
    json!({ "written": written, "seconds": seconds, "peak_kb": peak_kb() })
}
