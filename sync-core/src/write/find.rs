//! Answers a query from the records of a storage, page by page.

use crate::error::{Error, Result};
use crate::record::{AskedQuery, Query, QueryFault, RecordData, RecordId, SortKey, TableName};
use crate::storage::ReadTxn;
use crate::text::sentences::input;
use crate::write::check_known;

/// Records that are read at once.
const PAGE: usize = 500;

/// The records that a query asks for, in its order.
pub(super) fn find<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    query: &Query,
) -> Result<Vec<(RecordId, RecordData)>> {
    let query = asked(txn, table, query)?;
    let needed = query.needed();
    let mut found = Vec::new();
    let mut after: Option<RecordId> = None;
    while needed > 0 && (query.is_ordered() || found.len() < needed) {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().filter_map(|(id, data)| Some((query.key_of(&data)?, id, data))));
        // What no page of the result can reach need not be kept.
        if found.len() >= needed.saturating_add(PAGE) {
            sort(&query, &mut found);
            found.truncate(needed);
        }
    }
    sort(&query, &mut found);
    found.truncate(needed);
    Ok(found.into_iter().skip(query.skipped()).map(|(_, id, data)| (id, data)).collect())
}

/// The number of records that a query finds, on all its pages.
pub(super) fn count<T: ReadTxn + ?Sized>(txn: &T, table: &TableName, query: &Query) -> Result<u64> {
    let query = asked(txn, table, query)?;
    let mut found = 0;
    let mut after: Option<RecordId> = None;
    loop {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        found += page.iter().filter(|(_, data)| query.key_of(data).is_some()).count() as u64;
    }
}

/// Records come by id, and the sort is stable, so those that are equal stay in that order.
fn sort(query: &AskedQuery<'_>, found: &mut [(SortKey, RecordId, RecordData)]) {
    if query.is_ordered() {
        found.sort_by(|(one, ..), (other, ..)| query.compare(one, other));
    }
}

/// The query, if it can be answered.
fn asked<'q, T: ReadTxn + ?Sized>(txn: &T, table: &TableName, query: &'q Query) -> Result<AskedQuery<'q>> {
    check_known(txn, table)?;
    AskedQuery::of(query, table).map_err(|fault| {
        Error::bad_input(match fault {
            QueryFault::NoField(field) => input::no_field(table.as_str(), field),
            QueryFault::NoDate(field, value) => input::no_date_of_field(table.as_str(), field, value.shown()),
        })
    })
}
