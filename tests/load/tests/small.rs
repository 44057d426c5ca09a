//! A small run of the load generator against the real program.

use std::path::{Path, PathBuf};
use std::process::Command;

use sync_load::{Plan, run};

/// The program: as the tests of the whole workspace have built it, or built now.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("this test");
    let beside = own.parent().and_then(Path::parent).expect("a folder of builds");
    let program = beside.join(format!("oms-sync{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "-p", "sync-cli", "--bin", "oms-sync", "--target-dir"]);
        build.arg(beside.parent().expect("a target folder"));
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success() && program.exists(), "{}", program.display());
    }
    program
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
