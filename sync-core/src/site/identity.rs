//! The identity of this site, as stored in its database.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::device::Device;
use crate::address::{is_elsewhere, is_readable_on_the_way, parse_url, shown};
use crate::error::{Error, Result, Server};
use crate::machine::Machine;
use crate::protocol::v5::{InitialisationStatus, SiteHeaders, V5_VERSION};
use crate::protocol::v6::{Credentials, PullRequest, SiteStatusRequest, V6_VERSION};
use crate::protocol::{AppIdentity, PasswordHash, hex};
use crate::record::{Cursor, SiteId};
use crate::redaction::masked_url;
use crate::role::Role;
use crate::storage::state::{HardwareFrom, is_one_server, role, site_id};
use crate::storage::{ReadTxn, WriteTxn, state};
use crate::text::sentences::input;
use crate::text::{Localize, Message, quoted};

/// Settings for the connection to the legacy server.
///
/// ```
/// use sync_core::Settings;
/// use sync_core::protocol::PasswordHash;
///
/// let password = PasswordHash::of_password("the password of the site");
/// let settings = Settings::new("https://msupply.example.org:2048", "clinic", password);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The legacy server's address.
    pub legacy_url: String,
    /// The site's name.
    pub site_name: String,
    /// The hash of its password.
    pub password: PasswordHash,
    /// The id by which servers know this machine, if one was chosen; `None` for the machine's own, or one stored by an
    /// older version.
    pub hardware_id: Option<String>,
    /// True if credentials and records go to other machines over https alone: another address is an error, and nothing is
    /// sent there. False allows http:// too, where everybody on the way can read them. `None` leaves it as the database has it,
    /// and means true for a database that is set up for the first time. Servers on this machine, under a loopback address as in tests,
    /// are asked over http:// all the same.
    pub https_only: Option<bool>,
}

impl Settings {
    /// The settings of a site, which servers know by the id of this machine.
    pub fn new(legacy_url: impl Into<String>, site_name: impl Into<String>, password: PasswordHash) -> Self {
        let (legacy_url, site_name) = (legacy_url.into(), site_name.into());
        Self { legacy_url, site_name, password, hardware_id: None, https_only: None }
    }

    /// Chooses the id by which servers know this machine, or with `None` leaves the choice to the library.
    #[must_use]
    pub fn hardware_id(self, id: impl Into<Option<String>>) -> Self {
        Self { hardware_id: id.into(), ..self }
    }

    /// Says whether https alone is used, except on this machine. A new site uses it alone unless this is false; then
    /// [`Site::set_up`](crate::Site::set_up) warns, because everybody on the way can read the site's password hash and its records.
    #[must_use]
    pub fn https_only(self, https_only: bool) -> Self {
        Self { https_only: Some(https_only), ..self }
    }
}

impl std::fmt::Debug for Settings {
    /// Hides the password, the hardware id, and a possible password in the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("legacy_url", &masked_url(&self.legacy_url))
            .field("site_name", &self.site_name)
            .finish_non_exhaustive()
    }
}

/// The legacy server's answer about this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Discovered {
    /// The role of this database.
    #[serde(serialize_with = "role_text")]
    pub role: Role,
    /// The site's number.
    pub site_id: SiteId,
    /// The address of the Open mSupply central server; empty if there is none.
    pub central_url: String,
    /// True if that address is under another host than the one before. Nothing is sent there until somebody has confirmed it, with
    /// [`Site::confirm_central_url`](crate::Site::confirm_central_url).
    pub central_unconfirmed: bool,
    /// The number of the legacy server's own site, if it gave one.
    pub legacy_site_id: Option<SiteId>,
    /// The state of this site's initialisation at the legacy server.
    pub initialisation_status: String,
    /// The differences from its previous answer.
    #[serde(rename = "differences")]
    pub changes: Vec<Message>,
    /// The same state, for the cycle.
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

/// The hardware id of this machine, and its origin.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub id: String,
    pub from: HardwareFrom,
}

impl Hardware {
    /// An id that a person chose for this machine.
    pub(crate) fn given(id: &str) -> Self {
        Self { id: id.to_owned(), from: HardwareFrom::Given }
    }

    /// The id that a database has on this machine, if any. The machine's own id is never read from the database, and a
    /// chosen id is valid only on the machine for which it was chosen: a copy of the file elsewhere is another machine.
    pub(crate) fn load(txn: &dyn ReadTxn, device: &Device) -> Result<Option<Self>> {
        let machine = &device.machine;
        let Some(here) = state::HARDWARE_ID.find(txn)? else { return Ok(None) };
        let from = state::HARDWARE_ID_FROM.get(txn)?;
        let is_of_machine = match from {
            HardwareFrom::Machine => true,
            HardwareFrom::Given => {
                let bound = state::HARDWARE_ID_BOUND.get(txn)?;
                !bound.is_empty() && bound != bound_to(machine)
            }
            HardwareFrom::Chance => false,
        };
        if is_of_machine {
            return Self::of(machine).map(Some);
        }
        Ok(Some(Self { id: device.secrets.hardware_id(here)?, from }))
    }

    /// The id of this machine.
    pub(crate) fn of(machine: &Machine) -> Result<Self> {
        if planted!(MachineIdByChance) {
            return Ok(Self { id: uuid::Uuid::new_v4().to_string(), from: HardwareFrom::Chance });
        }
        Ok(Self { id: machine.id()?, from: HardwareFrom::Machine })
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn, device: &Device) -> Result<()> {
        device.secrets.store_hardware_id(txn, &self.id)?;
        if self.from == HardwareFrom::Given {
            state::HARDWARE_ID_BOUND.set(txn, bound_to(&device.machine))?;
        }
        match self.from {
            HardwareFrom::Machine | HardwareFrom::Given => state::HARDWARE_ID_FROM.set(txn, self.from),
            HardwareFrom::Chance => Ok(()),
        }
    }
}

/// A digest that tells machines apart without revealing their ids; empty for a machine without an id.
fn bound_to(machine: &Machine) -> String {
    let digest = |id: String| hex(&Sha256::digest(format!("oms-sync {id}"))[..16]);
    machine.id().map(digest).unwrap_or_default()
}

/// A site that is set up: its settings and the stored discovery.
#[derive(Clone)]
pub(crate) struct Identity {
    pub legacy_url: Url,
    pub site_name: String,
    password: PasswordHash,
    pub(crate) hardware: Hardware,
    app: AppIdentity,
    pub https_only: bool,
    pub site_id: Option<SiteId>,
    pub role: Option<Role>,
    pub central_url: Option<String>,
    /// The address of central that was set up or confirmed.
    pub central_confirmed: Option<String>,
    pub legacy_site_id: Option<SiteId>,
    pub initialised: bool,
}

impl Identity {
    /// The number of this site; 0 before its set-up.
    pub(crate) fn own_id(&self) -> SiteId {
        self.site_id.unwrap_or(SiteId(0))
    }

    /// The settings, before anything else is known of the site.
    pub(crate) fn of_settings(settings: &Settings, hardware: Hardware, app: AppIdentity) -> Result<Self> {
        const LEGACY: &str = "the legacy server's address";
        let https_only = settings.https_only.unwrap_or(true);
        Ok(Self {
            legacy_url: allowed(https_only, LEGACY, &settings.legacy_url)?,
            https_only,
            site_name: settings.site_name.clone(),
            password: settings.password.clone(),
            hardware,
            app,
            site_id: None,
            role: None,
            central_url: None,
            central_confirmed: None,
            legacy_site_id: None,
            initialised: false,
        })
    }

    /// Refuses a name that cannot be that of a site. A database that has one already is not refused: its server says what it takes.
    pub(crate) fn check_site_name(name: &str) -> Result<()> {
        match name {
            "" => Err(Error::bad_input(input::no_site_name())),
            _ if name.contains(':') => Err(Error::bad_input(input::colon_in_site_name(quoted(name)))),
            _ => Ok(()),
        }
    }

    /// Reads it from a database on this machine.
    pub(crate) fn load(txn: &dyn ReadTxn, device: &Device) -> Result<Self> {
        if role(txn)? == Some(Role::Central) && !state::LEGACY_URL.is_set(txn)? {
            return Err(Error::WrongRole { needed: "remote site", found: "central server without a legacy server" });
        }
        let settings = Settings {
            legacy_url: state::LEGACY_URL.find(txn)?.ok_or(Error::NotSetUp)?,
            site_name: state::SITE_NAME.find(txn)?.ok_or(Error::NotSetUp)?,
            password: device.secrets.password(txn)?.ok_or(Error::NotSetUp)?,
            hardware_id: None,
            https_only: Some(state::HTTPS_ONLY.get(txn)?),
        };
        let hardware = Hardware::load(txn, device)?.ok_or(Error::NotSetUp)?;
        Ok(Self {
            site_id: site_id(txn)?,
            role: role(txn)?,
            central_url: state::CENTRAL_URL.find(txn)?.filter(|url| !url.is_empty()),
            legacy_site_id: state::LEGACY_SITE_ID.find(txn)?,
            initialised: state::INITIALISED_AT.is_set(txn)?,
            central_confirmed: confirmed_central(txn, state::CENTRAL_CONFIRMED.find(txn)?)?,
            ..Self::of_settings(&settings, hardware, device.app.clone())?
        })
    }

    /// Central's address, as stored by discovery.
    ///
    /// # Errors
    /// It is missing or unusable, or may not be used, or nobody has confirmed it.
    pub(crate) fn central_url(&self) -> Result<Url> {
        let text = self.central_url.as_deref().ok_or(Error::CentralUrlMissing)?;
        let known = self.central_confirmed.as_deref().and_then(|known| parse_url(CENTRAL, known).ok());
        let known = known.filter(|known| parse_url(CENTRAL, text).is_ok_and(|url| is_elsewhere(known, &url)));
        let url = allowed(self.https_only, if known.is_some() { CENTRAL_ELSEWHERE } else { CENTRAL }, text)?;
        match known {
            Some(known) => {
                Err(Error::CentralUrlUnconfirmed { server: Server::Legacy, known: shown(&known), offered: shown(&url) })
            }
            None => Ok(url),
        }
    }

    /// Stores the secrets of the site where the host keeps them.
    pub(crate) fn store_secrets(&self, txn: &dyn WriteTxn, device: &Device) -> Result<()> {
        device.secrets.store_password(txn, &self.password)?;
        self.hardware.store(txn, device)
    }

    /// True if one server is both the legacy server and central.
    pub(crate) fn central_is_legacy(&self) -> bool {
        is_one_server(self.legacy_url.as_str(), self.central_url.as_deref())
    }

    /// A request for central's records from a position, that changes nothing at central. It claims that the site has
    /// synchronised before: otherwise central would record that the site begins anew.
    pub(crate) fn dry_run_pull(&self, cursor: Cursor, batch_size: u32) -> PullRequest {
        PullRequest {
            cursor,
            batch_size,
            sync_v5_settings: self.credentials(),
            is_initialised: true,
            sync_v6_version: V6_VERSION,
            is_dry_run: true,
            push_chain: None,
            refused_up_to: None,
        }
    }

    /// A request for the progress of central's integration.
    pub(crate) fn status_request(&self) -> SiteStatusRequest {
        SiteStatusRequest { sync_v5_settings: self.credentials(), sync_v6_version: V6_VERSION }
    }

    /// The id by which servers know this machine. No message may contain it.
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

/// Names central's address in errors.
pub(crate) const CENTRAL: &str = "the central server's address";

/// Names an address of central that the legacy server changed to one on another host, which this site may not use.
const CENTRAL_ELSEWHERE: &str = "the central server's new address, on another host than before,";

/// The address of central that was set up or confirmed, by the stored one. A database that was set up by an older version has none, and
/// knows the one that it uses.
pub(crate) fn confirmed_central(txn: &dyn ReadTxn, stored: Option<String>) -> Result<Option<String>> {
    let is_one = |known: &String| parse_url(CENTRAL, known).is_ok();
    match stored.filter(is_one) {
        Some(known) => Ok(Some(known)),
        None => Ok(state::CENTRAL_URL.find(txn)?.filter(is_one)),
    }
}

/// True while the address of central that the legacy server gave last waits to be confirmed.
pub(crate) fn is_central_unconfirmed(txn: &dyn ReadTxn) -> Result<bool> {
    let known = confirmed_central(txn, state::CENTRAL_CONFIRMED.find(txn)?)?;
    let read = |text: Option<String>| text.and_then(|text| parse_url(CENTRAL, &text).ok());
    let both = read(known).zip(read(state::CENTRAL_URL.find(txn)?));
    Ok(both.is_some_and(|(known, offered)| is_elsewhere(&known, &offered)))
}

/// Reads an address to which credentials may go.
fn allowed(https_only: bool, what: &'static str, text: &str) -> Result<Url> {
    let url = parse_url(what, text)?;
    match https_only && is_readable_on_the_way(&url) {
        true => Err(Error::HttpsRequired { what, url: shown(&url) }),
        false => Ok(url),
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
            https_only: None,
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("clinic") && shown.contains("legacy.example.org"), "{shown}");
        for secret in ["url-secret", "machine-id", settings.password.expose()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
