//! `quarantine`: the records in it, the reasons, and their way back.

use serde_json::{Value, json};

use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

/// A site that has lost a record, so that central's next record names a missing one.
fn with_a_missing_parent() -> Clinic {
    let clinic = Clinic::new();
    clinic.lose_a_parent();
    clinic
}

#[test]
fn a_record_whose_parent_is_missing_says_which_and_comes_back_with_it() {
    let clinic = with_a_missing_parent();
    let later = clinic.sync(0);
    assert_eq!((&later["outcome"], &later["still_quarantined"]), (&json!("done"), &json!(0)), "it comes by itself");
    let listed = clinic.desk.run(&["quarantine", "list", "--json"]).ends(0).json_lines().remove(0);
    assert_eq!((&listed["table"], &listed["cause"]), (&json!("name_property"), &json!("waiting")));
    assert_eq!(listed["waits_for"], json!({ "table": "property", "id": "population" }));
    let number = listed["number"].to_string();

    let list = clinic.says(&["quarantine", "list"], 0);
    holds(&list, &["waiting: 1 record", "1 of name_property from central", "wait for property population", "np"]);
    let group = clinic.json(&["quarantine", "list", "--groups"], 0);
    assert_eq!((&group["records"], &group["first_number"].to_string()), (&json!(1), &number));
    holds(&clinic.says(&["quarantine", "list", "--cause", "refused"], 0), &["Nothing is in quarantine."]);

    let shown = clinic.says(&["quarantine", "show", &number], 0);
    holds(&shown, &["name_property np", "from central", "field $.property_id", "waits for property population"]);
    holds(&shown, &["which is not here", "oms-sync cursor rewind pull", "> property_id: \"population\""]);
    let shown = clinic.json(&["quarantine", "show", &number], 0);
    assert_eq!((&shown["path"], &shown["data"]["remote_editable"]), (&json!("$.property_id"), &json!(true)));
    assert_eq!(shown["waits_for"][0]["state"], "not_here");
    clinic.desk.run(&["quarantine", "show", "999", "--json"]).ends(2);

    // Trying again alone does not help, and says so; with the parent there it does.
    let again = clinic.json(&["quarantine", "retry", "--all"], 1);
    assert_eq!((&again["staged"], &again["set_aside_again"]), (&json!(1), &json!(1)));
    clinic.put_at_central("property", &PROPERTY.replace("Population", "People"));
    clinic.sync(0);
    assert!(clinic.says(&["quarantine", "list"], 0).starts_with("Nothing is in quarantine."));
    clinic.desk.run(&["records", "get", "name_property", "np"]).ends(0);
}

#[test]
fn what_was_mended_behind_its_back_comes_with_a_retry_without_any_network() {
    let clinic = with_a_missing_parent();
    clinic.damage(
        "INSERT INTO sync_record (table_name, record_id, data, cursor, store_id, name_id, source_site_id, is_sync_update, \
         audience, changed_at) SELECT 'property', 'population', '{\"id\":\"population\"}', max(cursor) + 1, NULL, NULL, \
         NULL, 1, NULL, 0 FROM sync_record",
    );
    let number = clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    let shown = clinic.says(&["quarantine", "show", &number], 0);
    holds(&shown, &["waits for property population, which is here: oms-sync quarantine retry"]);
    let Clinic { server, .. } = &clinic;
    server.terminate();
    let tried = clinic.says(&["quarantine", "retry", &number], 0);
    assert_eq!(tried, "tried again: 1; integrated 1, back in quarantine 0\n");
    clinic.desk.run(&["quarantine", "retry", &number, "--json"]).ends(2);
    clinic.desk.run(&["quarantine", "retry"]).ends(2);
}

#[test]
fn what_is_ignored_is_kept_with_its_reason_and_left_alone() {
    let clinic = with_a_missing_parent();
    let number = clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    clinic.desk.run(&["quarantine", "ignore", &number]).ends(2);
    let ignored = clinic.says(&["quarantine", "ignore", &number, "--reason", "test data of a closed clinic"], 0);
    holds(&ignored, &["name_property np", "test data of a closed clinic (it was waiting: $.property_id"]);
    let list = clinic.says(&["quarantine", "list"], 0);
    holds(&list, &["ignored: 1 record", "test data of a closed clinic"]);
    assert_eq!(clinic.json(&["quarantine", "retry", "--all"], 0)["staged"], 0);
    assert_eq!(clinic.json(&["status"], 0)["quarantined_by_cause"], json!({ "ignored": 1 }));
    assert_eq!(clinic.sync(0)["outcome"], "done", "it is no longer left behind");
    // Reading everything again brings the same version, which is no news. Its parent is still lost.
    clinic.desk.run(&["--db", "central.sqlite", "records", "delete", "property", "population", "-q"]);
    let rewind = ["cursor", "rewind", "pull", "--own", "--yes", "--reason", "a test", "-q"];
    clinic.desk.run(&rewind).ends(0);
    clinic.sync(0);
    let list = clinic.says(&["quarantine", "list"], 0);
    holds(&list, &["ignored: 1 record", "test data of a closed clinic"]);
    // A newer version is one.
    clinic.put_at_central("name_property", &NAME_PROPERTY.replace("true", "false"));
    clinic.sync(0);
    assert_ne!(clinic.json(&["status"], 0)["quarantined_by_cause"], json!({ "ignored": 1 }));
}

#[test]
fn an_edit_of_a_store_that_moved_away_is_refused_at_central_by_the_rule_that_is_told() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "before");
    clinic.sync(0);
    let desk = &clinic.desk;
    desk.run(&["--db", "central.sqlite", "site", "add", "other", "--password-file", "pw"]).ends(0);
    clinic.put_asset("fridge", "after");
    let store = ["store", "add", "Clinic", "--code", "C", "--site", "other", "--id", &clinic.store];
    desk.run(&[&["--db", "central.sqlite"][..], &store].concat()).ends(0);
    let told = clinic.sync(0)["warnings"].to_string();
    assert!(
        told.contains("central did not take asset fridge") && told.contains("its store went to another site"),
        "{told}"
    );
    let later = clinic.sync(0)["warnings"].to_string();
    assert!(!later.contains("central did not take"), "once is enough: {later}");
    // The support desk of the site still knows it.
    let refused = clinic.json(&["status"], 0)["refused_by_central"].clone();
    assert_eq!((&refused[0]["table"], &refused[0]["id"]), (&json!("asset"), &json!("fridge")), "{refused}");
    holds(&clinic.says(&["status"], 0), &["1 by central, not written again since; the last: asset fridge:"]);
    let explained = clinic.json(&["explain", "asset", "fridge"], 1);
    assert_eq!(explained["verdict"], "refused_by_central");
    let words = [
        "refused by central",
        "central told that it refused it",
        "its store went to another site",
        "write it again",
        "If its store is active on another site now, that does not help",
    ];
    let said = clinic.says(&["explain", "asset", "fridge"], 1);
    holds(&said, &words);
    // Nothing in it says that central took the version.
    assert_eq!(explained["changes"][0]["sent"][0]["state"], "refused", "{explained}");
    holds(&said, &["to central: sent in the cycle of", "and refused there"]);
    let is_free_of = ["finished integrating", "cannot be seen from here", "not known yet"];
    assert!(is_free_of.iter().all(|words| !said.contains(words)), "{said}");
    let found = clinic.json(&["doctor"], 1);
    let check = |found: &Value| {
        let checks = found["checks"].as_array().expect("checks").iter();
        checks.clone().find(|check| check["name"] == "refused by central").expect("the check").clone()
    };
    let refused = check(&found);
    assert_eq!((&refused["outcome"], &refused["finding"]["code"]), (&json!("warning"), &json!("records_refused")));
    assert!(refused["says"].to_string().contains("the last is asset fridge: "), "{refused}");
    // The verdict is that no store is left; the record is named beside it.
    assert_eq!(found["also"], json!(["refused by central"]), "{found:#}");
    let verdict = clinic.says(&["doctor", "-q"], 1);
    holds(&verdict, &["No store is active on site 2", "Another problem is with a record"]);
    holds(&clinic.says(&["doctor", "-v"], 1), &["the last is asset fridge: "]);
    let audited = clinic.json(&["audit"], 1);
    assert_eq!(audited["explained"][0]["why"], "refused_by_central", "no loss: {audited}");
    let at_central = ["--db", "central.sqlite", "quarantine"];
    let listed = clinic.json(&[&at_central[..], &["list"]].concat(), 0);
    assert_eq!((&listed["cause"], &listed["from"]), (&json!("refused"), &json!("site 2")));
    let number = listed["number"].to_string();
    let shown = clinic.says(&[&at_central[..], &["show", &number]].concat(), 0);
    holds(
        &shown,
        &["asset fridge", "from site 2", "its store went to another site", "rule", "another version of it is here"],
    );
    // It says who has the store now and which commands help. It does not say that the site should correct the record.
    let back =
        format!("oms-sync --db central.sqlite store add 'Clinic' --code 'C' --site 'clinic' --id {}", clinic.store);
    let ignore = format!("oms-sync --db central.sqlite quarantine ignore {number} --reason TEXT");
    let active = "is active on site 3 (other), and not on site 2 (clinic), which sent this";
    let ways = [&back[..], active, "have it entered on site 3 (other)", &ignore];
    holds(&shown, &ways);
    assert!(!shown.contains("Correct it where it was written"), "{shown}");
    let there = clinic.says(&["--db", "central.sqlite", "explain", "asset", "fridge"], 1);
    holds(&there, &[&back, &ignore]);
    let document = clinic.json(&[&at_central[..], &["show", &number]].concat(), 0);
    assert_eq!((&document["store"]["store_id"], &document["store"]["active_on"]), (&json!(clinic.store), &json!(3)));
    let again = clinic.json(&[&at_central[..], &["retry", "--cause", "refused"]].concat(), 1);
    assert_eq!((&again["staged"], &again["set_aside_again"]), (&json!(1), &json!(1)));
    let one = clinic.json(&[&at_central[..], &["retry", &number]].concat(), 1);
    assert_eq!((&one["staged"], &one["set_aside_again"]), (&json!(1), &json!(1)), "one of them alone too");
    // The store comes back: then the record is allowed.
    let store = ["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", &clinic.store];
    desk.run(&[&["--db", "central.sqlite"][..], &store].concat()).ends(0);
    clinic.json(&[&at_central[..], &["retry", "--all"]].concat(), 0);
    let fridge = clinic.json(&["--db", "central.sqlite", "records", "get", "asset", "fridge"], 0);
    assert_eq!(fridge["data"]["notes"], "after");
    // What is written again is another version.
    clinic.sync(0);
    clinic.put_asset("fridge", "again");
    assert_eq!(clinic.json(&["status"], 0)["refused_by_central"], json!([]));
    clinic.sync(0);
    assert_eq!(clinic.json(&["explain", "asset", "fridge"], 0)["verdict"], "taken");
    let found = clinic.json(&["doctor"], 0);
    assert_eq!((&found["party"], &check(&found)["outcome"]), (&json!("nobody"), &json!("ok")));
}

/// A property is damaged at central before the site has read it.
fn with_a_spoilt_property(from: &str, to: &str) -> Clinic {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    let file = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("central's database");
    let spoil =
        "UPDATE sync_record SET data = replace(data, ?1, ?2) WHERE record_id = 'population' AND instr(data, ?1)";
    assert_eq!(file.execute(spoil, (from, to)).expect("SQL"), 1);
    assert_eq!(clinic.sync(1)["quarantined"], 1);
    clinic
}

/// It is listed with its cause, shown with its field, and found by `doctor`; corrected at central, it comes.
fn is_told_and_mended(clinic: &Clinic, cause: &str, field: &str, words: &[&str]) {
    let listed = clinic.desk.run(&["quarantine", "list", "--json"]).ends(0).json_lines().remove(0);
    assert_eq!(
        (&listed["table"], &listed["id"], &listed["cause"]),
        (&json!("property"), &json!("population"), &json!(cause))
    );
    let group = clinic.json(&["quarantine", "list", "--groups"], 0);
    assert_eq!((&group["cause"], &group["records"]), (&json!(cause), &json!(1)));
    holds(
        &clinic.says(&["quarantine", "list"], 0),
        &[&format!("{cause}: 1 record"), "1 of property from central", field],
    );
    let number = listed["number"].to_string();
    let shown = clinic.json(&["quarantine", "show", &number], 0);
    assert_eq!((&shown["path"], &shown["is_here"], &shown["waits_for"]), (&json!(field), &json!(false), &json!([])));
    let said = clinic.says(&["quarantine", "show", &number], 0);
    holds(&said, &["property population", "from central", &format!("cause {cause}"), &format!("field {field}")]);
    holds(&said, words);

    let found = clinic.json(&["doctor"], 1);
    assert_eq!((&found["party"], &found["check"]), (&json!("record"), &json!("quarantine")));
    assert_eq!(found["finding"]["code"], "records_set_aside");
    let later = clinic.sync(1);
    assert_eq!((&later["quarantined"], &later["still_quarantined"]), (&json!(0), &json!(1)), "somebody has to act");
    holds(&clinic.says(&["doctor"], 1), &["The problem is with a record.", &format!("1 {cause}")]);
    let again = clinic.json(&["quarantine", "retry", &number], 1);
    assert_eq!((&again["staged"], &again["set_aside_again"]), (&json!(1), &json!(1)));
    clinic.put_at_central("property", &PROPERTY.replace("Population", "People"));
    clinic.sync(0);
    assert!(clinic.says(&["quarantine", "list"], 0).starts_with("Nothing is in quarantine."));
    assert_eq!(clinic.json(&["records", "get", "property", "population"], 0)["data"]["name"], "People");
}

#[test]
fn a_record_that_breaks_the_shape_of_its_type_shows_the_field() {
    let clinic = with_a_spoilt_property(r#""Population""#, "17");
    let words = ["reason $.name: expected a string, found a number", "> name: 17"];
    is_told_and_mended(&clinic, "malformed", "$.name", &words);
}

#[test]
fn a_record_of_a_later_release_shows_the_value_that_is_not_known_here() {
    let clinic = with_a_spoilt_property("INTEGER", "HOLOGRAM");
    is_told_and_mended(&clinic, "unsupported", "$.value_type", &["> value_type: \"HOLOGRAM\"", "Upgrade"]);
}

const LOG: &str =
    r#"{"id":"log","asset_id":"fridge","user_id":"u","status":"FUNCTIONING","log_datetime":"2026-11-24T08:00:00"}"#;

#[test]
fn a_record_of_this_site_comes_back_only_with_own_and_a_cycle_that_leaves_one_behind_again_does_not_end_well() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE record_id = 'fridge'");
    clinic.put_at_central("asset_log", LOG);
    assert_eq!(clinic.sync(1)["quarantined"], 1);
    let number = || clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    let words = ["waits for asset fridge, which is not here", "oms-sync cursor rewind pull --own, here"];
    holds(&clinic.says(&["quarantine", "show", &number()], 0), &words);
    holds(&clinic.says(&["explain", "asset_log", "log"], 1), &words);

    let rewind = ["cursor", "rewind", "pull", "--yes", "--reason", "the fridge is gone"];
    clinic.says(&rewind, 0);
    // Central sends a site its own records only if it asks for them: the log comes again, and is left behind again.
    assert_eq!(clinic.sync(1)["quarantined"], 1);
    holds(&clinic.says(&["quarantine", "show", &number()], 0), &words);
    clinic.says(&[&rewind[..], &["--own"]].concat(), 0);
    clinic.sync(0);
    assert!(clinic.says(&["quarantine", "list"], 0).starts_with("Nothing is in quarantine."));
    clinic.desk.run(&["records", "get", "asset", "fridge"]).ends(0);
}

#[test]
fn a_parent_that_only_central_writes_comes_back_without_own() {
    let clinic = with_a_missing_parent();
    let number = clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    for args in [&["quarantine", "show", &number][..], &["explain", "name_property", "np"]] {
        let said = clinic.desk.run(args).out;
        holds(&said, &["waits for property population, which is not here", "oms-sync cursor rewind pull, here"]);
        assert!(!said.contains("--own"), "{said}");
    }
    clinic.says(&["cursor", "rewind", "pull", "--yes", "--reason", "the property is gone"], 0);
    clinic.sync(0);
    assert!(clinic.says(&["quarantine", "list"], 0).starts_with("Nothing is in quarantine."));
}

#[test]
fn central_which_pulls_nothing_names_the_way_from_the_site() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    let central = rusqlite::Connection::open(clinic.desk.path("central.sqlite")).expect("central's database");
    assert_eq!(central.execute("DELETE FROM sync_record WHERE record_id = 'fridge'", ()).expect("SQL"), 1);
    drop(central);
    clinic.put("asset_log", LOG);
    clinic.sync(0);
    let at_central = |args: &[&str]| clinic.desk.run(&[&["--db", "central.sqlite"], args].concat());
    let listed = at_central(&["quarantine", "list", "--json"]).ends(0).json();
    let number = listed["number"].to_string();
    for args in [&["quarantine", "show", &number][..], &["explain", "asset_log", "log"]] {
        let said = at_central(args).out;
        holds(
            &said,
            &[
                "waits for asset fridge, which is not here",
                "there: oms-sync explain asset fridge",
                "there: oms-sync resend asset fridge",
            ],
        );
        assert!(!said.contains("rewind pull"), "{said}");
    }
    // What it says helps.
    clinic.says(&["resend", "asset", "fridge", "--yes", "--reason", "central lost it"], 0);
    clinic.sync(0);
    holds(&at_central(&["quarantine", "list"]).ends(0).out, &["Nothing is in quarantine."]);
}

/// The text of a record was damaged in the database before it was sent.
#[test]
fn a_damaged_record_of_this_site_counts_once_and_is_left_behind() {
    let clinic = Clinic::new();
    clinic.sync(0);
    clinic.put_asset("fridge", "x");
    clinic.damage("UPDATE sync_record SET data = '{\"id\":' WHERE record_id = 'fridge'");
    let report = clinic.sync(1);
    assert_eq!((&report["outcome"], &report["refused"]), (&json!("left_behind"), &json!(0)), "{report:#}");
    assert_eq!(report["quarantined"], 1, "{report:#}");
    assert_eq!(report["still_quarantined"], 1, "{report:#}");
    // It is left behind until somebody acts, however many cycles that takes.
    for _ in 0..2 {
        let later = clinic.sync(1);
        assert_eq!((&later["outcome"], &later["still_quarantined"]), (&json!("left_behind"), &json!(1)), "{later:#}");
    }
    let number = clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    clinic.says(&["quarantine", "ignore", &number, "--reason", "the fridge is gone"], 0);
    assert_eq!(clinic.sync(0)["still_quarantined"], 0);
}
