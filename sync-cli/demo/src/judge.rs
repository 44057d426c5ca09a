//! The judge: keeps its own record of all writes, and compares all ends with it.

use std::collections::BTreeMap;

use sync_core::record::{RecordData, RecordId, TableName};
use sync_core::{Records, Result};

/// Central and both sites.
pub const EVERYWHERE: [bool; 3] = [true; 3];

/// Only these ends.
pub fn at(ends: &[usize]) -> [bool; 3] {
    std::array::from_fn(|end| ends.contains(&end))
}

/// An end and its content.
pub trait Holder {
    /// A record at this end.
    ///
    /// # Errors
    /// It cannot be read.
    fn get(&self, table: &str, id: &str) -> Result<Option<RecordData>>;
    /// The number of records of each table.
    ///
    /// # Errors
    /// They cannot be read.
    fn counts(&self) -> Result<Vec<(String, u64)>>;
}

impl Holder for Records {
    fn get(&self, table: &str, id: &str) -> Result<Option<RecordData>> {
        self.get(TableName::from(table), RecordId::from(id))
    }

    fn counts(&self) -> Result<Vec<(String, u64)>> {
        Ok(self.counts()?.into_iter().map(|(table, count)| (table.to_string(), count)).collect())
    }
}

/// The expected content: for each record, the version at each end.
#[derive(Debug, Default)]
pub struct Ledger<const N: usize = 3>(BTreeMap<(String, String), [Option<RecordData>; N]>);

/// The verdict.
#[derive(Debug)]
pub struct Verdict {
    /// The number of records at each end, by table.
    pub counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Missing, different and surplus records.
    pub differences: Vec<String>,
}

impl<const N: usize> Ledger<N> {
    /// Records the newest version of a record and the ends that must have it; other ends keep earlier versions.
    pub fn expect(&mut self, table: &str, id: &str, data: &RecordData, at: [bool; N]) {
        for (known, at) in self.entry(table, id).iter_mut().zip(at) {
            if at || known.is_some() {
                *known = Some(data.clone());
            }
        }
    }

    /// Records a version that only these ends get; the others keep theirs.
    pub fn expect_only(&mut self, table: &str, id: &str, data: &RecordData, at: [bool; N]) {
        for (known, _) in self.entry(table, id).iter_mut().zip(at).filter(|(_, at)| *at) {
            *known = Some(data.clone());
        }
    }

    /// Records that no end may have a record.
    pub fn expect_gone(&mut self, table: &str, id: &str) {
        self.0.remove(&(table.to_owned(), id.to_owned()));
    }

    /// The expectations for all ends, to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut RecordData> {
        self.0.values_mut().flatten().flatten()
    }

    fn entry(&mut self, table: &str, id: &str) -> &mut [Option<RecordData>; N] {
        self.0.entry((table.to_owned(), id.to_owned())).or_insert([const { None }; N])
    }

    /// Compares every end with the expectations: nothing missing, nothing different, nothing surplus.
    ///
    /// # Errors
    /// An end cannot be read.
    pub fn compare(&self, ends: [(&'static str, &dyn Holder); N]) -> Result<Verdict> {
        let mut verdict = Verdict { counts: BTreeMap::new(), differences: Vec::new() };
        for (end, (name, holder)) in ends.into_iter().enumerate() {
            for ((table, id), expected) in &self.0 {
                let problem = match (&expected[end], holder.get(table, id)?) {
                    (Some(_), None) => "is missing",
                    (Some(expected), Some(found)) if !found.same_value(expected) => "is not the newest version",
                    (None, Some(_)) => "should not be there",
                    _ => continue,
                };
                verdict.differences.push(format!("{table} {id} at {name} {problem}"));
            }
            for (table, count) in holder.counts()? {
                let of_table = self.0.iter().filter(|((t, _), expected)| table == *t && expected[end].is_some());
                let expected = of_table.count() as u64;
                if count != expected {
                    verdict.differences.push(format!("{name} has {count} of {table}, not {expected}"));
                }
                let counts = verdict.counts.entry(table);
                counts.or_insert_with(|| ends.map(|(name, _)| (name, 0)).into()).insert(name, count);
            }
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sync_core::Replica;
    use sync_core::clock::SystemClock;
    use sync_core::storage::MemoryStorage;

    use super::*;
    use crate::seed::bulk_asset;

    /// A judge that cannot find a difference proves nothing.
    #[test]
    fn every_kind_of_difference_is_found() {
        let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(SystemClock::new()));
        let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
        replica.site_registry().unwrap();
        let records = replica.records();
        let put = |n| {
            let seed = bulk_asset("central", "S", n).unwrap();
            records.put("asset", [seed.data.clone()]).unwrap();
            seed
        };
        let (right, old, surplus) = (put(1), put(2), put(3));
        let missing = bulk_asset("central", "S", 4).unwrap();
        let mut ledger = Ledger::<1>::default();
        ledger.expect("asset", right.id.as_str(), &right.data, [true]);
        ledger.expect("asset", old.id.as_str(), &missing.data, [true]);
        ledger.expect("asset", missing.id.as_str(), &missing.data, [true]);
        ledger.expect("asset", surplus.id.as_str(), &surplus.data, [false]);
        put(5);
        assert_eq!(
            ledger.compare([("central", &records)]).unwrap().differences,
            [
                "asset asset-of-central-0002 at central is not the newest version",
                "asset asset-of-central-0003 at central should not be there",
                "asset asset-of-central-0004 at central is missing",
                "central has 4 of asset, not 3",
            ]
        );
    }
}
