//! Which sites alarm the administrator: on the page, in `site list`, in `/status.json` and `/metrics/sites`.

use std::time::Duration;

use serde_json::{Value, json};
use sync_core::protocol::PasswordHash;

use crate::central;
use crate::client::{PULL, ask, get};
use crate::files::sent;
use crate::support::{Desk, HARDWARE_ID, PASSWORD};

fn administer(desk: &Desk, args: &[&str], status: i32) -> String {
    desk.run(&[&["--db", "central.sqlite"], args].concat()).ends(status).out
}

fn listed(desk: &Desk) -> Value {
    serde_json::from_str(administer(desk, &["site", "list", "--json"], 0).lines().next().expect("a site"))
        .expect("JSON")
}

/// What the server shows may be some seconds old.
#[track_caller]
fn shows(address: &str, path: &str, words: &str) -> String {
    let mut shown = String::new();
    for _ in 0..100 {
        shown = get(address, path).text();
        if shown.contains(words) {
            return shown;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("without {words}: {shown}")
}

/// The store moves away while the site edits a record of it, so that central refuses the edit.
fn edit_what_moves_away(desk: &Desk) {
    administer(desk, &["site", "add", "other", "--password-file", "pw"], 0);
    let edited = json!({ "id": "a", "store_id": "STORE", "created_datetime": "2026-11-23T08:00:00",
                         "modified_datetime": "2026-11-24T08:00:00", "notes": "edited" });
    desk.feed(&["records", "put", "asset"], &edited.to_string()).ends(0);
    administer(desk, &["store", "add", "Clinic", "--code", "C", "--site", "other", "--id", "STORE"], 0);
    desk.run(&["sync", "-q"]);
}

#[test]
fn a_record_that_is_ignored_on_purpose_alarms_no_more() {
    let (desk, server, _file) = sent(100, &[]);
    let at = &server.address;
    edit_what_moves_away(&desk);
    let refused = listed(&desk);
    assert_eq!(
        (&refused["site_name"], &refused["refused"], &refused["quarantined_otherwise"]),
        (&json!("clinic"), &json!(1), &json!(0))
    );
    let page = shows(at, "/", "records in quarantine</span>");
    assert!(page.contains("class=\"alert\" id=\"in-quarantine\""), "{page}");

    let all: Value =
        serde_json::from_str(administer(&desk, &["quarantine", "list", "--json"], 0).trim()).expect("one record");
    let number = all["number"].to_string();
    administer(&desk, &["quarantine", "ignore", &number, "--reason", "the clinic knows"], 0);
    let settled = listed(&desk);
    assert_eq!((&settled["refused"], &settled["quarantined_otherwise"]), (&json!(0), &json!(0)), "{settled}");
    let figures = "oms_sync_site_refused_records{site=\"2\",name=\"clinic\"} 0";
    let figures = shows(at, "/metrics/sites", figures);
    assert!(figures.contains("oms_sync_site_quarantine_records{site=\"2\",name=\"clinic\"} 0"), "{figures}");
    let document = get(at, "/status.json").json();
    assert_eq!(
        (&document["sites"][0]["quarantined_otherwise"], &document["quarantined"]),
        (&json!(0), &json!({ "ignored": 1 }))
    );
    let page = get(at, "/").text();
    assert!(!page.contains("records in quarantine</span>") && page.contains("Need attention (0)"), "{page}");
    assert!(page.contains("<div id=\"in-quarantine\"><dt>records in quarantine</dt><dd>0</dd>"), "{page}");
    let table = administer(&desk, &["site", "list"], 0);
    let column = table.lines().next().and_then(|head| head.find("QUAR.")).expect("the column");
    let clinic = table.lines().find(|line| line.contains("clinic")).expect("the clinic");
    assert_eq!(clinic[column..].split_whitespace().next(), Some("0"), "{table}");
    server.stop().ends(0);
}

#[test]
fn a_removed_site_that_is_still_shown_is_told_to_be_one() {
    let (desk, server, _file) = sent(100, &[]);
    edit_what_moves_away(&desk);
    assert_eq!((&listed(&desk)["refused"], &listed(&desk)["is_removed"]), (&json!(1), &json!(false)));
    administer(&desk, &["site", "remove", "clinic"], 0);
    assert_eq!(listed(&desk)["is_removed"], true);
    let table = administer(&desk, &["site", "list"], 0);
    assert!(table.lines().any(|line| line.starts_with("2 ") && line.contains("  removed  ")), "{table}");
    shows(&server.address, "/", "<small>the site was removed</small>");
    assert!(get(&server.address, "/").text().matches("the site was removed").count() == 1, "only that one");
    server.stop().ends(0);
}

#[test]
fn a_site_of_a_release_that_pushes_nothing_is_told_wherever_sites_are_shown() {
    let (desk, server) = central(&[]);
    let at = &server.address;
    let pull = |release: &str| {
        let credentials = json!({
            "serverUrl": "", "username": "clinic", "passwordSha256": PasswordHash::of_password(PASSWORD).expose(),
            "siteUuid": HARDWARE_ID, "appVersion": release, "appName": "Open mSupply Desktop", "syncVersion": "14"
        });
        let body = json!({ "cursor": 0, "batchSize": 1, "isInitialised": true, "syncV6Version": 5,
                           "syncV5Settings": credentials });
        let json = ("content-type", "application/json");
        assert_eq!(ask(at, "POST", PULL, &[json], body.to_string().as_bytes()).status, 200);
    };
    pull("3.0.0");
    let page = shows(at, "/", "its release pushes nothing</span>");
    assert!(page.contains("Need attention (1)") && page.contains("upgraded to 3.2"), "{page}");
    assert_eq!(get(at, "/status.json").json()["sites"][0]["pushes_nothing"], true);
    let figures = get(at, "/metrics/sites").text();
    for line in [
        "oms_sync_site_pushes_nothing{site=\"2\",name=\"clinic\"} 1",
        "oms_sync_site_info{site=\"2\",name=\"clinic\",version=\"3.0.0\"} 1",
        "oms_sync_site_integrating{site=\"2\",name=\"clinic\"} 0",
    ] {
        assert!(figures.contains(line), "without {line}: {figures}");
    }
    // After the upgrade nothing alarms.
    pull("3.2.0");
    shows(at, "/metrics/sites", "version=\"3.2.0\"");
    assert!(!get(at, "/").text().contains("its release pushes nothing</span>"));
    pull("3.1.0");
    server.stop().ends(0);
    assert_eq!(listed(&desk)["pushes_nothing"], true);
    let said = desk.run(&["--db", "central.sqlite", "site", "list"]).ends(0).err;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("runs Open mSupply 3.1.0") && said.contains("upgrade it to 3.2 or later"), "{said}");
}

/// Alarms of the database, and those that only the running server knows.
#[test]
fn doctor_status_page_and_metrics_show_the_same_alarms() {
    let desk = Desk::new();
    administer(&desk, &["site", "add", "clinic", "--password-file", "pw"], 0);
    administer(&desk, &["site", "add", "depot", "--password-file", "pw"], 0);
    let well: Value = serde_json::from_str(&administer(&desk, &["doctor", "--json"], 0)).expect("JSON");
    assert!(well["alarms"].is_null() && well["outcome"] == "ok", "{well}");
    let file = rusqlite::Connection::open(desk.path("central.sqlite")).expect("a database");
    file.execute_batch(&format!(
        "INSERT INTO sync_activity (site_id, name, app_version, seen_at) VALUES
           (2, 'clinic', '3.0.0', '2026-01-01T00:00:00.000Z'), (3, 'depot', '2.19.0', '2026-01-01T00:00:00.000Z');
         INSERT OR REPLACE INTO sync_state (key, value) VALUES ('newest_cursor', {})",
        1_i64 << 30
    ))
    .expect("written");
    drop(file);
    std::fs::write(desk.path("backups"), "where the folder should be").expect("a file");
    administer(&desk, &["pause"], 0);
    let server = desk.serve_with("central.sqlite", &["--backup-to", "backups", "--backup-every", "1h"]);
    let codes = |document: &Value| -> Vec<String> {
        let alarms = document["alarms"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        alarms.map(|alarm| alarm["code"].as_str().expect("a code").to_owned()).collect()
    };
    let document = shows(&server.address, "/status.json", "backup_failed");
    let shown = codes(&serde_json::from_str(&document).expect("JSON"));
    assert_eq!(shown, ["changelog_nears_its_end", "site_pushes_nothing", "sites_silent", "paused", "backup_failed"]);
    // The database is told at the next look of the server.
    let mut found = Value::Null;
    for _ in 0..60 {
        found = serde_json::from_str(&administer(&desk, &["doctor", "--json"], 0)).expect("JSON");
        if codes(&found).contains(&"backup_failed".to_owned()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(codes(&found), shown, "{found:#}");
    let status: Value = serde_json::from_str(&administer(&desk, &["status", "--json"], 0)).expect("JSON");
    assert_eq!(codes(&status), shown);
    let metrics = get(&server.address, "/metrics").text();
    let counted = metrics.lines().filter_map(|line| line.strip_prefix("oms_sync_alarms{code=\"")?.split_once("\"} "));
    let mut counted: Vec<&str> = counted.filter(|(_, count)| *count != "0").map(|(code, _)| code).collect();
    counted.sort_by_key(|code| shown.iter().position(|shown| shown == code));
    assert_eq!(counted, shown);
    let page = get(&server.address, "/").text();
    assert_eq!(page.matches("<li>▲ ").count(), shown.len(), "{page}");
    let said = administer(&desk, &["doctor"], 0);
    assert_eq!(said.matches("Alarm: ").count(), shown.len(), "{said}");
    assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains("did not come for a day: depot"), "{said}");
    let whole = administer(&desk, &["doctor", "-v"], 0).split_whitespace().collect::<Vec<_>>().join(" ");
    let checks = whole.split_once(" ok database ").expect("the checks").1;
    assert!(!checks.contains("more") && checks.contains("the last backup failed; the log"), "each in full: {whole}");
    server.stop().ends(0);
    let stopped = serde_json::from_str(&administer(&desk, &["doctor", "--json"], 0)).expect("JSON");
    assert_eq!(codes(&stopped), shown[..4], "a server that does not run has nothing to tell of itself");
}
