//! Token bucket for failed sign-ins, per site and address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Refusals without a wait.
const FREE: u32 = 10;
/// The time after which one more is allowed.
const REGAINED: Duration = Duration::from_secs(30);
/// The most pairs of name and address that are remembered.
const REMEMBERED_MAX: usize = 20_000;

/// The most characters of a name that count, because anybody can send a name.
const NAME_MAX: usize = 255;

/// A name and an address, and whether the attempt came from the machine of that site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AttemptKey {
    site: String,
    from: Option<IpAddr>,
    is_own: bool,
}

impl AttemptKey {
    fn new(site: &str, from: Option<IpAddr>, is_own: bool) -> Self {
        Self { site: site.chars().take(NAME_MAX).collect(), from: from.map(network), is_own }
    }
}

/// The addresses of one subscriber: with IPv6 that is a whole network, because single addresses are free.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

/// A refused attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub from: Option<IpAddr>,
    /// Whether it came from the machine of the site.
    pub is_own: bool,
    /// Whether a site of that name exists, so that its password can be guessed.
    pub is_of_a_site: bool,
}

/// The refused attempts for each site name and address.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<AttemptKey, RefusedAttempts>>);

#[derive(Debug, Clone, Copy)]
struct RefusedAttempts {
    count: u32,
    /// The time up to which regained attempts are counted.
    at: Duration,
    is_of_a_site: bool,
}

impl RefusedAttempts {
    fn now(self, now: Duration) -> Self {
        let regained = now.saturating_sub(self.at).as_secs() / REGAINED.as_secs();
        let regained = u32::try_from(regained).unwrap_or(u32::MAX);
        if regained >= self.count {
            return Self { count: 0, at: now, ..self };
        }
        Self { count: self.count - regained, at: self.at + REGAINED * regained, ..self }
    }

    /// The order of forgetting, last ones first: guesses at an existing site, then many refusals, then recent ones.
    fn guilt(&self) -> (bool, u32, Duration) {
        (self.is_of_a_site, self.count, self.at)
    }
}

impl Attempts {
    /// How long this site has to wait before another attempt from this address; `None` if it may try now.
    pub(crate) fn wait(&self, site: &str, from: Option<IpAddr>, is_own: bool, now: Duration) -> Option<Duration> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = remembered.get(&AttemptKey::new(site, from, is_own))?.now(now);
        (refused.count >= FREE).then(|| (refused.at + REGAINED).saturating_sub(now))
    }

    /// The refusals of this name from this address that still count.
    pub(crate) fn refusals(&self, site: &str, from: Option<IpAddr>, now: Duration) -> u32 {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count =
            |is_own| remembered.get(&AttemptKey::new(site, from, is_own)).map_or(0, |refused| refused.now(now).count);
        count(false) + count(true)
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, site: &str, attempt: Attempt, now: Duration) {
        let key = AttemptKey::new(site, attempt.from, attempt.is_own);
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX && !remembered.contains_key(&key) {
            forget_the_least_guilty(&mut remembered, now);
        }
        let is_of_a_site = attempt.is_of_a_site;
        let refused = remembered.entry(key).or_insert(RefusedAttempts { count: 0, at: now, is_of_a_site });
        let before = refused.now(now);
        *refused = RefusedAttempts { count: before.count.saturating_add(1).min(FREE), is_of_a_site, ..before };
    }
}

/// The kind of the refused attempts that several servers share.
pub(crate) const SHARED: &str = "refused";

/// After this time all attempts are regained.
pub(crate) const ALL_REGAINED: Duration = Duration::from_secs(REGAINED.as_secs() * FREE as u64);

/// Refused attempts as several servers share them: a count, and the time by their common clock up to which regained ones are
/// counted.
impl Attempts {
    /// The key of the attempts of a name from an address.
    pub(crate) fn shared_key(site: &str, from: Option<IpAddr>, is_own: bool) -> String {
        let AttemptKey { site, from, is_own } = AttemptKey::new(site, from, is_own);
        let from = from.map_or_else(|| "-".to_owned(), |from| from.to_string());
        format!("{} {from} {site}", u8::from(is_own))
    }

    /// Takes over what all servers know, unless this one knows of more. `clocks` are the common time and this server's.
    pub(crate) fn learn(
        &self,
        (site, from, is_own): (&str, Option<IpAddr>, bool),
        shared: &str,
        clocks: (Timestamp, Duration),
    ) {
        let (_, now) = clocks;
        let Some(shared) = RefusedAttempts::of_shared(shared, clocks) else { return };
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = AttemptKey::new(site, from, is_own);
        let known = remembered.get(&key).map_or(0, |known| known.now(now).count);
        if shared.now(now).count > known {
            remembered.insert(key, shared);
        }
    }

    /// What all servers know once this attempt is counted too.
    pub(crate) fn counted(shared: Option<&str>, attempt: Attempt, now: Timestamp) -> String {
        // By the common clock alone.
        let none = RefusedAttempts { count: 0, at: Duration::ZERO, is_of_a_site: attempt.is_of_a_site };
        let clock = Duration::from_millis(now.unix_millis().unsigned_abs());
        let before = shared.and_then(|shared| RefusedAttempts::of_shared(shared, (now, clock)));
        let before = before.unwrap_or(RefusedAttempts { at: clock, ..none }).now(clock);
        let count = before.count.saturating_add(1).min(FREE);
        format!("{count} {} {}", before.at.as_millis(), u8::from(attempt.is_of_a_site))
    }
}

impl RefusedAttempts {
    fn of_shared(text: &str, (common, now): (Timestamp, Duration)) -> Option<Self> {
        let mut parts = text.split(' ');
        let (count, at, is_of_a_site) = (parts.next()?, parts.next()?, parts.next()?);
        let age = common.since(Timestamp::from_unix_millis(at.parse().ok()?));
        Some(Self { count: count.parse().ok()?, at: now.saturating_sub(age), is_of_a_site: is_of_a_site == "1" })
    }
}

/// Makes room: drops entries without recent refusals, then a quarter of the rest. Made-up names do not erase the
/// refusals of an attacker.
fn forget_the_least_guilty(remembered: &mut HashMap<AttemptKey, RefusedAttempts>, now: Duration) {
    remembered.retain(|_, refused| {
        *refused = refused.now(now);
        refused.count > 0
    });
    if remembered.len() < REMEMBERED_MAX {
        return;
    }
    let mut guilt: Vec<_> = remembered.values().map(RefusedAttempts::guilt).collect();
    let mut surplus = REMEMBERED_MAX / 4;
    let (_, most, _) = guilt.select_nth_unstable(surplus - 1);
    let most = *most;
    remembered.retain(|_, refused| {
        let goes = surplus > 0 && refused.guilt() <= most;
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn guess(from: Option<IpAddr>) -> Attempt {
        Attempt { from, is_own: false, is_of_a_site: true }
    }

    #[test]
    fn a_name_waits_after_ten_refusals_and_no_other_does() {
        let attempts = Attempts::default();
        let start = Duration::from_secs(1000);
        for _ in 0..FREE {
            assert_eq!(attempts.wait("a", HERE, false, start), None);
            attempts.refused("a", guess(HERE), start);
        }
        assert_eq!(attempts.wait("a", HERE, false, start), Some(REGAINED));
        assert_eq!(attempts.wait("b", HERE, false, start), None, "another site");
        assert_eq!(attempts.wait("a", None, false, start), None, "another address");
        assert_eq!(attempts.wait("a", HERE, true, start), None, "the site's own machine");
        let later = start + REGAINED;
        assert_eq!(attempts.wait("a", HERE, false, later), None, "one more is free");
        attempts.refused("a", guess(HERE), later);
        assert!(attempts.wait("a", HERE, false, later).is_some());
        assert_eq!(attempts.wait("a", HERE, false, later + REGAINED * FREE), None);
    }

    #[test]
    fn what_several_servers_count_adds_up() {
        let (here, there) = (Attempts::default(), Attempts::default());
        let common = |seconds: i64| Timestamp::from_unix_millis(1_000_000_000 + seconds * 1000);
        let of_site = ("a", HERE, false);
        let mut shared = None;
        for _ in 0..FREE {
            shared = Some(Attempts::counted(shared.as_deref(), guess(HERE), common(0)));
        }
        let shared = shared.unwrap();
        // Each has a monotonic clock of its own.
        here.learn(of_site, &shared, (common(10), Duration::from_secs(500)));
        assert_eq!(here.wait("a", HERE, false, Duration::from_secs(500)), Some(Duration::from_secs(20)));
        there.learn(of_site, &shared, (common(31), Duration::from_secs(90_000)));
        assert_eq!(there.wait("a", HERE, false, Duration::from_secs(90_000)), None, "one is regained");
        assert_eq!(there.refusals("a", HERE, Duration::from_secs(90_000)), FREE - 1);
        // A server that knows of more keeps that.
        here.learn(of_site, &Attempts::counted(None, guess(HERE), common(10)), (common(10), Duration::from_secs(500)));
        assert!(here.wait("a", HERE, false, Duration::from_secs(500)).is_some());
        let later = Attempts::counted(Some(&shared), guess(HERE), common(i64::MAX / 10_000));
        there.learn(("b", HERE, false), &later, (common(i64::MAX / 10_000), Duration::ZERO));
        assert_eq!(there.refusals("b", HERE, Duration::ZERO), 1, "{later}");
        for broken in ["", "x", "1 2", "-1 0 1", "1 x 1"] {
            there.learn(("c", HERE, false), broken, (common(0), Duration::ZERO));
            assert_eq!(there.refusals("c", HERE, Duration::ZERO), 0, "{broken:?}");
        }
        assert_ne!(Attempts::shared_key("a", HERE, false), Attempts::shared_key("a", HERE, true));
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let attempts = Attempts::default();
        let address = |text: &str| Some(text.parse().unwrap());
        for last in 0..FREE {
            attempts.refused("a", guess(address(&format!("2001:db8::{last}"))), Duration::ZERO);
        }
        let waits = |text| attempts.wait("a", address(text), false, Duration::ZERO).is_some();
        assert!(waits("2001:db8::ffff") && !waits("2001:db8:0:1::1"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_made_up_names_do_not_free_who_guesses_at_a_site() {
        let attempts = Attempts::default();
        for _ in 0..FREE {
            attempts.refused("clinic", guess(HERE), Duration::ZERO);
        }
        attempts.refused("tried once", guess(HERE), Duration::ZERO);
        for number in 0..2 * REMEMBERED_MAX {
            let made_up = Attempt { from: HERE, is_own: false, is_of_a_site: false };
            for _ in 0..=(number % 12) {
                attempts.refused(&number.to_string(), made_up, Duration::from_secs(1));
            }
        }
        attempts.refused(&"x".repeat(1_000_000), guess(HERE), Duration::ZERO);
        assert!(attempts.wait("clinic", HERE, false, Duration::from_secs(1)).is_some());
        assert_eq!(attempts.refusals("tried once", HERE, Duration::from_secs(1)), 1);
        let remembered = attempts.0.lock().unwrap();
        assert!(remembered.len() <= REMEMBERED_MAX && remembered.keys().all(|key| key.site.len() <= NAME_MAX));
    }

    #[test]
    fn of_many_names_that_are_guessed_at_the_least_guilty_are_forgotten() {
        let attempts = Attempts::default();
        for _ in 0..FREE {
            attempts.refused("guessed at", guess(HERE), Duration::ZERO);
        }
        for number in 0..REMEMBERED_MAX + 10 {
            attempts.refused(&number.to_string(), guess(HERE), Duration::ZERO);
        }
        assert!(attempts.wait("guessed at", HERE, false, Duration::ZERO).is_some());
        assert!(attempts.0.lock().unwrap().len() > REMEMBERED_MAX / 2, "not all were forgotten");
    }
}
