//! File transfers in the administrator's view, and clients that stall.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::json;
use sync_core::files::FileStore;

use crate::administrator::figure;
use crate::central;
use crate::client::{Reply, ask, connect, credentials, get, head};
use crate::support::{Desk, HARDWARE_ID, Server};

pub(crate) const UPLOAD: &str = "/central/sync/upload_file";
const DOWNLOAD: &str = "/central/sync/download_file";

/// A site that has sent a file of so many bytes to a server with these flags and an access log; with the file's id.
pub(crate) fn sent(length: usize, flags: &[&str]) -> (Desk, Server, String) {
    let (desk, server) = central(&[&["--access-log", "access.log"], flags].concat());
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    let at = "2026-11-23T08:00:00";
    let asset = json!({ "id": "a", "store_id": "STORE", "created_datetime": at, "modified_datetime": at });
    desk.feed(&["records", "put", "asset"], &asset.to_string()).ends(0);
    std::fs::write(desk.path("notes.txt"), vec![b'n'; length]).expect("a file");
    let attached = desk.run(&["files", "attach", "asset", "a", "notes.txt", "--json"]).ends(0).json();
    desk.run(&["sync", "--with-files", "-q"]).ends(0);
    (desk, server, attached["id"].as_str().expect("an id").to_owned())
}

fn question(id: &str) -> Vec<u8> {
    let credentials = credentials();
    format!(r#"{{"tableName":"asset","recordId":"a","id":"{id}","syncV5Settings":{credentials},"syncV6Version":5}}"#)
        .into_bytes()
}

/// Waits for a line of the access log, which comes at the end of an answer.
#[track_caller]
fn logged(desk: &Desk, is_it: impl Fn(&str) -> bool) -> String {
    for _ in 0..1200 {
        let log = std::fs::read_to_string(desk.path("access.log")).expect("a log");
        if let Some(line) = log.lines().find(|line| is_it(line)) {
            return line.to_owned();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no such line: {}", std::fs::read_to_string(desk.path("access.log")).unwrap_or_default());
}

#[cfg(unix)]
#[test]
fn what_holds_records_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (desk, server, _id) = sent(1000, &[]);
    desk.run(&["bundle", "bundle.tar.gz"]).ends(0);
    let mut folders = vec![desk.path("")];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Files of the tests themselves, and the log, which holds no records.
            if ["pw", "wrong", "notes.txt", "access.log"].contains(&name.as_str()) {
                continue;
            }
            let mode = entry.metadata().expect("its data").permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
            if entry.file_type().expect("a kind").is_dir() {
                folders.push(entry.path());
            }
            seen.push(name);
        }
    }
    for name in ["central.sqlite", "central.sqlite.files", "oms-sync.sqlite", "oms-sync.sqlite.files"] {
        assert!(seen.iter().any(|there| there == name), "{name}: {seen:?}");
    }
    server.stop().ends(0);
}

#[test]
fn files_are_counted_and_logged_and_go_as_they_are() {
    let length = 11 * 1024 * 1024;
    let (desk, server, id) = sent(length, &[]);
    let line = logged(&desk, |line| line.contains(UPLOAD));
    for part in ["method=PUT", "status=200", " site=2 ", " out=13 "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let bytes_in: usize = line.split(" in=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("in");
    assert!(bytes_in > length && bytes_in < length + 2000, "{line}");

    let zipped = ("accept-encoding", "gzip");
    let whole = ask(&server.address, "POST", DOWNLOAD, &[zipped, ("x-request-id", "whole-1")], &question(&id));
    assert_eq!((whole.status, whole.header("content-encoding")), (200, None));
    assert_eq!((whole.header("x-request-id"), whole.body.len()), (Some("whole-1"), length));
    assert!(whole.body.iter().all(|byte| *byte == b'n'));
    let part = [zipped, ("range", "bytes=100-299"), ("x-request-id", "part-1")];
    let part = ask(&server.address, "POST", DOWNLOAD, &part, &question(&id));
    assert_eq!((part.status, part.header("content-encoding"), part.body.len()), (206, None, 200));
    let missing = ask(&server.address, "POST", DOWNLOAD, &[("x-request-id", "missing-1")], &question("nothing"));
    assert_eq!((missing.status, missing.text().contains("File not found")), (500, true));

    let line = logged(&desk, |line| line.contains("id=whole-1"));
    assert!(line.contains(&format!("status=200 site=2 records=0 in={}", question(&id).len())), "{line}");
    assert!(line.contains(&format!(" out={length} ")), "{line}");
    let line = logged(&desk, |line| line.contains("id=part-1"));
    assert!(line.contains("status=206 site=2 ") && line.contains(" out=200 "), "{line}");
    let line = logged(&desk, |line| line.contains("id=missing-1"));
    assert!(line.contains("status=500 site=2 error=other_server_error "), "{line}");

    let text = get(&server.address, "/metrics").text();
    for (question, status) in [("upload_file", 200), ("download_file", 200), ("download_file", 206)] {
        let name = format!(r#"oms_sync_requests_total{{question="{question}",status="{status}"}}"#);
        assert_eq!(figure(&text, &name), 1.0, "{name}");
    }
    let bytes = figure(&text, r#"oms_sync_body_bytes_total{direction="out"}"#);
    assert!(bytes > length as f64, "{bytes}");
    server.stop().ends(0);
}

#[test]
fn an_upload_that_stands_still_is_given_up_and_keeps_nothing() {
    let (desk, server, id) = sent(10, &["--patience", "3s"]);
    let part = format!(r#"{{"file_id":"{id}","sync_v5_settings":{},"sync_v6_version":5}}"#, credentials());
    let begun = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{part}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"n\"\r\n\r\nhalf"
    );
    let mut stream = connect(&server.address);
    let headers = [
        ("content-type", "multipart/form-data; boundary=b"),
        ("content-length", "1000000"),
        ("x-request-id", "stands-still"),
    ];
    stream.write_all(head("PUT", UPLOAD, &headers).as_bytes()).expect("sent");
    stream.write_all(begun.as_bytes()).expect("sent");
    let reply = Reply::read(&mut stream).expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    let line = logged(&desk, |line| line.contains("id=stands-still"));
    assert!(line.contains(&format!("status=408 site=2 records=0 in={} ", begun.len())), "{line}");
    let unfinished = std::fs::read_dir(desk.path("central.sqlite.files/unfinished")).map_or(0, Iterator::count);
    assert_eq!(unfinished, 0);
    server.stop().ends(0);
}

#[test]
fn a_client_that_takes_nothing_of_its_file_is_given_up() {
    let (desk, server, id) = sent(40_000_000, &["--patience", "1s"]);
    let mut stream = connect(&server.address);
    let body = question(&id);
    let length = body.len().to_string();
    let headers =
        [("content-type", "application/json"), ("content-length", length.as_str()), ("x-request-id", "takes-nothing")];
    stream.write_all(head("POST", DOWNLOAD, &headers).as_bytes()).expect("sent");
    stream.write_all(&body).expect("sent");
    let line = logged(&desk, |line| line.contains("id=takes-nothing"));
    assert!(line.contains("status=200 site=2 error=cut_off "), "{line}");
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < 40_000_000, "{}", got.len());
    server.stop().ends(0);
}

/// A file that the server had and lost is no matter of the site alone that asks for it: the administrator learns of it.
#[test]
fn a_file_whose_bytes_are_gone_alarms_until_they_are_back() {
    let (desk, server, id) = sent(1000, &["--admin-listen", "127.0.0.1:0"]);
    let alarm = || {
        let status = desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json();
        let alarms = status["alarms"].as_array().expect("alarms").clone();
        alarms.into_iter().find(|alarm| alarm["code"] == "files_lost")
    };
    let bytes = FileStore::new(desk.path("central.sqlite.files")).path(&id.as_str().into());
    let aside = desk.path("notes.txt");
    std::fs::rename(&bytes, &aside).expect("moved away");
    assert_eq!(alarm(), None, "nobody has looked");
    let fetch = || ask(&server.address, "POST", DOWNLOAD, &[], &question(&id));
    assert_ne!(fetch().status, 200);
    let found = alarm().expect("a site met it");
    assert_eq!((&found["files"], &found["first"]), (&json!(1), &json!(id)));
    let doctor = desk.run(&["--db", "central.sqlite", "doctor"]);
    let words = doctor.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("1 file is missing or damaged here"), "{doctor:?}");
    let admin = server.admin.clone().expect("an address");
    let told = || figure(&get(&admin, "/metrics").text(), "oms_sync_alarms{code=\"files_lost\"}") == 1.0;
    let mut looked = 0;
    while !told() {
        // The page and the figures are made anew every two seconds.
        assert!(looked < 600, "the server tells it too");
        looked += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::rename(&aside, &bytes).expect("moved back");
    assert_eq!(fetch().status, 200);
    assert_eq!(alarm(), None, "a site got it");
    // A look at all of them finds it too, and ends the alarm as well.
    std::fs::rename(&bytes, &aside).expect("moved away");
    desk.run(&["--db", "central.sqlite", "files", "verify"]).ends(1);
    assert!(alarm().is_some(), "it was looked for");
    let backup = desk.run(&["--db", "central.sqlite", "backup", "backups"]).ends(0).err;
    let words = backup.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = format!("1 file is missing or damaged in the folder of files, {id} first, and so in this backup");
    assert!(words.contains(&told), "{backup}");
    std::fs::rename(&aside, &bytes).expect("moved back");
    desk.run(&["--db", "central.sqlite", "files", "verify"]).ends(0);
    assert_eq!(alarm(), None);
    // Where no backup has it, a site that has it sends it again.
    std::fs::remove_file(&bytes).expect("lost");
    desk.run(&["--db", "central.sqlite", "files", "verify"]).ends(1);
    for what in [id.as_str(), "all"] {
        desk.run(&["files", "resend", what]).ends(0);
    }
    desk.run(&["files", "sync", "-q"]).ends(0);
    assert_eq!(std::fs::read(&bytes).expect("it is back").len(), 1000);
    desk.run(&["--db", "central.sqlite", "files", "resend", "all"]).ends(3);
    desk.run(&["--db", "central.sqlite", "files", "verify"]).ends(0);
    assert_eq!(alarm(), None);
    server.stop().ends(0);
}
