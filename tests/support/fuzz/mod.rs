//! Targets for fuzzing: each takes any bytes, uses them as those of another end, and checks promises. A target panics
//! only if a promise is broken.
//!
//! `tests/fuzz.rs` runs them for a bounded time with inputs from [`Mutator`]; the package in `fuzz/` gives the same
//! functions to libFuzzer. The head of each target's file describes its inputs.

mod accounted;
mod answers;
mod database;
mod gzip;
mod losses;
mod mutator;
mod promises;
mod record_data;
mod requests;
mod seeds;
mod small_world;
mod state;
mod uploads;

pub use mutator::Mutator;

/// Something to fuzz.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of its folder in `fuzz/corpus` and of its binary in `fuzz/`.
    pub name: &'static str,
    /// Runs it on an input.
    pub run: fn(&[u8]),
    /// Initial inputs, made from the captured traffic and the examples.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// The number of inputs of a bounded run: a few seconds of an unoptimised build.
    pub inputs: u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "v6_answers", run: answers::v6, seeds: seeds::v6_answers, inputs: 1000 },
    Target { name: "v5_answers", run: answers::v5, seeds: seeds::v5_answers, inputs: 1000 },
    Target { name: "requests", run: requests::run, seeds: seeds::requests, inputs: 1000 },
    Target { name: "record_data", run: record_data::run, seeds: seeds::record_data, inputs: 2000 },
    Target { name: "gzip", run: gzip::run, seeds: seeds::gzip, inputs: 2000 },
    Target { name: "database", run: database::run, seeds: seeds::database, inputs: 200 },
    Target { name: "state", run: state::run, seeds: seeds::state, inputs: 1000 },
    Target { name: "uploads", run: uploads::run, seeds: uploads::seeds, inputs: 500 },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
