//! `conflicts`: both versions of a record that was edited here while another one came.

use serde_json::json;

use super::{Clinic, holds};

/// A clinic whose edit of an asset met one of central's, before it was pushed.
fn clinic_in_conflict() -> Clinic {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "as delivered");
    clinic.sync(0);
    let (store, at) = (&clinic.store, "2026-11-23T08:00:00");
    let theirs = json!({
        "id": "fridge", "notes": "moved to the ward, says Miriam", "serial_number": "S 1", "store_id": store,
        "created_datetime": at, "modified_datetime": at,
    });
    clinic.put_at_central("asset", &theirs.to_string());
    clinic.put_asset("fridge", "broken");
    clinic.desk.run(&["sync", "--pull-only", "-q"]).ends(0);
    clinic
}

#[test]
fn a_supporter_sees_which_version_stayed_and_both_values_of_each_field() {
    let clinic = clinic_in_conflict();
    let listed = clinic.desk.run(&["conflicts", "list", "--json"]).ends(0).json_lines();
    let conflict = &listed[0];
    assert_eq!((listed.len(), &conflict["table"], &conflict["id"]), (1, &json!("asset"), &json!("fridge")));
    assert_eq!(
        (&conflict["outcome"], &conflict["differs"]),
        (&json!("kept_local"), &json!(["notes", "serial_number"]))
    );
    assert!(conflict["at"].is_string() && conflict["cursor"].is_u64(), "{conflict}");
    let said = clinic.says(&["conflicts", "list"], 0);
    holds(&said, &["asset", "fridge", "the edit made here stays", "different: notes, serial_number"]);
    assert!(!said.contains("Miriam"), "the list has no data: {said}");

    let shown = clinic.json(&["conflicts", "show", "asset", "fridge"], 0);
    assert_eq!(shown["here"]["notes"], "broken");
    assert_eq!(
        (&shown["received"]["notes"], &shown["local"]),
        (&json!("moved to the ward, says Miriam"), &json!(null))
    );
    assert_eq!(shown["fields"], json!(["notes", "serial_number"]));
    holds(
        &clinic.says(&["conflicts", "show", "asset", "fridge"], 0),
        &[
            "record asset fridge",
            "from central",
            "notes here \"broken\" received \"moved to the ward, says Miriam\"",
            "serial_number",
        ],
    );
    // After a further edit the comparison is with the record as it is then.
    clinic.put_asset("fridge", "moved to the ward, says Miriam");
    let said = clinic.says(&["conflicts", "show", "asset", "fridge"], 0);
    holds(&said, &["here \"moved to the ward, says Miriam\" received \"moved to the ward, says Miriam\""]);
    assert_eq!(clinic.json(&["conflicts", "show", "asset", "other"], 2)["error"]["code"], "not_found");
}

#[test]
fn the_log_and_the_history_of_a_record_lead_to_it_and_a_bundle_has_no_version() {
    let clinic = clinic_in_conflict();
    holds(
        &clinic.says(&["log", "show"], 0),
        &["Another version came of asset fridge", "oms-sync conflicts show asset fridge"],
    );
    let explained = clinic.says(&["explain", "asset", "fridge"], 0);
    holds(
        &explained,
        &["differed from the one made here in notes, serial_number", "oms-sync conflicts show asset fridge"],
    );
    clinic.desk.run(&["bundle", "b.tar.gz"]).ends(0);
    let parts = super::bundled::unpacked(&clinic.desk.path("b.tar.gz"));
    assert!(parts.values().any(|text| text.contains("serial_number")), "it says which fields differ");
    for (name, text) in parts {
        assert!(!text.contains("Miriam") && !text.contains("broken"), "{name}: {text}");
    }
}

#[test]
fn a_database_without_conflicts_says_so() {
    let clinic = Clinic::new();
    holds(&clinic.says(&["conflicts", "list"], 0), &["No conflict is kept"]);
    assert_eq!(clinic.desk.run(&["conflicts", "list", "--json"]).ends(0).out, "");
}
