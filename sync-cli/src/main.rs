//! `oms-sync`: the synchronisation of Open mSupply from the command line.
//!
//! The library does the work; this program parses, calls, prints.

mod args;
mod backup;
mod command;
mod database_key;
mod demo;
mod exit;
mod failure;
mod input;
mod limits;
mod output;
mod palette;
mod password;
mod progress;
mod sentences;
mod signals;
mod site_names;
mod table;
mod terminal;
mod typed_commands;
mod user;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::typed() {
        Ok(args) => args,
        Err(error) => return exit::wrong_usage(error, std::env::args_os().any(|arg| arg == "--json")),
    };
    let mut out = output::Output::new(&args);
    let texts = args.texts.as_deref().map_or(Ok(()), |file| out.take_texts(file, &args));
    let result = texts.map_err(failure::Failure::from).and_then(|()| command::run(&args, &mut out));
    exit::finish(result, &mut out)
}
