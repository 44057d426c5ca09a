//! The names in the code: no type name has two meanings in one crate, and no public name of the library has two paths.

use std::collections::{BTreeMap, BTreeSet};
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

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files below a folder, by path.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
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

/// The public names of a crate: each thing with the paths by which a host reaches it.
struct PublicNames {
    /// The sources of modules, by path within the crate.
    sources: BTreeMap<Vec<String>, String>,
    /// Where a thing is declared, with its paths.
    paths: BTreeMap<String, BTreeSet<String>>,
    /// The names at the root.
    root: BTreeSet<String>,
}

impl PublicNames {
    fn of(folder: &Path) -> Self {
        let mut sources = BTreeMap::new();
        for file in rust_files(folder) {
            let relative = file.strip_prefix(folder).unwrap().with_extension("");
            let mut module: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                module.pop();
            }
            let source = fs::read_to_string(&file).unwrap();
            let source = source.split("\nmod tests {").next().unwrap_or_default().to_owned();
            sources.insert(module, source);
        }
        let mut names = Self { sources, paths: BTreeMap::new(), root: BTreeSet::new() };
        names.walk(&[], &[]);
        names
    }

    /// Notes what a module gives to hosts under a path.
    fn walk(&mut self, module: &[String], path: &[String]) {
        let source = self.sources.get(module).cloned().unwrap_or_default();
        for statement in public_statements(&source) {
            if let Some(name) = statement.strip_prefix("mod ") {
                let below = |above: &[String]| [above, &[name.to_owned()]].concat();
                self.note(&below(module), &below(path), "mod");
                self.walk(&below(module), &below(path));
            } else if let Some(tree) = statement.strip_prefix("use ") {
                for (target, name) in leaves(tree, &[]) {
                    let home = self.home(module, &target);
                    self.note(&home, &[path, &[name]].concat(), "name");
                }
            } else {
                self.note(&[module, std::slice::from_ref(&statement)].concat(), &[path, &[statement]].concat(), "name");
            }
        }
    }

    fn note(&mut self, home: &[String], path: &[String], kind: &str) {
        self.paths.entry(format!("{kind} {}", home.join("::"))).or_default().insert(path.join("::"));
        if let [name] = path {
            self.root.insert(name.clone());
        }
    }

    /// Where a path of a `use` leads in the end.
    fn home(&self, module: &[String], target: &[String]) -> Vec<String> {
        let absolute = match target[0].as_str() {
            "crate" => target[1..].to_vec(),
            "self" => [module, &target[1..]].concat(),
            "super" => [&module[..module.len() - 1], &target[1..]].concat(),
            _ => [module, target].concat(),
        };
        let (name, at) = absolute.split_last().unwrap();
        let source = self.sources.get(at).map_or("", String::as_str);
        let given = uses(source).into_iter().flat_map(|tree| leaves(&tree, &[])).find(|(_, given)| given == name);
        match given {
            Some((further, _)) if [at, &further[..]].concat() != absolute && further != target => {
                self.home(at, &further)
            }
            _ => absolute,
        }
    }
}

/// The trees of all `use` statements that give names on, to hosts or within the crate.
fn uses(source: &str) -> Vec<String> {
    let starts = ["\npub use ", "\npub(crate) use ", "\npub(super) use "];
    let at = |start: &str| source.match_indices(start).map(|(at, _)| at + start.len()).collect::<Vec<_>>();
    let tree = |at: usize| source[at..].split(';').next().unwrap_or_default().to_owned();
    starts.into_iter().flat_map(at).map(tree).collect()
}

/// What stands with `pub` at the outermost level of a module: `use TREE`, `mod NAME`, or the name of an item.
pub(crate) fn public_statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = source.lines().peekable();
    let mut is_for_tools = false;
    let mut is_macro = false;
    while let Some(line) = lines.next() {
        if line.starts_with("#[cfg(feature = \"planted-bugs\")]") {
            is_for_tools = true;
            continue;
        }
        if line == "#[macro_export]" {
            is_macro = true;
        }
        if let (true, Some(rest)) = (is_macro, line.strip_prefix("macro_rules! ")) {
            found.push(rest.split([' ', '{']).next().unwrap_or_default().to_owned());
            is_macro = false;
        }
        let Some(rest) = line.strip_prefix("pub ") else {
            is_for_tools &= line.starts_with("#[") || line.starts_with("///");
            continue;
        };
        if std::mem::take(&mut is_for_tools) {
            continue;
        }
        if rest.starts_with("use ") {
            let mut tree = rest.to_owned();
            while !tree.contains(';') {
                tree.push_str(lines.next().unwrap_or(";"));
            }
            found.push(tree.split(';').next().unwrap_or_default().to_owned());
        } else if let Some(name) = rest.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            found.push(format!("mod {name}"));
        } else {
            let words = ["struct", "enum", "trait", "type", "fn", "const", "static", "unsafe", "async"];
            let name = rest.split_whitespace().find(|word| !words.contains(word)).unwrap_or_default();
            found.push(name.split(|end: char| !(end.is_alphanumeric() || end == '_')).next().unwrap().to_owned());
        }
    }
    found
}

/// The paths of a `use` tree, each with the name that it gives.
fn leaves(tree: &str, above: &[String]) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix = tree[..open].split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        let prefix: Vec<String> = above.iter().cloned().chain(prefix).collect();
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        assert!(!inner.contains('{'), "no tree within a tree: {tree}");
        return inner
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .flat_map(|part| leaves(part, &prefix))
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path: Vec<String> = above.iter().cloned().chain(path.split("::").map(|part| part.trim().to_owned())).collect();
    let name = if alias.is_empty() { path.last().cloned().unwrap_or_default() } else { alias.trim().to_owned() };
    vec![(path, name)]
}

#[test]
fn the_root_of_the_library_has_at_most_40_names() {
    let names = PublicNames::of(&root().join("sync-core/src"));
    assert!(names.root.contains("Replica") && names.root.contains("storage"), "{:?}", names.root);
    assert!(names.root.len() <= 40, "{} names: {:?}", names.root.len(), names.root);
}

#[test]
fn no_name_of_the_library_has_two_public_paths() {
    let names = PublicNames::of(&root().join("sync-core/src"));
    assert!(names.paths.len() > 200, "only {} names were found", names.paths.len());
    let twice: Vec<_> = names.paths.iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}
