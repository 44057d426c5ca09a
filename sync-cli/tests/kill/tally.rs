//! The results of the kills.

use std::collections::BTreeMap;
use std::fmt;

/// The results of the kills.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Kills that hit a working process, by the process and the last event on the line.
    hits: BTreeMap<(&'static str, &'static str), u64>,
    /// Kills that hit an ended process, or an idle central.
    missed: u64,
    /// Calls of `records put` that were killed.
    pub(crate) puts: u64,
    /// The outcomes of cycles that were not killed.
    pub(crate) ended: BTreeMap<i32, u64>,
    /// Records that were written, and those of them that two ends have written.
    pub(crate) records: usize,
    pub(crate) of_two_writers: usize,
}

impl Tally {
    pub(crate) fn kill(&mut self, who: &'static str, last: &'static str, at_work: bool) {
        if at_work {
            *self.hits.entry((who, last)).or_default() += 1;
        } else {
            self.missed += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.hits.iter().for_each(|(kind, count)| *self.hits.entry(*kind).or_default() += count);
        other.ended.iter().for_each(|(status, count)| *self.ended.entry(*status).or_default() += count);
        self.missed += other.missed;
        self.puts += other.puts;
        self.records += other.records;
        self.of_two_writers += other.of_two_writers;
    }

    /// In a few rounds.
    pub(crate) fn assert_some_kills_met_something(&self) {
        assert!(self.hits.values().sum::<u64>() > 0, "{self}");
    }

    /// Few kills may come too late, and each part of a cycle must have been hit at either end.
    pub(crate) fn assert_most_kills_met_something(&self, rounds: u64) {
        let hits: u64 = self.hits.values().sum();
        assert!(hits > 2 * self.missed, "{hits} of {} kills met a process at work: {self}", hits + self.missed);
        assert!(2 * hits > rounds, "{hits} kills in {rounds} rounds: {self}");
        if rounds < 100 {
            return;
        }
        for (who, steps) in [
            ("site", &["start", "prepare", "push", "confirm", "pull central", "pull"][..]),
            ("central", &["push", "pull"]),
        ] {
            for step in steps {
                let met = |(killed, last): &(&str, &str)| *killed == who && last.split(',').next() == Some(step);
                assert!(self.hits.keys().any(met), "no {who} was met in {step}: {self}");
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((who, last), count) in &self.hits {
            writeln!(f, "{count:>5} times {who} killed, last: {last}")?;
        }
        let hits: u64 = self.hits.values().sum();
        writeln!(f, "{hits:>5} kills met a process at work, {} came too late or met a central at rest", self.missed)?;
        writeln!(f, "{:>5} calls of `records put` killed", self.puts)?;
        writeln!(f, "cycles that nobody killed, by exit status: {:?}", self.ended)?;
        write!(f, "{} records, of them {} written at two ends", self.records, self.of_two_writers)
    }
}
