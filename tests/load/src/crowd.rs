//! Measures how long one known site waits while a hostile crowd loads the server, and how long without a crowd. All clients
//! run on this machine; everything is bounded in count and time.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sync_core::protocol::PasswordHash;

use crate::Plan;
use crate::figures::quantile;
use crate::legacy;
use crate::seed::{self, PASSWORD, hardware_id, site_name};
use crate::server::Server;

/// The sites of the server: one that is measured, one that misbehaves, and two that are only there.
const SITES: u64 = 4;
const ROWS: u64 = 60_000;
/// How long the site is measured beside each crowd, and how often it asks.
const MEASURED: Duration = Duration::from_secs(6);
const EVERY: Duration = Duration::from_millis(20);
/// The time limit of everything here.
const LIMIT: Duration = Duration::from_secs(30);

const PULL: &str = "POST /central/sync/pull";
const PUSH: &str = "POST /central/sync/push";
const UPLOAD: &str = "PUT /central/sync/upload_file";

/// A crowd: its name, and what it sends once. What it holds is kept open while the site is measured.
type Crowd = (&'static str, fn(&str) -> Vec<TcpStream>);

/// What the names of crowds have whose central server asks a legacy server.
const BESIDE_LEGACY: &str = "legacy";

const CROWDS: [Crowd; 12] = [
    ("nobody", |_| Vec::new()),
    ("12 half-sent bodies of 9.5 MB", half_sent_bodies),
    ("160 dripping uploads", uploads),
    ("4200 dripping connections", connections),
    ("200 slow readers of answers", readers),
    ("500 wrong passwords", guesses),
    ("2000 made-up names", made_up_names),
    ("20 pushes with 70,000 lost_history entries", losses),
    ("3 pushes with 10,000 records", pushes),
    ("nobody, with a legacy server", |_| Vec::new()),
    ("300 times one question to a slow legacy server", one_question),
    ("300 questions to a slow legacy server", questions),
];

/// Measures a site beside each crowd, or beside those whose name has one of the words, and gives a table.
///
/// # Errors
/// The server cannot be started, or the known site is not answered.
pub fn run(program: &Path, words: &[String]) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let [alone, beside_legacy] = ["central.sqlite", "beside-legacy.sqlite"].map(|name| folder.path().join(name));
    let plan = Plan { sites: SITES, rows: ROWS, active: SITES, ..Plan::of_a_country(program.to_owned()) };
    seed::fill(&alone, &plan).map_err(|error| error.to_string())?;
    legacy::central_beside(program, &beside_legacy)?;
    let mut table =
        format!("{:<46}{:>8}{:>10}{:>10}{:>10}{:>9}\n", "beside", "asked", "p50 ms", "p99 ms", "max ms", "MB");
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for (name, crowd) in CROWDS.into_iter().filter(|(name, _)| is_wanted(name)) {
        // A server of its own for each: what one crowd leaves behind is not the next one's.
        let (db, sites) = if name.contains(BESIDE_LEGACY) { (&beside_legacy, 1) } else { (&alone, SITES) };
        let server = Server::start(program, db)?;
        let address = server.url().trim_start_matches("http://").to_owned();
        for site in 0..sites {
            ask(&address, site)?;
        }
        let held = crowd(&address);
        // Longer than a client counts as quick whatever it sends.
        thread::sleep(Duration::from_millis(1200));
        let times = measure(&address).map_err(|error| format!("{name}: {error}"))?;
        drop(held);
        let [p50, p99, most] = [500, 990, 1000].map(|part| quantile(&times, part));
        let memory = server.memory_kb() / 1000;
        let _ = writeln!(table, "{name:<46}{:>8}{p50:>10.1}{p99:>10.1}{most:>10.1}{memory:>9}", times.len());
        server.stop();
    }
    Ok(table)
}

fn measure(address: &str) -> Result<Vec<Duration>, String> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < MEASURED {
        let at = Instant::now();
        ask(address, 0)?;
        times.push(at.elapsed());
        thread::sleep(EVERY.saturating_sub(at.elapsed()));
    }
    Ok(times)
}

fn credentials(name: &str, password: &str, site: u64) -> Value {
    json!({
        "serverUrl": "", "username": name, "passwordSha256": PasswordHash::of_password(password).expose(),
        "siteUuid": hardware_id(site), "appVersion": "2.19.0", "appName": "load", "syncVersion": "14",
    })
}

fn pull(who: &Value, batch_size: u64, is_initialised: bool) -> String {
    json!({
        "cursor": 0, "batchSize": batch_size, "isInitialised": is_initialised, "syncV5Settings": who,
        "syncV6Version": 5,
    })
    .to_string()
}

fn head(line: &str, kind: &str, length: usize) -> String {
    format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn request(line: &str, body: &str) -> Vec<u8> {
    (head(line, "application/json", body.len()) + body).into_bytes()
}

/// Opens a connection and sends this much; the server may close it at once.
fn begin(address: &str, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(2))).ok()?;
    let _ = stream.write_all(bytes);
    Some(stream)
}

/// The known site pulls a small batch over a connection of its own.
fn ask(address: &str, site: u64) -> Result<(), String> {
    let body = pull(&credentials(&site_name(site), PASSWORD, site), 20, true);
    let mut stream = begin(address, &request(PULL, &body)).ok_or("no connection")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    match answer.contains(r#"{"data":{"#) {
        true => Ok(()),
        false => Err(answer.chars().take(300).collect()),
    }
}

fn half_sent_bodies(address: &str) -> Vec<TcpStream> {
    let mut start = head(PUSH, "application/json", 9_900_000).into_bytes();
    start.resize(start.len() + 9_500_000, b' ');
    (0..12).filter_map(|_| begin(address, &start)).collect()
}

fn uploads(address: &str) -> Vec<TcpStream> {
    let head = head(UPLOAD, "multipart/form-data; boundary=b", 1_000_000);
    let start = head + "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\n";
    (0..160).filter_map(|_| begin(address, start.as_bytes())).collect()
}

fn connections(address: &str) -> Vec<TcpStream> {
    // As many as this process may open; the server has as many or fewer.
    (0..4200).map_while(|_| begin(address, b"POST /central/sync/pull HTTP/1.1\r\nhost: l")).collect()
}

fn readers(address: &str) -> Vec<TcpStream> {
    let body = pull(&credentials(&site_name(1), PASSWORD, 1), 10_000, false);
    (0..200).filter_map(|_| begin(address, &request(PULL, &body))).collect()
}

fn guesses(address: &str) -> Vec<TcpStream> {
    let guess = |n: u64| pull(&credentials(&site_name(n % SITES), &format!("guess {n}"), 1000 + n), 20, true);
    (0..500).filter_map(|n| begin(address, &request(PULL, &guess(n)))).collect()
}

fn made_up_names(address: &str) -> Vec<TcpStream> {
    let guess = |n: u64| pull(&credentials(&format!("made up {n}"), PASSWORD, 1000 + n), 20, true);
    (0..2000).map_while(|n| begin(address, &request(PULL, &guess(n)))).collect()
}

/// Somebody who is unknown at the legacy server asks the same again and again.
fn one_question(address: &str) -> Vec<TcpStream> {
    let question = pull(&credentials("unknown", PASSWORD, 1000), 20, true);
    (0..300).filter_map(|_| begin(address, &request(PULL, &question))).collect()
}

fn questions(address: &str) -> Vec<TcpStream> {
    let question = |n: u64| pull(&credentials(&format!("unknown {n}"), PASSWORD, 1000 + n), 20, true);
    (0..300).filter_map(|n| begin(address, &request(PULL, &question(n)))).collect()
}

/// Fewer bytes of each record than of any real one.
fn pushes(address: &str) -> Vec<TcpStream> {
    let push = |part: u64| {
        let records: Vec<Value> = (0..10_000_u64)
            .map(|n| {
                let (cursor, id) = (part * 10_000 + n + 1, format!("p{part}-{n}"));
                let data = json!({
                    "id": id, "store_id": seed::store(1).to_string(), "created_datetime": "2025-03-01T08:00:00",
                    "modified_datetime": "2025-03-01T08:00:00",
                });
                json!({ "cursor": cursor, "record":
                    { "tableName": "asset", "recordId": id, "action": "Update", "recordData": data } })
            })
            .collect();
        let batch = json!({
            "end_cursor": (part + 1) * 10_000, "total_records": 10_000, "records": records, "is_last_batch": false,
        });
        let who = credentials(&site_name(1), PASSWORD, 1);
        json!({ "batch": batch, "syncV5Settings": who, "syncV6Version": 5 }).to_string()
    };
    (0..3).filter_map(|part| begin(address, &request(PUSH, &push(part)))).collect()
}

fn losses(address: &str) -> Vec<TcpStream> {
    let lost: Vec<Value> = (0..70_000_u64).map(|n| json!({ "after": n, "before": n + 1 })).collect();
    let records: Vec<Value> = (0..2000_u64)
        .map(|n| {
            let record = json!({ "tableName": "asset", "recordId": format!("r{n}"), "action": "Delete" });
            json!({ "cursor": n + 1, "record": record })
        })
        .collect();
    let batch = json!({
        "end_cursor": 2000, "total_records": 2000, "records": records, "is_last_batch": true, "lost_history": lost,
    });
    let who = credentials(&site_name(1), PASSWORD, 1);
    let body = json!({ "batch": batch, "syncV5Settings": who, "syncV6Version": 5 }).to_string();
    (0..20).filter_map(|_| begin(address, &request(PUSH, &body))).collect()
}
