//! Counts of changelog rows that a transaction has not written yet.

use std::collections::{BTreeMap, HashMap};

/// The unwritten counts of a transaction.
#[derive(Default)]
pub(super) struct Counts {
    /// The last part of each audience: its start and its rows.
    pub(super) last: HashMap<String, (i64, i64)>,
    /// The rows that each part has gained or lost.
    pub(super) pending: BTreeMap<(String, i64), i64>,
}

impl Counts {
    pub(super) fn add(&mut self, audience: &str, start: i64, rows: i64) {
        *self.pending.entry((audience.to_owned(), start)).or_default() += rows;
        if let Some(last) = self.last.get_mut(audience).filter(|last| last.0 == start) {
            last.1 += rows;
        }
    }
}
