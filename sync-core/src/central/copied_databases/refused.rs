//! For the administrator: the sites of which another copy of the database was refused.

use std::collections::BTreeMap;
use std::time::Duration;

use super::of_site;
use crate::central::Central;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::SiteId;
use crate::storage::{ReadTxn, WriteTxn, note_event, state};

/// A refusal that is this old no longer counts.
const COPY_RECENT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Another copy of a site's database, which was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCopy {
    /// The site's number.
    pub site: SiteId,
    /// The site's name.
    pub name: String,
    /// When the copy that goes on as the site pushed last.
    pub goes_on_since: Timestamp,
    /// When another copy was refused last.
    pub refused_at: Timestamp,
}

/// The copies that were refused at most seven days before `now`, by the number of their site.
pub(crate) fn refused_copies(txn: &dyn ReadTxn, now: Timestamp) -> Result<Vec<RefusedCopy>> {
    let Some(central) = txn.as_central() else { return Ok(Vec::new()) };
    let mut names: BTreeMap<SiteId, String> =
        central.sites()?.into_iter().map(|entry| (entry.id, entry.name)).collect();
    // Sites of a legacy server are known by their visits only. The visits to a server with a list of its own may be of sites that
    // were removed since.
    if state::LEGACY_URL.is_set(txn)? {
        names.extend(central.activity()?.into_iter().map(|visit| (visit.site, visit.name)));
    }
    let mut refused = Vec::new();
    for (site, name) in names {
        if let Some(known) = of_site(txn, site)?
            && let Some(refused_at) = known.alarmed_at()
            && now.since(refused_at) < COPY_RECENT
        {
            refused.push(RefusedCopy { site, name, goes_on_since: known.taken_at, refused_at });
        }
    }
    Ok(refused)
}

/// Adds the first of several refusals to the sync log: the copy asks again and again.
pub(super) fn log_first(
    txn: &dyn WriteTxn,
    site: SiteId,
    (before, refused_at): (Option<Timestamp>, Option<Timestamp>),
) -> Result<()> {
    let Some(now) = refused_at.filter(|now| before.is_none_or(|before| now.since(before) >= COPY_RECENT)) else {
        return Ok(());
    };
    let central = txn.central()?;
    let listed = central.sites()?.into_iter().find(|entry| entry.id == site).map(|entry| entry.name);
    let name = match listed {
        Some(name) => Some(name),
        None => central.activity_of(site)?.map(|visit| visit.name),
    };
    let named = name.filter(|name| !name.is_empty()).map(|name| format!(" ({name})")).unwrap_or_default();
    let what = format!("another copy of the database of site {site}{named} was refused; its edits do not arrive");
    note_event(txn, now, what)
}

impl Central {
    /// The sites of which another copy of the database was refused in the last seven days. Somebody must find that copy and stop it:
    /// its edits do not arrive.
    ///
    /// # Errors
    /// The storage failed.
    pub fn refused_copies(&self) -> Result<Vec<RefusedCopy>> {
        refused_copies(self.storage.read()?.as_ref(), self.clock.now())
    }
}
