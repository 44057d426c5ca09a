//! The documents that the demonstration and the simulator write: the example of each record type in use.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{declared_upstream, text};

/// The writer and the receivers of a new type's document. A line that is there already may say otherwise.
fn new_line(kind: &Value) -> String {
    let by = if kind["push"] == true { "site" } else { "central" };
    let reach = if ["central", "file"].contains(&text(kind, "sync_style")) { "everyone" } else { "store" };
    let (table, example) = (&kind["table_name"], &kind["example"]);
    format!(r#"{{"table": {table}, "by": "{by}", "reach": "{reach}", "data": {example}}}"#)
}

#[test]
fn every_type_in_use_has_a_seed_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sync-cli/demo/src/seed.jsonl");
    let mut lines = std::fs::read_to_string(&path).expect("the seed documents");
    let tables: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["table"].clone()).collect();
    let upstream = declared_upstream();
    let is_missing = |kind: &&Value| kind["removed_in"].is_null() && !tables.contains(&kind["table_name"]);
    let missing: Vec<&Value> = upstream.iter().filter(is_missing).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for kind in missing {
            writeln!(lines, "{}", new_line(kind)).expect("a line");
        }
        return std::fs::write(&path, &lines).expect("a writable file");
    }
    let missing: Vec<&str> = missing.iter().map(|kind| text(kind, "table_name")).collect();
    assert!(
        missing.is_empty(),
        "no seed document of {missing:?}; add it: UPDATE_DOCS=1 cargo test -p sync-tests seed_documents"
    );
}
