//! Time, as a trait: nothing else in the library reads a clock.

use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A moment in UTC, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time as people read it: to the second, in UTC, such as `2026-11-23 10:06:19Z`. Programs read RFC 3339, which
    /// [`Display`](fmt::Display) writes.
    pub fn for_people(self) -> String {
        let text = self.to_string();
        match text.get(..19) {
            Some(seconds) if text.ends_with('Z') => format!("{}Z", seconds.replace('T', " ")),
            _ => text,
        }
    }

    /// The date of an HTTP answer, such as `Mon, 23 Nov 2026 10:06:19 GMT`.
    pub(crate) fn of_http_date(text: &str) -> Option<Self> {
        let format = time::macros::format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let moment = time::PrimitiveDateTime::parse(text.trim(), format).ok()?.assume_utc();
        Some(Self::from_unix_millis(moment.unix_timestamp().checked_mul(1000)?))
    }

    /// The moment that many milliseconds after 1970-01-01T00:00:00Z.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339, as [`fmt::Display`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    /// The time from `earlier` to this moment; zero if the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment that much later; the last one that there is if it lies beyond it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The date-time as V6 records write it: no zone, no fraction if it is zero.
    pub fn wire(self) -> String {
        let text = self.to_string();
        let text = text.trim_end_matches('Z');
        text.strip_suffix(".000").unwrap_or(text).to_owned()
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with three digits of a second; a moment beyond year 9999 as its milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(format).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

/// A clock that also waits.
pub trait Clock: Send + Sync {
    /// The moment now. May go backwards: clinics set their clocks.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process; never goes backwards.
    fn monotonic(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration);

    /// Waits until the bell is rung, or for this time at most; takes the ring. Checks a few times a second unless a
    /// clock has a better way.
    fn sleep_until_woken(&self, most: Duration, bell: &WakeSignal) {
        const LOOK: Duration = Duration::from_millis(100);
        let until = self.monotonic().saturating_add(most);
        while !bell.take() {
            let left = until.saturating_sub(self.monotonic());
            if left.is_zero() {
                return;
            }
            self.sleep(left.min(LOOK));
        }
    }
}

/// Rung on one thread to wake another that waits, or is about to.
#[derive(Debug, Default)]
pub struct WakeSignal {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl WakeSignal {
    /// Rings. It counts until it is taken.
    pub fn wake(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_all();
    }

    /// Takes the ring, if there is one.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The clock of this machine.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
        Timestamp(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn sleep_until_woken(&self, most: Duration, bell: &WakeSignal) {
        let rung = bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = bell.ringing.wait_timeout_while(rung, most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers() {
        let moment = Timestamp::of_http_date("Mon, 23 Nov 2026 10:06:19 GMT").unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T10:06:19.000Z");
        assert_eq!(Timestamp::of_http_date("yesterday"), None);
    }

    #[test]
    fn written_and_read() {
        let moment = Timestamp::from_unix_millis(1_763_892_379_120);
        assert_eq!(moment.to_string(), "2025-11-23T10:06:19.120Z");
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        assert_eq!(moment.wire(), "2025-11-23T10:06:19.120");
        assert_eq!(Timestamp::from_unix_millis(1_763_892_379_000).wire(), "2025-11-23T10:06:19");
    }

    #[test]
    fn a_bell_ends_a_wait_whether_it_rings_before_or_during_it() {
        const LONG: Duration = Duration::from_secs(3600);
        let (clock, bell) = (SystemClock::new(), WakeSignal::default());
        bell.wake();
        clock.sleep_until_woken(LONG, &bell);
        assert!(!bell.take(), "the wait took the ring");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clock.sleep_until_woken(LONG, &bell));
            while !waiting.is_finished() {
                bell.wake();
                std::thread::yield_now();
            }
        });
        bell.take();
        let began = clock.monotonic();
        clock.sleep_until_woken(Duration::from_millis(20), &bell);
        assert!(clock.monotonic() - began >= Duration::from_millis(20), "nobody rang");
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_negative_time() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(i64::MIN).since(Timestamp(i64::MAX)), Duration::ZERO);
    }
}
