//! `log` and `explain`: the history of cycles and records.

use std::time::Duration;

use serde_json::{Value, json};

use super::doctor::{Answer, Ward};
use super::support::{Said, kill, signal};
use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

#[test]
fn the_log_says_of_each_cycle_what_it_did_and_why_it_failed() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    // The administrator of central has given the site another password.
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    clinic.sync(3);
    let listed = clinic.desk.run(&["log", "list", "--json"]).ends(0).json_lines();
    let outcomes: Vec<&Value> = listed.iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "done", "done"]);
    assert_eq!((&listed[1]["pushed"], &listed[0]["number"]), (&json!(1), &json!(1)));
    holds(&clinic.says(&["log", "list"], 0), &["STARTED S PUSHED", "incorrect_password", "0 done"]);
    assert_eq!(clinic.desk.run(&["log", "list", "--failed", "--json"]).ends(0).json_lines().len(), 1);

    let newest = clinic.says(&["log", "show"], 0);
    holds(&newest, &["outcome failed", "prepare", "error [incorrect_password]", "Run `oms-sync init` again"]);
    let second = clinic.says(&["log", "show", "2"], 0);
    holds(&second, &["outcome done", "pushed 1", "bytes up", "push v6", "pull v6"]);
    let started = listed[1]["started_at"].as_str().expect("a time");
    let by_time = clinic.json(&["log", "show", started], 0);
    assert_eq!((&by_time["number"], &by_time["report"]["pushed"]), (&json!(2), &json!(1)));
    assert_eq!(clinic.json(&["log", "show", "99"], 2)["error"]["code"], "not_found");
}

#[test]
fn the_log_tells_what_was_asked_again_on_a_line_that_broke() {
    let ward = Ward::new();
    ward.clinic.put_at_central("property", PROPERTY);
    ward.central.cut("/central/sync/pull", 0, 1);
    let report = ward.clinic.sync(0);
    assert_eq!((&report["outcome"], &report["retries"], &report["pulled"]), (&json!("done"), &json!(1), &json!(1)));
    let entry = ward.clinic.json(&["log", "show"], 0);
    assert_eq!((&entry["report"]["retries"], &entry["report"]["requests"]), (&json!(1), &report["requests"]));
    let requests = format!("requests {}, 1 of them tried again", report["requests"]);
    holds(&ward.clinic.says(&["log", "show"], 0), &["outcome done", &requests]);
    ward.clinic.sync(0);
    holds(&ward.clinic.says(&["log", "show"], 0), &[", 0 of them tried again"]);
}

#[test]
fn a_record_of_this_site_from_the_edit_to_central() {
    let clinic = Clinic::new();
    clinic.put_asset("first", "x");
    clinic.put_asset("fridge", "x");
    let life = clinic.json(&["explain", "asset", "fridge"], 0);
    assert_eq!((&life["verdict"], &life["changes"][0]["by"]), (&json!("waits_for_push"), &json!("here")));
    let way = &life["changes"][0]["sent"][0];
    assert_eq!((&way["to"], &way["state"], &way["before_it"]), (&json!("central"), &json!("waits"), &json!(1)));
    holds(
        &clinic.says(&["explain", "asset", "fridge"], 0),
        &["waits to be pushed", "1 change before it", "oms-sync sync"],
    );

    clinic.sync(0);
    let life = clinic.json(&["explain", "asset", "fridge"], 0);
    let cycle = clinic.desk.run(&["log", "list", "--json"]).ends(0).json_lines()[0]["started_at"].clone();
    let way = &life["changes"][0]["sent"][0];
    assert_eq!((&life["verdict"], &way["state"], &way["by_cycle"]), (&json!("taken"), &json!("taken"), &cycle));
    holds(&clinic.says(&["explain", "asset", "fridge"], 0), &["sent in the cycle of", "finished integrating"]);

    let at_central = ["--db", "central.sqlite", "explain", "asset", "fridge"];
    let there = clinic.json(&at_central, 0);
    assert_eq!((&there["verdict"], &there["changes"][0]["by"]), (&json!("at_central"), &json!("site 2")));
    assert_eq!((&there["changes"][0]["receivers"]["sites"]), &json!(1));
    holds(&clinic.says(&at_central, 0), &["came from site 2", "for 1 site: already read by 1"]);
}

#[test]
fn a_record_that_did_not_arrive_says_what_it_waits_for() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    let property = clinic.json(&["explain", "property", "population"], 0);
    assert_eq!((&property["verdict"], &property["changes"][0]["by"]), (&json!("received"), &json!("central")));
    assert!(property["changes"][0]["brought_by_cycle"].is_string(), "{property}");

    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", NAME_PROPERTY);
    clinic.sync(1);
    let life = clinic.json(&["explain", "name_property", "np"], 1);
    assert_eq!((&life["verdict"], &life["set_aside"][0]["cause"]), (&json!("set_aside"), &json!("waiting")));
    let said = clinic.says(&["explain", "name_property", "np"], 1);
    holds(
        &said,
        &[
            "a version of it is in quarantine",
            "in quarantine as waiting",
            "waits for property population, which is not here",
        ],
    );
    let parent = clinic.json(&["explain", "property", "population"], 2);
    assert_eq!((&parent["verdict"], &parent["awaited_by"]), (&json!("not_known"), &json!(1)));
    holds(
        &clinic.says(&["explain", "property", "population"], 2),
        &["never seen here", "until this one comes: 1 record"],
    );
    holds(&clinic.says(&["explain", "Name-Property", "np"], 2), &["Did you mean the table name_property?"]);
}

/// Assets for more than one batch, with notes that no compression makes small.
fn many_assets(clinic: &Clinic) {
    let (store, at) = (&clinic.store, "2026-11-23T08:00:00");
    let asset = |n: u64| {
        let notes = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!(
            "{{\"id\":\"a{n:04}\",\"notes\":\"{notes:x}\",\"store_id\":\"{store}\",\"created_datetime\":\"{at}\",\
             \"modified_datetime\":\"{at}\"}}\n"
        )
    };
    clinic.put("asset", &(0..6000).map(asset).collect::<String>());
}

/// The history of an asset up to central.
fn way(clinic: &Clinic, id: &str) -> Value {
    clinic.json(&["explain", "asset", id], 0)["changes"][0]["sent"][0].clone()
}

/// The log's entry for the cycle of a way out, found by its time and by its number.
fn cycle_of(clinic: &Clinic, way: &Value) -> Value {
    let began = way["by_cycle"].as_str().unwrap_or_else(|| panic!("no cycle: {way}"));
    let by_number = clinic.json(&["log", "show", &way["by_cycle_number"].to_string()], 0);
    assert_eq!(by_number["started_at"], began, "{way}");
    by_number
}

#[test]
fn of_two_cycles_that_pushed_the_one_that_sent_the_record_is_named() {
    let clinic = Clinic::new();
    many_assets(&clinic);
    let sync = ["sync", "--json", "-q", "--max-bytes", "100000"];
    let first = clinic.desk.run(&sync).ends(0).json();
    assert_eq!(first["outcome"], "partial");
    let pushed = first["pushed"].as_u64().expect("a number");
    assert!((1..6000).contains(&pushed), "{first}");
    // Central integrates each part of a push as it comes.
    let at_central = ["--db", "central.sqlite", "explain", "asset", "a0000"];
    assert_eq!(clinic.json(&at_central, 0)["verdict"], "at_central");
    let way_of_it = way(&clinic, "a0000");
    assert_eq!((&way_of_it["state"], &way_of_it["by_cycle_number"]), (&json!("sent"), &json!(1)), "{way_of_it}");

    let last = clinic.sync(0);
    assert_eq!(last["pushed"], 6000 - pushed);
    // The last of the first part, and the first of the second.
    let (before, after) = (format!("a{:04}", pushed - 1), format!("a{pushed:04}"));
    for (id, number, outcome) in
        [("a0000", 2, "partial"), (&before, 2, "partial"), (&after, 1, "done"), ("a5999", 1, "done")]
    {
        let way = way(&clinic, id);
        let cycle = cycle_of(&clinic, &way);
        assert_eq!((&cycle["number"], &cycle["outcome"]), (&json!(number), &json!(outcome)), "{id}: {way}");
    }
    holds(&clinic.says(&["explain", "asset", &before], 0), &["sent in the cycle of", "(oms-sync log show 2)"]);
    holds(&clinic.says(&["explain", "asset", &after], 0), &["(oms-sync log show 1)", "finished integrating"]);

    // The log of an older version has no such facts, and nothing is guessed.
    clinic.damage(
        "UPDATE sync_log SET report = json_remove(report, '$.pushed_ranges', '$.changes_from', '$.changes_below')",
    );
    assert_eq!(way(&clinic, &after)["by_cycle"], json!(null));
    holds(&clinic.says(&["explain", "asset", &after], 0), &["sent in a cycle that is not in the log"]);
    clinic.says(&["log", "show"], 0);
}

/// Waits until a path was requested so often.
fn until_asked(ward: &Ward, path: &str, times: usize) {
    let mut asked = 0;
    for _ in 0..1500 {
        asked += ward.central.asked().iter().filter(|what| what.ends_with(path)).count();
        if asked >= times {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{path} was asked for {asked} times");
}

#[test]
fn a_cycle_that_was_killed_is_not_told_and_not_mistaken_for_the_next_one() {
    let ward = Ward::new();
    many_assets(&ward.clinic);
    // The first batch is confirmed; central accepts the second one, but the line breaks before the answer.
    ward.central.lose("/central/sync/push", 1, Answer::never());
    let mut child = ward.clinic.desk.spawn(&["sync", "-q"]);
    until_asked(&ward, "/push", 2);
    assert!(kill(&mut child));
    ward.central.doing().lost.clear();
    assert_eq!(way(&ward.clinic, "a0000")["state"], "sent");
    assert_eq!(way(&ward.clinic, "a5999")["state"], "waits");
    ward.clinic.sync(0);
    let first = way(&ward.clinic, "a0000");
    assert_eq!((&first["state"], &first["by_cycle"]), (&json!("taken"), &json!(null)));
    holds(&ward.clinic.says(&["explain", "asset", "a0000"], 0), &["sent in a cycle that is not in the log"]);
    let last = way(&ward.clinic, "a5999");
    assert_eq!(cycle_of(&ward.clinic, &last)["number"], 1, "{last}");
}

#[test]
fn what_is_sent_stays_sent_until_central_says_that_it_is_integrated() {
    let ward = Ward::new();
    ward.clinic.put_asset("fridge", "x");
    ward.central.instead("/central/sync/site_status", Answer::json(200, r#"{"data":{"is_integrating":true}}"#));
    let child = ward.clinic.desk.spawn(&["sync", "-q", "--json"]);
    until_asked(&ward, "/site_status", 2);
    signal(&child, "-INT");
    Said::by(child).ends(130);
    let explain = ["explain", "asset", "fridge"];
    let life = ward.clinic.json(&explain, 0);
    let sent = way(&ward.clinic, "fridge");
    assert_eq!((&life["verdict"], &sent["state"]), (&json!("sent"), &json!("sent")));
    assert_eq!(cycle_of(&ward.clinic, &sent)["outcome"], "cancelled");
    holds(
        &ward.clinic.says(&explain, 0),
        &["sent; the other end has not confirmed", "log show 1); whether it is integrated there is not known yet"],
    );
    ward.central.doing().instead.clear();
    assert_eq!(ward.clinic.sync(0)["pushed"], 0, "it is only asked about");
    let taken = way(&ward.clinic, "fridge");
    assert_eq!((&taken["state"], &taken["by_cycle"]), (&json!("taken"), &sent["by_cycle"]), "the cycle that sent it");
    assert_eq!(cycle_of(&ward.clinic, &taken)["number"], 2);
}

#[test]
fn a_record_that_a_server_does_not_take_is_not_called_taken() {
    let ward = Ward::new();
    // Incompressible to the size that the front lets through.
    let word = |n: u64| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    ward.clinic.put_asset("large", &(1..=2000).map(word).collect::<String>());
    ward.clinic.put_asset("small", "x");
    ward.central.doing().most_bytes = Some(4096);
    assert_eq!(ward.clinic.sync(1)["refused"], 1);
    let explain = ["explain", "asset", "large"];
    let life = ward.clinic.json(&explain, 1);
    let sent = &life["changes"][0]["sent"][0];
    assert_eq!((&life["verdict"], &sent["state"]), (&json!("set_aside"), &json!("not_taken")), "{sent}");
    assert_eq!((&life["set_aside"][0]["from"], &sent["by_cycle"]), (&json!("here"), &json!(null)));
    holds(
        &ward.clinic.says(&explain, 1),
        &["to central: not taken, and in quarantine here", "in quarantine as refused"],
    );
    assert_eq!(way(&ward.clinic, "small")["state"], "taken");
    // Written again and let through, it is accepted.
    ward.central.doing().most_bytes = None;
    ward.clinic.put_asset("large", "short");
    assert_eq!(ward.clinic.sync(0)["still_quarantined"], 0, "nobody has to act any more");
    // The record in quarantine stays for reference.
    assert_eq!(ward.clinic.json(&explain, 1)["changes"][0]["sent"][0]["state"], "taken");
}

#[test]
fn a_record_from_central_names_the_cycle_that_brought_it() {
    let clinic = Clinic::new();
    clinic.put_at_central("asset_class", r#"{"id":"cold","name":"Cold"}"#);
    clinic.sync(0);
    clinic.put_at_central("asset_class", r#"{"id":"warm","name":"Warm"}"#);
    clinic.sync(0);
    // All cycles began and ended in one second, by the log.
    clinic.damage(
        "UPDATE sync_log SET started_at = '2026-11-23T08:00:00.000Z', finished_at = '2100-01-01T00:00:00.000Z'",
    );
    for (id, number) in [("cold", 2), ("warm", 1)] {
        let life = clinic.json(&["explain", "asset_class", id], 0);
        assert_eq!(life["changes"][0]["brought_by_cycle_number"], number, "{life}");
        let shown = format!("with the cycle of 2026-11-23 08:00:00Z (oms-sync log show {number})");
        holds(&clinic.says(&["explain", "asset_class", id], 0), &[&shown]);
    }
    // Nor does a cycle of central with a server of its own bring what a site pushes meanwhile.
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    let there = clinic.json(&["--db", "central.sqlite", "explain", "asset", "fridge"], 0);
    assert_eq!(
        (&there["changes"][0]["by"], &there["changes"][0]["brought_by_cycle"]),
        (&json!("site 2"), &json!(null))
    );
}

#[test]
fn what_is_written_here_and_goes_nowhere_says_so() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    // Only central writes properties, so no site pushes one, whoever wrote it into the database.
    clinic.damage("UPDATE sync_record SET is_sync_update = 0 WHERE table_name = 'property'");
    let life = clinic.json(&["explain", "property", "population"], 0);
    assert_eq!((&life["verdict"], &life["changes"][0]["by"]), (&json!("stays_here"), &json!("here")));
    assert_eq!(life["changes"][0]["sent"], json!([]));
    holds(
        &clinic.says(&["explain", "property", "population"], 0),
        &["written here, and does not leave this database", "over V6, from central to sites only"],
    );
}

#[test]
fn central_says_which_sites_have_not_read_it_yet() {
    let clinic = Clinic::new();
    let at = |db: &str, args: &[&str]| clinic.desk.run(&[&["--db", db, "-q"], args].concat()).ends(0);
    at("central.sqlite", &["site", "add", "other", "--password-file", "pw"]);
    at("central.sqlite", &["site", "add", "never-came", "--password-file", "pw"]);
    let init = ["init", "--legacy-url", &clinic.server.address, "--site", "other", "--password-file", "pw"];
    at("other.sqlite", &[&init[..], &["--hardware-id", "another-machine"]].concat());
    clinic.put_at_central("property", PROPERTY);
    at("other.sqlite", &["sync"]);
    clinic.put_at_central("asset_class", r#"{"id":"cold","name":"Cold"}"#);
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    // It writes down then what it knows of its sites.
    let Clinic { desk, server, .. } = clinic;
    server.stop().ends(0);
    for (table, id, receivers, said) in [
        (
            "property",
            "population",
            json!({"sites":3,"have_it":2,"not_yet":[4]}),
            "3 sites: already read by 2; not yet: site 4",
        ),
        (
            "asset_class",
            "cold",
            json!({"sites":3,"have_it":1,"not_yet":[3,4]}),
            "already read by 1; not yet: site 3 (other), 4 (never-came)",
        ),
        ("asset", "fridge", json!({"sites":1,"have_it":1,"not_yet":[]}), "for 1 site: already read by 1"),
    ] {
        let explain = ["--db", "central.sqlite", "explain", table, id];
        let life = desk.run(&[&explain[..], &["--json"]].concat()).ends(0).json();
        assert_eq!((&life["verdict"], &life["changes"][0]["receivers"]), (&json!("at_central"), &receivers), "{table}");
        holds(&super::fits(&desk.run(&explain).ends(0)), &[said]);
    }
}
