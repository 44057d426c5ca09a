//! A small disk in memory, which may be filled: `sync` and `resend` on it. It is mounted for a process of its own, which needs
//! Linux and no special rights.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Clinic, holds};

const DISK: &str = "OMS_SYNC_TEST_DISK";

/// The small disk, in the process that has it; elsewhere runs `test` in such a process. Where none can be mounted that is told,
/// and it is a failure where `OMS_SYNC_DISK` is `required`.
pub(super) fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(PathBuf::from(disk));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = r#"mount -t tmpfs -o size=16m none "$OMS_SYNC_TEST_DISK" && echo mounted && exec "$0" "$@""#;
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(DISK, folder.path())
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("mounted") => {
            let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && said.contains("1 passed"), "{said}\n{wrong}");
        }
        other => {
            let is_required = std::env::var("OMS_SYNC_DISK").as_deref() == Ok("required");
            assert!(!is_required, "no disk can be mounted here: {other:?}");
            eprintln!("SKIPPED: no disk can be mounted here ({other:?})");
        }
    }
    None
}

/// A site with its database on the small disk.
struct Cramped {
    clinic: Clinic,
    disk: PathBuf,
    db: String,
}

impl Cramped {
    fn on(disk: &Path) -> Self {
        let clinic = Clinic::new();
        let db = disk.join("site.sqlite");
        std::fs::copy(clinic.desk.path("oms-sync.sqlite"), &db).expect("copied");
        Self { clinic, disk: disk.to_owned(), db: db.to_str().expect("text").to_owned() }
    }

    fn runs(&self, args: &[&str], status: i32) -> Value {
        self.clinic.json(&[&["--db", &self.db], args].concat(), status)
    }

    fn says(&self, args: &[&str], status: i32) -> super::Said {
        self.clinic.desk.run(&[&["--db", &self.db], args].concat()).ends(status)
    }

    /// Takes all space except so many bytes.
    fn fill(&self, but: u64) {
        let ballast = self.disk.join("ballast");
        // That it cannot take all is the point.
        let _ = std::fs::write(&ballast, vec![1; 20 * 1024 * 1024]);
        let file = OpenOptions::new().write(true).open(ballast).expect("the ballast");
        let size = file.metadata().expect("its size").len();
        file.set_len(size.saturating_sub(but)).expect("made shorter");
    }

    fn empty(&self) {
        std::fs::remove_file(self.disk.join("ballast")).expect("removed");
    }

    /// The files of the disk except the ballast.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.disk).expect("the disk").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_str().expect("text").to_owned()).collect();
        names.retain(|name| name != "ballast");
        names.sort();
        names
    }
}

#[test]
fn a_sync_that_meets_a_full_disk_loses_nothing_and_goes_on_once_there_is_space() {
    let Some(disk) =
        small_disk("small_disk::a_sync_that_meets_a_full_disk_loses_nothing_and_goes_on_once_there_is_space")
    else {
        return;
    };
    let site = Cramped::on(&disk);
    let large: String =
        (0..300).map(|n| format!("{{\"id\":\"c{n}\",\"name\":\"{}\"}}\n", "n".repeat(20_000))).collect();
    site.clinic.put_at_central("asset_class", &large);
    let asset = format!(
        r#"{{"id":"fridge","store_id":"{}","created_datetime":"2026-11-23T08:00:00","modified_datetime":"2026-11-23T08:00:00"}}"#,
        site.clinic.store
    );
    site.clinic.desk.feed(&["--db", &site.db, "records", "put", "asset", "-q"], &asset).ends(0);
    let before = site.runs(&["status"], 0);

    site.fill(0);
    let full = site.runs(&["sync", "-q"], 6);
    assert_eq!(full["error"]["code"], "disk_full", "{full}");
    let told = site.says(&["sync", "-q"], 6);
    holds(&told.err, &["[disk_full]", "Free some space; nothing is lost"]);
    let which = |error: &Value| error["message"].as_str().is_some_and(|text| text.contains(&site.db));
    assert!(which(&full["error"]), "the message says which disk: {full}");
    // Enough to start, but not for the records that come.
    site.empty();
    site.fill(2 * 1024 * 1024);
    let nearly = site.runs(&["sync", "-q"], 6);
    assert_eq!(nearly["error"]["code"], "disk_full", "{nearly}");
    assert!(which(&nearly["error"]), "the message says which disk: {nearly}");

    site.empty();
    let after = site.runs(&["status"], 0);
    assert!(after["pull_cursor_v6"].as_u64() >= before["pull_cursor_v6"].as_u64());
    assert_eq!(after["quarantined_by_cause"], json!({}));
    assert_eq!(site.says(&["records", "get", "asset", "fridge"], 0).err, "", "the edit is here still");
    assert_eq!(site.runs(&["sync", "-q"], 0)["outcome"], "done");
    let whole = site.runs(&["status"], 0);
    assert_eq!((&whole["records_by_table"]["asset_class"], &whole["waiting"]["records"]), (&json!(300), &json!(0)));
    site.clinic.desk.run(&["--db", "central.sqlite", "records", "get", "asset", "fridge"]).ends(0);
    site.runs(&["audit", "-q"], 0);
    assert_eq!(site.runs(&["doctor"], 0)["checks"][1]["outcome"], "ok", "the file is whole");
}

/// What monitoring reads at `/health`, over HTTP.
fn health(address: &str) -> Value {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).expect("connected");
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("JSON: {answer}"))
}

#[test]
fn a_server_whose_disk_is_full_says_so() {
    let Some(disk) = small_disk("small_disk::a_server_whose_disk_is_full_says_so") else { return };
    let site = Cramped::on(&disk);
    let db = disk.join("central.sqlite");
    site.clinic.desk.run(&["--db", "central.sqlite", "backup", "copies", "-q"]).ends(0);
    let copy = std::fs::read_dir(site.clinic.desk.path("copies")).expect("a folder").flatten();
    let copy = copy.map(|entry| entry.path().join("central.sqlite")).find(|path| path.exists()).expect("a backup");
    std::fs::copy(copy, &db).expect("copied");
    let server = site.clinic.desk.serve(db.to_str().expect("text"));
    let becomes = |is_full: bool| {
        let began = Instant::now();
        loop {
            let health = health(&server.address);
            if (health["disk"] == "full") == is_full {
                assert_eq!(health["ok"], !is_full, "{health}");
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{health}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    becomes(false);
    site.fill(0);
    becomes(true);
    site.empty();
    becomes(false);
    server.stop().ends(0);
}

#[test]
fn a_resend_for_whose_backup_there_is_no_space_changes_nothing() {
    let Some(disk) = small_disk("small_disk::a_resend_for_whose_backup_there_is_no_space_changes_nothing") else {
        return;
    };
    let site = Cramped::on(&disk);
    let at = "2026-11-23T08:00:00";
    let assets: String = (0..100)
        .map(|n| {
            let (notes, store) = ("n".repeat(40_000), &site.clinic.store);
            format!(
                "{{\"id\":\"a{n}\",\"notes\":\"{notes}\",\"store_id\":\"{store}\",\"created_datetime\":\"{at}\",\
                 \"modified_datetime\":\"{at}\"}}\n"
            )
        })
        .collect();
    site.clinic.desk.feed(&["--db", &site.db, "records", "put", "asset", "-q"], &assets).ends(0);
    site.runs(&["sync", "-q"], 0);
    let (files, log) = (site.files(), site.runs(&["log", "show"], 0));

    // Enough for the records to send again, but not for a copy of four megabytes.
    site.fill(1024 * 1024);
    let resend = ["resend", "asset", "--yes", "--reason", "central lost them"];
    let full = site.runs(&resend, 6);
    assert_eq!(full["error"]["code"], "disk_full", "{full}");
    holds(&site.says(&resend, 6).err, &["[disk_full]", "Free some space"]);
    assert_eq!(site.files(), files, "no half of a copy is left");
    assert_eq!(site.runs(&["status"], 0)["waiting"]["records"], 0, "nothing is sent again without a copy");
    assert_eq!(site.runs(&["log", "show"], 0), log, "nor is anything said to be repaired");

    site.empty();
    let done = site.runs(&resend, 0);
    assert_eq!((&done["is_done"], &done["plan"]["records"]), (&json!(true), &json!(100)));
    assert_eq!(site.runs(&["sync", "-q"], 0)["pushed"], 100);
}

#[test]
fn a_backup_that_would_fill_its_disk_is_refused_before_anything_is_written() {
    let Some(disk) = small_disk("small_disk::a_backup_that_would_fill_its_disk_is_refused_before_anything_is_written")
    else {
        return;
    };
    let site = Cramped::on(&disk);
    let backups = disk.join("backups");
    let folder = backups.to_str().expect("text");
    let full = site.runs(&["backup", folder], 6);
    assert_eq!(full["error"]["code"], "disk_full", "{full}");
    holds(&site.says(&["backup", folder], 6).err, &["[disk_full]", "a backup in", folder, "but only", "are free"]);
    let left: Vec<_> = std::fs::read_dir(&backups)
        .map(|all| all.flatten().map(|entry| entry.file_name()).collect())
        .unwrap_or_default();
    assert!(left.iter().all(|name| name == ".lock"), "{left:?}");
    assert_eq!(site.runs(&["status"], 0)["quarantined"], 0, "the database is as before");
}
