//! The pushes of sites: the stored versions, and the records that wait for integration or are in quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{PushedRow, State};
use super::txn::MemoryTxn;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::{
    Incoming, PushedReads, PushedVersion, PushedWrites, QuarantineCause, SitePushReads, SitePushWrites, Source,
};

impl PushedReads for MemoryTxn<'_> {
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let noted = self.state.borrow().pushed.get(&(site, table.clone(), id.clone())).copied();
        Ok(noted.filter(|noted| !noted.is_former).map(|noted| noted.cursor))
    }

    fn any_pushed(&self) -> Result<bool> {
        Ok(!self.state.borrow().pushed.is_empty())
    }
}

impl PushedWrites for MemoryTxn<'_> {
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let noted = Arc::make_mut(&mut state.pushed).entry((site, table.clone(), id.clone())).or_default();
        noted.cursor = if noted.is_former { cursor } else { cursor.max(noted.cursor) };
        noted.is_former = false;
        Ok(())
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let pushed = Arc::make_mut(&mut state.pushed);
        pushed.retain(|(of, ..), noted| *of != site || noted.taken.is_some());
        pushed.iter_mut().filter(|((of, ..), _)| *of == site).for_each(|(_, noted)| noted.is_former = true);
        Ok(())
    }
}

impl SitePushReads for MemoryTxn<'_> {
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>> {
        let noted = self.state.borrow().pushed.get(&(site, table.clone(), id.clone())).copied();
        Ok(noted.and_then(|PushedRow { cursor, is_former, taken }| {
            taken.map(|(fingerprint, at)| PushedVersion { cursor, fingerprint, at, is_former })
        }))
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        let state = self.state.borrow();
        let mut waiting: Vec<_> = state.integrations.iter().map(|(site, at)| (*at, *site)).collect();
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, site)| site).collect())
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        Ok(self.state.borrow().integrations.contains_key(&site))
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for Incoming { source, quarantine, .. } in self.state.borrow().buffer.values().map(|row| &row.incoming) {
            if let (Source::Site(site), Some(quarantine)) = (source, quarantine) {
                *counts.entry((*site, quarantine.cause)).or_default() += 1;
            }
        }
        Ok(counts.into_iter().map(|((site, cause), count)| (site, cause, count)).collect())
    }
}

impl SitePushWrites for MemoryTxn<'_> {
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let noted = Arc::make_mut(&mut state.pushed).entry((site, table.clone(), id.clone())).or_default();
        if noted.is_former || noted.cursor <= pushed.cursor {
            let taken = Some((pushed.fingerprint, pushed.at));
            *noted = PushedRow { cursor: pushed.cursor, is_former: false, taken };
        }
        Ok(())
    }

    fn note_first_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<bool> {
        let is_noted = self.state.borrow().pushed.contains_key(&(site, table.clone(), id.clone()));
        if !is_noted {
            self.note_taken(site, table, id, pushed)?;
        }
        Ok(!is_noted)
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        self.state.borrow_mut().request_integration(site, at);
        Ok(())
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        Arc::make_mut(&mut self.state.borrow_mut().integrations).remove(&site);
        Ok(())
    }
}

impl State {
    pub(super) fn request_integration(&mut self, site: SiteId, at: Timestamp) {
        Arc::make_mut(&mut self.integrations).entry(site).or_insert(at);
    }
}
