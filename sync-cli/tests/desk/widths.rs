//! What people read in terminals of any width.

use std::process::Command;

use super::bundled::clinic_with_trouble;
use super::support::Desk;

/// The commands that people read most, and those with tables.
const READ: [&str; 22] = [
    "status",
    "doctor",
    "doctor -v",
    "identity",
    "--db central.sqlite status",
    "--db central.sqlite site list",
    "--db central.sqlite site list -v",
    "--db central.sqlite store list",
    "conflicts list",
    "quarantine list",
    "quarantine show 1",
    "log list",
    "log show",
    "errors",
    "errors incorrect_password",
    "explain asset fridge",
    "cursor show",
    "changelog",
    "preview push",
    "records types",
    "compat --central 2.19.0 --site 2.16.03",
    "bundle --list",
];

/// Lines that are wider than this. A single word, such as an id, an address or a path, is not cut: it can be copied.
pub(super) fn wider(text: &str, columns: usize) -> Vec<&str> {
    let is_wider = |line: &&str| line.chars().count() > columns && line.split_whitespace().count() > 1;
    text.lines().filter(is_wider).collect()
}

#[test]
fn no_line_is_wider_than_a_terminal_whose_width_is_known() {
    let clinic = clinic_with_trouble();
    let mut faults = String::new();
    for columns in [40, 60, 80, 200] {
        for command in READ {
            let words: Vec<&str> = command.split(' ').collect();
            let said = clinic.desk.run_with(&[("COLUMNS", &columns.to_string())], &words);
            assert!(!said.out.is_empty(), "{command}: {said:?}");
            for line in wider(&said.out, columns) {
                faults.push_str(&format!("{command} in {columns}: {line}\n"));
            }
            // Every word is there, whole, whatever the width.
            let words = |text: &str| {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.sort();
                words.dedup();
                words
            };
            if command == "errors" {
                let wide = clinic.desk.run_with(&[("COLUMNS", "200")], &["errors"]).ends(0);
                assert_eq!(words(&said.out), words(&wide.out));
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn the_help_of_every_width_has_its_columns() {
    let desk = Desk::new();
    for columns in [40, 200] {
        for words in [&["-h"][..], &["--help"], &["sync", "-h"], &["site", "add", "--help"]] {
            let said = desk.run_with(&[("COLUMNS", &columns.to_string())], words).ends(0);
            // The line with the usage is that of the parser, which does not fold it.
            let wide = wider(&said.out, columns.min(100)).into_iter().filter(|line| !line.starts_with("Usage:"));
            let wide: Vec<&str> = wide.collect();
            assert!(wide.is_empty(), "{words:?} in {columns}: {wide:?}");
        }
    }
}

#[test]
fn a_table_without_room_is_told_in_blocks_and_a_pipe_keeps_its_rows() {
    let clinic = clinic_with_trouble();
    let list = ["--db", "central.sqlite", "site", "list"];
    let narrow = clinic.desk.run_with(&[("COLUMNS", "40")], &list).ends(0).out;
    assert!(narrow.contains("SITE ID  2\n") && narrow.contains("NAME     clinic\n"), "{narrow}");
    let of_row = |text: &str| text.lines().any(|line| line.starts_with("2 ") && line.contains("clinic"));
    for said in [clinic.desk.run(&list), clinic.desk.run_with(&[("COLUMNS", "200")], &list)] {
        assert!(of_row(&said.out), "{said:?}");
    }
}

/// Runs a command in a terminal of so many columns; returns what is on it.
#[cfg(target_os = "linux")]
pub(super) fn in_terminal(desk: &Desk, columns: usize, term: &str, command: &str) -> String {
    let program = env!("CARGO_BIN_EXE_oms-sync");
    let shell = format!("stty cols {columns} rows 24; '{program}' {command}");
    let said = Command::new("script")
        .args(["-qec", &shell, "/dev/null"])
        .current_dir(desk.path("."))
        .env("TERM", term)
        // As on a machine that builds: some programs take it for colours.
        .env("CI", "true")
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .env_remove("OMS_SYNC_DB")
        .output()
        .expect("util-linux has the program script");
    String::from_utf8(said.stdout).expect("UTF-8").replace('\r', "")
}

#[cfg(target_os = "linux")]
#[test]
fn the_width_is_that_of_the_terminal_and_a_dumb_one_gets_plain_lines() {
    let clinic = clinic_with_trouble();
    for (columns, term) in [(40, "dumb"), (200, "dumb"), (40, "xterm"), (72, "xterm")] {
        // Hints are not folded, because what is to be typed stands in them.
        for command in ["status -q", "doctor -q", "log list", "--db central.sqlite site list", "errors -q", "-h"] {
            let said = in_terminal(&clinic.desk, columns, term, command);
            assert!(!said.trim().is_empty(), "{command}");
            if term == "dumb" {
                assert!(!said.contains('\u{1b}'), "{command} steers a dumb terminal: {said:?}");
                let wide = wider(&said, columns);
                assert!(wide.is_empty(), "{command} in {columns}: {wide:?}");
            }
        }
    }
    assert!(in_terminal(&clinic.desk, 72, "xterm", "doctor").contains("\u{1b}["), "another one gets colours");
    let drawn = |term: &str| in_terminal(&clinic.desk, 72, term, "sync");
    assert!(drawn("xterm").contains("\u{1b}[") && !drawn("dumb").contains('\u{1b}'), "the progress of a cycle too");
}
