//! The layers of the library, by its `use` lines: `docs/architecture.md` says which room may import which, and which
//! circles between files exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module: its path within the crate; empty for the root.
type Module = Vec<String>;

/// The modules of a crate, with what each imports.
struct Imports {
    sources: BTreeMap<Module, String>,
    /// A name that a module exports, and its real place.
    given_out: BTreeMap<(Module, String), Module>,
}

impl Imports {
    /// Reads the modules of a crate from the folder of its sources.
    fn read(folder: &Path) -> Self {
        let mut sources = BTreeMap::new();
        collect(folder, &[], &mut sources);
        let mut imports = Self { sources, given_out: BTreeMap::new() };
        for module in imports.sources.keys() {
            for (is_public, path) in imports.paths(module) {
                let name = path.last().cloned();
                if let (true, Some(name)) = (is_public, name) {
                    imports.given_out.insert((module.clone(), name), path);
                }
            }
        }
        imports
    }

    /// The paths within the crate that a module names, absolute, and whether it exports them again.
    fn paths(&self, module: &Module) -> Vec<(bool, Module)> {
        let source = &self.sources[module];
        let mut found = Vec::new();
        let mut rest = String::new();
        for part in source.split_inclusive(';') {
            match part.rfind("use ").filter(|at| is_use(part, *at)) {
                Some(at) => {
                    let before = part[..at].trim_end();
                    let is_public = ["pub", "pub(crate)", "pub(super)"].iter().any(|word| before.ends_with(word));
                    let tree = part[at + 4..].trim_end_matches(';');
                    found.extend(leaves(tree).into_iter().map(|path| (is_public, path)));
                }
                None => rest.push_str(part),
            }
        }
        for start in ["crate::", "super::"] {
            for (at, _) in rest.match_indices(start) {
                let is_within = rest[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
                let end = rest[at..].find(|end: char| !(end.is_alphanumeric() || "_:".contains(end)));
                let path = &rest[at..end.map_or(rest.len(), |end| at + end)];
                // A macro of the crate is known everywhere.
                if !is_within && !rest[at + path.len()..].starts_with('!') {
                    found.push((false, path.split("::").map(str::to_owned).collect()));
                }
            }
        }
        found.into_iter().filter_map(|(is_public, path)| Some((is_public, self.absolute(module, &path)?))).collect()
    }

    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        if path.iter().any(|part| part.ends_with("tests")) {
            return None;
        }
        let up = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([module, &path[1..]].concat()),
            "super" => Some([&module[..module.len().checked_sub(up)?], &path[up..]].concat()),
            first => {
                let child = [module.as_slice(), &[first.to_owned()]].concat();
                self.sources.contains_key(&child).then(|| [module, path].concat())
            }
        }
    }

    /// The module that defines the target of a path.
    fn home(&self, path: &[String], depth: usize) -> Module {
        let at = (0..=path.len()).rev().find(|at| self.sources.contains_key(&path[..*at])).unwrap_or(0);
        let module = path[..at].to_vec();
        match path.get(at).and_then(|name| self.given_out.get(&(module.clone(), name.clone()))) {
            Some(further) if depth < 8 && further != path => self.home(&[further, &path[at + 1..]].concat(), depth + 1),
            _ => module,
        }
    }

    /// The modules that a module imports from; a folder's own exports are no imports.
    fn imported(&self, module: &Module) -> BTreeSet<Module> {
        let paths = self.paths(module).into_iter();
        let homes = paths.map(|(is_public, path)| (is_public, self.home(&path, 0)));
        homes
            .filter(|(is_public, home)| home != module && !(*is_public && home.starts_with(module)))
            .map(|(_, home)| home)
            .collect()
    }

    /// The circles: modules that all import each other, directly or not.
    fn circles(&self) -> Vec<Vec<String>> {
        let edges: BTreeMap<_, _> = self.sources.keys().map(|module| (module, self.imported(module))).collect();
        let reaches = |from: &Module| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<Module> = edges[from].iter().cloned().collect();
            while let Some(module) = next.pop() {
                if !module.is_empty() && seen.insert(module.clone()) {
                    next.extend(edges[&module].iter().cloned());
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = self.sources.keys().map(|module| (module, reaches(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, all) in &reached {
            if !module.is_empty() && all.contains(*module) {
                let circle = all.iter().filter(|other| reached[other].contains(*module));
                circles.insert(circle.map(|module| module.join("/")).collect::<Vec<_>>());
            }
        }
        circles.into_iter().collect()
    }
}

/// True if a `use` statement begins here.
fn is_use(statement: &str, at: usize) -> bool {
    let line = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
    matches!(line, "" | "pub" | "pub(crate)" | "pub(super)")
}

/// The paths of a `use` tree.
fn leaves(tree: &str) -> Vec<Module> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self").collect()];
    };
    let prefix: Module =
        tree[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, char) in inner.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let filled = parts.into_iter().filter(|part| !part.trim().is_empty());
    filled.flat_map(leaves).map(|rest| [prefix.clone(), rest].concat()).collect()
}

/// The sources below a folder, without comments and unit tests.
fn collect(folder: &Path, above: &[String], sources: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            collect(&path, &[above, &[stem]].concat(), sources);
        } else if path.extension().is_some_and(|end| end == "rs") && !stem.ends_with("tests") {
            let module =
                if matches!(stem.as_str(), "mod" | "lib") { above.to_vec() } else { [above, &[stem]].concat() };
            let source = fs::read_to_string(&path).unwrap();
            let source = source.split("\nmod tests {").next().unwrap_or_default();
            let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
            sources.insert(module, lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The rows of a table of the page, between the heading of its section and the next one.
fn table(page: &str, heading: &str) -> Vec<(String, String)> {
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("the page has a section {heading}"));
    let rows = section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let cell = |text: &str| text.trim().replace('`', "");
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        (cell(cells.next().unwrap()), cell(cells.next().unwrap()))
    })
    .collect()
}

/// Windows flushes a file only through a handle that may write it, and no test here runs there. Folders are synced as far as the system can.
#[test]
fn a_file_is_synced_through_a_handle_that_may_write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = BTreeMap::new();
    for folder in ["sync-core/src", "sync-cli/src", "sync-cli/server/src", "sync-cli/inspect/src"] {
        collect(&root.join(folder), &[folder.to_owned()], &mut sources);
    }
    let mut seen = 0;
    for (module, source) in &sources {
        for (at, _) in source.match_indices("sync_all()") {
            let begin = source[..at].rfind([';', '{', '}']).map_or(0, |before| before + 1);
            assert!(!source[begin..at].contains("File::open("), "{module:?}: {}", &source[begin..at]);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

fn library() -> (Imports, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    (Imports::read(&root.join("sync-core/src")), fs::read_to_string(root.join("docs/architecture.md")).unwrap())
}

#[test]
fn no_import_runs_against_the_table_of_the_page() {
    let (imports, page) = library();
    let may: BTreeMap<String, BTreeSet<String>> = table(&page, "## Who may import whom")
        .into_iter()
        .map(|(room, allowed)| {
            (room, allowed.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "nothing").collect())
        })
        .collect();
    let mut wrong = Vec::new();
    for module in imports.sources.keys().filter(|module| !module.is_empty()) {
        let allowed = may.get(&module[0]).unwrap_or_else(|| panic!("{} is in the table", module[0]));
        for other in imports.imported(module) {
            let room = other.first().map_or("the root", String::as_str);
            if room != module[0] && !allowed.contains(room) {
                wrong.push(format!(
                    "{} imports {}",
                    module.join("/"),
                    if other.is_empty() { room.to_owned() } else { other.join("/") }
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "against the table:\n{}", wrong.join("\n"));
    let rows = table(&page, "## Who may import whom");
    for (at, (room, _)) in rows.iter().enumerate() {
        let above: BTreeSet<_> = rows[..at].iter().map(|(room, _)| room.clone()).collect();
        assert!(may[room].is_subset(&above), "{room} may import only what stands above it");
    }
    let rooms: BTreeSet<_> = imports.sources.keys().filter_map(|module| module.first().cloned()).collect();
    assert_eq!(may.keys().cloned().collect::<BTreeSet<_>>(), rooms, "the table has a row for each room, and no other");
}

#[test]
fn every_circle_between_files_is_explained_and_there_are_three_at_most() {
    let (imports, page) = library();
    let explained: BTreeSet<Vec<String>> = table(&page, "## Circles between files")
        .into_iter()
        .map(|(files, _)| files.split(',').map(|name| name.trim().to_owned()).collect())
        .collect();
    let found: BTreeSet<Vec<String>> = imports.circles().into_iter().collect();
    assert_eq!(found, explained);
    assert!(found.len() <= 3, "{found:?}");
}

#[test]
fn a_use_tree_is_read_whole() {
    let paths = leaves("crate::{a::{self, B}, c::D as E}");
    let names: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(names, ["crate::a", "crate::a::B", "crate::c::D"]);
}

/// What a source includes from outside its crate is missing in the package of the crate.
#[test]
fn no_crate_that_is_packaged_includes_a_file_of_outside_its_folder() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for part in ["sync-core", "sync-cli", "sync-cli/demo", "sync-cli/inspect", "sync-cli/server", "tests/kit"] {
        let folder = crate::names::root().join(part);
        for file in crate::names::rust_files(&folder.join("src")) {
            let source = fs::read_to_string(&file).unwrap();
            let included =
                source.split("include_str!(\"").chain(source.split("include_bytes!(\"")).filter_map(|rest| {
                    let name = rest.split('"').next()?;
                    file.parent()?.join(name).canonicalize().ok().filter(|path| path.is_file())
                });
            for path in included {
                seen += 1;
                if !path.starts_with(folder.canonicalize().unwrap()) {
                    wrong.push(format!("{}: {}", file.display(), path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty() && seen > 10, "{seen}: {wrong:#?}");
}
