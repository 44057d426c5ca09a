//! How often a site may be refused, from one address, before nobody is asked any more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The refusals that are free.
const FREE: u32 = 10;
/// The time after which one more is.
const REGAINED: Duration = Duration::from_secs(30);
/// The most pairs of a site and an address that are remembered.
const PAIRS_MAX: usize = 20_000;

/// The most characters of a name that count: a name is what somebody sent.
const NAME_MAX: usize = 255;

type Pair = (String, Option<IpAddr>);

fn pair(site: &str, from: Option<IpAddr>) -> Pair {
    (site.chars().take(NAME_MAX).collect(), from)
}

/// The refused attempts of each site name from each address.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Pair, Refused>>);

#[derive(Debug, Clone, Copy)]
struct Refused {
    count: u32,
    /// Up to when what was regained is counted.
    at: Duration,
}

impl Refused {
    fn now(self, now: Duration) -> Self {
        let regained = now.saturating_sub(self.at).as_secs() / REGAINED.as_secs();
        let regained = u32::try_from(regained).unwrap_or(u32::MAX);
        if regained >= self.count {
            return Self { count: 0, at: now };
        }
        Self { count: self.count - regained, at: self.at + REGAINED * regained }
    }
}

impl Attempts {
    /// How long this site has to wait before it may try again from this address; `None` if it may now.
    pub(super) fn wait(&self, site: &str, from: Option<IpAddr>, now: Duration) -> Option<Duration> {
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = pairs.get(&pair(site, from))?.now(now);
        (refused.count >= FREE).then(|| (refused.at + REGAINED).saturating_sub(now))
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, site: &str, from: Option<IpAddr>, now: Duration) {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= PAIRS_MAX {
            pairs.retain(|_, refused| refused.now(now).count > 0);
        }
        if pairs.len() >= PAIRS_MAX {
            pairs.clear();
        }
        let refused = pairs.entry(pair(site, from)).or_insert(Refused { count: 0, at: now });
        let before = refused.now(now);
        *refused = Refused { count: before.count.saturating_add(1).min(FREE), ..before };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn a_pair_waits_after_ten_refusals_and_no_other_does() {
        let attempts = Attempts::default();
        let start = Duration::from_secs(1000);
        for _ in 0..FREE {
            assert_eq!(attempts.wait("a", HERE, start), None);
            attempts.refused("a", HERE, start);
        }
        assert_eq!(attempts.wait("a", HERE, start), Some(REGAINED));
        assert_eq!(attempts.wait("b", HERE, start), None, "another site");
        assert_eq!(attempts.wait("a", None, start), None, "another address");
        let later = start + REGAINED;
        assert_eq!(attempts.wait("a", HERE, later), None, "one more is free");
        attempts.refused("a", HERE, later);
        assert!(attempts.wait("a", HERE, later).is_some());
        assert_eq!(attempts.wait("a", HERE, later + REGAINED * FREE), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..PAIRS_MAX + 10 {
            attempts.refused(&number.to_string(), None, Duration::ZERO);
        }
        attempts.refused(&"x".repeat(1_000_000), None, Duration::ZERO);
        let pairs = attempts.0.lock().unwrap();
        assert!(pairs.len() <= PAIRS_MAX && pairs.keys().all(|(name, _)| name.len() <= NAME_MAX));
    }
}
