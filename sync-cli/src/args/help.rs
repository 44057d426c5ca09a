//! The help: short with `-h`, whole with `--help`, and the commands of the program in groups.

use std::fmt::Write as _;

use clap::Command;

use super::EVERYWHERE;
use crate::command::layout::folded;
use crate::palette::HELP;
use crate::terminal::columns;

/// The commands by what they are for. A test compares them with the commands that there are.
pub(super) const GROUPS: [(&str, &[&str]); 7] = [
    ("Synchronise a site", &["init", "discover", "sync", "run", "status"]),
    ("Records and files", &["records", "files", "changelog", "patient"]),
    (
        "Find out what is wrong, and repair it",
        &[
            "doctor",
            "net",
            "identity",
            "explain",
            "log",
            "conflicts",
            "quarantine",
            "preview",
            "audit",
            "cursor",
            "resend",
            "bundle",
        ],
    ),
    ("Run a central server", &["serve", "site", "store", "pause", "resume"]),
    ("Backups, encryption, another place", &["backup", "check", "restore", "rekey", "migrate"]),
    ("Open mSupply itself", &["inspect", "decode", "errors", "compat"]),
    ("This program", &["demo", "completions", "man", "help"]),
];

/// The width of the groups where no other is known.
const COLUMNS: usize = 80;

/// The most columns of the help.
pub(super) const COLUMNS_MAX: usize = 100;

/// What `-h` ends with.
const MORE: &str = "--help instead of -h shows examples, and the options of every command.";

/// The command line with its commands in groups. `is_short` leaves out what `-h` does not show.
pub(super) fn arranged(command: Command, is_short: bool) -> Command {
    let program = if is_short { shortened(command) } else { command };
    let groups = grouped(&program);
    let groups = if is_short { groups.trim_end() } else { groups.as_str() };
    let heading = HELP.get_header();
    let options = match is_short {
        true => String::new(),
        false => format!("{heading}{EVERYWHERE}:{heading:#}\n{{options}}"),
    };
    let template = format!(
        "{{about-with-newline}}\n{heading}Usage:{heading:#} oms-sync [OPTIONS] COMMAND\n\n{groups}{options}{{after-help}}"
    );
    let program = match columns() {
        Some(columns) => program.term_width(columns.min(COLUMNS_MAX)),
        None => program,
    };
    program.help_template(template)
}

/// Leaves out the options of every command, and the examples, here and in each command below.
fn shortened(command: Command) -> Command {
    let command = command.after_help(MORE).mut_args(|arg| match arg.get_help_heading() {
        Some(EVERYWHERE) => arg.hide(true),
        _ => arg,
    });
    command.mut_subcommands(shortened)
}

fn grouped(program: &Command) -> String {
    let (heading, literal) = (HELP.get_header(), HELP.get_literal());
    let width = columns().unwrap_or(COLUMNS).clamp(40, COLUMNS) - 15;
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{heading}{title}:{heading:#}");
        for name in names {
            let about = program.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            let about = about.unwrap_or_else(|| "Print the help of a command".to_owned());
            let mut shown = format!("{literal}{name:<11}{literal:#}");
            for line in folded(&about, width) {
                let _ = writeln!(text, "  {shown}  {line}");
                shown = " ".repeat(11);
            }
        }
        text.push('\n');
    }
    text
}
