//! Sites that are let in by the local list.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{PasswordHash as StoredHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::authenticator::{AuthenticationError, CredentialRefusal, SiteAuthenticator};
use super::keyed::{Digest, Keyed};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::protocol::PasswordHash;
use crate::protocol::v6::Credentials;
use crate::record::SiteId;
use crate::storage::{SiteEntry, Storage};

/// How long a checked password is remembered as checked, while the list has the same secret: a check costs ten
/// milliseconds and 8 MiB, and forty thousand sites come every five minutes.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest text that is checked; a password hash has 64 characters.
const TEXT_MAX: usize = 255;

/// The most slow hashes at a time: each needs its memory.
const HASHES_MAX: usize = 4;

/// A slow hash: 8 MiB and two passes make a guess cost ten milliseconds and more.
fn slow_hash() -> Result<Argon2<'static>> {
    let params = Params::new(8 * 1024, 2, 1, None).map_err(hashing_failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hashing_failed(error: impl std::fmt::Display) -> Error {
    Error::Io { what: "hashing a password".to_owned(), source: error.to_string().into() }
}

/// What the list keeps of a password.
pub(super) fn stored_secret(password: &PasswordHash) -> Result<String> {
    let salt = SaltString::encode_b64(uuid::Uuid::new_v4().as_bytes()).map_err(hashing_failed)?;
    Ok(slow_hash()?.hash_password(password.expose().as_bytes(), &salt).map_err(hashing_failed)?.to_string())
}

/// Checks sites against the local list. The hardware id is bound at a site's first contact.
pub struct LocalAuthenticator {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    keyed: Keyed,
    /// By site, of the stored secret and of what was sent, and when it was checked.
    checked: Mutex<HashMap<SiteId, (Digest, Duration)>>,
    hashing: (Mutex<usize>, Condvar),
}

impl std::fmt::Debug for LocalAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAuthenticator")
    }
}

impl LocalAuthenticator {
    /// An authenticator over the list in this storage.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            clock,
            keyed: Keyed::new(),
            checked: Mutex::default(),
            hashing: (Mutex::new(0), Condvar::new()),
        }
    }

    fn was_checked(&self, site: &SiteEntry, sent: &str) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner).get(&site.id).copied();
        checked.is_some_and(|(digest, at)| {
            self.clock.monotonic().saturating_sub(at) < REMEMBERED && self.keyed.is(&digest, &[&site.secret, sent])
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
        let right = {
            let _turn = self.wait_for_turn();
            slow_hash()?.verify_password(sent.as_bytes(), &stored).is_ok()
        };
        if right {
            let checked = (self.keyed.digest(&[&site.secret, sent]), self.clock.monotonic());
            self.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(site.id, checked);
        }
        Ok(right)
    }

    fn wait_for_turn(&self) -> Turn<'_> {
        let (running, ended) = &self.hashing;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running =
            ended.wait_while(running, |running| *running >= HASHES_MAX).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Turn(self)
    }

    /// Binds a site to the machine that it came from first. The list may have changed since it was read: by another
    /// process that set a password, or by the same site from another machine.
    fn bind(&self, site: &SiteEntry, hardware_id: &str) -> Result<Bound> {
        let txn = self.storage.write()?;
        match txn.site_named(&site.name)? {
            Some(now) if now.id == site.id && now.secret == site.secret && now.hardware_id.is_none() => {
                txn.put_site(&SiteEntry { hardware_id: Some(hardware_id.to_owned()), ..now })?;
                txn.commit()?;
                Ok(Bound::Yes)
            }
            _ => Ok(Bound::Changed),
        }
    }
}

enum Bound {
    Yes,
    /// The entry is another one than was checked.
    Changed,
}

/// One of the slow hashes that run.
struct Turn<'a>(&'a LocalAuthenticator);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (running, ended) = &self.0.hashing;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_one();
    }
}

impl SiteAuthenticator for LocalAuthenticator {
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        let refused =
            |refusal| Err(AuthenticationError::Refused { refusal, checked_at: "the local list of sites".to_owned() });
        // An entry that changed meanwhile is checked once more; one that goes on changing is nobody's fault here.
        for _ in 0..3 {
            let Some(site) = self.storage.read()?.site_named(&credentials.username)? else {
                return refused(CredentialRefusal::UnknownSite);
            };
            if !self.is_password(&site, &credentials.password_sha256)? {
                return refused(CredentialRefusal::WrongPassword);
            }
            match &site.hardware_id {
                Some(bound) if self.keyed.same(bound, &credentials.site_uuid) => return Ok(site.id),
                Some(_) => return refused(CredentialRefusal::HardwareIdMismatch),
                // Any machine would be bound to none.
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
        let site = self.storage.read().and_then(|txn| txn.site_named(&credentials.username));
        site.ok().flatten().is_some_and(|site| self.was_checked(&site, &credentials.password_sha256))
    }
}
