//! When a driver runs its cycles.

use std::time::Duration;

use crate::site::SyncOptions;

/// When cycles run, and what each is to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DriverConfig {
    /// From the end of a cycle that went well to the next one.
    pub interval: Duration,
    /// The wait after a first failure; each further one in a row doubles it, and chance shortens each of these waits by up
    /// to half. Also the wait, not shortened, where another cycle was running.
    pub first_wait: Duration,
    /// What the wait after failures grows to, before chance shortens it.
    pub longest_wait: Duration,
    /// The wait after an error that only a person can mend, as a wrong password.
    pub person_wait: Duration,
    /// What each cycle is to do.
    pub options: SyncOptions,
}

impl Default for DriverConfig {
    /// Every five minutes, as Open mSupply does; after failures from half a minute to half an hour, each wait shortened by
    /// up to half; after an error that only a person can mend an hour.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            first_wait: Duration::from_secs(30),
            longest_wait: Duration::from_secs(1800),
            person_wait: Duration::from_secs(3600),
            options: SyncOptions::default(),
        }
    }
}
