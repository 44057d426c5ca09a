//! The pushes of sites: the versions that identify a repeated push, and the records that wait for integration or are in
//! quarantine.

use rusqlite::Params;

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::sql::{position, read_source};
use crate::storage::{PushedReads as _, PushedVersion, QuarantineCause, SitePushReads, SitePushWrites, Source};

impl<C: HoldsConnection> SitePushReads for SqliteTxn<C> {
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>> {
        if !self.any_pushed()? {
            return Ok(None);
        }
        let sql = "SELECT cursor, fingerprint, taken_at, is_former FROM sync_pushed \
                   WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3 AND fingerprint IS NOT NULL";
        self.first(sql, (site.0, table.as_str(), id.as_str()), |row| {
            Ok(PushedVersion {
                cursor: Cursor(row.get::<_, i64>(0)?.unsigned_abs()),
                fingerprint: row.get::<_, i64>(1)?.cast_unsigned(),
                at: Timestamp::from_unix_millis(row.get::<_, Option<i64>>(2)?.unwrap_or(0)),
                is_former: row.get(3)?,
            })
        })
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        let sql = "SELECT site_id FROM sync_integration ORDER BY requested_at, site_id";
        self.all(sql, (), |row| row.get(0).map(SiteId))
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM sync_integration WHERE site_id = ?1", [site.0], |_| Ok(()))?.is_some())
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        let sql = "SELECT source, count(*) FROM sync_buffer \
                   WHERE state = ?1 AND state <> 'staged' AND source LIKE 'site %' GROUP BY source";
        let mut counts = Vec::new();
        for cause in QuarantineCause::ALL {
            let rows = self.all(sql, [cause.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            counts.extend(rows.into_iter().filter_map(|(source, count)| match read_source(&source)? {
                Source::Site(site) => Some((site, cause, count.unsigned_abs())),
                _ => None,
            }));
        }
        counts.sort_unstable_by_key(|(site, cause, _)| (*site, *cause));
        Ok(counts)
    }
}

impl SitePushWrites for SqliteTxn<WriteTurn<'_>> {
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor, fingerprint, taken_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET cursor = excluded.cursor, \
                   fingerprint = excluded.fingerprint, taken_at = excluded.taken_at, is_former = 0 \
                   WHERE is_former OR cursor <= excluded.cursor";
        self.execute(sql, noted_version(site, (table, id), pushed))?;
        self.any_pushed.set(Some(true));
        Ok(())
    }

    fn note_first_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<bool> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor, fingerprint, taken_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let is_first = self.execute(sql, noted_version(site, (table, id), pushed))? > 0;
        self.any_pushed.set(Some(true));
        Ok(is_first)
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        let sql = "INSERT INTO sync_integration (site_id, requested_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.execute(sql, (site.0, at.to_string()))?;
        Ok(())
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        self.execute("DELETE FROM sync_integration WHERE site_id = ?1", [site.0])?;
        Ok(())
    }
}

/// The parameters of a pushed version.
fn noted_version<'r>(
    site: SiteId,
    (table, id): (&'r TableName, &'r RecordId),
    pushed: &PushedVersion,
) -> impl Params + use<'r> {
    let (cursor, fingerprint) = (position(pushed.cursor), pushed.fingerprint.cast_signed());
    (site.0, table.as_str(), id.as_str(), cursor, fingerprint, pushed.at.unix_millis())
}
