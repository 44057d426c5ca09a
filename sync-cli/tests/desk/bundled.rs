//! `bundle`: the data that leave the site for support, and those that do not.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::support::assert_no_secret;
use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

/// The parts of an archive, as text.
pub(crate) fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut parts = BTreeMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("a part");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let name = name.strip_prefix("oms-sync-bundle/").expect("one folder").to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        parts.insert(name, text);
    }
    parts
}

/// A clinic with waiting work, and with confidential words in records, reasons and errors.
pub(crate) fn clinic_with_trouble() -> Clinic {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", NAME_PROPERTY);
    clinic.sync(1);
    clinic.put_asset("fridge", "Miriam keeps the key");
    clinic.sync(0);
    let resend = ["resend", "asset", "--yes", "--reason", "Miriam asked for it"];
    clinic.says(&resend, 0);
    clinic.desk.run(&["quarantine", "ignore", "1", "--reason", "Miriam said so"]).ends(0);
    std::fs::write(clinic.desk.path("Miriam.txt"), "scan").expect("a file");
    clinic.desk.run(&["files", "attach", "asset", "fridge", "Miriam.txt"]).ends(0);
    // The password at central changes, so the last cycle fails.
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    clinic.sync(3);
    clinic
}

#[test]
fn everything_that_helps_is_in_it_and_nothing_else() {
    let clinic = clinic_with_trouble();
    let listed = clinic.json(&["bundle", "--list"], 0);
    assert_eq!((&listed["file"], &listed["bytes"]), (&json!(null), &json!(null)));
    let said = clinic.says(&["bundle", "b.tar.gz"], 0);
    let parts = unpacked(&clinic.desk.path("b.tar.gz"));
    let names: Vec<&str> =
        listed["parts"].as_array().expect("parts").iter().map(|p| p["name"].as_str().expect("a name")).collect();
    assert_eq!(parts.len(), names.len());
    for name in &names {
        assert!(parts.contains_key(*name) && said.contains(name) && parts["README.txt"].contains(name), "{name}");
    }
    let written = said.find("written: b.tar.gz").expect("it says so");
    assert!(names.iter().all(|name| said.find(name).is_some_and(|at| at < written)), "listed before: {said}");
    for (name, text) in &parts {
        assert_no_secret(text);
        assert!(!text.contains("Miriam"), "{name}: {text}");
        if name.ends_with(".json") {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let json = |name: &str| serde_json::from_str::<Value>(&parts[name]).expect("JSON");
    assert_eq!(json("status.json")["site_name"], "clinic");
    assert_eq!(json("doctor.json")["finding"]["code"], "incorrect_password");
    assert_eq!(json("settings.json")["password_sha256"], "(kept out)");
    assert_eq!(json("errors.json")[0]["code"], "incorrect_password");
    assert!(json("environment.json")["disk"]["free_bytes"].as_u64().is_some_and(|free| free > 0));
    assert!(json("cursors.json").as_array().is_some_and(|all| all.len() > 2));
    assert_eq!(json("push.json")["to_central"][0]["table"], "asset");
    let lines = |name: &str| -> Vec<Value> {
        parts[name].lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    assert_eq!(lines("log.jsonl")[0]["error"]["code"], "incorrect_password");
    assert!(lines("log.jsonl").iter().any(|entry| entry["report"]["repair"]["reason"] == "(kept out)"));
    let aside = &lines("quarantine.jsonl")[0];
    assert_eq!((&aside["id"], &aside["cause"]), (&json!("np"), &json!("ignored")));
    assert!(aside["fields"].as_array().is_some_and(|all| all.iter().any(|field| field["name"] == "property_id")));
    assert_eq!(lines("files.jsonl")[0]["state"], "waiting");
}

#[test]
fn a_file_that_is_there_is_never_replaced_and_the_name_says_whose_it_is() {
    let clinic = Clinic::new();
    std::fs::write(clinic.desk.path("there.tar.gz"), "mine").expect("a file");
    assert_eq!(clinic.json(&["bundle", "there.tar.gz"], 2)["error"]["code"], "bad_input");
    assert_eq!(std::fs::read(clinic.desk.path("there.tar.gz")).expect("a file"), b"mine");
    assert_eq!(clinic.json(&["bundle", "no-such-folder/b.tar.gz"], 6)["error"]["code"], "io_failed");
    let before = clinic.contents();
    let made = clinic.json(&["bundle"], 0);
    assert_eq!(clinic.contents(), before, "nothing is changed here");
    let name = made["file"].as_str().expect("a name");
    assert!(name.starts_with("oms-sync-bundle-clinic-20") && name.ends_with(".tar.gz"), "{name}");
    let file = clinic.desk.path(name);
    assert_eq!(made["bytes"], file.metadata().expect("a file").len());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o077, 0, "only its owner reads it");
}

#[test]
fn no_id_steers_the_display_of_who_reads_it() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", &NAME_PROPERTY.replace("np", "ev\u{202e}il\u{2028}x"));
    clinic.sync(1);
    clinic.json(&["bundle", "b.tar.gz"], 0);
    let parts = unpacked(&clinic.desk.path("b.tar.gz"));
    assert!(parts["quarantine.jsonl"].contains(r"ev\u202eil\u2028x"), "{}", parts["quarantine.jsonl"]);
    for (name, text) in parts {
        assert!(!text.contains(['\u{202e}', '\u{2028}']), "{name}: {text}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_told_with_what_can_be_gathered() {
    let clinic = Clinic::new();
    assert_eq!(clinic.json(&["--db", "none.sqlite", "bundle"], 3)["error"]["code"], "no_database");
    std::fs::write(clinic.desk.path("broken.sqlite"), "this is no database at all").expect("a file");
    holds(&clinic.says(&["--db", "broken.sqlite", "bundle", "b.tar.gz"], 1), &["could not be gathered"]);
    let parts = unpacked(&clinic.desk.path("b.tar.gz"));
    assert!(parts["environment.json"].contains("broken.sqlite"));
    let status: Value = serde_json::from_str(&parts["status.json"]).expect("JSON");
    assert!(status["error"]["code"].is_string(), "{status}");
}
