//! Checkpoints pair a position in central's changelog with the part of ours that it had integrated by then. When
//! central went back to a position, the changes after the last checkpoint before it have to be sent again.

use crate::error::Result;
use crate::record::Cursor;
use crate::site::cycle::Cycle;
use crate::storage::state;
use crate::storage::state::{Checkpoint, Checkpoints};

/// The most checkpoints: dense near the newest, sparser before.
const KEPT: usize = 48;

impl Checkpoints {
    /// The part of our changelog that central is known to have.
    pub(crate) fn own(&self) -> Cursor {
        self.0.last().map_or(Cursor(0), |checkpoint| checkpoint.own)
    }

    /// The end of central's changelog that was seen then.
    pub(crate) fn central(&self) -> Cursor {
        self.0.last().map_or(Cursor(0), |checkpoint| checkpoint.central)
    }

    /// Adds a checkpoint that proves more than the newest; others are useless.
    pub(crate) fn add(&mut self, checkpoint: Checkpoint) {
        if checkpoint.own <= self.own() || checkpoint.central < self.central() {
            return;
        }
        self.0.push(checkpoint);
        if self.0.len() > KEPT {
            self.thin();
        }
    }

    /// Drops the least useful checkpoint: the one whose neighbours are close for its age.
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

    /// Drops the checkpoints after a position. Returns the part of our changelog that a central server which ends there
    /// surely has. A checkpoint at that very position proves nothing: records that wait at central, or that it had
    /// already, add no row.
    pub(crate) fn rewind_to(&mut self, central: Cursor) -> Cursor {
        self.0.retain(|checkpoint| checkpoint.central < central);
        self.own()
    }
}

impl Cycle<'_, '_> {
    /// True if it is worth asking for the end of central's changelog: something was pushed since it was last known.
    pub(crate) fn wants_checkpoint(&self) -> Result<bool> {
        let txn = self.site.storage.read()?;
        let confirmed = !state::PUSH_UNCONFIRMED.get(txn.as_ref())?;
        Ok(confirmed && state::PUSH_MARKS.get(txn.as_ref())?.own() < state::PUSH_CURSOR_V6.get(txn.as_ref())?)
    }

    /// Stores the end of central's changelog, from an empty last batch.
    pub(crate) fn note_checkpoint(&self, central: Cursor) -> Result<()> {
        if !self.wants_checkpoint()? {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let mut checkpoints = state::PUSH_MARKS.get(txn.as_ref())?;
        checkpoints.add(Checkpoint { central, own: state::PUSH_CURSOR_V6.get(txn.as_ref())? });
        state::PUSH_MARKS.set(txn.as_ref(), checkpoints)?;
        txn.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(central: u64, own: u64) -> Checkpoint {
        Checkpoint { central: Cursor(central), own: Cursor(own) }
    }

    #[test]
    fn what_central_surely_has_after_it_went_back() {
        let mut checkpoints = Checkpoints::default();
        for new in
            [checkpoint(0, 5), checkpoint(100, 20), checkpoint(150, 20), checkpoint(180, 30), checkpoint(170, 40)]
        {
            checkpoints.add(new);
        }
        assert_eq!(
            checkpoints.0,
            [checkpoint(0, 5), checkpoint(100, 20), checkpoint(180, 30)],
            "only what proves more is kept"
        );
        assert_eq!(checkpoints.clone().rewind_to(Cursor(181)), Cursor(30));
        assert_eq!(checkpoints.rewind_to(Cursor(180)), Cursor(20));
        assert_eq!((checkpoints.own(), checkpoints.central()), (Cursor(20), Cursor(100)));
        assert_eq!(checkpoints.rewind_to(Cursor(1)), Cursor(5));
        assert_eq!(Checkpoints::default().rewind_to(Cursor(9)), Cursor(0));
    }

    #[test]
    fn many_checkpoints_are_few_and_the_newest_are_all_there() {
        let mut checkpoints = Checkpoints::default();
        for n in 0..10_000 {
            checkpoints.add(checkpoint(10 * n, n + 1));
        }
        assert_eq!(checkpoints.0.len(), KEPT);
        for n in 9_995..10_000 {
            assert!(checkpoints.0.contains(&checkpoint(10 * n, n + 1)), "{n}");
        }
        // After any restore, at most about as much again as was lost is sent needlessly.
        for lost in [10, 100, 1000, 5000] {
            let own = checkpoints.clone().rewind_to(Cursor(10 * (10_000 - lost))).0;
            assert!(own <= 10_001 - lost && own + 2 * lost + 20 >= 10_000, "{lost}: {own}");
        }
    }
}
