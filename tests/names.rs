//! The names in the code: no type name has two meanings in one crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the crates whose types have a name of their own. The integration tests are left out: each of their files is
/// a small world for itself.
const CRATES: [&str; 9] = [
    "sync-core/src",
    "sync-cli/src",
    "sync-cli/server/src",
    "sync-cli/inspect/src",
    "sync-cli/demo/src",
    "tests/kit/src",
    "tests/load/src",
    "tests/sim/src",
    "tests/support",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files below a folder, by path.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The name of the type or trait that a line declares. Declarations in functions, traits or implementations are deeper
/// than a test module and do not count.
fn declared(line: &str) -> Option<&str> {
    let code = line.trim_start();
    if line.len() - code.len() > 4 {
        return None;
    }
    let code = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => code,
    };
    let kinds = ["struct ", "enum ", "trait ", "union "];
    let is_alias = line.len() == code.len() || !line.starts_with(' ');
    let rest = kinds.iter().find_map(|kind| code.strip_prefix(kind));
    let rest = rest.or_else(|| code.strip_prefix("type ").filter(|_| is_alias))?;
    rest.split(|end: char| !end.is_alphanumeric()).next().filter(|name| name.len() > 1)
}

#[test]
fn no_type_name_is_declared_twice_in_a_crate() {
    let mut wrong = Vec::new();
    for folder in CRATES {
        let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in rust_files(&root().join(folder)) {
            let source = fs::read_to_string(&file).unwrap();
            let place = file.strip_prefix(root()).unwrap().display().to_string();
            for name in source.lines().filter_map(declared) {
                homes.entry(name.to_owned()).or_default().push(place.clone());
            }
        }
        wrong.extend(homes.into_iter().filter(|(_, places)| places.len() > 1));
    }
    assert!(wrong.is_empty(), "one name, two meanings: {wrong:#?}");
}

#[test]
fn a_declaration_is_told_from_other_lines() {
    assert_eq!(declared("pub(crate) struct Batch<'a> {"), Some("Batch"));
    assert_eq!(declared("    enum Kind {"), Some("Kind"));
    assert_eq!(declared("type Waits = Option<u8>;"), Some("Waits"));
    for other in ["    type Item = u8;", "        struct Local;", "let structure = 1;", "struct T;", "//! struct Words"]
    {
        assert_eq!(declared(other), None, "{other}");
    }
}
