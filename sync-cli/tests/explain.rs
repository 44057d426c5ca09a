//! `errors` and `compat`: explanations without a database, and their words and colours.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::path::Path;

use serde_json::{Value, json};

use self::support::Desk;

const HEAD: &str = "\
<!-- Generated from the program's own texts. Renew it: UPDATE_DOCS=1 cargo test -p sync-cli --test explain -->

# Errors

Every error, by the person who must act. The codes are stable: scripts may rely on them. `oms-sync` prints message and
advice, with `-v` also the causes, with `--json` all of it; `oms-sync errors CODE` explains one. Names, addresses and numbers
in the messages are examples. Only `oms-sync doctor` finds what begins with `doctor:`; no sync ends with it. No message holds
a password, a hash, a hardware id or the content of a record.
";

/// Classes in the order of the page, with the exit status of each.
const CLASSES: &[(&str, u64)] = &[
    ("input", 2),
    ("configure", 3),
    ("retry", 4),
    ("peer_fault", 4),
    ("upgrade", 5),
    ("local_fault", 6),
    ("busy", 7),
    ("cancelled", 130),
];

fn page(all: &[Value]) -> String {
    let text = |entry: &Value, key: &str| {
        entry[key].as_str().unwrap_or_else(|| panic!("no {key}: {entry}")).replace('|', "\\|")
    };
    let mut page = HEAD.to_owned();
    for (class, status) in CLASSES {
        let of_class: Vec<&Value> = all.iter().filter(|entry| entry["class"] == *class).collect();
        let first = of_class.first().unwrap_or_else(|| panic!("no error of class {class}"));
        page.push_str(&format!("\n## {class}: exit status {status}\n\n{}\n\n", text(first, "meaning")));
        page.push_str("| code | message | usual cause | what to do |\n|---|---|---|---|\n");
        for entry in of_class {
            assert_eq!(entry["exit_status"], *status, "{entry}");
            let cells = ["message", "usual_cause", "advice"].map(|key| text(entry, key));
            page.push_str(&format!("| `{}` | {} |\n", text(entry, "code"), cells.join(" | ")));
        }
    }
    page
}

#[test]
fn the_page_of_errors_is_what_the_program_says() {
    let all = Desk::new().run(&["errors", "--json"]).ends(0).json_lines();
    let page = page(&all);
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, all.len(), "every class is on the page");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p sync-cli --test explain");
}

#[test]
fn a_code_is_explained() {
    let desk = Desk::new();
    let all = desk.run(&["errors", "--json"]).ends(0).json_lines();
    assert!(all.len() > 40);
    let one = desk.run(&["errors", "incorrect_password"]).ends(0).out;
    for part in ["cause", "what to do", "exit status", "INCORRECT_PASSWORD", "oms-sync init"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    for spelled in ["[incorrect_password]", "INCORRECT_PASSWORD", "Incorrect_Password"] {
        assert_eq!(desk.run(&["errors", spelled]).ends(0).out, one);
    }
    assert_eq!(desk.run(&["errors", "CONNECTION_ERROR", "--json"]).ends(0).json()["code"], "unreachable");
    assert_eq!(desk.run(&["errors", "no_such", "--json"]).ends(2).error().0, "not_found");
    // Long messages continue in further lines.
    let listed = desk.run(&["errors"]).ends(0).out;
    assert_eq!(listed.lines().filter(|line| !line.starts_with(' ')).count(), all.len() + 1, "{listed}");
}

#[test]
fn releases_that_fit_that_do_not_and_that_lose_records() {
    let desk = Desk::new();
    let compat = |args: &str, status: i32| {
        let args: Vec<&str> = args.split(' ').collect();
        let said = desk.run(&[&["compat", "--json"], args.as_slice()].concat()).ends(status);
        let plain = desk.run(&[&["compat"], args.as_slice()].concat()).ends(status).out;
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
        (said.json(), plain)
    };
    let (fits, plain) = compat("--legacy 8.06.00 --central 2.19.0 --site 2.19.0", 0);
    assert_eq!((&fits["fits"], &fits["upgrade_first"]), (&json!(true), &Value::Null));
    let sentences = plain.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!((fits["checks"].as_array().map(Vec::len), sentences), (Some(3), 3));
    let (old, plain) = compat("--legacy 8.04.04 --central 2.8.0 --site 2.19.0", 5);
    assert_eq!((&old["fits"], &old["upgrade_first"]), (&json!(false), &json!("legacy")));
    assert!(plain.contains("do NOT fit") && plain.ends_with("Upgrade the legacy server first.\n"), "{plain}");
    let (central, _) = compat("--central 2.8.0", 5);
    assert_eq!(central["upgrade_first"], "central");
    let (losing, plain) = compat("--central 2.19.0 --site 2.16.03", 1);
    assert_eq!((&losing["fits"], &losing["upgrade_first"]), (&json!(true), &json!("site")));
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains("vaccinations and R&R forms are rejected"), "{plain}");
    let (later, plain) = compat("--central 3.2.0 --site 2.19.0", 1);
    assert_eq!(later["fits"], true);
    assert!(plain.contains("V7"), "{plain}");
    desk.run(&["compat", "--site", "2.19.0"]).ends(2);
    // What the error names can be typed as it stands.
    let said = desk.run(&["compat"]).ends(2).err;
    let named = said.split_once("oms-sync ").and_then(|(_, rest)| rest.split_once(". ")).expect("a command").0;
    desk.run(&named.split(' ').collect::<Vec<_>>()).ends(0);
    desk.run(&["compat", "--central", "newest"]).ends(2);
}

#[test]
fn errors_are_said_in_the_words_of_a_file() {
    let desk = Desk::new();
    let texts = r#"{"no_database": {"message": "pas de base {path}", "advice": "Lancez oms-sync init."},
        "not_found": {"message": "{what} {id} : introuvable"}, "words": {"error code": "code d'erreur"}}"#;
    std::fs::write(desk.path("fr.json"), texts).expect("a file");
    let said = desk.run(&["--texts", "fr.json", "status"]).ends(3);
    assert_eq!(said.err, "error [no_database]: pas de base oms-sync.sqlite. Lancez oms-sync init.\n");
    let document = desk.run_with(&[("OMS_SYNC_TEXTS", "fr.json")], &["errors", "no_such", "--json"]).ends(2).json();
    assert_eq!(document["error"]["message"], "code d'erreur no_such : introuvable");
    assert_eq!(document["error"]["code"], "not_found");
    let listed = desk.run(&["--texts", "fr.json", "errors", "no_database", "--json"]).ends(0).json();
    assert_eq!(
        (&listed["message"], &listed["template"]),
        (&json!("pas de base {path}"), &json!("there is no database {path}"))
    );
    std::fs::write(desk.path("bad.json"), r#"{"no_such": {}}"#).expect("a file");
    for file in ["bad.json", "none.json"] {
        assert_eq!(desk.run(&["--texts", file, "errors", "--json"]).ends(2).error().0, "bad_input", "{file}");
    }
}

#[test]
fn colour_is_orange_beside_a_word_and_only_where_it_is_wanted() {
    let desk = Desk::new();
    let always = desk.run(&["status", "--color", "always"]).ends(3).err;
    assert!(always.contains("208m") && always.contains("error") && !always.contains("31m"), "{always:?}");
    let usage = desk.run(&["no-such-command", "--color", "always"]).ends(2).err;
    assert!(usage.contains("208m") && usage.contains("error:") && !usage.contains("[31m"), "{usage:?}");
    for args in [&["status"][..], &["status", "--color", "never"], &["no-such-command", "--color=never"]] {
        let said = desk.run_with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], args);
        assert!(!said.err.contains('\x1b') && said.err.contains("error"), "{said:?}");
    }
}
