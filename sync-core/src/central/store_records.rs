//! Whether any record belongs to a store.

use crate::changelog::ChangeAction;
use crate::error::Result;
use crate::record::{Cursor, RecordData, STORE_KEYS, SiteId, StoreId, TableName, owned_by_sites};
use crate::storage::{ReadTxn, Selection};

/// Rows that are read at once.
const PAGE: usize = 500;

/// Rows of a site's legacy records that are read at once: each may be large.
const MIRRORED_AT_ONCE: usize = 16;

/// True if a record belongs to the store: one of V6, one of a legacy table, or one that the legacy half of its site pushed.
pub(super) fn any(txn: &dyn ReadTxn, store: &StoreId, site: Option<i64>) -> Result<bool> {
    Ok(any_logged(txn, store)? || any_legacy(txn, store)? || any_mirrored(txn, store, site)?)
}

fn any_logged(txn: &dyn ReadTxn, store: &StoreId) -> Result<bool> {
    let mut from = Cursor(0);
    loop {
        let rows = txn.changes(&Selection::Store(store.clone()), from, PAGE)?;
        let next = rows.last().map(|row| row.cursor.next()).filter(|_| rows.len() == PAGE);
        for row in rows.iter().filter(|row| row.change.action == ChangeAction::Upsert) {
            // The row of a record that left the store stays.
            let now = txn.newest_change(&row.change.table, &row.change.id)?;
            if now.is_some_and(|now| now.store.as_ref() == Some(store)) {
                return Ok(true);
            }
        }
        match next {
            Some(next) => from = next,
            None => return Ok(false),
        }
    }
}

fn any_legacy(txn: &dyn ReadTxn, store: &StoreId) -> Result<bool> {
    for (table, _) in txn.record_counts()? {
        if owned_by_sites(table.as_str()).is_none() {
            continue;
        }
        let mut after = None;
        loop {
            let page = txn.records(&table, after.as_ref(), PAGE)?;
            if page.iter().any(|(_, data)| is_of(data, &table, store)) {
                return Ok(true);
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.clone()),
                _ => break,
            }
        }
    }
    Ok(false)
}

fn any_mirrored(txn: &dyn ReadTxn, store: &StoreId, site: Option<i64>) -> Result<bool> {
    let Some(site) = site.and_then(|site| i32::try_from(site).ok()).map(SiteId) else { return Ok(false) };
    let mut after = 0;
    loop {
        let page = txn.central()?.legacy_mirror(site, after, MIRRORED_AT_ONCE)?;
        if page.iter().any(|record| is_of(&record.data, &record.table, store)) {
            return Ok(true);
        }
        match page.last() {
            Some(last) => after = last.number,
            None => return Ok(false),
        }
    }
}

/// True if a record of a legacy table names the store as its own.
fn is_of(data: &RecordData, table: &TableName, store: &StoreId) -> bool {
    *table != *"store"
        && data.fields().is_some_and(|fields| {
            STORE_KEYS.iter().any(|key| fields.text(key).is_some_and(|text| text == store.as_str()))
        })
}
