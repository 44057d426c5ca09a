//! The state of files.

use rusqlite::{Params, Row};

use super::txn::{HoldsConnection, SqliteTxn, WriteTurn};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};
use crate::storage::sql::limited;
use crate::storage::{FileDirection, FileEntry, FileReads, FileState, FileWrites};

const COLUMNS: &str = "file_id, table_name, record_id, direction, state, bytes, sha256, etag, attempts, next_at, reason, \
                       changed_at";

fn read(row: &Row<'_>) -> rusqlite::Result<FileEntry> {
    let text = |index: usize| row.get::<_, String>(index);
    let at = Timestamp::from_unix_millis;
    let state = text(4)?;
    Ok(FileEntry {
        id: RecordId::new(text(0)?),
        table: TableName::new(text(1)?),
        record_id: RecordId::new(text(2)?),
        direction: if text(3)? == "upload" { FileDirection::Upload } else { FileDirection::Download },
        // The table holds no other state.
        state: FileState::ALL.into_iter().find(|known| known.as_str() == state).unwrap_or(FileState::Waiting),
        bytes: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        sha256: row.get(6)?,
        etag: row.get(7)?,
        attempts: row.get(8)?,
        next_at: row.get::<_, Option<i64>>(9)?.map(at),
        reason: row.get(10)?,
        changed_at: at(row.get(11)?),
    })
}

impl<C: HoldsConnection> FileReads for SqliteTxn<C> {
    fn file(&self, id: &RecordId) -> Result<Option<FileEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM sync_file WHERE file_id = ?1");
        self.first(&sql, [id.as_str()], read)
    }

    fn files(&self, after: Option<&RecordId>, limit: usize) -> Result<Vec<FileEntry>> {
        match after {
            None => self.files_where("true ORDER BY file_id LIMIT ?1", [limited(limit)]),
            Some(after) => self.files_where("file_id > ?1 ORDER BY file_id LIMIT ?2", (after.as_str(), limited(limit))),
        }
    }

    fn files_of(&self, table: &TableName, record: &RecordId) -> Result<Vec<FileEntry>> {
        let of = (table.as_str(), record.as_str());
        self.files_where("table_name = ?1 AND record_id = ?2 ORDER BY file_id", of)
    }

    fn file_counts(&self) -> Result<Vec<(FileState, u64)>> {
        let mut counts = Vec::new();
        for state in FileState::ALL {
            let sql = "SELECT count(*) FROM sync_file WHERE state = ?1";
            let count: Option<i64> = self.first(sql, [state.as_str()], |row| row.get(0))?;
            counts.extend(count.filter(|count| *count > 0).map(|count| (state, count.unsigned_abs())));
        }
        Ok(counts)
    }

    fn files_due(&self, at: Timestamp, limit: usize) -> Result<Vec<FileEntry>> {
        let due = (at.unix_millis(), limited(limit));
        self.files_where("next_at <= ?1 ORDER BY next_at, file_id LIMIT ?2", due)
    }
}

impl FileWrites for SqliteTxn<WriteTurn<'_>> {
    fn put_file(&self, file: &FileEntry) -> Result<()> {
        let sql =
            format!("INSERT OR REPLACE INTO sync_file ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)");
        let columns = (
            file.id.as_str(),
            file.table.as_str(),
            file.record_id.as_str(),
            file.direction.as_str(),
            file.state.as_str(),
            file.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            file.sha256.as_deref(),
            file.etag.as_deref(),
            file.attempts,
            file.next_at.map(Timestamp::unix_millis),
            file.reason.as_deref(),
            file.changed_at.unix_millis(),
        );
        self.execute(&sql, columns).map(|_| ())
    }

    fn remove_file(&self, id: &RecordId) -> Result<bool> {
        Ok(self.execute("DELETE FROM sync_file WHERE file_id = ?1", [id.as_str()])? > 0)
    }
}

impl<C: HoldsConnection> SqliteTxn<C> {
    fn files_where(&self, rest: &str, params: impl Params) -> Result<Vec<FileEntry>> {
        self.all(&format!("SELECT {COLUMNS} FROM sync_file WHERE {rest}"), params, read)
    }
}
