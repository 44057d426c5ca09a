//! What central knows of a site, for its administrator.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::record::SiteId;

/// The state of a site, as central knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SiteView {
    /// Its number.
    #[serde(rename = "site_id")]
    pub id: SiteId,
    /// Its name.
    #[serde(rename = "site_name")]
    pub name: String,
    /// The version of its application, as sent by the site; empty before its first visit.
    #[serde(rename = "version")]
    pub app_version: String,
    /// The time of its last request.
    pub seen_at: Option<Timestamp>,
    /// The time of its last answered pull.
    pub pulled_at: Option<Timestamp>,
    /// The time of its last accepted push.
    pub pushed_at: Option<Timestamp>,
    /// The number of changelog positions after its cursor, including those for other sites, without those that a restore of central
    /// skipped.
    #[serde(rename = "to_read")]
    pub behind: Option<u64>,
    /// Its records that a rule refused.
    pub refused: u64,
    /// Its records that are in quarantine for another cause, without those that need nobody: ignored on purpose, or superseded.
    #[serde(rename = "quarantined_otherwise")]
    pub quarantined: u64,
    /// The refused sign-ins under its name: a wrong password, or another machine. A site that a legacy server lists is known
    /// here from its first visit on.
    pub failed_sign_ins: u64,
    /// The time of the last of them.
    pub sign_in_failed_at: Option<Timestamp>,
    /// When another copy of its database was refused last, if that is at most seven days ago: see
    /// [`Central::refused_copies`](crate::central::Central::refused_copies).
    pub copy_refused_at: Option<Timestamp>,
    /// True while its push is being integrated.
    #[serde(rename = "integrating")]
    pub is_integrating: bool,
    /// True if its release pushes nothing over V6, by a fault of its own: Open mSupply 3.0 and 3.1.
    pub pushes_nothing: bool,
    /// True if the site was removed from the list of this server, and is shown because of its records in quarantine, or while its last
    /// push is being integrated.
    pub is_removed: bool,
}

impl SiteView {
    pub(super) fn unseen(id: SiteId, name: String) -> Self {
        Self {
            id,
            name,
            app_version: String::new(),
            seen_at: None,
            pulled_at: None,
            pushed_at: None,
            behind: None,
            refused: 0,
            quarantined: 0,
            failed_sign_ins: 0,
            sign_in_failed_at: None,
            copy_refused_at: None,
            is_integrating: false,
            pushes_nothing: false,
            is_removed: false,
        }
    }
}
