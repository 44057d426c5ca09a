//! Bugs that are planted into the engine: for each, how many seeds it takes until the judge notices.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sync_core::testing::planted::{Bug, plant};

use crate::run::{Options, run};

/// How a bug was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The bug.
    pub bug: Bug,
    /// The number of seeds until one breaks a promise that holds without the bug, and what it says; none if no seed does.
    pub seeds: Option<(u64, String)>,
}

/// Plants each bug, those of the legacy half, those of files, or all others, and runs seeds of its own until a promise is broken, at most so many. A seed that breaks a promise
/// without the bug too says nothing.
pub fn hunt(threads: usize, seeds_max: u64, worlds: (bool, bool), found: impl Fn(&Found) + Sync) -> Vec<Found> {
    let next = AtomicU64::new(0);
    let all = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((place, bug)) = place(&next, worlds) {
                    let result = Found { bug, seeds: hunt_one(place, bug, seeds_max, worlds) };
                    found(&result);
                    crate::lock(&all).push(result);
                }
            });
        }
    });
    all.into_inner().unwrap_or_default()
}

fn place(next: &AtomicU64, (legacy, files): (bool, bool)) -> Option<(u64, Bug)> {
    let place = next.fetch_add(1, Relaxed);
    let mut bugs = Bug::ALL.iter().filter(|bug| bug.is_of_legacy() == legacy && bug.is_of_files() == files);
    Some((place, *bugs.nth(usize::try_from(place).ok()?)?))
}

fn hunt_one(place: u64, bug: Bug, seeds_max: u64, (legacy, files): (bool, bool)) -> Option<(u64, String)> {
    let first = (place + 1) * 1_000_000;
    (1..=seeds_max).find_map(|count| {
        let number = first + count;
        let run = || run(number, Options { legacy, files, ..Options::default() });
        plant(Some(bug));
        let verdict = run();
        plant(None);
        let violation = verdict.violations.first()?;
        let says_something = run().violations.is_empty();
        says_something.then(|| (count, format!("seed {}: {violation}", number)))
    })
}
