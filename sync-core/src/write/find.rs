//! Answers a query from the records of a storage, page by page.

use crate::error::{Error, Result};
use crate::record::{Query, RecordData, RecordId, SortKey, TableName, record_type};
use crate::storage::ReadTxn;
use crate::text::sentences::input;

/// Records that are read at once.
const PAGE: usize = 500;

/// The records that a query asks for, in its order.
pub(super) fn find<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    query: &Query,
) -> Result<Vec<(RecordId, RecordData)>> {
    check_fields(table, query)?;
    let needed = query.needed();
    let mut found = Vec::new();
    let mut after: Option<RecordId> = None;
    while needed > 0 && (query.is_ordered() || found.len() < needed) {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().filter_map(|(id, data)| Some((key_of(table, query, &data)?, id, data))));
        // What no page of the result can reach need not be kept.
        if found.len() >= needed.saturating_add(PAGE) {
            sort(query, &mut found);
            found.truncate(needed);
        }
    }
    sort(query, &mut found);
    found.truncate(needed);
    Ok(found.into_iter().skip(query.skipped()).map(|(_, id, data)| (id, data)).collect())
}

/// The number of records that a query finds, on all its pages.
pub(super) fn count<T: ReadTxn + ?Sized>(txn: &T, table: &TableName, query: &Query) -> Result<u64> {
    check_fields(table, query)?;
    let mut found = 0;
    let mut after: Option<RecordId> = None;
    loop {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        found += page.iter().filter(|(_, data)| key_of(table, query, data).is_some()).count() as u64;
    }
}

/// Records come by id, and the sort is stable, so those that are equal stay in that order.
fn sort(query: &Query, found: &mut [(SortKey, RecordId, RecordData)]) {
    if query.is_ordered() {
        found.sort_by(|(one, ..), (other, ..)| query.compare(one, other));
    }
}

fn key_of(table: &TableName, query: &Query, data: &RecordData) -> Option<SortKey> {
    let fields = data.fields()?;
    let kind = record_type(table.as_str());
    query.key_of(|name| match kind.and_then(|kind| kind.field(name)) {
        Some(field) => field.find(&fields),
        None => fields.get(name),
    })
}

/// Refuses a field that a record type does not have: no record would ever be found by it.
fn check_fields(table: &TableName, query: &Query) -> Result<()> {
    let Some(kind) = record_type(table.as_str()) else { return Ok(()) };
    match query.fields().find(|name| kind.field(name).is_none()) {
        Some(name) => Err(Error::bad_input(input::no_field(table.as_str(), name))),
        None => Ok(()),
    }
}
