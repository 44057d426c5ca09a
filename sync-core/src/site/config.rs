//! Limits and waits of a cycle.

use std::time::Duration;

/// Limits and waits; the defaults suit a clinic on a slow line.
///
/// ```
/// use sync_core::SyncConfig;
///
/// let impatient = SyncConfig::default().attempts(2).push_records_max(500);
/// assert_eq!((impatient.attempts, impatient.pull_records), (2, SyncConfig::default().pull_records));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncConfig {
    /// Changelog rows in the first pulled batch; later ones adapt to the size of records and to the line.
    pub pull_records: u32,
    /// The most changelog rows in one pulled batch.
    pub pull_records_max: u32,
    /// The target size of pulled batches, in bytes of decoded JSON.
    pub pull_bytes: usize,
    /// The most records in one batch from the legacy server.
    pub legacy_pull_records: u32,
    /// The most records in one pushed batch.
    pub push_records_max: usize,
    /// The most bytes of JSON in one pushed batch, except for a single larger record. Central accepts 10 MiB.
    pub push_bytes_max: usize,
    /// The largest body that the central server accepts, in bytes of JSON. A larger record whose connection breaks at
    /// each try counts as too large, because a server that refuses before it has read everything looks like a broken
    /// line. A smaller record stays to be pushed.
    pub push_body_limit: usize,
    /// Request bodies of this size and more are gzipped; for the legacy server only once it has shown that it reads
    /// gzip.
    pub gzip_from: usize,
    /// The number of tries of a request. A request that broke and can be made smaller is not retried unchanged: the
    /// smaller one is another request.
    pub attempts: u32,
    /// The wait before the second try. It doubles with each try, and is shortened at random by up to half.
    pub retry_wait: Duration,
    /// The interval of questions whether the server has finished integrating.
    pub integration_poll: Duration,
    /// The wait before the first such question to a central server of this library, which knows at once that it has to
    /// integrate. It doubles with each question, up to the interval.
    pub integration_poll_first: Duration,
    /// How long these questions go on before the cycle continues without it.
    pub integration_wait: Duration,
    /// How long one cycle waits for the legacy server to gather this site's records; the next cycle waits again.
    pub initialisation_wait: Duration,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            pull_records: 500,
            pull_records_max: 8000,
            pull_bytes: 4 * 1024 * 1024,
            legacy_pull_records: 500,
            push_records_max: 4096,
            push_bytes_max: 4 * 1024 * 1024,
            push_body_limit: 10 * 1024 * 1024,
            gzip_from: 4096,
            attempts: 4,
            retry_wait: Duration::from_secs(2),
            integration_poll: Duration::from_secs(1),
            integration_poll_first: Duration::from_millis(10),
            integration_wait: Duration::from_secs(120),
            initialisation_wait: Duration::from_secs(30 * 60),
        }
    }
}

impl SyncConfig {
    /// Sets [`pull_records`](Self#structfield.pull_records).
    #[must_use]
    pub fn pull_records(self, pull_records: u32) -> Self {
        Self { pull_records, ..self }
    }

    /// Sets [`pull_records_max`](Self#structfield.pull_records_max).
    #[must_use]
    pub fn pull_records_max(self, pull_records_max: u32) -> Self {
        Self { pull_records_max, ..self }
    }

    /// Sets [`pull_bytes`](Self#structfield.pull_bytes).
    #[must_use]
    pub fn pull_bytes(self, pull_bytes: usize) -> Self {
        Self { pull_bytes, ..self }
    }

    /// Sets [`legacy_pull_records`](Self#structfield.legacy_pull_records).
    #[must_use]
    pub fn legacy_pull_records(self, legacy_pull_records: u32) -> Self {
        Self { legacy_pull_records, ..self }
    }

    /// Sets [`push_records_max`](Self#structfield.push_records_max).
    #[must_use]
    pub fn push_records_max(self, push_records_max: usize) -> Self {
        Self { push_records_max, ..self }
    }

    /// Sets [`push_bytes_max`](Self#structfield.push_bytes_max).
    #[must_use]
    pub fn push_bytes_max(self, push_bytes_max: usize) -> Self {
        Self { push_bytes_max, ..self }
    }

    /// Sets [`push_body_limit`](Self#structfield.push_body_limit).
    #[must_use]
    pub fn push_body_limit(self, push_body_limit: usize) -> Self {
        Self { push_body_limit, ..self }
    }

    /// Sets [`gzip_from`](Self#structfield.gzip_from).
    #[must_use]
    pub fn gzip_from(self, gzip_from: usize) -> Self {
        Self { gzip_from, ..self }
    }

    /// Sets [`attempts`](Self#structfield.attempts).
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Sets [`retry_wait`](Self#structfield.retry_wait).
    #[must_use]
    pub fn retry_wait(self, retry_wait: Duration) -> Self {
        Self { retry_wait, ..self }
    }

    /// Sets [`integration_poll`](Self#structfield.integration_poll).
    #[must_use]
    pub fn integration_poll(self, integration_poll: Duration) -> Self {
        Self { integration_poll, ..self }
    }

    /// Sets [`integration_poll_first`](Self#structfield.integration_poll_first).
    #[must_use]
    pub fn integration_poll_first(self, integration_poll_first: Duration) -> Self {
        Self { integration_poll_first, ..self }
    }

    /// Sets [`integration_wait`](Self#structfield.integration_wait).
    #[must_use]
    pub fn integration_wait(self, integration_wait: Duration) -> Self {
        Self { integration_wait, ..self }
    }

    /// Sets [`initialisation_wait`](Self#structfield.initialisation_wait).
    #[must_use]
    pub fn initialisation_wait(self, initialisation_wait: Duration) -> Self {
        Self { initialisation_wait, ..self }
    }
}
