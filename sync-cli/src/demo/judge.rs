//! The judge: keeps its own record of what was written, and compares all ends with it in the end.

use std::collections::BTreeMap;

use sync_core::Result;
use sync_core::record::{RecordData, RecordId, TableName};

use super::ends::{Ends, NAMES};

/// Central and both sites.
pub(super) const EVERYWHERE: [bool; 3] = [true; 3];

/// Only these ends.
pub(super) fn at(ends: &[usize]) -> [bool; 3] {
    std::array::from_fn(|end| ends.contains(&end))
}

/// What must be where.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<(String, String), (RecordData, [bool; 3])>);

/// What the judge found.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The number of records at each end, by table.
    pub counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// What is missing, different or too much.
    pub differences: Vec<String>,
}

impl Ledger {
    /// Notes the newest version of a record, and where it must end up; it stays wherever it was before.
    pub(super) fn expect(&mut self, table: &str, id: &str, data: &RecordData, at: [bool; 3]) {
        let entry = self.0.entry((table.to_owned(), id.to_owned())).or_insert_with(|| (data.clone(), at));
        entry.0 = data.clone();
        for (known, now) in entry.1.iter_mut().zip(at) {
            *known |= now;
        }
    }

    /// Notes that a record must be nowhere.
    pub(super) fn expect_gone(&mut self, table: &str, id: &str) {
        self.0.remove(&(table.to_owned(), id.to_owned()));
    }

    /// Compares every end with what was noted: nothing missing, nothing different, nothing too much.
    pub(super) fn judge(&self, ends: &Ends) -> Result<Verdict> {
        let mut verdict = Verdict { counts: BTreeMap::new(), differences: Vec::new() };
        for (end, name) in NAMES.iter().enumerate() {
            let records = ends.records(end);
            for ((table, id), (expected, places)) in &self.0 {
                let found = records.get(&TableName::from(table.as_str()), &RecordId::from(id.as_str()))?;
                let problem = match (places[end], found) {
                    (true, None) => "is missing",
                    (true, Some(found)) if !found.same_value(expected) => "is not the newest version",
                    (false, Some(_)) => "should not be there",
                    _ => continue,
                };
                verdict.differences.push(format!("{table} {id} at {name} {problem}"));
            }
            for (table, count) in records.counts()? {
                verdict.counts.entry(table.to_string()).or_default().insert(name, count);
                let of_table = self.0.iter().filter(|((t, _), (_, places))| table == *t.as_str() && places[end]);
                let expected = of_table.count() as u64;
                if count != expected {
                    verdict.differences.push(format!("{name} has {count} of {table}, not {expected}"));
                }
            }
        }
        Ok(verdict)
    }
}
