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

#[test]
fn settings_may_be_written_by_notepad() {
    let desk = Desk::new();
    let settings = "db = \"mine.sqlite\"\r\njson = true\r\n";
    let utf16 = |mark: &[u8], unit: fn(u16) -> [u8; 2]| {
        [mark, &settings.encode_utf16().flat_map(unit).collect::<Vec<_>>()].concat()
    };
    for bytes in [
        [b"\xef\xbb\xbf", settings.as_bytes()].concat(),
        utf16(&[0xff, 0xfe], u16::to_le_bytes),
        utf16(&[0xfe, 0xff], u16::to_be_bytes),
        utf16(&[], u16::to_le_bytes),
    ] {
        std::fs::write(desk.path("oms-sync.toml"), bytes).expect("a file");
        let said = desk.run(&["status"]).ends(3);
        assert!(said.json()["error"]["message"].as_str().expect("a message").contains("mine.sqlite"), "{said:?}");
    }
    for (bytes, why) in [(&b"db = \"caf\xe9\"\n"[..], "UTF-8"), (b"\xff\xfe\0\0d\0\0\0", "UTF-32")] {
        std::fs::write(desk.path("oms-sync.toml"), bytes).expect("a file");
        let said = desk.run(&["status"]).ends(2);
        assert!(said.err.contains(why) && said.err.contains("oms-sync.toml"), "{said:?}");
    }
}

/// As by `copy a.csv + b.csv all.csv`.
#[test]
fn a_second_file_behind_the_first_is_named_with_its_line() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let put = ["--db", "central.sqlite", "--json", "records", "put", "asset_class"];
    let class = |id: &str| json!({"id": id, "name": "x"}).to_string();
    let (a, b) = (class("a"), class("b"));
    let import = ["--db", "central.sqlite", "--json", "site", "import", "all.csv", "--passwords", "passwords.csv"];
    let head = "\u{feff}site,store_code,store_name\r\n";
    for (args, input, line) in [
        (&put[..], format!("\u{feff}{a}\r\n\u{feff}{b}\r\n"), 2),
        (&put, format!("{a}\n{b}\u{feff}{b}"), 2),
        (&import, format!("{head}ward,W,Ward\r\n\r\n{head}depot,D,Depot\r\n"), 4),
    ] {
        std::fs::write(desk.path("all.csv"), &input).expect("a file");
        let said = desk.feed(args, &input).ends(2);
        let message = said.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("byte order mark") && message.contains(&format!("line {line}")), "{message}");
    }
    let sites = desk.run(&["--db", "central.sqlite", "--json", "site", "list"]).ends(0).json_lines();
    assert_eq!(sites.len(), 1, "nothing of a joined file is taken");
    // Within a text the character is one like others.
    desk.feed(&put, &json!({"id": "c", "name": "no\u{feff}break"}).to_string()).ends(0);
}

#[test]
fn what_no_server_takes_is_refused_here_with_the_reason() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    let from = ["--legacy-url", &server.address, "--site", "clinic:1", "--password-file", "pw", "--json"];
    let add = ["--db", "central.sqlite", "site", "add", "clinic:1", "--password-file", "pw", "--json"];
    for said in [
        desk.run(&[&["init"][..], &from].concat()),
        desk.run(&[&["doctor"][..], &from].concat()),
        desk.run(&[&["net"][..], &from].concat()),
        desk.run(&add),
    ] {
        let said = said.ends(2);
        let message = said.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("clinic:1") && message.contains("colon") && message.contains("RFC 7617"), "{message}");
    }
    assert!(!desk.path("oms-sync.sqlite").exists());
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", "m"]].concat()).ends(0);
    for born in ["+2011-01-01", "-2011-01-01", "2011-1-1", "2011-02-30", "20110101", "2011-01-01T00:00:00"] {
        let said = desk.run(&["patient", "find", &format!("--born={born}"), "--json"]).ends(2);
        assert!(said.json()["error"]["message"].as_str().expect("a message").contains("is no date"), "{said:?}");
    }
    desk.run(&["patient", "find", "--born", "2011-01-01"]).ends(0);
    server.stop().ends(0);
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
