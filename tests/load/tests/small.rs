//! A small run of the load generator against the real program.

use std::path::{Path, PathBuf};
use std::process::Command;

use sync_load::{Plan, run};

/// The program, built if it is not there yet.
fn program() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--offline",
            "--locked",
            "-p",
            "sync-cli",
            "--bin",
            "oms-sync",
            "--message-format=json",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let executable = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut paths = executable.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.next_back().expect("the program is built")
}

#[test]
fn sites_push_and_pull_and_nothing_is_missing() {
    let plan = Plan { program: program(), sites: 30, rows: 2000, rate: 20, seconds: 2, at_once: 8, active: 20 };
    let figures = run(&plan).expect("a run");
    assert!(figures.errors.is_empty(), "{:?}", figures.errors);
    assert_eq!(figures.completed(), 40, "exchanges");
    // Fourteen of them push, eleven records each; of the forty each pulls once at least.
    assert_eq!((figures.pushed, figures.missing), (14 * 11, 0));
    assert!(figures.answered() >= 40 + 2 * 14, "{figures}");
}
