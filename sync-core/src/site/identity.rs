//! Who this site is, as its database has it.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::address::parse_url;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::ownership::Role;
use crate::protocol::v5::{InitialisationStatus, SiteHeaders, V5_VERSION};
use crate::protocol::v6::Credentials;
use crate::protocol::{AppIdentity, PasswordHash, hex};
use crate::record::SiteId;
use crate::redaction::masked_url;
use crate::storage::state::{HardwareFrom, is_one_server, role, site_id};
use crate::storage::{ReadTxn, WriteTxn, state};
use crate::text::{Localize, Message};

/// What is needed to talk to the legacy server.
#[derive(Clone)]
pub struct Settings {
    /// The legacy server's address.
    pub legacy_url: String,
    /// The site's name.
    pub site_name: String,
    /// The hash of its password.
    pub password: PasswordHash,
    /// The id by which servers know this machine, if it must be a certain one; if `None`, the machine's own, or what the
    /// database has of before.
    pub hardware_id: Option<String>,
}

impl std::fmt::Debug for Settings {
    /// Shows neither the password nor the hardware id, nor what may be a password in the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("legacy_url", &masked_url(&self.legacy_url))
            .field("site_name", &self.site_name)
            .finish_non_exhaustive()
    }
}

/// What the legacy server said of this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discovered {
    /// The part this database plays.
    #[serde(serialize_with = "role_text")]
    pub role: Role,
    /// The site's number.
    pub site_id: SiteId,
    /// The address of the Open mSupply central server; empty if there is none.
    pub central_url: String,
    /// The number of the legacy server's own site, if it said so.
    pub legacy_site_id: Option<SiteId>,
    /// How far the legacy server is with initialising this site.
    pub initialisation_status: String,
    /// What differs from what it said before.
    pub changes: Vec<Message>,
    /// The same status, as the cycle reads it.
    #[serde(skip)]
    pub(crate) status: InitialisationStatus,
}

impl Localize for Discovered {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.changes.each_message(each);
    }
}

fn role_text<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.as_str())
}

/// The id by which servers know this machine, and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub id: String,
    pub from: HardwareFrom,
}

impl Hardware {
    /// That which somebody chose for this machine.
    pub(crate) fn given(id: &str) -> Self {
        Self { id: id.to_owned(), from: HardwareFrom::Given }
    }

    /// That of a database on this machine, if it has one. What is the machine's own is never taken from the database, and what
    /// somebody chose counts on the machine for which that was: a copy of the file elsewhere is another machine.
    pub(crate) fn load(txn: &dyn ReadTxn, machine: &Machine) -> Result<Option<Self>> {
        let Some(id) = state::HARDWARE_ID.find(txn)? else { return Ok(None) };
        Ok(Some(match state::HARDWARE_ID_FROM.get(txn)? {
            HardwareFrom::Machine => Self::of(machine)?,
            HardwareFrom::Given => {
                let bound = state::HARDWARE_ID_BOUND.get(txn)?;
                if bound.is_empty() || bound == bound_to(machine) { Self::given(&id) } else { Self::of(machine)? }
            }
            HardwareFrom::Chance => Self { id, from: HardwareFrom::Chance },
        }))
    }

    /// That of this machine.
    pub(crate) fn of(machine: &Machine) -> Result<Self> {
        Ok(Self { id: machine.id()?, from: HardwareFrom::Machine })
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn, machine: &Machine) -> Result<()> {
        state::HARDWARE_ID.set(txn, &self.id)?;
        if self.from == HardwareFrom::Given {
            state::HARDWARE_ID_BOUND.set(txn, bound_to(machine))?;
        }
        match self.from {
            HardwareFrom::Machine | HardwareFrom::Given => state::HARDWARE_ID_FROM.set(txn, self.from),
            HardwareFrom::Chance => Ok(()),
        }
    }
}

/// What tells a machine from others, without saying who it is; empty where it has no id.
fn bound_to(machine: &Machine) -> String {
    let digest = |id: String| hex(&Sha256::digest(format!("oms-sync {id}"))[..16]);
    machine.id().map(digest).unwrap_or_default()
}

/// A set-up site: its settings and what discovery stored.
#[derive(Clone)]
pub(crate) struct Identity {
    pub legacy_url: Url,
    pub site_name: String,
    password: PasswordHash,
    pub(crate) hardware: Hardware,
    app: AppIdentity,
    pub site_id: Option<SiteId>,
    pub role: Option<Role>,
    pub central_url: Option<String>,
    pub legacy_site_id: Option<SiteId>,
    pub initialised: bool,
}

impl Identity {
    /// What `settings` say, before anything is known of the site.
    pub(crate) fn of_settings(settings: &Settings, hardware: Hardware) -> Result<Self> {
        Ok(Self {
            legacy_url: parse_url("the legacy server's address", &settings.legacy_url)?,
            site_name: settings.site_name.clone(),
            password: settings.password.clone(),
            hardware,
            app: AppIdentity::default(),
            site_id: None,
            role: None,
            central_url: None,
            legacy_site_id: None,
            initialised: false,
        })
    }

    /// Reads it from a database on this machine.
    pub(crate) fn load(txn: &dyn ReadTxn, machine: &Machine) -> Result<Self> {
        if role(txn)? == Some(Role::Central) && !state::LEGACY_URL.is_set(txn)? {
            return Err(Error::WrongRole { needed: "remote site", found: "central server without a legacy server" });
        }
        let settings = Settings {
            legacy_url: state::LEGACY_URL.find(txn)?.ok_or(Error::NotSetUp)?,
            site_name: state::SITE_NAME.find(txn)?.ok_or(Error::NotSetUp)?,
            password: state::PASSWORD_HASH.find(txn)?.ok_or(Error::NotSetUp)?,
            hardware_id: None,
        };
        Ok(Self {
            site_id: site_id(txn)?,
            role: role(txn)?,
            central_url: state::CENTRAL_URL.find(txn)?.filter(|url| !url.is_empty()),
            legacy_site_id: state::LEGACY_SITE_ID.find(txn)?,
            initialised: state::INITIALISED_AT.is_set(txn)?,
            ..Self::of_settings(&settings, Hardware::load(txn, machine)?.ok_or(Error::NotSetUp)?)?
        })
    }

    /// Whether one server answers the questions of both.
    pub(crate) fn central_is_legacy(&self) -> bool {
        is_one_server(self.legacy_url.as_str(), self.central_url.as_deref())
    }

    /// What no message may hold.
    pub(crate) fn hardware_id(&self) -> &str {
        &self.hardware.id
    }

    /// The headers of V5 requests.
    pub(crate) fn headers(&self) -> SiteHeaders {
        SiteHeaders {
            site_name: self.site_name.clone(),
            password: self.password.clone(),
            hardware_id: self.hardware.id.clone(),
            app: self.app.clone(),
            version: V5_VERSION,
        }
    }

    /// The credentials of V6 requests.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            server_url: self.legacy_url.to_string(),
            username: self.site_name.clone(),
            password_sha256: self.password.expose().to_owned(),
            site_uuid: self.hardware.id.clone(),
            app_version: self.app.version.clone(),
            app_name: self.app.name.clone(),
            sync_version: V5_VERSION.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_settings_holds_no_secret() {
        let settings = Settings {
            legacy_url: "https://me:url-secret@legacy.example.org".to_owned(),
            site_name: "clinic".to_owned(),
            password: PasswordHash::of_password("a password"),
            hardware_id: Some("machine-id".to_owned()),
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("clinic") && shown.contains("legacy.example.org"), "{shown}");
        for secret in ["url-secret", "machine-id", settings.password.expose()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
