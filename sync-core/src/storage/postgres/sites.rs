//! The local list of sites, their visits, and the mirror of their legacy records.

use postgres::Row;

use super::connection::Params;
use super::text::Text;
use super::txn::{Column, PostgresTxn, text, text_or_none};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Cursor, RecordData, RecordId, SiteId, TableName};
use crate::storage::sql::{ActivityRow, data, limited, position, read_activity, signed};
use crate::storage::{
    ActivityReads, ActivityWrites, CHUNK_BYTES, LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord, SharedPositions,
    SiteActivity, SiteEntry, SiteReads, SiteWrites, TOLD,
};

const SITE: &str = "SELECT site_id, uuid, name, secret, hardware_id, last_pull_at FROM sync_site";

fn read_site(row: &Row) -> Column<SiteEntry> {
    Ok(SiteEntry {
        id: SiteId(row.try_get(0)?),
        uuid: text(row, 1)?,
        name: text(row, 2)?,
        secret: text(row, 3)?,
        hardware_id: text_or_none(row, 4)?,
        last_pull_at: row.try_get::<_, Option<String>>(5)?.and_then(|text| Timestamp::parse(&text)),
    })
}

impl SiteReads for PostgresTxn<'_> {
    fn sites(&self) -> Result<Vec<SiteEntry>> {
        self.all(&format!("{SITE} ORDER BY site_id"), &[], read_site)
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        self.first(&format!("{SITE} WHERE name = $1"), &[&Text(name)], read_site)
    }
}

impl SiteWrites for PostgresTxn<'_> {
    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        // Asked first, because a statement that fails takes the whole transaction with it.
        let taken = "SELECT 1 FROM sync_site WHERE site_id <> $1 AND (uuid = $2 OR name = $3)";
        if self.any(taken, &[&site.id.0, &Text(&site.uuid), &Text(&site.name)])? {
            return Err(Error::Database { source: "another site has this name or uuid".into() });
        }
        let sql = "INSERT INTO sync_site (site_id, uuid, name, secret, hardware_id, last_pull_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (site_id) DO UPDATE SET uuid = excluded.uuid, \
                   name = excluded.name, secret = excluded.secret, hardware_id = excluded.hardware_id, \
                   last_pull_at = excluded.last_pull_at";
        let params: Params<'_> = &[
            &site.id.0,
            &Text(&site.uuid),
            &Text(&site.name),
            &Text(&site.secret),
            &site.hardware_id.as_deref().map(Text),
            &site.last_pull_at.map(|at| at.to_string()),
        ];
        self.execute(sql, params).map(drop)
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        Ok(self.execute("DELETE FROM sync_site WHERE site_id = $1", &[&id.0])? > 0)
    }
}

const ACTIVITY: &str = "SELECT site_id, name, app_version, seen_at, pulled_at, pushed_at, read_to FROM sync_activity";

fn activity_row(row: &Row) -> Column<ActivityRow> {
    let (seen, pulled, pushed) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    Ok((row.try_get(0)?, text(row, 1)?, text(row, 2)?, seen, pulled, pushed, row.try_get(6)?))
}

impl ActivityReads for PostgresTxn<'_> {
    fn activity(&self) -> Result<Vec<SiteActivity>> {
        let rows = self.all(&format!("{ACTIVITY} ORDER BY site_id"), &[], activity_row)?;
        rows.into_iter().map(read_activity).collect()
    }

    fn activity_of(&self, site: SiteId) -> Result<Option<SiteActivity>> {
        self.first(&format!("{ACTIVITY} WHERE site_id = $1"), &[&site.0], activity_row)?.map(read_activity).transpose()
    }

    fn shared_positions(&self, site: SiteId) -> Result<Option<SharedPositions>> {
        let sql = "SELECT kind, value FROM sync_remembered WHERE kind = ANY ($1) AND key = $2";
        let kinds = [SharedPositions::READ_TO, SharedPositions::ASKED_FROM, SharedPositions::STORES_ASKED_FROM];
        let key = site.0.to_string();
        let found = self.all(sql, &[&kinds.as_slice(), &key], |row| Ok((text(row, 0)?, text(row, 1)?)))?;
        let of = |kind: &str| found.iter().find(|(of, _)| of == kind).and_then(|(_, value)| remembered_position(value));
        Ok(Some(SharedPositions {
            read_to: of(SharedPositions::READ_TO),
            asked_from: of(SharedPositions::ASKED_FROM),
            stores_asked_from: of(SharedPositions::STORES_ASKED_FROM),
        }))
    }

    fn told_by_servers(&self) -> Result<Vec<String>> {
        self.all("SELECT value FROM sync_remembered WHERE kind = $1 ORDER BY key", &[&TOLD], |row| text(row, 0))
    }
}

/// The position in a remembered value.
fn remembered_position(text: &str) -> Option<Cursor> {
    text.parse().ok().map(Cursor)
}

impl ActivityWrites for PostgresTxn<'_> {
    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        // Each server writes what it saw from time to time, so that an earlier visit may come later.
        let sql = "INSERT INTO sync_activity AS known (site_id, name, app_version, seen_at, pulled_at, pushed_at, read_to) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (site_id) DO UPDATE SET \
                   name = CASE WHEN excluded.seen_at >= known.seen_at THEN excluded.name ELSE known.name END, \
                   app_version = CASE WHEN excluded.seen_at >= known.seen_at THEN excluded.app_version \
                       ELSE known.app_version END, \
                   seen_at = greatest(excluded.seen_at, known.seen_at), \
                   pulled_at = greatest(excluded.pulled_at, known.pulled_at), \
                   pushed_at = greatest(excluded.pushed_at, known.pushed_at), \
                   read_to = CASE WHEN excluded.seen_at >= known.seen_at OR known.read_to IS NULL \
                       THEN coalesce(excluded.read_to, known.read_to) ELSE known.read_to END";
        let params: Params<'_> = &[
            &activity.site.0,
            &Text(&activity.name),
            &Text(&activity.app_version),
            &activity.seen_at.to_string(),
            &activity.pulled_at.map(|at| at.to_string()),
            &activity.pushed_at.map(|at| at.to_string()),
            &activity.read_to.map(position),
        ];
        self.execute(sql, params).map(drop)
    }
}

impl LegacyMirrorReads for PostgresTxn<'_> {
    fn legacy_mirror(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<MirroredRecord>> {
        let sql = format!(
            "SELECT number, table_name, record_id, data FROM ( \
                 SELECT *, sum(octet_length(data)) OVER (ORDER BY number) AS so_far FROM ( \
                     SELECT * FROM sync_kept WHERE site_id = $1 AND number > $2 ORDER BY number LIMIT $3) k) s \
             WHERE so_far <= {CHUNK_BYTES} OR so_far = octet_length(data) ORDER BY number"
        );
        let rows = self.all(&sql, &[&site.0, &signed(after), &limited(limit)], |row| {
            Ok((row.try_get::<_, i64>(0)?, text(row, 1)?, text(row, 2)?, row.try_get::<_, String>(3)?))
        })?;
        rows.into_iter().map(mirrored).collect()
    }

    fn mirrored_record(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<MirroredRecord>> {
        let sql = "SELECT number, table_name, record_id, data FROM sync_kept \
                   WHERE site_id = $1 AND table_name = $2 AND record_id = $3";
        let found = self.first(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str())], |row| {
            Ok((row.try_get::<_, i64>(0)?, text(row, 1)?, text(row, 2)?, row.try_get::<_, String>(3)?))
        })?;
        found.map(mirrored).transpose()
    }

    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        let sql = "SELECT count(*), coalesce(max(number), 0) FROM sync_kept WHERE site_id = $1 AND number > $2";
        let found = self.first(sql, &[&site.0, &signed(after)], |row| {
            Ok((row.try_get::<_, i64>(0)?.unsigned_abs(), row.try_get::<_, i64>(1)?.unsigned_abs()))
        })?;
        Ok(found.unwrap_or_default())
    }
}

impl LegacyMirrorWrites for PostgresTxn<'_> {
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        let sql = "INSERT INTO sync_kept (site_id, table_name, record_id, data) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (site_id, table_name, record_id) DO UPDATE SET number = excluded.number, data = excluded.data";
        self.execute(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str()), &data.as_str()]).map(drop)
    }

    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        let sql = "DELETE FROM sync_kept WHERE site_id = $1 AND table_name = $2 AND record_id = $3";
        self.execute(sql, &[&site.0, &Text(table.as_str()), &Text(id.as_str())]).map(drop)
    }
}

fn mirrored((number, table, id, json): (i64, String, String, String)) -> Result<MirroredRecord> {
    Ok(MirroredRecord {
        number: number.unsigned_abs(),
        table: TableName::new(table),
        id: RecordId::new(id),
        data: data(json),
    })
}
