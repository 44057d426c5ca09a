//! Warnings for the administrator of a central server. The server works in spite of them.

use std::fmt;

use serde::Serialize;

use crate::address::parse_url;
#[cfg(feature = "central")]
use crate::central::RefusedCopy;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::pushes_nothing;
use crate::record::{Cursor, RecordId, StoreId, TableName};
use crate::redaction::masked_url;
use crate::role::Role;
use crate::storage::state::{role, site_id};
use crate::storage::{ReadTxn, state};
use crate::text::sentences::concern as say;
use crate::text::{Localize, Message, quoted};

/// The only mode allowed for a store of the central server.
const DISPENSARY: &str = "dispensary";

/// A warning for the administrator of a central server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details of what it says")]
pub enum ConfigWarning {
    /// A store of this server whose records sites would not get.
    StoreNotInDispensaryMode { store_id: StoreId, store: String, mode: String },
    /// An address at which no site finds this server.
    OwnUrlUnusable { url: String, reason: Message },
    /// The changelog is more than halfway to the limit of sites of Open mSupply 2.x.
    ChangelogNearsItsEnd { newest: Cursor, percent: u64 },
    /// A site of a release that pulls over V6, and by a fault of its own pushes nothing.
    SitePushesNothing { site: String, release: String },
    /// A site of which another copy of the database was refused.
    CopyRefused { site: String, goes_on_since: Timestamp, refused_at: Timestamp },
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.says().fmt(f)
    }
}

impl ConfigWarning {
    /// The text of the warning.
    pub fn says(&self) -> Message {
        match self {
            Self::StoreNotInDispensaryMode { store_id, store, mode } => {
                say::not_in_dispensary_mode(store_id.as_str(), store, mode)
            }
            Self::OwnUrlUnusable { url, reason } => say::own_url_unusable(quoted(url), reason.clone()),
            Self::SitePushesNothing { site, release } => say::site_pushes_nothing(quoted(site), release),
            Self::CopyRefused { site, goes_on_since, refused_at } => {
                say::copy_refused(quoted(site), *goes_on_since, *refused_at)
            }
            Self::ChangelogNearsItsEnd { newest, percent } => say::changelog_nears_its_end(newest.0, *percent),
        }
    }

    /// True if a changelog with this newest row is more than halfway to the limit of sites of Open mSupply 2.x.
    pub fn of_changelog(newest: Cursor) -> Option<Self> {
        let percent = newest.0.saturating_mul(100) / Cursor::SITES_END;
        (newest.0 >= Cursor::SITES_END / 2).then_some(Self::ChangelogNearsItsEnd { newest, percent })
    }

    /// The fault in the address that sites get for a central server, as far as its text shows it.
    pub fn of_own_url(url: &str) -> Option<Self> {
        let unusable = |reason: Message| Some(Self::OwnUrlUnusable { url: masked_url(url), reason });
        if url.is_empty() {
            return unusable(say::no_url());
        }
        match parse_url("the address", url) {
            Err(error) => unusable(Message::of(&error)),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => unusable(say::more_than_an_address()),
            // A last segment without a slash is dropped when a path is joined to it.
            Ok(url) if !url.path().ends_with('/') => {
                unusable(say::end_is_dropped(quoted(url.path().rsplit('/').next().unwrap_or_default())))
            }
            Ok(_) => None,
        }
    }
}

impl Localize for ConfigWarning {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        if let Self::OwnUrlUnusable { reason, .. } = self {
            each(reason);
        }
    }
}

/// The faults of a central server's own stores and of the address that the legacy server has for it. Empty for a remote
/// site.
pub(crate) fn config_warnings(txn: &dyn ReadTxn, now: Timestamp) -> Result<Vec<ConfigWarning>> {
    if role(txn)? != Some(Role::Central) {
        return Ok(Vec::new());
    }
    let mut config_warnings = Vec::from_iter(ConfigWarning::of_changelog(txn.last_cursor()?));
    if state::LEGACY_URL.is_set(txn)? {
        config_warnings.extend(ConfigWarning::of_own_url(&state::CENTRAL_URL.find(txn)?.unwrap_or_default()));
    }
    config_warnings.extend(pushing_nothing(txn)?);
    config_warnings.extend(refused_copies(txn, now)?);
    let stores = site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))?;
    for store_id in stores {
        let data = txn.record(&TableName::from("store"), &RecordId::from(store_id.as_str()))?;
        let fields = data.as_ref().and_then(|data| data.fields());
        let text = |key: &str| fields.as_ref().and_then(|fields| fields.text(key)).unwrap_or_default().into_owned();
        let mode = text("store_mode");
        if mode != DISPENSARY {
            let mode = if mode.is_empty() { "no".to_owned() } else { mode };
            config_warnings.push(ConfigWarning::StoreNotInDispensaryMode { store_id, store: text("code"), mode });
        }
    }
    Ok(config_warnings)
}

/// The sites of which two copies of the database run.
#[cfg(feature = "central")]
fn refused_copies(txn: &dyn ReadTxn, now: Timestamp) -> Result<Vec<ConfigWarning>> {
    let refused = crate::central::copied_databases::refused::refused_copies(txn, now)?.into_iter();
    let warning = |RefusedCopy { name, goes_on_since, refused_at, .. }| ConfigWarning::CopyRefused {
        site: name,
        goes_on_since,
        refused_at,
    };
    Ok(refused.map(warning).collect())
}

/// Only a central server refuses copies.
#[cfg(not(feature = "central"))]
fn refused_copies(_: &dyn ReadTxn, _: Timestamp) -> Result<Vec<ConfigWarning>> {
    Ok(Vec::new())
}

/// The sites that push nothing.
fn pushing_nothing(txn: &dyn ReadTxn) -> Result<Vec<ConfigWarning>> {
    let visits = txn.as_central().map_or(Ok(Vec::new()), |central| central.activity())?;
    let silent = visits.into_iter().filter(|visit| pushes_nothing(&visit.app_version));
    Ok(silent.map(|visit| ConfigWarning::SitePushesNothing { site: visit.name, release: visit.app_version }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SiteId;
    use crate::storage::{MemoryStorage, SiteActivity, Storage as _};

    #[test]
    fn sites_of_the_releases_that_push_nothing_are_named() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let releases = ["2.19.0", "3.0.0", "3.1.9", "3.2.0", "", "develop"];
        for (site, release) in (2..).zip(releases) {
            let visit = SiteActivity {
                site: SiteId(site),
                name: format!("site {site}"),
                app_version: release.to_owned(),
                seen_at: Timestamp::from_unix_millis(0),
                pulled_at: None,
                pushed_at: None,
                read_to: None,
            };
            txn.central().unwrap().note_activity(&visit).unwrap();
        }
        let silent = |site: &str, release: &str| ConfigWarning::SitePushesNothing {
            site: site.to_owned(),
            release: release.to_owned(),
        };
        assert_eq!(pushing_nothing(txn.as_ref()).unwrap(), [silent("site 3", "3.0.0"), silent("site 4", "3.1.9")]);
    }

    #[test]
    fn a_changelog_alarms_from_half_of_what_sites_can_count() {
        let half = Cursor::SITES_END / 2;
        assert_eq!(ConfigWarning::of_changelog(Cursor(half - 1)), None);
        let warning = ConfigWarning::of_changelog(Cursor(half)).map(|warning| warning.to_string());
        assert!(warning.is_some_and(|says| says.contains("50 %")));
    }

    #[test]
    fn addresses_that_sites_cannot_use() {
        for good in ["http://oms.example.org", "https://oms.example.org:8000/", "https://oms.example.org/oms/"] {
            assert_eq!(ConfigWarning::of_own_url(good), None, "{good}");
        }
        for bad in ["", "oms.example.org", "https://oms.example.org/oms", "http://x/?a=b", "https://me:secret@oms"] {
            let concern = ConfigWarning::of_own_url(bad).unwrap_or_else(|| panic!("{bad}"));
            assert!(!concern.to_string().contains("secret"), "{concern}");
        }
    }
}
