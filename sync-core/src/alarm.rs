//! The alarms of a central server for its administrator, and their texts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::parse_url;
use crate::clock::Timestamp;
use crate::record::{Cursor, RecordId, StoreId};
use crate::redaction::masked_url;
use crate::text::sentences::alarm as say;
use crate::text::{Localize, Message, quoted};

/// The names of sites that an alarm shows; it counts the others.
const NAMED: usize = 5;

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
    /// Files that this server had, and whose bytes were missing or damaged when a site fetched one or all were verified.
    FilesLost { files: u64, first: RecordId },
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
    pub(crate) fn add(&mut self, name: &str) {
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
            Self::FilesLost { files, first } => say::files_lost(*files, first.as_str()),
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
            Self::FilesLost { .. } => "files_lost",
            Self::OfServer(ServerAlarmEntry { code }) => code.code(),
        }
    }

    /// The codes of all alarms.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        const OF_DATABASE: [&str; 11] = [
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
            "files_lost",
        ];
        OF_DATABASE.into_iter().chain(ServerAlarm::ALL.map(ServerAlarm::code))
    }

    /// How many sites, stores or records it is about; 1 for an alarm of the server itself.
    pub fn count(&self) -> u64 {
        match self {
            Self::SitesSilent { sites } | Self::SignInsFail { sites } => sites.count,
            Self::RecordsInQuarantine { records } => *records,
            Self::FilesLost { files, .. } => *files,
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

impl CentralAlarm {
    /// What a running server tells of itself.
    pub fn of_server(code: ServerAlarm) -> Self {
        Self::OfServer(ServerAlarmEntry { code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
