//! The sync buffer: staged and quarantined records.

use rusqlite::{Params, Row};

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::sql::{BufferRow, signed, source_text};
use crate::storage::{
    BufferReads, BufferWrites, Buffered, CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, Source, StagedCounts,
    StagedKind,
};

const COLUMNS: &str = BufferRow::COLUMNS;

fn read_row(row: &Row<'_>) -> rusqlite::Result<BufferRow> {
    Ok(BufferRow {
        sequence: row.get(0)?,
        texts: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?],
        reason: row.get(8)?,
        waits_for: (row.get(9)?, row.get(10)?),
        cursor: row.get(11)?,
        known: (row.get(12)?, row.get(13)?),
        was_set_aside: row.get(14)?,
    })
}

/// Takes rows until their data exceed a chunk, and always the first one.
fn within_a_chunk() -> impl FnMut(&BufferRow) -> bool {
    let mut bytes = 0;
    move |row| {
        let is_first = bytes == 0;
        bytes += row.bytes();
        is_first || bytes <= CHUNK_BYTES
    }
}

impl<C: HoldsConnection> BufferReads for SqliteTxn<C> {
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>> {
        let sql = "SELECT table_name, count(*) FILTER (WHERE action = 'upsert'), \
                   count(*) FILTER (WHERE action = 'delete'), count(*) FILTER (WHERE action = 'merge') \
                   FROM sync_buffer WHERE source = ?1 AND state = 'staged' GROUP BY table_name";
        self.all(sql, [source_text(source)], |row| {
            let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
            let counts = StagedCounts { upserts: count(1)?, deletes: count(2)?, merges: count(3)? };
            Ok((TableName::new(row.get::<_, String>(0)?), counts))
        })
    }

    fn staged(
        &self,
        source: Source,
        table: &TableName,
        kind: StagedKind,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buffered>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sync_buffer WHERE source = ?1 AND table_name = ?2 AND action = ?3 \
             AND sequence > ?4 AND state = 'staged' ORDER BY sequence LIMIT ?5"
        );
        let params = (source_text(source), table.as_str(), kind.as_str(), signed(after), limit as i64);
        self.all_while(&sql, params, read_row, within_a_chunk())?.into_iter().map(BufferRow::read).collect()
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let sql = "SELECT cursor FROM sync_buffer WHERE source = ?1 AND table_name = ?2 AND record_id = ?3 \
                   AND action <> 'merge' AND state IN ('staged', 'waiting', 'failed')";
        let found =
            self.first(sql, [&source_text(source), table.as_str(), id.as_str()], |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.flatten().map(|cursor| Cursor(cursor.unsigned_abs())))
    }

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sync_buffer WHERE table_name = ?1 AND record_id = ?2 AND action <> 'merge' \
             ORDER BY sequence"
        );
        self.all(&sql, [table.as_str(), id.as_str()], read_row)?.into_iter().map(BufferRow::read).collect()
    }

    fn is_buffered_elsewhere(&self, source: Source, table: &TableName, id: &RecordId) -> Result<bool> {
        let sql = "SELECT 1 FROM sync_buffer WHERE table_name = ?1 AND record_id = ?2 AND source <> ?3 \
                   AND action <> 'merge' LIMIT 1";
        Ok(self.first(sql, [table.as_str(), id.as_str(), &source_text(source)], |_| Ok(()))?.is_some())
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sync_buffer WHERE state <> 'staged' AND sequence > ?1 ORDER BY sequence LIMIT ?2"
        );
        let rows = self.all_while(&sql, (signed(after), limit as i64), read_row, within_a_chunk())?;
        let read = rows.into_iter().map(BufferRow::read).collect::<Result<Vec<_>>>()?;
        Ok(read
            .into_iter()
            .filter_map(|row| row.incoming.quarantine.clone().map(|quarantine| (row, quarantine)))
            .collect())
    }

    fn any_buffered(&self) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM sync_buffer LIMIT 1", (), |_| Ok(()))?.is_some())
    }

    fn any_quarantined(&self) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM sync_buffer WHERE state <> 'staged' LIMIT 1", (), |_| Ok(()))?.is_some())
    }

    fn newest_quarantined(&self, source: Source) -> Result<u64> {
        let sql =
            "SELECT sequence FROM sync_buffer WHERE source = ?1 AND state <> 'staged' ORDER BY sequence DESC LIMIT 1";
        Ok(self.first(sql, [source_text(source)], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs())
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        let sql = "SELECT count(*) FROM sync_buffer WHERE state = ?1 AND state <> 'staged'";
        let mut counts = Vec::new();
        for cause in QuarantineCause::ALL {
            let count = self.first(sql, [cause.as_str()], |row| row.get::<_, i64>(0))?.unwrap_or(0);
            if count > 0 {
                counts.push((cause, count.unsigned_abs()));
            }
        }
        Ok(counts)
    }
}

impl BufferWrites for SqliteTxn<WriteTurn<'_>> {
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO sync_buffer (source, table_name, record_id, action, data, received_at, \
                   state, reason, waits_for_table, waits_for_id, cursor, known_here, known_by_sender) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let quarantine = incoming.quarantine.as_ref();
        let waits_for = quarantine.and_then(|q| q.waits_for.as_ref());
        let params = (
            source_text(incoming.source),
            incoming.table.as_str(),
            incoming.id.as_str(),
            StagedKind::of(incoming.action).as_str(),
            incoming.data.as_str(),
            received_at.to_string(),
            quarantine.map_or("staged", |q| q.cause.as_str()),
            quarantine.map(|q| q.reason.as_str()),
            waits_for.map(|(table, _)| table.as_str()),
            waits_for.map(|(_, id)| id.as_str()),
            incoming.cursor.map(|cursor| signed(cursor.0)),
            incoming.known.here.map_or_else(|| self.newest(), |here| Ok(signed(here.0)))?,
            incoming.known.by_sender.map(|cursor| signed(cursor.0)),
        );
        self.execute(sql, params)?;
        Ok(())
    }

    fn settle(&self, sequences: &[u64]) -> Result<()> {
        for sequence in sequences {
            self.execute("DELETE FROM sync_buffer WHERE sequence = ?1", [signed(*sequence)])?;
        }
        Ok(())
    }

    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()> {
        let sql = "DELETE FROM sync_buffer WHERE source = ?1 AND table_name = ?2 AND record_id = ?3 \
                   AND action <> 'merge'";
        self.execute(sql, [&source_text(source), table.as_str(), id.as_str()])?;
        Ok(())
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, (after, from): (u64, Cursor)) -> Result<()> {
        let sql = "UPDATE sync_buffer SET known_here = ?5 WHERE table_name = ?1 AND record_id = ?2 AND sequence > ?3 \
                   AND known_here >= ?4 AND action <> 'merge'";
        self.execute(sql, (table.as_str(), id.as_str(), signed(after), signed(from.0), self.newest()?))?;
        Ok(())
    }

    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()> {
        let sql = "UPDATE sync_buffer SET state = ?2, reason = ?3, waits_for_table = ?4, waits_for_id = ?5 \
                   WHERE sequence = ?1";
        let waits_for = quarantine.waits_for.as_ref();
        let params = (
            signed(sequence),
            quarantine.cause.as_str(),
            &quarantine.reason,
            waits_for.map(|(table, _)| table.as_str()),
            waits_for.map(|(_, id)| id.as_str()),
        );
        self.execute(sql, params)?;
        Ok(())
    }

    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64> {
        let woken = "state = 'waiting' AND waits_for_table = ?1 AND waits_for_id = ?2";
        self.stage_again(woken, [table.as_str(), id.as_str()])
    }

    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64> {
        let chosen = "state = ?1 AND state <> 'staged' AND source <> 'local' AND (?2 IS NULL OR source = ?2)";
        let source = source.map(source_text);
        self.stage_again(chosen, (cause.as_str(), source.as_deref()))
    }

    fn requeue_one(&self, sequence: u64) -> Result<u64> {
        self.stage_again("sequence = ?1 AND state <> 'staged' AND source <> 'local'", [signed(sequence)])
    }
}

impl SqliteTxn<WriteTurn<'_>> {
    /// Stages the chosen quarantined records again, and requests the integration of the sites that had pushed them.
    fn stage_again(&self, chosen: &str, params: impl Params + Copy) -> Result<u64> {
        let request = format!(
            "INSERT INTO sync_integration (site_id, requested_at) \
             SELECT CAST(substr(source, 6) AS INTEGER), min(received_at) FROM sync_buffer \
             WHERE {chosen} AND source LIKE 'site %' GROUP BY source ON CONFLICT DO NOTHING"
        );
        self.execute(&request, params)?;
        let stage = format!(
            "UPDATE sync_buffer SET state = 'staged', reason = NULL, waits_for_table = NULL, waits_for_id = NULL, \
             was_set_aside = 1 WHERE {chosen}"
        );
        self.execute(&stage, params).map(|n| n as u64)
    }
}
