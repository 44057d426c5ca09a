//! `patient pull`: one patient now, shown separately from whole cycles.

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
    // The waiting edit goes out with the next whole cycle, which is shown as such.
    assert_eq!(clinic.sync(0)["pushed"], 1);
    let life = clinic.json(&["explain", "asset", "fridge"], 0);
    let cycle = clinic.desk.run(&["log", "list", "--json"]).ends(0).json_lines()[0]["started_at"].clone();
    assert_eq!(life["changes"][0]["sent"][0]["by_cycle"], cycle, "{life}");
}

const COURSE: &str = r#"{"id":"course","name":"c","program_id":"x","coverage_rate":1.0,"use_in_gaps_calculations":true,"is_active":true,"wastage_rate":1.0,"can_skip_dose":false}"#;
const DOSE: &str =
    r#"{"id":"dose","vaccine_course_id":"course","label":"d","min_age":0.0,"max_age":1.0,"min_interval_days":0}"#;

/// Central has a patient with a vaccination, given elsewhere.
fn vaccinate(clinic: &Clinic, patient: &str) {
    let of_store =
        clinic.desk.run(&["--db", "central.sqlite", "records", "list", "name", "--json"]).ends(0).json_lines();
    let mut name = of_store[0]["data"].clone();
    (name["ID"], name["type"]) = (json!(patient), json!("patient"));
    clinic.put_at_central("name", &name.to_string());
    clinic.put_at_central(
        "vaccination",
        &format!(
            r#"{{"id":"v-{patient}","store_id":"elsewhere","program_enrolment_id":"e","encounter_id":"e","user_id":"u","vaccine_course_dose_id":"dose","created_datetime":"2025-01-01T00:00:00","vaccination_date":"2025-01-01","given":true,"patient_id":"{patient}"}}"#
        ),
    );
}

#[test]
fn the_vaccinations_of_a_patient_come_once_the_patient_is_joined_to_a_store_here() {
    let clinic = Clinic::new();
    clinic.put_at_central("vaccine_course", COURSE);
    clinic.put_at_central("vaccine_course_dose", DOSE);
    vaccinate(&clinic, "ann");
    vaccinate(&clinic, "ben");
    clinic.sync(0);
    let cursors = || {
        let all = clinic.desk.run(&["cursor", "show", "--json"]).ends(0).json_lines();
        all.into_iter().map(|cursor| (cursor["name"].clone(), cursor["position"].clone())).collect::<Vec<_>>()
    };
    let here = |patient: &str, status| {
        clinic.desk.run(&["records", "get", "vaccination", &format!("v-{patient}")]).ends(status);
    };
    let before = cursors();
    let pull = ["patient", "pull", "ann"];
    let nothing = clinic.json(&pull, 0);
    assert_eq!((&nothing["outcome"], &nothing["pulled"]), (&json!("done"), &json!(0)));
    let told = clinic.desk.run(&pull).ends(0).err;
    holds(&told, &["Nothing came", "visible in no store of this site"]);
    here("ann", 2);
    assert_eq!(cursors(), before, "no cursor moves");

    for patient in ["ann", "ben"] {
        let join =
            [("ID", format!("j-{patient}")), ("store_ID", clinic.store.clone()), ("name_ID", patient.to_owned())];
        let mut join: serde_json::Map<_, _> =
            join.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        join.insert("inactive".to_owned(), json!(false));
        clinic.put("name_store_join", &json!(join).to_string());
    }
    clinic.desk.run(&["sync", "--push-only", "-q"]).ends(0);
    let stand = cursors();
    let came = clinic.json(&pull, 0);
    assert_eq!((&came["pulled"], &came["integrated"]), (&json!(1), &json!(1)), "{came}");
    here("ann", 0);
    here("ben", 2);
    assert_eq!(cursors(), stand, "no cursor moves");
    let life = clinic.json(&["explain", "vaccination", "v-ann"], 0);
    let number = life["changes"][0]["brought_by_cycle_number"].to_string();
    assert_eq!(clinic.json(&["log", "show", &number], 0)["report"]["patient"], "ann", "{life}");
    // A whole cycle brings the rest.
    clinic.sync(0);
    here("ben", 0);
}

#[test]
fn who_cannot_pull_a_patient_is_told() {
    let clinic = Clinic::new();
    let code = |args: &[&str], status: i32| clinic.json(args, status)["error"]["code"].clone();
    assert_eq!(code(&["--db", "none.sqlite", "patient", "pull", "p"], 3), "no_database");
    assert_eq!(code(&["--db", "central.sqlite", "patient", "pull", "p"], 3), "wrong_role");
    assert_eq!(code(&["patient", "pull", " "], 2), "bad_input");
    clinic.stop_central();
    assert_eq!(code(&["patient", "pull", "p"], 4), "unreachable");
}

#[test]
fn a_patient_is_found_and_linked_to_the_only_store() {
    let clinic = Clinic::new();
    clinic.put_at_central("vaccine_course", COURSE);
    clinic.put_at_central("vaccine_course_dose", DOSE);
    vaccinate(&clinic, "ann");
    let names = clinic.desk.run(&["--db", "central.sqlite", "records", "list", "name", "--json"]).ends(0).json_lines();
    let mut ann = names.iter().find(|name| name["id"] == "ann").expect("ann")["data"].clone();
    (ann["last"], ann["first"], ann["code"]) = (json!("Diallo"), json!("Ann"), json!("P-9"));
    ann["date_of_birth"] = json!("2011-03-31T00:00:00");
    clinic.put_at_central("name", &ann.to_string());
    clinic.sync(0);

    let found = clinic.says(&["patient", "find", "--last", "DIALL"], 0);
    holds(&found, &["LAST NAME", "ann", "Diallo", "2011-03-31", "P-9"]);
    let found = clinic.desk.run(&["patient", "find", "--born", "2011-03-31", "--json"]).ends(0).json_lines();
    assert_eq!((found.len(), &found[0]["id"], &found[0]["first_name"]), (1, &json!("ann"), &json!("Ann")));
    let nobody = clinic.desk.run(&["patient", "find", "--first", "nobody of this name"]).ends(0);
    holds(&nobody.err, &["No patient is found"]);
    for wrong in [&["patient", "find"][..], &["patient", "find", "--born", "31.3.2011"], &["patient", "link", " "]] {
        let said = clinic.desk.run(&[wrong, &["--json"]].concat()).ends(2);
        assert_eq!(said.error().0, "bad_input", "{wrong:?}");
    }
    let refused = clinic.desk.run(&["patient", "link", "ann", "--store", "of another", "--json"]);
    assert_eq!(refused.error().0, "store_not_active_here");

    let report = clinic.json(&["patient", "link", "ann"], 0);
    let names: Vec<_> = report["steps"].as_array().expect("steps").iter().map(|step| step["name"].clone()).collect();
    assert_eq!(names, ["link_patient", "pull_remote", "pull_patient", "integrate"]);
    for (table, id) in [("name", "ann"), ("vaccination", "v-ann")] {
        clinic.desk.run(&["records", "get", table, id]).ends(0);
    }
    assert_eq!(clinic.sync(0)["outcome"], "done");
}
