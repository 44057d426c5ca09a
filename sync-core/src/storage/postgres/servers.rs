//! What central servers on this database tell each other.

use std::cell::RefCell;
use std::time::Duration;

use super::connection::{Connection, Params, Pool};
use super::fault::database_error;
use super::lock::UPLOAD;
use super::parts::SharedParts;
use super::text::{Stored, Text};
use super::txn::WORK;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::storage::{Remembered, SharedStorage};

/// How long a server may take to compare and name one file, of which it may read many megabytes.
const UPLOAD_IDLE: &str = "8s";

/// Stores values that are not stored yet. Others see them at once, but they need not be on the disk when this ends: a server that
/// fell forgets them too.
const REMEMBER: &str = "INSERT INTO sync_remembered (kind, key, value) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS new (kind, key, value) \
    WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL AND NOT EXISTS (SELECT FROM sync_remembered known \
        WHERE known.kind = new.kind AND known.key = new.key AND known.value = new.value) \
    ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, at = clock_timestamp()";

/// The milliseconds since 1970 by the clock of the database.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl SharedParts {
    /// The value of a kind and key, and the time.
    fn value(&self, connection: &mut Connection, kind: &str, key: &str) -> Result<(Option<String>, Timestamp)> {
        let sql = format!(
            "SELECT known.value, {NOW} FROM (SELECT 1) one \
             LEFT JOIN sync_remembered known ON known.kind = $1 AND known.key = $2"
        );
        let rows = connection.query(&sql, &[&kind, &Text(key)])?;
        let read = rows.first().map(|row| Ok((row.try_get::<_, Option<Stored>>(0)?, row.try_get::<_, i64>(1)?)));
        let (value, now) =
            read.transpose().map_err(|error| database_error(&self.address.to_string(), error))?.unwrap_or_default();
        Ok((value.map(|stored| stored.0), Timestamp::from_unix_millis(now)))
    }
}

impl SharedStorage for SharedParts {
    fn wait_for_work(&self, timeout: Duration) -> Result<bool> {
        let mut listening = self.notices.lock();
        let is_new = listening.is_none();
        if is_new {
            let mut connection = Connection::open(&self.address)?;
            connection.simple(&format!("LISTEN {WORK}"))?;
            *listening = Some(connection);
        }
        let Some(connection) = listening.as_mut() else { return Ok(is_new) };
        if is_new {
            // What came before nobody has heard.
            return Ok(true);
        }
        connection.wait_for_notice(timeout).inspect_err(|_| *listening = None)
    }

    fn remember(&self, values: &[Remembered<'_>]) -> Result<()> {
        let column = |of: fn(&Remembered<'_>) -> String| values.iter().map(of).collect::<Vec<String>>();
        let kinds = column(|value| value.kind.to_owned());
        let (keys, texts): (Vec<_>, Vec<_>) = values.iter().map(|value| (Text(value.key), Text(value.value))).unzip();
        let params: Params<'_> = &[&kinds, &keys, &texts];
        self.pool.at_once(&self.address, |connection| connection.execute(REMEMBER, params).map(drop))
    }

    fn recall(&self, kind: &str, key: &str) -> Result<(Option<String>, Timestamp)> {
        self.pool.at_once(&self.address, |connection| self.value(connection, kind, key))
    }

    fn change(&self, kind: &str, key: &str, change: &mut dyn FnMut(Option<&str>, Timestamp) -> String) -> Result<()> {
        let change = RefCell::new(change);
        self.pool.at_once(&self.address, |connection| {
            connection.simple("BEGIN")?;
            // Locks a row that is there, and one that is not there yet.
            let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text, 0))";
            connection.query(lock, &[&kind, &Text(key)])?;
            let (known, now) = self.value(connection, kind, key)?;
            let value = (change.borrow_mut())(known.as_deref(), now);
            connection.execute(REMEMBER, &[&vec![kind], &vec![Text(key)], &vec![Text(&value)]])?;
            connection.simple("COMMIT").map(drop)
        })
    }

    fn forget(&self, kind: &str, age: Duration) -> Result<()> {
        let sql = "DELETE FROM sync_remembered \
                   WHERE kind = $1 AND at < clock_timestamp() - make_interval(secs => $2)";
        self.pool.at_once(&self.address, |connection| connection.execute(sql, &[&kind, &age.as_secs_f64()]).map(drop))
    }

    fn take_upload_turn(&self) -> Result<Box<dyn Send + '_>> {
        let (mut connection, _) = self.pool.lend(&self.address)?;
        let lock = UPLOAD.in_transaction();
        let begun = connection
            .simple(&format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{UPLOAD_IDLE}'; {lock}"));
        let turn = UploadTurn { pool: &self.pool, connection: Some(connection) };
        begun.map(|_| Box::new(turn) as Box<dyn Send>)
    }
}

/// A turn, until it is dropped.
struct UploadTurn<'s> {
    pool: &'s Pool,
    /// `None` only during drop.
    connection: Option<Connection>,
}

impl Drop for UploadTurn<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            match connection.simple("ROLLBACK") {
                Ok(_) => self.pool.give_back(connection),
                Err(_) => self.pool.discard(connection),
            }
        }
    }
}
