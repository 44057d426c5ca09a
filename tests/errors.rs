//! The catalogue of errors is whole.

use std::collections::BTreeSet;

use sync_core::error::catalogue;

/// The strings in double quotes right after a mark, everywhere in a source.
fn quoted_after(source: &str, mark: &str) -> BTreeSet<String> {
    let after = source.split(mark).skip(1).filter_map(|rest| rest.strip_prefix('"'));
    after.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The codes of `doctor`'s findings that are no errors.
fn found_by_doctor() -> BTreeSet<String> {
    let sources = [
        include_str!("../sync-core/src/support/doctor/over_network/mod.rs"),
        include_str!("../sync-core/src/support/doctor/over_network/ends.rs"),
        include_str!("../sync-core/src/support/doctor/over_network/judge.rs"),
        include_str!("../sync-core/src/support/doctor/local.rs"),
        include_str!("../sync-core/src/support/doctor/last_sync.rs"),
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
    // A finding that only `doctor` has is declared as long as `doctor` has it.
    let findings = entries.iter().filter(|entry| entry.is_finding);
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
    }
}
