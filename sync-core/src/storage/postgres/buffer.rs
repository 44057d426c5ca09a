//! The sync buffer: staged and quarantined records.

use postgres::Row;

use super::connection::Params;
use super::text::Text;
use super::txn::{Column, PostgresTxn, text, text_or_none};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Cursor, RecordId, TableName};
use crate::storage::sql::{BufferRow, cursor, limited, signed, source_text};
use crate::storage::{
    BufferReads, BufferWrites, Buffered, CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, Source, StagedCounts,
    StagedKind,
};
use crate::text::sentences::input;

/// The longest table and id of a received record, together: an index of PostgreSQL holds no row of more than 2,700 bytes.
const KEY_MAX: usize = 2000;

const COLUMNS: &str = BufferRow::COLUMNS;

fn read_row(row: &Row) -> Column<BufferRow> {
    let plain = |index| row.try_get::<_, String>(index);
    Ok(BufferRow {
        sequence: row.try_get(0)?,
        texts: [plain(1)?, text(row, 2)?, text(row, 3)?, plain(4)?, plain(5)?, plain(6)?, plain(7)?],
        reason: text_or_none(row, 8)?,
        waits_for: (text_or_none(row, 9)?, text_or_none(row, 10)?),
        cursor: row.try_get(11)?,
        known: (row.try_get(12)?, row.try_get(13)?),
        was_set_aside: row.try_get(14)?,
    })
}

/// A query for the rows that this condition selects, until their data exceed a chunk, and always for the first one.
fn a_chunk(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM ( \
             SELECT *, sum(octet_length(data)) OVER (ORDER BY sequence) AS so_far FROM ( \
                 SELECT * FROM sync_buffer {condition}) b) s \
         WHERE so_far <= {CHUNK_BYTES} OR so_far = octet_length(data) ORDER BY sequence"
    )
}

impl BufferReads for PostgresTxn<'_> {
    fn staged_tables(&self, source: Source) -> Result<Vec<(TableName, StagedCounts)>> {
        let sql = "SELECT table_name, count(*) FILTER (WHERE action = 'upsert'), \
                   count(*) FILTER (WHERE action = 'delete'), count(*) FILTER (WHERE action = 'merge') \
                   FROM sync_buffer WHERE source = $1 AND state = 'staged' GROUP BY table_name ORDER BY table_name";
        self.all(sql, &[&source_text(source)], |row| {
            let count = |index| row.try_get::<_, i64>(index).map(i64::unsigned_abs);
            let counts = StagedCounts { upserts: count(1)?, deletes: count(2)?, merges: count(3)? };
            Ok((TableName::new(text(row, 0)?), counts))
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
        let sql = a_chunk(
            "WHERE source = $1 AND table_name = $2 AND action = $3 AND sequence > $4 AND state = 'staged' \
             ORDER BY sequence LIMIT $5",
        );
        let params = (source_text(source), Text(table.as_str()), kind.as_str(), signed(after), limited(limit));
        let rows = self.all(&sql, &[&params.0, &params.1, &params.2, &params.3, &params.4], read_row)?;
        rows.into_iter().map(BufferRow::read).collect()
    }

    fn buffered_cursor(&self, source: Source, table: &TableName, id: &RecordId) -> Result<Option<Cursor>> {
        let sql = "SELECT cursor FROM sync_buffer WHERE source = $1 AND table_name = $2 AND record_id = $3 \
                   AND action <> 'merge' AND state IN ('staged', 'waiting', 'failed')";
        let params = (source_text(source), Text(table.as_str()), Text(id.as_str()));
        let found = self.first(sql, &[&params.0, &params.1, &params.2], |row| row.try_get::<_, Option<i64>>(0))?;
        Ok(found.flatten().map(cursor))
    }

    fn buffered_versions(&self, table: &TableName, id: &RecordId) -> Result<Vec<Buffered>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sync_buffer WHERE table_name = $1 AND record_id = $2 AND action <> 'merge' \
             ORDER BY sequence"
        );
        let rows = self.all(&sql, &[&Text(table.as_str()), &Text(id.as_str())], read_row)?;
        rows.into_iter().map(BufferRow::read).collect()
    }

    fn is_buffered_elsewhere(&self, source: Source, table: &TableName, id: &RecordId) -> Result<bool> {
        let sql = "SELECT 1 FROM sync_buffer WHERE table_name = $1 AND record_id = $2 AND source <> $3 \
                   AND action <> 'merge' LIMIT 1";
        self.any(sql, &[&Text(table.as_str()), &Text(id.as_str()), &source_text(source)])
    }

    fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        let sql = a_chunk("WHERE state <> 'staged' AND sequence > $1 ORDER BY sequence LIMIT $2");
        let rows = self.all(&sql, &[&signed(after), &limited(limit)], read_row)?;
        let read = rows.into_iter().map(BufferRow::read).collect::<Result<Vec<_>>>()?;
        Ok(read
            .into_iter()
            .filter_map(|row| row.incoming.quarantine.clone().map(|quarantine| (row, quarantine)))
            .collect())
    }

    fn any_buffered(&self) -> Result<bool> {
        self.any("SELECT 1 FROM sync_buffer LIMIT 1", &[])
    }

    fn any_quarantined(&self) -> Result<bool> {
        self.any("SELECT 1 FROM sync_buffer WHERE state <> 'staged' LIMIT 1", &[])
    }

    fn newest_quarantined(&self, source: Source) -> Result<u64> {
        let sql =
            "SELECT sequence FROM sync_buffer WHERE source = $1 AND state <> 'staged' ORDER BY sequence DESC LIMIT 1";
        let found = self.first(sql, &[&source_text(source)], |row| row.try_get::<_, i64>(0))?;
        Ok(found.unwrap_or(0).unsigned_abs())
    }

    fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        let sql = "SELECT state, count(*) FROM sync_buffer WHERE state <> 'staged' GROUP BY state";
        let counts: Vec<(String, i64)> = self.all(sql, &[], |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        let count = |cause: QuarantineCause| {
            let (_, count) = counts.iter().find(|(state, _)| state == cause.as_str())?;
            Some((cause, count.unsigned_abs()))
        };
        Ok(QuarantineCause::ALL.into_iter().filter_map(count).collect())
    }
}

impl BufferWrites for PostgresTxn<'_> {
    fn stage(&self, incoming: &Incoming, received_at: Timestamp) -> Result<()> {
        if incoming.table.as_str().len() + incoming.id.as_str().len() > KEY_MAX {
            return Err(Error::bad_input(input::key_too_long(KEY_MAX)));
        }
        let sql = "INSERT INTO sync_buffer (source, table_name, record_id, action, data, received_at, state, reason, \
                       waits_for_table, waits_for_id, cursor, known_here, known_by_sender) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                   ON CONFLICT (table_name, record_id, source) WHERE action <> 'merge' DO UPDATE SET \
                       sequence = excluded.sequence, action = excluded.action, data = excluded.data, \
                       received_at = excluded.received_at, state = excluded.state, reason = excluded.reason, \
                       waits_for_table = excluded.waits_for_table, waits_for_id = excluded.waits_for_id, \
                       cursor = excluded.cursor, known_here = excluded.known_here, \
                       known_by_sender = excluded.known_by_sender, was_set_aside = false";
        let quarantine = incoming.quarantine.as_ref();
        let waits_for = quarantine.and_then(|q| q.waits_for.as_ref());
        let params: Params<'_> = &[
            &source_text(incoming.source),
            &Text(incoming.table.as_str()),
            &Text(incoming.id.as_str()),
            &StagedKind::of(incoming.action).as_str(),
            &incoming.data.as_str(),
            &received_at.to_string(),
            &quarantine.map_or("staged", |q| q.cause.as_str()),
            &quarantine.map(|q| Text(&q.reason)),
            &waits_for.map(|(table, _)| Text(table.as_str())),
            &waits_for.map(|(_, id)| Text(id.as_str())),
            &incoming.cursor.map(|cursor| signed(cursor.0)),
            &incoming.known.here.map_or_else(|| self.newest(), |here| signed(here.0)),
            &incoming.known.by_sender.map(|cursor| signed(cursor.0)),
        ];
        self.execute(sql, params).map(drop)
    }

    fn settle(&self, sequences: &[u64]) -> Result<()> {
        if sequences.is_empty() {
            return Ok(());
        }
        let sequences: Vec<i64> = sequences.iter().copied().map(signed).collect();
        self.execute("DELETE FROM sync_buffer WHERE sequence = ANY ($1)", &[&sequences]).map(drop)
    }

    fn discard(&self, source: Source, table: &TableName, id: &RecordId) -> Result<()> {
        let sql = "DELETE FROM sync_buffer WHERE source = $1 AND table_name = $2 AND record_id = $3 \
                   AND action <> 'merge'";
        let params = (source_text(source), Text(table.as_str()), Text(id.as_str()));
        self.execute(sql, &[&params.0, &params.1, &params.2]).map(drop)
    }

    fn note_newer(&self, table: &TableName, id: &RecordId, (after, from): (u64, Cursor)) -> Result<()> {
        let sql = "UPDATE sync_buffer SET known_here = $5 WHERE table_name = $1 AND record_id = $2 AND sequence > $3 \
                   AND known_here >= $4 AND action <> 'merge'";
        let params = (Text(table.as_str()), Text(id.as_str()), signed(after), signed(from.0), self.newest());
        self.execute(sql, &[&params.0, &params.1, &params.2, &params.3, &params.4]).map(drop)
    }

    fn quarantine(&self, sequence: u64, quarantine: &Quarantine) -> Result<()> {
        let sql = "UPDATE sync_buffer SET state = $2, reason = $3, waits_for_table = $4, waits_for_id = $5 \
                   WHERE sequence = $1";
        let waits_for = quarantine.waits_for.as_ref();
        let params: Params<'_> = &[
            &signed(sequence),
            &quarantine.cause.as_str(),
            &Text(&quarantine.reason),
            &waits_for.map(|(table, _)| Text(table.as_str())),
            &waits_for.map(|(_, id)| Text(id.as_str())),
        ];
        self.execute(sql, params).map(drop)
    }

    fn wake_waiting(&self, table: &TableName, id: &RecordId) -> Result<u64> {
        let woken = "state = 'waiting' AND waits_for_table = $1 AND waits_for_id = $2";
        self.stage_again(woken, &[&Text(table.as_str()), &Text(id.as_str())])
    }

    fn requeue(&self, cause: QuarantineCause, source: Option<Source>) -> Result<u64> {
        let chosen = "state = $1 AND state <> 'staged' AND source <> 'local' AND ($2::text IS NULL OR source = $2)";
        self.stage_again(chosen, &[&cause.as_str(), &source.map(source_text)])
    }

    fn requeue_one(&self, sequence: u64) -> Result<u64> {
        self.stage_again("sequence = $1 AND state <> 'staged' AND source <> 'local'", &[&signed(sequence)])
    }
}

impl PostgresTxn<'_> {
    /// Stages the chosen quarantined records again, and requests the integration of the sites that had pushed them.
    fn stage_again(&self, chosen: &str, params: Params<'_>) -> Result<u64> {
        let sql = format!(
            "WITH request AS ( \
                 INSERT INTO sync_integration (site_id, requested_at) \
                 SELECT substr(source, 6)::integer, min(received_at) FROM sync_buffer \
                 WHERE {chosen} AND source LIKE 'site %' GROUP BY source ON CONFLICT DO NOTHING) \
             UPDATE sync_buffer SET state = 'staged', reason = NULL, waits_for_table = NULL, waits_for_id = NULL, \
             was_set_aside = true WHERE {chosen}"
        );
        self.announce_work();
        self.execute(&sql, params)
    }
}
