//! A first sync over loopback HTTP into SQLite, beside the raw insert of the same bytes, in the same run.
//!
//! `cargo bench -p sync-cli` prints the figures. The central server is the real program in a process of its own; each
//! measured part runs in a process of its own too, so that its peak of memory is its own.

#[path = "support/mixed.rs"]
mod mixed;
mod support;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sync_core::clock::{Clock, SystemClock};
use sync_core::protocol::PasswordHash;
use sync_core::record::StoreId;
use sync_core::storage::SqliteStorage;
use sync_core::transport::HttpTransport;
use sync_core::{NoopObserver, Replica, Settings, SyncOptions};

use self::mixed::fill;
use self::support::{now, part, peak_kb, raw, serve};

const SITE: &str = "bench";
const STORE: &str = "STORE_BENCH";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["part-sync", folder, url] => println!("{}", sync(Path::new(folder), url)),
        ["part-raw", folder] => println!("{}", raw(Path::new(folder))),
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
    let (mut server, url) = serve(&path.join("central.sqlite"), "127.0.0.1:0", &[]);
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

fn fill_central(path: &Path, count: usize) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let storage = Arc::new(SqliteStorage::open(path).expect("a database"));
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let sites = replica.site_registry().expect("a central database");
    sites.add(SITE, &PasswordHash::of_password(SITE)).expect("a site");
    sites.add_store("Bench", "B", SITE, Some(StoreId::from(STORE))).expect("a store");
    fill(&replica.records(), count, STORE);
}

/// A first sync; set up beforehand, so that only the cycle is measured.
fn sync(folder: &Path, url: &str) -> Value {
    let storage = Arc::new(SqliteStorage::open(folder.join("site.sqlite")).expect("a database"));
    let site = Replica::with_storage(storage.clone()).site(Arc::new(HttpTransport::default()));
    let settings =
        Settings::new(url, SITE, PasswordHash::of_password(SITE)).hardware_id("machine of the bench".to_owned());
    site.set_up(&settings, &mut NoopObserver).expect("set up");
    let began = now();
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
    let seconds = began.elapsed().as_secs_f64();
    assert!(report.error.is_none() && report.quarantined == 0, "{report:?}");
    eprintln!("{}", serde_json::to_string(&report.steps).expect("JSON"));
    json!({ "seconds": seconds, "peak_kb": peak_kb() })
}
