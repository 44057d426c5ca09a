//! Sites and stores that were added since the backup that central is restored from.

use serde_json::json;

use crate::support::{Desk, HARDWARE_ID};

/// A central server whose backup is older than the site `new`, its store, and a record that it sent.
struct AfterBackup {
    desk: Desk,
    backup: String,
}

impl AfterBackup {
    fn new() -> Self {
        let desk = Desk::new();
        let world = Self { backup: String::new(), desk };
        world.central(&["site", "add", "old", "--password-file", "pw"], 0);
        world.central(&["store", "add", "Ward", "--code", "W", "--site", "old", "--id", "WARD"], 0);
        let taken = world.desk.run(&["--db", "central.sqlite", "backup", "backups", "--json"]).ends(0).json();
        let world = Self { backup: taken["backup"].as_str().expect("a path").to_owned(), ..world };
        // Another site took the number that the new one would get, and went.
        world.central(&["site", "add", "gone", "--password-file", "pw"], 0);
        world.central(&["site", "add", "new", "--password-file", "pw"], 0);
        world.central(&["site", "remove", "gone"], 0);
        world.central(&["store", "add", "Outreach", "--code", "OUT", "--site", "new", "--id", "OUT"], 0);
        let server = world.desk.serve("central.sqlite");
        world.set_up(&server.address);
        world.desk.run(&["sync", "-q"]).ends(0);
        world.put("before");
        world.desk.run(&["sync", "-q"]).ends(0);
        server.stop().ends(0);
        world
    }

    fn central(&self, args: &[&str], status: i32) -> crate::support::Said {
        self.desk.run(&[&["--db", "central.sqlite"], args].concat()).ends(status)
    }

    /// The server of a new address, as a restored one in a test has.
    fn set_up(&self, address: &str) {
        let init = ["init", "--legacy-url", address, "--site", "new", "--password-file", "pw"];
        self.desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    }

    fn put(&self, id: &str) {
        let at = "2026-11-23T08:00:00";
        let asset = json!({ "id": id, "store_id": "OUT", "created_datetime": at, "modified_datetime": at });
        self.desk.feed(&["records", "put", "asset"], &asset.to_string()).ends(0);
    }

    /// What the site sent before the restore, and what it writes after it, arrives.
    fn all_arrives(&self) {
        let server = self.desk.serve("central.sqlite");
        self.set_up(&server.address);
        self.put("since");
        for _ in 0..2 {
            self.desk.run(&["sync", "-q"]).ends(0);
        }
        for id in ["before", "since"] {
            self.central(&["records", "get", "asset", id], 0);
        }
        let waiting = self.central(&["quarantine", "list", "--json"], 0);
        assert_eq!(waiting.out, "", "nothing is set aside");
        server.stop().ends(0);
    }
}

/// The former database is there: its list stays, so that the site goes on as if nothing had happened.
#[test]
fn the_list_of_the_former_database_is_kept() {
    let world = AfterBackup::new();
    let without = world.central(&["restore", &world.backup], 0);
    for words in ["with the id OUT was added", "--keep-sites", "site \"new\" was added"] {
        assert!((without.out.clone() + &without.err).contains(words), "{words}: {without:?}");
    }
    assert!(!without.out.contains("Only this database has what was written here"), "the list has it all: {without:?}");
    let done = world.central(&["restore", &world.backup, "--keep-sites", "--yes"], 0);
    assert!(done.out.contains("stay as they are now"), "{done:?}");
    let sites = world.central(&["site", "list", "--json"], 0);
    for (name, id) in [("old", 2), ("new", 4)] {
        let is_there = sites.json_lines().iter().any(|site| site["site_name"] == name && site["site_id"] == id);
        assert!(is_there, "{name}: {sites:?}");
    }
    assert!(!sites.out.contains("gone"), "{sites:?}");
    let log = world.central(&["log", "list", "--json"], 0);
    assert!(log.out.contains("restore --keep-sites"), "{log:?}");
    world.all_arrives();
    world.central(&["site", "add", "next", "--password-file", "pw"], 0);
    let sites = world.central(&["site", "list", "--json"], 0);
    assert!(sites.json_lines().iter().any(|site| site["site_name"] == "next" && site["site_id"] == 5), "{sites:?}");
}

/// The machine is lost with the former database: the site itself knows who it is.
#[test]
fn a_site_that_no_copy_knows_is_added_with_its_own_identity() {
    let world = AfterBackup::new();
    for file in ["central.sqlite", "central.sqlite-wal", "central.sqlite-shm", "central.sqlite.watermark"] {
        let _ = std::fs::remove_file(world.desk.path(file));
    }
    world.central(&["restore", &world.backup, "--keep-sites", "--yes"], 2);
    world.central(&["restore", &world.backup, "--yes"], 0);
    // Added as a new site it is another one.
    world.central(&["site", "add", "new", "--password-file", "pw"], 0);
    let server = world.desk.serve("central.sqlite");
    let init = ["init", "--legacy-url", &server.address, "--site", "new", "--password-file", "pw"];
    let refused = world.desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(3);
    assert!(refused.err.contains("[other_site]"), "{refused:?}");
    assert!(refused.err.contains("site add NAME --number N --uuid UUID"), "{refused:?}");
    server.stop().ends(0);
    let identity = world.desk.run(&["identity", "--json"]).ends(0).json();
    let (number, uuid) = (identity["site_id"].to_string(), identity["site_uuid"].as_str().expect("text").to_owned());
    let add = ["site", "add", "new", "--number", &number, "--uuid", &uuid, "--password-file", "pw"];
    let other_number = world.central(&add, 2);
    assert!(other_number.err.contains("remove it first"), "{other_number:?}");
    world.central(&["site", "remove", "new"], 0);
    world.central(&add, 0);
    let of_other = ["site", "add", "third", "--number", &number, "--uuid", "X", "--password-file", "pw"];
    let taken = world.central(&of_other, 2);
    assert!(taken.err.contains("site \"new\" has this number or UUID already"), "{taken:?}");
    world.central(&["store", "add", "Outreach", "--code", "OUT", "--site", "new", "--id", "OUT"], 0);
    world.all_arrives();
}
