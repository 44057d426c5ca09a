//! `errors` and `compat`: what explains without a database, and in which words and colours.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use serde_json::{Value, json};

use self::support::Desk;

#[test]
fn a_code_is_explained_as_the_page_of_errors_has_it() {
    let desk = Desk::new();
    let page = include_str!("../../docs/errors.md");
    let all = desk.run(&["errors", "--json"]).ends(0).json_lines();
    assert!(all.len() > 40);
    for entry in &all {
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("no {key}: {entry}")).replace('|', "\\|");
        let row = format!("| `{}` | {} | {} | {} |", text("code"), text("message"), text("cause"), text("advice"));
        assert!(page.contains(&row), "the page has no such row: {row}");
        assert!(page.contains(text("who_must_act").as_str()) && entry["exit_status"].as_u64() >= Some(2));
    }
    let one = desk.run(&["errors", "incorrect_password"]).ends(0).out;
    for part in ["cause", "what to do", "exit status", "INCORRECT_PASSWORD", "oms-sync init"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    for spelled in ["[incorrect_password]", "INCORRECT_PASSWORD", "Incorrect_Password"] {
        assert_eq!(desk.run(&["errors", spelled]).ends(0).out, one);
    }
    assert_eq!(desk.run(&["errors", "CONNECTION_ERROR", "--json"]).ends(0).json()["code"], "unreachable");
    assert_eq!(desk.run(&["errors", "no_such", "--json"]).ends(2).error().0, "not_found");
    // Long messages go on in further lines.
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
    desk.run(&["compat", "--site", "2.19.0"]).ends(2);
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
