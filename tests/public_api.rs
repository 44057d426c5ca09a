//! The public names of the library with their signatures are a page that is reviewed: what changes them shows there.
//!
//! The lint `unreachable_pub` keeps `pub` from names that no host reaches, so the sources say all of it, without a
//! nightly compiler. Record types and errors are left out: `docs/record-types.md` and `docs/errors.md` list them. After a
//! wanted change: `UPDATE_DOCS=1 cargo test -p sync-tests --test suite public_api`.

use std::fs;
use std::path::Path;

use crate::names::{root, rust_files};

const PAGE: &str = "docs/public-api.txt";

/// The public items of a source: a signature each; of an enumeration, a trait and a struct also what it holds.
fn public_items(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut owner: Option<(usize, String)> = None;
    let mut lines = source.lines().peekable();
    let mut is_gated = false;
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if text.starts_with("#[cfg(feature = \"planted-bugs\")]") {
            is_gated = true;
            continue;
        }
        if text.starts_with("//") || text.starts_with("#[") || text.is_empty() {
            continue;
        }
        if std::mem::take(&mut is_gated) {
            continue;
        }
        if owner.as_ref().is_some_and(|(depth, _)| indent <= *depth && text.starts_with('}')) {
            owner = None;
            continue;
        }
        let holds_open_names = |head: &str| head.starts_with("pub enum ") || head.starts_with("pub trait ");
        if text.starts_with("impl")
            || (text.starts_with("pub ") && !text.starts_with("pub use") && !text.starts_with("pub mod"))
        {
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
            let is_field = !["fn ", "struct ", "enum ", "trait ", "type ", "const ", "static "]
                .iter()
                .any(|kind| head.contains(kind));
            if is_field && owner.is_none() {
                continue;
            }
            let within = owner.as_ref().filter(|(depth, _)| indent > *depth).map(|(_, name)| format!("{name}: "));
            found.push(format!("{}{head}", within.unwrap_or_default()));
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

/// True if the text of an item has come to its body or its end.
fn ends_item(item: &str) -> bool {
    item.ends_with('{')
        || item.ends_with(';')
        || item.ends_with('}')
        || (item.starts_with("pub ") && item.ends_with(',') && !item.contains('('))
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
    for line in lines.by_ref() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if indent <= depth && text.starts_with('}') {
            break;
        }
        if text.is_empty() || text.starts_with("//") || text.starts_with("#[") {
            continue;
        }
        // The body of a default method says nothing to hosts; the fields of a variant do.
        if let Some(inner) = inner_depth {
            if indent <= inner && text.starts_with('}') {
                inner_depth = None;
            }
            continue;
        }
        if text.ends_with('{') && text.contains("fn ") {
            inner_depth = Some(indent);
        }
        found.push(format!("{head}: {}", text.trim_end_matches(" {").trim_end_matches([',', ';'])));
    }
    found.retain(|line| !line.ends_with(": }"));
    found
}

fn page() -> String {
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
    let mut page = String::from("The public items of sync-core, by the file that declares them.\n");
    for file in files.iter().filter(|file| !skipped(file)) {
        let source = fs::read_to_string(file).unwrap();
        let source = source.split("\nmod tests {").next().unwrap_or_default();
        let items = public_items(source);
        if !items.is_empty() {
            let name = file.strip_prefix(&folder).unwrap().display().to_string();
            page.push_str(&format!("\n{name}\n"));
            items.iter().for_each(|item| page.push_str(&format!("  {item}\n")));
        }
    }
    page
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
