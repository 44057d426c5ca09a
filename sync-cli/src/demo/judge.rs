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
                let counts = verdict.counts.entry(table.to_string());
                counts.or_insert_with(|| NAMES.iter().map(|name| (*name, 0)).collect()).insert(name, count);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ends::CENTRAL;
    use crate::demo::seed::bulk_asset;

    /// A judge that cannot find a difference proves nothing.
    #[test]
    fn every_kind_of_difference_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let ends = Ends::new(folder.path()).unwrap();
        let put = |n| {
            let seed = bulk_asset("central", "S", n).unwrap();
            ends.records(CENTRAL).put("asset", [seed.data.clone()]).unwrap();
            seed
        };
        let (right, old, surplus) = (put(1), put(2), put(3));
        let missing = bulk_asset("central", "S", 4).unwrap();
        let mut ledger = Ledger::default();
        ledger.expect("asset", right.id.as_str(), &right.data, at(&[CENTRAL]));
        ledger.expect("asset", old.id.as_str(), &missing.data, at(&[CENTRAL]));
        ledger.expect("asset", missing.id.as_str(), &missing.data, at(&[CENTRAL]));
        ledger.expect("asset", surplus.id.as_str(), &surplus.data, at(&[]));
        put(5);
        assert_eq!(
            ledger.judge(&ends).unwrap().differences,
            [
                "asset asset-of-central-0002 at central is not the newest version",
                "asset asset-of-central-0003 at central should not be there",
                "asset asset-of-central-0004 at central is missing",
                "central has 4 of asset, not 3",
            ]
        );
        ends.stop();
    }
}
