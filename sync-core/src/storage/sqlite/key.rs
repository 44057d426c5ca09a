//! The key of an encrypted database file.
#![cfg_attr(
    not(feature = "sqlcipher"),
    allow(dead_code, unreachable_pub, reason = "without the feature nobody has a key")
)]

use std::path::Path;

use rusqlite::Connection;

use super::fault::at_path;
use crate::error::{Error, Result};
use crate::protocol::hex;

/// The key of a database file that SQLCipher encrypts. It is never shown.
///
/// Everything in the file, in SQLite's files beside it and in backups is encrypted with it. The files of records, the lock and the watermark
/// beside the database are not. A lost key cannot be replaced: what was not pushed is lost with it, and a site is set up again in a new file.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseKey(String);

impl std::fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseKey(…)")
    }
}

impl DatabaseKey {
    /// A key of 32 random bytes, which the app keeps in the key chain of the system. This is the fast way: a connection opens at once.
    pub fn of_bytes(bytes: &[u8; 32]) -> Self {
        Self(format!("x'{}'", hex(bytes)))
    }

    /// A key from a text that a person types. SQLCipher makes it slow to guess, so each connection takes a part of a second to open, and
    /// readers at the same time need a connection each.
    ///
    /// # Errors
    /// [`Error::BadInput`] for an empty text, and for one that begins as SQLCipher writes keys of bytes (`x'`).
    pub fn of_passphrase(text: &str) -> Result<Self> {
        if text.is_empty() || text.starts_with("x'") || text.contains('\0') {
            return Err(Error::bad_input(crate::text::sentences::input::no_passphrase()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as a text in SQL.
    pub(super) fn quoted(&self) -> String {
        format!("'{}'", self.0.replace('\'', "''"))
    }
}

/// Gives a new connection its key, before anything else is done with it. A wrong key shows with the first read.
pub(super) fn unlock(connection: &Connection, key: Option<&DatabaseKey>) -> rusqlite::Result<()> {
    match key {
        // SQLCipher writes a log to standard error otherwise, which belongs to the host. A fault comes back as an error.
        Some(key) => {
            connection.execute_batch(&format!("PRAGMA cipher_log_level = NONE; PRAGMA key = {}", key.quoted()))
        }
        None => Ok(()),
    }
}

/// Names the path in an error, and the key where that may be at fault: an encrypted file looks like no database to a wrong key.
pub(super) fn named(error: Error, path: &Path, key: Option<&DatabaseKey>) -> Error {
    match at_path(error, path) {
        Error::NotADatabase { path, source: Some(source) } if key.is_some() => {
            Error::DatabaseKeyRefused { path, source }
        }
        other => other,
    }
}
