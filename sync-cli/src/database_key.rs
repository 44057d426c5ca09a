//! The key of an encrypted database: in a file that its owner alone may read, or in the environment. It is never an argument, which
//! others on the machine could read.

use std::io::Read as _;
use std::path::Path;

use oms_sync_inspect::database::unreadable;
#[cfg(feature = "sqlcipher")]
use sync_core::storage::DatabaseKey;
use sync_core::text_input::first_line;
use sync_core::{Error, Replica, ReplicaBuilder, Result};

use crate::args::Args;
use crate::input::text;
use crate::sentences::input_given as given;

/// The variable with the key itself.
const KEY: &str = "OMS_SYNC_DB_KEY";

/// The most bytes of a file with a key.
const FILE_BYTES_MAX: u64 = 4096;

/// Without the feature there is no key.
#[cfg(not(feature = "sqlcipher"))]
#[derive(Debug, Clone)]
pub(crate) enum DatabaseKey {}

impl Args {
    /// How the database file is opened: with its key, if one is given.
    pub(crate) fn builder(&self) -> Result<ReplicaBuilder> {
        let builder = Replica::builder();
        match self.key()? {
            #[cfg(feature = "sqlcipher")]
            Some(key) => Ok(builder.key(key)),
            #[cfg(not(feature = "sqlcipher"))]
            Some(key) => match key {},
            None => Ok(builder),
        }
    }

    /// The key that is given: that of the file before that of the environment.
    pub(crate) fn key(&self) -> Result<Option<DatabaseKey>> {
        match (&self.db_key_file, std::env::var_os(KEY)) {
            (Some(file), _) => key_of_file(file).map(Some),
            (None, Some(value)) => key_of(Path::new(KEY), value.as_encoded_bytes()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The key in a file, which must be an ordinary one that nobody but its owner may read.
pub(crate) fn key_of_file(path: &Path) -> Result<DatabaseKey> {
    let shown = || path.display().to_string();
    let failed = |error: std::io::Error| unreadable(path, error);
    // The kind of the file is checked before it is opened, because opening a pipe waits for a writer.
    let is_file = std::fs::metadata(path).map_err(failed)?.is_file();
    let no_file = || Error::bad_input(given::key_is_no_file(shown()));
    if !is_file {
        return Err(no_file());
    }
    let mut file = std::fs::File::open(path).map_err(failed)?;
    if !is_of_its_owner_alone(&file.metadata().map_err(failed)?) {
        return Err(Error::bad_input(given::key_of_others(shown())));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(no_file());
    }
    key_of(path, &bytes)
}

#[cfg(unix)]
fn is_of_its_owner_alone(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.permissions().mode() & 0o077 == 0
}

/// Elsewhere the access list of the folder decides.
#[cfg(not(unix))]
fn is_of_its_owner_alone(_: &std::fs::Metadata) -> bool {
    true
}

/// The key in one line of text. 64 hexadecimal digits are the key itself; all else is a passphrase.
fn key_of(from: &Path, bytes: &[u8]) -> Result<DatabaseKey> {
    let text = text(from, bytes)?;
    let line = first_line(&text);
    let shown = || from.display().to_string();
    if line.is_empty() {
        return Err(Error::bad_input(given::no_key(shown())));
    }
    if !text[line.len()..].trim().is_empty() {
        return Err(Error::bad_input(given::key_of_lines(shown())));
    }
    made(line)
}

#[cfg(feature = "sqlcipher")]
fn made(line: &str) -> Result<DatabaseKey> {
    match bytes_of(line) {
        Some(bytes) => Ok(DatabaseKey::of_bytes(&bytes)),
        None => DatabaseKey::of_passphrase(line),
    }
}

#[cfg(not(feature = "sqlcipher"))]
fn made(_: &str) -> Result<DatabaseKey> {
    Err(Error::bad_input(given::no_encryption()))
}

/// The bytes of 64 hexadecimal digits.
#[cfg(feature = "sqlcipher")]
fn bytes_of(line: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = line.chars().map(|char| char.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64)
}

/// Gives a database file this key in the place of that of the builder.
#[cfg(feature = "sqlcipher")]
pub(crate) fn keyed(builder: ReplicaBuilder, db: &Path, new: &DatabaseKey) -> Result<()> {
    builder.change_key(db, new)
}

/// Gives a database file this key in the place of that of the builder.
#[cfg(not(feature = "sqlcipher"))]
pub(crate) fn keyed(_: ReplicaBuilder, _: &Path, new: &DatabaseKey) -> Result<()> {
    match *new {}
}

#[cfg(all(test, feature = "sqlcipher"))]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_a_key_of_bytes_and_all_else_is_a_passphrase() {
        let key = |line: &str| made(line).expect("a key");
        let digits = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
        assert!(bytes_of(&digits).is_some() && key(&digits) == key(&digits.to_lowercase()));
        for passphrase in [&digits[1..], &format!("{digits}0"), "x".repeat(64).as_str(), "två personer vet"] {
            assert!(bytes_of(passphrase).is_none() && key(passphrase) == key(passphrase), "{passphrase}");
        }
        assert_eq!(made("x'00'").expect_err("SQLCipher would take it for bytes").code(), "bad_input");
    }
}
