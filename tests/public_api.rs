//! The public names of the library with their signatures are a page that is reviewed: what changes them shows there.
//!
//! The lint `unreachable_pub` keeps `pub` from names that no host reaches, so the sources say all of it, without a
//! nightly compiler. Record types and errors are left out: `docs/record-types.md` and `docs/errors.md` list them. After a
//! wanted change: `UPDATE_DOCS=1 cargo test -p sync-tests --test suite public_api`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::names::{root, rust_files};

const PAGE: &str = "docs/public-api.txt";

/// The public items of a source: a signature each; of an enumeration, a trait and a struct also what it holds.
fn public_items(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut owner: Option<(usize, String)> = None;
    let mut lines = source.lines().peekable();
    let (mut is_gated, mut is_open) = (false, false);
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if text.starts_with("#[cfg(feature = \"planted-bugs\")]") {
            is_gated = true;
            continue;
        }
        is_open |= text.starts_with("#[non_exhaustive]");
        if text.starts_with("//") || text.starts_with("#[") || text.is_empty() {
            continue;
        }
        let mark = if std::mem::take(&mut is_open) { "#[non_exhaustive] " } else { "" };
        if std::mem::take(&mut is_gated) {
            continue;
        }
        if owner.as_ref().is_some_and(|(depth, _)| indent <= *depth && text.starts_with('}')) {
            owner = None;
            continue;
        }
        let holds_open_names = |head: &str| head.starts_with("pub enum ") || head.starts_with("pub trait ");
        // The paths by which hosts name things.
        if text.starts_with("pub use ") || text.starts_with("pub mod ") {
            let mut item = text.to_owned();
            while text.starts_with("pub use ") && !item.ends_with(';') {
                let Some(next) = lines.next() else { break };
                let space = if item.ends_with('{') || next.trim().starts_with('}') { "" } else { " " };
                item.push_str(&format!("{space}{}", next.trim()));
            }
            found.push(item.trim_end_matches([';', '{', ' ']).replace(",}", "}"));
            continue;
        }
        if text.starts_with("impl") || text.starts_with("pub ") {
            let mut item = text.to_owned();
            while !ends_item(&item) {
                let Some(next) = lines.next() else { break };
                item.push(' ');
                item.push_str(next.trim());
            }
            let head = signature(&item);
            if text.starts_with("impl") {
                if item.ends_with('{') {
                    owner = Some((indent, head.trim_end_matches(" {").to_owned()));
                }
                continue;
            }
            // The fields of a type that no host sees have no owner here.
            if is_field(&head) && owner.is_none() {
                continue;
            }
            let within = owner.as_ref().filter(|(depth, _)| indent > *depth).map(|(_, name)| format!("{name}: "));
            found.push(format!("{}{mark}{head}", within.unwrap_or_default()));
            if item.ends_with('{') && (holds_open_names(&item) || item.starts_with("pub struct ")) {
                if holds_open_names(&item) {
                    found.extend(open_names(&mut lines, indent, &head));
                } else {
                    owner = Some((indent, head));
                }
            }
        }
    }
    found
}

/// True for the text of a field: a name, and a type that may have any word in it.
fn is_field(head: &str) -> bool {
    let is_name = |name: &str| name.chars().all(|char| char.is_alphanumeric() || char == '_');
    let of_type = head.strip_prefix("pub ").and_then(|rest| rest.split_once(':'));
    of_type.is_some_and(|(name, of_type)| is_name(name) && !of_type.starts_with(':'))
}

/// True if the text of an item has come to its body or its end.
fn ends_item(item: &str) -> bool {
    item.ends_with('{') || item.ends_with(';') || item.ends_with('}') || (item.ends_with(',') && is_whole_field(item))
}

/// True for the text of a field of a struct, whose type may have brackets, once all of them are closed.
fn is_whole_field(item: &str) -> bool {
    let Some((name, of_type)) = item.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) else { return false };
    let of_type = of_type.replace("->", "");
    let count = |char| of_type.matches(char).count();
    let is_name = name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
    is_name && count('(') == count(')') && count('<') == count('>') && count('[') == count(']')
}

#[test]
fn a_field_ends_where_its_brackets_do() {
    let source = "pub struct A {\n    /// Text.\n    pub b: Vec<(X, Y)>,\n    /// Text.\n    pub c: Box<dyn Fn(\n        X,\n    ) -> Y>,\n    pub d: u8,\n}\n\
        impl A {\n    pub fn e<T>(\n        f: (X, T),\n    ) -> Y\n    where\n        T: Z,\n    {\n    }\n}";
    let expected = [
        "pub struct A",
        "pub struct A: pub b: Vec<(X, Y)>",
        "pub struct A: pub c: Box<dyn Fn( X, ) -> Y>",
        "pub struct A: pub d: u8",
        "impl A: pub fn e<T>( f: (X, T), ) -> Y where T: Z,",
    ];
    assert_eq!(public_items(source), expected.map(|line| line.trim_end_matches(',')));
}

#[test]
fn what_hosts_do_not_see_is_left_out_and_the_paths_are_not() {
    let source = "#[non_exhaustive]\npub enum A {\n    B {\n        c: u8,\n    },\n}\n\
        pub trait D {\n    fn e(&self) -> u8;\n    fn f(\n        &self,\n        g: u8,\n    ) -> u8 {\n        let h = g;\n        if h == 1 {\n        }\n        h\n    }\n    \
        fn i(&self) {\n        j();\n    }\n    fn k(&self) -> u8 { 1 }\n}\n\
        struct L {\n    pub m: &'static str,\n    pub n: Box<dyn Fn(u8) -> u8>,\n}\n\
        pub mod o;\npub use p::{\n    q, R,\n    s,\n};\npub use rusqlite;\n#[derive(Debug)]\n#[non_exhaustive]\npub struct T {\n    pub u: &'static str,\n}\npub struct V(u8);";
    let expected = [
        "#[non_exhaustive] pub enum A",
        "pub enum A: B",
        "pub enum A: c: u8",
        "pub trait D",
        "pub trait D: fn e(&self) -> u8",
        "pub trait D: fn f( &self, g: u8, ) -> u8",
        "pub trait D: fn i(&self)",
        "pub trait D: fn k(&self) -> u8",
        "pub mod o",
        "pub use p::{q, R, s}",
        "pub use rusqlite",
        "#[non_exhaustive] pub struct T",
        "pub struct T: pub u: &'static str",
        "pub struct V(u8)",
    ];
    assert_eq!(public_items(source), expected);
}

/// The item without its body.
fn signature(item: &str) -> String {
    let body = if item.contains("fn ") { item.rfind(" {") } else { item.find(" {") };
    let end = body.unwrap_or(item.len());
    item[..end].trim_end_matches([';', ',']).to_owned()
}

/// The variants of an enumeration, or the items of a trait, up to its end.
fn open_names<'l>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'l str>>,
    depth: usize,
    head: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut inner_depth: Option<usize> = None;
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        // The body of a default method says nothing to hosts; the fields of a variant do.
        if let Some(inner) = inner_depth {
            if indent <= inner && text.starts_with('}') {
                inner_depth = None;
            }
            continue;
        }
        if indent <= depth && text.starts_with('}') {
            break;
        }
        if text.is_empty() || text.starts_with("//") || text.starts_with("#[") {
            continue;
        }
        let mut item = text.to_owned();
        let is_method = item.contains("fn ");
        // A signature of several lines ends where its body begins.
        while is_method && !item.ends_with(['{', ';', '}']) {
            let Some(next) = lines.next() else { break };
            item.push(' ');
            item.push_str(next.trim());
        }
        if is_method && item.ends_with('{') {
            inner_depth = Some(indent);
        }
        let item = if is_method { signature(&item) } else { item };
        found.push(format!("{head}: {}", item.trim_end_matches(" {").trim_end_matches([',', ';'])));
    }
    found.retain(|line| !line.ends_with(": }"));
    found
}

/// Public types of which a host may know every field or variant, with the reason: a file or folder of `sync-core/src`, and the names, or
/// all of them. A new public type is `non_exhaustive`, with a builder if hosts make it, unless it has a row here.
const CLOSED: &[(&str, &[&str], &str)] = &[
    ("storage/", &[], "a storage of a host's own stores and returns every part, so a new one must not compile unseen"),
    ("changelog.rs", &[], "the same: rows of the changelog are what a storage stores"),
    ("protocol/", &[], "messages as the protocol has them; a stand-in server makes each part"),
    ("transport/mod.rs", &[], "a transport of a host's own makes and reads every part of an exchange"),
    ("transport/recorded.rs", &["Exchange"], "the same, in a test"),
    ("central/caller.rs", &[], "an HTTP front of a host's own says all of a caller, and handles every case"),
    ("central/site_registry.rs", &["SiteList"], "two kinds of central servers, which every caller treats differently"),
    ("role.rs", &["Role"], "a database is a site's or central's"),
    ("error/mod.rs", &["Server"], "the legacy server and central"),
    ("text/message.rs", &["Detail"], "a text, or a message in a message"),
    (
        "record/record_type.rs",
        &["SyncStyle", "Writers", "Deletion", "Scope"],
        "who judges the rules knows each of them",
    ),
    ("record/field.rs", &["Field"], "who checks values by a declaration makes one"),
];

/// The public structs with public fields, and enumerations, of a source that are not `non_exhaustive`. A struct around one value is left
/// out, and so are the record types: `..Asset::default()` makes them, which `non_exhaustive` would forbid.
fn closed_types(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((kind, rest)) = line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let name: String = rest.chars().take_while(|char| char.is_alphanumeric()).collect();
        if name.is_empty() || !matches!(kind, "struct" | "enum") {
            continue;
        }
        let attributes = lines[..at].iter().rev().take_while(|line| {
            let line = line.trim();
            line.starts_with("#[") || line.starts_with("///") || line.ends_with(")]")
        });
        let end = format!("{}}}", " ".repeat(indent));
        let mut body = lines[at..].iter().skip(1).take_while(|line| !line.starts_with(&end));
        let is_struct_of_fields = line.ends_with('{') && body.any(|line| line.trim().starts_with("pub "));
        let is_open = attributes.into_iter().any(|line| line.contains("non_exhaustive"));
        if !is_open && (kind == "enum" || is_struct_of_fields) {
            found.push(name);
        }
    }
    found
}

#[test]
fn a_public_type_may_grow_unless_it_is_closed_for_a_reason() {
    let folder = root().join("sync-core/src");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let is_declared = |file: &Path| file.starts_with(folder.join("record/types")) || file.ends_with("record/enums.rs");
    for file in rust_files(&folder).iter().filter(|file| !is_declared(file)) {
        let place = file.strip_prefix(&folder).unwrap().display().to_string();
        let source = fs::read_to_string(file).unwrap();
        for name in closed_types(source.split("\nmod tests {").next().unwrap_or_default()) {
            let reason = CLOSED.iter().position(|(path, names, _)| {
                place.starts_with(path) && (names.is_empty() || names.contains(&name.as_str()))
            });
            match reason {
                Some(row) => drop(used.insert(row)),
                None => wrong.push(format!("{place}: {name}")),
            }
        }
    }
    assert!(wrong.is_empty(), "make them non_exhaustive, or give the reason in CLOSED: {wrong:#?}");
    let unused: Vec<_> = (0..CLOSED.len()).filter(|row| !used.contains(row)).map(|row| CLOSED[row].0).collect();
    assert!(unused.is_empty(), "no closed type is there any more: {unused:?}");
}

#[test]
fn a_closed_type_is_told_from_an_open_one() {
    let source = "pub enum A {\n    B,\n}\n#[non_exhaustive]\npub enum C {\n}\npub struct D {\n    pub e: u8,\n}\n\
        pub struct F {\n    g: u8,\n}\npub struct H(pub u8);\n/// Text.\n#[non_exhaustive]\n#[derive(Debug)]\npub struct I {\n    pub j: u8,\n}";
    assert_eq!(closed_types(source), ["A", "D"]);
}

/// What the page holds, and what it leaves out.
const HEAD: &str = "\
The public items of sync-core, by the file that declares them.

It has the paths (`pub mod`, `pub use`) by which hosts name them, and says which types may grow (`#[non_exhaustive]`).
It is read from the sources, so it leaves out: derived traits and trait implementations (`impl Trait for`), the features that an item needs,
the record types and their enumerations (docs/record-types.md), errors and refusals (docs/errors.md), and what a macro makes: an item in
a macro is here once, with the name that the macro gives it (`$name`). The other crates of the workspace have no such page: only
sync-core promises stable names.
";

/// The sources of the reviewed items, by their path.
fn reviewed_sources() -> Vec<(String, String)> {
    let folder = root().join("sync-core/src");
    let skipped = |file: &Path| {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        file.starts_with(folder.join("record/types"))
            || file.ends_with("record/enums.rs")
            || stem.ends_with("tests")
            || file.ends_with("planted.rs")
            || file.ends_with("error/errors_with_texts.rs")
            || file.ends_with("ownership/refusal.rs")
    };
    let mut files = rust_files(&folder);
    files.sort();
    let reviewed = files.into_iter().filter(|file| !skipped(file));
    reviewed
        .map(|file| (file.strip_prefix(&folder).unwrap().display().to_string(), fs::read_to_string(&file).unwrap()))
        .collect()
}

/// What a source declares for hosts.
fn without_tests(source: &str) -> &str {
    source.split("\nmod tests {").next().unwrap_or_default()
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for (name, source) in reviewed_sources() {
        let items = public_items(without_tests(&source));
        if !items.is_empty() {
            page.push_str(&format!("\n{name}\n"));
            items.iter().for_each(|item| page.push_str(&format!("  {item}\n")));
        }
    }
    page
}

/// The crates that a signature may name, each with the files in which it may, or in any, and the reason.
const FOREIGN: &[(&str, &[&str], &str)] = &[
    ("serde", &[], "docs/decisions/0023-serde-is-public.md"),
    ("serde_json", &[], "docs/decisions/0023-serde-is-public.md"),
    (
        "rusqlite",
        &["replica/file.rs", "storage/mod.rs", "storage/sqlite/hook.rs"],
        "feature `sqlite`; `sync_core::storage::rusqlite` is the same crate",
    ),
];

/// Names that a source has from a crate, by its `use` lines.
fn imported(source: &str, from: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in source.split(';').filter_map(|text| text.trim().rsplit("use ").next().filter(|_| text.contains("use ")))
    {
        let Some(path) = line.strip_prefix(from).and_then(|rest| rest.strip_prefix("::")) else { continue };
        let parts = path.split(|char: char| !char.is_alphanumeric() && char != '_');
        names.extend(parts.filter(|part| part.starts_with(char::is_uppercase)).map(str::to_owned));
    }
    names
}

/// The crates of which a signature names something.
fn foreign_crates<'c>(source: &str, item: &str, crates: &[&'c str]) -> Vec<&'c str> {
    if let Some(path) = item.strip_prefix("pub use ") {
        let first = path.split(':').next().unwrap_or_default();
        let is_own = source.contains(&format!("mod {first};"));
        return crates.iter().filter(|name| **name == first && !is_own).copied().collect();
    }
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let has = |name: &str| item.split(|char| !is_word(char)).any(|word| word == name);
    let is_foreign =
        |name: &&&str| item.contains(&format!("{name}::")) || imported(source, name).iter().any(|one| has(one));
    crates.iter().filter(is_foreign).copied().collect()
}

#[test]
fn a_signature_names_no_foreign_crate_without_a_reason() {
    let manifest = fs::read_to_string(root().join("sync-core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let crates: Vec<String> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ']).next().filter(|name| !name.is_empty()))
        .map(|name| name.replace('-', "_"))
        .collect();
    let crates: Vec<&str> = crates.iter().map(String::as_str).collect();
    assert!(crates.contains(&"rustls") && crates.contains(&"serde_json"), "{crates:?}");
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (file, source) in reviewed_sources() {
        for item in public_items(without_tests(&source)) {
            for name in foreign_crates(&source, &item, &crates) {
                let is_it = |row: &&(&str, &[&str], &str)| {
                    row.0 == name && (row.1.is_empty() || row.1.contains(&file.as_str()))
                };
                match FOREIGN.iter().find(is_it) {
                    Some((known, ..)) => drop(used.insert(*known)),
                    None => wrong.push(format!("{file}: {name}: {item}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "use an own type, or give the reason in FOREIGN: {wrong:#?}");
    assert_eq!(used.len(), FOREIGN.len(), "no signature names the others any more: {used:?}");
}

#[test]
fn a_foreign_name_is_found_by_its_path_and_by_its_import() {
    let source = "use url::{self, Url};\nuse serde_json::value::RawValue;\n";
    let crates = ["url", "serde_json"];
    assert_eq!(foreign_crates(source, "pub fn a(at: &Url) -> u8", &crates), ["url"]);
    assert_eq!(foreign_crates(source, "pub b: Box<RawValue>", &crates), ["serde_json"]);
    assert_eq!(foreign_crates(source, "pub c: serde_json::Value", &crates), ["serde_json"]);
    assert!(foreign_crates(source, "pub d: UrlOf", &crates).is_empty());
    assert_eq!(foreign_crates(source, "pub use url", &crates), ["url"]);
    assert!(foreign_crates("mod url;\npub use url::{Url};\n", "pub use url::{Url}", &crates).is_empty());
}

#[test]
fn the_public_items_are_those_of_the_reviewed_page() {
    let (path, page) = (root().join(PAGE), page());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    let new: Vec<&str> = page.lines().filter(|line| !reviewed.lines().any(|known| known == *line)).collect();
    let gone: Vec<&str> = reviewed.lines().filter(|line| !page.lines().any(|known| known == *line)).collect();
    assert_eq!(reviewed, page, "renew {PAGE} with UPDATE_DOCS=1 and review it; new: {new:#?}, gone: {gone:#?}");
}
