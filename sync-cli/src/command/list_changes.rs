//! The changes in a central server's own list of sites and stores since a backup: what only an administrator can do again.

use std::collections::BTreeMap;

use serde::Serialize;
use sync_core::central::Store;
use sync_core::{Message, Replica, Result};

use crate::sentences::backup_shown as shown;

/// The list of a database.
pub(super) struct ListedSites {
    /// The secret and the number of each site, by name.
    sites: BTreeMap<String, (String, i64)>,
    stores: BTreeMap<String, Store>,
}

impl ListedSites {
    /// The list of a central server without a legacy server; an empty one if the database was not set up yet.
    pub(super) fn of(replica: &Replica) -> Result<Self> {
        let sites = if replica.role()?.is_some() { replica.site_registry()?.list()? } else { Vec::new() };
        let sites = sites.into_iter().map(|site| (site.name, (site.secret, i64::from(site.id.0)))).collect();
        let stores = replica.stores()?.into_iter().map(|store| (store.id.to_string(), store)).collect();
        Ok(Self { sites, stores })
    }

    /// The name of a site, or its number if it is in no list.
    fn name(&self, site: Option<i64>) -> String {
        let named = self.sites.iter().find(|(_, (_, id))| Some(*id) == site);
        named.map_or_else(|| site.map_or_else(String::new, |id| id.to_string()), |(name, _)| format!("{name:?}"))
    }
}

/// The changes, each a line.
#[derive(Debug, Serialize)]
pub(super) struct ListChanges(pub Vec<ListChange>);

/// A change since the backup, which a restore undoes.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum ListChange {
    SiteAdded { site: String },
    SiteRemoved { site: String },
    PasswordChanged { site: String },
    StoreAdded { store: String, code: String, id: String },
    StoreRemoved { store: String, code: String },
    StoreMoved { store: String, code: String, now: String, then: String },
    StoreRenamed { store: String, code: String },
}

impl ListChange {
    pub(super) fn says(&self) -> Message {
        match self {
            Self::SiteAdded { site } => shown::site_added(format!("{site:?}")),
            Self::SiteRemoved { site } => shown::site_removed(format!("{site:?}")),
            Self::PasswordChanged { site } => shown::password_changed(format!("{site:?}")),
            Self::StoreAdded { store, code, id } => shown::store_added(format!("{store:?}"), code, id),
            Self::StoreRemoved { store, code } => shown::store_removed(format!("{store:?}"), code),
            Self::StoreMoved { store, code, now, then } => shown::store_moved(format!("{store:?}"), code, now, then),
            Self::StoreRenamed { store, code } => shown::store_renamed(format!("{store:?}"), code),
        }
    }
}

impl ListChanges {
    /// The changes that made the list of today from that of a backup.
    pub(super) fn between(now: &ListedSites, then: &ListedSites) -> Self {
        let mut all = Vec::new();
        for (name, (secret, _)) in &now.sites {
            let site = name.clone();
            match then.sites.get(name) {
                None => all.push(ListChange::SiteAdded { site }),
                Some((before, _)) if before != secret => all.push(ListChange::PasswordChanged { site }),
                Some(_) => {}
            }
        }
        let gone = then.sites.keys().filter(|name| !now.sites.contains_key(*name));
        all.extend(gone.map(|site| ListChange::SiteRemoved { site: site.clone() }));
        for (id, is) in &now.stores {
            let (store, code) = (is.name.clone(), is.code.clone());
            match then.stores.get(id) {
                None => all.push(ListChange::StoreAdded { store, code, id: id.clone() }),
                Some(was) if was.site != is.site => {
                    let (now, then) = (now.name(is.site), then.name(was.site));
                    all.push(ListChange::StoreMoved { store, code, now, then });
                }
                Some(was) if (&was.name, &was.code) != (&is.name, &is.code) => {
                    all.push(ListChange::StoreRenamed { store, code });
                }
                Some(_) => {}
            }
        }
        let gone = then.stores.iter().filter(|(id, _)| !now.stores.contains_key(*id)).map(|(_, store)| store);
        all.extend(gone.map(|gone| ListChange::StoreRemoved { store: gone.name.clone(), code: gone.code.clone() }));
        Self(all)
    }
}
