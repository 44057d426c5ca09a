//! By which point of central's changelog it had integrated what of ours: what has to be sent again when central went back
//! to a point is what came after the mark before it.

use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::{ReadTxn, WriteTxn, key};

/// The most marks that are kept: dense near the newest, ever wider apart before.
const KEPT: usize = 48;

/// When central's changelog ended at `central`, everything of ours below `own` was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub central: Cursor,
    pub own: Cursor,
}

/// Marks in rising order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    pub(crate) fn load(txn: &dyn ReadTxn) -> Result<Self> {
        let damaged = || Error::DamagedState { what: key::PUSH_MARKS.to_owned() };
        let text = txn.state(key::PUSH_MARKS)?.unwrap_or_default();
        let mark = |line: &str| {
            let (central, own) = line.split_once(' ')?;
            Some(Mark { central: Cursor::parse(central)?, own: Cursor::parse(own)? })
        };
        let marks = text.lines().map(|line| mark(line).ok_or_else(damaged)).collect::<Result<Vec<_>>>()?;
        match marks.is_sorted_by_key(|mark| mark.central) {
            true => Ok(Self(marks)),
            false => Err(damaged()),
        }
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn) -> Result<()> {
        let lines: String = self.0.iter().map(|mark| format!("{} {}\n", mark.central, mark.own)).collect();
        txn.set_state(key::PUSH_MARKS, &lines)
    }

    /// Up to where our changelog is known to be at central.
    pub(crate) fn own(&self) -> Cursor {
        self.0.last().map_or(Cursor(0), |mark| mark.own)
    }

    /// Up to where central's changelog was seen.
    pub(crate) fn central(&self) -> Cursor {
        self.0.last().map_or(Cursor(0), |mark| mark.central)
    }

    /// Adds a mark that proves more than the newest; others tell nothing new.
    pub(crate) fn add(&mut self, mark: Mark) {
        if mark.own <= self.own() || mark.central < self.central() {
            return;
        }
        self.0.push(mark);
        if self.0.len() > KEPT {
            self.thin();
        }
    }

    /// Drops the mark that is missed least: the one whose neighbours are close for its age.
    fn thin(&mut self) {
        let newest = self.central().0;
        let missed = |i: usize| {
            let gap = self.0[i + 1].central.0 - self.0[i - 1].central.0;
            let age = newest - self.0[i].central.0;
            gap as f64 / (age as f64 + 1.0)
        };
        let least = (1..self.0.len() - 1).min_by(|a, b| missed(*a).total_cmp(&missed(*b)));
        if let Some(least) = least {
            self.0.remove(least);
        }
    }

    /// Forgets what lies beyond a point; gives up to where our changelog is surely at a central server that ends there. A
    /// mark at that very point proves nothing: what waits at central, or says what it had already, adds no row.
    pub(crate) fn back_to(&mut self, central: Cursor) -> Cursor {
        self.0.retain(|mark| mark.central < central);
        self.own()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(central: u64, own: u64) -> Mark {
        Mark { central: Cursor(central), own: Cursor(own) }
    }

    #[test]
    fn what_central_surely_has_after_it_went_back() {
        let mut marks = Marks::default();
        for new in [mark(0, 5), mark(100, 20), mark(150, 20), mark(180, 30), mark(170, 40)] {
            marks.add(new);
        }
        assert_eq!(marks.0, [mark(0, 5), mark(100, 20), mark(180, 30)], "only what proves more is kept");
        assert_eq!(marks.clone().back_to(Cursor(181)), Cursor(30));
        assert_eq!(marks.back_to(Cursor(180)), Cursor(20));
        assert_eq!((marks.own(), marks.central()), (Cursor(20), Cursor(100)));
        assert_eq!(marks.back_to(Cursor(1)), Cursor(5));
        assert_eq!(Marks::default().back_to(Cursor(9)), Cursor(0));
    }

    #[test]
    fn many_marks_are_few_and_the_newest_are_all_there() {
        let mut marks = Marks::default();
        for n in 0..10_000 {
            marks.add(mark(10 * n, n + 1));
        }
        assert_eq!(marks.0.len(), KEPT);
        for n in 9_995..10_000 {
            assert!(marks.0.contains(&mark(10 * n, n + 1)), "{n}");
        }
        // After any restore, at most about as much again as was lost is sent needlessly.
        for lost in [10, 100, 1000, 5000] {
            let own = marks.clone().back_to(Cursor(10 * (10_000 - lost))).0;
            assert!(own <= 10_001 - lost && own + 2 * lost + 20 >= 10_000, "{lost}: {own}");
        }
    }
}
