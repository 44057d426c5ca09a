//! The changelog: collapsed when written, selected by walking an index for each audience.

use rusqlite::{Row, ToSql};

use super::txn::{Holds, SqliteTxn};
use crate::changelog::{Audience, Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordId, SiteId, StoreId, TableName};
use crate::storage::Selection;

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

const COLUMNS: &str = "cursor, table_name, record_id, action, store_id, name_id, source_site_id, is_sync_update, \
                       audience, changed_at";

fn read_change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let action: String = row.get(3)?;
    let changed_at: String = row.get(9)?;
    Ok(Change {
        cursor: cursor(row.get(0)?),
        change: NewChange {
            table: TableName::new(row.get::<_, String>(1)?),
            id: RecordId::new(row.get::<_, String>(2)?),
            action: if action == "delete" { ChangeAction::Delete } else { ChangeAction::Upsert },
            store: row.get::<_, Option<String>>(4)?.map(StoreId::new),
            name: row.get::<_, Option<String>>(5)?.map(NameId::new),
            source_site: row.get::<_, Option<i32>>(6)?.map(SiteId),
            is_sync_update: row.get(7)?,
            audience: read_audience(row.get(8)?),
            changed_at: Timestamp::parse(&changed_at).unwrap_or(Timestamp::from_unix_millis(0)),
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
        Selection::Patient(name) => vec![Walk::new("name_id = ?2").with(name.as_str().to_owned())],
        Selection::Legacy => vec![Walk::audience(&Audience::Legacy)],
        Selection::ForSite { stores, .. } => {
            let mut walks = vec![Walk::audience(&Audience::Everyone)];
            walks.extend(stores.iter().map(|store| Walk::audience(&Audience::Store(store.clone()))));
            walks.push(Walk { by_visibility: true, ..Walk::audience(&Audience::Patient) });
            walks
        }
    }
}

impl<C: Holds> SqliteTxn<C> {
    pub(super) fn add_change(&self, new: &NewChange) -> Result<Cursor> {
        let sql = "INSERT OR REPLACE INTO sync_changelog (table_name, record_id, store_id, name_id, action, \
                   source_site_id, is_sync_update, audience, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let action = match new.action {
            ChangeAction::Upsert => "upsert",
            ChangeAction::Delete => "delete",
        };
        let params = (
            new.table.as_str(),
            new.id.as_str(),
            new.store.as_ref().map(StoreId::as_str),
            new.name.as_ref().map(NameId::as_str),
            action,
            new.source_site.map(|site| site.0),
            new.is_sync_update,
            audience_text(&new.audience),
            new.changed_at.to_string(),
        );
        self.insert(sql, params).map(cursor)
    }

    pub(super) fn select_changes(&self, selection: &Selection, from: Cursor, limit: usize) -> Result<Vec<Change>> {
        let except = except_from(selection);
        let mut selected = Vec::new();
        for walk in walks(selection) {
            let mut next = from;
            let mut found = 0;
            // Rows that are not visible are passed over, so a walk may take several turns to fill its share.
            while found < limit {
                let wanted = limit - found;
                let sql = format!(
                    "SELECT {COLUMNS} FROM sync_changelog WHERE cursor >= ?1 AND {} \
                     AND (?3 IS NULL OR source_site_id IS NOT ?3) ORDER BY cursor LIMIT ?4",
                    walk.condition
                );
                let rows = self.all(&sql, (position(next), &walk.parameter, except, wanted as i64), read_change)?;
                let exhausted = rows.len() < wanted;
                next = rows.last().map_or(next, |last| last.cursor.next());
                for row in rows {
                    if !walk.by_visibility || self.is_for(&row, selection)? {
                        found += 1;
                        selected.push(row);
                    }
                }
                if exhausted {
                    break;
                }
            }
        }
        selected.sort_unstable_by_key(|change| change.cursor);
        selected.truncate(limit);
        Ok(selected)
    }

    pub(super) fn number_of_changes(&self, selection: &Selection, from: Cursor) -> Result<u64> {
        let except = except_from(selection);
        let mut total = 0;
        for walk in walks(selection) {
            if walk.by_visibility {
                total += self.count_visible(selection, from, except)?;
                continue;
            }
            let sql = format!(
                "SELECT count(*) FROM sync_changelog WHERE cursor >= ?1 AND {} \
                 AND (?3 IS NULL OR source_site_id IS NOT ?3)",
                walk.condition
            );
            let count = self.first(&sql, (position(from), &walk.parameter, except), |row| row.get::<_, i64>(0))?;
            total += count.unwrap_or(0).unsigned_abs();
        }
        Ok(total)
    }

    fn count_visible(&self, selection: &Selection, from: Cursor, except: Option<i32>) -> Result<u64> {
        let Selection::ForSite { stores, .. } = selection else {
            return Ok(0);
        };
        let sql = "SELECT name_id, count(*) FROM sync_changelog WHERE cursor >= ?1 AND audience = ?2 \
                   AND (?3 IS NULL OR source_site_id IS NOT ?3) AND name_id IS NOT NULL GROUP BY name_id";
        let params = (position(from), audience_text(&Audience::Patient), except);
        let by_name: Vec<(String, i64)> = self.all(sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut total = 0;
        for (name, count) in by_name {
            if self.find_join(&NameId::new(name), stores)? {
                total += count.unsigned_abs();
            }
        }
        Ok(total)
    }

    fn is_for(&self, change: &Change, selection: &Selection) -> Result<bool> {
        match (selection, &change.change.name) {
            (Selection::ForSite { stores, .. }, Some(name)) => self.find_join(name, stores),
            _ => Ok(false),
        }
    }

    pub(super) fn newest_cursor(&self) -> Result<Cursor> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'sync_changelog'";
        Ok(self.first(sql, (), |row| row.get(0))?.map_or(Cursor(0), cursor))
    }

    pub(super) fn find_local_change(&self, table: &TableName, id: &RecordId, from: Cursor) -> Result<bool> {
        let sql = "SELECT 1 FROM sync_changelog WHERE table_name = ?1 AND record_id = ?2 \
                   AND is_sync_update = 0 AND cursor >= ?3";
        Ok(self.first(sql, (table.as_str(), id.as_str(), position(from)), |_| Ok(()))?.is_some())
    }
}

fn except_from(selection: &Selection) -> Option<i32> {
    match selection {
        Selection::ForSite { except_from, .. } => except_from.map(|site| site.0),
        _ => None,
    }
}
