//! Central's topics, where the storage below has them.

use super::WatchedTxn;
use sync_core::clock::Timestamp;
use sync_core::record::{RecordData, RecordId, SiteId, TableName};
use sync_core::storage::{
    ActivityReads, ActivityWrites, CentralReads, CentralWrites, LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord,
    PushedVersion, QuarantineCause, ReadTxn, SiteActivity, SiteEntry, SitePushReads, SitePushWrites, SiteReads,
    SiteWrites, WriteTxn,
};
use sync_core::{Error, Result};

fn missing() -> Error {
    Error::WrongRole { needed: "central server", found: "storage for remote sites only" }
}

impl<T: ReadTxn + ?Sized> WatchedTxn<'_, T> {
    fn central(&self) -> Result<&dyn CentralReads> {
        self.inner.as_central().ok_or_else(missing)
    }
}

impl WatchedTxn<'_, dyn WriteTxn + '_> {
    fn central_writer(&self) -> Result<&dyn CentralWrites> {
        self.inner.central()
    }
}

impl<T: ReadTxn + ?Sized> SiteReads for WatchedTxn<'_, T> {
    fn sites(&self) -> Result<Vec<SiteEntry>> {
        self.call("sites")?;
        self.central()?.sites()
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        self.call("site_named")?;
        self.central()?.site_named(name)
    }
}

impl<T: ReadTxn + ?Sized> ActivityReads for WatchedTxn<'_, T> {
    fn activity(&self) -> Result<Vec<SiteActivity>> {
        self.call("activity")?;
        self.central()?.activity()
    }

    fn activity_of(&self, site: SiteId) -> Result<Option<SiteActivity>> {
        self.call("activity_of")?;
        self.central()?.activity_of(site)
    }
}

impl<T: ReadTxn + ?Sized> SitePushReads for WatchedTxn<'_, T> {
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>> {
        self.call("pushed")?;
        self.central()?.pushed(site, table, id)
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        self.call("integrations")?;
        self.central()?.integrations()
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        self.call("integration_waits")?;
        self.central()?.integration_waits(site)
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        self.call("quarantine_of_sites")?;
        self.central()?.quarantine_of_sites()
    }
}

impl<T: ReadTxn + ?Sized> LegacyMirrorReads for WatchedTxn<'_, T> {
    fn legacy_mirror(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<MirroredRecord>> {
        self.call("legacy_mirror")?;
        self.central()?.legacy_mirror(site, after, limit)
    }

    fn mirrored_record(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<MirroredRecord>> {
        self.call("mirrored_record")?;
        self.central()?.mirrored_record(site, table, id)
    }

    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        self.call("count_mirrored")?;
        self.central()?.count_mirrored(site, after)
    }
}

impl SiteWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        self.call("put_site")?;
        self.central_writer()?.put_site(site)
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        self.call("remove_site")?;
        self.central_writer()?.remove_site(id)
    }
}

impl ActivityWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        self.call("note_activity")?;
        self.central_writer()?.note_activity(activity)
    }
}

impl SitePushWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()> {
        self.call("note_taken")?;
        self.central_writer()?.note_taken(site, table, id, pushed)
    }

    fn note_first_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<bool> {
        self.call("note_first_taken")?;
        self.central_writer()?.note_first_taken(site, table, id, pushed)
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        self.call("request_integration")?;
        self.central_writer()?.request_integration(site, at)
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        self.call("finish_integration")?;
        self.central_writer()?.finish_integration(site)
    }
}

impl LegacyMirrorWrites for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        self.call("mirror_record")?;
        self.central_writer()?.mirror_record(site, table, id, data)
    }

    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        self.call("drop_mirrored")?;
        self.central_writer()?.drop_mirrored(site, table, id)
    }
}
