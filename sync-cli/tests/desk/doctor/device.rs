//! Faults of this machine, of a record, or of the positions of the two ends.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::small_disk::small_disk;
use super::super::support::{Said, signal};
use super::{Answer, Ward, of};

impl Ward {
    fn database(&self) -> PathBuf {
        self.clinic.desk.path("oms-sync.sqlite")
    }

    fn pragma(&self, name: &str, value: i64) {
        let file = Connection::open(self.database()).expect("the site's database");
        file.pragma_update(None, name, value).expect("a pragma");
    }

    fn state(&self, key: &str, value: u64) {
        self.clinic.damage(&format!(
            "INSERT INTO sync_state (key, value) VALUES ('{key}', '{value}') ON CONFLICT DO UPDATE SET value = '{value}'"
        ));
    }
}

#[test]
fn no_database_and_one_that_is_not_set_up() {
    let ward = Ward::new();
    std::fs::rename(ward.database(), ward.clinic.desk.path("away")).expect("moved away");
    let set_up = &["oms-sync init", "legacy server's address"];
    let none = &["There is no database", "oms-sync.sqlite", "with --db"];
    ward.doctor("none", &of("device", 3, "database", "no_database", none));
    ward.clinic.desk.run(&["--db", "oms-sync.sqlite", "site", "add", "x", "--password-file", "pw"]).ends(0);
    let file = Connection::open(ward.database()).expect("a database");
    file.execute("DELETE FROM sync_state WHERE key = 'role'", ()).expect("SQL");
    drop(file);
    ward.doctor("empty", &of("device", 3, "settings", "not_set_up", set_up));
    ward.clinic.desk.run(&["--db", "central.sqlite", "doctor"]).ends(0);
}

#[test]
fn a_file_that_is_no_database_or_a_damaged_one() {
    let ward = Ward::new();
    let whole = std::fs::read(ward.database()).expect("a file");
    std::fs::write(ward.database(), "a letter to the ministry\n".repeat(500)).expect("a file");
    ward.doctor("a letter", &of("device", 6, "database", "not_a_database", &["Check the path"]));
    std::fs::write(ward.database(), &whole[..whole.len() / 2]).expect("a file");
    ward.doctor(
        "half a file",
        &of("device", 6, "database", "database_failed", &["restore a backup if the file is damaged"]),
    );
    std::fs::write(ward.database(), &whole).expect("a file");
    ward.doctor("whole again", &of("nobody", 0, "", "", &[]));

    let file = Connection::open(ward.database()).expect("a database");
    let page: i64 = file.pragma_query_value(None, "page_size", |row| row.get(0)).expect("a number");
    let root = "SELECT rootpage FROM sqlite_master WHERE name = 'sync_record'";
    let root: i64 = file.query_row(root, (), |row| row.get(0)).expect("a number");
    drop(file);
    let mut broken = whole.clone();
    let at = usize::try_from((root - 1) * page).expect("a position");
    broken[at..at + 400].fill(0xA5);
    std::fs::write(ward.database(), &broken).expect("a file");
    ward.doctor(
        "one page",
        &of("device", 6, "integrity", "database_failed", &["the file is damaged", "restore a backup"]),
    );
}

#[test]
fn databases_of_other_versions_and_one_that_is_being_written() {
    let ward = Ward::new();
    let schema = {
        let file = Connection::open(ward.database()).expect("a database");
        file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).expect("a number")
    };
    ward.pragma("user_version", 99);
    ward.doctor("newer", &of("device", 5, "database", "database_too_new", &["Upgrade this program"]));
    ward.pragma("user_version", schema - 1);
    ward.doctor("older", &of("device", 0, "database", "database_older", &["Run `oms-sync status`"]));
    ward.pragma("user_version", schema);
    let writer = Connection::open(ward.database()).expect("a database");
    writer.execute_batch("BEGIN IMMEDIATE").expect("its turn");
    // Its files are not read meanwhile: reading them would end the turn.
    let found = ward.clinic.json(&["doctor"], 6);
    assert_eq!(
        (&found["check"], &found["finding"]["code"]),
        (&"database".into(), &"database_busy".into()),
        "{found:#}"
    );
    // The process is this test, which has no name of its own.
    let holder = if cfg!(target_os = "linux") { format!("(process {}, ", std::process::id()) } else { String::new() };
    let name = ward.database().display().to_string();
    let asset = r#"{"id":"busy","store_id":null}"#;
    std::fs::write(ward.clinic.desk.path("busy.json"), asset).expect("a file");
    for args in [&["doctor", "-q"][..], &["records", "put", "asset", "busy.json"]] {
        let said = ward.clinic.desk.run(args).ends(6);
        let said = format!("{}{}", said.out, said.err).split_whitespace().collect::<Vec<_>>().join(" ");
        let named = said.contains("is in use") && said.contains(&holder) && said.contains(&name);
        assert!(named, "without {holder:?} or {name:?}: {said}");
    }
}

/// What belongs to another user is not called read-only.
#[cfg(unix)]
#[test]
fn a_database_that_this_user_may_not_read_is_no_read_only_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let ward = Ward::new();
    let (db, folder) = (ward.database(), ward.clinic.desk.path("closed"));
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::copy(&db, folder.join("site.sqlite")).expect("copied");
    let mode = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode(&ward.clinic.desk.path(""), 0o755);
    mode(&db, 0o600);
    mode(&folder, 0o700);
    let program = env!("CARGO_BIN_EXE_oms-sync");
    for db in [db, folder.join("site.sqlite")] {
        for command in ["status", "doctor -q", "sync"] {
            let run = format!("{program} --db {} {command}", db.display());
            let ran = Command::new("setpriv").args(["--reuid", "65534", "--clear-groups", "sh", "-c", &run]).output();
            let Ok(output) = ran else {
                println!("SKIPPED: setpriv is missing");
                return;
            };
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if !said.contains("database_") && !said.contains("roblem") {
                println!("SKIPPED: no other user may be played here: {said}");
                return;
            }
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let named = words.contains("his user may not read the database") && !words.contains("read-only");
            assert!(output.status.code() == Some(6) && named, "{command}: {said}");
        }
    }
}

#[test]
fn cursors_beyond_the_end() {
    let ward = Ward::new();
    let restored = &["restored from a backup or replaced", "ask its administrator"];
    let before = ward.clinic.json(&["status"], 0)["pull_cursor_v6"].as_u64().expect("a number");
    ward.state("pull_cursor_v6", 999_999);
    ward.doctor("central's", &of("central_server", 4, "cursors", "cursor_went_back", restored));
    ward.state("pull_cursor_v6", before);
    ward.doctor("set right", &of("nobody", 0, "", "", &[]));

    ward.legacy.instead("/sync/v5/central_records", Answer::json(200, r#"{"maxCursor":2,"data":[]}"#));
    ward.state("pull_cursor_central", 999_999);
    ward.state("legacy_position_seen", 999_999);
    ward.doctor("the legacy server's", &of("legacy_server", 4, "cursors", "cursor_went_back", restored));
    ward.state("pull_cursor_central", 0);
    ward.state("legacy_position_seen", 0);
    ward.state("push_cursor_v6", 999_999);
    let changed = &["push_cursor_v6 stands at 999999, beyond the end", "restore a backup"];
    ward.doctor("our own", &of("device", 6, "cursors", "damaged_state", changed));
}

#[test]
fn records_and_files_that_do_not_get_through() {
    let ward = Ward::new();
    ward.clinic.lose_a_parent();
    let aside = &["1 record is in quarantine: 1 waiting", "oms-sync quarantine list"];
    ward.doctor("a record", &of("record", 1, "quarantine", "records_set_aside", aside));
    let reason = ["--reason", "test data"];
    let number = ward.clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    ward.clinic.says(&[&["quarantine", "ignore", &number][..], &reason].concat(), 0);
    ward.doctor("ignored", &of("nobody", 0, "", "", &[]));

    ward.clinic.put_asset("fridge", "x");
    std::fs::write(ward.clinic.desk.path("door.jpg"), vec![7; 5000]).expect("a file");
    ward.clinic.desk.run(&["files", "attach", "asset", "fridge", "door.jpg"]).ends(0);
    ward.doctor("on its way", &of("nobody", 0, "", "", &[]));
    std::fs::remove_dir_all(ward.clinic.desk.path("oms-sync.sqlite.files")).expect("files");
    ward.clinic.desk.run(&["sync", "--with-files", "-q"]).ends(1);
    let gone =
        &["iles whose bytes are gone from this device: 1 of 1", "of asset fridge", "Attach the file to its record"];
    let found = ward.doctor("a file", &of("device", 0, "files", "files_stuck", gone));
    // The advice helps.
    ward.clinic.desk.run(&["files", "attach", "asset", "fridge", "door.jpg", "-q"]).ends(0);
    let advice = found["finding"]["advice"].as_str().expect("the advice");
    let delete = advice.split_once("`oms-sync ").and_then(|(_, rest)| rest.split_once('`')).expect("a command").0;
    ward.clinic.desk.run(&delete.split(' ').collect::<Vec<_>>()).ends(0);
    ward.clinic.desk.run(&["sync", "--with-files", "-q"]).ends(0);
    ward.doctor("attached again", &of("nobody", 0, "", "", &[]));
}

#[test]
fn stores_that_this_database_has_lost() {
    let ward = Ward::new();
    let before = ward.clinic.json(&["identity"], 0)["stores"].clone();
    ward.clinic.damage("DELETE FROM sync_record WHERE table_name IN ('store', 'name')");
    let lost = &["holds none any more", "oms-sync cursor rewind pull-legacy", "the server still has them"];
    ward.doctor("all stores", &of("device", 0, "settings", "stores_lost", lost));
    super::holds(&ward.clinic.says(&["identity"], 3), lost);
    // The legacy server's own answer is not checked.
    let says = r#"{"error":{"code":"site_has_no_store","message":"No","data":null}}"#;
    ward.legacy.instead("/sync/v5", Answer::json(403, says));
    let active = &["make a store active on this site"];
    ward.doctor("none there", &of("legacy_server", 3, "legacy sign-in", "site_has_no_store", active));
    ward.legacy.doing().instead.clear();
    // The advice helps.
    let rewind = ["cursor", "rewind", "pull-legacy", "--yes", "--reason", "doctor"];
    ward.clinic.says(&rewind, 0);
    ward.clinic.sync(0);
    assert_eq!(ward.clinic.json(&["identity"], 0)["stores"], before);
    ward.doctor("read again", &of("nobody", 0, "", "", &[]));
    // If other sites' stores are here, this end cannot tell: both possibilities are named.
    ward.at_server(&["site", "add", "other", "--password-file", "pw"]);
    ward.at_server(&["store", "add", "Other", "--code", "O", "--site", "other"]);
    ward.clinic.sync(0);
    ward.clinic.damage(&format!("DELETE FROM sync_record WHERE record_id = '{}'", ward.clinic.store));
    let either =
        &["No store is active on site 2 (clinic)", "make a store active", "If one is active there, it was lost here"];
    ward.doctor("its own", &of("legacy_server", 0, "settings", "site_has_no_store", either));
}

#[test]
fn a_copy_is_recognised_by_a_doctor_that_comes_first() {
    let ward = Ward::new();
    let copy = ward.clinic.desk.path("copy.sqlite");
    for end in ["", "-wal", "-shm", ".watermark"] {
        let from = ward.clinic.desk.path(&format!("oms-sync.sqlite{end}"));
        if from.exists() {
            std::fs::copy(from, ward.clinic.desk.path(&format!("copy.sqlite{end}"))).expect("copied");
        }
    }
    let before = std::fs::read(&copy).expect("the copy");
    let found = ward.clinic.json(&["--db", "copy.sqlite", "doctor"], 0);
    assert_eq!(
        (&found["check"], &found["finding"]["code"]),
        (&"copies".into(), &"database_copied".into()),
        "{found:#}"
    );
    super::holds(
        &ward.clinic.says(&["--db", "copy.sqlite", "doctor", "-q"], 0),
        &["were moved or copied here", "stop one of the two"],
    );
    assert!(before == std::fs::read(&copy).expect("the copy"), "doctor changes nothing");
    ward.doctor("the original", &of("nobody", 0, "", "", &[]));
}

#[test]
fn a_disk_that_is_full_or_read_only() {
    if let Some(disk) = small_disk("doctor::device::a_disk_that_is_full_or_read_only") {
        on_small_disk(&disk);
    }
}

fn on_small_disk(disk: &std::path::Path) {
    let ward = Ward::new();
    let db = disk.join("site.sqlite");
    std::fs::copy(ward.database(), &db).expect("copied");
    let db = db.to_str().expect("text");
    let doctor = |what: &str, db: &str, status: i32, code: &str, words: &[&str]| {
        let found = ward.clinic.json(&["--db", db, "doctor"], status);
        assert_eq!((&found["party"], &found["finding"]["code"]), (&"device".into(), &code.into()), "{what}: {found:#}");
        super::holds(&ward.clinic.says(&["--db", db, "doctor"], status), words);
    };
    doctor(
        "small",
        db,
        0,
        "disk_full",
        &["No fault found, but check this device", "Only", "MB are free on the disk of", db, "Free some space"],
    );
    let ballast = disk.join("ballast");
    // Fills the disk as far as it goes: that it cannot take all is the point.
    let _ = std::fs::write(&ballast, vec![1; 20 * 1024 * 1024]);
    doctor("full", db, 6, "disk_full", &["The problem is with this device", db, "Free some space; nothing is lost"]);
    std::fs::remove_file(&ballast).expect("removed");
    std::fs::copy(ward.database(), disk.join("closed.sqlite")).expect("copied");
    let done = Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status().expect("mount");
    assert!(done.success());
    for db in [db, &db.replace("site", "closed")] {
        doctor(
            "read-only",
            db,
            6,
            "database_read_only",
            &["The problem is with this device", "the right to write the file"],
        );
    }
}

/// Files would fail, though no file is known yet: a sync with files ends with the same status.
#[test]
fn a_folder_of_files_that_cannot_be_used() {
    let ward = Ward::new();
    let folder = ward.clinic.desk.path("oms-sync.sqlite.files");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::write(&folder, "a letter").expect("a file");
    let words = &["oms-sync.sqlite.files", "failed", "check the path"];
    ward.doctor("a file in its place", &of("device", 6, "files", "io_failed", words));
    std::fs::remove_file(&folder).expect("removed");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("unfinished"), "a letter").expect("a file");
    let found = ward.clinic.json(&["doctor"], 6);
    assert!(found["says"].to_string().contains("oms-sync.sqlite.files/unfinished"), "{found:#}");
    std::fs::remove_dir_all(&folder).expect("removed");
    ward.doctor("no folder yet", &of("nobody", 0, "", "", &[]));
    // A server that is down is told first: nothing synchronises without it.
    std::fs::write(&folder, "a letter").expect("a file");
    ward.central.instead("/", Answer::page(502));
    ward.doctor("central is ill too", &of("central_server", 4, "central server", "server_trouble", &[]));
}

#[test]
fn a_database_that_lacks_a_table() {
    let ward = Ward::new();
    let whole = std::fs::read(ward.database()).expect("a file");
    let tables = {
        let file = Connection::open(ward.database()).expect("a database");
        let mut query =
            file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'sync_%'").expect("SQL");
        let names = query.query_map((), |row| row.get::<_, String>(0)).expect("SQL");
        names.collect::<Result<Vec<_>, _>>().expect("names")
    };
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let file = Connection::open(ward.database()).expect("a database");
        file.execute_batch(&format!("PRAGMA foreign_keys = OFF; DROP TABLE {table}")).expect("SQL");
        drop(file);
        let found = ward.clinic.json(&["doctor"], 6);
        assert_eq!(
            (&found["party"], &found["check"], &found["finding"]["code"]),
            (&"device".into(), &"database".into(), &"damaged_state".into()),
            "{table}: {found:#}"
        );
        assert!(
            found["says"].to_string().contains(&format!("the table {table} of its schema is missing")),
            "{found:#}"
        );
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(ward.clinic.desk.path(&format!("oms-sync.sqlite{end}")));
        }
        std::fs::write(ward.database(), &whole).expect("a file");
    }
    ward.doctor("whole again", &of("nobody", 0, "", "", &[]));
}

#[test]
fn a_damaged_beginning_of_a_database_is_not_taken_for_another_file() {
    let ward = Ward::new();
    let mut broken = std::fs::read(ward.database()).expect("a file");
    broken[..100].fill(0x5A);
    std::fs::write(ward.database(), &broken).expect("a file");
    let words = &["its beginning is damaged", "restore a backup"];
    ward.doctor("its head", &of("device", 6, "database", "not_a_database", words));
}

/// The number of checks that were made is that of those that say something.
#[test]
fn checks_that_were_not_made_are_not_counted() {
    let ward = Ward::new();
    std::fs::rename(ward.database(), ward.clinic.desk.path("away")).expect("moved away");
    let found = ward.clinic.json(&["doctor"], 3);
    let made = found["checks"].as_array().expect("a list").iter().filter(|check| check["outcome"] != "not_checked");
    let made = match made.count() {
        1 => "1 check was made".to_owned(),
        count => format!("{count} checks were made"),
    };
    let said = ward.clinic.desk.run(&["doctor"]).ends(3);
    assert!(said.err.contains(&made), "without {made:?}: {said:?}");
}

/// A path begins a sentence as it is written.
#[test]
fn a_path_is_not_written_with_a_capital() {
    let ward = Ward::new();
    std::fs::write(ward.clinic.desk.path("letter.sqlite"), "a letter to the ministry\n".repeat(500)).expect("a file");
    std::fs::write(ward.clinic.desk.path("letter.sqlite.watermark"), "").expect("a file");
    let said = ward.clinic.desk.run(&["--db", "letter.sqlite", "doctor", "-q"]).ends(6).out;
    assert!(said.contains("this device. letter.sqlite cannot"), "{said}");
}

/// A command that waits for the database sees no signal, and ends all the same.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_command_that_waits_for_the_database() {
    let ward = Ward::new();
    ward.clinic.put_asset("fridge", "x");
    let writer = Connection::open(ward.database()).expect("a database");
    writer.execute_batch("BEGIN IMMEDIATE").expect("its turn");
    for args in [&["sync", "-q"][..], &["sync", "-q", "--json"]] {
        let child = ward.clinic.desk.spawn(args);
        std::thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        signal(&child, "-INT");
        let said = Said::by(child).ends(130);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(format!("{}{}", said.out, said.err).contains("cancelled"), "{said:?}");
    }
    writer.execute_batch("ROLLBACK").expect("its turn is over");
    ward.clinic.sync(0);
}
