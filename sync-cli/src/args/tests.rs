//! What is typed is understood, and what the help shows too.

use super::*;

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

/// Calls `each` with every command that does something, and how it is called.
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

/// Parses an example up to where the shell, or a remark to the reader, goes on; says whether it is one of this program.
fn is_understood(line: &str) -> bool {
    let line = line.split(" | ").find(|part| part.trim_start().starts_with("oms-sync ")).unwrap_or_default();
    let words = line.split("   ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
    let words = words.split(" >> ").next().unwrap_or_default().trim_end_matches('\\');
    // Text between quotes is one word.
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
    // What goes on in the next line lacks that.
    if let Err(error) = parsed
        && !line.ends_with('\\')
    {
        panic!("{line}\n{error}");
    }
    true
}

#[test]
fn times() {
    for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
    }
    for text in ["0", "0s", "", "m", "1d", "-1", "1.5h", "99999999999999999999h", "18446744073709551615h"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
