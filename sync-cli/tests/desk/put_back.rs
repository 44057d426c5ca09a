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
    // It is noticed by whoever opens the file to write.
    clinic.desk.run(&["--db", "copy.sqlite", "sync", "-q"]).ends(0);
    clinic.desk.run(&["--db", "moved.sqlite", "resume"]).ends(0);
    let said = clinic.desk.run(&["--db", "copy.sqlite", "doctor"]).ends(0).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("were moved or copied here") && said.contains("If it does not, as after a move"), "{said}");
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
