//! Selections of many stores: a statement for each store would cost more than the rows. One statement finds the first row of
//! every part, and only parts whose turn comes are read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::changelog::{RECORD, TOMBSTONE};
use super::schema::TABLES;
use super::selection_parts::{RowPlace, SelectionPart};
use super::txn::{HoldsConnection, SqliteTxn};
use crate::error::Result;
use crate::storage::COUNTED_EXACTLY;

/// The number of parts from which this method is used. Fewer parts are read one after the other, each with the rows of a whole
/// batch.
pub(super) const MANY: usize = 16;

/// The number of rows that are read from a part at once.
const ROWS: usize = 32;

/// The rows of a part in one table, from its first one on.
struct Stream<'p> {
    part: &'p SelectionPart,
    table: usize,
    rows: VecDeque<RowPlace>,
}

/// The parts of one kind, with their parameters as a JSON array: SQLite walks it beside the index.
struct PartsOfKind<'p> {
    parts: Vec<&'p SelectionPart>,
    parameters: String,
    of_patients: bool,
}

impl<'p> PartsOfKind<'p> {
    /// The parts by audience, and the parts of the patients whom stores see.
    fn of(parts: &'p [SelectionPart]) -> [Self; 2] {
        [false, true].map(|of_patients| {
            let parts: Vec<_> = parts.iter().filter(|part| part.of_patients == of_patients).collect();
            let parameters: Vec<_> = parts.iter().map(|part| part.parameter.as_deref().unwrap_or_default()).collect();
            Self { parameters: serde_json::Value::from(parameters).to_string(), parts, of_patients }
        })
    }

    /// The rows of a table in the part with the parameter `j.value`, from a cursor (`?2`) on.
    fn rows_of_part(&self, table: usize) -> String {
        let name = TABLES[table];
        match self.of_patients {
            true => format!("sync_seen s WHERE s.store_id = j.value AND s.beside = {table} AND s.cursor >= ?2"),
            false => format!("{name} s WHERE s.audience = j.value AND s.cursor >= ?2"),
        }
    }

    /// The name of the part's counts.
    fn counted(&self) -> &'static str {
        if self.of_patients { "'patients of ' || j.value" } else { "j.value" }
    }
}

impl<C: HoldsConnection> SqliteTxn<C> {
    /// The places of the first rows of many parts, by cursor.
    pub(super) fn places_of_many(
        &self,
        parts: &[SelectionPart],
        except: Option<i32>,
        from: i64,
        limit: usize,
    ) -> Result<Vec<RowPlace>> {
        let mut streams: Vec<Stream<'_>> = Vec::new();
        let mut heads = BinaryHeap::new();
        for kind in PartsOfKind::of(parts) {
            for &table in self.tables_in_use()? {
                for (at, first) in self.first_of_each(&kind, table, except, from)? {
                    if let Some(part) = kind.parts.get(at) {
                        heads.push(Reverse((first, streams.len())));
                        streams.push(Stream { part, table, rows: VecDeque::new() });
                    }
                }
            }
        }
        let mut places: Vec<RowPlace> = Vec::new();
        while let Some(Reverse((head, number))) = heads.pop().filter(|_| places.len() < limit) {
            let Some(stream) = streams.get_mut(number) else { break };
            if stream.rows.is_empty() {
                stream.rows = self.rows_of_stream(stream, except, head)?;
            }
            let Some(place) = stream.rows.front().copied() else { continue };
            if place.0 > head {
                // Rows of other parts may come before this one.
                heads.push(Reverse((place.0, number)));
                continue;
            }
            stream.rows.pop_front();
            // Several stores may see one patient; the row counts once.
            if places.last() != Some(&place) {
                places.push(place);
            }
            let next = stream.rows.front().map_or(place.0 + 1, |next| next.0);
            heads.push(Reverse((next, number)));
        }
        Ok(places)
    }

    /// The tables that have rows.
    fn tables_in_use(&self) -> Result<&'static [usize]> {
        Ok(if self.any_tombstones()? { &[RECORD, TOMBSTONE] } else { &[RECORD] })
    }

    /// The cursor of the first row of each part that has one.
    fn first_of_each(
        &self,
        kind: &PartsOfKind<'_>,
        table: usize,
        except: Option<i32>,
        from: i64,
    ) -> Result<Vec<(usize, i64)>> {
        let unless = if except.is_some() { "AND s.source_site_id IS NOT ?3" } else { "AND ?3 IS NULL" };
        let rows = kind.rows_of_part(table);
        let sql = format!(
            "SELECT * FROM (SELECT j.key, (SELECT s.cursor FROM {rows} {unless} ORDER BY s.cursor LIMIT 1) AS first \
             FROM json_each(?1) j) WHERE first IS NOT NULL"
        );
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
        let found = self.all(&sql, (&kind.parameters, from, except), read)?;
        Ok(found.into_iter().filter_map(|(at, first)| Some((usize::try_from(at).ok()?, first))).collect())
    }

    fn rows_of_stream(&self, stream: &Stream<'_>, except: Option<i32>, from: i64) -> Result<VecDeque<RowPlace>> {
        let &Stream { part, table, .. } = stream;
        let rowid = if part.of_patients { "s.cursor, r.rowid" } else { "s.cursor, s.rowid" };
        let params = (from, &part.parameter, except, i64::MAX, ROWS as i64);
        let rows = self.all(&part.sql(table, rowid, except), params, |row| Ok((row.get(0)?, table, row.get(1)?)))?;
        Ok(rows.into())
    }

    /// The number of rows of many parts. It is exact if the total is small. Otherwise it also counts rows that came from `except`,
    /// and counts the row of a patient once for each store that sees the patient.
    pub(super) fn number_of_many(&self, parts: &[SelectionPart], except: Option<i32>, from: i64) -> Result<u64> {
        self.write_counts()?;
        let mut total = 0;
        for kind in PartsOfKind::of(parts) {
            let counted = kind.counted();
            let later = format!(
                "SELECT ifnull(sum(c.rows), 0) FROM json_each(?1) j CROSS JOIN sync_count c \
                 WHERE c.audience = {counted} AND c.start > ?2"
            );
            total += self.number(&later, (&kind.parameters, from))?;
            for &table in self.tables_in_use()? {
                let rows = kind.rows_of_part(table);
                let sql = format!(
                    "SELECT ifnull(sum((SELECT count(*) FROM {rows} AND s.cursor < ifnull((SELECT min(c.start) \
                     FROM sync_count c WHERE c.audience = {counted} AND c.start > ?2), {}))), 0) FROM json_each(?1) j",
                    i64::MAX
                );
                total += self.number(&sql, (&kind.parameters, from))?;
            }
        }
        if total >= COUNTED_EXACTLY {
            return Ok(total);
        }
        let places = self.places_of_many(parts, except, from, usize::MAX)?;
        Ok(places.len() as u64)
    }

    fn number(&self, sql: &str, params: impl rusqlite::Params) -> Result<u64> {
        Ok(self.first(sql, params, |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStorage;
    use crate::changelog::{Audience, Change, ChangeAction, NewChange};
    use crate::clock::Timestamp;
    use crate::record::{Cursor, RecordData, SiteId, StoreId};
    use crate::storage::{ChangelogReads, Selection, Storage as _};

    const STORES: u64 = 40;

    /// A changelog with rows for everyone, for forty stores, and for twenty patients whom up to six stores see. A tenth of the rows
    /// are deletes.
    fn changelog() -> (SqliteStorage, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(folder.path().join("central.sqlite")).unwrap();
        let txn = storage.write().unwrap();
        let write = |table: &str, id: String, (audience, name): (Audience, String), data: String, number: u64| {
            let store = match &audience {
                Audience::Store(store) => Some(store.clone()),
                _ => None,
            };
            let change = NewChange {
                table: table.into(),
                id: id.as_str().into(),
                action: ChangeAction::Upsert,
                store,
                name: Some(name.as_str().into()),
                source_site: number.is_multiple_of(3).then_some(SiteId(7)),
                is_sync_update: true,
                audience,
                changed_at: Timestamp::from_unix_millis(0),
            };
            txn.put_record(&RecordData::parse(data).unwrap(), &change).unwrap();
            if number % 10 == 9 {
                txn.remove_record(&NewChange { action: ChangeAction::Delete, ..change }).unwrap();
            }
        };
        for number in 0..120 {
            let (name, store) = (format!("p{}", number % 20), format!("S{}", number % STORES));
            let data = format!(r#"{{"name_ID":"{name}","store_ID":"{store}","inactive":false}}"#);
            write("name_store_join", format!("j{number}"), (Audience::Nobody, name), data, 1);
        }
        for number in 0..3000 {
            let (store, name) = (format!("S{}", number * 7 % STORES), format!("p{}", number * 11 % 20));
            let audience = match number % 5 {
                0 => Audience::Everyone,
                1 | 2 => Audience::Store(store.as_str().into()),
                _ => Audience::Patient,
            };
            write("asset", format!("a{number}"), (audience, name), "{}".to_owned(), number);
        }
        txn.commit().unwrap();
        (storage, folder)
    }

    fn of_stores(stores: impl Iterator<Item = u64>, except_from: Option<SiteId>) -> Selection {
        Selection::ForSite { stores: stores.map(|n| StoreId::new(format!("S{n}"))).collect(), except_from }
    }

    /// The same rows, read for three stores at a time and put together.
    fn by_few(txn: &dyn ChangelogReads, stores: u64, except: Option<SiteId>, from: Cursor) -> Vec<Change> {
        let few = (0..stores).step_by(3).flat_map(|first| {
            let selection = of_stores(first..(first + 3).min(stores), except);
            txn.changes(&selection, from, usize::MAX).unwrap()
        });
        let mut rows: Vec<Change> = few.collect();
        rows.sort_by_key(|row| row.cursor);
        rows.dedup_by_key(|row| row.cursor);
        rows
    }

    #[test]
    fn a_selection_of_many_stores_returns_the_rows_of_each_in_order() {
        let (storage, _folder) = changelog();
        let txn = storage.read().unwrap();
        let newest = txn.last_cursor().unwrap().0;
        for stores in [20, STORES] {
            for except in [None, Some(SiteId(7))] {
                for from in [0, newest / 3, newest - 40, newest + 1].map(Cursor) {
                    let selection = of_stores(0..stores, except);
                    let wanted = by_few(txn.as_ref(), stores, except, from);
                    assert!(!wanted.is_empty() || from.0 > newest);
                    for limit in [1, 33, 500, usize::MAX] {
                        let found = txn.changes(&selection, from, limit).unwrap();
                        let is_same = found == wanted[..wanted.len().min(limit)];
                        assert!(is_same, "{stores} stores from {from}, {limit}: {} rows", found.len());
                    }
                    let counted = txn.count_changes(&selection, from).unwrap();
                    let is_exact = counted == wanted.len() as u64;
                    assert!(is_exact || counted > crate::storage::COUNTED_EXACTLY, "{counted} of {}", wanted.len());
                    assert!(counted >= wanted.len() as u64);
                }
            }
        }
    }
}
