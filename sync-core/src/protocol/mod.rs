//! Messages as types: bytes in, bytes out, every error shape. No socket, no clock, no storage.

pub mod v5;
pub mod v6;

use sha2::{Digest, Sha256};

pub use crate::redaction::{masked_text, masked_url, one_line, steers};

/// The lower-case hex SHA-256 of a site's password, which is what travels (`protocol-v6` §4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password.
    pub fn of_password(password: &str) -> Self {
        Self(hex(&Sha256::digest(password.as_bytes())))
    }

    /// Takes a hash as it was stored or sent.
    pub fn from_hex(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The hash, which is as powerful as the password: for requests and storage only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The hex digits of a 128-bit digest of some texts, with separators between them.
pub(crate) fn digest_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize()[..16])
}

/// Lower-case hex digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The application as named in every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppIdentity {
    /// `major.minor.patch` without leading zeros.
    pub version: String,
    /// `Open mSupply Desktop` or `Open mSupply Android`.
    pub name: String,
}

impl Default for AppIdentity {
    /// The version whose wire behaviour this library has.
    fn default() -> Self {
        Self { version: "2.21.0".to_owned(), name: "Open mSupply Desktop".to_owned() }
    }
}
