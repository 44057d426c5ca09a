//! `audit`: names records that are missing at either end, separate from those that are on their way.

use serde_json::{Value, json};

use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

impl Clinic {
    fn audit(&self, status: i32) -> Value {
        self.json(&["audit"], status)
    }
}

/// Tables, ids and reasons.
fn listed(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = list.as_array().expect("a list").iter();
    all.map(|found| (format!("{} {}", text(&found["table"]), text(&found["id"])), text(&found["why"]))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(record, why)| ((*record).to_owned(), (*why).to_owned())).collect()
}

#[test]
fn a_whole_site_lacks_nothing() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    let found = clinic.audit(0);
    assert_eq!((&found["lost_records"], &found["explained_records"]), (&json!(0), &json!(0)), "{found}");
    assert_eq!(found["same"], 2, "what central wrote and what was written here: {found}");
    holds(&clinic.says(&["audit"], 0), &["Nothing is missing: 2 records of central, all here and the same."]);
}

#[test]
fn what_is_not_compared_is_told_whatever_is_found() {
    const LEFT_OUT: &str = "Not compared: stores, names, items and all else from the legacy server.";
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name IN ('store', 'name')");
    let found = clinic.audit(0);
    assert_eq!(found["compared"], format!("Compared: records of V6. {LEFT_OUT}"));
    holds(&clinic.says(&["audit"], 0), &["Nothing is missing", "Compared: records of V6.", LEFT_OUT]);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    holds(&clinic.says(&["audit"], 1), &["Should be the same, but is not: 1 record", LEFT_OUT]);
}

#[test]
fn what_is_lost_here_is_told_from_what_is_on_its_way() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.put_at_central("asset_class", r#"{"id":"gone","name":"Gone"}"#);
    for asset in ["lost", "damaged", "edited", "kept"] {
        clinic.put_asset(asset, "before");
    }
    clinic.sync(0);
    // Real losses, made behind the program's back.
    clinic.damage("DELETE FROM sync_record WHERE record_id IN ('lost', 'gone')");
    clinic.damage("UPDATE sync_record SET data = replace(data, 'before', 'garbled') WHERE record_id = 'damaged'");
    // Changes that have not been pushed, and changes that have not been pulled.
    clinic.put_asset("edited", "after");
    clinic.put_asset("new", "x");
    clinic.put_at_central("asset_class", r#"{"id":"coming","name":"IncomingPreview"}"#);
    let before = clinic.contents();
    let found = clinic.audit(1);
    assert_eq!(
        listed(&found["lost"]),
        pairs(&[("asset damaged", "not_taken"), ("asset lost", "lost_here"), ("asset_class gone", "lost_here")])
    );
    assert_eq!(found["lost"][0]["fields"], json!(["notes"]), "{found}");
    assert!(!found.to_string().contains("garbled"), "fields, never their values");
    assert_eq!(
        listed(&found["explained"]),
        pairs(&[
            ("asset edited", "waits_for_push"),
            ("asset_class coming", "waits_for_pull"),
            ("asset new", "waits_for_push")
        ])
    );
    let assets = found["by_type"].as_array().expect("a list").iter().find(|of| of["table"] == "asset");
    assert_eq!(
        *assets.expect("assets"),
        json!({"table":"asset","at_central":4,"same":1,"missing":1,"differing":2,"here_only":1})
    );
    let said = clinic.says(&["audit"], 1);
    holds(
        &said,
        &[
            "Should be the same at both ends, but is not: 3 records.",
            "asset damaged differs in notes: written or deleted here",
            "asset lost missing here: read from central before",
            "`oms-sync cursor rewind pull --own` reads it again",
            "2 records, edited here, and waits to be pushed",
        ],
    );
    assert_eq!(clinic.contents(), before, "nothing is changed here");
    // The advice helps.
    let rewind = ["cursor", "rewind", "pull", "--own", "--yes", "--reason", "audit"];
    clinic.says(&rewind, 0);
    clinic.sync(0);
    let found = clinic.audit(0);
    assert_eq!((&found["lost_records"], &found["explained_records"]), (&json!(0), &json!(0)), "{found}");
}

#[test]
fn what_is_set_aside_is_no_loss_but_left_behind() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", NAME_PROPERTY);
    clinic.sync(1);
    let found = clinic.audit(1);
    assert_eq!(listed(&found["lost"]), pairs(&[("property population", "lost_here")]));
    assert_eq!(listed(&found["explained"]), pairs(&[("name_property np", "waits_for_another")]));
    holds(
        &clinic.says(&["audit"], 1),
        &["came, and waits here for a record that it names: `oms-sync quarantine list` says for which."],
    );
    // A record that a person chose to ignore counts as neither.
    clinic.desk.run(&["quarantine", "ignore", "1", "--reason", "test"]).ends(0);
    let found = clinic.audit(1);
    assert_eq!(listed(&found["lost"]), pairs(&[("property population", "lost_here")]));
    assert_eq!(listed(&found["explained"]), pairs(&[("name_property np", "ignored")]));
    assert_eq!(found["set_aside_records"], 0);
}

#[test]
fn what_central_lost_or_deleted_is_named_too() {
    let clinic = Clinic::new();
    clinic.put_at_central("asset_class", r#"{"id":"forgotten","name":"Forgotten"}"#);
    clinic.put_asset("fridge", "x");
    clinic.put_asset("away", "x");
    clinic.sync(0);
    let central = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("central's database");
    let lost = "DELETE FROM sync_record WHERE record_id IN ('fridge', 'forgotten')";
    assert_eq!(central.execute(lost, ()).expect("SQL"), 2);
    // Its store belongs to another site: it stays here for reading, and central no longer sends it.
    clinic.damage("UPDATE sync_record SET data = replace(data, '\"store_id\":\"', '\"store_id\":\"not-') WHERE record_id = 'away'");
    central.execute("DELETE FROM sync_record WHERE record_id = 'away'", ()).expect("SQL");
    let found = clinic.audit(1);
    assert_eq!(
        listed(&found["lost"]),
        pairs(&[("asset fridge", "not_taken"), ("asset_class forgotten", "lost_at_central")])
    );
    assert_eq!(listed(&found["explained"]), pairs(&[("asset away", "not_for_this_site")]));
}

#[test]
fn what_was_read_is_gone_afterwards() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    let folder = clinic.desk.path("scratch");
    std::fs::create_dir(&folder).expect("a folder");
    for (server, status) in [("as it is", 0), ("stopped", 4)] {
        if server == "stopped" {
            clinic.stop_central();
        }
        let mut audit = std::process::Command::new(env!("CARGO_BIN_EXE_oms-sync"));
        audit.args(["--db", "oms-sync.sqlite", "audit", "-q"]).current_dir(clinic.desk.path("")).env("TMPDIR", &folder);
        let said = audit.output().expect("the program runs");
        assert_eq!(said.status.code(), Some(status), "{server}: {said:?}");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "{server}");
    }
}

#[test]
fn who_cannot_be_asked_is_told() {
    let clinic = Clinic::new();
    let code = |args: &[&str], status: i32| clinic.json(args, status)["error"]["code"].clone();
    assert_eq!(code(&["--db", "none.sqlite", "audit"], 3), "no_database");
    assert_eq!(code(&["--db", "central.sqlite", "audit"], 3), "wrong_role");
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    assert_eq!(code(&["audit"], 3), "incorrect_password");
}

/// Some 3.x central servers never send some tables: that is no loss, unless central sends other records of the table.
#[test]
fn a_table_that_central_never_sends_is_no_loss() {
    let clinic = Clinic::new();
    clinic.put_at_central("asset_class", r#"{"id":"cold","name":"Cold chain"}"#);
    clinic.put_at_central("asset_category", r#"{"id":"fridges","name":"Fridges","class_id":"cold"}"#);
    for id in ["small", "large"] {
        let data = format!(r#"{{"id":"{id}","name":"{id}","category_id":"fridges"}}"#);
        clinic.put_at_central("asset_catalogue_type", &data);
    }
    clinic.sync(0);
    let central = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("central's database");
    let forget = |id: &str| {
        assert_eq!(central.execute("DELETE FROM sync_record WHERE record_id = ?1", [id]).expect("SQL"), 1);
    };
    forget("small");
    let found = clinic.audit(1);
    assert_eq!(listed(&found["lost"]), pairs(&[("asset_catalogue_type small", "lost_at_central")]));
    forget("large");
    let found = clinic.audit(0);
    let never =
        [("asset_catalogue_type large", "not_sent_by_central"), ("asset_catalogue_type small", "not_sent_by_central")];
    assert_eq!(listed(&found["explained"]), pairs(&never), "{found}");
    assert_eq!(found["lost"], json!([]));
    holds(&clinic.says(&["audit"], 0), &["central server sends nothing over V6", "The records stay here."]);
}
