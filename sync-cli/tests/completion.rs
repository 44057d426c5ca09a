//! Completions in the shells themselves. Where a shell is missing its test says so, and fails if `OMS_SYNC_SHELLS` is `required`.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};

/// What is typed, and what has to be offered.
const TYPED: &[(&str, &str)] = &[
    ("doct", "doctor"),
    ("quarantine li", "list"),
    ("records get asset_cl", "asset_class"),
    ("explain vaccine_course_do", "vaccine_course_dose"),
    ("cursor rew", "rewind"),
    ("site li", "list"),
];

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_oms-sync")
}

/// The script of a shell, in a file.
fn script(folder: &Path, shell: &str) {
    let made = Command::new(program()).args(["completions", shell]).output().expect("the program runs");
    assert!(made.status.success(), "{made:?}");
    std::fs::write(folder.join("script"), made.stdout).expect("written");
}

/// False, aloud, where the shell is missing.
fn is_here(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let is_required = std::env::var("OMS_SYNC_SHELLS").is_ok_and(|value| value == "required");
    assert!(!is_required, "{shell} is missing");
    println!("SKIPPED: {shell} is missing");
    false
}

fn output(folder: &Path, shell: &str, args: &[&str]) -> String {
    let mut run = Command::new(shell);
    run.args(args).current_dir(folder).env("HOME", folder).env("TERM", "dumb").stdin(Stdio::null());
    let said = run.output().expect("the shell runs");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn bash_completes_commands_and_tables() {
    if !is_here("bash") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    script(folder.path(), "bash");
    for (typed, offered) in TYPED {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words.len().checked_sub(2).map_or("oms-sync", |at| words[at]));
        let line = format!(
            "source ./script; COMP_WORDS=(oms-sync {typed}); COMP_CWORD={}; \
             completes=$(complete -p oms-sync | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); $completes oms-sync '{last}' '{before}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.len()
        );
        let said = output(folder.path(), "bash", &["--norc", "--noprofile", "-c", &line]);
        assert!(said.lines().any(|line| line.trim() == *offered), "{typed}: {said}");
    }
}

#[test]
fn fish_completes_commands_and_tables() {
    if !is_here("fish") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    script(folder.path(), "fish");
    for (typed, offered) in TYPED {
        let line = format!("source ./script; complete -C 'oms-sync {typed}'");
        let said = output(folder.path(), "fish", &["--no-config", "-c", &line]);
        assert!(said.lines().any(|line| line.split('\t').next() == Some(offered)), "{typed}: {said}");
    }
}

/// zsh completes only in a terminal of its own: one is played, and the line is read that is in it after a tabulator.
#[test]
fn zsh_completes_commands_and_tables() {
    const PLAY: &str = r#"
        zmodload zsh/zpty
        zpty terminal zsh -f -i
        zpty -w terminal "PS1=''; autoload -U compinit; compinit -u -D; source ./script; print rea''dy"
        zpty -r -m terminal said '*ready*' || exit 1
        zpty -w -n terminal "oms-sync $1"$'\t'
        zpty -r -m terminal said "*oms-sync $2 *" && print -r -- "$said"
        zpty -d terminal
    "#;
    if !is_here("zsh") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    script(folder.path(), "zsh");
    std::fs::write(folder.path().join("play"), PLAY).expect("written");
    for (typed, offered) in TYPED {
        let whole = match typed.rsplit_once(' ') {
            Some((before, _)) => format!("{before} {offered}"),
            None => (*offered).to_owned(),
        };
        // It waits for the line, and would wait for ever.
        let said = output(folder.path(), "timeout", &["20", "zsh", "-f", "./play", typed, &whole]);
        assert!(said.contains(&format!("oms-sync {whole} ")), "{typed}: {said:?}");
    }
}
