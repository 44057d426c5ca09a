//! `man`: manual pages, made from the help.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use sync_core::Error;

use crate::args;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::records_shown::manual_pages;

pub(super) fn run(options: &args::Man, out: &Output) -> Result<CommandOutcome, Failure> {
    let mut program = args::Args::command().disable_help_subcommand(true);
    // Global flags belong to every command, and names become complete.
    program.build();
    let Some(folder) = &options.dir else {
        let mut command = &program;
        for name in &options.command {
            let below = command.find_subcommand(name);
            let known = || command.get_subcommands().map(Command::get_name);
            command = below.ok_or_else(|| Error::not_found_among("command", name, known()))?;
        }
        out.text(String::from_utf8_lossy(&page(command)?).trim_end())?;
        return Ok(CommandOutcome::Done);
    };
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let mut written = Vec::new();
    write_all(&program, folder, &mut written)?;
    if out.json {
        out.document(&serde_json::json!({ "folder": folder, "pages": written }))?;
    } else {
        out.line_said(&manual_pages(written.len(), folder.display().to_string()))?;
    }
    Ok(CommandOutcome::Done)
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = concat!("oms-sync ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(version).manual("oms-sync").render(&mut page)?;
    Ok(page)
}

/// Writes the page of a command, and those of its subcommands.
fn write_all(command: &Command, folder: &Path, written: &mut Vec<String>) -> Result<(), Failure> {
    let name = format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()));
    let path = folder.join(&name);
    std::fs::write(&path, page(command)?).map_err(|error| unwritable(&path, error))?;
    written.push(name);
    command.get_subcommands().try_for_each(|below| write_all(below, folder, written))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::Io { what: format!("writing {}", path.display()), source: error.into() }
}
