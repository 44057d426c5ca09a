//! What the server did in the last 24 hours, in parts of five minutes, for the plots of the status page.

use std::collections::VecDeque;
use std::time::Duration;

/// The length of a part.
pub(super) const PART: Duration = Duration::from_secs(5 * 60);
/// The number of parts.
pub(super) const PARTS: usize = 288;

/// A part of the day.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    /// Requests by the upper bound of their duration, as an index into the bounds; the last counts slower ones.
    by_duration: Vec<u64>,
    /// Requests.
    pub requests: u64,
    /// Records in and out.
    pub records: u64,
    /// Requests that failed: HTTP status 500 and above, or an error of the protocol.
    pub errors: u64,
    /// The most sites that waited for integration.
    pub waiting: u64,
}

impl Part {
    /// The upper bound of the duration of 99 of 100 requests; `None` without requests. Of slower ones than the last bound it is
    /// that bound.
    pub(super) fn p99(&self, bounds: &[f64]) -> Option<f64> {
        let mut left = self.requests.checked_sub(self.requests / 100).filter(|left| *left > 0)?;
        for (count, bound) in self.by_duration.iter().zip(bounds) {
            if *count >= left {
                return Some(*bound);
            }
            left -= count;
        }
        bounds.last().copied()
    }
}

/// The parts since the server started, at most a day of them.
#[derive(Debug, Default)]
pub(super) struct LastDay {
    /// The number of the newest part, counted from the start.
    newest: u64,
    parts: VecDeque<Part>,
}

impl LastDay {
    /// The part of this time since the start.
    fn at(&mut self, since_start: Duration) -> &mut Part {
        let number = since_start.as_secs() / PART.as_secs();
        // Parts without a request are empty ones, but never more than fit.
        let missing = number.saturating_sub(self.newest).min(PARTS as u64) + u64::from(self.parts.is_empty());
        self.parts.extend((0..missing).map(|_| Part::default()));
        self.newest = self.newest.max(number);
        let surplus = self.parts.len().saturating_sub(PARTS);
        self.parts.drain(..surplus);
        let newest = self.parts.len() - 1;
        &mut self.parts[newest]
    }

    /// Counts a request that fits within the bound with this index, or is slower than all.
    pub(super) fn count(&mut self, since_start: Duration, bound: usize, bounds: usize, records: u64, failed: bool) {
        let part = self.at(since_start);
        part.by_duration.resize(bounds + 1, 0);
        part.by_duration[bound.min(bounds)] += 1;
        part.requests += 1;
        part.records += records;
        part.errors += u64::from(failed);
    }

    /// Records how many sites wait for integration.
    pub(super) fn waiting(&mut self, since_start: Duration, sites: u64) {
        let part = self.at(since_start);
        part.waiting = part.waiting.max(sites);
    }

    /// The parts, the oldest first; the newest is still growing.
    pub(super) fn parts(&mut self, since_start: Duration) -> Vec<Part> {
        self.at(since_start);
        self.parts.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 3] = [0.01, 0.1, 1.0];

    fn after(parts: u64) -> Duration {
        PART * u32::try_from(parts).expect("small")
    }

    #[test]
    fn a_day_of_parts_is_kept_and_a_pause_is_empty() {
        let mut day = LastDay::default();
        day.count(after(0), 0, 3, 10, false);
        day.count(after(3), 1, 3, 5, true);
        let parts = day.parts(after(4));
        let requests: Vec<u64> = parts.iter().map(|part| part.requests).collect();
        assert_eq!(requests, [1, 0, 0, 1, 0]);
        assert_eq!((parts[3].records, parts[3].errors), (5, 1));
        assert_eq!(day.parts(after(10_000)).len(), PARTS, "after a long pause");
        day.waiting(after(10_000), 7);
        day.waiting(after(10_000), 3);
        assert_eq!(day.parts(after(10_000)).last().map(|part| part.waiting), Some(7));
    }

    #[test]
    fn the_slowest_hundredth_is_left_out() {
        let mut day = LastDay::default();
        assert_eq!(day.parts(after(0))[0].p99(&BOUNDS), None);
        for _ in 0..99 {
            day.count(after(0), 0, 3, 0, false);
        }
        day.count(after(0), 2, 3, 0, false);
        assert_eq!(day.parts(after(0))[0].p99(&BOUNDS), Some(0.01));
        day.count(after(0), 3, 3, 0, false);
        day.count(after(0), 9, 3, 0, false);
        assert_eq!(day.parts(after(0))[0].p99(&BOUNDS), Some(1.0));
    }
}
