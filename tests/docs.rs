//! The pages agree with the files in the repository.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    pages
}

/// The targets of the links of a page that name a file, without the heading behind `#`.
fn links_to_files(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or(target))
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let root = root();
    let mut pages = markdown_in(&root);
    for folder in ["docs", "docs/decisions", "sync-core", "sync-cli", "fixtures"] {
        pages.extend(markdown_in(&root.join(folder)));
    }
    let mut links = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in links_to_files(&text).filter(|target| !target.contains("000M")) {
            links += 1;
            assert!(page.parent().unwrap().join(target).exists(), "{} links to {target}", page.display());
        }
    }
    assert!(links > 50, "only {links} links were found");
}

#[test]
fn every_decision_stands_in_the_index() {
    let folder = root().join("docs/decisions");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut expected = Vec::new();
    for page in markdown_in(&folder) {
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("00") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        let (number, title) = text.lines().next().unwrap().trim_start_matches("# ").split_once(". ").unwrap();
        expected.push(format!("| [{number}]({name}) | {title} |"));
    }
    let rows: Vec<&str> = index.lines().filter(|line| line.starts_with("| [")).collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_path_that_contributing_names_exists() {
    let root = root();
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| word.contains('/') && !word.contains([' ', '*']) && word == &word.trim();
    let mut paths = 0;
    for path in quoted.filter(is_path).filter(|path| !path.contains("NAME") && !path.contains("000N")) {
        paths += 1;
        assert!(root.join(path).exists(), "CONTRIBUTING.md names {path}");
    }
    assert!(paths > 10, "only {paths} paths were found");
}
