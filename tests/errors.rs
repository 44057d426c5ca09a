//! The catalogue of errors is whole, and `docs/errors.md` is made of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use sync_core::{ErrorClass, catalogue};

const HEAD: &str = "\
<!-- Generated from the errors themselves. Renew it: UPDATE_DOCS=1 cargo test -p sync-tests errors -->

# Errors

Every error by who must act. The code is stable; scripts may rely on it. `oms-sync` prints message and advice, the causes
with `-v`, and all of it with `--json`; `oms-sync errors CODE` explains one. Names, addresses and numbers in the messages
are examples. What begins with `doctor:` is found by `oms-sync doctor`, and no sync ends with it. No message holds a password,
a hash, a hardware id or what stands in a record.
";

/// Classes in the order of the page, with the exit status of each.
const CLASSES: &[(ErrorClass, u8)] = &[
    (ErrorClass::Input, 2),
    (ErrorClass::Configure, 3),
    (ErrorClass::Retry, 4),
    (ErrorClass::PeerFault, 4),
    (ErrorClass::Upgrade, 5),
    (ErrorClass::LocalFault, 6),
    (ErrorClass::Busy, 7),
    (ErrorClass::Cancelled, 130),
];

/// What stands between double quotes right after a mark, everywhere in a source.
fn quoted_after(source: &str, mark: &str) -> BTreeSet<String> {
    let after = source.split(mark).skip(1).filter_map(|rest| rest.strip_prefix('"'));
    after.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The codes of what `doctor` finds and no error stands for.
fn found_by_doctor() -> BTreeSet<String> {
    let sources = [
        include_str!("../sync-core/src/support/doctor/asked/mod.rs"),
        include_str!("../sync-core/src/support/doctor/asked/ends.rs"),
        include_str!("../sync-core/src/support/doctor/asked/judge.rs"),
        include_str!("../sync-core/src/support/doctor/local.rs"),
    ];
    let tight = |source: &str| source.split_whitespace().collect::<String>();
    let before = |source: &str, mark: &str| -> BTreeSet<String> {
        let source = tight(source);
        let parts = source.split(mark).filter_map(|text| text.rsplit_once("(\"").map(|(_, code)| code));
        parts.filter(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).map(str::to_owned).collect()
    };
    let mut codes: BTreeSet<String> = sources.iter().flat_map(|source| before(source, "\",ErrorClass::")).collect();
    codes.extend(quoted_after(&tight(sources[0]), "code("));
    codes.extend(before(include_str!("../sync-core/src/site/legacy/discover.rs"), "\",state::"));
    codes.extend(quoted_after(&tight(include_str!("../sync-core/src/support/identity.rs")), "Disagreement::new("));
    codes
}

#[test]
fn every_error_has_a_code_of_its_own_and_every_finding_is_declared() {
    let entries = catalogue();
    let codes: BTreeSet<String> = entries.iter().map(|entry| entry.code.to_owned()).collect();
    assert_eq!(codes.len(), entries.len(), "two errors share a code");
    let found = found_by_doctor();
    assert!(found.len() > 10, "the sources were not understood");
    assert_eq!(found.difference(&codes).collect::<Vec<_>>(), Vec::<&String>::new());
    // What doctor alone finds is declared as a finding for as long as doctor finds it.
    let findings = entries.iter().filter(|entry| entry.message.starts_with("doctor: "));
    assert_eq!(
        findings.filter(|entry| !found.contains(entry.code)).map(|entry| entry.code).collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn every_error_says_what_lies_behind_it_and_what_to_do() {
    for entry in catalogue() {
        let (code, message) = (entry.code, entry.message);
        assert!(!message.is_empty() && !message.ends_with('.'), "{message}");
        for text in [entry.cause, entry.advice] {
            assert!(text.ends_with('.') && text.len() > 10, "{code}: {text:?}");
        }
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        assert!(CLASSES.iter().any(|(class, _)| *class == entry.class), "{code}");
    }
}

#[test]
fn the_page_of_errors_is_what_the_errors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p sync-tests errors");
}

fn page() -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut page = HEAD.to_owned();
    let all = catalogue();
    for (class, status) in CLASSES {
        let (name, who) = (class.as_str(), class.who_must_act());
        writeln!(page, "\n## {name}: exit status {status}\n\n{who}\n").expect("writing to a string");
        page.push_str("| code | message | what usually lies behind it | what to do |\n|---|---|---|---|\n");
        for entry in all.iter().filter(|entry| entry.class == *class) {
            let (message, cause, advice) = (cell(&entry.message), cell(entry.cause), cell(entry.advice));
            writeln!(page, "| `{}` | {message} | {cause} | {advice} |", entry.code).expect("writing to a string");
        }
    }
    page
}
