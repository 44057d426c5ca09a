//! Checks sites against the local list.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{Output, PasswordHash as StoredHash, PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::authenticator::{AuthenticationError, CredentialRefusal, SiteAuthenticator};
use super::keyed_digest::{Digest, HmacKey};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::protocol::PasswordHash;
use crate::protocol::v6::Credentials;
use crate::record::SiteId;
use crate::storage::{SiteEntry, Storage};

/// How long a correct password is remembered, while the list has the same secret: a check costs ten milliseconds and 8
/// MiB, and forty thousand sites come every five minutes.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest text that is checked; a password hash has 64 characters.
const TEXT_MAX: usize = 255;

/// The most slow hashes at a time: each needs memory and a core. Half of the cores stay free for known sites.
const HASHES_MAX: usize = 4;

/// A slow hash: 8 MiB and two passes make a guess cost at least ten milliseconds.
fn slow_hash() -> Result<Argon2<'static>> {
    let params = Params::new(8 * 1024, 2, 1, None).map_err(hashing_failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hashing_failed(error: impl std::fmt::Display) -> Error {
    Error::Io { what: "hashing a password".to_owned(), source: error.to_string().into() }
}

/// The stored hash of a password.
pub(crate) fn stored_secret(password: &PasswordHash) -> Result<String> {
    let salt = SaltString::encode_b64(uuid::Uuid::new_v4().as_bytes()).map_err(hashing_failed)?;
    Ok(slow_hash()?.hash_password(password.expose().as_bytes(), &salt).map_err(hashing_failed)?.to_string())
}

/// Checks sites against the local list. The first sign-in of a site binds its hardware id.
pub struct LocalAuthenticator {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    keyed: HmacKey,
    /// By site: the digest of the stored secret and the sent one, and the time of the check.
    checked: Mutex<HashMap<SiteId, (Digest, Duration)>>,
    hashing: Hashing,
}

impl std::fmt::Debug for LocalAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAuthenticator")
    }
}

impl LocalAuthenticator {
    /// Creates an authenticator for the list in this storage.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, clock, keyed: HmacKey::new(), checked: Mutex::default(), hashing: Hashing::new() }
    }

    fn was_checked(&self, site: &SiteEntry, sent: &str) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner).get(&site.id).copied();
        checked.is_some_and(|(digest, at)| {
            self.clock.monotonic().saturating_sub(at) < REMEMBERED
                && self.keyed.verify(&digest, &[remembered_secret(site), sent])
        })
    }

    fn is_password(&self, site: &SiteEntry, sent: &str) -> Result<bool> {
        if sent.len() > TEXT_MAX {
            return Ok(false);
        }
        if self.was_checked(site, sent) {
            return Ok(true);
        }
        let stored =
            StoredHash::new(&site.secret).map_err(|_| Error::DamagedState { what: "a site's secret".to_owned() })?;
        let right = is_hash_of(&stored, sent, &mut self.hashing.wait_for_turn().memory);
        if right {
            let checked = (self.keyed.digest(&[remembered_secret(site), sent]), self.clock.monotonic());
            self.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(site.id, checked);
        }
        Ok(right)
    }

    /// Binds a site to the first machine that signs in. The list may have changed since it was read: by another process
    /// that set a password, or by the same site from another machine.
    fn bind(&self, site: &SiteEntry, hardware_id: &str) -> Result<Bound> {
        let txn = self.storage.write()?;
        match txn.central()?.site_named(&site.name)? {
            Some(now) if now.id == site.id && now.secret == site.secret && now.hardware_id.is_none() => {
                txn.central()?.put_site(&SiteEntry { hardware_id: Some(hardware_id.to_owned()), ..now })?;
                txn.commit()?;
                Ok(Bound::Yes)
            }
            _ => Ok(Bound::Changed),
        }
    }
}

/// The secret for which a correct password is remembered.
fn remembered_secret(site: &SiteEntry) -> &str {
    if planted!(OldPasswordRemembered) { "" } else { &site.secret }
}

enum Bound {
    Yes,
    /// The entry differs from the checked one.
    Changed,
}

/// The memory of the slow hashes, which share it. With separate memory for each, every thread would keep its own: a
/// server with many threads grew by a gigabyte.
struct Hashing {
    at_once: usize,
    free: Mutex<Vec<Vec<Block>>>,
    given_back: Condvar,
}

impl Hashing {
    fn new() -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, HASHES_MAX));
        Self { at_once, free: Mutex::new(vec![Vec::new(); at_once]), given_back: Condvar::new() }
    }

    fn wait_for_turn(&self) -> HashTurn<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(memory) = free.pop() {
                return HashTurn { hashing: self, memory };
            }
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One running slow hash.
struct HashTurn<'a> {
    hashing: &'a Hashing,
    memory: Vec<Block>,
}

impl Drop for HashTurn<'_> {
    fn drop(&mut self) {
        self.hashing.free.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.memory));
        self.hashing.given_back.notify_one();
    }
}

/// Compares a stored hash with a text, with the parameters of the hash.
fn is_hash_of(stored: &StoredHash<'_>, text: &str, memory: &mut Vec<Block>) -> bool {
    let mut computed = || {
        let params = Params::try_from(stored).ok()?;
        let algorithm = Algorithm::try_from(stored.algorithm).ok()?;
        let version = stored.version.map_or(Some(Version::default()), |version| Version::try_from(version).ok())?;
        let mut salt = [0; 64];
        let salt = stored.salt?.decode_b64(&mut salt).ok()?;
        let mut hash = vec![0; stored.hash?.len()];
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(text.as_bytes(), salt, &mut hash, memory.get_mut(..blocks)?).ok()?;
        Output::new(&hash).ok()
    };
    // Compared in constant time.
    computed().is_some_and(|computed| Some(computed) == stored.hash)
}

fn refused(refusal: CredentialRefusal) -> AuthenticationError {
    AuthenticationError::Refused { refusal, checked_at: "the local list of sites".to_owned() }
}

impl SiteAuthenticator for LocalAuthenticator {
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        let refused = |refusal| Err(refused(refusal));
        // An entry that changed meanwhile is checked once more. One that keeps changing is not a fault of this server.
        for _ in 0..3 {
            let Some(site) = self.storage.read()?.central()?.site_named(&credentials.username)? else {
                return refused(CredentialRefusal::UnknownSite);
            };
            if !self.is_password(&site, &credentials.password_sha256)? {
                return refused(CredentialRefusal::WrongPassword);
            }
            match &site.hardware_id {
                Some(bound) if self.keyed.eq_constant_time(bound, &credentials.site_uuid) => return Ok(site.id),
                Some(_) if planted!(AnyMachineComesIn) => return Ok(site.id),
                Some(_) => return refused(CredentialRefusal::HardwareIdMismatch),
                // Otherwise the site would be bound to an empty machine id.
                None if credentials.site_uuid.is_empty() || credentials.site_uuid.len() > TEXT_MAX => {
                    return refused(CredentialRefusal::HardwareIdMismatch);
                }
                None => match self.bind(&site, &credentials.site_uuid)? {
                    Bound::Yes => return Ok(site.id),
                    Bound::Changed => {}
                },
            }
        }
        refused(CredentialRefusal::WrongPassword)
    }

    fn were_right_lately(&self, credentials: &Credentials) -> bool {
        let site = self.storage.read().and_then(|txn| txn.central()?.site_named(&credentials.username));
        site.ok().flatten().is_some_and(|site| self.was_checked(&site, &credentials.password_sha256))
    }

    fn known(&self, credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        let site = match self.storage.read().and_then(|txn| txn.central()?.site_named(&credentials.username)) {
            Ok(Some(site)) => site,
            Ok(None) => return Some(Err(refused(CredentialRefusal::UnknownSite))),
            Err(error) => return Some(Err(error.into())),
        };
        if credentials.password_sha256.len() > TEXT_MAX {
            return Some(Err(refused(CredentialRefusal::WrongPassword)));
        }
        if !self.was_checked(&site, &credentials.password_sha256) {
            return None;
        }
        // Binding a machine waits for the database.
        let bound = site.hardware_id.as_ref()?;
        Some(match self.keyed.eq_constant_time(bound, &credentials.site_uuid) {
            true => Ok(site.id),
            false if planted!(AnyMachineComesIn) => Ok(site.id),
            false => Err(refused(CredentialRefusal::HardwareIdMismatch)),
        })
    }

    fn is_own_machine(&self, credentials: &Credentials) -> bool {
        let site = self.storage.read().and_then(|txn| txn.central()?.site_named(&credentials.username));
        let bound = site.ok().flatten().and_then(|site| site.hardware_id);
        bound.is_some_and(|bound| self.keyed.eq_constant_time(&bound, &credentials.site_uuid))
    }

    fn checks_at_once(&self) -> usize {
        self.hashing.at_once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_checked_in_memory_that_others_used_before() {
        let (one, other) = (PasswordHash::of_password("one"), PasswordHash::of_password("other"));
        let secrets = [&one, &other].map(|password| stored_secret(password).unwrap());
        let mut memory = Vec::new();
        for _ in 0..2 {
            for (secret, password, right) in [
                (&secrets[0], &one, true),
                (&secrets[1], &one, false),
                (&secrets[1], &other, true),
                (&secrets[0], &other, false),
            ] {
                let stored = StoredHash::new(secret).unwrap();
                assert_eq!(is_hash_of(&stored, password.expose(), &mut memory), right);
            }
        }
        assert_eq!(memory.len(), 8 * 1024, "one and the same");
        let without_hash = StoredHash::new("$argon2id$v=19$m=8192,t=2,p=1").unwrap();
        assert!(!is_hash_of(&without_hash, one.expose(), &mut memory));
    }

    #[test]
    fn as_many_hash_at_once_as_have_memory() {
        let hashing = Hashing::new();
        let at_once = hashing.free.lock().unwrap().len();
        assert!((1..=HASHES_MAX).contains(&at_once));
        let turns: Vec<_> = (0..at_once).map(|_| hashing.wait_for_turn()).collect();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| drop(hashing.wait_for_turn()));
            assert!(hashing.free.lock().unwrap().is_empty() && !waits.is_finished());
            drop(turns);
            waits.join().unwrap();
        });
        assert_eq!(hashing.free.lock().unwrap().len(), at_once);
    }
}
