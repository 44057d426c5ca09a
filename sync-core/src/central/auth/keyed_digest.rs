//! Secrets as keyed digests: without the key they cannot be tested against a list of passwords, and they are compared
//! in constant time.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The digest of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

/// Makes digests under a key that lives and ends with this process.
pub(crate) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// Creates a random key.
    pub(crate) fn new() -> Self {
        // Two version 4 UUIDs hold 244 bits of the system's randomness.
        let mut key = [0; 32];
        key[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        #[allow(clippy::expect_used, reason = "a key of this method may have any length")]
        Self(Hmac::new_from_slice(&key).expect("a key of any length"))
    }

    /// The digest of some texts, with separators between them.
    pub(crate) fn digest(&self, parts: &[&str]) -> Digest {
        Digest(self.mac_of(parts).finalize().into_bytes().into())
    }

    /// Compares a digest with that of these texts, in constant time.
    pub(crate) fn verify(&self, digest: &Digest, parts: &[&str]) -> bool {
        self.mac_of(parts).verify_slice(&digest.0).is_ok()
    }

    /// Compares two texts in constant time.
    pub(crate) fn eq_constant_time(&self, one: &str, other: &str) -> bool {
        self.verify(&self.digest(&[one]), &[other])
    }

    fn mac_of(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart_and_keys_too() {
        let keyed = HmacKey::new();
        let digest = keyed.digest(&["ab", "c"]);
        assert!(keyed.verify(&digest, &["ab", "c"]));
        assert!(!keyed.verify(&digest, &["a", "bc"]));
        assert!(!keyed.verify(&digest, &["ab"]));
        assert!(!HmacKey::new().verify(&digest, &["ab", "c"]), "another key");
        assert!(keyed.eq_constant_time("x", "x") && !keyed.eq_constant_time("x", "y"));
    }
}
