//! The timing of a driver's cycles.

use std::time::Duration;

use crate::site::SyncOptions;

/// When cycles run, and their options.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DriverConfig {
    /// The wait after a cycle that succeeded.
    pub interval: Duration,
    /// The wait after a first failure; each further one in a row doubles it, and each of these waits is shortened at
    /// random by up to half. Also the wait, not shortened, after another cycle was running.
    pub first_wait: Duration,
    /// The longest wait after failures, before it is shortened.
    pub longest_wait: Duration,
    /// The wait after an error that only a person can fix, such as a wrong password.
    pub person_wait: Duration,
    /// The options of each cycle.
    pub options: SyncOptions,
}

impl Default for DriverConfig {
    /// Every five minutes, as Open mSupply does; after failures from half a minute to half an hour, each wait shortened
    /// at random by up to half; an hour after an error that only a person can fix.
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
