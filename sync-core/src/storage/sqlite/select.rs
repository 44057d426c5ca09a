//! Selections: walks an index for each audience, and merges the rows by cursor.

use std::collections::BTreeSet;

use rusqlite::Row;

use super::changelog::{RECORD, TOMBSTONE};
use super::schema::TABLES;
use super::select_many::MANY;
use super::selection_parts::{RowPlace, SelectionPart, except_from, parts};
use super::txn::{HoldsConnection, SqliteTxn};
use crate::changelog::{Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::sql::{cursor, data, position, read_audience};
use crate::storage::{COUNTED_EXACTLY, ChangelogReads, RecordReads as _, Selection};

/// A row with its record's data. Of a tombstone the data are not read yet: only its rowid.
enum FoundRow {
    Record(Change, Option<RecordData>),
    Tombstone(RowPlace),
}

impl FoundRow {
    fn cursor(&self) -> i64 {
        match self {
            Self::Record(change, _) => position(change.cursor),
            Self::Tombstone((cursor, ..)) => *cursor,
        }
    }
}

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "cursor, table_name, record_id, store_id, name_id, source_site_id, is_sync_update, audience, changed_at",
            $after
        )
    };
}

pub(super) const COLUMNS: &str = columns!("", "");
const COLUMNS_AND_DATA: &str = columns!("", ", data");
const RECORD_AT: &str = columns!("SELECT ", " FROM sync_record WHERE rowid = ?1");
const RECORD_AT_WITH_DATA: &str = columns!("SELECT ", ", data FROM sync_record WHERE rowid = ?1");
const TOMBSTONE_AT: &str = columns!("SELECT ", ", action FROM sync_change WHERE rowid = ?1");

pub(super) fn read_change(row: &Row<'_>, action: ChangeAction) -> rusqlite::Result<Change> {
    Ok(Change {
        cursor: cursor(row.get(0)?),
        change: NewChange {
            table: TableName::new(row.get::<_, String>(1)?),
            id: RecordId::new(row.get::<_, String>(2)?),
            action,
            store: row.get::<_, Option<String>>(3)?.map(StoreId::new),
            name: row.get::<_, Option<String>>(4)?.map(NameId::new),
            source_site: row.get::<_, Option<i32>>(5)?.map(SiteId),
            is_sync_update: row.get(6)?,
            audience: read_audience(row.get::<_, Option<String>>(7)?.as_deref()),
            changed_at: Timestamp::from_unix_millis(row.get(8)?),
        },
    })
}

fn read_action(text: &str) -> ChangeAction {
    if text == "delete" { ChangeAction::Delete } else { ChangeAction::Upsert }
}

/// The row of a record, with the JSON of its data if that was asked for.
fn read_record(row: &Row<'_>, with_data: bool) -> rusqlite::Result<(Change, Option<String>)> {
    let json = if with_data { row.get(9)? } else { None };
    Ok((read_change(row, ChangeAction::Upsert)?, json))
}

impl<C: HoldsConnection> ChangelogReads for SqliteTxn<C> {
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        let rows = self.rows(selection, from, (limit, usize::MAX), false)?;
        let change = |row| match row {
            FoundRow::Record(change, _) => Ok(change),
            FoundRow::Tombstone(place) => self.change_at(place),
        };
        rows.into_iter().map(change).collect()
    }

    fn changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in self.rows(selection, from, (limit, bytes_max), true)? {
            let (change, data) = match row {
                FoundRow::Record(change, data) => (change, data),
                FoundRow::Tombstone(place) => {
                    let change = self.change_at(place)?;
                    let data = match self.left_as(place.2)? {
                        Some(left_as) if !self.is_still_for(selection, &change.change)? => {
                            Some(self.left_last(selection, &change.change)?.unwrap_or(left_as))
                        }
                        _ => self.record(&change.change.table, &change.change.id)?,
                    };
                    (change, data)
                }
            };
            bytes += data.as_ref().map_or(0, |data| data.as_str().len());
            if bytes > bytes_max && !rows.is_empty() {
                break;
            }
            rows.push((change, data));
        }
        Ok(rows)
    }

    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        let parts = parts(selection);
        if parts.len() >= MANY {
            return self.number_of_many(&parts, except_from(selection), position(from));
        }
        let patients = parts.iter().filter(|part| part.of_patients);
        let mut total = self.number_of_patients(patients.collect(), except_from(selection), position(from))?;
        for part in parts.iter().filter(|part| !part.of_patients) {
            total += self.number_of(part, except_from(selection), position(from))?;
        }
        Ok(total)
    }

    fn count_local_edits(&self, from: Cursor, end: Cursor) -> Result<Vec<(TableName, ChangeAction, u64)>> {
        let mut counts: Vec<(TableName, ChangeAction, u64)> = Vec::new();
        for (of, action) in TABLES.iter().zip(["'upsert'", "action"]) {
            // Without the name of the index, SQLite might walk all records by table.
            let sql = format!(
                "SELECT table_name, {action} FROM {of} INDEXED BY {of}_local \
                 WHERE is_sync_update = 0 AND cursor >= ?1 AND cursor < ?2"
            );
            self.all(&sql, (position(from), position(end)), |row| {
                let (table, action) = (row.get_ref(0)?.as_str()?, read_action(row.get_ref(1)?.as_str()?));
                match counts.iter_mut().find(|(of, same, _)| of.as_str() == table && *same == action) {
                    Some((.., count)) => *count += 1,
                    None => counts.push((TableName::from(table), action, 1)),
                }
                Ok(())
            })?;
        }
        Ok(counts)
    }

    fn last_cursor(&self) -> Result<Cursor> {
        self.newest().map(cursor)
    }
}

impl<C: HoldsConnection> SqliteTxn<C> {
    /// The first rows of a selection, by cursor; of records those of at most so many bytes, and the next one.
    fn rows(
        &self,
        selection: &Selection,
        from: Cursor,
        (limit, bytes_max): (usize, usize),
        with_data: bool,
    ) -> Result<Vec<FoundRow>> {
        if position(from) > self.newest()? {
            return Ok(Vec::new());
        }
        if let [part] = parts(selection).as_slice() {
            let except = except_from(selection);
            return self.rows_of_part((part, except), from, (limit, bytes_max), with_data);
        }
        let mut rows = Vec::new();
        let mut bytes = 0;
        for place in self.places(selection, from, limit)? {
            let row = match place.1 {
                TOMBSTONE => FoundRow::Tombstone(place),
                _ => self.record_at(place, with_data)?,
            };
            if let FoundRow::Record(_, Some(data)) = &row {
                bytes += data.as_str().len();
            }
            rows.push(row);
            if bytes > bytes_max {
                break;
            }
        }
        Ok(rows)
    }

    /// The same of a selection of one part, in one statement for each table.
    fn rows_of_part(
        &self,
        (part, except): (&SelectionPart, Option<i32>),
        from: Cursor,
        (limit, bytes_max): (usize, usize),
        with_data: bool,
    ) -> Result<Vec<FoundRow>> {
        let parameters = |end: i64| (position(from), &part.parameter, except, end, limit as i64);
        let columns = if with_data { COLUMNS_AND_DATA } else { COLUMNS };
        let mut left = Some(bytes_max);
        let records = self.all_while(
            &part.sql(RECORD, columns, except),
            parameters(i64::MAX),
            |row| read_record(row, with_data),
            |(_, json)| {
                // The row that exceeds the limit is the last.
                let is_wanted = left.is_some();
                left = left.and_then(|left| left.checked_sub(json.as_ref().map_or(0, String::len)));
                is_wanted
            },
        )?;
        let mut rows = Vec::with_capacity(records.len());
        for (change, json) in records {
            rows.push(FoundRow::Record(change, json.map(data)));
        }
        let is_cut = rows.len() >= limit || left.is_none();
        let end = rows.last().filter(|_| is_cut).map_or(i64::MAX, FoundRow::cursor);
        let tombstones = self.all(&part.sql(TOMBSTONE, "s.cursor, s.rowid", except), parameters(end), |row| {
            Ok(FoundRow::Tombstone((row.get(0)?, TOMBSTONE, row.get(1)?)))
        })?;
        if !tombstones.is_empty() {
            rows.extend(tombstones);
            rows.sort_by_key(FoundRow::cursor);
            rows.truncate(limit);
        }
        Ok(rows)
    }

    fn record_at(&self, (_, _, rowid): RowPlace, with_data: bool) -> Result<FoundRow> {
        let sql = if with_data { RECORD_AT_WITH_DATA } else { RECORD_AT };
        let found = self.first(sql, [rowid], |row| read_record(row, with_data))?;
        // The place was found in this transaction.
        let what = || format!("row {rowid} of sync_record");
        let (change, json) = found.ok_or_else(|| crate::Error::DamagedState { what: what() })?;
        Ok(FoundRow::Record(change, json.map(data)))
    }

    /// The places of the first rows of a selection, by cursor.
    fn places(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<RowPlace>> {
        let mut places: Vec<RowPlace> = Vec::new();
        let except = except_from(selection);
        let parts = parts(selection);
        if parts.len() >= MANY {
            return self.places_of_many(&parts, except, position(from), limit);
        }
        for part in parts {
            for table in [RECORD, TOMBSTONE] {
                // Rows after the last one of a full batch cannot be part of it.
                let end = if places.len() < limit { i64::MAX } else { places.last().map_or(i64::MIN, |last| last.0) };
                let rowid = if part.of_patients { "s.cursor, r.rowid" } else { "s.cursor, s.rowid" };
                let sql = part.sql(table, rowid, except);
                let rows: Vec<RowPlace> =
                    self.all(&sql, (position(from), &part.parameter, except, end, limit as i64), |row| {
                        Ok((row.get(0)?, table, row.get(1)?))
                    })?;
                if !rows.is_empty() {
                    places.extend(rows);
                    places.sort_unstable();
                    places.dedup();
                    places.truncate(limit);
                }
            }
        }
        Ok(places)
    }

    /// The row of a tombstone.
    fn change_at(&self, (_, _, rowid): RowPlace) -> Result<Change> {
        let found =
            self.first(TOMBSTONE_AT, [rowid], |row| read_change(row, read_action(row.get_ref(9)?.as_str()?)))?;
        // The place was found in this transaction.
        found.ok_or_else(|| crate::Error::DamagedState { what: format!("row {rowid} of sync_change") })
    }

    /// Whether a record that left a store is for the site of a selection still, in another store or in none, or was when it was
    /// deleted.
    fn is_still_for(&self, selection: &Selection, change: &NewChange) -> Result<bool> {
        let stored = "SELECT audience, store_id FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        let deleted = "SELECT audience, store_id FROM sync_change WHERE table_name = ?1 AND record_id = ?2 \
                       AND action = 'delete' ORDER BY cursor DESC LIMIT 1";
        for sql in [stored, deleted] {
            let found: Option<(Option<String>, Option<String>)> =
                self.first(sql, [change.table.as_str(), change.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if let Some((audience, store)) = found {
                return Ok(selection.is_for(&read_audience(audience.as_deref()), store.as_deref()));
            }
        }
        Ok(false)
    }

    /// The data with which a record was last not for the site of a selection any more, because it left the site's store or went
    /// into one after it was for every site: it may have gone from one to the other before, and the row that tells of that may
    /// be logged anew.
    fn left_last(&self, selection: &Selection, change: &NewChange) -> Result<Option<RecordData>> {
        let sql = "SELECT audience, store_id, rowid FROM sync_change WHERE table_name = ?1 AND record_id = ?2 \
                   AND action = 'upsert' AND data IS NOT NULL ORDER BY ifnull(written, cursor) DESC";
        let rows: Vec<(Option<String>, Option<String>, i64)> =
            self.all(sql, [change.table.as_str(), change.id.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let of_site = |(audience, store, _): &&(Option<String>, Option<String>, i64)| {
            selection.is_for(&read_audience(audience.as_deref()), store.as_deref())
        };
        rows.iter().find(of_site).map_or(Ok(None), |(.., rowid)| self.left_as(*rowid))
    }

    /// The data that a record had when it left a store, if stored.
    pub(super) fn left_as(&self, rowid: i64) -> Result<Option<RecordData>> {
        let found: Option<Option<String>> =
            self.first("SELECT data FROM sync_change WHERE rowid = ?1", [rowid], |row| row.get(0))?;
        Ok(found.flatten().map(data))
    }

    /// The number of rows of one part. If rows are left out, only the first thousands are checked one by one: of the
    /// rest all are counted.
    fn number_of(&self, part: &SelectionPart, except: Option<i32>, from: i64) -> Result<u64> {
        let count_to = |end: i64| {
            let mut total = 0;
            for table in [RECORD, TOMBSTONE] {
                let rows = part.sql(table, "1", None);
                let sql = format!("SELECT count(*) FROM ({rows})");
                let params = (from, &part.parameter, None::<i32>, end, i64::MAX);
                total += self.first(&sql, params, |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs();
            }
            Ok(total)
        };
        let Some(counted) = &part.counted else { return count_to(i64::MAX) };
        if let Some(except) = except
            && let Some(total) = self.count_few(part, except, from)?
        {
            return Ok(total);
        }
        self.counted_from(counted, from, count_to)
    }

    /// The number of rows that did not come from a site, if there are few rows altogether.
    fn count_few(&self, part: &SelectionPart, except: i32, from: i64) -> Result<Option<u64>> {
        let mut total = 0;
        for table in [RECORD, TOMBSTONE] {
            // The site is in the query, not in the condition, because its own rows have to be read too, up to the
            // limit.
            let rows = part.sql(table, "s.source_site_id IS NOT ?6 AS counts", None);
            let sql = format!("SELECT count(*), ifnull(sum(counts), 0) FROM ({rows})");
            let params = (from, &part.parameter, None::<i32>, i64::MAX, COUNTED_EXACTLY as i64, except);
            let (looked_at, count): (i64, i64) =
                self.first(&sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or_default();
            if looked_at.unsigned_abs() >= COUNTED_EXACTLY {
                return Ok(None);
            }
            total += count.unsigned_abs();
        }
        Ok(Some(total))
    }

    /// The number of rows about patients. A row that several stores see counts once as long as there are few.
    fn number_of_patients(&self, parts: Vec<&SelectionPart>, except: Option<i32>, from: i64) -> Result<u64> {
        if parts.len() > 1 {
            let mut cursors = BTreeSet::new();
            let mut are_few = true;
            for (part, table) in parts.iter().flat_map(|part| [(part, RECORD), (part, TOMBSTONE)]) {
                let sql = part.sql(table, "s.cursor, s.source_site_id IS NOT ?6", None);
                let params = (from, &part.parameter, None::<i32>, i64::MAX, COUNTED_EXACTLY as i64, except);
                let rows: Vec<(i64, bool)> = self.all(&sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
                are_few &= (rows.len() as u64) < COUNTED_EXACTLY;
                cursors.extend(rows.into_iter().filter(|row| except.is_none() || row.1).map(|row| row.0));
                if !are_few || cursors.len() as u64 >= COUNTED_EXACTLY {
                    are_few = false;
                    break;
                }
            }
            if are_few {
                return Ok(cursors.len() as u64);
            }
        }
        parts.into_iter().map(|part| self.number_of(part, except, from)).sum()
    }
}
