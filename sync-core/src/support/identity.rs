//! The identity of a database, and its differences from itself and from the legacy server's answer.

use serde::Serialize;

use crate::address::parse_url;
use crate::clock::Timestamp;
use crate::error::{Result, Server};
use crate::protocol::AppIdentity;
use crate::protocol::v5::V5_VERSION;
use crate::protocol::v6::V6_VERSION;
use crate::record::{Cursor, RecordData, RecordId, SiteId};
use crate::redaction::masked_url;
use crate::role::Role;
use crate::site::legacy::discover::discovered_settings;
use crate::site::observer::SyncObserver;
use crate::storage::state::{Setting, central_is_legacy, role, site_id};
use crate::storage::{ReadTxn, state};
use crate::support::{SiteSupport, Support};
use crate::text::sentences::identity as say;
use crate::text::{Localize, Message, quoted};

/// The identity of a database, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IdentityShown {
    /// Its role.
    pub role: Option<&'static str>,
    /// The site's name on the legacy server, or in central's list.
    pub site_name: Option<String>,
    /// The site's number.
    pub site_id: Option<SiteId>,
    /// The site's own UUID.
    pub site_uuid: Option<String>,
    /// The beginning of this machine's hardware id.
    pub hardware_id: Option<String>,
    /// The active stores.
    pub stores: Vec<StoreShown>,
    /// The servers.
    #[serde(rename = "known_servers")]
    pub servers: Servers,
    /// The versions.
    pub versions: Versions,
    /// The time of the last discovery.
    pub discovered_at: Option<Timestamp>,
    /// The time when the first sync completed.
    pub initialised_at: Option<Timestamp>,
    /// The disagreements, each with its advice.
    pub disagreements: Vec<Disagreement>,
}

/// An active store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreShown {
    /// Its id.
    #[serde(rename = "store_id")]
    pub id: String,
    /// Its code.
    #[serde(rename = "store_code")]
    pub code: String,
    /// The name in its name record, if that is here.
    pub name: Option<String>,
}

/// The servers of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Servers {
    /// The legacy server's address.
    pub legacy_url: Option<String>,
    /// Central's address, from the legacy server.
    pub central_url: Option<String>,
    /// True if both are one server.
    pub one_server: bool,
}

/// The versions of this program and of its protocols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Versions {
    /// The version of this program.
    pub program: &'static str,
    /// The version of the program that last used the database.
    pub database_used_by: Option<String>,
    /// The release of Open mSupply as which it presents itself.
    pub open_msupply: String,
    /// The version of V5.
    pub v5: String,
    /// The version of V6.
    pub v6: u32,
}

/// A disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Disagreement {
    /// A stable code in snake_case.
    pub code: &'static str,
    /// The disagreement in words.
    pub what: Message,
    /// The advice.
    pub advice: Message,
    /// True if it concerns only central's address.
    #[serde(skip)]
    pub(crate) is_of_central_url: bool,
}

impl Disagreement {
    pub(crate) fn new(code: &'static str, what: Message, advice: Message) -> Self {
        Self { code, what, advice, is_of_central_url: false }
    }
}

impl Localize for Disagreement {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.what);
        each(&mut self.advice);
    }
}

impl Localize for IdentityShown {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.disagreements.each_message(each);
    }
}

impl SiteSupport {
    /// Asks the legacy server for this site's identity, and compares it with this database. Stores nothing;
    /// [`Site::discover`](crate::Site::discover) does that.
    ///
    /// # Errors
    /// Every error of the connection to the legacy server or of its answer.
    pub fn compare_identity(&self, observer: &mut dyn SyncObserver) -> Result<Vec<Disagreement>> {
        let identity = self.site.identity()?;
        let info = self.site.ask(&identity, observer)?;
        let txn = self.site.storage.read()?;
        let mut all = Vec::new();
        for theirs in discovered_settings(&info) {
            if let Some(ours) = theirs.setting.find(txn.as_ref())?
                && ours != theirs.value
            {
                let advice = theirs.advice();
                let (ours, value) = (masked_url(&ours), masked_url(&theirs.value));
                let server = if identity.central_is_legacy() { Server::Central } else { Server::Legacy };
                let what = say::differs(theirs.name, quoted(&ours), server, quoted(&value));
                all.push(Disagreement::new(theirs.code, what, advice));
            }
        }
        Ok(all)
    }
}

/// The number of a site, with its name beside it.
fn numbered(site: Option<SiteId>, name: Option<&str>) -> String {
    let number = site.map(|site| site.to_string()).unwrap_or_default();
    name.map_or_else(|| number.clone(), |name| format!("{number} ({})", quoted(name)))
}

/// The first characters of a value that must not be shown whole.
fn shortened(secret: &str) -> String {
    let shown = (secret.chars().count() / 4).min(4);
    format!("{}…", secret.chars().take(shown).collect::<String>())
}

impl Support {
    /// The identity of this database, with its disagreements. Asks no server.
    ///
    /// # Errors
    /// The database failed.
    pub fn identity(&self) -> Result<IdentityShown> {
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        let text = |setting: Setting<String>| Ok::<_, crate::Error>(setting.find(txn)?.filter(|text| !text.is_empty()));
        let mut found = IdentityShown {
            role: role(txn)?.map(Role::as_str),
            site_name: text(state::SITE_NAME)?,
            site_id: site_id(txn)?,
            site_uuid: text(state::SITE_UUID)?,
            hardware_id: text(state::HARDWARE_ID)?.as_deref().map(shortened),
            stores: stores(txn)?,
            servers: Servers {
                legacy_url: text(state::LEGACY_URL)?.as_deref().map(masked_url),
                central_url: text(state::CENTRAL_URL)?.as_deref().map(masked_url),
                one_server: central_is_legacy(txn)?,
            },
            versions: Versions {
                program: env!("CARGO_PKG_VERSION"),
                database_used_by: text(state::LIBRARY_VERSION)?,
                open_msupply: AppIdentity::default().version,
                v5: V5_VERSION.to_string(),
                v6: V6_VERSION,
            },
            discovered_at: state::DISCOVERED_AT.find(txn)?,
            initialised_at: state::INITIALISED_AT.find(txn)?,
            disagreements: Vec::new(),
        };
        found.disagreements = disagreements(&found, has_lost_stores(txn)?);
        Ok(found)
    }
}

fn stores(txn: &dyn ReadTxn) -> Result<Vec<StoreShown>> {
    let Some(site) = site_id(txn)? else { return Ok(Vec::new()) };
    let mut stores = Vec::new();
    for id in txn.stores_of_site(site)? {
        let (name, code) = store_named(txn, &RecordId::from(id.as_str()))?;
        stores.push(StoreShown { id: id.to_string(), code: code.unwrap_or_default(), name });
    }
    Ok(stores)
}

/// The name and the code of a store.
pub(super) fn store_named(txn: &dyn ReadTxn, id: &RecordId) -> Result<(Option<String>, Option<String>)> {
    let field = |data: &Option<RecordData>, key: &str| {
        let fields = data.as_ref().and_then(RecordData::fields);
        fields.and_then(|fields| fields.text(key).map(std::borrow::Cow::into_owned)).filter(|text| !text.is_empty())
    };
    let store = txn.record(&"store".into(), id)?;
    let name = match field(&store, "name_ID") {
        Some(name) => field(&txn.record(&"name".into(), &RecordId::new(name))?, "name"),
        None => None,
    };
    Ok((name.or_else(|| field(&store, "name")), field(&store, "code")))
}

/// True if the legacy server's central data were read and no store is here. They hold the stores of all sites, so a
/// site without an active store does not explain it.
fn has_lost_stores(txn: &dyn ReadTxn) -> Result<bool> {
    Ok(state::PULL_CURSOR_CENTRAL.get(txn)? > Cursor(0) && txn.records(&"store".into(), None, 1)?.is_empty())
}

/// The disagreements that can be found without a server.
fn disagreements(found: &IdentityShown, has_lost_stores: bool) -> Vec<Disagreement> {
    let mut all = Vec::new();
    let Some(role) = found.role else {
        all.push(Disagreement::new("not_set_up", say::not_set_up(), Message::advice("not_set_up")));
        return all;
    };
    let servers = &found.servers;
    for (url, is_of_central_url) in [(&servers.legacy_url, false), (&servers.central_url, true)] {
        if let Some(Err(error)) = url.as_deref().map(|url| parse_url("address", url)) {
            let reason = Message::of(&error);
            let what = if is_of_central_url {
                say::central_address_unusable(reason)
            } else {
                say::legacy_address_unusable(reason)
            };
            let found = Disagreement::new("address_unusable", what, say::correct_address());
            all.push(Disagreement { is_of_central_url, ..found });
        }
    }
    if role == Role::Remote.as_str() && servers.central_url.is_none() {
        all.push(Disagreement::new("central_url_missing", say::no_central_url(), say::enter_central_url()));
    }
    if found.initialised_at.is_some() && found.stores.is_empty() && role == Role::Remote.as_str() {
        all.push(if has_lost_stores {
            Disagreement::new("stores_lost", say::stores_lost(), Message::advice("stores_lost"))
        } else {
            Disagreement::new(
                "site_has_no_store",
                say::no_store(numbered(found.site_id, found.site_name.as_deref())),
                say::activate_store(),
            )
        });
    }
    if let Some(used_by) =
        found.versions.database_used_by.as_deref().filter(|used| is_newer(used, found.versions.program))
    {
        all.push(Disagreement::new(
            "program_older",
            say::used_by_newer(used_by, found.versions.program),
            say::use_newer(),
        ));
    }
    all
}

/// True if a version is higher than another; an invalid one is not.
fn is_newer(one: &str, other: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    numbers(one).zip(numbers(other)).is_some_and(|(one, other)| one > other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: &[(&str, &str)]) -> IdentityShown {
        let support = Support::in_memory();
        let txn = support.storage.write().unwrap();
        state.iter().for_each(|(name, value)| state::named(name).set(txn.as_ref(), *value).unwrap());
        txn.commit().unwrap();
        support.identity().unwrap()
    }

    fn codes(found: &IdentityShown) -> Vec<&'static str> {
        found.disagreements.iter().map(|found| found.code).collect()
    }

    #[test]
    fn what_does_not_agree_is_told() {
        assert_eq!(codes(&of(&[])), ["not_set_up"]);
        let remote = [
            (state::ROLE.name(), "remote"),
            (state::SITE_ID.name(), "7"),
            (state::LEGACY_URL.name(), "http://legacy.example.org"),
        ];
        assert_eq!(codes(&of(&remote)), ["central_url_missing"]);
        let central = (state::CENTRAL_URL.name(), "http://central.example.org");
        assert!(codes(&of(&[&remote[..], &[central]].concat())).is_empty(), "before the first sync there is no store");
        let rest = [
            (state::CENTRAL_URL.name(), "central.example.org"),
            (state::INITIALISED_AT.name(), "x"),
            (state::LIBRARY_VERSION.name(), "99.0.0"),
        ];
        let mut all = of(&[&remote[..], &rest].concat());
        assert_eq!(codes(&all), ["address_unusable", "program_older"], "an unreadable time is none");
        all.initialised_at = Some(Timestamp::from_unix_millis(0));
        let codes_if = |lost| disagreements(&all, lost).into_iter().map(|found| found.code).collect::<Vec<_>>();
        assert!(codes_if(false).contains(&"site_has_no_store"));
        assert!(codes_if(true).contains(&"stores_lost") && !codes_if(true).contains(&"site_has_no_store"));
    }

    #[test]
    fn a_hardware_id_is_never_shown_whole() {
        assert_eq!(shortened("machine-f3c1a7"), "mac…");
        assert_eq!(shortened("0123456789abcdef0123"), "0123…");
        assert_eq!((shortened("abc"), shortened("")), ("…".to_owned(), "…".to_owned()));
        let shown = of(&[(state::HARDWARE_ID.name(), "machine-f3c1a7"), (state::PASSWORD_HASH.name(), "d74ff0ee8da3")]);
        let json = serde_json::to_string(&shown).unwrap();
        assert!(!json.contains("f3c1a7") && !json.contains("d74ff0ee8da3"), "{json}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer("0.10.0", "0.9.9") && !is_newer("0.9.9", "0.10.0") && !is_newer("x", "0.1.0"));
    }
}
