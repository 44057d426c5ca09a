//! Random histories against a plain list.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{data, deletion};
use sync_core::changelog::{Audience, Change, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{ReadTxn, Selection, Storage};

const TABLES: [&str; 3] = ["asset", "vaccination", "name_store_join"];
const STORES: [&str; 3] = ["A", "B", "C"];
const NAMES: [&str; 3] = ["p", "q", "r"];

/// A small generator: one seed, one history (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(3) > 0).then_some(value)
    }

    fn change(&mut self) -> NewChange {
        let store = self.one_of(&STORES);
        NewChange {
            table: self.one_of(&TABLES).into(),
            id: format!("{}", self.below(5)).into(),
            action: sync_core::changelog::ChangeAction::Upsert,
            store: self.maybe(store.into()),
            name: Some(self.one_of(&NAMES)).and_then(|name| self.maybe(name.into())),
            source_site: Some(self.below(3)).and_then(|site| self.maybe(SiteId(i32::try_from(site).unwrap()))),
            is_sync_update: self.below(2) == 0,
            audience: match self.below(5) {
                0 => Audience::Everyone,
                1 => Audience::Store(store.into()),
                2 => Audience::Patient,
                3 => Audience::Legacy,
                _ => Audience::Nobody,
            },
            changed_at: Timestamp::from_unix_millis(1_700_000_000_000 + self.below(1000) as i64),
        }
    }

    fn data_for(&mut self, change: &NewChange) -> RecordData {
        let (name, store) = (self.one_of(&NAMES), self.one_of(&STORES));
        let inactive = ["false", "true", "null"][self.below(3)];
        data(&match change.table.as_str() {
            "name_store_join" => {
                format!(r#"{{"name_ID":"{name}","store_ID":"{store}","inactive":{inactive}}}"#)
            }
            _ => format!("\"{}\"", "x".repeat(self.below(60))),
        })
    }

    fn selection(&mut self) -> Selection {
        match self.below(9) {
            0 => Selection::All,
            1 => Selection::Local,
            2 => Selection::Patient(self.one_of(&NAMES).into()),
            3 => Selection::Legacy,
            4 => Selection::Store(self.one_of(&STORES).into()),
            _ => {
                let stores = STORES.into_iter().filter(|_| self.below(2) == 0).map(StoreId::from).collect();
                let site = SiteId(i32::try_from(self.below(3)).unwrap());
                Selection::ForSite { stores, except_from: self.maybe(site) }
            }
        }
    }
}

type Place = (TableName, RecordId);

/// The expected content, as simple as possible.
#[derive(Clone, Default)]
struct Expected {
    records: BTreeMap<Place, RecordData>,
    /// Each row, and whether it is the own row of an existing record.
    rows: Vec<(Change, bool)>,
}

fn place(change: &NewChange) -> Place {
    (change.table.clone(), change.id.clone())
}

impl Expected {
    fn add(&mut self, cursor: Cursor, change: NewChange, own: bool) {
        self.rows.push((Change { cursor, change }, own));
    }

    /// Removes a record's own row if `own`, and its tombstone for the same store.
    fn supersede(&mut self, new: &NewChange, own: bool) {
        self.rows.retain(|(row, is_own)| {
            let same_store = row.change.store == new.store;
            place(&row.change) != place(new) || if *is_own { !own } else { !same_store }
        });
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> bool {
        self.records.iter().filter(|((table, _), _)| *table == *"name_store_join").any(|(_, data)| {
            let join: serde_json::Value = serde_json::from_str(data.as_str()).unwrap();
            let to_store = stores.iter().any(|store| join["store_ID"] == store.as_str());
            join["name_ID"] == name.as_str() && to_store && join["inactive"] != true
        })
    }

    fn is_selected(&self, selection: &Selection, row: &NewChange) -> bool {
        match selection {
            Selection::All => true,
            Selection::Local => !row.is_sync_update,
            Selection::Patient(name) => row.audience == Audience::Patient && row.name.as_ref() == Some(name),
            Selection::Store(store) => match &row.audience {
                Audience::Store(of) => of == store,
                Audience::Patient => {
                    row.name.as_ref().is_some_and(|name| self.is_visible(name, std::slice::from_ref(store)))
                }
                _ => false,
            },
            Selection::Legacy => row.audience == Audience::Legacy,
            Selection::ForSite { stores, except_from } => {
                let comes_from_it = except_from.is_some() && row.source_site == *except_from;
                let is_for_it = match &row.audience {
                    Audience::Everyone => true,
                    Audience::Store(store) => stores.contains(store),
                    Audience::Patient => row.name.as_ref().is_some_and(|name| self.is_visible(name, stores)),
                    Audience::Legacy | Audience::Nobody | Audience::LocalOnly => false,
                };
                is_for_it && !comes_from_it
            }
        }
    }

    fn selected(&self, selection: &Selection, from: Cursor) -> Vec<Change> {
        let rows = self.rows.iter().map(|(row, _)| row).filter(|row| row.cursor >= from);
        rows.filter(|row| self.is_selected(selection, &row.change)).cloned().collect()
    }

    fn changed_records(&self, rows: &[Change], limit: usize, bytes_max: usize) -> Vec<(Change, Option<RecordData>)> {
        let mut page = Vec::new();
        let mut bytes = 0;
        for row in rows.iter().take(limit) {
            let data = self.records.get(&place(&row.change)).cloned();
            bytes += data.as_ref().map_or(0, |data| data.as_str().len());
            if bytes > bytes_max && !page.is_empty() {
                break;
            }
            page.push((row.clone(), data));
        }
        page
    }
}

/// Plays a history of transactions, some of them rolled back, and compares after each.
pub(super) fn check_random_history(storage: &Arc<dyn Storage>, seed: u64) {
    let mut random = Random(seed);
    let mut expected = Expected::default();
    let mut newest = Cursor(0);
    for _ in 0..8 {
        let txn = storage.write().unwrap();
        let mut draft = expected.clone();
        let mut last = newest;
        for _ in 0..random.below(12) {
            let change = random.change();
            let cursor = match random.below(6) {
                0 | 1 => {
                    let change = deletion(&change);
                    draft.records.remove(&place(&change));
                    draft.supersede(&change, true);
                    let cursor = txn.remove_record(&change).unwrap();
                    draft.add(cursor, change, false);
                    cursor
                }
                2 if !draft.rows.iter().any(|(row, own)| {
                    let same = place(&row.change) == place(&change) && row.change.store == change.store;
                    *own && same
                }) =>
                {
                    draft.supersede(&change, false);
                    let cursor = txn.append_change(&change, None).unwrap();
                    draft.add(cursor, change, false);
                    cursor
                }
                _ => {
                    let data = random.data_for(&change);
                    draft.supersede(&change, true);
                    let cursor = txn.put_record(&data, &change).unwrap();
                    draft.records.insert(place(&change), data);
                    draft.add(cursor, change, true);
                    cursor
                }
            };
            assert!(cursor > last, "seed {seed}");
            last = cursor;
        }
        compare(txn.as_ref(), &draft, last, &mut random, seed);
        if random.below(4) == 0 {
            drop(txn);
        } else {
            txn.commit().unwrap();
            (expected, newest) = (draft, last);
        }
        compare(storage.read().unwrap().as_ref(), &expected, newest, &mut random, seed);
    }
}

fn compare<T: ReadTxn + ?Sized>(txn: &T, expected: &Expected, newest: Cursor, random: &mut Random, seed: u64) {
    assert_eq!(txn.last_cursor().unwrap(), newest, "seed {seed}");
    for table in TABLES.map(TableName::from) {
        let records = expected.records.iter().filter(|((of, _), _)| *of == table);
        let records: Vec<_> = records.map(|((_, id), data)| (id.clone(), data.clone())).collect();
        assert_eq!(txn.records(&table, None, usize::MAX).unwrap(), records, "seed {seed}");
    }
    for _ in 0..12 {
        let selection = random.selection();
        let from = Cursor(random.below(usize::try_from(newest.0).unwrap() + 3) as u64);
        let (limit, bytes) = (random.below(10), random.below(200));
        let rows = expected.selected(&selection, from);
        let told = format!("seed {seed}: {selection:?} from {from}, at most {limit} of {bytes} bytes");
        assert_eq!(txn.changes(&selection, from, usize::MAX).unwrap(), rows, "{told}");
        assert_eq!(txn.changes(&selection, from, limit).unwrap(), rows[..limit.min(rows.len())], "{told}");
        assert_eq!(txn.count_changes(&selection, from).unwrap(), rows.len() as u64, "{told}");
        let with_data = txn.changed_records(&selection, from, limit, bytes).unwrap();
        assert_eq!(with_data, expected.changed_records(&rows, limit, bytes), "{told}");
        let one = random.change();
        let edited = expected
            .rows
            .iter()
            .map(|(row, _)| row)
            .any(|row| place(&row.change) == place(&one) && row.cursor >= from && !row.change.is_sync_update);
        assert_eq!(txn.has_local_change(&one.table, &one.id, from).unwrap(), edited, "{told}");
    }
}
