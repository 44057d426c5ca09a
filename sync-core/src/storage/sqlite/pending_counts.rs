//! Counts of changelog rows that a transaction has not written yet.

use std::collections::BTreeMap;

/// The unwritten counts of a transaction.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<String, AudienceCounts>);

/// Those of one audience.
#[derive(Default)]
pub(super) struct AudienceCounts {
    /// Its last part: the start and the rows.
    pub(super) last: Option<(i64, i64)>,
    /// The rows that each part has gained or lost, by its start.
    pub(super) pending: BTreeMap<i64, i64>,
}

impl Counts {
    pub(super) fn last(&self, audience: &str) -> Option<(i64, i64)> {
        self.0.get(audience)?.last
    }

    pub(super) fn set_last(&mut self, audience: &str, last: (i64, i64)) {
        self.edit(audience, |counts| counts.last = Some(last));
    }

    pub(super) fn add(&mut self, audience: &str, start: i64, rows: i64) {
        self.edit(audience, |counts| {
            *counts.pending.entry(start).or_default() += rows;
            if let Some(last) = counts.last.as_mut().filter(|last| last.0 == start) {
                last.1 += rows;
            }
        });
    }

    pub(super) fn into_audiences(self) -> impl Iterator<Item = (String, AudienceCounts)> {
        self.0.into_iter()
    }

    /// Copies the audience's name once in a transaction, not once for each row.
    fn edit(&mut self, audience: &str, edit: impl FnOnce(&mut AudienceCounts)) {
        match self.0.get_mut(audience) {
            Some(counts) => edit(counts),
            None => edit(self.0.entry(audience.to_owned()).or_default()),
        }
    }
}
