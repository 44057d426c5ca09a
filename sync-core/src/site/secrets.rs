//! Where a site keeps its secrets: in its database, or where the host says.

use std::fmt;
use std::sync::Arc;

use crate::error::{Cause, Error, Result};
use crate::protocol::PasswordHash;
use crate::storage::{ReadTxn, WriteTxn, state};

/// A secret of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Secret {
    /// The hash of the site's password, which is as powerful as the password: 64 hex digits.
    PasswordHash,
    /// The id by which the servers know this machine.
    HardwareId,
}

impl Secret {
    /// A stable name, for the key under which a store keeps it: `password_sha256` or `hardware_id`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordHash => state::PASSWORD_HASH.name(),
            Self::HardwareId => state::HARDWARE_ID.name(),
        }
    }
}

/// Keeps the secrets of a site outside its database: in the key chain of a system, in a file of a secret manager, in the
/// environment ([`EnvironmentSecrets`]). Without one they are in the database file, which only its owner may read.
///
/// [`ReplicaBuilder::secrets`](crate::ReplicaBuilder::secrets) takes it, each time a database is opened. It is for one site: an app with
/// several databases gives each a store of its own. The secrets of a database that was set up before move to the store with its next
/// cycle. The free space of the file, and backups from before, may still hold them: where that matters, change the site's password.
///
/// A backup then holds no secret, and a copy of the file alone cannot sign in.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
///
/// use sync_core::error::Cause;
/// use sync_core::site::{Secret, SecretStore};
///
/// /// What an app does with the key chain of its system.
/// #[derive(Default)]
/// struct KeyChain(Mutex<BTreeMap<&'static str, String>>);
///
/// impl SecretStore for KeyChain {
///     fn get(&self, secret: Secret) -> Result<Option<String>, Cause> {
///         Ok(self.0.lock().map_err(|error| error.to_string())?.get(secret.as_str()).cloned())
///     }
///     fn set(&self, secret: Secret, value: &str) -> Result<(), Cause> {
///         self.0.lock().map_err(|error| error.to_string())?.insert(secret.as_str(), value.to_owned());
///         Ok(())
///     }
/// }
///
/// let builder = sync_core::Replica::builder().secrets(KeyChain::default());
/// ```
pub trait SecretStore: Send + Sync {
    /// Reads a secret; `None` if it was never set. Called several times in a cycle, so a slow store should remember it.
    ///
    /// # Errors
    /// It cannot be read now, as while a device is locked: [`Error::SecretsFailed`](crate::Error::SecretsFailed) with this cause.
    fn get(&self, secret: Secret) -> Result<Option<String>, Cause>;

    /// Replaces a secret, durably. Called when the site is set up, and when a secret moves out of the database.
    ///
    /// # Errors
    /// It cannot be written; [`Site::set_up`](crate::Site::set_up) then stores nothing in the database.
    fn set(&self, secret: Secret, value: &str) -> Result<(), Cause>;
}

/// Secrets from environment variables, which somebody else sets: a service manager, a container. They are read each time, and never
/// written: a site is set up with the same password that the variable has the hash of.
#[derive(Debug, Clone)]
pub struct EnvironmentSecrets {
    prefix: String,
}

impl EnvironmentSecrets {
    /// The variables `PREFIX_PASSWORD_SHA256` and `PREFIX_HARDWARE_ID`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    fn variable(&self, secret: Secret) -> String {
        format!("{}_{}", self.prefix, secret.as_str().to_uppercase())
    }
}

impl SecretStore for EnvironmentSecrets {
    fn get(&self, secret: Secret) -> Result<Option<String>, Cause> {
        match std::env::var(self.variable(secret)) {
            Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("{} is no text", self.variable(secret)).into()),
        }
    }

    fn set(&self, secret: Secret, value: &str) -> Result<(), Cause> {
        if self.get(secret)?.as_deref() == Some(value) {
            return Ok(());
        }
        Err(format!("the variable {} has another value, or none", self.variable(secret)).into())
    }
}

/// The store that a host chose, if any.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Option<Arc<dyn SecretStore>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Secrets(of the host)" } else { "Secrets(in the database)" })
    }
}

fn failed(source: Cause) -> Error {
    Error::SecretsFailed { source }
}

impl Secrets {
    pub(crate) fn of_host(store: Arc<dyn SecretStore>) -> Self {
        Self(Some(store))
    }

    /// The hash of the site's password; `None` for a database that is not set up.
    pub(crate) fn password(&self, txn: &dyn ReadTxn) -> Result<Option<PasswordHash>> {
        let Some(here) = state::PASSWORD_HASH.find(txn)? else { return Ok(None) };
        if here.expose().is_empty() {
            return self.kept(Secret::PasswordHash).map(PasswordHash::from_hex).map(Some);
        }
        // One that has not moved yet.
        Ok(Some(here))
    }

    /// The stored hardware id, where the database has this one.
    pub(crate) fn hardware_id(&self, here: String) -> Result<String> {
        if here.is_empty() { self.kept(Secret::HardwareId) } else { Ok(here) }
    }

    /// A secret that the database says is kept elsewhere.
    fn kept(&self, secret: Secret) -> Result<String> {
        let missing = || Error::SecretMissing { secret: secret.as_str() };
        let store = self.0.as_ref().ok_or_else(missing)?;
        store.get(secret).map_err(failed)?.ok_or_else(missing)
    }

    pub(crate) fn store_password(&self, txn: &dyn WriteTxn, password: &PasswordHash) -> Result<()> {
        let here = self.keep(Secret::PasswordHash, password.expose())?;
        state::PASSWORD_HASH.set(txn, PasswordHash::from_hex(here))
    }

    /// Moves a password out of the database that was set up before the host chose a store.
    pub(crate) fn move_password(&self, txn: &dyn WriteTxn) -> Result<()> {
        match state::PASSWORD_HASH.find(txn)? {
            Some(here) if self.0.is_some() && !here.expose().is_empty() => self.store_password(txn, &here),
            _ => Ok(()),
        }
    }

    pub(crate) fn store_hardware_id(&self, txn: &dyn WriteTxn, id: &str) -> Result<()> {
        let here = self.keep(Secret::HardwareId, id)?;
        state::HARDWARE_ID.set(txn, here)
    }

    /// Keeps a secret where the host wants it, and returns what the database stores in its place.
    fn keep<'v>(&self, secret: Secret, value: &'v str) -> Result<&'v str> {
        let Some(store) = &self.0 else { return Ok(value) };
        if store.get(secret).map_err(failed)?.as_deref() != Some(value) {
            store.set(secret, value).map_err(failed)?;
        }
        Ok("")
    }
}
