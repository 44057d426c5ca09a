//! The alarms of a central server for its administrator.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::parse_url;
#[cfg(feature = "central")]
use crate::central::{RefusedCopy, SiteView};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, RecordId, StoreId, TableName};
use crate::redaction::masked_url;
use crate::role::Role;
#[cfg(feature = "central")]
use crate::storage::QuarantineCause;
use crate::storage::state::{StoredJson, role, site_id};
use crate::storage::{ReadTxn, state};
use crate::text::sentences::alarm as say;
use crate::text::{Localize, Message, quoted};

/// The only mode allowed for a store of the central server.
const DISPENSARY: &str = "dispensary";

/// The names of sites that an alarm shows; it counts the others.
const NAMED: usize = 5;

/// A site that was not here for so long is silent: sites synchronise every few minutes, but clinics close for the night.
#[cfg(feature = "central")]
const SILENT: Duration = Duration::from_secs(24 * 60 * 60);

/// By how much the clock of a server may be set back without an alarm.
#[cfg(feature = "central")]
const CLOCK_MAY_STEP: Duration = Duration::from_secs(3600);

/// What the running server told of itself counts for so long: it repeats it more often.
const TOLD_COUNTS: Duration = Duration::from_secs(1800);

/// An alarm for the administrator of a central server. `doctor`, `status`, the status page, `/status.json` and the metrics show the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details of what it says")]
pub enum CentralAlarm {
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
    /// Sites that did not come for a day.
    SitesSilent { sites: NamedSites },
    /// Sites whose sign-in was refused since their last visit.
    SignInsFail { sites: NamedSites },
    /// Records in quarantine that somebody has to look at.
    RecordsInQuarantine { records: u64 },
    /// Sites wait, because the server is paused.
    Paused,
    /// The clock of this machine went back since the newest visit of a site.
    ClockWentBack { newest_visit: Timestamp },
    /// What only the running server knows.
    #[serde(untagged)]
    OfServer(ServerAlarmEntry),
}

/// An alarm that only the running server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerAlarmEntry {
    /// Which one.
    pub code: ServerAlarm,
}

/// What a running server tells of itself: its disk, its certificate, its backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it, and the sentences say what to do")]
pub enum ServerAlarm {
    DiskFull,
    DiskNearlyFull,
    CertificateEnded,
    CertificateNotYetValid,
    CertificateEndsSoon,
    CertificateNotRenewed,
    CertificateRefusedBySites,
    BackupFailed,
    NoBackupYet,
}

impl ServerAlarm {
    const ALL: [Self; 9] = [
        Self::DiskFull,
        Self::DiskNearlyFull,
        Self::CertificateEnded,
        Self::CertificateNotYetValid,
        Self::CertificateEndsSoon,
        Self::CertificateNotRenewed,
        Self::CertificateRefusedBySites,
        Self::BackupFailed,
        Self::NoBackupYet,
    ];

    fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::DiskNearlyFull => "disk_nearly_full",
            Self::CertificateEnded => "certificate_ended",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificateEndsSoon => "certificate_ends_soon",
            Self::CertificateNotRenewed => "certificate_not_renewed",
            Self::CertificateRefusedBySites => "certificate_refused_by_sites",
            Self::BackupFailed => "backup_failed",
            Self::NoBackupYet => "no_backup_yet",
        }
    }

    fn says(self) -> Message {
        match self {
            Self::DiskFull => say::disk_full(),
            Self::DiskNearlyFull => say::disk_nearly_full(),
            Self::CertificateEnded => say::certificate_ended(),
            Self::CertificateNotYetValid => say::certificate_not_yet_valid(),
            Self::CertificateEndsSoon => say::certificate_ends_soon(),
            Self::CertificateNotRenewed => say::certificate_not_renewed(),
            Self::CertificateRefusedBySites => say::certificate_refused_by_sites(),
            Self::BackupFailed => say::backup_failed(),
            Self::NoBackupYet => say::no_backup_yet(),
        }
    }
}

/// What a running server told of itself, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldByServer {
    pub at: Timestamp,
    pub alarms: Vec<ServerAlarm>,
}

/// Some sites by name, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct NamedSites {
    /// Their number.
    pub count: u64,
    /// The names of the first five.
    pub names: Vec<String>,
}

impl NamedSites {
    #[cfg(feature = "central")]
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < NAMED {
            self.names.push(name.to_owned());
        }
    }

    fn shown(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
        let dots = if self.count > NAMED as u64 { ", …" } else { "" };
        format!("{}{dots}", names.join(", "))
    }
}

impl fmt::Display for CentralAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.says().fmt(f)
    }
}

impl CentralAlarm {
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
            Self::SitesSilent { sites } => say::sites_silent(sites.count, sites.shown()),
            Self::SignInsFail { sites } => say::sign_ins_fail(sites.count, sites.shown()),
            Self::RecordsInQuarantine { records } => say::records_in_quarantine(*records),
            Self::Paused => say::paused(),
            Self::ClockWentBack { newest_visit } => say::clock_went_back(*newest_visit),
            Self::OfServer(ServerAlarmEntry { code }) => code.says(),
        }
    }

    /// Its stable code in snake_case, as in its JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::StoreNotInDispensaryMode { .. } => "store_not_in_dispensary_mode",
            Self::OwnUrlUnusable { .. } => "own_url_unusable",
            Self::ChangelogNearsItsEnd { .. } => "changelog_nears_its_end",
            Self::SitePushesNothing { .. } => "site_pushes_nothing",
            Self::CopyRefused { .. } => "copy_refused",
            Self::SitesSilent { .. } => "sites_silent",
            Self::SignInsFail { .. } => "sign_ins_fail",
            Self::RecordsInQuarantine { .. } => "records_in_quarantine",
            Self::Paused => "paused",
            Self::ClockWentBack { .. } => "clock_went_back",
            Self::OfServer(ServerAlarmEntry { code }) => code.code(),
        }
    }

    /// The codes of all alarms.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        const OF_DATABASE: [&str; 10] = [
            "store_not_in_dispensary_mode",
            "own_url_unusable",
            "changelog_nears_its_end",
            "site_pushes_nothing",
            "copy_refused",
            "sites_silent",
            "sign_ins_fail",
            "records_in_quarantine",
            "paused",
            "clock_went_back",
        ];
        OF_DATABASE.into_iter().chain(ServerAlarm::ALL.map(ServerAlarm::code))
    }

    /// How many sites, stores or records it is about; 1 for an alarm of the server itself.
    pub fn count(&self) -> u64 {
        match self {
            Self::SitesSilent { sites } | Self::SignInsFail { sites } => sites.count,
            Self::RecordsInQuarantine { records } => *records,
            _ => 1,
        }
    }

    /// True if a check of `doctor` is about it alone.
    pub(crate) fn has_own_check(&self) -> bool {
        matches!(
            self,
            Self::StoreNotInDispensaryMode { .. }
                | Self::OwnUrlUnusable { .. }
                | Self::ChangelogNearsItsEnd { .. }
                | Self::CopyRefused { .. }
                | Self::RecordsInQuarantine { .. }
        )
    }

    /// True if no site gets its work done until somebody acts.
    pub(crate) fn stops_sites(&self) -> bool {
        let Self::OfServer(ServerAlarmEntry { code }) = self else { return false };
        matches!(code, ServerAlarm::DiskFull | ServerAlarm::CertificateEnded | ServerAlarm::CertificateNotYetValid)
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

impl Localize for CentralAlarm {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        if let Self::OwnUrlUnusable { reason, .. } = self {
            each(reason);
        }
    }
}

/// The alarms of a central server, as far as its database shows them, with what the running server told of itself. Empty for a remote
/// site.
pub(crate) fn alarms(txn: &dyn ReadTxn, now: Timestamp) -> Result<Vec<CentralAlarm>> {
    if role(txn)? != Some(Role::Central) {
        return Ok(Vec::new());
    }
    #[cfg(feature = "central")]
    let mut alarms = crate::central::site_activity::written_view(txn, now)?.alarms;
    #[cfg(not(feature = "central"))]
    let mut alarms = of_own(txn)?;
    let told = state::TOLD_BY_SERVER.get(txn)?.map(|StoredJson(told)| told);
    let told = told.filter(|told| now.since(told.at) < TOLD_COUNTS);
    alarms.extend(told.into_iter().flat_map(|told| told.alarms).map(CentralAlarm::of_server));
    Ok(alarms)
}

impl CentralAlarm {
    /// What a running server tells of itself.
    pub fn of_server(code: ServerAlarm) -> Self {
        Self::OfServer(ServerAlarmEntry { code })
    }
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

/// What alarms about a site: the worst, in this order.
#[cfg(feature = "central")]
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

#[cfg(feature = "central")]
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
#[cfg(feature = "central")]
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
    alarms.extend(state::PAUSED.get(txn)?.then_some(CentralAlarm::Paused));
    Ok(alarms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SiteId;
    use crate::storage::{MemoryStorage, SiteActivity, Storage as _};

    #[test]
    fn what_many_sites_have_in_common_is_one_alarm() {
        let mut sites = NamedSites::default();
        (1..=7).for_each(|number| sites.add(&format!("site {number}")));
        let said = CentralAlarm::SitesSilent { sites: sites.clone() }.to_string();
        assert!(said.starts_with("7 sites did not come for a day: ") && said.contains("site 5, …"), "{said}");
        assert!(!said.contains("site 6"), "{said}");
        let json = |alarm: &CentralAlarm| serde_json::to_value(alarm).unwrap();
        let alarm = CentralAlarm::SignInsFail { sites };
        assert_eq!(
            json(&alarm)["sites"],
            serde_json::json!({ "count": 7, "names": ["site 1", "site 2", "site 3", "site 4", "site 5"] })
        );
        for code in ServerAlarm::ALL {
            let alarm = CentralAlarm::of_server(code);
            assert_eq!(
                (json(&alarm)["code"].as_str(), CentralAlarm::codes().any(|known| known == alarm.code())),
                (Some(alarm.code()), true)
            );
        }
        assert_eq!(json(&alarm)["code"], alarm.code());
    }

    #[cfg(feature = "central")]
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

    #[test]
    fn a_changelog_alarms_from_half_of_what_sites_can_count() {
        let half = Cursor::SITES_END / 2;
        assert_eq!(CentralAlarm::of_changelog(Cursor(half - 1)), None);
        let warning = CentralAlarm::of_changelog(Cursor(half)).map(|warning| warning.to_string());
        assert!(warning.is_some_and(|says| says.contains("50 %")));
    }

    #[test]
    fn addresses_that_sites_cannot_use() {
        for good in ["http://oms.example.org", "https://oms.example.org:8000/", "https://oms.example.org/oms/"] {
            assert_eq!(CentralAlarm::of_own_url(good), None, "{good}");
        }
        for bad in ["", "oms.example.org", "https://oms.example.org/oms", "http://x/?a=b", "https://me:secret@oms"] {
            let concern = CentralAlarm::of_own_url(bad).unwrap_or_else(|| panic!("{bad}"));
            assert!(!concern.to_string().contains("secret"), "{concern}");
        }
    }
}
