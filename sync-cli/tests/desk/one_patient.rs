//! `patient pull`: one patient now, told apart from a whole cycle.

use serde_json::json;

use super::{Clinic, holds};

#[test]
fn one_patient_is_asked_for_and_the_cycles_stay_as_they_are() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "x");
    let before = clinic.json(&["status"], 0);
    let said = clinic.says(&["patient", "pull", "nobody-here"], 0);
    holds(&said, &["done: pushed 0, pulled 0, integrated 0"]);
    let told = clinic.desk.run(&["patient", "pull", "nobody-here"]).ends(0).err;
    holds(&told, &["Pull patient: ok", "visible in no store of this site"]);
    let report = clinic.json(&["patient", "pull", "nobody-here"], 0);
    assert_eq!((&report["patient"], &report["outcome"]), (&json!("nobody-here"), &json!("done")));
    let names: Vec<_> = report["steps"].as_array().expect("steps").iter().map(|step| step["name"].clone()).collect();
    assert_eq!(names, ["pull_patient", "integrate"]);

    let after = clinic.json(&["status"], 0);
    for kept in ["pull_cursor_v6", "push_cursor_v6", "waiting", "last_sync"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    holds(&clinic.says(&["log", "show"], 0), &["of one patient nobody-here", "pull patient"]);
    let listed = clinic.desk.run(&["log", "list", "--json"]).ends(0).json_lines();
    assert_eq!((&listed[0]["patient"], &listed[3]["patient"]), (&json!("nobody-here"), &json!(null)));
    // The edit that waited goes out with the next whole cycle, which is told as its own.
    assert_eq!(clinic.sync(0)["pushed"], 1);
    let life = clinic.json(&["explain", "asset", "fridge"], 0);
    let cycle = clinic.desk.run(&["log", "list", "--json"]).ends(0).json_lines()[0]["started_at"].clone();
    assert_eq!(life["changes"][0]["sent"][0]["by_cycle"], cycle, "{life}");
}

#[test]
fn who_cannot_pull_a_patient_is_told() {
    let clinic = Clinic::new();
    let code = |args: &[&str], status: i32| clinic.json(args, status)["error"]["code"].clone();
    assert_eq!(code(&["--db", "none.sqlite", "patient", "pull", "p"], 3), "not_set_up");
    assert_eq!(code(&["--db", "central.sqlite", "patient", "pull", "p"], 3), "not_set_up");
    assert_eq!(code(&["patient", "pull", " "], 2), "bad_input");
    clinic.stop_central();
    assert_eq!(code(&["patient", "pull", "p"], 4), "unreachable");
}
