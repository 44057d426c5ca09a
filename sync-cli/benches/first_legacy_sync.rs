//! A first initialisation through a legacy server over loopback HTTP into SQLite: as many rows of the legacy server's queue
//! as V6 records, beside the raw insert of the same bytes, in the same run.
//!
//! `cargo bench -p sync-cli --bench first_legacy_sync` prints the figures. The legacy server is the stand-in, the central
//! server the real program; each is a process of its own, and so is each measured part.

#[path = "support/mixed.rs"]
mod mixed;
mod support;

use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sync_core::clock::SystemClock;
use sync_core::protocol::PasswordHash;
use sync_core::storage::SqliteStorage;
use sync_core::transport::{HttpRequest, HttpResponse, HttpTransport, Transport, TransportError};
use sync_core::{NoopObserver, Replica, Settings, SyncOptions};
use sync_testkit::legacy_server::{
    LegacyServer, ListeningLegacyServer, PASSWORD, add_invoices, legacy_id, small_world,
};

use self::mixed::fill;
use self::support::{now, part, peak_kb, raw, serve};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["part-legacy", count, central] => stand_in(count.parse().expect("a number"), central),
        ["part-sync", folder, url] => println!("{}", sync(Path::new(folder), url)),
        ["part-raw", folder] => println!("{}", raw(Path::new(folder))),
        _ => {
            let counts: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
            let counts = if counts.is_empty() { vec![10_000, 100_000] } else { counts };
            println!(
                "legacy + V6        first sync   records/s   waiting: legacy   central   peak memory   raw insert   \
                 with a key   ratio   with a key"
            );
            counts.into_iter().for_each(compare);
        }
    }
}

fn compare(count: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    // The legacy server has to know the central server's address beforehand.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("a free port").port();
    let central = format!("127.0.0.1:{port}");
    let (mut legacy, url) = legacy_process(count, &format!("http://{central}"));
    fill_central(&path.join("central.sqlite"), &url, count);
    let (mut server, _) = serve(&path.join("central.sqlite"), &central, &["--auth", "legacy"]);
    let synced = part(&["part-sync", &path.display().to_string(), &url]);
    for process in [&mut server, &mut legacy] {
        process.kill().expect("stopping a server");
        process.wait().expect("the server ends");
    }
    let raw = part(&["part-raw", &path.display().to_string()]);
    let number = |part: &Value, key: &str| part[key].as_f64().unwrap_or(f64::NAN);
    let (seconds, records) = (number(&synced, "seconds"), number(&synced, "records"));
    let (plain, keyed) = (number(&raw, "plain"), number(&raw, "keyed"));
    println!(
        "{count:>7} + {count:>7}   {seconds:>8.2} s   {:>9.0}   {:>13.2} s   {:>5.2} s   {:>8.1} MB   {plain:>8.2} s   \
         {keyed:>8.2} s   {:>5.1}   {:>10.1}",
        records / seconds,
        number(&synced, "legacy"),
        number(&synced, "central"),
        number(&synced, "peak_kb") / 1000.0,
        seconds / plain,
        seconds / keyed,
    );
}

fn legacy_process(count: usize, central: &str) -> (Child, String) {
    let mut process = Command::new(std::env::current_exe().expect("this program"))
        .args(["part-legacy", &count.to_string(), central])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the legacy server starts");
    let mut url = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut url).expect("its address");
    (process, url.trim().to_owned())
}

/// The stand-in with so many rows for the measured site, until its input is closed.
fn stand_in(count: usize, central: &str) {
    let legacy = Arc::new(LegacyServer::new(Arc::new(SystemClock::new())));
    let world = small_world(&legacy, 1, central);
    // An invoice and its line each.
    let invoices = u32::try_from(count / 2).expect("a sensible number");
    add_invoices(&legacy, &world.sites[0].store_id, &world.supplier, &world.items[0], invoices);
    let server = ListeningLegacyServer::start(legacy).expect("a server");
    println!("http://{}", server.address());
    std::io::stdout().flush().expect("somebody reads it");
    let _ = stdin().read_line(&mut String::new());
}

fn settings(url: &str, name: &str) -> Settings {
    Settings::new(url, name, PasswordHash::of_password(PASSWORD)).hardware_id(format!("machine of {name}"))
}

/// A central server in step with the legacy server, and the V6 records at it.
fn fill_central(path: &Path, url: &str, count: usize) {
    let clock = Arc::new(SystemClock::new());
    let storage = Arc::new(SqliteStorage::open(path).expect("a database"));
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let site = replica.site(Arc::new(HttpTransport::default()));
    site.set_up(&settings(url, "oms_central"), &mut NoopObserver).expect("set up");
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
    assert!(report.error.is_none(), "{report:?}");
    fill(&replica.records(), count, &legacy_id("store", "DISTRICT_A"));
}

/// Measures the speed of each server and the line to it.
struct Timed {
    transport: HttpTransport,
    legacy: AtomicU64,
    central: AtomicU64,
}

impl Transport for Timed {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let began = now();
        let answer = self.transport.send(request);
        let of = if request.url.contains("/sync/v5/") { &self.legacy } else { &self.central };
        of.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        answer
    }
}

/// A first cycle; set up beforehand, so that only the cycle is measured.
fn sync(folder: &Path, url: &str) -> Value {
    let storage = Arc::new(SqliteStorage::open(folder.join("site.sqlite")).expect("a database"));
    let timed = Arc::new(Timed { transport: HttpTransport::default(), legacy: 0.into(), central: 0.into() });
    let site = Replica::with_storage(storage).site(timed.clone());
    site.set_up(&settings(url, "district_a"), &mut NoopObserver).expect("set up");
    let began = now();
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
    let seconds = began.elapsed().as_secs_f64();
    assert!(report.error.is_none() && report.quarantined == 0, "{report:?}");
    eprintln!("{}", serde_json::to_string(&report.steps).expect("JSON"));
    let waited = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64 / 1e6;
    json!({
        "seconds": seconds, "records": report.pulled, "legacy": waited(&timed.legacy), "central": waited(&timed.central),
        "peak_kb": peak_kb(),
    })
}
