//! Records, and queries about stores and names.

use std::ops::Bound;

use super::state::{RecordRow, State};
use super::txn::MemoryTxn;
use crate::error::Result;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::RecordReads;
use crate::storage::found::{Found, JOINS};

impl RecordReads for MemoryTxn<'_> {
    fn record(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        Ok(self.state.borrow().record(table, id).map(|stored| stored.data.clone()))
    }

    fn has_record(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        Ok(self.state.borrow().record(table, id).is_some())
    }

    fn records(
        &self,
        table: &TableName,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        let state = self.state.borrow();
        let Some(records) = state.records.get(table) else { return Ok(Vec::new()) };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = records.range::<RecordId, _>((after, Bound::Unbounded)).take(limit);
        Ok(rows.map(|(id, stored)| (id.clone(), stored.data.clone())).collect())
    }

    fn record_counts(&self) -> Result<Vec<(TableName, u64)>> {
        let state = self.state.borrow();
        let counts = state.records.iter().map(|(table, records)| (table.clone(), records.len() as u64));
        Ok(counts.filter(|(_, count)| *count > 0).collect())
    }

    fn children(&self, table: &TableName, _: &'static str, parent: &RecordId) -> Result<Vec<RecordId>> {
        let state = self.state.borrow();
        let is_child = |found: &Found| found.parent.as_ref() == Some(parent);
        Ok(state.all(table.as_str()).filter(|(_, found)| is_child(found)).map(|(id, _)| id.clone()).collect())
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        let state = self.state.borrow();
        let is_there = |found: &Found| found.site == Some(i64::from(site.0));
        Ok(state.all("store").filter(|(_, found)| is_there(found)).map(|(id, _)| StoreId::from(id.as_str())).collect())
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        Ok(self.state.borrow().is_visible(name, stores))
    }

    fn join_of(&self, name: &NameId, store: &StoreId) -> Result<Option<RecordId>> {
        let state = self.state.borrow();
        let joins = |found: &Found| found.join.as_ref().is_some_and(|(of, to)| of == name && to == store);
        Ok(state.all(JOINS).find(|(_, found)| joins(found)).map(|(id, _)| id.clone()))
    }
}

impl State {
    pub(super) fn record(&self, table: &TableName, id: &RecordId) -> Option<&RecordRow> {
        self.records.get(table)?.get(id)
    }

    fn all<'s>(&'s self, table: &str) -> impl Iterator<Item = (&'s RecordId, &'s Found)> + use<'s> {
        let records = self.records.get(&TableName::from(table));
        records.into_iter().flat_map(|records| records.iter().map(|(id, stored)| (id, &stored.found)))
    }

    pub(super) fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> bool {
        let joins = |(of, to): &(NameId, StoreId)| of == name && stores.contains(to);
        self.all(JOINS).any(|(_, found)| found.join.as_ref().is_some_and(joins))
    }
}
