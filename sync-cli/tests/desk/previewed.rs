//! `preview`: the records that would go and come, while nothing changes.

use serde_json::{Value, json};

use super::doctor::{Answer, Ward};
use super::{Clinic, NAME_PROPERTY, PROPERTY, holds};

impl Clinic {
    /// Everything in the site's database that a preview must not change.
    pub(crate) fn contents(&self) -> Vec<String> {
        let file = rusqlite::Connection::open(self.desk.path("oms-sync.sqlite")).expect("the site's database");
        let mut all = Vec::new();
        for (table, columns) in [
            ("sync_state", "key || value"),
            ("sync_record", "table_name || record_id || data || cursor || is_sync_update"),
            ("sync_buffer", "sequence || state || record_id"),
            ("sync_log", "id || report"),
            ("sqlite_sequence", "name || seq"),
        ] {
            let mut rows = file.prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1")).expect("SQL");
            all.extend(rows.query_map((), |row| row.get(0)).expect("rows").map(|row| row.expect("a row")));
        }
        all
    }
}

#[test]
fn a_push_is_foreseen_with_what_central_would_refuse() {
    let clinic = Clinic::new();
    holds(&clinic.says(&["preview", "push"], 0), &["Nothing waits to be pushed."]);
    clinic.put_asset("fridge", "x");
    clinic.put_asset("freezer", "x");
    // Behind the program's back the store of one of them moves to another site.
    clinic.damage("UPDATE sync_record SET data = replace(data, '\"notes\":\"x\",\"store_id\":\"', '\"notes\":\"x\",\"store_id\":\"not-') WHERE record_id = 'freezer'");
    let before = clinic.contents();
    let found = clinic.json(&["preview", "push"], 1);
    assert_eq!((&found["to_central"][0]["table"], &found["to_central"][0]["records"]), (&json!("asset"), &json!(2)));
    assert!(found["to_central"][0]["bytes"].as_u64() > Some(200) && found["to_central"][0]["oldest_at"].is_string());
    assert_eq!((&found["set_aside_records"], &found["set_aside"][0]["id"]), (&json!(1), &json!("freezer")));
    let said = clinic.says(&["preview", "push"], 1);
    holds(
        &said,
        &[
            "To central:",
            "asset 2",
            "Central would put into quarantine: 1 record",
            "refused: this asset belongs to a store",
        ],
    );
    assert_eq!(clinic.contents(), before, "nothing is changed");
    // The push is as predicted.
    clinic.sync(0);
    let refused = clinic.json(&["--db", "central.sqlite", "quarantine", "list"], 0);
    assert_eq!((&refused["id"], &refused["cause"]), (&json!("freezer"), &json!("refused")));
}

#[test]
fn a_pull_is_foreseen_with_what_would_be_set_aside_and_nothing_moves() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'property'");
    clinic.put_at_central("name_property", NAME_PROPERTY);
    clinic.put_at_central("asset_class", r#"{"id":"c","name":"Cold"}"#);
    let before = clinic.contents();
    let found = clinic.json(&["preview", "pull"], 1);
    let central = found["sources"].as_array().expect("a list").iter().find(|from| from["source"] == "central");
    let central = central.expect("central was asked");
    assert_eq!((&central["records"], &central["is_complete"]), (&json!(2), &json!(true)));
    assert_eq!((&found["integrated"], &found["set_aside_records"]), (&json!(1), &json!(1)));
    assert_eq!(found["set_aside"][0]["cause"], "waiting");
    let said = clinic.says(&["preview", "pull"], 1);
    holds(
        &said,
        &[
            "From central, 2 records:",
            "name_property 1",
            "Would go into quarantine: 1 record",
            "names property population",
        ],
    );
    assert_eq!(clinic.contents(), before, "nothing is changed, and no cursor moves");
    // The pull is as predicted.
    let report = clinic.sync(1);
    assert_eq!((&report["integrated"], &report["quarantined"]), (&json!(1), &json!(1)));

    // With the parent, the records that wait for it would come too.
    clinic.put_at_central("property", &PROPERTY.replace("Population", "People"));
    let found: Value = clinic.json(&["preview", "pull"], 0);
    assert_eq!((&found["integrated"], &found["woken"]), (&json!(1), &json!(1)));
    clinic.server.terminate();
}

#[test]
fn a_server_that_refuses_this_site_is_told_instead_of_a_preview() {
    let clinic = Clinic::new();
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    assert_eq!(clinic.json(&["preview", "pull"], 3)["error"]["code"], "incorrect_password");
    assert_eq!(clinic.json(&["--db", "none.sqlite", "preview", "push"], 3)["error"]["code"], "no_database");
}

/// A person waits, so no server is asked again and again, nor waited for.
#[test]
fn servers_that_are_ill_or_silent_are_asked_once_each() {
    let began = std::time::Instant::now();
    for (answer, code) in [(Answer::page(502), "server_trouble"), (Answer::never(), "timed_out")] {
        let ward = Ward::new();
        ward.clinic.put_asset("fridge", "x");
        ward.legacy.instead("/", answer.clone());
        ward.central.instead("/", answer);
        ward.legacy.asked();
        ward.central.asked();
        assert_eq!(ward.clinic.json(&["preview", "pull"], 4)["error"]["code"], code);
        assert_eq!((ward.legacy.asked().len(), ward.central.asked().len()), (1, 1), "{code}");
        let found = ward.clinic.json(&["net"], 4);
        assert_eq!(found["servers"][0]["error"]["code"], code, "{found}");
        assert_eq!(found["servers"][1]["error"]["code"], code, "{found}");
        assert_eq!((ward.legacy.asked().len(), ward.central.asked().len()), (1, 1), "{code}");
    }
    // Two silent servers twice take 16 seconds; with the limits of a sync they took minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(40), "{:?}", began.elapsed());
}

/// A step that the limit of time ended got no answer: it is not called well. A pause has no cause to look for.
#[test]
fn a_step_that_ran_out_of_time_is_not_ok_and_a_pause_is_no_fault() {
    let ward = Ward::new();
    ward.legacy.instead("/", Answer::never());
    let said = ward.clinic.desk.run(&["sync", "--max-time", "1s"]).ends(0);
    assert!(said.err.contains("Prepare: stopped at the given limit") && !said.err.contains("Prepare: ok"), "{said:?}");
    ward.legacy.doing().instead.clear();
    ward.at_server(&["pause"]);
    let said = ward.clinic.desk.run(&["sync"]).ends(4);
    assert!(said.err.contains("sync_paused") && !said.err.contains("To find the cause"), "{said:?}");
}

/// The same error of one try after another is one line.
#[test]
fn an_error_that_comes_again_and_again_is_told_once() {
    let ward = Ward::new();
    ward.central.instead("/", Answer::page(502));
    let said = ward.clinic.desk.run(&["sync", "--max-time", "8s"]);
    assert_eq!(said.err.matches("trying again in").count(), 1, "{said:?}");
}
