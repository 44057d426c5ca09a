//! `cursor` and `resend`: records lost at one end come back from the other.

use serde_json::{Value, json};
use sync_core::storage::SqliteStorage;

use super::{Clinic, PROPERTY, holds};

impl Clinic {
    /// The copies of the database.
    fn backups(&self) -> Vec<String> {
        let folder = self.desk.path("");
        let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_str().expect("text").to_owned());
        names.filter(|name| name.starts_with("oms-sync.sqlite.before-") && name.ends_with('Z')).collect()
    }

    fn damage_central(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.desk.path("central.sqlite")).expect("central's database");
        assert!(file.execute(sql, ()).expect("SQL") > 0, "nothing was damaged: {sql}");
    }
}

#[test]
fn what_was_lost_here_is_read_again() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name IN ('property', 'asset')");
    clinic.sync(0);
    clinic.desk.run(&["records", "get", "property", "population"]).ends(2);

    let cursors = clinic.desk.run(&["cursor", "show", "--json"]).ends(0).json_lines();
    let pull = cursors.iter().find(|cursor| cursor["name"] == "pull_cursor_v6").expect("the cursor");
    holds(&clinic.says(&["cursor", "show"], 0), &["pull_cursor_v6", "next position to read at central"]);

    let planned = clinic.json(&["cursor", "rewind", "pull"], 0);
    assert_eq!((&planned["plan"]["position_before"], &planned["is_done"]), (&pull["position"], &json!(false)));
    holds(&clinic.says(&["cursor", "rewind", "pull"], 0), &["would be rewound", "to 0"]);
    assert_eq!(clinic.json(&["cursor", "rewind", "pull", "--yes"], 2)["error"]["code"], "bad_input");
    assert!(clinic.backups().is_empty(), "nothing was done yet");

    let rewind = ["cursor", "rewind", "pull", "--own", "--yes", "--reason", "deleted by mistake"];
    holds(&clinic.says(&rewind, 0), &["is rewound", "this site's own records included", "oms-sync.sqlite.before-"]);
    let backups = clinic.backups();
    assert_eq!(backups.len(), 1);
    let backup = clinic.json(&["--db", &backups[0], "status"], 0);
    assert_eq!(backup["pull_cursor_v6"], pull["position"], "the copy is from before");
    holds(&clinic.says(&rewind, 0), &["It stands at 0: nothing to rewind"]);
    assert_eq!(clinic.backups().len(), 1, "the second time nothing is done");

    let entry = clinic.json(&["log", "show"], 0);
    assert_eq!(
        (&entry["outcome"], &entry["report"]["repair"]["reason"]),
        (&json!("repaired"), &json!("deleted by mistake"))
    );
    holds(
        &clinic.says(&["log", "show"], 0),
        &["command cursor rewind pull_cursor_v6 to 0", "reason deleted by mistake"],
    );
    holds(&clinic.says(&["log", "list"], 0), &["repaired"]);
    assert_eq!(clinic.json(&["status"], 0)["last_sync"]["outcome"], "done", "a repair is no sync");

    clinic.sync(0);
    clinic.desk.run(&["records", "get", "property", "population"]).ends(0);
    clinic.desk.run(&["records", "get", "asset", "fridge"]).ends(0);
    // It came by sync now, but still belongs to this site.
    assert_eq!(clinic.json(&["resend", "asset"], 0)["plan"]["records"], 0);
    let received = clinic.json(&["resend", "all", "--received"], 0);
    assert_eq!(received["plan"]["by_type"][0]["table"], "asset", "and not what only central writes");
    assert_eq!(received["plan"]["records"], 1);
}

#[test]
fn what_central_lost_is_sent_again_and_twice_is_as_good_as_once() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "x");
    clinic.put_asset("freezer", "x");
    clinic.sync(0);
    clinic.damage_central("DELETE FROM sync_record WHERE table_name = 'asset'");
    clinic.sync(0);
    let at_central = ["--db", "central.sqlite", "records", "get", "asset", "fridge"];
    clinic.desk.run(&at_central).ends(2);

    let planned = clinic.json(&["resend", "asset"], 0);
    assert_eq!((&planned["plan"]["records"], &planned["is_done"]), (&json!(2), &json!(false)));
    assert_eq!(clinic.json(&["resend", "asset", "--since", "2100-01-01"], 0)["plan"]["records"], 0);
    assert_eq!(clinic.json(&["resend", "asset", "fridge"], 0)["plan"]["records"], 1);
    holds(&clinic.says(&["resend", "all"], 0), &["Would go out again with the next push: 2 records", "asset: 2"]);
    assert_eq!(clinic.json(&["status"], 0)["waiting"]["records"], 0, "nothing was done yet");

    let resend = ["resend", "asset", "--yes", "--reason", "central lost its assets"];
    let done = clinic.json(&resend, 0);
    assert_eq!((&done["is_done"], clinic.backups().len()), (&json!(true), 1));
    let again: Value = clinic.json(&resend, 0);
    assert_eq!((&again["is_done"], &again["plan"]["waiting_already"]), (&json!(false), &json!(2)));
    holds(&clinic.says(&["log", "show"], 0), &["command resend asset", "reason central lost its assets", "2 records"]);
    assert_eq!(clinic.sync(0)["pushed"], 2);
    clinic.desk.run(&at_central).ends(0);
    assert_eq!(clinic.sync(0)["pushed"], 0);
}

#[test]
fn what_cannot_be_sent_again_says_why_and_a_cycle_is_not_disturbed() {
    let clinic = Clinic::new();
    clinic.put_at_central("property", PROPERTY);
    clinic.put_asset("fridge", "x");
    clinic.sync(0);
    let code = |args: &[&str], status: i32| clinic.json(args, status)["error"]["code"].clone();
    assert_eq!(code(&["resend", "asset_class"], 2), "bad_input");
    assert_eq!(code(&["resend", "weather"], 2), "unknown_table");
    assert_eq!(code(&["resend", "asset", "none"], 2), "not_found");
    assert_eq!(code(&["--db", "central.sqlite", "resend", "asset"], 3), "wrong_role");
    assert_eq!(code(&["--db", "central.sqlite", "cursor", "rewind", "pull"], 3), "wrong_role");
    let storage = SqliteStorage::open(clinic.desk.path("oms-sync.sqlite")).expect("the site's database");
    let _lock = sync_core::storage::Storage::lock_cycle(&storage).expect("nobody has it");
    for repair in
        [&["resend", "asset", "--yes", "--reason", "r"][..], &["cursor", "rewind", "pull", "--yes", "--reason", "r"]]
    {
        assert_eq!(code(repair, 7), "cycle_running");
    }
    assert!(clinic.backups().is_empty());
}

#[test]
fn what_came_from_the_legacy_server_and_was_lost_here_is_read_again() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "not sent yet");
    let store = ["records", "get", "store", &clinic.store];
    let whole = clinic.json(&store, 0)["data"].clone();
    clinic.damage("DELETE FROM sync_record WHERE table_name IN ('store', 'name')");
    clinic.sync(0);
    clinic.desk.run(&store).ends(2);
    let position = || {
        let cursors = clinic.desk.run(&["cursor", "show", "--json"]).ends(0).json_lines();
        let at = |name: &str| cursors.iter().find(|cursor| cursor["name"] == name).expect(name)["position"].clone();
        (at("pull_cursor_central"), at("pull_cursor_v6"))
    };
    let (legacy, central) = position();
    assert!(legacy.as_u64() > Some(0), "{legacy}");

    let planned = clinic.json(&["cursor", "rewind", "pull-legacy"], 0);
    assert_eq!((&planned["plan"]["position_before"], &planned["plan"]["position_after"]), (&legacy, &json!(0)));
    assert_eq!((&planned["is_done"], position()), (&json!(false), (legacy.clone(), central.clone())), "only foreseen");
    let rewind = ["cursor", "rewind", "pull-legacy", "--yes", "--reason", "the stores were deleted"];
    holds(&clinic.says(&rewind, 0), &["is rewound", "to 0", "oms-sync.sqlite.before-"]);
    assert_eq!((position(), clinic.backups().len()), ((json!(0), central), 1), "and the other cursor stays");
    holds(&clinic.says(&["log", "show"], 0), &["cursor rewind pull_cursor_central to 0", "the stores were deleted"]);
    holds(&clinic.says(&rewind, 0), &["nothing to rewind"]);

    clinic.sync(0);
    assert_eq!(clinic.json(&store, 0)["data"], whole);
    assert_eq!(position().0, legacy, "it was read to its end");
    clinic.desk.run(&["--db", "central.sqlite", "records", "get", "asset", "fridge"]).ends(0);
}
