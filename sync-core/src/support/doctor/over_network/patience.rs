//! How long to wait for the answer of a server that took the connection.

use std::cell::Cell;
use std::time::Duration;

/// A request over TLS takes four round trips, a connection one; the rest is for the server.
const CONNECTIONS: u32 = 20;

/// A person waits for the diagnosis, but a slow line is no silent server.
#[derive(Debug)]
pub(super) struct Patience {
    least: Duration,
    /// How long the last connection took.
    connection: Cell<Duration>,
}

impl Patience {
    pub(super) fn of(least: Duration) -> Self {
        Self { least, connection: Cell::new(Duration::ZERO) }
    }

    /// Records how long a connection to the server took that is asked next.
    pub(super) fn note_connection(&self, took: Duration) {
        self.connection.set(took);
    }

    /// The longest wait for its answer.
    pub(super) fn limit(&self) -> Duration {
        self.least.max(self.connection.get().saturating_mul(CONNECTIONS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_more_time() {
        let (ms, patience) = (Duration::from_millis, Patience::of(Duration::from_secs(2)));
        for (connection, limit) in [(0, 2000), (3, 2000), (100, 2000), (800, 16_000)] {
            patience.note_connection(ms(connection));
            assert_eq!(patience.limit(), ms(limit), "{connection} ms");
        }
    }
}
