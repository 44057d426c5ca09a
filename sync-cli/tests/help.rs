//! `docs/cli.md` is made of the program's help texts.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const HEAD: &str = "\
<!-- Generated from the program's own help. Renew it: UPDATE_DOCS=1 cargo test -p sync-cli --test help -->

# The command line

The help of each command of `oms-sync`; the options of every command stand once, with the program itself. Data goes to
standard output, everything else to standard error. With `--json` every command prints one JSON document, or JSON lines where
it lists something; keys are never removed. Times are RFC 3339 in UTC. An error is `{\"error\":{\"code\",\"class\",\"message\",\"advice\",\"causes\"}}` on standard output, with the same
exit status; [errors.md](errors.md) lists them all.

One key has one meaning everywhere: `site_id` is the number of a site and `store_id` the id of a store; `party` is where `doctor` found a
fault, and `meaning` says in words what a `class` or a reason is.

A password is never given on the command line, where everybody on the machine could read it: it comes from
`--password-file`, from `--password-stdin`, from the environment variable `OMS_SYNC_PASSWORD`, or from a hidden prompt.
";

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oms-sync"))
        .args(words)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("OMS_SYNC_DB")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{words:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    // The program lists its commands in groups, a command those below it in one.
    let is_heading = |line: &str| line.ends_with(':') && !line.starts_with(' ') && !line.starts_with("Usage");
    let is_over = |line: &str| line == "Options:" || line == EVERYWHERE || line == "Arguments:";
    let listed = help.lines().skip_while(|line| !is_heading(line)).take_while(|line| !is_over(line));
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command:";

/// A help text without the options that every command has.
fn without_common_options(text: &str) -> String {
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let at = blocks.iter().position(|block| block.starts_with(EVERYWHERE));
    let at = at.unwrap_or_else(|| panic!("every command has these options: {text}"));
    // Where an option needs lines of its own, each has a block of its own.
    let more = blocks[at + 1..].iter().take_while(|block| block.starts_with(' ')).count();
    [&blocks[..at], &blocks[at + 1 + more..]].concat().join("\n\n")
}

fn describe(words: &[&str], page: &mut String) {
    let text = help(words);
    let shown = if words.is_empty() { text.clone() } else { without_common_options(&text) };
    let name = [&["oms-sync"], words].concat().join(" ");
    let marks = "#".repeat(2 + words.len().saturating_sub(1));
    writeln!(page, "\n{marks} {name}\n\n```text\n{}\n```", shown.trim_end()).expect("writing to a string");
    for command in commands(&text) {
        describe(&[words, &[command.as_str()]].concat(), page);
    }
}

#[test]
fn the_page_of_the_command_line_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let mut page = HEAD.to_owned();
    describe(&[], &mut page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/cli.md is out of date: UPDATE_DOCS=1 cargo test -p sync-cli --test help");
}

#[test]
fn every_command_is_found() {
    let all = commands(&help(&[]));
    for name in ["init", "discover", "sync", "status", "records", "serve", "demo", "man"] {
        assert!(all.iter().any(|found| found == name), "{name}: {all:?}");
    }
    assert_eq!(commands(&help(&["records"])), ["types", "list", "get", "put", "delete"]);
}

#[test]
fn every_direct_dependency_is_explained() {
    let page = include_str!("../../docs/dependencies.md");
    for manifest in MANIFESTS {
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies && let Some(name) = line.split([' ', '.', '=']).next().filter(|n| !n.is_empty()) {
                let ours = name.starts_with('#') || name.starts_with("sync-") || name.starts_with("oms-sync-");
                assert!(ours || page.contains(&format!("`{name}`")), "docs/dependencies.md does not name {name}");
            }
        }
    }
}

const MANIFESTS: &[&str] = &[
    include_str!("../../sync-core/Cargo.toml"),
    include_str!("../Cargo.toml"),
    include_str!("../demo/Cargo.toml"),
    include_str!("../inspect/Cargo.toml"),
    include_str!("../server/Cargo.toml"),
    include_str!("../../tests/Cargo.toml"),
    include_str!("../../tests/kit/Cargo.toml"),
    include_str!("../../tests/load/Cargo.toml"),
    include_str!("../../tests/sim/Cargo.toml"),
];
