//! What a run took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a run took.
#[derive(Debug, Default)]
pub struct Figures {
    /// The time of each exchange that was completed.
    exchanges: Vec<Duration>,
    /// The time of each request that was answered, by what was asked.
    requests: BTreeMap<&'static str, Vec<Duration>>,
    /// The text of each error, and how often it happened.
    pub errors: BTreeMap<String, u64>,
    /// Records that sites pushed: their tables and ids.
    pub(crate) pushed_ids: Vec<(&'static str, String)>,
    /// How many records were pushed.
    pub pushed: u64,
    /// How many records were pulled.
    pub pulled: u64,
    /// Pushed records that central does not have at the end.
    pub missing: u64,
    /// The largest delay of an exchange against its plan.
    largest_delay: Duration,
    pub(crate) took: Duration,
    pub(crate) filled_in: Duration,
    pub(crate) memory_kb: (u64, u64),
}

impl Figures {
    pub(crate) fn note_exchange(&mut self, time: Duration) {
        self.exchanges.push(time);
    }

    pub(crate) fn note_request(&mut self, what: &'static str, time: Duration) {
        self.requests.entry(what).or_default().push(time);
    }

    pub(crate) fn note_error(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    pub(crate) fn note_late(&mut self, by: Duration) {
        self.largest_delay = self.largest_delay.max(by);
    }

    pub(crate) fn note_pushed(&mut self, ids: Vec<(&'static str, String)>) {
        self.pushed += ids.len() as u64;
        self.pushed_ids.extend(ids);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.exchanges.extend(other.exchanges);
        for (what, times) in other.requests {
            self.requests.entry(what).or_default().extend(times);
        }
        for (error, number) in other.errors {
            *self.errors.entry(error).or_default() += number;
        }
        self.pushed_ids.extend(other.pushed_ids);
        self.pushed += other.pushed;
        self.pulled += other.pulled;
        self.largest_delay = self.largest_delay.max(other.largest_delay);
    }

    /// The number of exchanges that were completed.
    pub fn completed(&self) -> usize {
        self.exchanges.len()
    }

    /// The number of requests that were answered.
    pub fn answered(&self) -> usize {
        self.requests.values().map(Vec::len).sum()
    }
}

/// The quantile of these times, in thousandths: 500 is the median.
pub(crate) fn quantile(times: &[Duration], thousandths: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(f, "filled in {:.0} s, played for {seconds:.1} s", self.filled_in.as_secs_f64())?;
        let a_second = |number: usize| number as f64 / seconds.max(0.001);
        writeln!(f, "exchanges   {:>8}   {:>8.1} a second", self.completed(), a_second(self.completed()))?;
        writeln!(f, "requests    {:>8}   {:>8.1} a second", self.answered(), a_second(self.answered()))?;
        writeln!(
            f,
            "records     {:>8} pushed, {} missing at the end, {} pulled",
            self.pushed, self.missing, self.pulled
        )?;
        writeln!(
            f,
            "late        {:>8.0} ms at the most, from its time to the beginning of an exchange",
            self.largest_delay.as_secs_f64() * 1000.0
        )?;
        writeln!(f, "\n              number     p50 ms     p99 ms     max ms")?;
        let all: Vec<Duration> = self.requests.values().flatten().copied().collect();
        let named = self.requests.iter().map(|(what, times)| (*what, times));
        for (what, times) in named.chain([("any request", &all), ("exchange", &self.exchanges)]) {
            let [p50, p99, most] = [500, 990, 1000].map(|part| quantile(times, part));
            writeln!(f, "{what:<12}{:>8}  {p50:>9.1}  {p99:>9.1}  {most:>9.1}", times.len())?;
        }
        let (before, peak) = self.memory_kb;
        writeln!(
            f,
            "\nmemory of central: {:.0} MB before, {:.0} MB at its peak",
            before as f64 / 1000.0,
            peak as f64 / 1000.0
        )?;
        match self.errors.is_empty() {
            true => writeln!(f, "errors: none"),
            false => self.errors.iter().try_for_each(|(error, number)| writeln!(f, "error, {number} times: {error}")),
        }
    }
}
