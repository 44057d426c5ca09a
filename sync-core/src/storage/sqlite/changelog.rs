//! The changelog: a record carries its newest change itself; deletions and former stores stand beside. Selected by
//! walking an index for each audience.

use std::collections::BTreeSet;

use rusqlite::{Row, ToSql};

use super::records::data;
use super::txn::{Holds, SqliteTxn};
use crate::changelog::{Audience, Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::Selection;

/// The tables that make up the changelog.
const TABLES: [&str; 2] = ["sync_record", "sync_change"];
const DELETED_OR_LEFT: usize = 1;

/// An audience as it is stored; `None` for nobody.
fn audience_text(audience: &Audience) -> Option<String> {
    Some(match audience {
        Audience::Everyone => "everyone".to_owned(),
        Audience::Patient => "patient".to_owned(),
        Audience::Legacy => "legacy".to_owned(),
        Audience::Store(store) => format!("store {store}"),
        Audience::Nobody => return None,
    })
}

fn read_audience(text: Option<String>) -> Audience {
    match text.as_deref() {
        Some("everyone") => Audience::Everyone,
        Some("patient") => Audience::Patient,
        Some("legacy") => Audience::Legacy,
        Some(text) => text.strip_prefix("store ").map_or(Audience::Nobody, |id| Audience::Store(StoreId::from(id))),
        None => Audience::Nobody,
    }
}

/// SQLite's integers are signed; a position beyond them is beyond every row.
fn position(cursor: Cursor) -> i64 {
    i64::try_from(cursor.0).unwrap_or(i64::MAX)
}

fn cursor(position: i64) -> Cursor {
    Cursor(u64::try_from(position).unwrap_or(0))
}

/// Where a selected row is: its cursor, its table's index and its rowid.
type Place = (i64, usize, i64);

const COLUMNS: &str =
    "cursor, table_name, record_id, store_id, name_id, source_site_id, is_sync_update, audience, changed_at";

fn read_change(row: &Row<'_>, action: ChangeAction) -> rusqlite::Result<Change> {
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
            audience: read_audience(row.get(7)?),
            changed_at: Timestamp::from_unix_millis(row.get(8)?),
        },
    })
}

/// One walk along an index: a condition and its parameter.
struct Walk {
    condition: &'static str,
    parameter: Option<Box<dyn ToSql>>,
    /// Whether each row's name must be visible in the site's stores.
    by_visibility: bool,
}

impl Walk {
    fn new(condition: &'static str) -> Self {
        Self { condition, parameter: None, by_visibility: false }
    }

    fn with(self, parameter: impl ToSql + 'static) -> Self {
        Self { parameter: Some(Box::new(parameter)), ..self }
    }

    fn audience(audience: &Audience) -> Self {
        Self::new("audience = ?2").with(audience_text(audience))
    }
}

/// The walks whose rows make up a selection. No row is in two of them.
fn walks(selection: &Selection) -> Vec<Walk> {
    match selection {
        Selection::All => vec![Walk::new("?2 IS NULL")],
        Selection::Local => vec![Walk::new("is_sync_update = 0 AND ?2 IS NULL")],
        Selection::Patient(name) => {
            vec![Walk::new("name_id = ?2 AND audience = 'patient'").with(name.as_str().to_owned())]
        }
        Selection::Legacy => vec![Walk::audience(&Audience::Legacy)],
        Selection::ForSite { stores, .. } => {
            let mut walks = vec![Walk::audience(&Audience::Everyone)];
            // A store that is named twice is walked once.
            let stores: BTreeSet<_> = stores.iter().collect();
            walks.extend(stores.into_iter().map(|store| Walk::audience(&Audience::Store(store.clone()))));
            walks.push(Walk { by_visibility: true, ..Walk::audience(&Audience::Patient) });
            walks
        }
    }
}

fn except_from(selection: &Selection) -> Option<i32> {
    match selection {
        Selection::ForSite { except_from, .. } => except_from.map(|site| site.0),
        _ => None,
    }
}

/// The condition that leaves out the rows of one site; absent where none is left out, so that the index alone answers.
fn unless_from(except: Option<i32>) -> &'static str {
    if except.is_some() { "AND source_site_id IS NOT ?3" } else { "AND ?3 IS NULL" }
}

impl<C: Holds> SqliteTxn<C> {
    pub(super) fn write_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        let sql = "INSERT INTO sync_record (table_name, record_id, data, cursor, store_id, name_id, source_site_id, \
                   is_sync_update, audience, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                   ON CONFLICT (table_name, record_id) DO UPDATE SET data = excluded.data, cursor = excluded.cursor, \
                   store_id = excluded.store_id, name_id = excluded.name_id, source_site_id = excluded.source_site_id, \
                   is_sync_update = excluded.is_sync_update, audience = excluded.audience, \
                   changed_at = excluded.changed_at";
        let next = self.next_cursor()?;
        let store = change.store.as_ref().map(StoreId::as_str);
        let params = (
            change.table.as_str(),
            change.id.as_str(),
            data.as_str(),
            next,
            store,
            change.name.as_ref().map(NameId::as_str),
            change.source_site.map(|site| site.0),
            change.is_sync_update,
            audience_text(&change.audience),
            change.changed_at.unix_millis(),
        );
        self.execute(sql, params)?;
        if !self.any_beside()? {
            return Ok(cursor(next));
        }
        let superseded = "DELETE FROM sync_change WHERE table_name = ?1 AND record_id = ?2 \
                          AND ifnull(store_id, '') = ifnull(?3, '')";
        self.execute(superseded, (change.table.as_str(), change.id.as_str(), store))?;
        Ok(cursor(next))
    }

    pub(super) fn delete_record(&self, change: &NewChange) -> Result<Cursor> {
        let sql = "DELETE FROM sync_record WHERE table_name = ?1 AND record_id = ?2";
        self.execute(sql, [change.table.as_str(), change.id.as_str()])?;
        self.add_change(change)
    }

    pub(super) fn add_change(&self, change: &NewChange) -> Result<Cursor> {
        let sql = "INSERT OR REPLACE INTO sync_change (table_name, record_id, action, cursor, store_id, name_id, \
                   source_site_id, is_sync_update, audience, changed_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let next = self.next_cursor()?;
        let params = (
            change.table.as_str(),
            change.id.as_str(),
            match change.action {
                ChangeAction::Upsert => "upsert",
                ChangeAction::Delete => "delete",
            },
            next,
            change.store.as_ref().map(StoreId::as_str),
            change.name.as_ref().map(NameId::as_str),
            change.source_site.map(|site| site.0),
            change.is_sync_update,
            audience_text(&change.audience),
            change.changed_at.unix_millis(),
        );
        self.execute(sql, params)?;
        self.any_beside.set(Some(true));
        Ok(cursor(next))
    }

    pub(super) fn make_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        for of in TABLES {
            let sql = format!("UPDATE {of} SET is_sync_update = 1 WHERE table_name = ?1 AND record_id = ?2");
            self.execute(&sql, (table.as_str(), id.as_str()))?;
        }
        Ok(())
    }

    /// Whether any row stands in `sync_change` at all; in a first sync none does.
    fn any_beside(&self) -> Result<bool> {
        if let Some(known) = self.any_beside.get() {
            return Ok(known);
        }
        let any = self.first("SELECT 1 FROM sync_change LIMIT 1", (), |_| Ok(()))?.is_some();
        self.any_beside.set(Some(any));
        Ok(any)
    }

    pub(super) fn select_changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        self.places(selection, from, limit)?.into_iter().map(|place| self.change_at(place)).collect()
    }

    pub(super) fn select_changed_records(
        &self,
        selection: &Selection,
        from: Cursor,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Change, Option<RecordData>)>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for place in self.places(selection, from, limit)? {
            let change = self.change_at(place)?;
            let data = match place.1 {
                DELETED_OR_LEFT => self.get_record(&change.change.table, &change.change.id)?,
                _ => self.data_at(place.2)?,
            };
            bytes += data.as_ref().map_or(0, |data| data.as_str().len());
            if bytes > bytes_max && !rows.is_empty() {
                break;
            }
            rows.push((change, data));
        }
        Ok(rows)
    }

    /// Where the first rows of a selection are, by cursor.
    fn places(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for walk in walks(selection) {
            for table in 0..TABLES.len() {
                self.walk(&walk, table, selection, (from, limit), &mut places)?;
            }
        }
        places.sort_unstable();
        places.truncate(limit);
        Ok(places)
    }

    fn walk(
        &self,
        walk: &Walk,
        table: usize,
        selection: &Selection,
        (from, limit): (Cursor, usize),
        places: &mut Vec<Place>,
    ) -> Result<()> {
        let except = except_from(selection);
        let name = if walk.by_visibility { "name_id" } else { "NULL" };
        let sql = format!(
            "SELECT cursor, rowid, {name} FROM {} WHERE cursor >= ?1 AND {} {} ORDER BY cursor LIMIT ?4",
            TABLES[table],
            walk.condition,
            unless_from(except)
        );
        let mut next = position(from);
        let mut found = 0;
        // Rows that are not visible are passed over, so a walk may take several turns to fill its share.
        while found < limit {
            let wanted = limit - found;
            let rows: Vec<(i64, i64, Option<String>)> =
                self.all(&sql, (next, &walk.parameter, except, wanted as i64), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
            let exhausted = rows.len() < wanted;
            next = rows.last().map_or(next, |last| last.0.saturating_add(1));
            for (at, rowid, name) in rows {
                if !walk.by_visibility || self.is_for(name, selection)? {
                    found += 1;
                    places.push((at, table, rowid));
                }
            }
            if exhausted {
                break;
            }
        }
        Ok(())
    }

    fn change_at(&self, (_, table, rowid): Place) -> Result<Change> {
        let found = if table == DELETED_OR_LEFT {
            let sql = format!("SELECT {COLUMNS}, action FROM sync_change WHERE rowid = ?1");
            self.first(&sql, [rowid], |row| {
                let deleted = row.get::<_, String>(9)? == "delete";
                read_change(row, if deleted { ChangeAction::Delete } else { ChangeAction::Upsert })
            })?
        } else {
            let sql = format!("SELECT {COLUMNS} FROM sync_record WHERE rowid = ?1");
            self.first(&sql, [rowid], |row| read_change(row, ChangeAction::Upsert))?
        };
        // The place was found in this very transaction.
        found.ok_or_else(|| crate::Error::DamagedState { what: format!("row {rowid} of {}", TABLES[table]) })
    }

    fn data_at(&self, rowid: i64) -> Result<Option<RecordData>> {
        let found = self.first("SELECT data FROM sync_record WHERE rowid = ?1", [rowid], |row| row.get(0))?;
        found.map(|json| data(json, &format!("row {rowid} of sync_record"))).transpose()
    }

    pub(super) fn number_of_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        let except = except_from(selection);
        let mut total = 0;
        for (walk, table) in walks(selection).iter().flat_map(|walk| TABLES.map(|table| (walk, table))) {
            if walk.by_visibility {
                total += self.count_visible(table, selection, from, except)?;
                continue;
            }
            let condition = walk.condition;
            let sql =
                format!("SELECT count(*) FROM {table} WHERE cursor >= ?1 AND {condition} {}", unless_from(except));
            let count = self.first(&sql, (position(from), &walk.parameter, except), |row| row.get::<_, i64>(0))?;
            total += count.unwrap_or(0).unsigned_abs();
        }
        Ok(total)
    }

    fn count_visible(&self, table: &str, selection: &Selection, from: Cursor, except: Option<i32>) -> Result<u64> {
        let Selection::ForSite { stores, .. } = selection else { return Ok(0) };
        let sql = format!(
            "SELECT name_id, count(*) FROM {table} WHERE cursor >= ?1 AND audience = ?2 {} AND name_id IS NOT NULL \
             GROUP BY name_id",
            unless_from(except)
        );
        let params = (position(from), audience_text(&Audience::Patient), except);
        let by_name: Vec<(String, i64)> = self.all(&sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut total = 0;
        for (name, count) in by_name {
            if self.find_join(&NameId::new(name), stores)? {
                total += count.unsigned_abs();
            }
        }
        Ok(total)
    }

    fn is_for(&self, name: Option<String>, selection: &Selection) -> Result<bool> {
        match (selection, name) {
            (Selection::ForSite { stores, .. }, Some(name)) => self.find_join(&NameId::new(name), stores),
            _ => Ok(false),
        }
    }

    pub(super) fn newest_cursor(&self) -> Result<Cursor> {
        self.newest().map(cursor)
    }

    pub(super) fn find_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        for of in TABLES {
            let sql = format!(
                "SELECT 1 FROM {of} WHERE table_name = ?1 AND record_id = ?2 AND is_sync_update = 0 AND cursor >= ?3"
            );
            if self.first(&sql, (table.as_str(), id.as_str(), position(from)), |_| Ok(()))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
