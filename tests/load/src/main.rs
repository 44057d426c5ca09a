//! `load`: what a central server bears, in figures.

use std::path::PathBuf;
use std::process::ExitCode;

use sync_load::{Plan, run};

const USAGE: &str = "\
load [--program PATH] crowd [WORDS]
load [--program PATH] [--sites N] [--rows N] [--rate N] [--seconds T] [--at-once N] [--active N]

Starts a central server on this machine over a fresh database, and plays sites that push and pull over HTTP.

With crowd it measures one site beside crowds that take all they can get, each for a few seconds; with WORDS only those
whose name has one of the words.

--program   the program oms-sync; by default the one beside this program
--sites     how many sites and stores central has (40000)
--rows      how many rows its changelog has (1000000)
--rate      how many exchanges begin in a second (133); 0: the next as soon as one has ended
--seconds   how long exchanges begin (30)
--at-once   how many exchanges run at once at the most (64)
--active    how many different sites come (the rate times the seconds; 1000 at rate 0)";

fn parse() -> Option<Plan> {
    let beside = std::env::current_exe().ok()?.with_file_name(format!("oms-sync{}", std::env::consts::EXE_SUFFIX));
    let mut plan = Plan::of_a_country(beside);
    let mut active = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        let number = || value.parse::<u64>().ok();
        match word.as_str() {
            "--program" => plan.program = PathBuf::from(value),
            "--sites" => plan.sites = number()?,
            "--rows" => plan.rows = number()?,
            "--rate" => plan.rate = number()?,
            "--seconds" => plan.seconds = number()?,
            "--at-once" => plan.at_once = usize::try_from(number()?).ok()?,
            "--active" => active = number(),
            _ => return None,
        }
    }
    plan.active = active.unwrap_or(if plan.rate == 0 { 1000 } else { plan.rate * plan.seconds });
    (plan.sites > 0).then_some(plan)
}

/// The program, if the words ask for the crowd, and which crowds.
fn crowd() -> Option<(PathBuf, Vec<String>)> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let beside = std::env::current_exe().ok()?.with_file_name(format!("oms-sync{}", std::env::consts::EXE_SUFFIX));
    let (program, at) = match words.as_slice() {
        [flag, program, ..] if flag == "--program" => (PathBuf::from(program), 2),
        _ => (beside, 0),
    };
    (words.get(at)? == "crowd").then(|| (program, words.split_off(at + 1)))
}

fn main() -> ExitCode {
    if let Some((program, words)) = crowd() {
        return match sync_load::crowd::run(&program, &words) {
            Ok(table) => {
                print!("{table}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let Some(plan) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&plan) {
        Ok(figures) => {
            println!("{} sites, {} rows, {} exchanges a second asked for", plan.sites, plan.rows, plan.rate);
            print!("{figures}");
            if figures.errors.is_empty() && figures.missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
