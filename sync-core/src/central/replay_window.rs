//! How late a request may arrive.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long after it was sent a request may still arrive: longer than any proxy holds one.
const REPLAY_WINDOW: Duration = Duration::from_secs(15 * 60);

/// True if a request sent at `at` may still arrive at `now`. A later `at` was stored with a wrong clock.
pub(super) fn may_still_arrive(at: Timestamp, now: Timestamp) -> bool {
    now.since(at).max(at.since(now)) < REPLAY_WINDOW
}
