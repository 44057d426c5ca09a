//! Finds the alarms that the database of a central server shows.

use std::time::Duration;

use super::RefusedCopy;
use super::site_view::SiteView;
use crate::alarm::{CentralAlarm, NamedSites};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{RecordId, TableName};
use crate::storage::state::site_id;
use crate::storage::{QuarantineCause, ReadTxn, state};

/// The only mode allowed for a store of the central server.
const DISPENSARY: &str = "dispensary";

/// A site that was not here for so long is silent: sites synchronise every few minutes, but clinics close for the night.
const SILENT: Duration = Duration::from_secs(24 * 60 * 60);

/// By how much the clock of a server may be set back without an alarm.
const CLOCK_MAY_STEP: Duration = Duration::from_secs(3600);

/// What alarms about a site: the worst, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SiteTrouble {
    /// Two run as one site, and the edits of one of them do not arrive.
    Copied,
    /// Records of it are in quarantine.
    InQuarantine,
    /// Its edits never arrive, however often it comes.
    PushesNothing,
    /// Its sign-in was refused since its last visit: somebody who guesses at the name of a site does not alarm.
    SignInFails,
    /// It did not come for a day.
    Silent,
}

impl SiteTrouble {
    /// The worst of a site.
    pub fn of(site: &SiteView, now: Timestamp) -> Option<Self> {
        match site {
            SiteView { copy_refused_at: Some(_), .. } => Some(Self::Copied),
            _ if site.refused + site.quarantined > 0 => Some(Self::InQuarantine),
            SiteView { pushes_nothing: true, .. } => Some(Self::PushesNothing),
            SiteView { sign_in_failed_at: Some(at), .. } if site.seen_at.is_none_or(|seen| seen < *at) => {
                Some(Self::SignInFails)
            }
            SiteView { is_integrating: true, .. } => None,
            SiteView { seen_at: Some(at), .. } if now.since(*at) > SILENT => Some(Self::Silent),
            _ => None,
        }
    }
}

/// The alarms of a central server with these sites.
pub(crate) fn alarms_of(
    txn: &dyn ReadTxn,
    sites: &[SiteView],
    quarantined: &[(QuarantineCause, u64)],
    copies: Vec<RefusedCopy>,
    now: Timestamp,
) -> Result<Vec<CentralAlarm>> {
    let mut alarms = of_own(txn)?;
    let (mut silent, mut refused) = (NamedSites::default(), NamedSites::default());
    for site in sites {
        if site.pushes_nothing {
            let (site, release) = (site.name.clone(), site.app_version.clone());
            alarms.push(CentralAlarm::SitePushesNothing { site, release });
        }
        match SiteTrouble::of(site, now) {
            Some(SiteTrouble::Silent) => silent.add(&site.name),
            Some(SiteTrouble::SignInFails) => refused.add(&site.name),
            _ => {}
        }
    }
    alarms.extend(copies.into_iter().map(|RefusedCopy { name, goes_on_since, refused_at, .. }| {
        CentralAlarm::CopyRefused { site: name, goes_on_since, refused_at }
    }));
    let records = quarantined.iter().filter(|(cause, _)| !cause.is_settled()).map(|(_, count)| count).sum();
    let newest_visit = sites.iter().filter_map(|site| site.seen_at).max();
    alarms.extend((records > 0).then_some(CentralAlarm::RecordsInQuarantine { records }));
    alarms.extend((silent.count > 0).then_some(CentralAlarm::SitesSilent { sites: silent }));
    alarms.extend((refused.count > 0).then_some(CentralAlarm::SignInsFail { sites: refused }));
    let went_back = newest_visit.filter(|at| at.since(now) > CLOCK_MAY_STEP);
    alarms.extend(went_back.map(|newest_visit| CentralAlarm::ClockWentBack { newest_visit }));
    let lost = state::FILES_LOST.get(txn)?.0;
    alarms.extend(lost.first().map(|first| CentralAlarm::FilesLost { files: lost.len() as u64, first: first.clone() }));
    alarms.extend(state::PAUSED.get(txn)?.then_some(CentralAlarm::Paused));
    Ok(alarms)
}

/// The faults of a central server's changelog, of its own stores, and of the address that the legacy server has for it.
fn of_own(txn: &dyn ReadTxn) -> Result<Vec<CentralAlarm>> {
    let mut alarms = Vec::from_iter(CentralAlarm::of_changelog(txn.last_cursor()?));
    if state::LEGACY_URL.is_set(txn)? {
        alarms.extend(CentralAlarm::of_own_url(&state::CENTRAL_URL.find(txn)?.unwrap_or_default()));
    }
    let stores = site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))?;
    for store_id in stores {
        let data = txn.record(&TableName::from("store"), &RecordId::from(store_id.as_str()))?;
        let fields = data.as_ref().and_then(|data| data.fields());
        let text = |key: &str| fields.as_ref().and_then(|fields| fields.text(key)).unwrap_or_default().into_owned();
        let mode = text("store_mode");
        if mode != DISPENSARY {
            let mode = if mode.is_empty() { "no".to_owned() } else { mode };
            alarms.push(CentralAlarm::StoreNotInDispensaryMode { store_id, store: text("code"), mode });
        }
    }
    Ok(alarms)
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
        let silent = |site: &str, release: &str| CentralAlarm::SitePushesNothing {
            site: site.to_owned(),
            release: release.to_owned(),
        };
        // Sites of a legacy server are known by their visits.
        state::LEGACY_URL.set(txn.as_ref(), "http://legacy".to_owned()).unwrap();
        let view = crate::central::site_activity::written_view(txn.as_ref(), Timestamp::from_unix_millis(1)).unwrap();
        let is_of_release = |alarm: &CentralAlarm| matches!(alarm, CentralAlarm::SitePushesNothing { .. });
        let found: Vec<_> = view.alarms.into_iter().filter(is_of_release).collect();
        assert_eq!(found, [silent("site 3", "3.0.0"), silent("site 4", "3.1.9")]);
    }
}
