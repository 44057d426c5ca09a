//! The program's memory does not grow with the number of records, in either direction, at either end.
//!
//! What is measured is the peak of the memory of real processes as the system counts it (`VmHWM`), so SQLite's part is in
//! it. A first sync brings the records down, another site pushes as many up; once with some records and once with ten
//! times as many. `OMS_MEMORY_RECORDS` sets the larger number; the fewer there are, the larger is each, so that the
//! smaller number is already more than SQLite's caches hold.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sync_core::Records;
use sync_core::Replica;
use sync_core::record::RecordData;
use sync_core::storage::SqliteStorage;

use self::support::{Desk, Said};

/// What a site does not pass, and what ten times as many records may take more of it, in kB: the system does not count to
/// the page, and batches come to their full size late.
const SITE: (u64, u64) = (64_000, 8_000);
/// The limits of central with one site at a time. Counting staged records walks an index on its own connection: a large
/// push fills that connection's cache of 14 MB, a small one leaves it empty.
const CENTRAL: (u64, u64) = (80_000, 40_000);

/// What the smaller number of records has in all: SQLite keeps 14 MB of each database.
const SOME_BYTES: usize = 24_000_000;

const STORE: &str = "STORE_of_the_clinic";

/// Peaks in kB.
#[derive(Debug, Clone, Copy)]
struct Peaks {
    site: u64,
    central: u64,
}

#[test]
fn memory_does_not_follow_the_number_of_records() {
    let records = std::env::var("OMS_MEMORY_RECORDS").map_or(60_000, |text| text.parse().expect("a number"));
    let text = "x".repeat(SOME_BYTES.div_ceil(records / 10).saturating_sub(250));
    let measure = |count| {
        let text = &text;
        std::thread::scope(|scope| {
            let pulling = scope.spawn(move || pull(count, text));
            let pushed = push(count, text);
            [("pull", pulling.join().expect("a measurement")), ("push", pushed)]
        })
    };
    let (some, more) = (measure(records / 10), measure(records));
    println!("direction   records   peak of the site   peak of central");
    for (count, measured) in [(records / 10, some), (records, more)] {
        for (direction, Peaks { site, central }) in measured {
            println!("{direction:<9} {count:>9} {:>15.1} MB {:>14.1} MB", site as f64 / 1e3, central as f64 / 1e3);
        }
    }
    for ((direction, some), (_, more)) in some.into_iter().zip(more) {
        for (end, some, more, (ceiling, growth)) in
            [("site", some.site, more.site, SITE), ("central", some.central, more.central, CENTRAL)]
        {
            assert!(more < ceiling, "{direction}: the {end} took {more} kB");
            assert!(more < some + growth, "{direction}: the {end} took {some} kB, {more} kB for ten times as much");
        }
    }
}

/// A new site pulls so many records.
fn pull(count: usize, text: &str) -> Peaks {
    let desk = world();
    fill(&desk, "central.sqlite", count, text);
    let server = desk.serve("central.sqlite");
    init(&desk, &server.address);
    let (_, pulled, site) = sync(&desk);
    assert!(pulled >= count as u64, "{pulled} of {count} records came");
    let peaks = Peaks { site, central: peak(server.id()) };
    assert_eq!(stored(&desk, "oms-sync.sqlite"), count);
    server.stop().ends(0);
    peaks
}

/// A site that wrote so many records pushes them, and central integrates them.
fn push(count: usize, text: &str) -> Peaks {
    let desk = world();
    let server = desk.serve("central.sqlite");
    init(&desk, &server.address);
    sync(&desk);
    fill(&desk, "oms-sync.sqlite", count, text);
    let (pushed, _, site) = sync(&desk);
    assert_eq!(pushed, count as u64);
    let peaks = Peaks { site, central: peak(server.id()) };
    assert_eq!(stored(&desk, "central.sqlite"), count);
    server.stop().ends(0);
    peaks
}

/// A central that knows a site with a store.
fn world() -> Desk {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", STORE];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    desk
}

fn init(desk: &Desk, address: &str) {
    desk.run(&["init", "--legacy-url", address, "--site", "clinic", "--password-file", "pw"]).ends(0);
}

/// Runs cycles until one is done: while central still integrates what the last one pushed, there is another. Gives the
/// records that went up and down, and the peak of memory.
fn sync(desk: &Desk) -> (u64, u64, u64) {
    let (mut pushed, mut pulled, mut highest) = (0, 0, 0);
    loop {
        let mut child = desk.spawn(&["sync", "--json", "-q"]);
        highest = highest.max(watch(&mut child));
        let said = Said::by(child);
        let report = said.json();
        pushed += report["pushed"].as_u64().expect("a number");
        pulled += report["pulled"].as_u64().expect("a number");
        let code = report["error"]["code"].as_str();
        if !matches!(code, Some("integration_timeout" | "integration_in_progress")) {
            said.ends(0);
            return (pushed, pulled, highest);
        }
    }
}

/// The peak of a process: the last reading counts, because a peak never falls.
fn watch(child: &mut Child) -> u64 {
    let mut highest = 0;
    while child.try_wait().expect("it is ours").is_none() {
        highest = highest.max(peak(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    highest
}

/// The peak of a process's memory in kB; 0 once it has ended.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Writes records of four types, in the role of the database.
fn fill(desk: &Desk, db: &str, count: usize, text: &str) {
    let records = records(desk, db);
    for start in (0..count).step_by(8000) {
        for (kind, table) in TABLES.into_iter().enumerate() {
            let chunk = (start..count.min(start + 8000)).filter(|n| n % 4 == kind);
            records.put(table, chunk.map(|n| RecordData::of(&record(n, text)))).expect("records");
        }
    }
}

/// How many of them are there.
fn stored(desk: &Desk, db: &str) -> usize {
    let counts = records(desk, db).counts().expect("counts");
    let count = |table: &&str| counts.iter().find(|(name, _)| name.as_str() == *table).map_or(0, |(_, count)| *count);
    TABLES.iter().map(count).sum::<u64>() as usize
}

fn records(desk: &Desk, db: &str) -> Records {
    let storage = SqliteStorage::open_existing(desk.path(db)).expect("a database");
    Replica::with_storage(Arc::new(storage)).records()
}

const TABLES: [&str; 4] = ["asset", "asset_log", "sync_file_reference", "name_oms_fields"];

/// Ids are unordered, as those of Open mSupply are.
fn id(of: &str, n: usize) -> String {
    format!("{of}-{:08x}-{n}", n.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

fn record(n: usize, text: &str) -> Value {
    let at = "2026-11-23T08:00:00.250";
    let asset = id("asset", n - n % 4);
    match n % 4 {
        0 => json!({
            "id": asset, "asset_number": format!("A/{n}"), "store_id": STORE, "notes": text,
            "serial_number": format!("SN-{n:08}"), "created_datetime": at, "modified_datetime": at,
            "properties": "{\"temperature_class\":\"2-8\"}", "deleted_datetime": null, "needs_replacement": false,
        }),
        1 => json!({
            "id": id("log", n), "asset_id": asset, "user_id": "0763E2E3053D4C478E1E6B6B03FEC207",
            "status": "FUNCTIONING", "comment": text, "type": "STATUS_UPDATE",
            "reason_id": null, "log_datetime": at, "created_datetime": at,
        }),
        2 => json!({
            "id": id("file", n), "table_name": "asset", "record_id": asset, "file_name": text,
            "mime_type": "image/jpeg", "total_bytes": 184_233, "created_datetime": at, "deleted_datetime": null,
        }),
        _ => json!({ "id": id("name", n), "properties": format!("{{\"said\":\"{text}\"}}") }),
    }
}
