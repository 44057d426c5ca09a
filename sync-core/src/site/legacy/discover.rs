//! Discovery: asks the legacy server who this site is and where central is.

use url::Url;

use crate::address::{beyond_origin, is_elsewhere, is_readable_on_the_way, origin_of, parse_url, shown};
use crate::clock::Timestamp;
use crate::error::{Error, Result, Server};
use crate::protocol::v5::{InitialisationStatus, SiteInfo};
use crate::protocol::v6;
use crate::redaction::excerpt;
use crate::redaction::masked_url;
use crate::role::Role;
use crate::site::Site;
use crate::site::central::copied_database;
use crate::site::client::Client;
use crate::site::identity::{CENTRAL, Discovered, Hardware, Identity, Settings, confirmed_central};
use crate::site::observer::{SyncEvent, SyncObserver};
use crate::site::release_3::Release3;
use crate::site::watch::{ExchangeProgress, watched};
use crate::storage::state::HardwareFrom;
use crate::storage::state::{Setting, role};
use crate::storage::{WriteTxn, state};
use crate::text::sentences::{cycle as says, identity as say, input};
use crate::text::{Message, quoted};

impl Site {
    /// Sets a database up as the site with these settings: asks the legacy server first, then stores settings and
    /// answer together. Settings of the same site may change; a database never becomes that of another site.
    ///
    /// Once is enough: an app asks [`Replica::settings`](crate::Replica::settings) first, and calls it again only to change settings, such
    /// as the password. A second call asks the legacy server again and replaces the stored settings. If the server does not
    /// answer, the call tries [`SyncConfig::attempts`](crate::SyncConfig) times, about ten seconds where the connection is refused at
    /// once; the observer receives each [`Retrying`](crate::SyncEvent::Retrying) and may stop it.
    ///
    /// Who sets a site up vouches for the legacy server, and with it for the address of central that it gives. Where the legacy server
    /// stays the same, a new address of central has to be [confirmed](Self::confirm_central_url) nevertheless.
    ///
    /// # Errors
    /// [`Error::BadInput`] without a site's name, or with a colon in it, [`Error::InvalidUrl`], [`Error::WrongRole`] if the database is that
    /// of a central server without a legacy server; every error of the connection to the legacy server or of its
    /// answer; [`Error::OtherSite`]; [`Error::Cancelled`] by the observer; the database failed. Nothing is stored then.
    pub fn set_up(&self, settings: &Settings, observer: &mut dyn SyncObserver) -> Result<Discovered> {
        Identity::check_site_name(&settings.site_name)?;
        let (stored, settings, is_same_legacy, is_one_server) = {
            let txn = self.storage.read()?;
            // Checked first, before a server binds this machine to a site that this database cannot be.
            if role(txn.as_ref())? == Some(Role::Central) && !state::LEGACY_URL.is_set(txn.as_ref())? {
                return Err(Error::WrongRole {
                    needed: "remote site",
                    found: "central server without a legacy server",
                });
            }
            let stored = match settings.hardware_id.as_ref().filter(|id| !id.is_empty()) {
                Some(id) => Some(Hardware::given(id)),
                None => match Hardware::load(txn.as_ref(), &self.device) {
                    // It was kept where it is not any more: this is another machine, or the app has lost it.
                    Err(Error::SecretMissing { .. }) => None,
                    stored => stored?,
                },
            };
            let legacy_before = state::LEGACY_URL.find(txn.as_ref())?;
            let mut settings = settings.clone();
            if settings.https_only.is_none() && legacy_before.is_some() {
                settings.https_only = Some(state::HTTPS_ONLY.get(txn.as_ref())?);
            }
            // Another name of the same machine is no other server.
            let legacy_url = |url: &str| parse_url("the legacy server's address", url).ok();
            let both = legacy_before.as_deref().and_then(legacy_url).zip(legacy_url(&settings.legacy_url));
            let is_same_legacy = both.is_some_and(|(before, now)| !is_elsewhere(&before, &now));
            (stored, settings, is_same_legacy, is_same_legacy && state::central_is_legacy(txn.as_ref())?)
        };
        let hardware = stored.map_or_else(|| Hardware::of(&self.device.machine), Ok)?;
        let mut identity = Identity::of_settings(&settings, hardware, self.device.app.clone())?;
        if is_readable_on_the_way(&identity.legacy_url) {
            let message = says::readable_on_the_way(shown(&identity.legacy_url));
            if observer.on_event(&SyncEvent::Warning { message }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        if let Some(dropped) = beyond_origin(&identity.legacy_url) {
            let message = says::path_not_used(shown(&origin_of(&identity.legacy_url)), quoted(&dropped));
            if observer.on_event(&SyncEvent::Warning { message }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        let mut client = self.client(observer);
        client.is_one_server = is_one_server;
        let info = self.ask_as(&mut identity, &mut client);
        let info = info.map_err(|error| or_of_release_3(error, Server::Legacy, &identity.legacy_url, &mut client))?;
        let txn = self.storage.write()?;
        let discovered =
            store(txn.as_ref(), &info, self.clock.now(), !is_same_legacy).map_err(|error| client.in_network(error))?;
        if !is_same_legacy {
            state::CENTRAL_ANSWERED.set(txn.as_ref(), "")?;
        }
        state::LEGACY_URL.set(txn.as_ref(), identity.legacy_url.as_str())?;
        state::SITE_NAME.set(txn.as_ref(), &identity.site_name)?;
        state::HTTPS_ONLY.set(txn.as_ref(), identity.https_only)?;
        identity.store_secrets(txn.as_ref(), &self.device)?;
        copied_database::note_set_up(txn.as_ref())?;
        txn.commit()?;
        Ok(discovered)
    }

    /// Asks the legacy server again and stores its answer. Each cycle does that first.
    ///
    /// # Errors
    /// Every error of the connection to the legacy server or of its answer; the stored answer then stays.
    pub fn discover(&self, observer: &mut dyn SyncObserver) -> Result<Discovered> {
        let identity = self.identity()?;
        let mut client = self.client(observer);
        client.is_one_server = identity.central_is_legacy();
        let discovered = self.discover_as(&identity, &mut client);
        discovered.map_err(|error| or_of_release_3(error, Server::Legacy, &identity.legacy_url, &mut client))
    }

    pub(crate) fn discover_as(&self, identity: &Identity, client: &mut Client<'_>) -> Result<Discovered> {
        let mut identity = identity.clone();
        let info = self.ask_as(&mut identity, client)?;
        let txn = self.storage.write()?;
        let discovered =
            store(txn.as_ref(), &info, self.clock.now(), false).map_err(|error| client.in_network(error))?;
        self.device.secrets.move_password(txn.as_ref())?;
        identity.hardware.store(txn.as_ref(), &self.device)?;
        txn.commit()?;
        Ok(discovered)
    }

    /// Confirms the address of central that the legacy server gave last, after [`Error::CentralUrlUnconfirmed`] or where
    /// [`Discovered::central_unconfirmed`] is true. Show a person the address, with the one before, and pass the address that was shown:
    /// the site's credentials and its records go there from then on.
    ///
    /// # Errors
    /// [`Error::BadInput`]: the legacy server gave another address since; [`Error::CentralUrlMissing`],
    /// [`Error::InvalidUrl`]; the database failed.
    pub fn confirm_central_url(&self, url: &str) -> Result<()> {
        let txn = self.storage.write()?;
        let stored = state::CENTRAL_URL.find(txn.as_ref())?.filter(|url| !url.is_empty());
        let stored = stored.ok_or(Error::CentralUrlMissing)?;
        let (offered, meant) = (shown(&parse_url(CENTRAL, &stored)?), shown(&parse_url(CENTRAL, url)?));
        if offered != meant {
            return Err(Error::bad_input(input::not_offered(meant, offered)));
        }
        state::CENTRAL_CONFIRMED.set(txn.as_ref(), stored)?;
        txn.commit()
    }

    /// Checks that a central server which knows this site answers at central's address.
    ///
    /// # Errors
    /// The error that the answer means; [`Error::CentralUrlMissing`] if no address is known.
    pub fn probe_central(&self, observer: &mut dyn SyncObserver) -> Result<()> {
        let identity = self.identity()?;
        let central = identity.central_url()?;
        let request = identity.status_request();
        let mut client = self.client(observer);
        let answered = client.central::<v6::SiteStatus>(&identity, &central, v6::path::SITE_STATUS, &request);
        answered.map(|_| ()).map_err(|error| or_of_release_3(error, Server::Central, &central, &mut client))
    }

    pub(crate) fn ask(&self, identity: &Identity, observer: &mut dyn SyncObserver) -> Result<SiteInfo> {
        let mut client = self.client(observer);
        client.is_one_server = identity.central_is_legacy();
        self.ask_as(&mut identity.clone(), &mut client)
    }

    /// Asks with the hardware id of this database. If that id was made at random and is refused, the machine's own id
    /// is tried, because another database of this machine may have signed in with it.
    fn ask_as(&self, identity: &mut Identity, client: &mut Client<'_>) -> Result<SiteInfo> {
        let refused = match client.site_info(identity).map_err(|error| client.in_network(error)) {
            Err(error @ Error::HardwareIdMismatch { .. }) if identity.hardware.from == HardwareFrom::Chance => error,
            answered => return answered,
        };
        let Ok(own) = Hardware::of(&self.device.machine) else { return Err(refused) };
        identity.hardware = own;
        client.site_info(identity).map_err(|error| client.in_network(error))
    }
}

/// The error of an address where no server of this part answers: a server of Open mSupply 3.x is named. A cycle asks so at central alone:
/// the legacy server's address is checked when a site is set up.
pub(crate) fn or_of_release_3(error: Error, server: Server, url: &Url, client: &mut Client<'_>) -> Error {
    if !matches!(error, Error::NotAServer { .. }) {
        return error;
    }
    let (clock, transport) = (client.clock, client.transport);
    let (began, mut goes_on) = (clock.monotonic(), true);
    let observer = &mut *client.observer;
    let mut watch = |_: ExchangeProgress| {
        let waited = clock.monotonic().saturating_sub(began);
        goes_on = observer.on_event(&SyncEvent::RequestUnderWay { waited }).is_continue();
        goes_on
    };
    let release = watched(transport, &mut watch, |transport, _| Release3::at(transport, url));
    match release.and_then(|release| release.error(server, url)) {
        _ if !goes_on => Error::Cancelled,
        Some(named) => named,
        None => error,
    }
}

/// A setting for which the legacy server gave a value.
pub(crate) struct DiscoveredSetting {
    /// The code of the finding, if it differs from the stored value.
    pub(crate) code: &'static str,
    pub(crate) setting: Setting<String>,
    pub(crate) name: Message,
    pub(crate) value: String,
}

impl DiscoveredSetting {
    /// What to do if it differs from the stored value.
    pub(crate) fn advice(&self) -> Message {
        if self.code == OTHER_SITE { say::other_site() } else { say::discover_again() }
    }
}

/// The code of the finding that the legacy server knows another site by this site's credentials.
pub(crate) const OTHER_SITE: &str = "other_site";

/// What the legacy server said about this site.
pub(crate) fn discovered_settings(info: &SiteInfo) -> Vec<DiscoveredSetting> {
    let role = role_of(info).as_str().to_owned();
    let central_url = info.om_supply_central_server_url.trim().to_owned();
    let of = |code, setting, name, value| DiscoveredSetting { code, setting, name, value };
    let mut all = vec![
        of(OTHER_SITE, state::SITE_UUID, say::site_uuid(), info.id.clone()),
        of("other_site_id", state::SITE_ID.as_text(), say::site_id(), info.site_id.to_string()),
        of("other_role", state::ROLE.as_text(), say::role(), role),
        of("other_central_url", state::CENTRAL_URL, say::central_url(), central_url),
    ];
    let legacy_id = info.msupply_central_site_id.map(|id| id.to_string());
    all.extend(
        legacy_id.map(|id| of("other_legacy_site_id", state::LEGACY_SITE_ID.as_text(), say::legacy_site_id(), id)),
    );
    all
}

fn role_of(info: &SiteInfo) -> Role {
    if info.is_om_supply_central_server { Role::Central } else { Role::Remote }
}

/// Stores the legacy server's answer, unless it is about another site. `is_vouched_for` confirms the address of central in it.
fn store(txn: &dyn WriteTxn, info: &SiteInfo, now: Timestamp, is_vouched_for: bool) -> Result<Discovered> {
    if let Some(ours) = state::SITE_UUID.find(txn)?
        && ours != info.id
    {
        let name = state::SITE_NAME.find(txn)?.unwrap_or(ours);
        let theirs = match excerpt(info.name.as_bytes()) {
            name if name.is_empty() => format!("site {}", info.site_id),
            // It was deleted there and made again.
            same if same == name => format!("another site {same:?}, with the number {}", info.site_id),
            name => format!("{name:?}"),
        };
        return Err(Error::OtherSite { server: Server::Legacy, ours: format!("{name:?}"), theirs });
    }
    let central_unconfirmed = settle_central(txn, info, is_vouched_for)?;
    let mut changes = Vec::new();
    for DiscoveredSetting { setting, name, value, .. } in discovered_settings(info) {
        match setting.find(txn)? {
            Some(before) if before == value => continue,
            Some(before) => {
                let (before, now) = (masked_url(&before), masked_url(&value));
                changes.push(say::changed(name, quoted(&before), quoted(&now)));
            }
            None => {}
        }
        setting.set(txn, value)?;
    }
    state::DISCOVERED_AT.set(txn, now)?;
    Ok(Discovered {
        role: role_of(info),
        site_id: info.site_id,
        central_url: masked_url(info.om_supply_central_server_url.trim()),
        central_unconfirmed,
        legacy_site_id: info.msupply_central_site_id,
        initialisation_status: match &info.initialisation_status {
            InitialisationStatus::New => "new".to_owned(),
            InitialisationStatus::Started => "started".to_owned(),
            InitialisationStatus::Completed => "completed".to_owned(),
            InitialisationStatus::Error => "error".to_owned(),
            InitialisationStatus::Unknown(text) => text.clone(),
        },
        changes,
        status: info.initialisation_status.clone(),
    })
}

/// Decides whether the address of central in an answer may be used, before it is stored: as the first one, as one under the same host, or
/// because somebody vouches for it. Otherwise the former one stays the confirmed one. Returns true if somebody has to confirm it.
fn settle_central(txn: &dyn WriteTxn, info: &SiteInfo, is_vouched_for: bool) -> Result<bool> {
    let told = info.om_supply_central_server_url.trim();
    let stored = state::CENTRAL_CONFIRMED.find(txn)?;
    let known = confirmed_central(txn, stored.clone())?;
    let Ok(new) = parse_url(CENTRAL, told) else {
        // The one before must not be forgotten, or any other would be the first one.
        if let Some(known) = known {
            confirm(txn, stored, known)?;
        }
        return Ok(false);
    };
    let known = known.filter(|_| !is_vouched_for);
    let is_new = |known: &String| parse_url(CENTRAL, known).is_ok_and(|known| is_elsewhere(&known, &new));
    match known.filter(is_new) {
        Some(known) => {
            confirm(txn, stored, known)?;
            // A central server sends nothing to its own address. But an answer that makes a site one confirms nothing either.
            Ok(role_of(info) == Role::Remote)
        }
        None => confirm(txn, stored, told.to_owned()).map(|()| false),
    }
}

/// Stores the address of central that may be used, unless it is stored already.
fn confirm(txn: &dyn WriteTxn, stored: Option<String>, address: String) -> Result<()> {
    if stored.as_deref() == Some(address.as_str()) { Ok(()) } else { state::CENTRAL_CONFIRMED.set(txn, address) }
}
