//! Limits and waits of a cycle.

use std::time::Duration;

/// Limits and waits; the defaults suit a clinic on a weak line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncConfig {
    /// Changelog rows asked for in the first pulled batch; later ones adapt to the size of records and the line.
    pub pull_records: u32,
    /// The most changelog rows asked for in one pulled batch.
    pub pull_records_max: u32,
    /// The size that pulled batches aim at, in bytes of decoded JSON.
    pub pull_bytes: usize,
    /// The most records that the legacy server is asked for at once.
    pub legacy_pull_records: u32,
    /// The most records in one pushed batch.
    pub push_records_max: usize,
    /// The most bytes of JSON in one pushed batch, unless one record alone has more. Central takes 10 MiB.
    pub push_bytes_max: usize,
    /// What the central server takes in one body, in bytes of JSON. A record that is larger, and whose connection breaks at
    /// each try, counts as too large: a server that refuses before it has read everything is seen as a line that breaks. A
    /// smaller one stays to be pushed.
    pub push_body_limit: usize,
    /// Request bodies from this size on are sent gzipped; to the legacy server once it has shown that it reads them.
    pub gzip_from: usize,
    /// How often a request is tried. One that broke on its way is not tried again as it was while there is less to ask for
    /// or to send: that is another request.
    pub attempts: u32,
    /// The wait before the second try; doubles with each, and is shortened by chance by up to half.
    pub retry_wait: Duration,
    /// How often the server is asked whether it is done integrating.
    pub integration_poll: Duration,
    /// How long that is asked before the cycle goes on without it.
    pub integration_wait: Duration,
    /// How long one cycle waits for the legacy server to gather this site's records; the next one goes on waiting.
    pub initialisation_wait: Duration,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            pull_records: 500,
            pull_records_max: 8000,
            pull_bytes: 4 * 1024 * 1024,
            legacy_pull_records: 500,
            push_records_max: 1024,
            push_bytes_max: 4 * 1024 * 1024,
            push_body_limit: 10 * 1024 * 1024,
            gzip_from: 4096,
            attempts: 4,
            retry_wait: Duration::from_secs(2),
            integration_poll: Duration::from_secs(1),
            integration_wait: Duration::from_secs(120),
            initialisation_wait: Duration::from_secs(30 * 60),
        }
    }
}
