//! Answers a query from the records of a storage, page by page.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::record::{
    AskedQuery, LegacyTable, Query, QueryFault, RecordData, RecordId, SortKey, TableName, owned_by_sites, record_type,
};
use crate::storage::ReadTxn;
use crate::text::sentences::input;
use crate::text::similar;
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
    check_fields(txn, table, query)?;
    AskedQuery::of(query, table).map_err(|fault| {
        let QueryFault::NoDate(field, value) = fault;
        Error::bad_input(input::no_date_of_field(table.as_str(), field, value.shown()))
    })
}

/// Refuses a field that the records of a table do not have, because no record would ever be found by it.
///
/// The fields of the legacy server's tables are not all known. One of them is refused if it resembles a known one, or one that a record
/// here has, and no record has it. If it differs from that one only in capital letters and underscores, the records need not be read.
fn check_fields<T: ReadTxn + ?Sized>(txn: &T, table: &TableName, query: &Query) -> Result<()> {
    if let Some(kind) = record_type(table.as_str()) {
        let unknown = query.fields().find(|name| kind.field(name).is_none());
        return unknown
            .map_or(Ok(()), |name| Err(Error::unknown_field(table.as_str(), name, kind.similar_field(name))));
    }
    let known: Vec<&str> = owned_by_sites(table.as_str()).into_iter().flat_map(LegacyTable::fields).collect();
    let mut unknown: Vec<&str> = query.fields().filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    // Only what may be misspelled is looked for in more than the first records.
    let first = txn.records(table, None, PAGE)?;
    let keys: BTreeSet<String> = first.iter().flat_map(|(_, data)| keys_of(data)).collect();
    let meant = |name: &str| {
        let all = known.iter().map(|field| &**field).chain(keys.iter().map(String::as_str));
        similar(name, all).map(str::to_owned)
    };
    unknown.retain(|name| !keys.contains(*name));
    unknown.retain(|name| meant(name).is_some_and(|meant| !first.is_empty() || plain(&meant) == plain(name)));
    let mut after = first.last().map(|(id, _)| id.clone());
    while !unknown.is_empty() && after.is_some() {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        for (_, data) in &page {
            let fields = data.fields();
            unknown.retain(|name| fields.as_ref().is_none_or(|fields| fields.get(name).is_none()));
        }
        after = page.last().map(|(id, _)| id.clone());
    }
    unknown.first().map_or(Ok(()), |name| Err(Error::unknown_field(table.as_str(), name, meant(name).as_deref())))
}

/// The keys of a record.
fn keys_of(data: &RecordData) -> Vec<String> {
    let fields = data.fields();
    fields.iter().flat_map(|fields| fields.iter().map(|(key, _)| key.to_owned())).collect()
}

/// A name without what is mistaken most often.
fn plain(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_lowercase()
}
