//! Translations: every text is marked, and unmarked output was forgotten.

use serde_json::{Map, Value};

use super::support::Desk;
use super::{Clinic, holds};

/// Writes texts with marks around every sentence, and returns the file's name.
pub(super) fn marked(desk: &Desk) -> &'static str {
    let mut texts = desk.run(&["errors", "--template", "-q"]).ends(0).json();
    let groups: &mut Map<String, Value> = texts.as_object_mut().expect("groups");
    for text in groups.values_mut().flat_map(|group| group.as_object_mut().expect("texts").values_mut()) {
        *text = format!("‹{}›", text.as_str().expect("a text")).into();
    }
    std::fs::write(desk.path("marked.json"), texts.to_string()).expect("a file");
    "marked.json"
}

/// A line of a text without the parts between marks.
pub(super) fn unmarked(line: &str) -> String {
    let mut depth = 0;
    let outside = line.chars().filter(|c| match c {
        '‹' => {
            depth += 1;
            false
        }
        '›' => {
            depth -= 1;
            false
        }
        _ => depth == 0,
    });
    outside.collect()
}

#[test]
fn the_template_has_everything_and_is_itself_a_file_of_texts() {
    let desk = Desk::new();
    let template = desk.run(&["errors", "--template"]).ends(0);
    let texts = template.json();
    assert_eq!(texts["disk_full"]["message"], "the disk is full: {source}");
    assert_eq!(texts["doctor"]["nobody_answers"], "nobody answers at {url}");
    let texts_there_are: usize =
        texts.as_object().expect("groups").values().map(|group| group.as_object().expect("texts").len()).sum();
    assert_eq!(template.err.trim(), format!("{texts_there_are} of {texts_there_are} texts are in English."));
    std::fs::write(desk.path("en.json"), &template.out).expect("a file");
    let again = desk.run(&["--texts", "en.json", "errors", "--template"]).ends(0);
    assert_eq!(
        (again.out, again.err.trim()),
        (template.out, &*format!("0 of {texts_there_are} texts are in English."))
    );

    std::fs::write(desk.path("some.json"), r#"{"disk_full": {"message": "plus de place"}}"#).expect("a file");
    let whole = desk.run(&["--texts", "some.json", "errors", "--template", "-q"]).ends(0).json();
    assert_eq!(whole["disk_full"]["message"], "plus de place");
    assert_eq!(whole["disk_full"]["advice"], texts["disk_full"]["advice"]);
}

#[test]
fn what_doctor_says_is_said_in_the_words_of_a_file() {
    let clinic = Clinic::new();
    let file = marked(&clinic.desk);
    clinic.stop_central();
    let found = clinic.desk.run(&["--texts", file, "doctor", "--json"]).ends(4).json();
    assert_eq!((&found["outcome"], &found["party"]), (&"fault".into(), &"central_server".into()), "codes stay");
    let is_marked = |text: &Value| text.as_str().is_some_and(|text| unmarked(text).trim().is_empty());
    assert!(is_marked(&found["says"]) && is_marked(&found["finding"]["advice"]), "{found}");
    for check in found["checks"].as_array().expect("checks") {
        assert!(is_marked(&check["says"]), "{check}");
        assert!(check["finding"].is_null() || is_marked(&check["finding"]["advice"]), "{check}");
    }
    let said = clinic.desk.run(&["--texts", file, "doctor"]).ends(4).out;
    let verdict = said.replace('\n', " ");
    assert_eq!(unmarked(&verdict).trim(), "", "{verdict}");
}

#[test]
fn what_is_set_aside_or_does_not_agree_is_said_in_the_words_of_a_file() {
    let clinic = Clinic::new();
    let file = marked(&clinic.desk);
    clinic.lose_a_parent();
    let said = clinic.desk.run(&["--texts", file, "quarantine", "list"]).ends(0).out;
    holds(
        &said,
        &[
            "‹‹waiting›: ‹1 record››",
            "‹Refers to a record that is not here.",
            "‹1 of name_property from ‹central›, the",
        ],
    );
    holds(&said, &["‹wait for property population›"]);
    let said = clinic.desk.run(&["--texts", file, "audit"]).ends(1).out;
    holds(&said, &["‹Should be the same, but is not: ‹1 record››", "missing here: ‹", "‹read from central before"]);
    let said = clinic.desk.run(&["--texts", file, "identity"]).ends(0).out;
    holds(&said, &["(the same server)›", "(shortened)›", "‹V5 ", "‹Stores that are active here:›"]);
    clinic.damage("UPDATE sync_state SET value = 'nowhere' WHERE key = 'central_url'");
    let found = clinic.desk.run(&["--texts", file, "identity", "--json"]).ends(3).json();
    let disagreement = &found["disagreements"][0];
    for text in [&disagreement["what"], &disagreement["advice"]] {
        assert_eq!(unmarked(text.as_str().expect("a text")), "", "{disagreement}");
    }
}
