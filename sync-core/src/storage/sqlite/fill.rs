//! The part of a migration in Rust: fills the search columns, and checks records from older versions for content that
//! not every peer can read.
//!
//! Row by row, so memory stays bounded. An unreadable row stays as it is.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::database_error;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::portable::admit;
use crate::record::{RecordData, RecordId, TableName};
use crate::storage::found::Found;

/// A stored record.
struct OldRow {
    rowid: i64,
    table: TableName,
    id: RecordId,
    data: RecordData,
    changed_at: i64,
    site: Option<i64>,
}

impl OldRow {
    /// Reads a row; `None` if one of its texts is invalid, or its data are not JSON.
    fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let text = |index| -> rusqlite::Result<Option<String>> {
            Ok(match row.get_ref(index)? {
                ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
                _ => None,
            })
        };
        let number = |index| -> rusqlite::Result<Option<i64>> {
            Ok(match row.get_ref(index)? {
                ValueRef::Integer(number) => Some(number),
                _ => None,
            })
        };
        let (Some(rowid), Some(table), Some(id), Some(data)) = (number(0)?, text(1)?, text(2)?, text(3)?) else {
            return Ok(None);
        };
        let Ok(data) = RecordData::parse(data) else { return Ok(None) };
        let (changed_at, site) = (number(4)?.unwrap_or(0), number(5)?);
        Ok(Some(Self { rowid, table: TableName::new(table), id: RecordId::new(id), data, changed_at, site }))
    }
}

/// Fills the columns, and repairs or quarantines records that not every peer can read.
pub(super) fn fill(connection: &Connection) -> Result<()> {
    let mut joins_changed = false;
    let records = "SELECT rowid, table_name, record_id, data, changed_at, NULL FROM sync_record WHERE rowid > ?1 \
                   ORDER BY rowid LIMIT 1";
    each(connection, records, |old| {
        // SQL may have read such a record differently, even if it can be repaired.
        joins_changed |= *old.table.as_str() == *crate::storage::found::JOINS && old.data.check_portable().is_err();
        let data = match once(&old) {
            Some(once) => {
                connection.execute("UPDATE sync_record SET data = ?2 WHERE rowid = ?1", (old.rowid, once.as_str()))?;
                once
            }
            None => old.data.clone(),
        };
        find_by(connection, old.rowid, &Found::of(&old.table, &data))?;
        if let Err(error) = admit(&old.table, &old.id, Some(&data)) {
            set_aside(connection, "local", &old, &error.to_string())?;
            // It is not sent any more; otherwise it would count as waiting for ever.
            connection.execute("UPDATE sync_record SET is_sync_update = 1 WHERE rowid = ?1", [old.rowid])?;
        }
        Ok(())
    })?;
    let kept = "SELECT number, table_name, record_id, data, 0, site_id FROM sync_kept WHERE number > ?1 \
                ORDER BY number LIMIT 1";
    each(connection, kept, |old| {
        if let Some(once) = once(&old) {
            connection.execute("UPDATE sync_kept SET data = ?2 WHERE number = ?1", (old.rowid, once.as_str()))?;
        } else if let Err(error) = admit(&old.table, &old.id, Some(&old.data)) {
            let source = format!("site {}", old.site.unwrap_or(0));
            set_aside(connection, &source, &old, &error.to_string())?;
            connection.execute("DELETE FROM sync_kept WHERE number = ?1", [old.rowid])?;
        }
        Ok(())
    })?;
    if joins_changed { see_again(connection).map_err(database_error) } else { Ok(()) }
}

/// Fills the search columns of stores once more.
pub(super) fn read_stores_again(connection: &Connection) -> Result<()> {
    let stores = "SELECT rowid, table_name, record_id, data, changed_at, NULL FROM sync_record WHERE rowid > ?1 \
                  AND table_name = 'store' ORDER BY rowid LIMIT 1";
    each(connection, stores, |old| find_by(connection, old.rowid, &Found::of(&old.table, &old.data)))
}

/// The rows of a table one by one, ordered by the first number. Each is read before any write.
fn each(connection: &Connection, sql: &str, mut take: impl FnMut(OldRow) -> rusqlite::Result<()>) -> Result<()> {
    let mut statement = connection.prepare(sql).map_err(database_error)?;
    let mut after = i64::MIN;
    loop {
        let next = statement.query_row([after], |row| Ok((row.get::<_, i64>(0)?, OldRow::read(row)?))).optional();
        let Some((number, old)) = next.map_err(database_error)? else { return Ok(()) };
        after = number;
        if let Some(old) = old {
            take(old).map_err(database_error)?;
        }
    }
}

/// The data with each key once, if that is their only fault.
fn once(old: &OldRow) -> Option<RecordData> {
    let once = old.data.with_each_key_once()?;
    admit(&old.table, &old.id, Some(&once)).ok().map(|()| once)
}

fn find_by(connection: &Connection, rowid: i64, found: &Found) -> rusqlite::Result<()> {
    if *found == Found::default() {
        return Ok(());
    }
    let sql = "UPDATE sync_record SET parent_id = ?2, site_number = ?3, join_name = ?4, join_store = ?5 \
               WHERE rowid = ?1";
    let join = found.join.as_ref();
    connection.prepare_cached(sql)?.execute(params![
        rowid,
        found.parent.as_ref().map(RecordId::as_str),
        found.site,
        join.map(|(name, _)| name.as_str()),
        join.map(|(_, store)| store.as_str()),
    ])?;
    Ok(())
}

/// Shows a record in the quarantine, unless it is shown there already.
fn set_aside(connection: &Connection, source: &str, old: &OldRow, reason: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO sync_buffer (source, table_name, record_id, action, data, received_at, state, reason) \
               VALUES (?1, ?2, ?3, 'upsert', ?4, ?5, 'malformed', ?6)";
    let at = Timestamp::from_unix_millis(old.changed_at).to_string();
    connection.execute(sql, params![source, old.table.as_str(), old.id.as_str(), old.data.as_str(), at, reason])?;
    Ok(())
}

/// Recreates the patient rows that each store sees, and their counts, from the joins.
fn see_again(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM sync_seen;
         DELETE FROM sync_count WHERE audience LIKE 'patients of %';
         INSERT INTO sync_seen (store_id, beside, cursor, source_site_id)
             SELECT DISTINCT joined.join_store, about.beside, about.cursor, about.source_site_id
             FROM (
                 SELECT name_id, 0 AS beside, cursor, source_site_id FROM sync_record WHERE audience = 'patient'
                 UNION ALL
                 SELECT name_id, 1, cursor, source_site_id FROM sync_change WHERE audience = 'patient'
             ) about
             JOIN sync_record joined ON joined.join_name = about.name_id;
         INSERT INTO sync_count (audience, start, rows)
             SELECT 'patients of ' || store_id, min(cursor), count(*)
             FROM (
                 SELECT store_id, cursor,
                        (row_number() OVER (PARTITION BY store_id ORDER BY cursor) - 1) / 2048 AS part
                 FROM sync_seen
             )
             GROUP BY store_id, part;",
    )
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStorage;
    use super::*;
    use crate::record::{Cursor, SiteId};
    use crate::storage::{QuarantineCause, Selection, Source, Storage as _};

    /// A database as the previous version left it.
    const BEFORE: [&str; 5] = [
        include_str!("0001.sql"),
        include_str!("0002.sql"),
        include_str!("0003.sql"),
        include_str!("0004.sql"),
        include_str!("0005.sql"),
    ];

    fn database(folder: &tempfile::TempDir, records: &[(&str, &str, &str)]) -> std::path::PathBuf {
        let path = folder.path().join("old.sqlite");
        let connection = Connection::open(&path).unwrap();
        BEFORE.iter().for_each(|sql| connection.execute_batch(sql).unwrap());
        connection.execute_batch("PRAGMA application_id = 0x4f4d5353; PRAGMA user_version = 5").unwrap();
        for (cursor, (table, id, data)) in (1..).zip(records) {
            let sql = "INSERT INTO sync_record (table_name, record_id, data, cursor, is_sync_update, changed_at, audience) \
                       VALUES (?1, ?2, ?3, ?4, 0, 0, 'everyone')";
            connection.execute(sql, (table, id, data, cursor)).unwrap();
        }
        connection
            .execute("INSERT INTO sync_state (key, value) VALUES ('newest_cursor', ?1)", [records.len() as i64])
            .unwrap();
        path
    }

    #[test]
    fn records_of_an_older_version_are_found_by_what_this_one_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(
            &folder,
            &[
                ("store", "s", r#"{"ID":"s","sync_id_remote_site":"7"}"#),
                ("name_store_join", "j", r#"{"ID":"j","name_ID":"x","name_ID":"n","store_ID":"s"}"#),
                ("name_store_join", "k", r#"{"ID":"k","name_ID":"m","store_ID":"s","inactive":true}"#),
                ("asset_log", "l", r#"{"id":"l","asset_id":"b","asset_id":"a"}"#),
                ("asset", "deep", r#"{"id":"deep","notes":"one","notes":"two"}"#),
                ("asset", "nul", r#"{"id":"nul","notes":"a\u0000b"}"#),
                ("asset", "broken", "{"),
            ],
        );
        let storage = SqliteStorage::open(&path).unwrap();
        let txn = storage.read().unwrap();
        assert_eq!(txn.stores_of_site(SiteId(7)).unwrap(), [crate::record::StoreId::from("s")]);
        assert!(txn.is_visible(&"n".into(), &["s".into()]).unwrap());
        assert!(!txn.is_visible(&"x".into(), &["s".into()]).unwrap(), "the value that no peer reads");
        assert!(!txn.is_visible(&"m".into(), &["s".into()]).unwrap(), "inactive");
        assert_eq!(txn.children(&"asset_log".into(), "asset_id", &"a".into()).unwrap(), [RecordId::from("l")]);
        let deep = txn.record(&"asset".into(), &"deep".into()).unwrap().unwrap();
        assert_eq!(deep.as_str(), r#"{"id":"deep","notes":"two"}"#);
        // A record that cannot be repaired stays, is shown, and is no edit that waits to be sent.
        assert!(txn.has_record(&"asset".into(), &"nul".into()).unwrap());
        let aside = txn.quarantined(0, 9).unwrap();
        let [(row, why)] = aside.as_slice() else { panic!("{aside:?}") };
        assert_eq!((row.incoming.source, why.cause), (Source::Local, QuarantineCause::Malformed));
        assert!(why.reason.starts_with("$.notes: "), "{}", why.reason);
        let local = txn.changes(&Selection::Local, Cursor(0), 99).unwrap();
        assert!(local.iter().all(|row| row.change.id.as_str() != "nul") && local.len() == 6);
    }

    /// An older version of schema 7 read no site from a number with a decimal point.
    #[test]
    fn a_store_whose_site_number_has_a_point_gets_its_site_with_the_upgrade() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [
            ("store", "s", r#"{"ID":"s","sync_id_remote_site":3.0}"#),
            ("store", "t", r#"{"ID":"t","sync_id_remote_site":3}"#),
        ];
        let path = database(&folder, &stores);
        drop(SqliteStorage::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.execute("UPDATE sync_record SET site_number = NULL WHERE record_id = 's'", ()).unwrap();
        connection.execute_batch("PRAGMA user_version = 7").unwrap();
        drop(connection);
        let storage = SqliteStorage::open(&path).unwrap();
        let stores = storage.read().unwrap().stores_of_site(SiteId(3)).unwrap();
        assert_eq!(stores, ["s", "t"].map(crate::record::StoreId::from));
    }

    /// Of a join with a key twice, SQL read the first. One that cannot be repaired is still found as this library reads
    /// it.
    #[test]
    fn what_stores_see_of_patients_agrees_with_joins_that_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let join = r#"{"ID":"j","name_ID":"x","name_ID":"n","store_ID":"s","comment":"\u0000"}"#;
        let path = database(&folder, &[("name_store_join", "j", join)]);
        let connection = Connection::open(&path).unwrap();
        for (cursor, patient) in [(11, "x"), (12, "n")] {
            let sql = "INSERT INTO sync_record (table_name, record_id, data, cursor, name_id, is_sync_update, changed_at, \
                                                audience) VALUES ('vaccination', ?1, '{}', ?2, ?1, 1, 0, 'patient')";
            connection.execute(sql, (patient, cursor)).unwrap();
        }
        connection.execute("INSERT INTO sync_seen (store_id, beside, cursor) VALUES ('s', 0, 11)", ()).unwrap();
        drop(connection);
        let storage = SqliteStorage::open(&path).unwrap();
        let txn = storage.read().unwrap();
        let seen =
            txn.changes(&Selection::ForSite { stores: vec!["s".into()], except_from: None }, Cursor(0), 9).unwrap();
        let seen: Vec<&str> = seen.iter().map(|row| row.change.id.as_str()).filter(|id| *id != "j").collect();
        assert_eq!(seen, ["n"]);
    }

    #[test]
    fn what_is_kept_for_sites_is_gone_through_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(&folder, &[]);
        let connection = Connection::open(&path).unwrap();
        for (id, data) in [("a", r#"{"ID":"x","ID":"a"}"#), ("b", r#"{"ID":"\ud800"}"#), ("c", r#"{"ID":"c"}"#)] {
            let sql = "INSERT INTO sync_kept (site_id, table_name, record_id, data) VALUES (2, 'transact', ?1, ?2)";
            connection.execute(sql, (id, data)).unwrap();
        }
        drop(connection);
        let storage = SqliteStorage::open(&path).unwrap();
        let txn = storage.read().unwrap();
        let kept = txn.central().unwrap().legacy_mirror(SiteId(2), 0, 9).unwrap();
        let kept: Vec<&str> = kept.iter().map(|kept| kept.data.as_str()).collect();
        assert_eq!(kept, [r#"{"ID":"a"}"#, r#"{"ID":"c"}"#]);
        let (row, _) = txn.quarantined(0, 9).unwrap().remove(0);
        assert_eq!((row.incoming.source, row.incoming.id.as_str()), (Source::Site(SiteId(2)), "b"));
    }
}
