//! Input from editors and scripts of Windows is read, or refused with the reason.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use serde_json::json;

use self::support::{Desk, PASSWORD};

fn little(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_password_is_the_same_however_it_is_written() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    let line = format!("{PASSWORD}\r\n");
    let mut number = 0;
    let mut db = || {
        number += 1;
        format!("{number}.sqlite")
    };
    for bytes in [
        [b"\xef\xbb\xbf", line.as_bytes()].concat(),
        [&[0xff, 0xfe][..], &little(&line)].concat(),
        little(&line),
        format!("{PASSWORD}\r").into_bytes(),
    ] {
        std::fs::write(desk.path("written"), &bytes).expect("a file");
        desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "written"]).ends(0);
        let init = ["init", "--legacy-url", &server.address, "--site", "clinic\r", "--password-file"];
        desk.run(&[&["--db", &db()][..], &init, &["pw", "--hardware-id", "m"]].concat()).ends(0);
    }
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--hardware-id", "m"];
    let variable = format!("{PASSWORD}\r");
    desk.run_with(&[("OMS_SYNC_PASSWORD", &variable), ("OMS_SYNC_DB", "with-cr.sqlite\r\n")], &init).ends(0);
    assert!(desk.path("with-cr.sqlite").exists());
    let stdin_db = db();
    let from_stdin = [&["--db", &stdin_db][..], &init, &["--password-stdin"]].concat();
    desk.feed(&from_stdin, &format!("\u{feff}{PASSWORD}\r\nmore")).ends(0);
    for (bytes, why) in [(&b"caf\xe9\n"[..], "UTF-8"), (b"a\0b\0\0\0", "NUL"), (b"\xff\xfe\0\0a\0\0\0", "UTF-32")] {
        std::fs::write(desk.path("written"), bytes).expect("a file");
        let said = desk.run(&[&["--db", &db()][..], &init, &["--password-file", "written"]].concat()).ends(2);
        assert!(said.err.contains(why) && said.err.contains("written"), "{said:?}");
    }
    server.stop().ends(0);
}

#[test]
fn records_messages_and_translations_may_begin_with_a_mark() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let class = |id: &str| json!({"id": id, "name": "of Notepad"}).to_string();
    desk.feed(&["--db", "central.sqlite", "records", "put", "asset_class"], &format!("\u{feff}{}\r\n", class("a")))
        .ends(0);
    std::fs::write(desk.path("records.json"), [&[0xff, 0xfe][..], &little(&class("b"))].concat()).expect("a file");
    desk.run(&["--db", "central.sqlite", "records", "put", "asset_class", "records.json"]).ends(0);
    desk.feed(&["decode"], "\u{feff}{\"data\":{\"is_integrating\":false}}").ends(0);
    std::fs::write(desk.path("texts.json"), "\u{feff}{}").expect("a file");
    desk.run(&["--texts", "texts.json", "errors", "bad_input"]).ends(0);
}

/// A path may lead to what never ends, or to a pipe into which nobody writes.
#[cfg(unix)]
#[test]
fn what_is_no_file_and_no_pipe_is_refused_at_once() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    assert!(std::process::Command::new("mkfifo").arg(desk.path("pipe")).status().expect("mkfifo runs").success());
    let init = "init --legacy-url http://127.0.0.1:1 --site clinic --hardware-id m";
    for (args, status) in [
        (format!("{init} --password-file /dev/zero"), 2),
        ("--config /dev/zero status".to_owned(), 2),
        ("--texts /dev/zero status".to_owned(), 2),
        ("decode /dev/zero".to_owned(), 2),
        ("inspect /dev/zero".to_owned(), 2),
        ("inspect pipe".to_owned(), 2),
        ("inspect .".to_owned(), 2),
        ("--db central.sqlite records put asset_class /dev/zero".to_owned(), 2),
        ("--db central.sqlite site import /dev/zero --passwords p".to_owned(), 2),
        ("--db central.sqlite site add other --password-file .".to_owned(), 2),
        ("--db central.sqlite serve --listen 127.0.0.1:0 --tls-cert /dev/zero --tls-key /dev/zero".to_owned(), 2),
        ("--db pipe status".to_owned(), 6),
        ("--db /dev/zero status".to_owned(), 6),
        ("check pipe".to_owned(), 6),
    ] {
        let began = std::time::Instant::now();
        let said = desk.run(&args.split(' ').collect::<Vec<_>>());
        assert_eq!(said.status, Some(status), "{args}: {said:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{args}: {:?}", began.elapsed());
    }
    let long = "x".repeat(66_000);
    std::fs::write(desk.path("long"), &long).expect("a file");
    let said = desk.run(&["--db", "central.sqlite", "site", "add", "other", "--password-file", "long"]).ends(2);
    assert!(said.err.contains("more than 64 KiB"), "{said:?}");
    // A pipe that gives something is as good as a file.
    let pipe = desk.path("pipe");
    let writes = std::thread::spawn(move || std::fs::write(pipe, PASSWORD));
    desk.run(&["--db", "central.sqlite", "site", "add", "other", "--password-file", "pipe"]).ends(0);
    writes.join().expect("it ends").expect("written");
}
