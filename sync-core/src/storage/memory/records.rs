//! Records, and the questions about stores and names that they answer.

use std::ops::Bound;

use super::state::{State, Stored};
use super::txn::MemoryTxn;
use crate::changelog::NewChange;
use crate::error::Result;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::found::{Found, JOINS};
use crate::storage::{RecordReads, RecordWrites};

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
        Ok(self.state.borrow().children(table, parent))
    }

    fn stores_of_site(&self, site: SiteId) -> Result<Vec<StoreId>> {
        Ok(self.state.borrow().stores_of_site(site))
    }

    fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> Result<bool> {
        Ok(self.state.borrow().is_visible(name, stores))
    }
}

impl RecordWrites for MemoryTxn<'_> {
    fn put_record(&self, data: &RecordData, change: &NewChange) -> Result<Cursor> {
        Ok(self.state.borrow_mut().put_record(data, change))
    }

    fn remove_record(&self, change: &NewChange) -> Result<Cursor> {
        Ok(self.state.borrow_mut().remove_record(change))
    }

    fn append_change(&self, change: &NewChange, left_as: Option<&RecordData>) -> Result<Cursor> {
        Ok(self.state.borrow_mut().append_change(change, left_as, false))
    }

    fn mark_synced(&self, table: &TableName, id: &RecordId) -> Result<()> {
        self.state.borrow_mut().mark_synced(table, id);
        Ok(())
    }
}

impl State {
    pub(super) fn record(&self, table: &TableName, id: &RecordId) -> Option<&Stored> {
        self.records.get(table)?.get(id)
    }

    fn all<'s>(&'s self, table: &str) -> impl Iterator<Item = (&'s RecordId, &'s Found)> + use<'s> {
        let records = self.records.get(&TableName::from(table));
        records.into_iter().flat_map(|records| records.iter().map(|(id, stored)| (id, &stored.found)))
    }

    pub(super) fn children(&self, table: &TableName, parent: &RecordId) -> Vec<RecordId> {
        let is_child = |found: &Found| found.parent.as_ref() == Some(parent);
        self.all(table.as_str()).filter(|(_, found)| is_child(found)).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn stores_of_site(&self, site: SiteId) -> Vec<StoreId> {
        let is_there = |found: &Found| found.site == Some(i64::from(site.0));
        self.all("store").filter(|(_, found)| is_there(found)).map(|(id, _)| StoreId::from(id.as_str())).collect()
    }

    pub(super) fn is_visible(&self, name: &NameId, stores: &[StoreId]) -> bool {
        let joins = |(of, to): &(NameId, StoreId)| of == name && stores.contains(to);
        self.all(JOINS).any(|(_, found)| found.join.as_ref().is_some_and(joins))
    }
}
