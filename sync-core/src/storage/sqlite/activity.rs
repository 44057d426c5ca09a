//! The visits of sites.

use rusqlite::Row;

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::error::Result;
use crate::record::SiteId;
use crate::storage::sql::{ActivityRow, position, read_activity};
use crate::storage::{ActivityReads, ActivityWrites, SiteActivity};

fn texts(row: &Row<'_>) -> rusqlite::Result<ActivityRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
}

const COLUMNS: &str = "site_id, name, app_version, seen_at, pulled_at, pushed_at, read_to";

impl<C: HoldsConnection> ActivityReads for SqliteTxn<C> {
    fn activity(&self) -> Result<Vec<SiteActivity>> {
        let sql = format!("SELECT {COLUMNS} FROM sync_activity ORDER BY site_id");
        self.all(&sql, (), texts)?.into_iter().map(read_activity).collect()
    }

    fn activity_of(&self, site: SiteId) -> Result<Option<SiteActivity>> {
        let sql = format!("SELECT {COLUMNS} FROM sync_activity WHERE site_id = ?1");
        self.first(&sql, [site.0], texts)?.map(read_activity).transpose()
    }
}

impl ActivityWrites for SqliteTxn<WriteTurn<'_>> {
    fn note_activity(&self, activity: &SiteActivity) -> Result<()> {
        let sql = "INSERT INTO sync_activity (site_id, name, app_version, seen_at, pulled_at, pushed_at, read_to) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (site_id) DO UPDATE SET name = excluded.name, \
                   app_version = excluded.app_version, seen_at = excluded.seen_at, \
                   pulled_at = ifnull(excluded.pulled_at, pulled_at), \
                   pushed_at = ifnull(excluded.pushed_at, pushed_at), read_to = ifnull(excluded.read_to, read_to)";
        let params = (
            activity.site.0,
            &activity.name,
            &activity.app_version,
            activity.seen_at.to_string(),
            activity.pulled_at.map(|at| at.to_string()),
            activity.pushed_at.map(|at| at.to_string()),
            activity.read_to.map(position),
        );
        self.execute(sql, params)?;
        Ok(())
    }
}
