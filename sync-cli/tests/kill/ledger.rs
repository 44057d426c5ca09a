//! The acknowledged writes of the hosts, and the check that every end has them.

use std::collections::BTreeMap;

use sync_core::Records;
use sync_core::record::{RecordData, RecordId, TableName};

/// The ends, by number.
pub(crate) const NAMES: [&str; 3] = ["central", "north", "south"];
/// Central's number.
pub(crate) const CENTRAL: usize = 0;

type Id = (&'static str, String);
/// The newest acknowledged content of each writer; nothing if it is gone.
type Newest = BTreeMap<usize, Option<RecordData>>;

/// A record that a host wrote: its table, its id, and its content, or that it is gone.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) table: &'static str,
    pub(crate) id: String,
    pub(crate) content: Option<RecordData>,
    /// The ends to which it belongs.
    pub(crate) at: [bool; 3],
}

/// The expected content.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: BTreeMap<Id, (Newest, [bool; 3])>,
    /// The writes of a killed program, with its end: all of them or none.
    unanswered: Vec<(usize, Vec<Write>)>,
}

impl Ledger {
    /// Adds an acknowledged write of this end's host.
    pub(crate) fn acknowledged(&mut self, end: usize, writes: &[Write]) {
        for write in writes {
            let id = (write.table, write.id.clone());
            let (newest, _) = self.records.entry(id).or_insert_with(|| (BTreeMap::new(), write.at));
            newest.insert(end, write.content.clone());
        }
    }

    /// Adds a write without an answer. Its records are new ones.
    pub(crate) fn unanswered(&mut self, end: usize, writes: Vec<Write>) {
        self.unanswered.push((end, writes));
    }

    /// The number of expected records, and of those that two ends have written.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.records.len(), self.records.values().filter(|(newest, _)| newest.len() > 1).count())
    }

    /// Compares every end with the ledger: nothing missing, nothing old, nothing different, nothing surplus.
    pub(crate) fn differences(mut self, ends: &[Records; 3]) -> Vec<String> {
        let mut differences = Vec::new();
        for (end, writes) in std::mem::take(&mut self.unanswered) {
            let (here, gone): (Vec<_>, Vec<_>) =
                writes.into_iter().partition(|write| content(&ends[end], write.table, &write.id).is_some());
            if !here.is_empty() && !gone.is_empty() {
                differences.push(format!("a call was done by half: {here:?} but not {gone:?}"));
            }
            self.acknowledged(end, &here);
        }
        for ((table, id), (newest, at)) in &self.records {
            let found: Vec<_> = ends.iter().map(|records| content(records, table, id)).collect();
            for (end, found) in found.iter().enumerate() {
                let allowed = newest.values().any(|content| match (content, found) {
                    (Some(content), Some(found)) => content.same_value(found),
                    (content, found) => content.is_none() && found.is_none(),
                });
                let right = if at[end] { allowed } else { found.is_none() };
                if !right {
                    let end = NAMES[end];
                    differences.push(format!("{table} {id} at {end} is {found:?}, the writers' newest: {newest:?}"));
                }
            }
            let here: Vec<_> = found.iter().zip(at).filter(|(_, at)| **at).map(|(found, _)| found).collect();
            let same = |one: &Option<RecordData>, other: &Option<RecordData>| match (one, other) {
                (Some(one), Some(other)) => one.same_value(other),
                (one, other) => one.is_none() && other.is_none(),
            };
            if !here.windows(2).all(|two| same(two[0], two[1])) {
                differences.push(format!("{table} {id} differs: {found:?}"));
            }
        }
        for (end, records) in ends.iter().enumerate() {
            differences.extend(self.surplus(end, records));
        }
        differences
    }

    /// Records that nobody wrote, or that do not belong there. Stores and their names came with the set-up.
    fn surplus(&self, end: usize, records: &Records) -> Vec<String> {
        let mut surplus = Vec::new();
        for (table, count) in records.counts().expect("counts") {
            if matches!(table.as_str(), "store" | "name") {
                continue;
            }
            let here = |contents: &Newest| contents.values().any(Option::is_some);
            let expected =
                self.records.iter().filter(|((t, _), (newest, at))| *t == table.as_str() && at[end] && here(newest));
            let expected = expected.count() as u64;
            if count != expected {
                surplus.push(format!("{} has {count} of {table}, not {expected}", NAMES[end]));
            }
        }
        surplus
    }
}

fn content(records: &Records, table: &str, id: &str) -> Option<RecordData> {
    records.get(TableName::from(table), RecordId::from(id)).expect("a readable record")
}
