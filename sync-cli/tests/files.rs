//! Files through the real program, over real HTTP.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use sync_core::Replica;
use sync_core::clock::SystemClock;
use sync_core::files::{Attach, FilesConfig};
use sync_core::storage::SqliteStorage;
use sync_core::transport::{HttpRequest, HttpTransport, Method, StreamedBody, Transport as _};

use self::support::Desk;

const STORE: &str = "STORE_of_the_clinic";

/// A central that knows a site with a store, and the site, which has an asset.
fn world(desk: &Desk) -> support::Server {
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", STORE];
    desk.run(&[&["--db", "central.sqlite"][..], &add].concat()).ends(0);
    let server = desk.serve("central.sqlite");
    init(desk, "oms-sync.sqlite", &server.address);
    let asset = json!({
        "id": "a", "store_id": STORE, "created_datetime": "2026-11-23T08:00:00",
        "modified_datetime": "2026-11-23T08:00:00",
    });
    desk.feed(&["records", "put", "asset"], &asset.to_string()).ends(0);
    server
}

fn init(desk: &Desk, db: &str, address: &str) {
    let hardware = ["--hardware-id", support::HARDWARE_ID];
    let args = ["--db", db, "init", "--legacy-url", address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&args[..], &hardware].concat()).ends(0);
    desk.run(&["--db", db, "sync", "-q"]).ends(0);
}

fn listed(desk: &Desk, db: &str) -> Vec<Value> {
    desk.run(&["--db", db, "files", "list", "--json"]).ends(0).json_lines()
}

/// Attached at a site, sent to central, and fetched by a site whose machine was lost: the bytes are the same everywhere.
#[test]
fn a_file_goes_to_central_and_comes_back() {
    let desk = Desk::new();
    let server = world(&desk);
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(desk.path("fridge door é.jpg"), &bytes).unwrap();
    let attached = desk.run(&["files", "attach", "asset", "a", "fridge door é.jpg", "--json"]).ends(0).json();
    let id = attached["id"].as_str().unwrap();
    let state = |db: &str| {
        let files = listed(&desk, db);
        assert_eq!((files.len(), files[0]["id"].as_str()), (1, Some(id)), "{files:?}");
        assert_eq!(files[0]["name"], "fridge door é.jpg");
        (files[0]["direction"].as_str().unwrap().to_owned(), files[0]["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state("oms-sync.sqlite"), ("upload".to_owned(), "waiting".to_owned()));
    let said = desk.run(&["sync", "--with-files", "--json", "-q"]).ends(0).json();
    assert_eq!((&said["outcome"], &said["files"]["uploaded"]), (&json!("done"), &json!(1)), "{said}");
    assert_eq!(state("oms-sync.sqlite"), ("upload".to_owned(), "done".to_owned()));
    assert_eq!(state("central.sqlite"), ("download".to_owned(), "done".to_owned()));

    init(&desk, "new.sqlite", &server.address);
    assert_eq!(state("new.sqlite"), ("download".to_owned(), "waiting".to_owned()));
    let said = desk.run(&["--db", "new.sqlite", "files", "sync", "--json", "-q"]).ends(0).json();
    assert_eq!((&said["downloaded"], &said["bytes_received"]), (&json!(1), &json!(bytes.len())), "{said}");
    for db in ["oms-sync.sqlite", "central.sqlite", "new.sqlite"] {
        let path = listed(&desk, db)[0]["path"].as_str().unwrap().to_owned();
        assert!(std::fs::read(desk.path(&path)).unwrap() == bytes, "{db}");
        let verified = desk.run(&["--db", db, "files", "verify", "--json"]).ends(0).json();
        assert_eq!((&verified["sound"], &verified["bytes"]), (&json!(1), &json!(bytes.len())));
    }
    server.stop().ends(0);
}

/// One database under two names: one lock, one watermark and one folder of files.
#[cfg(unix)]
#[test]
fn a_database_named_by_a_symbolic_link_is_the_same_database() {
    let desk = Desk::new();
    let server = world(&desk);
    std::os::unix::fs::symlink("oms-sync.sqlite", desk.path("link.sqlite")).unwrap();
    std::fs::write(desk.path("x.bin"), [1; 1000]).unwrap();
    let link = ["--db", "link.sqlite"];
    desk.run(&[&link[..], &["files", "attach", "asset", "a", "x.bin"]].concat()).ends(0);
    for db in ["oms-sync.sqlite", "link.sqlite"] {
        let verified = desk.run(&["--db", db, "files", "verify", "--json"]).ends(0).json();
        assert_eq!(verified["sound"], 1, "{db}: {verified}");
    }
    desk.run(&[&link[..], &["sync", "-q"]].concat()).ends(0);
    let left: Vec<String> = std::fs::read_dir(desk.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("link.sqlite"))
        .collect();
    assert_eq!(left, ["link.sqlite"], "nothing lies beside the link");

    // A folder that an older version kept beside the link is found and moved.
    std::fs::rename(desk.path("oms-sync.sqlite.files"), desk.path("link.sqlite.files")).unwrap();
    let verified = desk.run(&[&link[..], &["files", "verify", "--json"]].concat()).ends(0).json();
    assert_eq!(verified["sound"], 1, "{verified}");
    assert!(desk.path("oms-sync.sqlite.files").is_dir() && !desk.path("link.sqlite.files").exists());
    server.stop().ends(0);
}

/// Faults of the folder are reported, and central's files come again.
#[test]
fn verify_finds_what_is_missing_changed_and_surplus() {
    let desk = Desk::new();
    let server = world(&desk);
    std::fs::write(desk.path("photo.jpg"), vec![7; 5000]).unwrap();
    for _ in 0..2 {
        desk.run(&["files", "attach", "asset", "a", "photo.jpg"]).ends(0);
    }
    let told = desk.run(&["sync", "--with-files"]).ends(0).err;
    assert!(told.lines().any(|line| line == "Files: 5000 B"), "bytes, and not records: {told}");
    let paths: Vec<String> =
        listed(&desk, "oms-sync.sqlite").iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect();
    std::fs::remove_file(desk.path(&paths[0])).unwrap();
    std::fs::write(desk.path(&paths[1]), vec![8; 5000]).unwrap();
    std::fs::create_dir_all(desk.path("oms-sync.sqlite.files/zz")).unwrap();
    std::fs::write(desk.path("oms-sync.sqlite.files/zz/stray"), "stray").unwrap();
    let found = desk.run(&["files", "verify", "--json"]).ends(1).json();
    let mut findings: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|finding| finding["finding"].as_str().unwrap()).collect();
    findings.sort_unstable();
    assert_eq!(findings, ["changed", "missing", "surplus"]);
    let said = desk.run(&["files", "sync", "--json", "-q"]).ends(0).json();
    assert_eq!(said["downloaded"], 2, "{said}");
    std::fs::remove_file(desk.path(&paths[0])).unwrap();
    std::fs::write(desk.path(&paths[1]), vec![8; 5000]).unwrap();
    let said = desk.run(&["files", "verify"]).ends(1).out;
    let ids: Vec<String> =
        listed(&desk, "oms-sync.sqlite").iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect();
    for line in
        ["MISSING", "CHANGED"].iter().zip(&ids).map(|(what, id)| format!("{what}: {id} \"photo.jpg\" of asset a"))
    {
        assert!(said.contains(&line), "{line}: {said}");
    }
    desk.run(&["files", "sync", "-q"]).ends(0);
    std::fs::remove_file(desk.path("oms-sync.sqlite.files/zz/stray")).unwrap();
    desk.run(&["files", "verify"]).ends(0);
    server.stop().ends(0);
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let desk = Desk::new();
    let server = world(&desk);
    std::fs::write(desk.path("large.bin"), "").unwrap();
    let large = std::fs::OpenOptions::new().write(true).open(desk.path("large.bin")).unwrap();
    large.set_len(60_000_000).unwrap();
    let attach = |id: &str, file: &str| desk.run(&["files", "attach", "asset", id, file, "--json"]).ends(2).error().0;
    assert_eq!(attach("a", "large.bin"), "file_too_large");
    assert_eq!(attach("a", "nothing.bin"), "bad_input");
    assert_eq!(attach("a", "."), "bad_input");
    assert_eq!(attach("b", "large.bin"), "file_too_large");
    assert_eq!(attach("b", "pw"), "not_found");
    assert!(listed(&desk, "oms-sync.sqlite").is_empty());
    let left = std::fs::read_dir(desk.path("oms-sync.sqlite.files/unfinished")).map(Iterator::count).unwrap_or(0);
    assert_eq!(left, 0);
    assert_eq!(desk.run(&["--db", "central.sqlite", "files", "sync", "--json"]).ends(3).error().0, "wrong_role");
    server.stop().ends(0);
}

/// Over a real socket: an interrupted upload leaves nothing, and the next one succeeds.
#[test]
fn an_upload_that_breaks_off_leaves_nothing_at_the_server() {
    let desk = Desk::new();
    let server = world(&desk);
    std::fs::write(desk.path("photo.jpg"), vec![7; 300_000]).unwrap();
    let attached = desk.run(&["files", "attach", "asset", "a", "photo.jpg", "--json"]).ends(0).json();
    desk.run(&["sync", "-q"]).ends(0);
    let part = json!({
        "file_id": attached["id"], "sync_v6_version": 5,
        "sync_v5_settings": {
            "serverUrl": server.address, "username": "clinic", "siteUuid": support::HARDWARE_ID,
            "passwordSha256": sync_core::protocol::PasswordHash::of_password(support::PASSWORD).expose(),
            "appVersion": "2.19.0", "appName": "Open mSupply Desktop", "syncVersion": "14",
        },
    });
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{part}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"n\"\r\n\r\n"
    );
    let whole = [head.as_bytes(), &[7; 300_000], b"\r\n--b--\r\n"].concat();
    let address = server.address.trim_start_matches("http://").to_owned();
    let send = |path: &str, method: &str, bytes: &[u8], length: usize| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let _ = stream.write_all(bytes);
        if bytes.len() < length {
            // A server that has already answered closes the connection.
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let upload = "/central/sync/upload_file";
    for sent in [0, 100, head.len(), head.len() + 1, 150_000, whole.len() - 9, whole.len() - 5] {
        let answer = send(upload, "PUT", &whole[..sent], whole.len());
        assert!(!answer.contains("\"data\""), "{sent}: {answer}");
        let at_central = &listed(&desk, "central.sqlite")[0];
        assert_eq!((&at_central["state"], &at_central["path"]), (&json!("waiting"), &Value::Null), "{sent}");
    }
    let unfinished = std::fs::read_dir(desk.path("central.sqlite.files/unfinished")).map_or(0, Iterator::count);
    assert_eq!(unfinished, 0);
    assert!(
        send(upload, "GET", &whole, whole.len()).starts_with("HTTP/1.1 404"),
        "405 would mean that it is no central server"
    );
    // An early refusal reaches a client that sends everything before it reads.
    let unknown = head.replace(attached["id"].as_str().unwrap(), "unknown-file");
    let long = [unknown.as_bytes(), &vec![7; 20_000_000], b"\r\n--b--\r\n"].concat();
    let request = HttpRequest {
        method: Method::Put,
        url: format!("{}{upload}", server.address),
        headers: vec![("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())],
        body: Vec::new(),
    };
    let body = StreamedBody { length: long.len() as u64, reader: &mut long.as_slice() };
    let mut heard = HttpTransport::default().stream(&request, Some(body)).expect("it is all taken");
    let mut answer = String::new();
    heard.body.read_to_string(&mut answer).unwrap();
    assert_eq!((heard.status, answer.as_str()), (200, r#"{"error":{"syncFileNotFound":"unknown-file"}}"#));
    assert!(send(upload, "PUT", &whole, whole.len()).ends_with("{\"data\":null}"));
    assert_eq!(listed(&desk, "central.sqlite")[0]["state"], "done");
    // The site sends it too: the same again counts once.
    let said = desk.run(&["files", "sync", "--json", "-q"]).ends(0).json();
    assert_eq!(said["uploaded"], 1, "{said}");
    server.stop().ends(0);
}

/// A file above central's limit: central reads it to its end, so the site learns the reason, and sends the others.
#[test]
fn a_file_that_is_too_large_for_the_server() {
    let desk = Desk::new();
    let server = world(&desk);
    let storage = SqliteStorage::open_existing(desk.path("oms-sync.sqlite")).unwrap();
    let mut config = FilesConfig::default();
    config.file_bytes_max = 100_000_000;
    let folder = desk.path("oms-sync.sqlite.files");
    let clock = std::sync::Arc::new(SystemClock::new());
    let files =
        Replica::builder().clock(clock).with_storage(std::sync::Arc::new(storage)).files(folder).with_config(config);
    let attach = Attach::new("asset", "a", "n.bin");
    let mut large = std::io::repeat(7).take(60_000_000);
    let ids = [&mut large as &mut dyn std::io::Read, &mut b"small".as_slice()]
        .map(|bytes| files.attach_bytes(&attach, bytes).unwrap().to_string());
    let said = desk.run(&["sync", "--with-files", "--json", "-q"]).ends(1).json();
    assert_eq!((&said["files"]["uploaded"], &said["files"]["failed"]), (&json!(1), &json!(1)), "{said}");
    let listed = listed(&desk, "oms-sync.sqlite");
    let of = |id: &str| listed.iter().find(|file| file["id"] == id).unwrap();
    assert_eq!(of(&ids[0])["reason"], "it is too large for the central server");
    assert_eq!(of(&ids[1])["state"], "done");
    let shown = desk.run(&["files", "list"]).ends(0).out;
    let next = of(&ids[0])["next_at"].as_str().expect("a time").to_owned();
    let for_people = format!("{}Z", next[..19].replace('T', " "));
    assert!(shown.contains(&for_people) && !shown.contains(&next), "{shown}, {next}");
    let status = desk.run(&["status", "--json"]).ends(0).json();
    assert_eq!(status["files_by_state"], json!({ "done": 1, "failed": 1 }));
    server.stop().ends(0);
}

/// The memory of both ends does not follow the length of a file, in either direction.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_follow_the_length_of_files() {
    let measure = |length: usize| {
        let desk = Desk::new();
        let server = world(&desk);
        std::fs::write(desk.path("large.bin"), vec![7; length]).unwrap();
        desk.run(&["files", "attach", "asset", "a", "large.bin"]).ends(0);
        let up = watched(&desk, &["sync", "--with-files", "-q"]);
        init(&desk, "new.sqlite", &server.address);
        let down = watched(&desk, &["--db", "new.sqlite", "files", "sync", "-q"]);
        let central = peak(server.id());
        assert_eq!(listed(&desk, "new.sqlite")[0]["state"], "done");
        server.stop().ends(0);
        [("up", up), ("down", down), ("central", central)]
    };
    let (small, large) = (measure(1_000), measure(52_000_000));
    println!("{small:?} {large:?} kB");
    for ((what, small), (_, large)) in small.into_iter().zip(large) {
        assert!(large < small + 10_000, "{what}: {small} kB, and {large} kB for a file of 52 MB");
    }
}

/// Runs the program to its good end and returns its peak of memory in kB.
#[cfg(target_os = "linux")]
fn watched(desk: &Desk, args: &[&str]) -> u64 {
    let mut child = desk.spawn(args);
    let mut highest = 0;
    while child.try_wait().unwrap().is_none() {
        highest = highest.max(peak(child.id()));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    support::Said::by(child).ends(0);
    highest
}

#[cfg(target_os = "linux")]
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
