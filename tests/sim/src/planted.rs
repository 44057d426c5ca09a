//! Bugs that are planted into the engine: for each, how many seeds it takes until the judge notices.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sync_core::testing::planted::{Bug, plant};

use crate::runner::Seed;

/// How a bug was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The bug.
    pub bug: Bug,
    /// The number of the first seed that breaks a promise, and what it says; none if no seed does.
    pub seed: Option<(u64, String)>,
}

/// Plants each bug, and runs seeds from 1 on until a promise is broken, at most so many.
pub fn hunt(threads: usize, seeds_max: u64, found: impl Fn(&Found) + Sync) -> Vec<Found> {
    let next = AtomicU64::new(0);
    let all = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(usize::try_from(next.fetch_add(1, Relaxed)).unwrap_or(usize::MAX)) {
                    plant(Some(*bug));
                    let first = (1..=seeds_max).find_map(|number| {
                        let verdict = Seed { number, sqlite: false }.run(false);
                        verdict.violations.first().map(|violation| (number, violation.to_string()))
                    });
                    plant(None);
                    let result = Found { bug: *bug, seed: first };
                    found(&result);
                    crate::lock(&all).push(result);
                }
            });
        }
    });
    all.into_inner().unwrap_or_default()
}
