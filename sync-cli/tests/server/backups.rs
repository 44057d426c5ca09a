//! Backups of a serving central server, and their return.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::administrator::figure;
use crate::central;
use crate::client::get;
use crate::files::sent;
use crate::support::{Desk, HARDWARE_ID};

/// Takes a backup of central's database into `backups`.
fn backup(desk: &Desk, more: &[&str]) -> Value {
    desk.run(&[&["--db", "central.sqlite", "backup", "backups", "--json"], more].concat()).ends(0).json()
}

fn whole(desk: &Desk) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(desk.path("backups")).expect("the folder");
    let all = folder.map(|entry| entry.expect("an entry").path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.join("backup.json").is_file()).collect();
    all.sort();
    all
}

fn put_asset(desk: &Desk, db: &str, id: &str) {
    let at = "2026-11-23T08:00:00";
    let asset = json!({ "id": id, "store_id": "STORE", "created_datetime": at, "modified_datetime": at });
    desk.feed(&["--db", db, "records", "put", "asset"], &asset.to_string()).ends(0);
}

/// The whole way: a backup while sites are served, a restore, and the site that fills what is missing.
#[test]
fn what_a_restored_central_server_lacks_comes_back_from_its_site() {
    let (desk, server, file) = sent(5000, &[]);
    let taken = backup(&desk, &[]);
    assert_eq!((&taken["files"], &taken["role"]), (&json!(1), &json!("central")));
    let path = taken["backup"].as_str().expect("a path").to_owned();
    assert_eq!(desk.run(&["check", &path, "--json"]).ends(0).json()["is_sound"], true);

    // Written after the backup: one record at a site, which sends it, and one at central itself.
    put_asset(&desk, "oms-sync.sqlite", "later");
    desk.run(&["sync", "-q"]).ends(0);
    let property = r#"{"id":"p","key":"k","name":"n","value_type":"STRING"}"#;
    desk.feed(&["--db", "central.sqlite", "records", "put", "property"], property).ends(0);

    let restore = ["--db", "central.sqlite", "restore", &path, "--json"];
    let rehearsed = desk.run(&restore).ends(0).json();
    assert_eq!(rehearsed["is_done"], false);
    assert_eq!(
        (&rehearsed["since_backup"]["from_sites"], &rehearsed["since_backup"]["not_sent"]),
        (&json!(1), &json!(1))
    );
    let while_serving = desk.run(&[&restore[..], &["--yes"]].concat());
    assert_eq!(while_serving.error().0, "database_busy");
    let in_words = desk.run(&["--db", "central.sqlite", "restore", &path, "--yes"]);
    assert!(in_words.err.contains("Stop what uses the database"), "{in_words:?}");
    if cfg!(target_os = "linux") {
        let named = format!("(process {}, oms-sync serve)", server.id());
        assert!(in_words.err.contains(&named), "an idle server holds no lock to write, and is named: {in_words:?}");
    }
    desk.run(&["--db", "central.sqlite", "records", "get", "property", "p"]).ends(0);
    server.stop().ends(0);

    std::fs::remove_dir_all(desk.path("central.sqlite.files")).expect("its files");
    let done = desk.run(&[&restore[..], &["--yes"]].concat()).ends(0).json();
    assert_eq!((&done["is_done"], &done["files_missing"]), (&json!(true), &json!(1)));
    desk.run(&["--db", "central.sqlite", "records", "get", "property", "p"]).ends(2);
    let aside = done["aside"].as_str().expect("the former database");
    desk.run(&["--db", aside, "records", "get", "property", "p"]).ends(0);

    let server = desk.serve("central.sqlite");
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    desk.run(&["--db", "central.sqlite", "records", "get", "asset", "later"]).ends(0);
    let files = desk.run(&["--db", "central.sqlite", "files", "verify", "--json"]).ends(0).json();
    assert_eq!((&files["sound"], &files["findings"]), (&json!(1), &json!([])), "{file}");
    server.stop().ends(0);
}

#[test]
fn files_that_two_backups_hold_are_stored_once_and_the_oldest_backups_go() {
    let (desk, server, _file) = sent(5000, &[]);
    assert_eq!(backup(&desk, &[])["files_shared"], 0);
    assert_eq!(backup(&desk, &["--keep", "2"])["files_shared"], 1);
    let first = whole(&desk)[0].clone();
    let third = backup(&desk, &["--keep", "2"]);
    assert_eq!(third["removed"], json!([format!("backups/{}", first.file_name().unwrap().to_str().unwrap())]));
    assert_eq!(whole(&desk).len(), 2);
    for path in whole(&desk) {
        desk.run(&["check", path.to_str().expect("text")]).ends(0);
    }
    server.stop().ends(0);
}

/// A site and its central server may back up into one folder.
#[test]
fn backups_of_another_database_in_the_folder_are_neither_removed_nor_counted() {
    let (desk, server, _file) = sent(5000, &[]);
    server.stop().ends(0);
    let of = |db: &str| {
        let taken = desk.run(&["--db", db, "backup", "backups", "--keep", "1", "--json"]).ends(0).json();
        (taken["backup"].as_str().expect("a path").to_owned(), taken["removed"].clone())
    };
    let (central, _) = of("central.sqlite");
    let (first, removed) = of("oms-sync.sqlite");
    assert_eq!(removed, json!([]), "it is the first backup of the site");
    let (second, removed) = of("oms-sync.sqlite");
    assert_eq!(removed, json!([first]));
    desk.run(&["check", &central]).ends(0);
    assert_eq!(of("central.sqlite").1, json!([central]));
    desk.run(&["check", &second]).ends(0);

    // The backups of a site do not make that of its server superfluous.
    for path in whole(&desk).iter().filter(|path| path.join("central.sqlite").exists()) {
        std::fs::remove_dir_all(path).expect("removed");
    }
    let server = desk.serve_with("central.sqlite", &["--backup-to", "backups", "--backup-every", "24h"]);
    let began = Instant::now();
    while !whole(&desk).iter().any(|path| path.join("central.sqlite").exists()) {
        assert!(began.elapsed() < Duration::from_secs(60), "central takes none");
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop().ends(0);
}

/// What the former server told of its disk and certificate is not shown after a restore, nor by a server that runs on a copied file.
#[test]
fn a_restored_or_copied_database_shows_no_alarm_of_the_former_server() {
    let (desk, server) = central(&[]);
    server.stop().ends(0);
    let tell = |db: &str| {
        let now = sync_core::clock::SystemClock::default();
        let told = json!({ "at": sync_core::clock::Clock::now(&now), "alarms": ["certificate_ended"] }).to_string();
        let file = rusqlite::Connection::open(desk.path(db)).expect("central's database");
        let sql = "INSERT OR REPLACE INTO sync_state (key, value) VALUES ('told_by_server', ?1)";
        assert_eq!(file.execute(sql, [told]).expect("SQL"), 1);
    };
    let alarms = |db: &str| {
        let status = desk.run(&["--db", db, "status", "--json"]).ends(0).json();
        status["alarms"].as_array().expect("alarms").iter().filter(|alarm| alarm["code"] == "certificate_ended").count()
    };
    tell("central.sqlite");
    assert_eq!(alarms("central.sqlite"), 1, "it is told");
    backup(&desk, &[]);
    let path = whole(&desk)[0].to_str().expect("text").to_owned();
    desk.run(&["--db", "central.sqlite", "restore", &path, "--yes"]).ends(0);
    assert_eq!(alarms("central.sqlite"), 0, "it was restored");
    // On a copied file it is the server that ends it when it starts.
    tell("central.sqlite");
    std::fs::copy(desk.path("central.sqlite"), desk.path("copy.sqlite")).expect("a copy");
    assert_eq!(alarms("copy.sqlite"), 1);
    let server = desk.serve("copy.sqlite");
    assert_eq!(alarms("copy.sqlite"), 0, "another server runs");
    server.stop().ends(0);
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_changes() {
    let (desk, server, _file) = sent(5000, &[]);
    server.stop().ends(0);
    backup(&desk, &[]);
    let path = whole(&desk)[0].clone();
    let database = path.join("central.sqlite");
    let sound = std::fs::read(&database).expect("the copy");
    let refused = |what: &str| {
        let path = path.to_str().expect("text");
        for run in [&["check", path][..], &["--db", "central.sqlite", "restore", path, "--yes"]] {
            let said = desk.run(&[run, &["--json"]].concat()).ends(6);
            assert_eq!(said.error().0, "backup_damaged", "{what}");
        }
    };
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&database, damaged).expect("written");
    refused("one bit has changed");
    std::fs::write(&database, &sound[..sound.len() / 2]).expect("written");
    refused("half is missing");
    std::fs::write(&database, sound).expect("written");
    desk.run(&["check", path.to_str().expect("text")]).ends(0);
    std::fs::remove_dir_all(path.join("central.sqlite.files")).expect("its files");
    refused("a file is missing");
    desk.run(&["--db", "central.sqlite", "records", "get", "asset", "a"]).ends(0);
    let left: Vec<_> = std::fs::read_dir(desk.path("")).expect("the folder").filter_map(Result::ok).collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains(".before-")));
}

/// What an interrupted backup left does not count, and is removed by the next.
#[test]
fn half_a_backup_is_none() {
    let (desk, server) = central(&[]);
    std::fs::create_dir_all(desk.path("backups/.unfinished-20261128T000000000Z")).expect("a folder");
    std::fs::write(desk.path("backups/.unfinished-20261128T000000000Z/central.sqlite"), "half").expect("a file");
    backup(&desk, &["--keep", "1"]);
    assert_eq!(whole(&desk).len(), 1);
    assert!(!desk.path("backups/.unfinished-20261128T000000000Z").exists());
    // The folder of the backups, and a path with nothing, are no backups; those in the folder are named.
    for run in [&["check", "backups", "--json"][..], &["--db", "central.sqlite", "restore", "backups", "--json"]] {
        let refused = desk.run(run).ends(2);
        let name = whole(&desk)[0].file_name().expect("a name").to_string_lossy().into_owned();
        assert!(refused.out.contains("holds 1") && refused.out.contains(&name), "{refused:?}");
    }
    let missing = desk.run(&["check", "nowhere", "--json"]).ends(2);
    assert!(missing.out.contains("there is no backup nowhere"), "{missing:?}");
    std::fs::create_dir(desk.path("empty")).expect("a folder");
    let empty = desk.run(&["check", "empty", "--json"]).ends(2);
    assert!(empty.out.contains("holds none"), "{empty:?}");
    server.stop().ends(0);
}

#[test]
fn a_server_takes_backups_by_itself() {
    let (desk, server) = central(&["--backup-to", "backups", "--backup-every", "1s", "--backup-keep", "2"]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(100));
        let now = if desk.path("backups").exists() { whole(&desk) } else { Vec::new() };
        assert!(now.len() <= 3, "the oldest is removed after the newest is whole: {now:?}");
        seen.extend(now);
        if seen.len() >= 4 {
            break;
        }
    }
    server.stop().ends(0);
    assert!(seen.len() >= 4, "{seen:?}");
    for path in whole(&desk) {
        desk.run(&["check", path.to_str().expect("text")]).ends(0);
    }
}

#[test]
fn a_failed_backup_of_the_server_alarms_until_one_is_whole() {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    std::fs::write(desk.path("backups"), "where the folder should be").expect("a file");
    let server = desk.serve_with("central.sqlite", &["--backup-to", "backups", "--backup-every", "1s"]);
    let becomes = |word: &str| {
        let began = Instant::now();
        loop {
            let health = get(&server.address, "/health");
            assert_eq!(health.status, 200, "sites are served all the same");
            if health.json()["backup"] == word {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{health:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(get(&server.address, "/status.json").json()["backup"], word);
        get(&server.address, "/metrics").text()
    };
    let metrics = becomes("failed");
    let on_page = || get(&server.address, "/").text().contains("The last backup failed");
    assert!(on_page());
    assert!(figure(&metrics, "oms_sync_backup_failures_total") >= 1.0);
    assert!(!metrics.contains("oms_sync_backup_timestamp_seconds"), "there is no whole one: {metrics}");
    std::fs::remove_file(desk.path("backups")).expect("removed");
    let metrics = becomes("ok");
    assert!(!on_page());
    let alarms = || get(&server.address, "/").text().contains("id=\"alarms\"");
    assert!(!alarms());
    desk.run(&["--db", "central.sqlite", "pause"]).ends(0);
    assert!(alarms() && get(&server.address, "/").text().contains("The server is paused"));
    desk.run(&["--db", "central.sqlite", "resume"]).ends(0);
    assert!(!alarms());
    assert!(figure(&metrics, "oms_sync_backup_timestamp_seconds") > 1.7e9);
    let said = server.stop().ends(0);
    for words in ["the backup into backups failed: [io_failed]", "a backup was taken: backups/"] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn the_changes_of_an_administrator_that_a_restore_undoes_are_named() {
    let desk = Desk::new();
    let in_central = |args: &[&str]| desk.run(&[&["--db", "central.sqlite"], args].concat()).ends(0);
    for site in ["clinic", "depot", "gone"] {
        in_central(&["site", "add", site, "--password-file", "pw"]);
    }
    in_central(&["store", "add", "Ward", "--code", "W", "--site", "clinic", "--id", "WARD"]);
    let path = backup(&desk, &[])["backup"].as_str().expect("a path").to_owned();
    let same = in_central(&["restore", &path]);
    assert!(same.out.contains("A restore loses nothing"), "{same:?}");

    in_central(&["site", "set-password", "depot", "--password-file", "wrong"]);
    in_central(&["site", "remove", "gone"]);
    in_central(&["site", "add", "new", "--password-file", "pw"]);
    in_central(&["store", "add", "Ward", "--code", "W", "--site", "depot", "--id", "WARD"]);
    let said = in_central(&["restore", &path]);
    assert!(!said.out.contains("A restore loses nothing") && !said.out.contains("legacy server"), "{said:?}");
    for words in [
        "site \"depot\" has another password",
        "site \"gone\" was removed",
        "site \"new\" was added",
        "store \"Ward\" (W) is active on site \"depot\", and will be on site \"clinic\"",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    let since = in_central(&["restore", &path, "--json"]).json()["since_backup"].clone();
    assert_eq!((&since["from_servers"], since["list"].as_array().map(Vec::len)), (&json!(0), Some(4)), "{since}");
}

/// The names of metrics in a text.
fn metric_names(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("oms_sync_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// Of a server that takes backups, because only such a one has figures of backups.
#[test]
fn the_dashboard_and_the_documentation_name_metrics_that_there_are() {
    let (_desk, server) = central(&["--backup-to", "backups"]);
    let began = Instant::now();
    let metrics = loop {
        let metrics = get(&server.address, "/metrics").text();
        if metrics.contains("oms_sync_backup_timestamp_seconds ") {
            break metrics;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{metrics}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let sites = get(&server.address, "/metrics/sites").text();
    let mut there = metric_names(&metrics);
    there.extend(metric_names(&sites));
    // What a histogram consists of.
    there.extend(["_bucket", "_sum", "_count"].map(|part| format!("oms_sync_request_seconds{part}")));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text_of = |file: &str| std::fs::read_to_string(root.join(file)).expect(file);
    let dashboard: Value = serde_json::from_str(&text_of("packaging/grafana/oms-sync-central.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    let drawn = metric_names(&queries.join(" "));
    let names: Vec<&String> = drawn.difference(&there).collect();
    assert!(names.is_empty(), "the dashboard draws what no server has: {names:?}");
    let documented = metric_names(&text_of("docs/central.md"));
    let names: Vec<&String> = documented.difference(&there).collect();
    assert!(names.is_empty(), "docs/central.md names what no server has: {names:?}");
    for name in ["oms_sync_backup_timestamp_seconds", "oms_sync_backup_failures_total"] {
        assert!(drawn.contains(name) && documented.contains(name), "{name} is drawn and documented");
    }
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    server.stop().ends(0);
}

#[cfg(unix)]
#[test]
fn a_backup_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (desk, server, _file) = sent(5000, &[]);
    backup(&desk, &[]);
    server.stop().ends(0);
    let (mut folders, mut seen) = (vec![desk.path("backups")], 0);
    while let Some(folder) = folders.pop() {
        let mode = |path: &PathBuf| path.metadata().expect("its mode").permissions().mode() & 0o777;
        assert_eq!(mode(&folder) & 0o077, 0, "{}: {:o}", folder.display(), mode(&folder));
        for path in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            assert_eq!(mode(&path) & 0o077, 0, "{}: {:o}", path.display(), mode(&path));
        }
    }
    assert!(seen >= 3, "the database, its file and what describes them: {seen}");
}
