//! Commands in what the program says can be typed as they stand: with `--db`, where the database is not the usual one.

use super::{Clinic, holds};

/// The same database under another path.
const DB: &str = "./oms-sync.sqlite";

#[test]
fn commands_in_answers_of_every_kind_name_the_database_that_was_given() {
    let clinic = Clinic::new();
    clinic.lose_a_parent();
    let number = clinic.json(&["quarantine", "list"], 0)["number"].to_string();
    let says = |args: &[&str], status| {
        let said = clinic.desk.run(&[&["--db", DB], args].concat()).ends(status);
        format!("{} {}", said.out, said.err)
    };
    let typed = |command: &str| format!("oms-sync --db {DB} {command}");
    // In the second column of a table of facts, in lines, and in hints.
    holds(&says(&["quarantine", "show", &number], 0), &[&typed("cursor rewind pull")]);
    holds(&says(&["quarantine", "list"], 0), &[&typed("quarantine show NUMBER")]);
    holds(&says(&["doctor"], 1), &[&typed("quarantine list")]);
    holds(&says(&["explain", "asset", "nobody"], 2), &[&typed("preview pull"), &typed("cursor rewind pull")]);
    clinic.put_asset("fridge", "x");
    holds(&says(&["explain", "asset", "fridge"], 0), &[&typed("sync")]);
    holds(&says(&["identity"], 0), &[&typed("identity --ask")]);
    holds(&says(&["files", "attach", "asset", "fridge", "pw"], 0), &[&typed("sync --with-files")]);
    // In JSON: of an error, of a report, of the log.
    let add = ["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"];
    clinic.desk.run(&add).ends(0);
    let init = typed("init");
    let failed = clinic.json(&["--db", DB, "sync", "-q"], 3);
    assert!(failed["error"]["advice"].to_string().contains(&init), "{failed}");
    let entry = clinic.json(&["--db", DB, "log", "show"], 0);
    assert!(entry["error"]["advice"].to_string().contains(&init), "{entry}");
    let found = clinic.json(&["--db", DB, "doctor"], 3);
    assert!(found["finding"]["advice"].to_string().contains(&init), "{found}");
    holds(&says(&["log", "show"], 0), &[&init]);
    let none = clinic.json(&["--db", "none of it.sqlite", "status"], 3);
    let quoted = "oms-sync --db 'none of it.sqlite' init";
    assert!(none["error"]["advice"].to_string().contains(quoted), "{none}");
    // The usual database needs no name, and a command at the other end has another one.
    holds(&clinic.says(&["quarantine", "list"], 0), &[]);
    let listed = clinic.desk.run(&["quarantine", "list"]).ends(0);
    assert!(listed.err.contains("oms-sync quarantine show NUMBER"), "{listed:?}");
    holds(&says(&["quarantine", "show", &number], 0), &["there: oms-sync explain property population"]);
}
