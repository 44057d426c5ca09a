//! The keys of all JSON that the commands print: one word has one meaning. Renew the list, and read what is new in it:
//! `UPDATE_DOCS=1 cargo test -p sync-cli --test desk no_secret`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sync_core::record::{configured_by_legacy, record_type};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The data of records and the bytes of messages, whose keys are those of Open mSupply.
const DATA: [&str; 6] = ["data", "here", "local", "received", "json", "properties"];

/// Times whose keys do not end in `_at`: the time of a cycle is its name in the log.
const OTHER_TIMES: [&str; 2] = ["by_cycle", "last_success"];

/// Keys of several kinds: the code of a step's error and the whole error of a command; the files that moved with a cycle, and those that
/// a command lists or counts. The first are as they always were in the report of a cycle.
const SEVERAL_KINDS: [&str; 2] = ["error", "files"];

/// Words that another key says already.
const SYNONYMS: [(&str, &[&str]); 8] = [
    ("site_id", &["siteId", "site_number", "site_no"]),
    ("site_id", &["site"]),
    ("meaning", &["who_must_act", "means"]),
    ("store_id", &["storeId", "store_number"]),
    ("table", &["table_name", "tableName", "type_name"]),
    ("party", &["who", "culprit", "blame"]),
    ("class", &["kind_of_error", "error_class"]),
    ("at", &["time", "timestamp", "when", "datetime", "date"]),
];

/// The commands of a key that are listed; a key of more is one of all.
const COMMANDS: usize = 6;

/// The keys with the kinds of their values, and the commands that print them.
#[derive(Default)]
pub(super) struct JsonKeys(BTreeMap<String, (BTreeSet<&'static str>, BTreeSet<String>)>);

impl JsonKeys {
    /// Reads what a command printed, one document or lines.
    pub(super) fn read(&mut self, command: &str, output: &str) {
        for document in output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            self.of_value(command, &document);
        }
    }

    fn of_value(&mut self, command: &str, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| self.of_value(command, value)),
            // Counts by table have the names of tables.
            Value::Object(all) if all.keys().all(|key| is_table(key)) => {}
            Value::Object(all) => {
                for (key, value) in all {
                    // Of a null nothing is known.
                    if let Some(kind) = kind_of(value) {
                        let (kinds, commands) = self.0.entry(key.clone()).or_default();
                        kinds.insert(kind);
                        commands.insert(command.to_owned());
                    }
                    if !DATA.contains(&key.as_str()) {
                        self.of_value(command, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Compares them with the list.
    #[track_caller]
    pub(super) fn each_has_one_meaning(&self) {
        let mut faults = Vec::new();
        for (key, (kinds, _)) in &self.0 {
            if kinds.len() > 1 && !SEVERAL_KINDS.contains(&key.as_str()) {
                faults.push(format!("{key} is of several kinds: {kinds:?}"));
            }
            let is_time = key == "at" || key.ends_with("_at") || OTHER_TIMES.contains(&key.as_str());
            if is_time != kinds.contains("time") {
                faults.push(format!("a time is called {key}, or another thing is: {kinds:?}"));
            }
            if let Some((meant, _)) = SYNONYMS.iter().find(|(_, others)| others.contains(&key.as_str())) {
                faults.push(format!("{key} is called {meant} everywhere else"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let line = |(key, (kinds, commands)): (&String, &(BTreeSet<&'static str>, BTreeSet<String>))| {
            let commands = match commands.len() {
                ..=COMMANDS => commands.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                count => format!("{count} commands"),
            };
            format!("{key}: {} ({commands})\n", join(kinds))
        };
        let written: String = self.0.iter().map(line).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desk/json_keys.txt");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &written).expect("written");
        }
        let known = std::fs::read_to_string(&path).expect("the list");
        assert_eq!(known, written, "a key is new, or is gone, which no release may do: see {}", path.display());
    }
}

fn is_table(key: &str) -> bool {
    record_type(key).is_some() || configured_by_legacy(key)
}

fn join(kinds: &BTreeSet<&'static str>) -> String {
    kinds.iter().copied().collect::<Vec<_>>().join(", ")
}

fn kind_of(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(text) if OffsetDateTime::parse(text, &Rfc3339).is_ok() => "time",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    })
}
