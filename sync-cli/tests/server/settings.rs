//! Settings from a file, and the check of all settings before a start.

use crate::central;
use crate::support::{Desk, HARDWARE_ID};

fn write(desk: &Desk, name: &str, text: &str) {
    std::fs::write(desk.path(name), text).expect("a file");
}

#[test]
fn a_flag_counts_before_the_environment_and_that_before_the_file() {
    let desk = Desk::new();
    for name in ["file", "environment", "flag", "other"] {
        desk.run(&["--db", &format!("{name}.sqlite"), "site", "add", name, "--password-file", "pw"]).ends(0);
    }
    let names = |env: &[(&str, &str)], args: &[&str]| {
        let listed = desk.run_with(env, &[args, &["site", "list", "--json"]].concat()).ends(0).json();
        listed["site_name"].as_str().expect("a name").to_owned()
    };
    write(&desk, "oms-sync.toml", "db = \"file.sqlite\"\n");
    write(&desk, "other.toml", "db = \"other.sqlite\"\n");
    let of_environment = [("OMS_SYNC_DB", "environment.sqlite")];
    assert_eq!(names(&[], &[]), "file");
    assert_eq!(names(&of_environment, &[]), "environment");
    assert_eq!(names(&of_environment, &["--db", "flag.sqlite"]), "flag");
    assert_eq!(names(&[], &["--config", "other.toml"]), "other");
    assert_eq!(names(&[], &["--config=other.toml"]), "other");
    assert_eq!(names(&[("OMS_SYNC_CONFIG", "other.toml")], &[]), "other");

    // Of two settings that exclude each other the typed one counts.
    write(&desk, "oms-sync.toml", "db = \"file.sqlite\"\nquiet = true\n[run]\nno-files = true\ninterval = \"1h\"\n");
    let typed = desk.run(&["run", "--with-files", "-v", "--json"]);
    assert_eq!(typed.error().0, "wrong_role", "all is understood: {typed:?}");
    // A list of values, and a command below another one.
    write(
        &desk,
        "oms-sync.toml",
        "db = \"file.sqlite\"\n[site.list]\nmax-age = \"1d\"\n[serve]\nadmin-host = [\"a\", \"b\"]\n",
    );
    desk.run(&["site", "list"]).ends(1);
    desk.run(&["site", "list", "--max-age", "never"]).ends(0);
}

#[test]
fn what_is_no_setting_is_named_with_its_file() {
    let desk = Desk::new();
    for (text, words) in [
        ("lissten = 1", &["oms-sync.toml", "oms-sync has no setting \"lissten\""][..]),
        ("[serve]\nlissten = \":1\"", &["serve has no setting \"lissten\"; did you mean listen?"]),
        ("[srve]\nlisten = \":1\"", &["oms-sync has no command \"srve\"; did you mean serve?"]),
        ("json = \"yes\"", &["json has to be true or false"]),
        ("db = true", &["db has to be a text or a number"]),
        ("db = \"x\"\n\nfiles = ", &["oms-sync.toml: line 3"]),
        ("[run]\ninterval = \"soon\"", &["oms-sync.toml: \"soon\" is no value for interval"]),
        ("[init]\npassword-stdin = true", &["init has no setting \"password-stdin\""]),
        // A file confirms nothing, least of all the one that happens to be in the folder.
        ("[resend]\nyes = true", &["yes is no setting", "give --yes on the command line"]),
        ("[cursor.rewind]\nyes = true", &["yes is no setting"]),
        ("[restore]\nyes = true", &["yes is no setting"]),
        ("[quarantine.ignore]\nreason = \"x\"", &["reason is no setting"]),
        ("[init]\nallow-http = true", &["allow-http is no setting"]),
        ("[doctor]\nallow-http = true", &["allow-http is no setting"]),
        ("[discover]\naccept = \"https://central.example.org\"", &["accept is no setting"]),
        ("[patient.link]\ngive-up = true", &["give-up is no setting"]),
        ("[site.remove]\nmove-stores-to = \"x\"", &["move-stores-to is no setting"]),
        ("[serve]\ncreate = true", &["create is no setting"]),
        ("without-hook = true", &["without-hook is no setting"]),
        ("yes = true", &["oms-sync has no setting \"yes\""]),
    ] {
        write(&desk, "oms-sync.toml", text);
        let said = desk.run(&["run"]).ends(2);
        for word in words {
            assert!(said.err.contains(word), "{word:?} of {text:?}: {}", said.err);
        }
    }
    desk.run(&["--help"]).ends(0);
    desk.run(&["completions", "bash"]).ends(0);
    // What is typed wins over a setting that does not go with it.
    write(&desk, "oms-sync.toml", "[init]\nhttps-only = true");
    let far = ["init", "--json", "--allow-http", "--legacy-url", "http://nowhere.invalid", "--site", "x"];
    let said = desk.run(&[&far[..], &["--password-file", "pw", "--hardware-id", HARDWARE_ID]].concat());
    assert_ne!(said.error().0, "https_required", "{said:?}");
    let missing = desk.run(&["--config", "nowhere.toml", "status"]).ends(2);
    assert!(missing.err.contains("nowhere.toml: cannot be read"), "{missing:?}");
}

#[test]
fn a_server_is_checked_before_it_starts() {
    let (desk, server) = central(&[]);
    let address = server.address.trim_start_matches("http://");
    let settings = |more: &str| {
        let text = format!("db = \"central.sqlite\"\n[serve]\nlisten = \"{address}\"\nbackup-to = \"backups\"\n{more}");
        write(&desk, "oms-sync.toml", &text);
        desk.run(&["serve", "--check", "--json"])
    };
    // The server that runs has the address and the database.
    assert_eq!(settings("").ends(0).json()["database_is_there"], true);
    assert!(!desk.path("backups").exists(), "nothing is made");
    let half = settings("tls-cert = \"cert.pem\"").ends(2);
    assert!(half.json()["error"]["message"].to_string().contains("TLS needs both"), "{half:?}");
    settings("public-url = \"http://joe:secret@central.example.org\"").ends(2);
    settings("tls-cert = \"cert.pem\"\ntls-key = \"key.pem\"").ends(2);
    settings("access-log = \"no/folder/log\"").ends(2);
    settings("access-log = \".\"").ends(2);
    settings("access-log = \"log\"").ends(0);
    assert!(!desk.path("log").exists(), "nothing is made");
    let twice = settings(&format!("admin-listen = \"{address}\"")).ends(2);
    assert!(twice.out.contains("another port"), "{twice:?}");
    settings("").ends(0);
    desk.run(&["--db", "new.sqlite", "serve", "--check", "--create", "--json"]).ends(0);
    assert_eq!(desk.run(&["--db", "new.sqlite", "serve", "--check", "--json"]).ends(3).error().0, "no_database");
    assert!(!desk.path("new.sqlite").exists());
    let init =
        ["--db", "site.sqlite", "init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    assert_eq!(desk.run(&["--db", "site.sqlite", "serve", "--check", "--json"]).ends(3).error().0, "wrong_role");
    server.stop().ends(0);
    write(&desk, "oms-sync.toml", "");
    // What the check refuses, the start refuses in the same words, and nothing is made.
    for (db, more, code) in [
        ("central.sqlite", vec!["--auth", "legacy"], "wrong_role"),
        ("new.sqlite", vec!["--auth", "legacy", "--create"], "no_database"),
        ("site.sqlite", vec!["--auth", "local"], "wrong_role"),
    ] {
        let serve = [&["--db", db, "serve", "--json", "--listen", "127.0.0.1:0"][..], &more].concat();
        let checked = desk.run(&[&serve[..], &["--check"]].concat()).ends(3).error();
        assert_eq!((checked.0.as_str(), desk.run(&serve).ends(3).error() == checked), (code, true), "{db} {more:?}");
    }
    assert!(!desk.path("new.sqlite").exists());

    // Without a flag, it is started by the same file; half of the settings for TLS never start it without TLS.
    let text = "[serve]\nlisten = \"127.0.0.1:0\"\ntls-cert = \"cert.pem\"\n";
    write(&desk, "oms-sync.toml", text);
    let refused = desk.run(&["--db", "central.sqlite", "serve", "--json"]).ends(2);
    assert!(refused.json()["error"]["message"].to_string().contains("TLS needs both"), "{refused:?}");
}
