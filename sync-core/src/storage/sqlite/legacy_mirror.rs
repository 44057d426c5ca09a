//! The legacy records that central stores for the sites that pushed them: table `sync_kept`.

use rusqlite::Row;

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::error::Result;
use crate::record::{RecordData, RecordId, SiteId, TableName};
use crate::storage::sql::{data, signed};
use crate::storage::{CHUNK_BYTES, LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord};

impl<C: HoldsConnection> LegacyMirrorReads for SqliteTxn<C> {
    fn legacy_mirror(&self, site: SiteId, after: u64, limit: usize) -> Result<Vec<MirroredRecord>> {
        let sql = "SELECT number, table_name, record_id, data FROM sync_kept \
                   WHERE site_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        let read = |row: &Row<'_>| -> rusqlite::Result<(i64, [String; 3])> {
            Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
        };
        let mut bytes = 0;
        let within = |(_, texts): &(i64, [String; 3])| {
            let first = bytes == 0;
            bytes += texts[2].len();
            first || bytes <= CHUNK_BYTES
        };
        let rows = self.all_while(sql, (site.0, signed(after), limit as i64), read, within)?;
        rows.into_iter().map(mirrored).collect()
    }

    fn mirrored_record(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<Option<MirroredRecord>> {
        let sql = "SELECT number, table_name, record_id, data FROM sync_kept \
                   WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3";
        let read = |row: &Row<'_>| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]));
        self.first(sql, (site.0, table.as_str(), id.as_str()), read)?.map(mirrored).transpose()
    }

    fn count_mirrored(&self, site: SiteId, after: u64) -> Result<(u64, u64)> {
        let sql = "SELECT count(*), ifnull(max(number), 0) FROM sync_kept WHERE site_id = ?1 AND number > ?2";
        let found: Option<(i64, i64)> =
            self.first(sql, (site.0, signed(after)), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.map_or((0, 0), |(count, last)| (count.unsigned_abs(), last.unsigned_abs())))
    }
}

impl LegacyMirrorWrites for SqliteTxn<WriteTurn<'_>> {
    fn mirror_record(&self, site: SiteId, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        // Replaced as a whole, because it gets a new number.
        let sql = "INSERT OR REPLACE INTO sync_kept (site_id, table_name, record_id, data) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, (site.0, table.as_str(), id.as_str(), data.as_str()))?;
        Ok(())
    }

    fn drop_mirrored(&self, site: SiteId, table: &TableName, id: &RecordId) -> Result<()> {
        let sql = "DELETE FROM sync_kept WHERE site_id = ?1 AND table_name = ?2 AND record_id = ?3";
        self.execute(sql, (site.0, table.as_str(), id.as_str()))?;
        Ok(())
    }
}

fn mirrored((number, [table, id, text]): (i64, [String; 3])) -> Result<MirroredRecord> {
    Ok(MirroredRecord {
        number: number.unsigned_abs(),
        table: TableName::new(table),
        id: RecordId::new(id),
        data: data(text),
    })
}
