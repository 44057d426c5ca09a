//! `oms-sync`: the synchronisation of Open mSupply from the command line.
//!
//! The library does the work; this program parses, calls, prints.

mod args;
mod command;
mod demo;
mod exit;
mod output;
mod progress;
mod server;
mod server_files;
mod setup;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::wrong_usage(&error, std::env::args().any(|arg| arg == "--json")),
    };
    let mut out = output::Output::new(&args);
    let result = command::run(&args, &mut out);
    exit::finish(result, &mut out)
}
