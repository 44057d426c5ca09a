//! The command line accepts its input, and also the examples in the help.

use clap::ValueEnum as _;

use super::*;
use crate::command::completions::script;

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

/// Calls `each` with every command that does something, and its name.
fn each_leaf(command: &clap::Command, name: &str, each: &mut dyn FnMut(&str, &clap::Command)) {
    let mut below = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
    if below.peek().is_none() {
        return each(name, command);
    }
    below.for_each(|sub| each_leaf(sub, &format!("{name} {}", sub.get_name()), each));
}

#[test]
fn every_command_shows_examples_that_it_understands() {
    let mut leaves = 0;
    each_leaf(&Args::command(), "oms-sync", &mut |name, command| {
        leaves += 1;
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("`{name} --help` has no examples"));
        let understood = examples.lines().filter(|line| is_understood(line)).count();
        assert!(understood > 0, "no example of `{name}` is one: {examples}");
        // It is written in lines that fit; longer ones would be broken anywhere.
        help.lines().for_each(|line| assert!(line.chars().count() <= 80, "`{name} --help`: {line}"));
    });
    assert!(leaves > 40, "{leaves}");
}

/// The error of a wrong number says what is expected, in words of this program.
#[test]
fn every_option_that_takes_a_number_says_what_it_expects() {
    let mut numbers = 0;
    each_leaf(&Args::command(), "oms-sync", &mut |name, command| {
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            let names = arg.get_value_names().unwrap_or_default();
            if !names.iter().any(|name| name == "N" || name == "NUMBER") {
                continue;
            }
            let option = arg.get_long().map(|long| format!("--{long}"));
            let typed = name.split(' ').map(str::to_owned).chain(option).chain(["1x".to_owned()]);
            let error = Args::command().try_get_matches_from(typed).expect_err(name).to_string();
            let is_told = error.contains("give a whole number") || error.contains("give a number");
            assert!(is_told, "{name} {:?}: {error}", arg.get_id());
            numbers += 1;
        }
    });
    assert!(numbers > 12, "{numbers}");
}

/// Every command on the page for support can be typed as it is written there.
#[test]
fn the_page_by_symptom_names_commands_that_are_understood() {
    // Read and not included: the package of this crate lacks the page.
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md");
    let page = std::fs::read_to_string(page).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let in_blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).flat_map(str::lines);
    let commands: Vec<&str> = quoted.chain(in_blocks).filter(|text| text.starts_with("oms-sync ")).collect();
    assert!(commands.len() > 30, "{commands:?}");
    // A name alone refers to the command; with arguments, it can be typed.
    let is_name = |text: &str| {
        let root = Args::command();
        let found = text.split(' ').skip(1).try_fold(&root, |command, word| command.find_subcommand(word));
        found.is_some()
    };
    let typed = |command: &str| command.replace("NUMBER", "1").replace(" N", " 1");
    commands.iter().for_each(|command| assert!(is_name(command) || is_understood(&typed(command)), "{command}"));
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let mut leaves = Vec::new();
    each_leaf(&Args::command(), "oms-sync", &mut |name, _| leaves.push(name.to_owned()));
    for shell in clap_complete::Shell::value_variants() {
        let script = script(*shell);
        let tables = sync_core::record::record_types().iter().map(|kind| kind.table);
        if matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish) {
            tables.for_each(|table| assert!(script.contains(table), "{shell}: {table}"));
        }
        let of_get = "-n \"__fish_oms_sync_using_subcommand records; and __fish_seen_subcommand_from get\" -f -a \"";
        assert!(!matches!(shell, Shell::Fish) || script.contains(of_get), "{shell}");
        for word in leaves.iter().flat_map(|leaf| leaf.split(' ')) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// As bash calls it when somebody presses the tab key.
#[cfg(unix)]
#[test]
fn bash_completes_commands_and_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("oms-sync.bash");
    std::fs::write(&file, script(Shell::Bash)).expect("written");
    let completed = |words: &[&str]| -> Option<Vec<String>> {
        let lines = r#"source "$0"
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            name=$(complete -p oms-sync | sed 's/.* -F \([^ ]*\).*/\1/')
            "$name" oms-sync "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = std::process::Command::new("bash");
        let said = match bash.args(["-c", lines]).arg(&file).args(words).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            said => said.expect("bash"),
        };
        assert!(said.status.success(), "{said:?}");
        Some(String::from_utf8(said.stdout).expect("text").lines().map(str::to_owned).collect())
    };
    for (words, expected) in [
        (&["oms-sync", "rec"][..], &["records"][..]),
        (&["oms-sync", "records", "g"], &["get"]),
        (&["oms-sync", "records", "get", "contact_f"], &["contact_form"]),
        (&["oms-sync", "--db", "x", "records", "get", "contact_f"], &["contact_form"]),
        (&["oms-sync", "explain", "contact_f"], &["contact_form"]),
        (&["oms-sync", "quarantine", "sh"], &["show"]),
    ] {
        match completed(words) {
            Some(found) => assert_eq!(found, expected, "{words:?}"),
            None => eprintln!("skipped: bash is not installed"),
        }
    }
}

/// Parses an example up to a shell operator or a remark; returns whether it is one of this program.
fn is_understood(line: &str) -> bool {
    let line = line.split(" | ").find(|part| part.trim_start().starts_with("oms-sync ")).unwrap_or_default();
    let words = line.split("   ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
    let words = words.split(" >> ").next().unwrap_or_default().trim_end_matches('\\');
    // Quoted text is one word.
    let mut typed: Vec<String> = Vec::new();
    for (index, part) in words.split('"').enumerate() {
        match index % 2 {
            0 => typed.extend(part.split_whitespace().map(str::to_owned)),
            _ => typed.push(part.to_owned()),
        }
    }
    if typed.is_empty() {
        return false;
    }
    let parsed = Args::try_parse_from(&typed);
    // A text that continues in the next line lacks that.
    if let Err(error) = parsed
        && !line.ends_with('\\')
    {
        panic!("{line}\n{error}");
    }
    true
}

#[test]
fn times() {
    for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172_800)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
    }
    for text in ["0", "0s", "", "m", "1w", "-1", "1.5h", "99999999999999999999h", "18446744073709551615h"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn every_command_is_in_one_group_of_the_help() {
    let program = Args::command();
    let mut all: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
    let mut grouped: Vec<&str> = help::GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    all.sort_unstable();
    grouped.sort_unstable();
    assert_eq!(grouped, all);
}

#[test]
fn the_short_help_is_short() {
    let help = |typed: &[&str], is_short| {
        let ended = help::arranged(Args::command(), is_short).try_get_matches_from(typed).expect_err("the help");
        ended.to_string()
    };
    for (command, lines) in
        [(&["oms-sync"][..], 70), (&["oms-sync", "sync"], 20), (&["oms-sync", "quarantine", "retry"], 20)]
    {
        let (short, long) = (help(&[command, &["-h"]].concat(), true), help(&[command, &["--help"]].concat(), false));
        assert!(short.lines().count() < lines, "{command:?}: {short}");
        assert!(
            !short.contains("--color") && !short.contains("Examples:") && short.contains("--help instead"),
            "{short}"
        );
        assert!(long.contains("--color") && long.contains("Examples:"), "{long}");
    }
    let program = help(&["oms-sync", "-h"], true);
    for (title, _) in help::GROUPS {
        assert!(program.contains(title), "{title}: {program}");
    }
}
