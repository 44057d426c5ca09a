//! The order of steps in docs/central.md by which a store moves to another site.

use serde_json::json;

use crate::central;
use crate::support::{Desk, Server};

fn machine(site: &str) -> String {
    format!("machine-of-{site}-0001")
}

/// Runs the program with the database of a site.
fn at(desk: &Desk, site: &str, args: &[&str]) -> crate::support::Said {
    let db = format!("{site}.sqlite");
    desk.run_with(&[("OMS_SYNC_HARDWARE_ID", &machine(site))], &[&["--db", &db], args].concat()).ends(0)
}

fn put(desk: &Desk, site: &str, id: &str) {
    edit(desk, site, id, "");
}

fn edit(desk: &Desk, site: &str, id: &str, notes: &str) {
    let day = "2026-11-23T08:00:00";
    let asset =
        json!({ "id": id, "store_id": "STORE", "notes": notes, "created_datetime": day, "modified_datetime": day });
    desk.feed(&["--db", &format!("{site}.sqlite"), "records", "put", "asset"], &asset.to_string()).ends(0);
}

/// A central server with two sites, the first of which has the store.
fn two_sites() -> (Desk, Server) {
    let (desk, server) = central(&[]);
    desk.run(&["--db", "central.sqlite", "site", "add", "depot", "--password-file", "pw"]).ends(0);
    for site in ["clinic", "depot"] {
        let init = ["init", "--legacy-url", &server.address, "--site", site, "--password-file", "pw"];
        at(&desk, site, &init);
        at(&desk, site, &["sync", "-q"]);
    }
    (desk, server)
}

fn move_to(desk: &Desk, site: &str) {
    let add = ["--db", "central.sqlite", "store", "add", "Clinic", "--code", "C", "--site", site, "--id", "STORE"];
    desk.run(&add).ends(0);
}

fn in_quarantine(desk: &Desk) -> u64 {
    desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json()["quarantined"].as_u64().expect("a number")
}

#[test]
fn a_store_moves_with_all_its_records_in_the_order_of_the_documentation() {
    let (desk, server) = two_sites();
    put(&desk, "clinic", "a");
    at(&desk, "clinic", &["sync", "--with-files", "-q"]);
    assert!(at(&desk, "clinic", &["status"]).out.contains("to be pushed  nothing"));
    move_to(&desk, "depot");
    for site in ["clinic", "depot"] {
        at(&desk, site, &["sync", "-q"]);
    }
    at(&desk, "depot", &["records", "get", "asset", "a"]);
    put(&desk, "depot", "b");
    at(&desk, "depot", &["sync", "-q"]);
    assert_eq!(in_quarantine(&desk), 0);
    server.stop().ends(0);
}

#[test]
fn edits_that_the_former_site_pushed_too_late_come_once_the_store_is_back_and_new_records_at_once() {
    let (desk, server) = two_sites();
    put(&desk, "clinic", "late");
    at(&desk, "clinic", &["sync", "-q"]);
    edit(&desk, "clinic", "late", "edited");
    put(&desk, "clinic", "new");
    move_to(&desk, "depot");
    let warned = at(&desk, "clinic", &["sync"]);
    assert!(warned.err.contains("central did not take asset late"), "{warned:?}");
    assert_eq!(in_quarantine(&desk), 1);
    at(&desk, "depot", &["sync", "-q"]);
    at(&desk, "depot", &["records", "get", "asset", "new"]);
    move_to(&desk, "clinic");
    // The running server tries them again with its next integration.
    at(&desk, "clinic", &["sync", "-q"]);
    for _ in 0..600 {
        if in_quarantine(&desk) == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let taken = desk.run(&["--db", "central.sqlite", "records", "get", "asset", "late"]).ends(0);
    assert!(taken.out.contains("edited"), "{taken:?}");
    server.stop().ends(0);
}

/// An import is one entry of the log, however many rows it has: the log keeps a thousand entries. One that changes nothing is in no log.
#[test]
fn an_import_writes_only_what_it_changes_and_the_log_names_it() {
    let desk = Desk::new();
    let in_central = |args: &[&str]| desk.run(&[&["--db", "central.sqlite"], args].concat()).ends(0);
    let import = |table: &str, passwords: &str| {
        std::fs::write(desk.path("sites.csv"), format!("site,store_code,store_name\n{table}")).expect("a table");
        in_central(&["site", "import", "sites.csv", "--passwords", passwords]);
    };
    let log = || in_central(&["log", "list", "--json"]).json_lines();
    let changes = || in_central(&["changelog", "--json"]).json_lines().len();
    import("clinic,C,Clinic\ndepot,,\n", "first.csv");
    let id = in_central(&["store", "list", "--json"]).json()["store_id"].as_str().expect("an id").to_owned();
    let (before, rows) = (log(), changes());
    let [entry] = &before[..] else { panic!("{before:?}") };
    assert_eq!(entry["repair"]["command"], "site import sites.csv");
    let said = "adds 2 sites and 1 store (new or moved); of the sites clinic, depot";
    assert_eq!(entry["repair"]["changed"], said);
    assert!(in_central(&["log", "show", "1"]).out.split_whitespace().collect::<Vec<_>>().join(" ").contains(said));

    import("clinic,C,Clinic\ndepot,,\n", "first.csv");
    in_central(&["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", &id]);
    assert_eq!((log().len(), changes()), (1, rows), "nothing has changed");
    import("clinic,C,Clinic\ndepot,C2,Depot\n", "first.csv");
    assert_eq!(log().len(), 2);
    assert!(changes() > rows);

    let many: String = (0..30).map(|number| format!("site{number:02},,\n")).collect();
    import(&many, "many.csv");
    let newest = log()[0]["repair"]["changed"].as_str().expect("text").to_owned();
    assert_eq!(log().len(), 3);
    assert!(newest.starts_with("adds 30 sites and 0 stores") && newest.ends_with("site19 and 10 more"), "{newest}");
}
