//! Translations of the commands: only data are outside the marks.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use super::bundled::unpacked;
use super::doctor::Ward;
use super::support::{Said, signal};
use super::translated::{marked, unmarked};
use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

/// The words outside the marks.
fn words_unmarked(text: &str) -> BTreeSet<String> {
    let words = unmarked(text);
    let words = words.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 2);
    words.map(str::to_owned).collect()
}

impl Clinic {
    /// Runs a command with translated texts, checks that only these data are outside the marks, and returns its output.
    #[track_caller]
    fn in_marks(&self, args: &[&str], status: i32, data: &str) -> Said {
        let said = self.desk.run(&[&["--texts", "marked.json"], args].concat()).ends(status);
        let mut left = words_unmarked(&said.out);
        left.extend(words_unmarked(&said.err));
        let data: BTreeSet<String> = data.split(' ').map(str::to_owned).collect();
        let english: Vec<&String> = left.difference(&data).collect();
        assert!(english.is_empty(), "{english:?} of {args:?} stands outside the marks: {}\n{}", said.out, said.err);
        said
    }
}

#[test]
fn explain_and_preview() {
    let clinic = Clinic::new();
    marked(&clinic.desk);
    clinic.in_marks(&["preview", "push"], 0, "");
    clinic.lose_a_parent();
    let said = clinic.in_marks(&["explain", "name_property", "np"], 1, "");
    holds(&said.out, &["‹name_property np: ‹a version of it is in quarantine››", "‹waits for property population"]);
    let said = clinic.in_marks(&["explain", "property", "population"], 2, "");
    holds(&said.out, &["‹In quarantine until this one comes: ‹1 record›", "‹Check table and id"]);
    holds(
        &clinic.in_marks(&["explain", "Name-Property", "np"], 2, "").out,
        &["‹Did you mean the table name_property?›"],
    );

    clinic.put_asset("first", "x");
    clinic.put_asset("fridge", "x");
    holds(&clinic.in_marks(&["explain", "asset", "fridge"], 0, "").out, &["‹to ‹central›: waits; 1 change before it›"]);
    clinic.sync(0);
    let said = clinic.in_marks(&["explain", "asset", "fridge"], 0, "");
    holds(&said.out, &["‹to ‹central›: sent in ‹the cycle of", "‹If the other end has lost it since"]);
    let said = clinic.in_marks(&["--db", "central.sqlite", "explain", "asset", "fridge"], 0, "");
    holds(&said.out, &["‹‹", "came from site 2", "‹for ‹1 site›: already read by 1›"]);
    holds(&said.err, &["== ‹Open mSupply central server› =="]);

    clinic.put_asset("freezer", "x");
    clinic.damage("UPDATE sync_record SET data = replace(data, '\"notes\":\"x\",\"store_id\":\"', '\"notes\":\"x\",\"store_id\":\"not-') WHERE record_id = 'freezer'");
    let said = clinic.in_marks(&["preview", "push"], 1, "asset freezer");
    holds(&said.out, &["‹Central would put into quarantine: ‹1 record››", "‹‹refused›: this asset belongs"]);
    clinic.put_at_central("property", &PROPERTY.replace("Population", "People"));
    let said = clinic.in_marks(&["preview", "pull"], 0, "property");
    holds(&said.out, &["‹From ‹central›, ‹1 record›:›", "‹‹1 record› now in quarantine would be tried again›"]);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_state WHERE key = 'initialised_at'");
    let why = "the first sync is not complete: nothing is sent before this site knows its stores";
    holds(&clinic.in_marks(&["preview", "push"], 0, "").out, &[&format!("‹Held up: ‹{why}›.›")]);
    let found = clinic.desk.run(&["--texts", "marked.json", "preview", "push", "--json"]).ends(0).json();
    assert_eq!(found["held_up"], format!("‹{why}›"));
}

#[test]
fn a_pull_that_would_set_something_aside() {
    let clinic = Clinic::new();
    marked(&clinic.desk);
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", NAME_PROPERTY);
    let said = clinic.in_marks(&["preview", "pull"], 1, "name property");
    holds(
        &said.out,
        &["‹Would go into quarantine: ‹1 record››", "‹‹waiting›: $.property_id names property population"],
    );
    holds(&said.err, &["‹Nothing was changed.›"]);
}

#[test]
fn cursor_and_resend() {
    let clinic = Clinic::new();
    marked(&clinic.desk);
    clinic.put_at_central("property", PROPERTY);
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    let stands = clinic.json(&["status"], 0)["push_cursor_v6"].clone();
    clinic.damage("UPDATE sync_state SET value = '900' WHERE key = 'push_cursor_v6'");
    let cursors = "pull push cursor central legacy";
    let said = clinic.in_marks(&["cursor", "show"], 0, cursors);
    holds(
        &said.out,
        &["‹next position to read at central›", "‹push_cursor_v6: ‹it is beyond the end, which is impossible››"],
    );
    let found = clinic.desk.run(&["--texts", "marked.json", "cursor", "show", "--json"]).ends(0).json_lines();
    assert_eq!(
        (&found[0]["name"], &found[0]["meaning"]),
        (&json!("pull_cursor_v6"), &json!("‹next position to read at central›"))
    );
    let said = clinic.in_marks(&["cursor", "rewind", "pull"], 0, "");
    holds(&said.out, &["‹The cursor would be rewound from"]);
    holds(&said.err, &["‹Nothing was changed. To do it"]);
    clinic.in_marks(&["cursor", "rewind", "pull", "--own"], 0, "");
    let rewind = ["cursor", "rewind", "pull", "--own", "--yes", "--reason", "lost"];
    let backup = "oms sync sqlite before";
    let said = clinic.in_marks(&rewind, 0, backup);
    holds(&said.out, &["‹The cursor is rewound from", "‹A copy of the database as it was before is in›"]);
    holds(&said.err, &["‹Next: oms-sync sync›"]);
    holds(&clinic.in_marks(&rewind, 0, "").out, &["‹It stands at"]);

    clinic.damage(&format!("UPDATE sync_state SET value = '{stands}' WHERE key = 'push_cursor_v6'"));
    holds(&clinic.in_marks(&["resend", "asset"], 0, "").out, &["‹Would go out again with the next push: ‹1 record››"]);
    let resend = ["resend", "asset", "--yes", "--reason", "lost"];
    holds(
        &clinic.in_marks(&resend, 0, backup).out,
        &["‹Will be sent again with the next push: ‹1 record››", "‹asset: 1,"],
    );
    let said = clinic.in_marks(&resend, 0, "");
    holds(
        &said.out,
        &["‹Waiting to be pushed already, and left as they are: ‹1 record››", "‹Nothing is to be sent again.›"],
    );
    // As it was stored in the log.
    let written = "resend asset lost records out again with the next push";
    let said = clinic.in_marks(&["log", "show"], 0, written);
    holds(&said.out, &["‹repaired at›", "‹reason›"]);
}

#[test]
fn a_cycle_and_how_it_is_told_afterwards() {
    let clinic = Clinic::new();
    marked(&clinic.desk);
    clinic.put_asset("fridge", "x");
    let said = clinic.in_marks(&["status"], 0, "clinic http");
    holds(&said.out, &["‹to be pushed›", "‹‹1 record›, ", "‹‹done› at ", "‹pull cursor›", "‹yes›"]);
    let said = clinic.in_marks(&["sync"], 0, "");
    holds(&said.out, &["‹‹done›: pushed 1, pulled 0"]);
    holds(&said.err, &["‹‹Push V6›: 1›", "‹‹Prepare›: ok›"]);
    holds(&clinic.in_marks(&["patient", "pull", "nobody"], 0, "").err, &["‹Nothing came: the patient has no records"]);
    holds(&clinic.in_marks(&["log", "show"], 0, "nobody").out, &["‹took›", "‹requests›", "‹pull patient›"]);
    clinic.lose_a_parent();
    holds(&clinic.in_marks(&["status"], 0, "clinic http").out, &["‹quarantined›", "‹1 ‹waiting››"]);
    clinic.put_at_central("name_property", &NAME_PROPERTY.replace("\"np\"", "\"np2\""));
    holds(
        &clinic.in_marks(&["sync"], 1, "").out,
        &["‹‹done, but some records went into quarantine›", "‹into quarantine: 0 refused, 1 for other causes; see"],
    );

    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    let said = clinic.in_marks(&["sync"], 3, "");
    holds(
        &said.err,
        &["‹‹Prepare›: failed [incorrect_password]›", "‹‹error› [incorrect_password]: ‹", "Run `oms-sync init` again"],
    );
    let failed = clinic.desk.run(&["--texts", "marked.json", "sync", "--json", "-q"]).ends(3).json();
    let texts = |error: &Value| ["message", "advice"].map(|key| error[key].as_str().expect("a text").to_owned());
    assert!(texts(&failed["error"]).iter().all(|text| unmarked(text).is_empty()), "{failed}");
    assert_eq!((&failed["error"]["code"], &failed["outcome"]), (&json!("incorrect_password"), &json!("failed")));
    holds(&clinic.in_marks(&["status"], 0, "clinic http").out, &["‹‹failed› at ", "[incorrect_password]"]);
    let said = clinic.in_marks(&["log", "show"], 0, "incorrect password");
    holds(&said.out, &["‹‹error› [incorrect_password]:"]);
    let listed = clinic.in_marks(&["log", "list"], 0, "incorrect password");
    holds(&listed.out, &["‹STARTED›", "‹left behind›", "‹done›"]);
    for (command, path) in [("log show", "/error/advice"), ("status", "/last_sync/error/advice")] {
        let args: Vec<&str> = ["--texts", "marked.json", "--json"].into_iter().chain(command.split(' ')).collect();
        let found = clinic.desk.run(&args).ends(0).json();
        let advice = found.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{command}: {found}"));
        assert!(advice.starts_with('‹') && unmarked(advice).is_empty(), "{command}: {advice}");
    }
    clinic.damage("DELETE FROM sync_log");
    holds(&clinic.in_marks(&["log", "list"], 0, "").out, &["‹No cycle is in the log.›"]);
    holds(&clinic.in_marks(&["status"], 0, "clinic http").out, &["‹never›"]);

    // The first line of `run`, and its text for an error that does not pass by itself.
    let mut child = clinic.desk.spawn(&["--texts", "marked.json", "run", "--interval", "1h"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    signal(&child, "-INT");
    let err = Said::by(child).ends(0).err;
    assert!(line.contains("‹failed› [incorrect_password]: pushed 0"), "{line}");
    holds(&err, &["‹[incorrect_password]: ‹", "It will not go away by itself.›"]);
    assert!(words_unmarked(&line).is_empty() && words_unmarked(&err).is_empty(), "{line}{err}");
}

#[test]
fn net_with_both_servers_and_without_central() {
    let mut ward = Ward::new();
    marked(&ward.clinic.desk);
    ward.clinic.put_at_central("property", PROPERTY);
    let said = ward.clinic.in_marks(&["net"], 0, "http localhost");
    holds(
        &said.out,
        &["‹latency›", "‹1 record that this site has not read›", "‹A first sync takes ‹", "‹Not included: "],
    );
    holds(&said.out, &["known from ‹what is in this database››"]);
    ward.central.shut();
    let said = ward.clinic.in_marks(&["net"], 4, "http localhost");
    holds(&said.out, &["‹[unreachable] ", "‹not measured: nothing came to measure with›"]);
    let found = ward.clinic.desk.run(&["--texts", "marked.json", "net", "--json"]).ends(4).json();
    let error = &found["servers"][1]["error"];
    assert!(error["advice"].as_str().is_some_and(|text| unmarked(text).is_empty()), "{found}");
    ward.heal();
}

#[test]
fn a_bundle_is_told_in_other_words_and_is_itself_english() {
    let clinic = Clinic::new();
    marked(&clinic.desk);
    clinic.lose_a_parent();
    let parts =
        "README txt json jsonl environment status doctor identity settings cursors push log errors quarantine files";
    let said = clinic.in_marks(&["bundle", "--list"], 0, parts);
    holds(&said.out, &["‹WHAT IT IS›", "‹settings, secrets kept out›", "‹Left out: passwords"]);
    holds(&said.err, &["‹Nothing was written.›"]);
    let said = clinic.in_marks(&["bundle", "b.tar.gz"], 0, parts);
    holds(&said.out, &["‹written: b.tar.gz ("]);
    holds(&said.err, &["‹Each part is text: read it before"]);
    let listed = clinic.desk.run(&["--texts", "marked.json", "bundle", "--list", "--json"]).ends(0).json();
    assert_eq!(listed["parts"][0]["what"], "‹a description of each part›");
    for (name, text) in unpacked(&clinic.desk.path("b.tar.gz")) {
        assert!(!text.contains('‹'), "{name}: {text}");
    }
}
