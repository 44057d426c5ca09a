//! The key of an encrypted database file.
#![cfg_attr(
    not(feature = "sqlcipher"),
    allow(dead_code, unreachable_pub, reason = "without the feature nobody has a key")
)]

use std::fs::File;
use std::io::Read as _;
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

/// Names the path in an error, and the key where that may be at fault: an encrypted file looks like no database to a wrong key, and so
/// does one that is not encrypted to any key.
pub(super) fn named(error: Error, path: &Path, key: Option<&DatabaseKey>) -> Error {
    match at_path(error, path) {
        Error::NotADatabase { path: shown, source: Some(_) } if key.is_some() && is_plain(path) => {
            Error::DatabaseNotEncrypted { path: shown }
        }
        Error::NotADatabase { path, source: Some(source) } if key.is_some() => {
            Error::DatabaseKeyRefused { path, source }
        }
        other => other,
    }
}

/// True for the error of a database that is perhaps whole, and has another key than the one that it was opened with.
pub(super) fn is_of_key(error: &Error, path: &Path) -> bool {
    match error {
        Error::DatabaseNotEncrypted { .. } => true,
        Error::DatabaseKeyRefused { .. } | Error::NotADatabase { .. } => looks_encrypted(path),
        _ => false,
    }
}

/// True for a file of whole pages whose first one looks random, as each page of an encrypted database does. What else is no database, such
/// as zeros and text, does not.
fn looks_encrypted(path: &Path) -> bool {
    let mut page = [0; 4096];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut page)?;
        file.metadata()
    });
    let mut is_there = [false; 256];
    for byte in page {
        is_there[usize::from(byte)] = true;
    }
    // Of 4096 random bytes nearly all values are there.
    read.is_ok_and(|file| file.len().is_multiple_of(512))
        && is_there.iter().filter(|is_there| **is_there).count() >= 240
}

/// True for a file that begins as each SQLite database does that is not encrypted.
fn is_plain(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"SQLite format 3\0"
}
