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

/// The application as named in every request: it says to a server which release of Open mSupply it deals with.
///
/// - A central server of this library writes records as that release reads them: with its keys, and without what it cannot read. An app
///   that names an older release than the default gets less, and gets the rest when it names a newer one. Its administrator sees the
///   version with each site.
/// - An Open mSupply central server passes both on to the legacy server, with the site's credentials.
/// - The legacy server gets both with each request. Open mSupply sends two names, `Open mSupply Desktop` and `Open mSupply Android`
///   (`protocol-v6` §4.1); what a legacy server does with another one is not known.
///
/// So an app on a phone says `Open mSupply Android`; it gives a name of its own only where that was tried with the network's servers, and
/// always a version of Open mSupply, not its own.
/// [`ReplicaBuilder::app_identity`](crate::ReplicaBuilder::app_identity) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppIdentity {
    /// `major.minor.patch` without leading zeros, of a release of Open mSupply.
    pub version: String,
    /// `Open mSupply Desktop` or `Open mSupply Android`.
    pub name: String,
}

impl AppIdentity {
    /// A name with a version of Open mSupply; `None` for a version of another form, and for a name that does not fit in a header: empty,
    /// over 100 bytes, or with characters other than printable ASCII.
    pub fn new(version: &str, name: &str) -> Option<Self> {
        let canonical = v6::release(version).map(|(major, minor, patch)| format!("{major}.{minor}.{patch}"));
        let is_name = (1..=100).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (canonical.as_deref() == Some(version) && is_name && name.trim() == name)
            .then(|| Self { version: version.to_owned(), name: name.to_owned() })
    }
}

impl Default for AppIdentity {
    /// The version whose wire behaviour this library has.
    fn default() -> Self {
        Self { version: "2.21.0".to_owned(), name: "Open mSupply Desktop".to_owned() }
    }
}
