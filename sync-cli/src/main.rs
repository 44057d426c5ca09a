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
mod setup;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let mut out = output::Output::new(&args);
    let result = command::run(&args, &mut out);
    exit::finish(result, &mut out)
}
