//! Selections: their changes, with their data, and their number.

use postgres::Row;

use super::connection::Params;
use super::counts::PART;
use super::selection_sql::{IndexedPart, SelectionSql, with_parts};
use super::text::Text;
use super::txn::{Column, PostgresTxn, text, text_or_none};
use crate::changelog::{Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::sql::{cursor, data, limited, position, read_audience};
use crate::storage::{COUNTED_EXACTLY, ChangelogReads, Selection};

/// The columns of a change, of a table that is called `r`.
pub(super) const COLUMNS: &str = "r.cursor, r.table_name, r.record_id, r.store_id, r.name_id, r.source_site_id, r.is_sync_update, \
                                  r.audience, r.changed_at";

/// The row of a place `p`, found one by one: a plan that was made while a table was empty would read the whole of it.
const RECORD_AT: &str = "CROSS JOIN LATERAL (SELECT * FROM sync_record WHERE cursor = p.cursor LIMIT 1) r";
const TOMBSTONE_AT: &str = "CROSS JOIN LATERAL (SELECT * FROM sync_change WHERE cursor = p.cursor LIMIT 1) r";

pub(super) fn read_change(row: &Row, action: ChangeAction) -> Column<Change> {
    Ok(Change {
        cursor: cursor(row.try_get(0)?),
        change: NewChange {
            table: TableName::new(text(row, 1)?),
            id: RecordId::new(text(row, 2)?),
            action,
            store: text_or_none(row, 3)?.map(StoreId::new),
            name: text_or_none(row, 4)?.map(NameId::new),
            source_site: row.try_get::<_, Option<i32>>(5)?.map(SiteId),
            is_sync_update: row.try_get(6)?,
            audience: read_audience(text_or_none(row, 7)?.as_deref()),
            changed_at: Timestamp::from_unix_millis(row.try_get(8)?),
        },
    })
}

/// A change with its action in column 9.
fn read_row(row: &Row) -> Column<Change> {
    let is_deletion = row.try_get::<_, &str>(9)? == "delete";
    read_change(row, if is_deletion { ChangeAction::Delete } else { ChangeAction::Upsert })
}

/// A selected row with its data.
struct SelectedRow {
    change: Change,
    /// The data with which the record left.
    left_as: Option<String>,
    /// The data that it has now.
    now: Option<String>,
    /// False if its data were not read, because those before fill the batch.
    has_data: bool,
}

impl ChangelogReads for PostgresTxn<'_> {
    fn changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        let selected = SelectionSql::of(selection);
        let sql = format!(
            "WITH p AS MATERIALIZED ({}) \
             SELECT {COLUMNS}, 'upsert'::text FROM p {RECORD_AT} WHERE NOT p.is_tombstone \
             UNION ALL \
             SELECT {COLUMNS}, r.action FROM p {TOMBSTONE_AT} WHERE p.is_tombstone \
             ORDER BY 1",
            selected.places()
        );
        let (from, limit) = (position(from), limited(limit));
        let texts = selected.parameters();
        self.all(&sql, &with_parts(&[&from, &limit, &selected.except], &texts), read_row)
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
        for SelectedRow { change, left_as, now, has_data } in self.selected(selection, from, limit, bytes_max)? {
            if !has_data {
                break;
            }
            let read = match left_as {
                Some(left_as) if !self.is_still_for(selection, &change.change)? => {
                    Some(data(self.left_last(selection, &change.change)?.unwrap_or(left_as)))
                }
                _ => now.map(data),
            };
            bytes += read.as_ref().map_or(0, |data| data.as_str().len());
            if bytes > bytes_max && !rows.is_empty() {
                break;
            }
            rows.push((change, read));
        }
        Ok(rows)
    }

    fn count_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        let selected = SelectionSql::of(selection);
        let from = position(from);
        if let [part] = selected.parts.as_slice()
            && part.counted.is_none()
        {
            return self.count_all(&selected, from);
        }
        let (few, patients) = self.count_few(&selected, from)?;
        let mut total = patients.unwrap_or(0);
        for (part, few) in selected.parts.iter().zip(few) {
            total += match few {
                _ if part.of_patients && patients.is_some() => 0,
                Some(few) => few,
                None => self.counted_from(part, from)?,
            };
        }
        Ok(total)
    }

    fn last_cursor(&self) -> Result<Cursor> {
        Ok(cursor(self.newest()))
    }
}

impl PostgresTxn<'_> {
    /// The first rows with as many data as fit. A row whose record left a store is read, whatever its data: which of them count
    /// is found out later.
    fn selected(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<SelectedRow>> {
        let selected = SelectionSql::of(selection);
        let of_parts = selected.parameters();
        let after = format!("${}", of_parts.len() + 4);
        let sql = format!(
            "WITH p AS MATERIALIZED ({}), \
             r AS ( \
                 SELECT {COLUMNS}, 'upsert'::text AS action, NULL::text AS left_as, r.data AS now \
                 FROM p {RECORD_AT} WHERE NOT p.is_tombstone \
                 UNION ALL \
                 SELECT {COLUMNS}, r.action, r.data, n.data FROM p {TOMBSTONE_AT} \
                 LEFT JOIN sync_record n ON n.table_name = r.table_name AND n.record_id = r.record_id \
                 WHERE p.is_tombstone), \
             sized AS (SELECT *, CASE WHEN left_as IS NULL THEN coalesce(octet_length(now), 0) ELSE 0 END AS bytes FROM r), \
             summed AS (SELECT *, (sum(bytes) OVER (ORDER BY cursor) - bytes) <= {after}::bigint AS fits FROM sized) \
             SELECT {COLUMNS}, action, fits, CASE WHEN fits THEN left_as END, CASE WHEN fits THEN now END \
             FROM summed r ORDER BY cursor",
            selected.places()
        );
        let (from, limit, bytes_max) = (position(from), limited(limit), limited(bytes_max));
        let first: Params<'_> = &[&from, &limit, &selected.except];
        let mut params = with_parts(first, &of_parts);
        params.push(&bytes_max);
        self.all(&sql, &params, |row| {
            let (change, has_data) = (read_row(row)?, row.try_get(10)?);
            Ok(SelectedRow { change, has_data, left_as: row.try_get(11)?, now: row.try_get(12)? })
        })
    }

    /// Whether a record that left a store is for the site of a selection still, in another store or in none, or was when it was
    /// deleted.
    fn is_still_for(&self, selection: &Selection, change: &NewChange) -> Result<bool> {
        let sql = "SELECT audience, store_id FROM ( \
                       SELECT audience, store_id, 0 AS place, cursor FROM sync_record WHERE table_name = $1 AND record_id = $2 \
                       UNION ALL \
                       SELECT audience, store_id, 1, cursor FROM sync_change \
                       WHERE table_name = $1 AND record_id = $2 AND action = 'delete') r \
                   ORDER BY place, cursor DESC LIMIT 1";
        let params = (Text(change.table.as_str()), Text(change.id.as_str()));
        let newest =
            self.first(sql, &[&params.0, &params.1], |row| Ok((text_or_none(row, 0)?, text_or_none(row, 1)?)))?;
        Ok(newest
            .is_some_and(|(audience, store)| selection.is_for(&read_audience(audience.as_deref()), store.as_deref())))
    }

    /// The data with which a record was last not for the site of a selection any more, because it left the site's store or went
    /// into one after it was for every site: it may have gone from one to the other before, and the row that tells of that may
    /// be logged anew.
    fn left_last(&self, selection: &Selection, change: &NewChange) -> Result<Option<String>> {
        let sql = "SELECT audience, store_id, data FROM sync_change WHERE table_name = $1 AND record_id = $2 \
                   AND action = 'upsert' AND data IS NOT NULL ORDER BY coalesce(written, cursor) DESC";
        let params = (Text(change.table.as_str()), Text(change.id.as_str()));
        let rows = self.all(sql, &[&params.0, &params.1], |row| {
            Ok((text_or_none(row, 0)?, text_or_none(row, 1)?, row.try_get::<_, String>(2)?))
        })?;
        let of_site = |(audience, store, _): &(Option<String>, Option<String>, String)| {
            selection.is_for(&read_audience(audience.as_deref()), store.as_deref())
        };
        Ok(rows.into_iter().find(of_site).map(|(.., data)| data))
    }

    /// Counts each row of a selection that has no counts.
    fn count_all(&self, selected: &SelectionSql, from: i64) -> Result<u64> {
        let numbers = selected.numbers(1);
        let parts = selected.parts.iter().zip(numbers);
        let queries: Vec<String> =
            parts.flat_map(|(part, number)| part.queries(number, "1", "CURSOR >= $1", "")).collect();
        let sql = format!("SELECT count(*) FROM ({}) u", queries.join(" UNION ALL "));
        let of_parts = selected.parameters();
        let count = self.first(&sql, &with_parts(&[&from], &of_parts), |row| row.try_get::<_, i64>(0))?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    /// The number of rows of each part that has few, without those that are left out. Behind them, the number of rows about
    /// patients if several stores see some, and all together are few: a row that several stores see counts once.
    fn count_few(&self, selected: &SelectionSql, from: i64) -> Result<(Vec<Option<u64>>, Option<u64>)> {
        let unless = selected.unless(2);
        let limit = format!("LIMIT {COUNTED_EXACTLY}");
        let counts = |number: i64, rows: &str| {
            format!("SELECT {number}::bigint, count(*), count(*) FILTER (WHERE {unless}) FROM ({rows}) q")
        };
        let (mut all, mut of_patients) = (Vec::new(), Vec::new());
        for ((at, part), number) in (0..).zip(&selected.parts).zip(selected.numbers(2)) {
            let queries = part.queries(number, "CURSOR AS cursor, source_site_id", "CURSOR >= $1", &limit);
            all.extend(queries.iter().map(|rows| counts(at, rows)));
            if part.of_patients {
                of_patients.extend(queries);
            }
        }
        let has_together = of_patients.len() > 1;
        if has_together {
            let rows = of_patients.join(" UNION ALL ");
            all.push(counts(-1, &format!("SELECT DISTINCT cursor, source_site_id FROM ({rows}) d")));
        }
        let of_parts = selected.parameters();
        let rows = self.all(&all.join(" UNION ALL "), &with_parts(&[&from, &selected.except], &of_parts), |row| {
            let number = |index| row.try_get::<_, i64>(index).map(i64::unsigned_abs);
            Ok((row.try_get::<_, i64>(0)?, number(1)?, number(2)?))
        })?;
        let mut few: Vec<Option<u64>> = vec![Some(0); selected.parts.len()];
        let mut together = None;
        for (at, looked_at, count) in rows {
            let is_few = looked_at < COUNTED_EXACTLY;
            match usize::try_from(at).ok().and_then(|at| few.get_mut(at)) {
                Some(part) => *part = part.filter(|_| is_few).map(|sum| sum + count),
                None => together = Some(count).filter(|_| is_few),
            }
        }
        let all_few = selected.parts.iter().zip(&few).all(|(part, few)| !part.of_patients || few.is_some());
        Ok((few, together.filter(|_| all_few)))
    }

    /// The rows of a part at or after a cursor: those of the later parts of the changelog by their counts, those of its own one
    /// by one.
    fn counted_from(&self, part: &IndexedPart, from: i64) -> Result<u64> {
        self.write_counts()?;
        let at = from / PART;
        let end = at.saturating_add(1).saturating_mul(PART);
        let within = part.queries(5, "1", "CURSOR >= $3 AND CURSOR < $4", "");
        let within: Vec<String> = within.iter().map(|rows| format!("(SELECT count(*) FROM {rows} q)")).collect();
        let sql = format!(
            "SELECT coalesce((SELECT sum(rows) FROM sync_count WHERE audience = $1 AND part > $2), 0)::bigint + {}",
            within.join(" + ")
        );
        let counted = part.counted.as_deref().unwrap_or_default();
        let parameter = Text(part.parameter.as_deref().unwrap_or_default());
        let params = (Text(counted), at, from, end, parameter);
        let count =
            self.first(&sql, &[&params.0, &params.1, &params.2, &params.3, &params.4], |row| row.try_get::<_, i64>(0))?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}
