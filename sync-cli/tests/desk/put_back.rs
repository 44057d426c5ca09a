//! Databases that were put back from a backup: what the desk says of them.

use std::path::PathBuf;

use super::Clinic;

impl Clinic {
    /// Backs a database up, and returns the folder of the backup.
    fn backed_up(&self, db: &str, to: &str) -> PathBuf {
        let taken = self.desk.run(&["--db", db, "backup", to, "--json"]).ends(0).json();
        self.desk.path(taken["backup"].as_str().expect("a folder"))
    }

    fn restore(&self, db: &str, backup: &std::path::Path) {
        self.desk.run(&["--db", db, "restore", &backup.display().to_string(), "--yes"]).ends(0);
    }

    /// The check of copies in the report of `doctor`: its outcome and its words.
    fn copies(&self, status: i32) -> (String, String) {
        self.copies_of("oms-sync.sqlite", status)
    }

    fn copies_of(&self, db: &str, status: i32) -> (String, String) {
        let said = self.desk.run(&["--db", db, "doctor", "--json"]).ends(status).json();
        let checks = said["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == "copies").expect("it is checked");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        (text(&check["outcome"]), text(&check["says"]))
    }
}

#[test]
fn a_restore_is_no_living_copy() {
    let clinic = Clinic::new();
    let ok = ("ok".to_owned(), "no other copy of this database is known to run".to_owned());
    clinic.put_asset("a", "1");
    clinic.sync(0);
    let old = clinic.backed_up("oms-sync.sqlite", "backups");
    clinic.put_asset("b", "1");
    clinic.sync(0);
    clinic.restore("oms-sync.sqlite", &old);
    assert_eq!(clinic.copies(0), ok, "before it has read again what it lost");
    clinic.sync(0);
    assert_eq!(clinic.copies(0), ok);

    // A backup of the last state: nothing was lost, and nothing is left to push.
    let last = clinic.backed_up("oms-sync.sqlite", "backups");
    clinic.restore("oms-sync.sqlite", &last);
    assert_eq!(clinic.copies(0), ok, "put back by the program");
    clinic.sync(0);
    assert_eq!(clinic.copies(0), ok);
    std::fs::rename(last.join("oms-sync.sqlite"), clinic.desk.path("oms-sync.sqlite")).expect("put back by hand");
    assert_eq!(clinic.copies(0), ok, "put back by hand");
}

#[test]
fn a_folder_that_was_copied_still_alarms_and_a_central_server_is_not_told_of_a_push() {
    let clinic = Clinic::new();
    clinic.put_asset("a", "1");
    clinic.sync(0);
    for (from, to) in [("oms-sync.sqlite", "copy.sqlite"), ("central.sqlite", "moved.sqlite")] {
        let backup = clinic.backed_up(from, "backups");
        std::fs::copy(backup.join(from), clinic.desk.path(to)).expect("a copy");
        let beside = |db: &str| clinic.desk.path(&format!("{db}.watermark"));
        std::fs::copy(beside(from), beside(to)).expect("a copy");
    }
    // The copy is noticed when a command opens the file to write.
    clinic.desk.run(&["--db", "copy.sqlite", "sync", "-q"]).ends(0);
    clinic.desk.run(&["--db", "moved.sqlite", "resume"]).ends(0);
    let said = clinic.desk.run(&["--db", "copy.sqlite", "doctor"]).ends(0).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("were moved or copied here") && said.contains("If it does not, as after a move"), "{said}");
    let status = clinic.desk.run(&["--db", "copy.sqlite", "status"]).ends(0);
    assert!(words(&status).contains("warning: the database and its watermark were moved or copied here"), "{status:?}");
    let status = clinic.desk.run(&["--db", "moved.sqlite", "status", "--json"]).ends(0).json();
    assert_eq!(status["other_copy"], serde_json::Value::Null);
    // One of two pushes, and the other one is refused; then the one that goes on says so too, as `doctor` does.
    clinic.put_asset("b", "1");
    clinic.sync(0);
    let asset = serde_json::json!({ "id": "c", "store_id": clinic.store, "created_datetime": "2026-11-23T08:00:00",
        "modified_datetime": "2026-11-23T08:00:00" });
    clinic.desk.feed(&["--db", "copy.sqlite", "records", "put", "asset"], &asset.to_string()).ends(0);
    clinic.desk.run(&["--db", "copy.sqlite", "sync", "-q"]).ends(3);
    let refused = clinic.json(&["--db", "copy.sqlite", "status"], 0);
    assert_eq!(refused["other_copy"]["state"], "continues", "{refused}");
    clinic.sync(0);
    for command in ["sync", "status"] {
        let said = clinic.desk.run(&[command]).ends(0);
        assert!(words(&said).contains("warning: this copy goes on; another one was refused at"), "{said:?}");
    }
    // It pushes nothing, so a warning that ends with a push would never end.
    let came_here = |db: &str| {
        let file = rusqlite::Connection::open(clinic.desk.path(db)).expect("a database");
        let sql = "SELECT count(*) FROM sync_state WHERE key = 'file_came_here'";
        file.query_row(sql, (), |row| row.get::<_, i64>(0)).expect("a number")
    };
    assert_eq!(came_here("moved.sqlite"), 1, "it is noticed there too");
    assert_eq!(clinic.copies_of("moved.sqlite", 0).0, "ok");
}

#[test]
fn cursors_that_a_restore_of_central_skips_are_not_to_be_read() {
    let clinic = Clinic::new();
    clinic.put_asset("a", "1");
    clinic.sync(0);
    let Clinic { desk, server, .. } = clinic;
    server.stop().ends(0);
    let taken = desk.run(&["--db", "central.sqlite", "backup", "backups", "--json"]).ends(0).json();
    let backup = taken["backup"].as_str().expect("a folder");
    // As on a new machine: nothing tells which positions were used since, so a million of them are skipped.
    desk.run(&["--db", "new.sqlite", "restore", backup, "--yes"]).ends(0);
    let to_read = |db: &str| desk.run(&["--db", db, "site", "list", "--json"]).ends(0).json()["to_read"].clone();
    let before = to_read("central.sqlite").as_u64().expect("a number");
    assert_eq!(to_read("new.sqlite"), before);
    assert!(before < 10, "{before}");
}

/// The words of all that was said, wherever lines were folded.
fn words(said: &super::Said) -> String {
    format!("{} {}", said.out, said.err).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_backup_of_another_database_is_not_put_in_place_unless_that_is_meant() {
    let clinic = Clinic::new();
    let old = clinic.backed_up("oms-sync.sqlite", "backups").display().to_string();
    let Clinic { desk, server, .. } = clinic;
    desk.run(&["--db", "central.sqlite", "site", "add", "depot", "--password-file", "pw"]).ends(0);
    let from = ["--site", "depot", "--password-file", "pw", "--hardware-id", super::HARDWARE_ID];
    let init = ["--db", "depot.sqlite", "init", "--legacy-url", &server.address];
    desk.run(&[&init[..], &from].concat()).ends(0);
    // Until it has ended, the server still writes to its file.
    server.stop().ends(0);
    let depots = "this is a backup of site clinic (role remote); the database depot.sqlite is site depot (role remote)";
    let centrals = "this is a backup of site clinic (role remote); the database central.sqlite is a central server";
    for (db, expected) in [("depot.sqlite", depots), ("central.sqlite", centrals)] {
        let before = std::fs::read(desk.path(db)).expect("a database");
        for yes in [&["--yes"][..], &[]] {
            let refused = desk.run(&[&["--db", db, "restore", &old, "--json"], yes].concat()).ends(2);
            assert_eq!(refused.error(), ("backup_of_another".to_owned(), "input".to_owned()));
            let document = refused.json();
            assert!(document["error"]["message"].to_string().contains(expected), "{document}");
            assert!(document["error"]["advice"].to_string().contains("--replace-another"), "{document}");
        }
        assert!(std::fs::read(desk.path(db)).expect("a database") == before, "{db}");
    }
    // The preview says what is lost, and with the confirmation it is done.
    let preview = desk.run(&["--db", "depot.sqlite", "restore", &old, "--replace-another"]).ends(0);
    let said = words(&preview);
    assert!(
        said.contains("is site depot (role remote), and goes out of use") && !said.contains("loses nothing"),
        "{said}"
    );
    desk.run(&["--db", "depot.sqlite", "restore", &old, "--replace-another", "--yes"]).ends(0);
    let site = desk.run(&["--db", "depot.sqlite", "identity", "--json"]).ends(0).json()["site_name"].clone();
    assert_eq!(site, "clinic");
    // An encrypted database, whose key is not known here, may be whole, and anybody's.
    let pages = (0..8192_usize).map(|at| (at * 167 % 256) as u8).collect::<Vec<_>>();
    std::fs::write(desk.path("encrypted.sqlite"), &pages).expect("written");
    let restore = ["--db", "encrypted.sqlite", "restore", &old, "--yes"];
    let refused = desk.run(&restore).ends(6);
    assert!(refused.err.contains("not_a_database") && refused.err.contains("--replace-another"), "{refused:?}");
    assert!(std::fs::read(desk.path("encrypted.sqlite")).expect("a file") == pages);
    let done = desk.run(&[&restore[..], &["--replace-another"]].concat()).ends(0);
    assert!(words(&done).contains("is one that the given key does not open"), "{done:?}");
    let site = desk.run(&["--db", "encrypted.sqlite", "identity", "--json"]).ends(0).json()["site_name"].clone();
    assert_eq!(site, "clinic");
    // A copy counts as the same database. A database that is not set up belongs to no site.
    std::fs::copy(desk.path("oms-sync.sqlite"), desk.path("same.sqlite")).expect("a copy");
    desk.run(&["--db", "same.sqlite", "restore", &old]).ends(0);
    let none = words(&desk.run(&["--db", "none.sqlite", "restore", &old]).ends(0));
    assert!(none.contains("There is no database none.sqlite yet"), "{none}");
    std::fs::write(desk.path("broken.sqlite"), "no database at all, but longer than its head: ".repeat(9))
        .expect("a file");
    let broken = words(&desk.run(&["--db", "broken.sqlite", "restore", &old]).ends(0));
    assert!(broken.contains("The database broken.sqlite cannot be read"), "{broken}");
    // A setting would confirm it for ever.
    std::fs::write(desk.path("oms-sync.toml"), "[restore]\nreplace-another = true\n").expect("settings");
    let refused = desk.run(&["--db", "depot.sqlite", "restore", &old]).ends(2);
    assert!(refused.err.contains("replace-another is no setting"), "{refused:?}");
}

#[test]
fn a_restored_database_says_so_in_its_log_and_central_is_told_what_comes_next() {
    let clinic = Clinic::new();
    let site = clinic.backed_up("oms-sync.sqlite", "backups");
    let central = clinic.backed_up("central.sqlite", "of_central");
    let Clinic { desk, server, .. } = clinic;
    server.stop().ends(0);
    for (db, backup, next) in [("oms-sync.sqlite", site, "oms-sync sync"), ("central.sqlite", central, "serve --check")]
    {
        let manifest = std::fs::read(backup.join("backup.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        let path = backup.display().to_string();
        let said = desk.run(&["--db", db, "restore", &path, "--yes"]).ends(0);
        assert!(words(&said).contains("Next:") && words(&said).contains(next), "{said:?}");
        let newest = desk.run(&["--db", db, "log", "list", "--json"]).ends(0).json_lines()[0].clone();
        let made_at = manifest["made_at"].as_str().and_then(sync_core::clock::Timestamp::parse).expect("a time");
        let expected = format!("restored from a backup taken {}", made_at.for_people());
        assert!(newest["repair"]["changed"].to_string().contains(&expected), "{newest}");
        let list = desk.run(&["--db", db, "log", "list"]).ends(0).out;
        assert!(list.contains("restored from a backup"), "{list}");
    }
}
