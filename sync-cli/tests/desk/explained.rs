//! `log`, `explain` and `status --watch`: what happened, to which record, in which cycle.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use super::support::{Said, signal};
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

#[test]
fn status_is_watched_until_an_interrupt() {
    let clinic = Clinic::new();
    let mut child = clinic.desk.spawn(&["status", "--watch", "--every", "1s", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(next()["waiting"]["records"], 0);
    clinic.put_asset("fridge", "x");
    assert_eq!(next()["waiting"]["records"], 1);
    clinic.sync(0);
    // A cycle changes more than once what is seen; the end is what counts.
    while next()["waiting"]["records"] != 0 {}
    signal(&child, "-INT");
    Said::by(child).ends(0);
    clinic.desk.run(&["status", "--every", "1s"]).ends(2);
}
