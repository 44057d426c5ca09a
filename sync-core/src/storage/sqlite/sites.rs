//! The local list of sites.

use rusqlite::Row;

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::SiteId;
use crate::storage::{SiteEntry, SiteReads, SiteWrites};

const COLUMNS: &str = "site_id, uuid, name, secret, hardware_id, last_pull_at";

fn read_site(row: &Row<'_>) -> rusqlite::Result<SiteEntry> {
    Ok(SiteEntry {
        id: SiteId(row.get(0)?),
        uuid: row.get(1)?,
        name: row.get(2)?,
        secret: row.get(3)?,
        hardware_id: row.get(4)?,
        last_pull_at: row.get::<_, Option<String>>(5)?.and_then(|text| Timestamp::parse(&text)),
    })
}

impl<C: HoldsConnection> SiteReads for SqliteTxn<C> {
    fn sites(&self) -> Result<Vec<SiteEntry>> {
        self.all(&format!("SELECT {COLUMNS} FROM sync_site ORDER BY site_id"), (), read_site)
    }

    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>> {
        self.first(&format!("SELECT {COLUMNS} FROM sync_site WHERE name = ?1"), [name], read_site)
    }
}

impl SiteWrites for SqliteTxn<WriteTurn<'_>> {
    fn put_site(&self, site: &SiteEntry) -> Result<()> {
        let sql = "INSERT INTO sync_site (site_id, uuid, name, secret, hardware_id, last_pull_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (site_id) DO UPDATE SET uuid = excluded.uuid, \
                   name = excluded.name, secret = excluded.secret, hardware_id = excluded.hardware_id, \
                   last_pull_at = excluded.last_pull_at";
        let last_pull_at = site.last_pull_at.map(|at| at.to_string());
        self.execute(sql, (site.id.0, &site.uuid, &site.name, &site.secret, &site.hardware_id, last_pull_at))?;
        Ok(())
    }

    fn remove_site(&self, id: SiteId) -> Result<bool> {
        Ok(self.execute("DELETE FROM sync_site WHERE site_id = ?1", [id.0])? > 0)
    }
}
