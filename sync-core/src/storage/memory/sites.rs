//! The local list of sites, their visits, and the mirror of their legacy records.

use std::ops::Bound;
use std::sync::Arc;

use super::txn::{MemoryTxn, within};
use crate::error::{Error, Result};
use crate::record::{RecordData, RecordId, SiteId, TableName};
use crate::storage::{
    ActivityReads, ActivityWrites, CHUNK_BYTES, LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord, SiteActivity,
    SiteEntry, SiteReads, SiteWrites,
};

impl SiteReads for MemoryTxn<'_> {
    fn sites(&self) -> Result<Vec<SiteEntry>> {
        Ok(self.state.borrow().sites.values().cloned().collect())
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        Ok(self.state.borrow().sites.values().find(|site| site.name == name).cloned())
    }
}

impl SiteWrites for MemoryTxn<'_> {
    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let others = || state.sites.values().filter(|other| other.id != site.id);
        if others().any(|other| other.uuid == site.uuid || other.name == site.name) {
            return Err(Error::Database { source: "another site has this name or uuid".into() });
        }
        Arc::make_mut(&mut state.sites).insert(site.id, site.clone());
        Ok(())
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        Ok(Arc::make_mut(&mut self.state.borrow_mut().sites).remove(&id).is_some())
    }
}

impl ActivityReads for MemoryTxn<'_> {
    fn activity(&self) -> Result<Vec<SiteActivity>> {
        Ok(self.state.borrow().activity.values().cloned().collect())
    }

    fn activity_of(&self, site: SiteId) -> Result<Option<SiteActivity>> {
        Ok(self.state.borrow().activity.get(&site).cloned())
    }
}

impl ActivityWrites for MemoryTxn<'_> {
    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let known = Arc::make_mut(&mut state.activity).entry(activity.site);
        known.and_modify(|known| known.update(activity.clone())).or_insert_with(|| activity.clone());
        Ok(())
    }
}

impl LegacyMirrorReads for MemoryTxn<'_> {
    fn legacy_mirror(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<MirroredRecord>> {
        let state = self.state.borrow();
        let after = (Bound::Excluded((site, after)), Bound::Included((site, u64::MAX)));
        let mirrored = state.mirror.range(after).map(|(_, record)| record.clone()).take(limit);
        Ok(within(mirrored, CHUNK_BYTES, |record| record.data.as_str().len()))
    }

    fn mirrored_record(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<MirroredRecord>> {
        let state = self.state.borrow();
        let number = state.mirror_numbers.get(&(site, table.clone(), id.clone()));
        Ok(number.and_then(|number| state.mirror.get(&(site, *number)).cloned()))
    }

    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        let state = self.state.borrow();
        let beyond = state.mirror.range((Bound::Excluded((site, after)), Bound::Included((site, u64::MAX))));
        Ok(beyond.fold((0, 0), |(count, _), ((_, number), _)| (count + 1, *number)))
    }
}

impl LegacyMirrorWrites for MemoryTxn<'_> {
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        self.drop_mirrored(site, table, id)?;
        let state = &mut *self.state.borrow_mut();
        state.newest_mirrored += 1;
        let number = state.newest_mirrored;
        let record = MirroredRecord { number, table: table.clone(), id: id.clone(), data: data.clone() };
        Arc::make_mut(&mut state.mirror).insert((site, number), record);
        Arc::make_mut(&mut state.mirror_numbers).insert((site, table.clone(), id.clone()), number);
        Ok(())
    }

    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        let state = &mut *self.state.borrow_mut();
        let number = Arc::make_mut(&mut state.mirror_numbers).remove(&(site, table.clone(), id.clone()));
        if let Some(number) = number {
            Arc::make_mut(&mut state.mirror).remove(&(site, number));
        }
        Ok(())
    }
}
