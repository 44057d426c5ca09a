//! Foreign text is a part of its line: no id, no name and no text of a server forges another line.

use super::Clinic;

/// Ends the line, begins one that looks like the program's own, and reverses the text after it.
const FORGED: &str = "x\nerror [disk_full]: all is lost\r\u{202e}\u{2028}y";

fn holds_no_forged_line(text: &str, what: &[&str]) {
    assert!(text.contains("all is lost"), "{what:?} shows it: {text}");
    let is_own = |line: &str| !line.trim_start().starts_with("error [disk_full]: all");
    assert!(text.split(['\n', '\r', '\u{2028}']).all(is_own), "{what:?}: {text}");
    assert!(!text.contains(['\r', '\u{202e}', '\u{2028}']), "{what:?}: {text}");
}

#[test]
fn no_id_forges_a_line_of_output() {
    let clinic = Clinic::new();
    let escaped = serde_json::to_string(FORGED).expect("JSON");
    clinic.put_asset(escaped.trim_matches('"'), "n");
    for what in [
        &["records", "list", "asset"][..],
        &["records", "get", "asset", FORGED],
        &["changelog"],
        &["changelog", "--json"],
        &["records", "list", "asset", "--json"],
        &["explain", "asset", FORGED],
    ] {
        let said = clinic.desk.run(what);
        holds_no_forged_line(&format!("{}{}", said.out, said.err), what);
    }
    let json = clinic.desk.run(&["records", "list", "asset", "--json"]).ends(0).json_lines();
    assert_eq!(json[0]["id"], FORGED, "as a document it is what it is");

    // An error names it too.
    let missing = clinic.desk.run(&["records", "get", "asset", &format!("{FORGED}z")]).ends(2);
    holds_no_forged_line(&missing.err, &["records", "get"]);

    // In quarantine, it is a cell of a table.
    clinic.sync(0);
    clinic.damage("DELETE FROM sync_record WHERE table_name = 'asset'");
    clinic.damage(&format!(
        "INSERT INTO sync_buffer (source, table_name, record_id, action, data, received_at, state, reason) VALUES \
         ('central', 'asset', '{FORGED}', 'upsert', '{{}}', '2026-11-23T08:00:00.000Z', 'malformed', '$.id: {FORGED}')"
    ));
    for what in [&["quarantine", "list"][..], &["quarantine", "show", "1"], &["doctor", "--offline"]] {
        let said = clinic.desk.run(what);
        let text = format!("{}{}", said.out, said.err);
        if text.contains("all is lost") {
            holds_no_forged_line(&text, what);
        }
    }
}
