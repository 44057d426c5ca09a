//! The state of files.

use postgres::Row;

use super::connection::Params;
use super::text::Text;
use super::txn::{Column, PostgresTxn, text, text_or_none};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};
use crate::storage::sql::{limited, signed};
use crate::storage::{FileDirection, FileEntry, FileReads, FileState, FileWrites};

const COLUMNS: &str = "file_id, table_name, record_id, direction, state, bytes, sha256, etag, attempts, next_at, reason, \
                       changed_at";

fn read(row: &Row) -> Column<FileEntry> {
    let at = Timestamp::from_unix_millis;
    let (direction, state): (String, String) = (row.try_get(3)?, row.try_get(4)?);
    Ok(FileEntry {
        id: RecordId::new(text(row, 0)?),
        table: TableName::new(text(row, 1)?),
        record_id: RecordId::new(text(row, 2)?),
        direction: if direction == "upload" { FileDirection::Upload } else { FileDirection::Download },
        // The table holds no other state.
        state: FileState::ALL.into_iter().find(|known| known.as_str() == state).unwrap_or(FileState::Waiting),
        bytes: row.try_get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        sha256: row.try_get(6)?,
        etag: text_or_none(row, 7)?,
        attempts: u32::try_from(row.try_get::<_, i64>(8)?).unwrap_or(u32::MAX),
        next_at: row.try_get::<_, Option<i64>>(9)?.map(at),
        reason: text_or_none(row, 10)?,
        changed_at: at(row.try_get(11)?),
    })
}

impl FileReads for PostgresTxn<'_> {
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM sync_file WHERE file_id = $1");
        self.first(&sql, &[&Text(id.as_str())], read)
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        let after = after.map(|after| Text(after.as_str()));
        let of = "$1::text IS NULL OR file_id > $1 ORDER BY file_id LIMIT $2";
        self.files_where(of, &[&after, &limited(limit)])
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        let params = (Text(table.as_str()), Text(record.as_str()));
        self.files_where("table_name = $1 AND record_id = $2 ORDER BY file_id", &[&params.0, &params.1])
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        let sql = "SELECT state, count(*) FROM sync_file GROUP BY state";
        let counts: Vec<(String, i64)> = self.all(sql, &[], |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        let count = |state: FileState| {
            let (_, count) = counts.iter().find(|(of, _)| of == state.as_str())?;
            Some((state, count.unsigned_abs()))
        };
        Ok(FileState::ALL.into_iter().filter_map(count).collect())
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        let params = (at.unix_millis(), limited(limit));
        self.files_where("next_at <= $1 ORDER BY next_at, file_id LIMIT $2", &[&params.0, &params.1])
    }
}

impl FileWrites for PostgresTxn<'_> {
    fn put_file(&self, file: &FileEntry) -> Result<()> {
        let sql = format!(
            "INSERT INTO sync_file ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (file_id) DO UPDATE SET table_name = excluded.table_name, record_id = excluded.record_id, \
             direction = excluded.direction, state = excluded.state, bytes = excluded.bytes, sha256 = excluded.sha256, \
             etag = excluded.etag, attempts = excluded.attempts, next_at = excluded.next_at, reason = excluded.reason, \
             changed_at = excluded.changed_at"
        );
        let params: Params<'_> = &[
            &Text(file.id.as_str()),
            &Text(file.table.as_str()),
            &Text(file.record_id.as_str()),
            &file.direction.as_str(),
            &file.state.as_str(),
            &file.bytes.map(signed),
            &file.sha256,
            &file.etag.as_deref().map(Text),
            &i64::from(file.attempts),
            &file.next_at.map(Timestamp::unix_millis),
            &file.reason.as_deref().map(Text),
            &file.changed_at.unix_millis(),
        ];
        self.execute(&sql, params).map(drop)
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        Ok(self.execute("DELETE FROM sync_file WHERE file_id = $1", &[&Text(id.as_str())])? > 0)
    }
}

impl PostgresTxn<'_> {
    fn files_where(&self, rest: &str, params: Params<'_>) -> Result<Vec<FileEntry>> {
        self.all(&format!("SELECT {COLUMNS} FROM sync_file WHERE {rest}"), params, read)
    }
}
