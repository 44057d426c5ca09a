//! The timing of a driver's cycles.

use std::time::Duration;

use crate::site::SyncOptions;

/// When cycles run, and their options. A wait below one second is one second, so that cycles never follow each other without a pause.
///
/// ```
/// use std::time::Duration;
/// use sync_core::SyncOptions;
/// use sync_core::driver::DriverConfig;
///
/// let options = SyncOptions::default().max_time(Duration::from_secs(25));
/// let config = DriverConfig::default().interval(Duration::from_secs(60)).options(options.clone());
/// assert_eq!((config.interval, &config.options), (Duration::from_secs(60), &options));
/// ```
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

impl DriverConfig {
    /// Sets the [wait](Self#structfield.interval) after a cycle that succeeded.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Sets the wait after a [first failure](Self#structfield.first_wait).
    #[must_use]
    pub fn first_wait(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    /// Sets the [longest wait](Self#structfield.longest_wait) after failures.
    #[must_use]
    pub fn longest_wait(self, longest_wait: Duration) -> Self {
        Self { longest_wait, ..self }
    }

    /// Sets the wait after an error that [only a person](Self#structfield.person_wait) can fix.
    #[must_use]
    pub fn person_wait(self, person_wait: Duration) -> Self {
        Self { person_wait, ..self }
    }

    /// Sets the options of each cycle, such as its limit of time.
    #[must_use]
    pub fn options(self, options: SyncOptions) -> Self {
        Self { options, ..self }
    }
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
