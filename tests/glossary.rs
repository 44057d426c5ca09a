//! The glossary of `docs/model.md` is the vocabulary of the library's public names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::names::{public_statements, root, rust_files};

/// Words of programming in general, and of HTTP, JSON and databases. The glossary need not explain them.
const GENERAL: &str = "
    action address answer app backup body builder caller catalogue cause class clock code compared config count data database date detail
    direction download element end endpoint entry environment error event fault field file filter found group handle hash head header history http
    id in info input json key kind known last length limit list localize lock log made memory message method name net new noop not
    option other part password postgres process progress protocol proxy range reach read reason receiver recorded remembered report request response result
    row shape secret shared shown signal source sqlite state status stop storage streamed system table template text through time timeout timestamp txn typed
    unreadable upload v5 v6 value verified version view wake write authentication";

/// The words of a name, in small letters and in the singular.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for char in name.chars() {
        match words.last_mut() {
            Some(word) if !char.is_uppercase() && char != '_' => word.push(char),
            _ if char == '_' => words.push(String::new()),
            _ => words.push(char.to_lowercase().to_string()),
        }
    }
    words.iter().map(|word| singular(word)).filter(|word| !word.is_empty()).collect()
}

fn singular(word: &str) -> String {
    match word.strip_suffix('s') {
        Some(stem) if word.len() > 3 && !stem.ends_with(['s', 'u']) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// The words that the glossary explains: those of the first column.
fn explained() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/model.md")).unwrap();
    let table = page.split("## Words").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a glossary");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(|cell| cell.split([' ', ',']).map(singular).collect::<Vec<_>>()).collect()
}

/// The words of public modules, types and traits, each with the names that have it. The record types and their
/// enumerations are left out: Open mSupply named them, and `docs/record-types.md` lists them.
fn used() -> BTreeMap<String, Vec<String>> {
    let folder = root().join("sync-core/src");
    let is_record_type =
        |file: &Path| file.starts_with(folder.join("record/types")) || file.ends_with("record/enums.rs");
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files(&folder).iter().filter(|file| !is_record_type(file)) {
        let source = fs::read_to_string(file).unwrap();
        let source = source.split("\nmod tests {").next().unwrap_or_default();
        let statements = public_statements(source);
        let names = statements.iter().filter(|name| !name.starts_with("use "));
        for name in names.map(|name| name.strip_prefix("mod ").unwrap_or(name)) {
            let is_type_or_module = name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase)
                || statements.contains(&format!("mod {name}"));
            for word in words(name).into_iter().filter(|_| is_type_or_module) {
                used.entry(word).or_default().push(name.to_owned());
            }
        }
    }
    used
}

#[test]
fn every_word_of_a_public_name_is_explained_or_general() {
    let (used, mut known) = (used(), explained());
    assert!(used.len() > 100, "only {} words were found", used.len());
    let general: BTreeSet<String> = GENERAL.split_whitespace().map(singular).collect();
    let idle: Vec<_> = general.iter().filter(|word| !used.contains_key(*word) || known.contains(*word)).collect();
    assert!(idle.is_empty(), "no public name needs these general words: {idle:?}");
    known.extend(general);
    // What is pushed, queued, retried or skipped needs no row beside the verb's.
    let verbs = |word: &str| {
        let stem = word.strip_suffix("ed")?;
        let [stem_y, doubled] =
            [stem.strip_suffix('i').map(|stem| format!("{stem}y")), stem.get(..stem.len() - 1).map(str::to_owned)];
        Some(
            [Some(stem.to_owned()), Some(format!("{stem}e")), stem_y, doubled]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
        )
    };
    let is_known =
        |word: &str| known.contains(word) || verbs(word).is_some_and(|all| all.iter().any(|verb| known.contains(verb)));
    let unknown: Vec<_> = used.iter().filter(|(word, _)| !is_known(word)).collect();
    assert!(unknown.is_empty(), "neither in the glossary nor general: {unknown:#?}");
}

#[test]
fn a_name_is_taken_apart() {
    assert_eq!(words("SyncOptions"), ["sync", "option"]);
    assert_eq!(words("text_input"), ["text", "input"]);
    assert_eq!(words("V5Error"), ["v5", "error"]);
    assert_eq!(words("LoggedStatus"), ["logged", "status"]);
}
