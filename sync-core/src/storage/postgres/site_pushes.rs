//! The pushes of sites: the versions that identify a repeated push, and the records that wait for integration or are in
//! quarantine.

use super::text::Text;
use super::txn::PostgresTxn;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::sql::{cursor, position, read_source};
use crate::storage::{
    PushedReads, PushedVersion, PushedWrites, QuarantineCause, SitePushReads, SitePushWrites, Source,
};

impl PushedReads for PostgresTxn<'_> {
    fn pushed_at(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let sql = "SELECT cursor FROM sync_pushed WHERE site_id = $1 AND table_name = $2 AND record_id = $3 \
                   AND NOT is_former";
        let found = self.first(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str())], |row| row.try_get(0))?;
        Ok(found.map(cursor))
    }
}

impl PushedWrites for PostgresTxn<'_> {
    fn note_pushed(&self, site: SiteId, table: &TableName, id: &RecordId, cursor: Cursor) -> Result<()> {
        let sql = "INSERT INTO sync_pushed AS known (site_id, table_name, record_id, cursor) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (site_id, table_name, record_id) DO UPDATE SET is_former = false, cursor = \
                   CASE WHEN known.is_former THEN excluded.cursor ELSE greatest(known.cursor, excluded.cursor) END";
        self.execute(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str()), &position(cursor)]).map(drop)
    }

    fn forget_pushed(&self, site: SiteId) -> Result<()> {
        // Versions of a former database only help to recognise a late request; those that cannot are removed.
        self.execute("DELETE FROM sync_pushed WHERE site_id = $1 AND fingerprint IS NULL", &[&site.0])?;
        self.execute("UPDATE sync_pushed SET is_former = true WHERE site_id = $1", &[&site.0]).map(drop)
    }
}

impl SitePushReads for PostgresTxn<'_> {
    fn pushed(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<PushedVersion>> {
        let sql = "SELECT cursor, fingerprint, taken_at, is_former FROM sync_pushed \
                   WHERE site_id = $1 AND table_name = $2 AND record_id = $3 AND fingerprint IS NOT NULL";
        self.first(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str())], |row| {
            Ok(PushedVersion {
                cursor: cursor(row.try_get(0)?),
                fingerprint: row.try_get::<_, i64>(1)?.cast_unsigned(),
                at: Timestamp::from_unix_millis(row.try_get::<_, Option<i64>>(2)?.unwrap_or(0)),
                is_former: row.try_get(3)?,
            })
        })
    }

    fn integrations(&self) -> Result<Vec<SiteId>> {
        let sql = "SELECT site_id FROM sync_integration ORDER BY requested_at, site_id";
        self.all(sql, &[], |row| row.try_get(0).map(SiteId))
    }

    fn integration_waits(&self, site: SiteId) -> Result<bool> {
        self.any("SELECT 1 FROM sync_integration WHERE site_id = $1", &[&site.0])
    }

    fn quarantine_of_sites(&self) -> Result<Vec<(SiteId, QuarantineCause, u64)>> {
        let sql = "SELECT source, state, count(*) FROM sync_buffer \
                   WHERE state <> 'staged' AND source LIKE 'site %' GROUP BY source, state";
        let rows: Vec<(String, String, i64)> =
            self.all(sql, &[], |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
        let read = |(source, state, count): (String, String, i64)| {
            let Source::Site(site) = read_source(&source)? else { return None };
            let cause = QuarantineCause::ALL.into_iter().find(|cause| cause.as_str() == state)?;
            Some((site, cause, count.unsigned_abs()))
        };
        let mut counts: Vec<_> = rows.into_iter().filter_map(read).collect();
        counts.sort_unstable_by_key(|(site, cause, _)| (*site, *cause));
        Ok(counts)
    }
}

impl SitePushWrites for PostgresTxn<'_> {
    fn note_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<()> {
        let sql = "INSERT INTO sync_pushed AS known (site_id, table_name, record_id, cursor, fingerprint, taken_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (site_id, table_name, record_id) DO UPDATE SET \
                   cursor = excluded.cursor, fingerprint = excluded.fingerprint, taken_at = excluded.taken_at, \
                   is_former = false WHERE known.is_former OR known.cursor <= excluded.cursor";
        let (cursor, fingerprint) = (position(pushed.cursor), pushed.fingerprint.cast_signed());
        let at = pushed.at.unix_millis();
        self.execute(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str()), &cursor, &fingerprint, &at]).map(drop)
    }

    fn note_first_taken(&self, site: SiteId, table: &TableName, id: &RecordId, pushed: &PushedVersion) -> Result<bool> {
        let sql = "INSERT INTO sync_pushed (site_id, table_name, record_id, cursor, fingerprint, taken_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let (cursor, fingerprint) = (position(pushed.cursor), pushed.fingerprint.cast_signed());
        let at = pushed.at.unix_millis();
        let params: [&(dyn postgres::types::ToSql + Sync); 6] =
            [&site.0, &Text(table.as_str()), &Text(id.as_str()), &cursor, &fingerprint, &at];
        Ok(self.execute(sql, &params)? > 0)
    }

    fn request_integration(&self, site: SiteId, at: Timestamp) -> Result<()> {
        let sql = "INSERT INTO sync_integration (site_id, requested_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.announce_work();
        self.execute(sql, &[&site.0, &at.to_string()]).map(drop)
    }

    fn finish_integration(&self, site: SiteId) -> Result<()> {
        self.execute("DELETE FROM sync_integration WHERE site_id = $1", &[&site.0]).map(drop)
    }
}
