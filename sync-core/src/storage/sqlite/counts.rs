//! The number of changelog rows of each audience, in parts of the changelog: the rows from a cursor on are the sum of
//! the later parts and a count within one part.

use super::txn::{HoldsConnection, SqliteTxn};
use crate::error::Result;

/// The most rows of a part. A count reads half of that on average, for any size of the changelog.
const PART_ROWS: i64 = 2048;

impl<C: HoldsConnection> SqliteTxn<C> {
    /// Counts a new row of an audience.
    pub(super) fn count_in(&self, audience: &str, cursor: i64) -> Result<()> {
        let known = self.counts.borrow().last(audience);
        let last = match known {
            Some(last) => Some(last),
            None => self.part_of(audience, i64::MAX)?,
        };
        let start = match last {
            // An existing row that has another audience now.
            Some((start, _)) if cursor < start => {
                self.part_of(audience, cursor)?.map_or_else(|| self.new_part(audience, cursor), |part| Ok(part.0))?
            }
            Some((start, rows)) if rows < PART_ROWS => {
                self.counts.borrow_mut().set_last(audience, (start, rows));
                start
            }
            _ => {
                self.counts.borrow_mut().set_last(audience, (cursor, 0));
                self.new_part(audience, cursor)?
            }
        };
        self.counts.borrow_mut().add(audience, start, 1);
        Ok(())
    }

    /// Removes a row of an audience from the counts.
    pub(super) fn count_out(&self, audience: &str, cursor: i64) -> Result<()> {
        if let Some((start, _)) = self.part_of(audience, cursor)? {
            self.counts.borrow_mut().add(audience, start, -1);
        }
        Ok(())
    }

    fn new_part(&self, audience: &str, start: i64) -> Result<i64> {
        self.execute("INSERT INTO sync_count (audience, start, rows) VALUES (?1, ?2, 0)", (audience, start))?;
        Ok(start)
    }

    /// The part of a cursor: its start and its rows, as far as they are written.
    fn part_of(&self, audience: &str, cursor: i64) -> Result<Option<(i64, i64)>> {
        let sql = "SELECT start, rows FROM sync_count WHERE audience = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1";
        self.first(sql, (audience, cursor), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Writes the counts.
    pub(super) fn write_counts(&self) -> Result<()> {
        for (audience, counts) in self.counts.take().into_audiences() {
            for (start, gained) in counts.pending {
                let sql = "UPDATE sync_count SET rows = rows + ?3 WHERE audience = ?1 AND start = ?2 RETURNING rows";
                let rows: Option<i64> = self.first(sql, (&audience, start, gained), |row| row.get(0))?;
                if gained < 0 {
                    self.tidy_part(&audience, start, rows.unwrap_or(0))?;
                }
            }
        }
        Ok(())
    }

    /// A part that has become small joins the one before it, so that the number of parts follows the number of rows.
    fn tidy_part(&self, audience: &str, start: i64, rows: i64) -> Result<()> {
        if rows > PART_ROWS / 4 {
            return Ok(());
        }
        let before = self.part_of(audience, start - 1)?.filter(|before| before.1 + rows <= PART_ROWS);
        if let Some((before, _)) = before {
            let sql = "UPDATE sync_count SET rows = rows + ?3 WHERE audience = ?1 AND start = ?2";
            self.execute(sql, (audience, before, rows))?;
        }
        if before.is_some() || rows == 0 {
            self.execute("DELETE FROM sync_count WHERE audience = ?1 AND start = ?2", (audience, start))?;
        }
        Ok(())
    }

    /// The rows of an audience at or after a cursor; `within` counts those up to the end of its part.
    pub(super) fn counted_from(
        &self,
        audience: &str,
        from: i64,
        within: impl FnOnce(i64) -> Result<u64>,
    ) -> Result<u64> {
        self.write_counts()?;
        let sql = "SELECT min(start), ifnull(sum(rows), 0) FROM sync_count WHERE audience = ?1 AND start > ?2";
        let later = self.first(sql, (audience, from), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (next, later): (Option<i64>, i64) = later.unwrap_or_default();
        let in_part = match self.part_of(audience, from)? {
            Some(_) => within(next.map_or(i64::MAX, |next| next - 1))?,
            None => 0,
        };
        Ok(in_part + later.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStorage;
    use crate::changelog::{Audience, ChangeAction, NewChange};
    use crate::clock::Timestamp;
    use crate::record::{Cursor, RecordData};
    use crate::storage::{Selection, Storage as _};

    /// A small generator (splitmix64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % end
        }

        fn change(&mut self) -> (NewChange, RecordData) {
            let id = self.below(9000);
            let (store, name) = (format!("S{}", self.below(2)), format!("p{}", self.below(40)));
            let is_join = id < 90;
            let change = NewChange {
                table: if is_join { "name_store_join" } else { "asset" }.into(),
                id: id.to_string().into(),
                action: ChangeAction::Upsert,
                store: (self.below(4) == 0).then(|| store.as_str().into()),
                name: Some(name.as_str().into()),
                source_site: None,
                is_sync_update: true,
                audience: match self.below(10) {
                    0..6 => Audience::Everyone,
                    6..8 => Audience::Store(store.as_str().into()),
                    _ => Audience::Patient,
                },
                changed_at: Timestamp::from_unix_millis(0),
            };
            let data = format!(r#"{{"name_ID":"{name}","store_ID":"{store}","inactive":{}}}"#, self.below(3) == 0);
            (change, RecordData::parse(data).unwrap())
        }
    }

    fn compare(storage: &SqliteStorage, random: &mut Random) {
        let txn = storage.read().unwrap();
        let newest = txn.last_cursor().unwrap().0;
        for stores in [vec![], vec!["S0".into()], vec!["S1".into()]] {
            let selection = Selection::ForSite { stores, except_from: None };
            for from in [0, random.below(newest), random.below(newest), newest, newest + 1].map(Cursor) {
                let rows = txn.changes(&selection, from, usize::MAX).unwrap().len();
                assert_eq!(txn.count_changes(&selection, from).unwrap(), rows as u64, "{selection:?} from {from}");
            }
        }
    }

    /// The number of rows of each audience, and the rows that each store sees.
    type StoredCounts = (Vec<(String, i64)>, Vec<(String, i64, i64)>);

    fn kept(storage: &SqliteStorage) -> StoredCounts {
        let connection = &storage.writer.lock().connection;
        let sql = "SELECT audience, sum(rows) FROM sync_count WHERE rows > 0 GROUP BY audience ORDER BY audience";
        let mut counts = connection.prepare(sql).unwrap();
        let counts = counts.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        let mut seen = connection.prepare("SELECT store_id, beside, cursor FROM sync_seen ORDER BY 1, 2, 3").unwrap();
        let seen = seen.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        (counts, seen.map(Result::unwrap).collect())
    }

    fn number_of_parts(storage: &SqliteStorage) -> i64 {
        let connection = &storage.writer.lock().connection;
        connection.query_row("SELECT count(*) FROM sync_count", (), |row| row.get(0)).unwrap()
    }

    /// Thousands of rows that are written, moved and deleted, in transactions of which some are rolled back.
    #[test]
    fn what_is_counted_is_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(folder.path().join("central.sqlite")).unwrap();
        let mut random = Random(7);
        for _ in 0..12 {
            let txn = storage.write().unwrap();
            for _ in 0..random.below(4000) {
                let (change, data) = random.change();
                match random.below(8) {
                    0 => txn.remove_record(&NewChange { action: ChangeAction::Delete, ..change }).unwrap(),
                    1 => txn.append_change(&change, None).unwrap(),
                    _ => txn.put_record(&data, &change).unwrap(),
                };
            }
            match random.below(4) {
                0 => drop(txn),
                _ => txn.commit().unwrap(),
            }
            compare(&storage, &mut random);
        }
        assert!(number_of_parts(&storage) > 5, "there is something to add up");
        let by_writing = kept(&storage);
        assert!(by_writing.1.len() > 500, "stores see patients");
        let (_, backfill) = include_str!("0002.sql").split_once("INSERT INTO sync_seen").unwrap();
        let sql = format!("DELETE FROM sync_seen; DELETE FROM sync_count; INSERT INTO sync_seen{backfill}");
        storage.writer.lock().connection.execute_batch(&sql).unwrap();
        assert_eq!(kept(&storage), by_writing, "a database of an older version gets the same");
        compare(&storage, &mut random);
    }

    #[test]
    fn parts_whose_rows_went_join_others() {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(folder.path().join("central.sqlite")).unwrap();
        let mut random = Random(1);
        // Each round moves all rows to the end of the changelog.
        for _ in 0..4 {
            let txn = storage.write().unwrap();
            for id in 0..5000 {
                let (change, data) = random.change();
                let change = NewChange { id: id.to_string().into(), table: "asset".into(), ..change };
                txn.put_record(&data, &NewChange { audience: Audience::Everyone, ..change }).unwrap();
            }
            txn.commit().unwrap();
            assert!(number_of_parts(&storage) <= 4, "{}", number_of_parts(&storage));
        }
        compare(&storage, &mut random);
    }
}
