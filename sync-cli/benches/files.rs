//! Files up and down over loopback HTTP, between real processes, with the peak memory of each end above its base.
//!
//! `cargo bench -p sync-cli --bench files -- 1000` moves 1000 MB in files of 40 MB. It is no test: nothing fails because
//! a machine is slow.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const STORE: &str = "STORE_BENCH";
/// The most megabytes of one file.
const FILE_MB: usize = 40;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![100] } else { sizes };
    println!("direction      MB   files   seconds   MB/s   site: idle   above idle   central: idle   above idle");
    sizes.into_iter().for_each(measure);
}

struct Ran {
    seconds: f64,
    peak_kb: u64,
    out: Value,
}

/// Runs the program in a folder to its good end.
fn run(folder: &Path, input: Option<&str>, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync"));
    command.args(args).arg("--json").arg("-q").current_dir(folder);
    let began = now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(input.unwrap_or_default().as_bytes()).expect("input is taken");
    drop(pipe);
    let mut peak_kb = 0;
    while child.try_wait().expect("it is ours").is_none() {
        peak_kb = peak_kb.max(peak(&child));
        std::thread::sleep(Duration::from_millis(2));
    }
    let seconds = began.elapsed().as_secs_f64();
    let output = child.wait_with_output().expect("it ended");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    Ran { seconds, peak_kb, out: serde_json::from_slice(&output.stdout).unwrap_or_default() }
}

fn measure(megabytes: usize) {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path();
    std::fs::write(folder.join("pw"), "bench").expect("a password file");
    let central = ["--db", "central.sqlite"];
    run(folder, None, &[&central[..], &["site", "add", "bench", "--password-file", "pw"]].concat());
    let store = ["store", "add", "Bench", "--code", "B", "--site", "bench", "--id", STORE];
    run(folder, None, &[&central[..], &store].concat());
    let (mut server, url) = serve(folder);
    let init = |db: &str| {
        let who = ["--site", "bench", "--password-file", "pw", "--hardware-id", "bench"];
        run(folder, None, &[&["--db", db, "init", "--legacy-url", &url][..], &who].concat());
        run(folder, None, &["--db", db, "sync"]).peak_kb
    };
    let site_idle = init("site.sqlite");
    let at = "2026-11-23T08:00:00";
    let asset = json!({ "id": "a", "store_id": STORE, "created_datetime": at, "modified_datetime": at });
    run(folder, Some(&asset.to_string()), &["--db", "site.sqlite", "records", "put", "asset"]);
    let mut files = 0;
    for start in (0..megabytes).step_by(FILE_MB) {
        let path = folder.join("file.bin");
        let mut seed = start as u64 + 1;
        let next = |seed: &mut u64| {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_le_bytes()
        };
        let bytes: Vec<u8> = (0..FILE_MB.min(megabytes - start) * 125_000).flat_map(|_| next(&mut seed)).collect();
        std::fs::write(path, bytes).expect("a file");
        run(folder, None, &["--db", "site.sqlite", "files", "attach", "asset", "a", "file.bin"]);
        files += 1;
    }
    run(folder, None, &["--db", "site.sqlite", "sync"]);
    let central_idle = peak(&server);
    let up = run(folder, None, &["--db", "site.sqlite", "files", "sync"]);
    assert_eq!(up.out["uploaded"], files);
    show("up", megabytes, files, &up, site_idle, central_idle, peak(&server));
    let site_idle = init("new.sqlite");
    let down = run(folder, None, &["--db", "new.sqlite", "files", "sync"]);
    assert_eq!(down.out["downloaded"], files);
    show("down", megabytes, files, &down, site_idle, central_idle, peak(&server));
    let verified = run(folder, None, &["--db", "new.sqlite", "files", "verify"]);
    assert_eq!(verified.out["sound"], files);
    server.kill().expect("stopping the server");
    server.wait().expect("the server ends");
}

fn show(direction: &str, megabytes: usize, files: u64, ran: &Ran, idle: u64, central_idle: u64, central: u64) {
    let mb = |kb: u64| kb as f64 / 1000.0;
    println!(
        "{direction:<9} {megabytes:>7} {files:>7} {:>9.1} {:>6.0} {:>9.1} MB {:>9.1} MB {:>12.1} MB {:>9.1} MB",
        ran.seconds,
        megabytes as f64 / ran.seconds,
        mb(idle),
        mb(ran.peak_kb.saturating_sub(idle)),
        mb(central_idle),
        mb(central.saturating_sub(central_idle)),
    );
}

fn serve(folder: &Path) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync"));
    command.args(["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"]).current_dir(folder);
    let mut server = command.stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("its first line");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    (server, format!("http://{}", said["listening"].as_str().expect("an address")))
}

/// The peak of a process's memory in kB; 0 if the system does not report it.
fn peak(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
