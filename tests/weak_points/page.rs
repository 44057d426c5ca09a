//! The page of weak points is complete, and its references exist.

use std::path::Path;

const PAGE: &str = include_str!("../../docs/weak-points.md");

#[test]
fn every_weak_point_of_the_list_stands_on_the_page() {
    let ids = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let found: Vec<&str> = ids.filter(|id| id.len() > 1 && id[1..].parse::<u32>().is_ok()).collect();
    let list = [('A', 21), ('B', 19), ('C', 17), ('D', 10), ('E', 13)];
    let numbered = |(letter, last): (char, u32)| (1..=last).map(move |n| format!("{letter}{n}"));
    assert_eq!(found, list.into_iter().flat_map(numbered).collect::<Vec<_>>());
}

#[test]
fn what_the_page_of_weak_points_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in ["sync-core/src", "sync-cli/src", "sync-cli/tests", "tests"] {
        read_sources(&root.join(folder), &mut sources);
    }
    for row in PAGE.lines().filter(|line| line.starts_with("| ")) {
        let columns: Vec<&str> = row.split('|').collect();
        assert_eq!(columns.len(), 5, "three columns: {row}");
        assert!(!columns[3].trim().is_empty() || columns[2].starts_with(" **"), "it is shown, or not there: {row}");
        for name in columns[3].split('`').skip(1).step_by(2) {
            let is_there = match name.contains('.') {
                true => root.join(name).is_file() || root.join("sync-core/src").join(name).is_file(),
                false => sources.contains(&format!("fn {name}(")),
            };
            assert!(is_there, "{name}");
        }
        for link in row.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(root.join("docs").join(link).is_file(), "{link}");
        }
    }
}

fn read_sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
