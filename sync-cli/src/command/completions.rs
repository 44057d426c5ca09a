//! `completions`: the scripts of `clap_complete`, with what they lack for this program.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Args;

const PROGRAM: &str = "oms-sync";

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> String {
    let mut command = Args::command();
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, PROGRAM, &mut bytes);
    let mut script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        // The script calls a command by one name and looks for it under another if the program's name has a hyphen, so no command
        // below the first would be completed.
        Shell::Bash => script = script.replace("oms__subcmd__sync", "oms__sync"),
        // It completes values of flags only, not those of arguments without one, such as tables.
        Shell::Fish => command.get_subcommands().for_each(|command| fish_values(&mut script, command, &[])),
        _ => {}
    }
    script
}

/// Adds the known values of the arguments of a command and of those below it.
fn fish_values(script: &mut String, command: &Command, above: &[&str]) {
    let condition = match above {
        [] => format!("__fish_oms_sync_using_subcommand {}", command.get_name()),
        [first, ..] => {
            format!("__fish_oms_sync_using_subcommand {first}; and __fish_seen_subcommand_from {}", command.get_name())
        }
    };
    for argument in command.get_positionals() {
        let values = argument.get_possible_values();
        let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        if !values.is_empty() {
            // Writing into a string cannot fail.
            let _ = writeln!(script, "complete -c {PROGRAM} -n \"{condition}\" -f -a \"{}\"", values.join(" "));
        }
    }
    let path = [above, &[command.get_name()]].concat();
    command.get_subcommands().for_each(|below| fish_values(script, below, &path));
}
